/*
 * gcmmap_sync() on any bytes of a shared mapping writes the pages around them to the disk:
 * the kernel has no unwritten store there any more.  Other mappings it leaves alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/vfs.h>

#define TMPFS 0x01021994

static size_t page;

static void add_dirty(const char *line, void *arg)
{
    unsigned long n_kib;

    if (sscanf(line, "Shared_Dirty: %lu", &n_kib) == 1 ||
        sscanf(line, "Private_Dirty: %lu", &n_kib) == 1)
        *(size_t *)arg += n_kib * 1024;
}

/* Bytes of the mapping there that are stored, but not written. */
static size_t dirty_bytes(const void *address)
{
    size_t n = 0;

    need(smaps_of(address, add_dirty, &n), "mapping");
    return n;
}

static bool file_is_on_disk(int fd)
{
    struct statfs status;

    return fstatfs(fd, &status) == 0 && status.f_type != TMPFS;
}

/* Reads the file in another process, which has no mapping of it. */
static int read_file(void *arg)
{
    unsigned char bytes[3];

    return pread(*(int *)arg, bytes, 3, (off_t)(2 * page - 1)) != 3 || memcmp(bytes, "syn", 3) != 0;
}

static void test_part(int fd)
{
    gcmmap_region *region = gcmmap_map(fd, 100, 6 * page, GCMMAP_WRITE);
    unsigned char *start = (unsigned char *)gcmmap_data(region) - 100;
    size_t before, after;

    need(region != NULL, "region");
    for (size_t i = 0; i < 5; i++)
        start[i * page + page / 2] ^= 1;
    memcpy(start + 2 * page - 1, "syn", 3);
    before = dirty_bytes(start);
    errno = 4711;
    ok(gcmmap_sync(start + 2 * page - 1, 3, GCMMAP_SYNC) == 0 && errno == 4711,
       "sync of three bytes on two pages");
    after = dirty_bytes(start);
    ok(before >= after + 2 * page, "two pages less have unwritten stores (%zu bytes, then %zu)",
       before, after);
    /* The kernel may have begun with the others by itself; so none is a failure of ours. */
    note("%zu bytes of other pages were not written", after);
    ok(run_in_child(read_file, &fd) == 0, "another process reads them");
    ok(gcmmap_sync(gcmmap_data(region), 6 * page, GCMMAP_SYNC) == 0 && dirty_bytes(start) == 0,
       "sync of all of it: no unwritten store is left");
    start[page] ^= 1;
    ok(dirty_bytes(start) != 0, "until the next store");
    ok(gcmmap_sync(start + page, 1, GCMMAP_SYNC | GCMMAP_INVALIDATE) == 0 &&
           dirty_bytes(start) == 0,
       "sync and invalidate");
    ok(gcmmap_sync(start + page, 1, GCMMAP_ASYNC) == 0 &&
           gcmmap_sync(start + page, 1, GCMMAP_ASYNC | GCMMAP_INVALIDATE) == 0 &&
           gcmmap_sync(start + page, 1, GCMMAP_INVALIDATE) == 0,
       "the other combinations");
    need(gcmmap_lock(start + page, 1) == 0, "lock");
    errno = 0;
    gives_errno(gcmmap_sync(start + page, 1, GCMMAP_SYNC | GCMMAP_INVALIDATE), EBUSY,
                "invalidating locked pages");
    ok(gcmmap_sync(start + page, 1, GCMMAP_SYNC) == 0, "which can be synced");
    need(gcmmap_close(region) == 0, "close");
}

/* Bytes that are in no file. */
static void test_private(int fd)
{
    gcmmap_region *regions[3] = { gcmmap_map(fd, 0, 2 * page, GCMMAP_WRITE | GCMMAP_PRIVATE),
                                  gcmmap_alloc(2 * page, 0),
                                  gcmmap_alloc(2 * page, GCMMAP_BY_HANDLE) };
    unsigned char byte;

    for (int i = 0; i < 3; i++) {
        unsigned char *data = gcmmap_data(regions[i]);

        need(data != NULL, "region");
        if (!collector_write_protects())
            data[7] = 0xAA;
        ok(gcmmap_sync(data + 7, page, GCMMAP_SYNC) == 0, "sync of private memory succeeds");
    }
    ok(pread(fd, &byte, 1, 7) == 1 && byte == byte_at(1, 7), "and leaves the file alone");
}

static void test_flags(int fd)
{
    static const unsigned wrong[] = { 0,
                                      GCMMAP_SYNC | GCMMAP_ASYNC,
                                      GCMMAP_SYNC | GCMMAP_ASYNC | GCMMAP_INVALIDATE,
                                      8,
                                      GCMMAP_SYNC | 8,
                                      ~0u };
    gcmmap_region *region = gcmmap_map(fd, 0, page, GCMMAP_READ);

    need(region != NULL, "region");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        gives_errno(gcmmap_sync(gcmmap_data(region), 1, wrong[i]), EINVAL, "wrong flags");
    }
    ok(gcmmap_sync(gcmmap_data(region), 1, GCMMAP_SYNC) == 0, "sync of a read-only region");
}

int main(void)
{
    int fd;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, 8 * page);
    test_flags(fd);
    test_private(fd);
    if (file_is_on_disk(fd))
        test_part(fd);
    else
        ok(true, "unwritten stores # SKIP /tmp is not on a disk");
    return done_testing();
}
