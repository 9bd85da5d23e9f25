/*
 * gcmmap_lock() locks the pages around any bytes, gcmmap_unlock() unlocks them, and
 * gcmmap_residency() tells which pages are in memory, as the kernel's own accounts say.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/resource.h>

static size_t page;

/* VmLck of this process. */
static size_t locked_bytes(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long n_kib = 0;

    need(status != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, status) && sscanf(line, "VmLck: %lu", &n_kib) != 1)
        continue;
    fclose(status);
    return n_kib * 1024;
}

static size_t resident(const void *p, size_t size)
{
    size_t n = (size_t)-1;

    need(gcmmap_residency(p, size, NULL, 0, &n) == 0, "gcmmap_residency");
    return n;
}

static void test_lock(void)
{
    gcmmap_region *region = gcmmap_alloc(10 * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);
    size_t before = locked_bytes();

    need(data != NULL, "region");
    errno = 4711;
    ok(gcmmap_lock(data + 3 * page - 1, 2) == 0 && errno == 4711, "lock two bytes on two pages");
    ok(locked_bytes() == before + 2 * page, "two pages are locked (%zu bytes)",
       locked_bytes() - before);
    ok(resident(data, 10 * page) == 2 && resident(data + 2 * page, 2 * page) == 2,
       "which brought them into memory");
    ok(gcmmap_lock(data + 3 * page - 1, 2) == 0 && locked_bytes() == before + 2 * page,
       "locked twice they are locked once");
    ok(gcmmap_unlock(data + 2 * page + 5, 0) == 0 && gcmmap_lock(data, 0) == 0 &&
           locked_bytes() == before + 2 * page,
       "no bytes, no change");
    ok(gcmmap_unlock(data + 2 * page + 5, 1) == 0 && locked_bytes() == before + page,
       "a byte is unlocked with its page");
    ok(gcmmap_unlock(data, 10 * page) == 0 && locked_bytes() == before, "all of it");
    ok(gcmmap_unlock(data, 10 * page) == 0 && locked_bytes() == before, "unlocked twice");
    need(gcmmap_lock(data, 10 * page) == 0 && locked_bytes() == before + 10 * page, "lock");
    ok(gcmmap_close(region) == 0 && locked_bytes() == before, "closing unlocks");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = gcmmap_alloc(10 * page, GCMMAP_POINTER_FREE);
    ok(locked_bytes() == before && resident(gcmmap_data(region), 10 * page) == 0,
       "what is mapped there later is not locked");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* In a child, without privileges: exit status 0 if all is as it should be. */
static int lock_under_limit(void *arg)
{
    struct rlimit limit = { 3 * page, 3 * page };
    gcmmap_region *region = gcmmap_alloc(20 * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);

    (void)arg;
    if (data == NULL || setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return 1;
    if (geteuid() == 0 && setuid(65534) != 0)
        return 2;
    if (gcmmap_lock(data, 3 * page) != 0)
        return 3;
    errno = 0;
    if (gcmmap_lock(data + 3 * page, 1) != -1 || errno != ENOMEM)
        return 4;
    limit.rlim_cur = 0;
    if (locked_bytes() != 3 * page || setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return 5;
    errno = 0;
    if (gcmmap_lock(data + 5 * page, 1) != -1 || errno != EPERM)
        return 6;
    return gcmmap_unlock(data, 3 * page) == 0 && locked_bytes() == 0 ? 0 : 7;
}

static __attribute__((noinline)) bool lock_one(void)
{
    gcmmap_region *region = gcmmap_alloc(2 * page, GCMMAP_POINTER_FREE);

    return region != NULL && gcmmap_lock(gcmmap_data(region), 2 * page) == 0;
}

/* In a child: what is locked and garbage makes room for what is to be locked. */
static int lock_garbage(void *arg)
{
    struct rlimit limit = { 40 * page, 40 * page };

    (void)arg;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        return 1;
    for (int i = 0; i < 300; i++)
        if (!lock_one())
            return 2;
    return locked_bytes() <= 40 * page ? 0 : 3;
}

/* Behind the end of a file there is nothing to lock. */
static void test_truncated(void)
{
    int fd = make_file(1, 4 * page);
    gcmmap_region *region = gcmmap_map(fd, 0, 4 * page, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL && ftruncate(fd, (off_t)page) == 0, "region");
    errno = 0;
    gives_errno(gcmmap_lock(data + 2 * page, 1), ENOMEM, "locking bytes behind the file's end");
    ok(gcmmap_unlock(data + 2 * page, 1) == 0, "unlocking them");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
}

/* Against mincore(2) and against what was touched. */
static void test_residency(unsigned flags, const char *what)
{
    enum { N = 3000 };
    gcmmap_region *region = gcmmap_alloc(N * page, flags | GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);
    static unsigned char pages[N + 1], witness[N];
    size_t n = 99, n_touched = 0, n_wrong = 0;

    need(data != NULL, "region");
    /* A huge page would bring in all at once. */
    need(madvise(data, N * page, MADV_NOHUGEPAGE) == 0, "madvise");
    for (size_t i = 0; i < N; i += 1 + i % 7, n_touched++)
        data[i * page + i % page] = 1;
    memset(pages, 0x5A, sizeof pages);
    errno = 4711;
    ok(gcmmap_residency(data, N * page, pages, N, &n) == 0 && errno == 4711,
       "residency of %d pages of %s", N, what);
    need(mincore(data, N * page, witness) == 0, "mincore");
    for (size_t i = 0; i < N; i++)
        n_wrong += pages[i] != (witness[i] & 1);
    ok(n_wrong == 0 && pages[N] == 0x5A, "each page as mincore(2) says, and no more than these");
    ok(n == n_touched && resident(data, N * page) == n, "as many as were touched (%zu)", n);
    pages[0] = pages[1] = pages[2] = 0x5A;
    ok(gcmmap_residency(data + page - 1, 2, pages, 2, NULL) == 0 && pages[0] == 1 &&
           pages[1] == witness[1] && pages[2] == 0x5A,
       "two bytes on two pages");
    ok(gcmmap_residency(data + 1, 1, pages, 1, &n) == 0 && n == 1 && pages[0] == 1,
       "less than a page");
    ok(gcmmap_residency(data + N * page, 0, pages, 0, &n) == 0 && n == 0, "no bytes");
    n = 99;
    pages[0] = 0x5A;
    errno = 0;
    gives_errno(gcmmap_residency(data + page - 1, 2, pages, 1, &n), ERANGE, "too little room");
    ok(n == 99 && pages[0] == 0x5A, "which stores nothing");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_file(void)
{
    int fd = make_file(1, 8 * page);
    gcmmap_region *region = gcmmap_map(fd, 10, 7 * page, GCMMAP_READ);
    unsigned char pages[9] = { 0 };
    size_t n = 0;

    ok(gcmmap_residency(gcmmap_data(region), 7 * page, pages, sizeof pages, &n) == 0 && n == 8,
       "a file's pages are there though this mapping was never read (%zu)", n);
    close(fd);
}

int main(void)
{
    int status;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    (void)gcmmap_alloc(0, 0); /* starts the library */
    test_lock();
    status = run_in_child(lock_under_limit, NULL);
    ok(status == 0, "more than the limit is ENOMEM, with a limit of 0 EPERM (%d)", status);
    status = run_in_child(lock_garbage, NULL);
    ok(status == 0, "but first what is garbage is unlocked (%d)", status);
    test_truncated();
    test_residency(0, "memory");
    test_residency(GCMMAP_BY_HANDLE, "memory by handle");
    test_file();
    return done_testing();
}
