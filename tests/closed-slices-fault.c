/*
 * After gcmmap_close() the file is gone, and every slice that is left faults at its own
 * address until the last is forgotten.  After gcmmap_unmap_now() the addresses are free
 * at once, and no collection is needed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#include <pthread.h>
#include <stdatomic.h>

#define MIB ((size_t)1 << 20)
#define SIZE ((size_t)10000)
#define LARGE_SIZE ((HAS_MANY_ADDRESSES ? 40 : 20) * MIB)

static int fd, large_fd;
static size_t page;

static bool faults_at(unsigned char *address, bool write)
{
    return fault_of_access(address, write) == SIGSEGV && fault_address == address;
}

/* ---- one region --------------------------------------------------------------- */

static int read_byte(void *address)
{
    return *(volatile unsigned char *)address & 0;
}

static int write_byte(void *address)
{
    *(volatile unsigned char *)address = 1;
    return 0;
}

static bool all_is_gone(gcmmap_region *region, unsigned char *data)
{
    gcmmap_slice slice;
    bool right;

    errno = 0;
    right = gcmmap_data(region) == NULL && errno == EBADF;
    errno = 0;
    right &= gcmmap_size(region) == 0 && errno == EBADF;
    errno = 0;
    slice = gcmmap_bytes(region);
    right &= slice.data == NULL && slice.size == 0 && errno == EBADF;
    return right && gcmmap_of(data) == region && gcmmap_of(region) == region;
}

/* fd -1: anonymous. */
static void test_close(int file, size_t offset, size_t size, unsigned flags, const char *what)
{
    gcmmap_region *region =
        file < 0 ? gcmmap_alloc(size, flags) : gcmmap_map(file, (off_t)offset, size, flags);
    unsigned char *data = gcmmap_data(region);
    size_t step = size > 64 * page ? size / 50 : 500;
    gcmmap_stats before, after;
    bool faults = true, was_there = file < 0 || bytes_mapped_from(file) >= size;
    char permissions[5] = "";
    unsigned long inode = 1;

    need(data != NULL, "region");
    if (flags & GCMMAP_WRITE)
        memset(data, 0x55, size);
    before = stats_now();
    ok(gcmmap_close(region) == 0, "close %s", what);
    after = stats_now();
    ok(was_there && (file < 0 || bytes_mapped_from(file) == 0), "the file is gone at once");
    ok(map_line(data, permissions, &inode) && strcmp(permissions, "---p") == 0 && inode == 0,
       "the addresses are still there, inaccessible (%s)", permissions);
    for (size_t at = 0; at < size; at += step)
        faults &= faults_at(data + at, false) && faults_at(data + at, true);
    ok(faults && faults_at(data + size - 1, false), "each slice faults, at its address");
    ok_but_for_protection(run_in_child(read_byte, data + size / 2) == -SIGSEGV &&
                              run_in_child(write_byte, data) == -SIGSEGV,
                          "which ends a process that does not expect it");
    ok(all_is_gone(region, data), "no data, no size, the same handle");
    ok(after.n_closed == before.n_closed + 1 && after.n_live == before.n_live - 1 &&
           after.bytes_live < before.bytes_live,
       "it is counted as closed");
    ok(gcmmap_close(region) == 0 && gcmmap_close(region) == 0 && all_is_gone(region, data) &&
           stats_now().n_closed == after.n_closed,
       "closing again does nothing");
    ok(gcmmap_unmap_now(region) == 0 && stats_now().n_closed == before.n_closed &&
           gcmmap_of(data) == NULL,
       "gcmmap_unmap_now() ends it");
}

/* ---- stale slices ---------------------------------------------------------------- */

#define N_STALE 60
#define N_OTHERS 3000

static unsigned char *stale[N_STALE];         /* in sight of the collector ... */
static void *volatile stale_keepers[N_STALE]; /* ... and what counts there */
static uintptr_t hidden_handles[N_STALE];     /* not in its sight */

