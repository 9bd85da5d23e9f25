/*
 * gcmmap_truncate(): pages behind the new end fault and give their memory back, in
 * regions of every kind; where the file cannot be cut, nothing changes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define SEED 13
#define SIZE (18 * MiB)

static size_t page;

static bool is_inaccessible(const void *address)
{
    char permissions[5] = "";
    unsigned long inode = 1;

    return map_line(address, permissions, &inode) && permissions[0] == '-' && inode == 0;
}

static bool all_fault(unsigned char *from, unsigned char *to)
{
    for (; from < to; from += 37 * page)
        if (fault_of_access(from, false) != SIGSEGV || fault_of_access(from, true) != SIGSEGV)
            return false;
    return true;
}

/* What stays, how many bytes. */
static void test(int fd, unsigned flags, size_t kept, const char *what)
{
    const size_t offset = fd < 0 ? 0 : 4099;
    gcmmap_options options = { .room = SIZE };
    gcmmap_region *region = fd < 0 ? gcmmap_alloc_with(SIZE, flags, &options)
                                   : gcmmap_map_with(fd, (off_t)offset, SIZE, flags, &options);
    unsigned char *data = gcmmap_data(region), *pages = data - offset % page, *behind;
    bool readable = true, inaccessible, incremental = collector_write_protects();

    need(data != NULL, "region");
    if (fd < 0)
        for (size_t i = 0; i < SIZE; i++)
            data[i] = byte_at(SEED, i);
    behind = kept == 0 ? pages : pages + (((size_t)(data + kept - pages) + page - 1) & ~(page - 1));
    ok(gcmmap_truncate(region, kept) == 0 && gcmmap_size(region) == kept &&
           gcmmap_data(region) == data,
       "%s: %zu bytes stay", what, kept);
    /* Of a byte less the page is the same. */
    inaccessible =
        behind >= data + SIZE || (is_inaccessible(behind) && is_inaccessible(data + SIZE - 1));
    ok(inaccessible && all_fault(behind, data + SIZE), "the pages behind them fault");
    if (behind > pages)
        readable = fault_of_access(behind - 1, false) == 0;
    ok(readable && has_bytes(data, kept, SEED, offset), "those with them do not");
    ok(gcmmap_of(data + kept) == region && gcmmap_of(data + kept + 1) == NULL,
       "slices of the rest are nobody's");
    if (fd >= 0)
        ok(bytes_mapped_from(fd) == (size_t)(behind - pages), "the file is mapped so far only");
    collect_with_noise();
    collect_thoroughly();
    ok(incremental || all_fault(behind, data + SIZE), "after collections as before");
    ok(gcmmap_close(region) == 0 && (incremental || fault_of_access(data, false) == SIGSEGV),
       "then it is closed");
    if (fd >= 0)
        ok(bytes_mapped_from(fd) == 0, "and the file gone");
}

static void test_sealed(void)
{
#if defined F_ADD_SEALS && defined MFD_ALLOW_SEALING
    gcmmap_options options = { .room = 3 * 4096 * 4 };
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    gcmmap_region *region;
    unsigned char *data;

    need(fd >= 0 && ftruncate(fd, 20000) == 0, "memfd");
    need(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0, "seals");
    region = gcmmap_map_with(fd, 0, 20000, GCMMAP_WRITE, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    memset(data, 'x', 20000);
    errno = 0;
    gives_errno(gcmmap_truncate(region, 5), EPERM, "a file sealed against shrinking");
    ok(gcmmap_size(region) == 20000 && data[19999] == 'x' && data[4096] == 'x' && data[0] == 'x' &&
           bytes_mapped_from(fd) == 20480,
       "leaves all as it was");
    gives_errno(gcmmap_extend(region, 20001), EPERM, "in the last page too, against growing");
    gives_errno(gcmmap_extend(region, 40001), EPERM, "a file sealed against growing");
    ok(gcmmap_size(region) == 20000 && fault_of_access(data + 20480, false) == SIGSEGV &&
           bytes_mapped_from(fd) == 20480,
       "leaves all as it was");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
#endif
}

int main(void)
{
    static const size_t kept[] = { 0, 1, 4096, 5000, 16 * MiB - 4099, 17 * MiB, SIZE - 1 };
    int fd;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(SEED, SIZE + 3 * 4099);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        test(fd, GCMMAP_READ, kept[i], "a readable region");
        test(fd, GCMMAP_WRITE | GCMMAP_PRIVATE, kept[i], "a private one");
        test(fd, GCMMAP_WRITE, kept[i], "a part of a writable file");
    }
    test(fd, GCMMAP_READ | GCMMAP_BY_HANDLE, 5000, "a region by handle");
    test(-1, 0, 5000, "anonymous memory");
    test(-1, GCMMAP_POINTER_FREE, 17 * MiB, "memory without pointers");
    test_sealed();
    return done_testing();
}
