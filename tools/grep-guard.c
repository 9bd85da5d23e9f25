/*
 * grep-guard: files that others truncate while we look at them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "grep-guard.h"

gcmmap_region *guarded(void (*fn)(void *arg), void *arg)
{
    gcmmap_fault fault;

    return gcmmap_try(fn, arg, &fault) == 0 ? NULL : fault.region;
}