static gcmmap_region *map_some(int i, size_t *size)
{
    switch (i % 4) {
    case 0:
        *size = 100;
        return gcmmap_map(fd, 77, *size, GCMMAP_READ);
    case 1:
        *size = SIZE;
        return gcmmap_map(fd, 0, *size, GCMMAP_WRITE);
    case 2:
        *size = SIZE;
        return gcmmap_alloc(*size, 0);
    default:
        *size = i % 8 == 3 ? LARGE_SIZE : 3 * page;
        return gcmmap_map(large_fd, 5, *size, GCMMAP_READ | GCMMAP_PRIVATE);
    }
}

static void close_and_keep_slices(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_STALE; i++) {
        size_t size = 0;
        gcmmap_region *region = map_some(i, &size);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        /* First byte, last one, some other: a slice is as good as the handle. */
        stale[i] = data + (i % 3 == 0 ? 0 : i % 3 == 1 ? size - 1 : size / 2);
        stale_keepers[i] = keeper_of(stale[i]);
        hidden_handles[i] = ~(uintptr_t)region;
        need(gcmmap_close(region) == 0, "close");
    }
}

static bool stale_slices_fault(void)
{
    for (int i = 0; i < N_STALE; i++)
        if (!faults_at(stale[i], false) || !faults_at(stale[i], true) ||
            ~(uintptr_t)gcmmap_of(stale[i]) != hidden_handles[i])
            return false;
    return true;
}

/* Maps many others of the same sizes; whether any of them took addresses of ours. */
static void map_others(void *arg)
{
    bool *overlap = arg;

    for (int i = 0; i < N_OTHERS; i++) {
        size_t size = 0;
        gcmmap_region *region = map_some(i % 8 == 3 && i % 64 != 3 ? 0 : i, &size);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        for (int j = 0; j < N_STALE; j++)
            *overlap |= stale[j] >= (unsigned char *)region && stale[j] <= data + size;
        if (i % 3 == 0)
            need(gcmmap_close(region) == 0, "close");
        else if (i % 3 == 1)
            need(gcmmap_unmap_now(region) == 0, "unmap");
        if (i % 500 == 499)
            (void)gcmmap_collect();
    }
}

static void test_stale_slices(void)
{
    bool overlap = false;
    gcmmap_stats before, after;
    size_t n_owned = 0;

    apart(close_and_keep_slices, NULL);
    ok(stale_slices_fault(), "slices of %d closed regions fault, their handles forgotten", N_STALE);
    apart(map_others, &overlap);
    collect_thoroughly();
    ok(!overlap, "none of %d later regions lies on one of them", N_OTHERS);
    ok_but_for_protection(stale_slices_fault(),
                          "after all that and many collections they fault as before");
    before = stats_now();
    ok(before.n_closed >= N_STALE && before.n_closed <= N_STALE + 2,
       "closed regions without slices are gone (%zu are left)", before.n_closed);

    for (int i = 0; i < N_STALE; i++)
        hidden_handles[i] = ~(uintptr_t)stale[i];
    clear_roots(stale, sizeof stale);
    memset((void *)stale_keepers, 0, sizeof stale_keepers);
    forget_fault();
    collect_thoroughly();
    after = stats_now();
    for (int i = 0; i < N_STALE; i++)
        n_owned += gcmmap_of((void *)~hidden_handles[i]) != NULL;
    ok(after.n_closed <= 2 && n_owned <= 2, "so are these once their slices are (%zu are left)",
       after.n_closed);
    ok(after.n_released >= before.n_released + N_STALE - 2, "they were released");
}

/* ---- gcmmap_unmap_now() ---------------------------------------------------------- */

#define N_CYCLES 5000

static bool is_no_handle(gcmmap_region *region)
{
    errno = 0;
    if (gcmmap_data(region) != NULL || errno != EINVAL)
        return false;
    errno = 0;
    if (gcmmap_close(region) != -1 || errno != EINVAL)
        return false;
    errno = 0;
    return gcmmap_unmap_now(region) == -1 && errno == EINVAL && gcmmap_of(region) == NULL;
}

