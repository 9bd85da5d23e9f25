/*
 * What other calls find that come in the very middle of a change of size: closing and
 * other changes wait, the collector reads what is there, a forked child finds one size or the
 * other.  An mmap() of our own in front of the system's makes them come there.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "live.h"

#define SEED 19
#define ROOM (1 * MiB)
#define SMALL ((size_t)5000)
#define LARGE ((size_t)700000)

static int fd;
static gcmmap_region *region;
static unsigned char *data;
static void (*hook)(void); /* called once, when the region's pages change ... */
static bool hook_first;    /* ... before that */
static atomic_int n_wrong;

__attribute__((visibility("default"))) void *mmap(void *at, size_t n, int protection, int flags,
                                                  int file, off_t offset)
{
    void (*now)(void) = NULL;
    void *result;

    if (hook != NULL && (unsigned char *)at >= data && (unsigned char *)at < data + ROOM) {
        now = hook;
        hook = NULL;
    }
    if (now != NULL && hook_first)
        now();
    result = kernel_mmap(at, n, protection, flags, file, offset);
    if (now != NULL && !hook_first)
        now();
    return result;
}

/* ---- a second thread ----------------------------------------------------------------- */

static pthread_t thread;
static atomic_bool is_done;

static void *close_it(void *arg)
{
    n_wrong += gcmmap_close(region) != 0;
    atomic_store(&is_done, true);
    return arg;
}

static void *extend_it(void *arg)
{
    n_wrong += gcmmap_extend(region, LARGE + 50000) != 0;
    atomic_store(&is_done, true);
    return arg;
}

/* Time enough for one who does not wait. */
static void let_run(void *(*run)(void *))
{
    atomic_store(&is_done, false);
    need(pthread_create(&thread, NULL, run, NULL) == 0, "thread");
    for (int i = 0; i < 100 && !atomic_load(&is_done); i++)
        usleep(1000);
    n_wrong += atomic_load(&is_done);
}

static void close_meanwhile(void)
{
    let_run(close_it);
    errno = 0;
    n_wrong += gcmmap_data(region) != NULL || errno != EBADF;
}

static void extend_meanwhile(void)
{
    let_run(extend_it);
    n_wrong += gcmmap_size(region) != SMALL;
}

/* ---- other things in the middle -------------------------------------------------------- */

static size_t size_in_child;

static int look_in_child(void *arg)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *behind = data + ((size_in_child + page - 1) & ~(page - 1));
    bool strict = !collector_write_protects();

    (void)arg;
    if (gcmmap_size(region) != size_in_child || gcmmap_data(region) != data)
        return 1;
    if (!has_bytes(data, size_in_child, SEED, 0))
        return 2;
    if (strict && fault_of_access(behind, false) != SIGSEGV)
        return 3;
    if (strict && fault_of_access(data + LARGE - 1, false) != SIGSEGV)
        return 4;
    if (bytes_mapped_from(fd) != (size_t)(behind - data))
        return 5;
    if (gcmmap_extend(region, LARGE) != 0 || !has_bytes(data, LARGE, SEED, 0))
        return 6;
    return gcmmap_unmap_now(region) != 0 || bytes_mapped_from(fd) != 0 ? 7 : 0;
}

static void fork_meanwhile(void)
{
    int result = run_in_child(look_in_child, NULL);

    if (result != 0)
        note("child: %d", result);
    n_wrong += result != 0;
}

static void collect_meanwhile(void)
{
    (void)gcmmap_collect();
    GC_gcollect();
}

/* ---- the changes ------------------------------------------------------------------------- */

static void test(size_t from, size_t to, unsigned flags, void (*what)(void), bool first,
                 const char *name)
{
    gcmmap_options options = { .room = ROOM };
    gcmmap_stats before = stats_now(), after;
    int result;

    region = gcmmap_map_with(fd, 0, from, flags, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    if (flags & GCMMAP_WRITE)
        for (size_t i = 0; i < from; i++)
            data[i] = byte_at(SEED, i); /* now it is written to */
    n_wrong = 0;
    size_in_child = SMALL;
    hook_first = first;
    hook = what;
    result = from < to ? gcmmap_extend(region, to) : gcmmap_truncate(region, to);
    n_wrong += hook != NULL || result != 0;
    if (what == close_meanwhile || what == extend_meanwhile)
        pthread_join(thread, NULL);
    if (what == close_meanwhile)
        n_wrong += bytes_mapped_from(fd) != 0;
    else if (what == extend_meanwhile)
        n_wrong += gcmmap_size(region) != LARGE + 50000 || !has_bytes(data, LARGE + 50000, SEED, 0);
    else
        n_wrong += gcmmap_size(region) != to || !has_bytes(data, to, SEED, 0);
    n_wrong += gcmmap_unmap_now(region) != 0 || bytes_mapped_from(fd) != 0;
    after = stats_now();
    n_wrong += after.bytes_live != before.bytes_live || after.n_live != before.n_live;
    ok(n_wrong == 0, "%s, %s %s pages", name, from < to ? "growing" : "shrinking",
       first ? "before the" : "after the");
    region = NULL;
}

/* So few pages that the collector reads them without asking which were written to. */
static void test_few_pages(void)
{
    gcmmap_options options = { .room = ROOM };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    region = gcmmap_alloc_with(3 * page, 0, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    memset(data, 0, 3 * page);
    hook_first = false;
    hook = collect_meanwhile;
    ok(gcmmap_truncate(region, 10) == 0 && hook == NULL, "a collection, three pages becoming one");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

int main(void)
{
    const unsigned traced = GCMMAP_READ | GCMMAP_WRITE | GCMMAP_PRIVATE;

    GC_INIT();
    fd = make_file(SEED, ROOM);
    for (int i = 0; i < 2; i++) {
        bool first = i == 0;

        test(SMALL, LARGE, GCMMAP_READ, close_meanwhile, first, "closing waits");
        test(LARGE, SMALL, GCMMAP_READ, close_meanwhile, first, "closing waits");
        test(SMALL, LARGE, GCMMAP_READ, extend_meanwhile, first, "a second change waits");
        test(SMALL, LARGE, GCMMAP_READ, fork_meanwhile, first, "a child has the old size");
        test(LARGE, SMALL, GCMMAP_READ, fork_meanwhile, first, "a child has the new size");
        test(SMALL, LARGE, GCMMAP_READ | GCMMAP_BY_HANDLE, fork_meanwhile, first, "by handle");
        test(SMALL, LARGE, traced, collect_meanwhile, first, "a collection");
        test(LARGE, SMALL, traced, collect_meanwhile, first, "a collection");
        test(LARGE, SMALL, GCMMAP_READ | GCMMAP_TRACED, collect_meanwhile, first, "a collection");
    }
    test_few_pages();
    return done_testing();
}
