/*
 * slices: calls on slices, whose answers are found by other means; and calls that must fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLICES_H
#define SLICES_H

#include "calls.h"

/* ---- looking at bytes ------------------------------------------------------------------------------- */

static void check_lines(gcmmap_slice slice)
{
    gcmmap_slice rest = slice, line;
    size_t at = 0, n = 0, n_wanted = 0;

    for (size_t i = 0; i < slice.size; i++)
        n_wanted += slice.data[i] == '\n' || i == slice.size - 1;
    for (; gcmmap_next_line(&rest, &line); n++) {
        if (line.data != slice.data + at || memchr(line.data, '\n', line.size) != NULL)
            wrong("line %zu is wrong", n);
        at += line.size;
        if (at < slice.size && slice.data[at++] != '\n')
            wrong("line %zu is too short", n);
    }
    if (n != n_wanted || at != slice.size)
        wrong("%zu lines, wanted %zu", n, n_wanted);
}

static void check_fields(gcmmap_slice slice, unsigned char separator)
{
    gcmmap_slice rest = slice, field;
    size_t at = 0, n = 0, n_wanted = 1;

    for (size_t i = 0; i < slice.size; i++)
        n_wanted += slice.data[i] == separator;
    for (; gcmmap_next_field(&rest, separator, &field); n++) {
        if (field.data != slice.data + at || memchr(field.data, separator, field.size) != NULL)
            wrong("field %zu is wrong", n);
        at += field.size + 1;
    }
    if (n != n_wanted || at != slice.size + 1)
        wrong("%zu fields, wanted %zu", n, n_wanted);
}

static void check_searches(gcmmap_slice slice, gcmmap_slice wanted, unsigned char byte)
{
    const unsigned char *found = memchr(slice.data, byte, slice.size);
    size_t at = gcmmap_slice_find_byte(slice, byte);

    if (at != (found != NULL ? (size_t)(found - slice.data) : GCMMAP_NOT_FOUND))
        wrong("gcmmap_slice_find_byte(): %zu", at);
    found = memmem(slice.data, slice.size, wanted.data, wanted.size);
    at = gcmmap_slice_find(slice, wanted);
    if (at != (found != NULL ? (size_t)(found - slice.data) : GCMMAP_NOT_FOUND))
        wrong("gcmmap_slice_find(): %zu", at);
}

static void check_comparison(gcmmap_slice a, gcmmap_slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, n), got = gcmmap_slice_compare(a, b);

    if (order == 0)
        order = (a.size > b.size) - (a.size < b.size);
    if ((got > 0) - (got < 0) != (order > 0) - (order < 0) ||
        gcmmap_slice_equal(a, b) != (order == 0))
        wrong("gcmmap_slice_compare(): %d, wanted %d", got, order);
}

static __attribute__((noinline)) void call_slices(void)
{
    struct range range;
    unsigned char byte = (unsigned char)take(256);
    gcmmap_slice slice, part;
    size_t from, to;

    if (!take_range(&range))
        return;
    begin_calmly();
    slice = gcmmap_slice_of(start_of(&range), range.n_bytes);
    if (!outcome("gcmmap_slice_of", slice.data != NULL, range.error, 0) ||
        !all_pages(&range, is_followed))
        return;
    from = take_size(slice.size + 1);
    to = take_size(slice.size + 1);
    part = gcmmap_slice_sub(slice, from, to);
    if (!outcome("gcmmap_slice_sub", part.data != NULL, from <= to && to <= slice.size ? 0 : ERANGE,
                 0))
        return;
    if (part.data != slice.data + from || part.size != to - from)
        wrong("gcmmap_slice_sub(): %zu bytes", part.size);
    check_searches(slice, part, byte);
    check_comparison(slice, part);
    check_lines(slice);
    check_fields(slice, byte);
    if (errno != UNTOUCHED)
        wrong("looking at slices touches errno");
}

/* ---- what must fail ------------------------------------------------------------------------------------ */

static void *foreign_pointer(void)
{
    static char data[PAGE];

    switch (take(5)) {
    case 0:
        return NULL;
    case 1:
        return data + take(200);
    case 2: /* nowhere */
        return (void *)(uintptr_t)(0x1000 + take(256) * PAGE);
    case 3:
        return (void *)UINTPTR_MAX;
    default:
        return GC_MALLOC(1 + take(200));
    }
}