static void test_unmap_now(void)
{
    gcmmap_region *region = gcmmap_map(fd, 3, SIZE - 3, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);
    size_t n_lines, n_reserved;
    gcmmap_stats before, after;
    GC_word n_collections;
    bool right = true;

    need(data != NULL && bytes_mapped_from(fd) >= SIZE, "region");
    before = stats_now();
    ok(gcmmap_unmap_now(region) == 0 && bytes_mapped_from(fd) == 0,
       "gcmmap_unmap_now(): the file is gone at once");
    after = stats_now();
    ok(after.n_live == before.n_live - 1 && after.n_closed == before.n_closed &&
           after.n_unmapped_now == before.n_unmapped_now + 1 &&
           after.n_released == before.n_released,
       "it is counted as that");
    ok(is_no_handle(region), "its handle is none any more");
    ok(faults_at(data, false), "its slices fault, as long as nothing else is there");

    (void)gcmmap_collect();
    before = stats_now();
    n_collections = GC_get_gc_no();
    n_lines = count_map_lines();
    n_reserved = before.bytes_reserved;
    for (int i = 0; i < N_CYCLES; i++) {
        region = i % 2 ? gcmmap_alloc(SIZE, 0) : gcmmap_map(fd, i, 5000, GCMMAP_READ);
        right &= region != NULL && gcmmap_unmap_now(region) == 0;
    }
    after = stats_now();
    ok(right && after.n_unmapped_now == before.n_unmapped_now + N_CYCLES, "%d times", N_CYCLES);
    ok(after.n_collections == before.n_collections, "without a collection of ours (%zu)",
       after.n_collections - before.n_collections);
    ok(GC_get_gc_no() == n_collections, "or any other (%lu)",
       (unsigned long)(GC_get_gc_no() - n_collections));
    ok(count_map_lines() <= n_lines + 4 && after.bytes_reserved <= n_reserved + 4 * MIB,
       "the address space stays as it is (%zu map lines, then %zu)", n_lines, count_map_lines());
    ok(bytes_mapped_from(fd) == 0, "the file is not mapped");
}

/* ---- several threads ---------------------------------------------------------------- */

#define N_ROUNDS 600

static gcmmap_region *target;
static pthread_barrier_t start_line, finish_line;
static bool end_of_rounds;
static bool use_unmap_now; /* in the second thread */

struct closer {
    bool second;
    int result, error;
};

static void *close_target(void *arg)
{
    struct closer *closer = arg;

    for (;;) {
        pthread_barrier_wait(&start_line);
        if (end_of_rounds)
            return NULL;
        errno = 0;
        closer->result =
            closer->second && use_unmap_now ? gcmmap_unmap_now(target) : gcmmap_close(target);
        closer->error = errno;
        pthread_barrier_wait(&finish_line);
    }
}

