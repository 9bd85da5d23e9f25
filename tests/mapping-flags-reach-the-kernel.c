/*
 * What flags say about how to map, the kernel knows: seen in /proc/self/smaps and by
 * mincore(2), for files, memory and regions by handle.  It does not know it any more of the
 * next region on the same addresses.  Regions without such flags cost no system call more.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "smaps.h"

#include <grp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define SIZE ((size_t)300000)
#define SEED 5
#define KINDS 5u

static int fd;
static size_t page;
static atomic_uint n_calls; /* of those that plain mappings do without */

/* The library's, too. */
__attribute__((visibility("default"))) int madvise(void *at, size_t n_bytes, int advice)
{
    atomic_fetch_add(&n_calls, 1);
    return (int)syscall(SYS_madvise, at, n_bytes, advice);
}

__attribute__((visibility("default"))) int mlock(const void *at, size_t n_bytes)
{
    atomic_fetch_add(&n_calls, 1);
    return (int)syscall(SYS_mlock, at, n_bytes);
}

static const char *const kinds[KINDS] = { "a file", "a private copy", "memory", "untraced memory",
                                          "memory by handle" };

static gcmmap_region *map_kind(unsigned kind, unsigned flags)
{
    switch (kind) {
    case 0:
        return gcmmap_map(fd, 77, SIZE - 77, GCMMAP_READ | flags);
    case 1:
        return gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | GCMMAP_PRIVATE | flags);
    case 2:
        return gcmmap_alloc(SIZE, flags);
    case 3:
        return gcmmap_alloc(SIZE, GCMMAP_POINTER_FREE | flags);
    default:
        return gcmmap_alloc(SIZE, GCMMAP_BY_HANDLE | flags);
    }
}

static void test_flag(unsigned flag, const char *vm_flag)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        gcmmap_region *region = map_kind(kind, flag);
        unsigned char *data = gcmmap_data(region), *again;
        bool first, last;

        need(region != NULL, kinds[kind]);
        first = has_vm_flag(data, vm_flag);
        last = has_vm_flag(data + gcmmap_size(region) - 1, vm_flag);
        ok(first && last && (kind > 1 || has_bytes(data, gcmmap_size(region), SEED, kind ? 0 : 77)),
           "%s has%sfrom end to end", kinds[kind], vm_flag);
        need(gcmmap_unmap_now(region) == 0, "unmap");
        region = map_kind(kind, 0);
        again = gcmmap_data(region);
        need(kind == 4 || again == data, "the same addresses");
        ok(!has_vm_flag(again, vm_flag) && !has_vm_flag(again + gcmmap_size(region) - 1, vm_flag),
           "the next one there has not");
        ok(gcmmap_close(region) == 0 && !has_vm_flag(again, vm_flag), "nor when it is closed");
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
}

static size_t n_resident(unsigned char *data, size_t n_bytes)
{
    unsigned char resident[SIZE / 4096 + 2];
    unsigned char *first = data - (uintptr_t)data % page;
    size_t n_pages = ((size_t)(data - first) + n_bytes + page - 1) / page, n = 0;

    need(mincore(first, n_pages * page, resident) == 0, "mincore");
    for (size_t i = 0; i < n_pages; i++)
        n += resident[i] & 1;
    return n;
}

static void test_populate(void)
{
    /* Of files it is the page tables that are filled: /proc/self/smaps has Rss. */
    for (unsigned kind = 1; kind < KINDS; kind++) {
        gcmmap_region *region = map_kind(kind, GCMMAP_POPULATE), *plain = map_kind(kind, 0);
        size_t n_pages = (SIZE + page - 1) / page;

        if (kind == 1)
            ok(n_resident(gcmmap_data(region), SIZE) == n_pages, "%s is populated", kinds[kind]);
        else if (collector_write_protects() && kind == 2)
            ok(true, "%s is populated # SKIP it is write-protected", kinds[kind]);
        else
            ok(n_resident(gcmmap_data(region), SIZE) == n_pages &&
                   n_resident(gcmmap_data(plain), SIZE) == 0,
               "%s is populated, and only if asked for", kinds[kind]);
        need(gcmmap_unmap_now(region) == 0 && gcmmap_unmap_now(plain) == 0, "unmap");
    }
}

/* Faults that touching each page of a file's region takes. */
static long n_faults_of(unsigned flags)
{
    gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | flags);
    const volatile unsigned char *data = gcmmap_data(region);
    struct rusage before, after;

    need(region != NULL && madvise((void *)(uintptr_t)data, SIZE, MADV_RANDOM) == 0, "file");
    getrusage(RUSAGE_THREAD, &before);
    for (size_t i = 0; i < SIZE; i += page)
        (void)data[i];
    getrusage(RUSAGE_THREAD, &after);
    need(gcmmap_unmap_now(region) == 0, "unmap");
    return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt;
}

