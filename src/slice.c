/*
 * slice: parts of slices, and what is in them.  The collector sees the results by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "collector.h"
#include "gcmmap.h"
#include "region.h"

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

/* Whether these are bytes of a region, and of which. */
static int check(const void *p, size_t size, gcmmap_region **region)
{
    struct region_pin pin;
    int error = region_pin(p, size, &pin);

    if (error == 0) {
        *region = pin.handle;
        region_unpin(&pin);
    }
    return error;
}

gcmmap_slice gcmmap_slice_of(const void *p, size_t size)
{
    gcmmap_region *region;
    int error = check(p, size, &region);

    if (error != 0) {
        errno = error;
        return (gcmmap_slice){ NULL, 0 };
    }
    return (gcmmap_slice){ (unsigned char *)p, size };
}

const gcmmap_slice_object *gcmmap_slice_object_new(gcmmap_slice bytes)
{
    int saved_errno = errno;
    gcmmap_slice_object object = { .bytes = bytes }, *copy = NULL;
    int error = check(bytes.data, bytes.size, &object.region);

    /* Not pinned: finalizers may run here, and close it. */
    if (error == 0) {
        copy = collector_new_object(&object, sizeof object);
        error = copy == NULL ? ENOMEM : 0;
    }
    errno = error != 0 ? error : saved_errno;
    return copy;
}

/* libc must not be given NULL, not even for no bytes. */
static int compare(const unsigned char *a, const unsigned char *b, size_t n_bytes)
{
    return n_bytes > 0 ? memcmp(a, b, n_bytes) : 0;
}

int gcmmap_slice_equal(gcmmap_slice a, gcmmap_slice b)
{
    return a.size == b.size && compare(a.data, b.data, a.size) == 0;
}

int gcmmap_slice_compare(gcmmap_slice a, gcmmap_slice b)
{
    int order = compare(a.data, b.data, a.size < b.size ? a.size : b.size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

size_t gcmmap_slice_find_byte(gcmmap_slice slice, unsigned char byte)
{
    const unsigned char *found = slice.size > 0 ? memchr(slice.data, byte, slice.size) : NULL;

    return found != NULL ? (size_t)(found - slice.data) : GCMMAP_NOT_FOUND;
}

size_t gcmmap_slice_find(gcmmap_slice slice, gcmmap_slice wanted)
{
    const unsigned char *found;

    if (wanted.size == 0)
        return 0;
    if (wanted.size > slice.size)
        return GCMMAP_NOT_FOUND;
    found = memmem(slice.data, slice.size, wanted.data, wanted.size);
    return found != NULL ? (size_t)(found - slice.data) : GCMMAP_NOT_FOUND;
}

/* The slice up to such a byte, or all of it. */
static gcmmap_slice until(gcmmap_slice slice, unsigned char byte)
{
    size_t at = gcmmap_slice_find_byte(slice, byte);

    if (at != GCMMAP_NOT_FOUND)
        slice.size = at;
    return slice;
}

/* What comes behind the first n bytes. */
static gcmmap_slice behind(gcmmap_slice slice, size_t n_bytes)
{
    return (gcmmap_slice){ slice.data + n_bytes, slice.size - n_bytes };
}

int gcmmap_next_line(gcmmap_slice *rest, gcmmap_slice *line)
{
    if (rest->size == 0)
        return 0;
    *line = until(*rest, '\n');
    *rest = behind(*rest, line->size < rest->size ? line->size + 1 : line->size);
    return 1;
}

int gcmmap_next_field(gcmmap_slice *rest, unsigned char separator, gcmmap_slice *field)
{
    if (rest->data == NULL)
        return 0;
    *field = until(*rest, separator);
    *rest = field->size < rest->size ? behind(*rest, field->size + 1) : (gcmmap_slice){ NULL, 0 };
    return 1;
}