static void test_two_threads(void)
{
    pthread_t threads[2];
    struct closer closers[2] = { { .second = false }, { .second = true } };
    int n_wrong = 0, n_wrong_mixed = 0;
    int n_both = 0, n_busy = 0, n_too_late = 0;

    pthread_barrier_init(&start_line, NULL, 3);
    pthread_barrier_init(&finish_line, NULL, 3);
    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, close_target, &closers[i]) == 0, "thread");
    for (int i = 0; i < N_ROUNDS; i++) {
        gcmmap_stats before = stats_now();
        unsigned char *data;
        bool right;

        /* The kernel is busy for long with much memory: the two meet in the middle. */
        if (i % 16 < 2)
            target = gcmmap_alloc(LARGE_SIZE, GCMMAP_POINTER_FREE);
        else
            target = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
        data = gcmmap_data(target);
        need(data != NULL, "region");
        if (i % 16 < 2)
            memset(data, i, LARGE_SIZE);
        use_unmap_now = i % 2 == 1;
        pthread_barrier_wait(&start_line);
        pthread_barrier_wait(&finish_line);
        if (!use_unmap_now) {
            right = closers[0].result == 0 && closers[1].result == 0 && faults_at(data, false) &&
                    all_is_gone(target, data);
            n_wrong += !right;
            need(gcmmap_unmap_now(target) == 0, "unmap");
        } else if (closers[1].result == 0) { /* before or after the other */
            right =
                closers[0].result == 0 || (closers[0].result == -1 && closers[0].error == EINVAL);
            n_both += closers[0].result == 0;
            n_too_late += closers[0].result != 0;
            n_wrong_mixed += !right || gcmmap_of(data) != NULL || !faults_at(data, false);
        } else { /* in the middle of it */
            right = closers[1].error == EBUSY && closers[0].result == 0 && faults_at(data, false) &&
                    all_is_gone(target, data);
            n_busy++;
            n_wrong_mixed += !right;
            need(gcmmap_unmap_now(target) == 0, "unmap");
        }
        if (i % 100 == 0)
            n_wrong += bytes_mapped_from(fd) != 0;
        n_wrong += stats_now().n_live + stats_now().n_closed > before.n_live + before.n_closed;
    }
    end_of_rounds = true;
    pthread_barrier_wait(&start_line);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ok(n_wrong == 0, "two threads close one region, %d times: both succeed", N_ROUNDS / 2);
    ok(n_wrong_mixed == 0,
       "close and unmap_now, %d times: both succeed (%d), EINVAL (%d) or EBUSY (%d)", N_ROUNDS / 2,
       n_both, n_too_late, n_busy);
    target = NULL;
}

static atomic_bool enough;
static atomic_uint n_collected;

static void *collect_all_the_time(void *arg)
{
    while (!atomic_load(&enough)) {
        (void)gcmmap_collect();
        atomic_fetch_add(&n_collected, 1);
    }
    return arg;
}

static void close_many(void *arg)
{
    int *n_wrong = arg;

    /* At least so many rounds, and at least so many collections meanwhile. */
    for (int i = 0; i < 500 || atomic_load(&n_collected) < 20; i++) {
        gcmmap_region *region =
            i % 2 ? gcmmap_alloc(SIZE, 0) : gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        *n_wrong += i % 2 ? data[SIZE - 1] != 0 : !has_bytes(data, 16, 1, 0);
        *n_wrong += gcmmap_close(region) != 0 || !all_is_gone(region, data);
        *n_wrong += !faults_at(data, false);
    }
}

static void test_during_collections(void)
{
    pthread_t thread;
    gcmmap_stats before = stats_now(), after;
    int n_wrong = 0;

    need(pthread_create(&thread, NULL, collect_all_the_time, NULL) == 0, "thread");
    apart(close_many, &n_wrong);
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    ok(n_wrong == 0, "closing while another thread collects (%u times)", atomic_load(&n_collected));
    collect_thoroughly();
    after = stats_now();
    ok(bytes_mapped_from(fd) == 0 && after.n_closed <= before.n_closed + 2 &&
           after.n_live <= before.n_live,
       "nothing is left of them (%zu closed, %zu before)", after.n_closed, before.n_closed);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, SIZE);
    large_fd = make_file(2, LARGE_SIZE + page);
    test_close(fd, 0, SIZE, GCMMAP_READ, "a readable region");
    test_close(fd, 5001, 100, GCMMAP_READ, "a region inside of a page");
    test_close(fd, 1, SIZE - 1, GCMMAP_WRITE | GCMMAP_PRIVATE, "a private one");
    test_close(large_fd, 5, LARGE_SIZE, GCMMAP_READ, "a large one");
    test_close(-1, 0, SIZE, GCMMAP_WRITE, "anonymous memory");
    test_close(-1, 0, LARGE_SIZE, GCMMAP_WRITE, "much anonymous memory");
    test_unmap_now();
    test_stale_slices();
    test_two_threads();
    if (!collector_write_protects()) /* it makes pages accessible meanwhile */
        test_during_collections();
    return done_testing();
}
