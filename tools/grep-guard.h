/*
 * grep-guard: files that others truncate while we look at them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_GUARD_H
#define GREP_GUARD_H

#include "gcmmap.h"

/*
 * Calls fn(arg).
 *
 * \return  NULL if it returned; or the region that it could not read from, when it was interrupted.
 */
gcmmap_region *guarded(void (*fn)(void *arg), void *arg);

#define TRUNCATED "file was truncated, or its disk failed, while it was searched"

#endif