static void test_populate_file(void)
{
    long populated = n_faults_of(GCMMAP_POPULATE), plain = n_faults_of(0);

    ok(populated == 0 && plain > 0, "%ld faults in a populated file, %ld in another", populated,
       plain);
}

static void test_no_reserve(void)
{
    gcmmap_region *region = map_kind(1, GCMMAP_NORESERVE), *other = map_kind(1, 0);

    ok(has_vm_flag(gcmmap_data(region), " nr ") && !has_vm_flag(gcmmap_data(other), " nr "),
       "a private copy is not reserved if said so");
    need(gcmmap_unmap_now(region) == 0 && gcmmap_unmap_now(other) == 0, "unmap");
    region = map_kind(2, 0);
    other = map_kind(2, GCMMAP_NORESERVE);
    ok(has_vm_flag(gcmmap_data(region), " nr ") && has_vm_flag(gcmmap_data(other), " nr "),
       "memory never is");
    need(gcmmap_unmap_now(region) == 0 && gcmmap_unmap_now(other) == 0, "unmap");
}

static void test_lock_counts(void)
{
    size_t before = status_kib("VmLck:"), during;
    gcmmap_region *region = map_kind(0, GCMMAP_LOCK);

    during = status_kib("VmLck:");
    ok(region != NULL && during >= before + SIZE / 1024 && during <= before + SIZE / 1024 + 8,
       "%zu KiB more are locked, no more than asked for", during - before);
    need(gcmmap_close(region) == 0, "close");
    ok(status_kib("VmLck:") == before, "none when it is closed");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = map_kind(2, GCMMAP_LOCK);
    need(region != NULL, "locked memory");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    ok(status_kib("VmLck:") == before, "nor when it is unmapped");
}

/* What a failed call leaves. */
static int fail_to_lock(void *limit)
{
    struct rlimit none = { *(rlim_t *)limit, *(rlim_t *)limit };
    int wanted = *(rlim_t *)limit == 0 ? EPERM : ENOMEM, wrong = 0;
    gcmmap_stats before, after;
    size_t n_lines;

    if (geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0 || geteuid() == 0))
        return 64;
    need(setrlimit(RLIMIT_MEMLOCK, &none) == 0, "setrlimit");
    for (unsigned kind = 0; kind < KINDS; kind++) {
        need(gcmmap_unmap_now(map_kind(kind, 0)) == 0, "warm");
        before = stats_now();
        n_lines = count_map_lines();
        errno = 0;
        if (map_kind(kind, GCMMAP_LOCK) != NULL || errno != wanted)
            wrong |= 1;
        after = stats_now();
        if (after.n_live != before.n_live || after.n_closed != before.n_closed ||
            after.n_mapped != before.n_mapped)
            wrong |= 2;
        if ((count_map_lines() > n_lines && !collector_write_protects()) ||
            bytes_mapped_from(fd) != 0)
            wrong |= 4;
    }
    return wrong;
}

static void test_failing_lock(void)
{
    rlim_t limits[] = { 0, 65536 };

    for (size_t i = 0; i < 2; i++) {
        int status = run_in_child(fail_to_lock, &limits[i]);

        if (!ok(status == 0 || status == 64, "locking beyond a limit of %ld: %s, no trace%s",
                (long)limits[i], strerror(i == 0 ? EPERM : ENOMEM),
                status == 64 ? " # SKIP cannot change the user" : ""))
            note("status %d", status);
    }
}

static void test_dax(void)
{
    gcmmap_region *region;

    errno = 0;
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | GCMMAP_SYNC_DAX);
    if (region != NULL)
        ok(has_vm_flag(gcmmap_data(region), " sf "), "the file is mapped synchronously");
    else
        ok(errno == EOPNOTSUPP && bytes_mapped_from(fd) == 0,
           "a file system without persistent memory: %s", strerror(EOPNOTSUPP));
}

static void test_plain(void)
{
    unsigned before;

    for (unsigned kind = 0; kind < KINDS; kind++)
        need(gcmmap_unmap_now(map_kind(kind, 0)) == 0, "warm");
    before = atomic_load(&n_calls);
    for (unsigned kind = 0; kind < KINDS; kind++)
        need(gcmmap_unmap_now(map_kind(kind, 0)) == 0, "cycle");
    ok(atomic_load(&n_calls) == before, "plain regions make no such calls");
    need(gcmmap_unmap_now(map_kind(2, GCMMAP_LOCK | GCMMAP_NO_DUMP)) == 0, "cycle");
    ok(atomic_load(&n_calls) == before + 2, "others one for each flag");
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(SEED, SIZE);
    test_flag(GCMMAP_LOCK, " lo ");
    test_flag(GCMMAP_NO_DUMP, " dd ");
    test_flag(GCMMAP_NO_FORK, " dc ");
    test_populate();
    test_populate_file();
    test_no_reserve();
    test_lock_counts();
    test_failing_lock();
    test_dax();
    test_plain();
    return done_testing();
}
