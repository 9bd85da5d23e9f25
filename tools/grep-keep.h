/*
 * grep-keep: what was found and is shown in the end: sorted, each once, the most frequent.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_KEEP_H
#define GREP_KEEP_H

#include "grep-print.h"

/* Before the first one. */
void keep_open(const struct options *options);

/* A slice and what is known of it; no byte of it is copied.  It keeps its region. */
void keep_found(const struct found *found);

/* Puts them out, and forgets them. */
void keep_end(struct matcher *matcher);

#endif
