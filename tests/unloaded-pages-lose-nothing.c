/*
 * gcmmap_unload() drops pages of files from memory, gcmmap_prefetch() has them read in
 * again, and what was stored is there afterwards, in every kind of region.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sched.h>
#include <sys/vfs.h>
#include <time.h>

#define TMPFS 0x01021994
#define N_PAGES ((size_t)40)

static size_t page;

static void add_resident(const char *line, void *arg)
{
    unsigned long n_kib;

    if (sscanf(line, "Rss: %lu", &n_kib) == 1)
        *(size_t *)arg += n_kib * 1024;
}

/* Bytes of the mapping there that this process has in memory. */
static size_t resident_here(const void *address)
{
    size_t n = 0;

    need(smaps_of(address, add_resident, &n), "mapping");
    return n;
}

static size_t resident(const void *p, size_t size)
{
    size_t n = (size_t)-1;

    need(gcmmap_residency(p, size, NULL, 0, &n) == 0, "gcmmap_residency");
    return n;
}

static bool file_is_on_disk(int fd)
{
    struct statfs status;

    return fstatfs(fd, &status) == 0 && status.f_type != TMPFS;
}

static void write_all(int fd)
{
    need(fsync(fd) == 0, "fsync");
}

static void test_contents(int fd, unsigned flags, const char *what)
{
    gcmmap_region *region =
        fd < 0 ? gcmmap_alloc(N_PAGES * page, flags) : gcmmap_map(fd, 0, N_PAGES * page, flags);
    unsigned char *data = gcmmap_data(region);
    bool right = true;

    need(data != NULL, "region");
    for (size_t i = 0; i < N_PAGES; i += 2)
        for (size_t at = 0; at < page; at++)
            data[i * page + at] = byte_at(99, i * page + at);
    for (int round = 0; round < 3; round++) {
        errno = 4711;
        right &= gcmmap_unload(data + 5, N_PAGES * page - 10) == 0 && errno == 4711;
        right &= gcmmap_prefetch(data + 5, page) == 0 && errno == 4711;
        for (size_t i = 0; i < N_PAGES; i++)
            right &= i % 2 == 0 ? has_bytes(data + i * page, page, 99, i * page)
                     : fd < 0   ? data[i * page] == 0 && data[i * page + page - 1] == 0
                                : has_bytes(data + i * page, page, 1, i * page);
    }
    ok(right, "%s: all bytes are there after each of three unloads", what);
    need(gcmmap_lock(data + page, 1) == 0, "lock");
    errno = 0;
    gives_errno(gcmmap_unload(data, N_PAGES * page), EBUSY, "not those that are locked");
    need(gcmmap_unlock(data + page, 1) == 0, "unlock");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

struct both {
    int fd;
    size_t at;
};

static int read_other(void *arg)
{
    const struct both *both = arg;
    unsigned char byte;

    return pread(both->fd, &byte, 1, (off_t)both->at) == 1 && byte == 0x3C ? 0 : 1;
}

static void test_shared(int fd)
{
    gcmmap_region *region = gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);
    /* Pages that are mapped elsewhere, too, leave this mapping, not memory. */
    const unsigned char *other = gcmmap_data(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_READ));
    struct both both = { fd, 3 * page + 3 };
    unsigned n_missing = 0;

    need(data != NULL && other != NULL, "region");
    for (size_t i = 0; i < N_PAGES; i++)
        n_missing += data[i * page] != byte_at(1, i * page) || other[i * page] != data[i * page];
    data[both.at] = 0x3C;
    need(n_missing == 0 && resident_here(data) > 2 * page, "reading");
    ok(gcmmap_unload(data, N_PAGES * page) == 0 && resident_here(data) == 0,
       "unloaded pages of a shared mapping are not this process's any more");
    ok(run_in_child(read_other, &both) == 0 && data[both.at] == 0x3C,
       "what was stored reaches the file");
    data[both.at] = byte_at(1, both.at);
    need(gcmmap_unmap_now(gcmmap_of(other)) == 0 && gcmmap_unmap_now(region) == 0, "unmap");
}

/* The kernel may be busy with these pages; until it is not, they stay. */
static bool unloads_all(unsigned char *data)
{
    for (int i = 0; i < 100 && resident(data, N_PAGES * page) > 0; i++) {
        for (size_t at = 0; at < N_PAGES; at++) /* only mapped pages are found */
            (void)((volatile unsigned char *)data)[at * page];
        need(gcmmap_unload(data, N_PAGES * page) == 0, "unload");
    }
    return resident(data, N_PAGES * page) == 0;
}

/* Reading in goes on behind our back, and takes as long as the disk takes. */
static bool comes_in(const unsigned char *data, size_t n_pages)
{
    time_t end = time(NULL) + 60;

    while (resident(data, n_pages * page) < n_pages && time(NULL) < end)
        sched_yield();
    return resident(data, n_pages * page) == n_pages;
}

static void test_cache(int fd, unsigned flags, const char *what)
{
    gcmmap_region *region = gcmmap_map(fd, 0, N_PAGES * page, flags);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "region");
    write_all(fd);
    ok(unloads_all(data), "unloaded pages of %s leave memory", what);
    ok(gcmmap_prefetch(data + 7 * page - 1, 2) == 0 && comes_in(data + 6 * page, 2),
       "prefetched ones come back");
    ok(has_bytes(data, N_PAGES * page, 1, 0), "with what they had");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

int main(void)
{
    int fd;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, N_PAGES * page);
    test_shared(fd);
    if (file_is_on_disk(fd)) {
        test_cache(fd, GCMMAP_READ, "a shared file");
        test_cache(fd, GCMMAP_READ | GCMMAP_PRIVATE, "a private file");
    } else {
        ok(true, "leaving memory # SKIP /tmp is not on a disk");
    }
    test_contents(-1, 0, "memory");
    test_contents(-1, GCMMAP_POINTER_FREE | GCMMAP_BY_HANDLE, "memory by handle");
    test_contents(fd, GCMMAP_WRITE | GCMMAP_PRIVATE, "a private file");
    test_contents(fd, GCMMAP_WRITE, "a shared file");
    return done_testing();
}