/* Any pointer may be given; EINVAL is what comes of it. */
static __attribute__((noinline)) void call_bad(void)
{
    void *p = foreign_pointer();
    gcmmap_region *region = p;
    size_t size = take_size(FILE_MOST), n_mapped = stats_now().n_mapped;
    unsigned char page;

    begin_calmly();
    if (gcmmap_of(p) != NULL || errno != UNTOUCHED)
        wrong("a foreign pointer is in a region");
#define FAILS(call)                                                                                \
    (begin_calmly(), (void)outcome(#call " of a foreign pointer", (call), EINVAL, 0))
    FAILS(gcmmap_data(region) != NULL);
    FAILS(gcmmap_size(region) != 0);
    FAILS(gcmmap_bytes(region).data != NULL);
    FAILS(gcmmap_weak_of(region).id != 0);
    FAILS(gcmmap_slice_of(p, size).data != NULL);
    FAILS(gcmmap_slice_object_new((gcmmap_slice){ p, size }) != NULL);
    FAILS(gcmmap_sync(p, size, GCMMAP_SYNC) == 0);
    FAILS(gcmmap_protect(p, size, GCMMAP_READ) == 0);
    FAILS(gcmmap_advise(p, size, GCMMAP_ADVISE_DONTNEED) == 0);
    FAILS(gcmmap_prefetch(p, size) == 0);
    FAILS(gcmmap_unload(p, size) == 0);
    FAILS(gcmmap_lock(p, size) == 0);
    FAILS(gcmmap_unlock(p, size) == 0);
    FAILS(gcmmap_residency(p, size, &page, 1, NULL) == 0);
    FAILS(gcmmap_extend(region, size) == 0);
    FAILS(gcmmap_refresh(region) == 0);
    FAILS(gcmmap_truncate(region, size) == 0);
    FAILS(gcmmap_close(region) == 0);
    FAILS(gcmmap_unmap_now(region) == 0);
    FAILS(gcmmap_adopt((void *)((uintptr_t)p | 1), size, 0, NULL, NULL) != NULL);
    FAILS(gcmmap_set_budget(NULL) == 0);
    FAILS(gcmmap_set_pacing(NULL) == 0);
    FAILS(gcmmap_shm_unlink(NULL) == 0);
    FAILS(gcmmap_open(NULL, GCMMAP_READ) != NULL);
    FAILS(gcmmap_map(named[0]->fd, -1 - (off_t)size, size, GCMMAP_READ) != NULL);
#undef FAILS
    if (stats_now().n_mapped != n_mapped)
        wrong("a call that failed has mapped something");
}

/* Any flags at all: a region of them is whole, or there is none and a reason. */
static __attribute__((noinline)) void call_any_flags(void)
{
    unsigned flags = take(256) | take(256) << 8 | take(256) << 16 | (take(16) == 0 ? 1u << 30 : 0);
    size_t size = take_size(3 * PAGE), n_mapped = stats_now().n_mapped;
    bool is_file = take(2);
    gcmmap_region *region;

    flags &= ~(unsigned)GCMMAP_EXEC; /* a file system may be mounted noexec */
    if (is_file && size > named[0]->size)
        size = named[0]->size;
    begin();
    region = is_file ? gcmmap_map(named[0]->fd, 0, size, flags) : gcmmap_alloc(size, flags);
    disarm();
    trace("flags %#x", flags);
    if (region == NULL) {
        (void)outcome("mapping with any flags", false, EINVAL, ENOTSUP, EOPNOTSUPP, ENOSYS, ENOMEM,
                      EAGAIN, EDQUOT, 0);
    } else if (gcmmap_size(region) != size || gcmmap_of(region) != region || (flags & 1u << 30) ||
               (flags & GCMMAP_GROWSDOWN)) {
        wrong("flags %#x are accepted, or give no region", flags);
    }
    if (stats_now().n_mapped != n_mapped + (region != NULL))
        wrong("flags %#x: the number of mapped regions is wrong", flags);
}

#endif
