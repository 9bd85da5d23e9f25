/*
 * Threads that grow, shrink, follow, close, collect and fork at once: every region ends in
 * one of the sizes that were asked for, and nothing is left behind a closed one.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "live.h"

#define SEED 17
#define ROOM (2 * MiB)
#define N_THREADS 3
#define N_ROUNDS 120

static int fd;
static gcmmap_region *region;
static pthread_barrier_t start_line, finish_line;
static atomic_bool enough;
static atomic_size_t n_wrong;
static bool is_closed_by_first;

/* Traced memory may become readable, as zeros, in that mode. */
static bool faults(void *address)
{
    return collector_write_protects() || fault_of_access(address, false) == SIGSEGV;
}

static void expect(bool right)
{
    atomic_fetch_add(&n_wrong, !right);
}

static void change(uint64_t *state, bool may_be_gone)
{
    size_t size = next_random(state) % ROOM;
    uint64_t what = next_random(state) % 8;
    int result;

    errno = 0;
    result = what < 5    ? gcmmap_extend(region, size)
             : what == 5 ? gcmmap_refresh(region)
                         : gcmmap_truncate(region, size);
    /* ERANGE: it has become smaller meanwhile. */
    expect(result == 0 || (what > 5 && errno == ERANGE) || (may_be_gone && errno == EBADF));
}

static void *work(void *arg)
{
    size_t me = *(size_t *)arg;
    uint64_t state = 99 + me;

    for (;;) {
        pthread_barrier_wait(&start_line);
        if (atomic_load(&enough))
            return NULL;
        for (int i = 0; i < 20; i++) {
            if (me == 0 && i == 10 && is_closed_by_first)
                expect(gcmmap_close(region) == 0);
            change(&state, is_closed_by_first);
        }
        pthread_barrier_wait(&finish_line);
    }
}

/* The others wait for the same lock, and on a busy machine hardly get it in between. */
static void *collect(void *arg)
{
    while (!atomic_load(&enough)) {
        (void)gcmmap_collect();
        sched_yield();
    }
    return arg;
}

static gcmmap_region *map(int kind)
{
    gcmmap_options options = { .room = ROOM };

    return kind == 0   ? gcmmap_map_with(fd, 0, 10, GCMMAP_READ, &options)
           : kind == 1 ? gcmmap_map_with(fd, 0, 10, GCMMAP_READ | GCMMAP_BY_HANDLE, &options)
           : kind == 2 ? gcmmap_map_with(fd, 0, 10, GCMMAP_WRITE | GCMMAP_PRIVATE, &options)
                       : gcmmap_map_with(fd, 0, 10, GCMMAP_READ | GCMMAP_TRACED, &options);
}

/* In the child no thread is at work any more. */
static int use_in_child(void *arg)
{
    unsigned char *data = gcmmap_data(region);
    size_t size = gcmmap_size(region), page = (size_t)sysconf(_SC_PAGESIZE);

    (void)arg;
    if (data != NULL) {
        unsigned char *behind = data + ((size + page - 1) & ~(page - 1));

        if (!has_bytes(data, size < 100 ? size : 100, SEED, 0) ||
            (size > 0 && !has_bytes(data + size - 1, 1, SEED, size - 1)))
            return 1;
        if (behind < data + ROOM && !faults(behind))
            return 2;
        if (gcmmap_extend(region, ROOM) != 0 || !has_bytes(data + ROOM - 50, 50, SEED, ROOM - 50))
            return 3;
    }
    if (gcmmap_close(region) != 0 || bytes_mapped_from(fd) != 0)
        return 4;
    return gcmmap_unmap_now(region) != 0 ? 5 : 0;
}

static void round_of(int round, size_t *n_children)
{
    unsigned char *data;
    size_t size;

    region = map(round % 4);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    is_closed_by_first = round % 3 == 0;
    pthread_barrier_wait(&start_line);
    if (round % 5 == 0) {
        int result = run_in_child(use_in_child, NULL);

        if (result != 0)
            note("child: %d", result);
        expect(result == 0);
        ++*n_children;
    }
    pthread_barrier_wait(&finish_line);
    if (is_closed_by_first) {
        expect(gcmmap_data(region) == NULL && bytes_mapped_from(fd) == 0);
        expect(faults(data));
    } else {
        size = gcmmap_size(region);
        expect(has_bytes(data, size < 100 ? size : 100, SEED, 0));
        expect(size == 0 || has_bytes(data + size - 1, 1, SEED, size - 1));
        expect(bytes_mapped_from(fd) == ((size + 4095) & ~(size_t)4095));
        expect(size == ROOM || gcmmap_of(data + size + 1) == NULL);
    }
    expect(gcmmap_unmap_now(region) == 0);
    region = NULL;
}

int main(void)
{
    pthread_t threads[N_THREADS], collector;
    size_t names[N_THREADS], n_children = 0;
    gcmmap_stats before, after;

    GC_INIT();
    fd = make_file(SEED, ROOM);
    before = stats_now();
    pthread_barrier_init(&start_line, NULL, N_THREADS + 1);
    pthread_barrier_init(&finish_line, NULL, N_THREADS + 1);
    for (size_t i = 0; i < N_THREADS; i++) {
        names[i] = i;
        need(pthread_create(&threads[i], NULL, work, &names[i]) == 0, "thread");
    }
    need(pthread_create(&collector, NULL, collect, NULL) == 0, "thread");
    for (int round = 0; round < N_ROUNDS; round++)
        round_of(round, &n_children);
    atomic_store(&enough, true);
    pthread_barrier_wait(&start_line);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(collector, NULL);
    ok(n_wrong == 0, "%d regions, %zu children forked meanwhile, %zu things wrong", N_ROUNDS,
       n_children, atomic_load(&n_wrong));
    after = stats_now();
    ok(after.bytes_live == before.bytes_live && after.n_live == before.n_live &&
           after.bytes_traced == before.bytes_traced && after.n_closed == 0,
       "the counters are where they were");
    ok(bytes_mapped_from(fd) == 0, "and nothing is mapped");
    return done_testing();
}
