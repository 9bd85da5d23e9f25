/*
 * slice: parts of slices.  Pure arithmetic: the collector sees the result by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>

#include "gcmmap.h"

gcmmap_slice gcmmap_slice_sub(gcmmap_slice slice, size_t from, size_t to)
{
    if (from > to || to > slice.size) {
        errno = ERANGE;
        return (gcmmap_slice){ NULL, 0 };
    }
    /* Adding 0 to NULL is undefined; an empty slice of nothing is fine. */
    if (slice.data != NULL)
        slice.data += from;
    slice.size = to - from;
    return slice;
}
