/*
 * GCMMAP_NO_FORK: in a forked child such a region is closed, and its addresses are guarded:
 * nothing that the child maps comes to lie there, also if a region is being closed, or is
 * dying, at the moment of the fork.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>

#define N_REGIONS 40u
#define SIZE ((size_t)200000)
#define SEED 3u

static int fd;
static gcmmap_region *handles[N_REGIONS];
static unsigned char *slices[N_REGIONS];

static gcmmap_region *map_one(unsigned i)
{
    switch (i % 5) {
    case 0:
        return gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ | GCMMAP_NO_FORK);
    case 1:
        return gcmmap_alloc(SIZE - i, GCMMAP_NO_FORK);
    case 2:
        return gcmmap_alloc(SIZE - i, GCMMAP_NO_FORK | GCMMAP_BY_HANDLE);
    case 3:
        return gcmmap_map(fd, 0, SIZE - i, GCMMAP_WRITE | GCMMAP_WRITE_BACK | GCMMAP_NO_FORK);
    default:
        return gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ);
    }
}

static void map_all(void *arg)
{
    for (unsigned i = 0; i < N_REGIONS; i++) {
        handles[i] = map_one(i);
        slices[i] = gcmmap_data(handles[i]);
        need(slices[i] != NULL, "region");
        if (i % 5 == 1 || i % 5 == 2)
            memset(slices[i], 1, SIZE - i);
    }
    (void)arg;
}

static bool is_kept(unsigned i)
{
    return i % 5 == 4;
}

static bool is_guarded(const unsigned char *slice, size_t n_bytes)
{
    char permissions[5];
    unsigned long inode;

    for (size_t at = 0; at < n_bytes; at += 4096)
        if (!map_line(slice + at, permissions, &inode) || strcmp(permissions, "---p") != 0)
            return false;
    return true;
}

/* Exit status: which step went wrong. */
static int look(void *arg)
{
    static unsigned char *own[200];

    (void)arg;
    (void)alarm(60);
    for (unsigned i = 0; i < N_REGIONS; i++) {
        errno = 0;
        if (is_kept(i) ? gcmmap_data(handles[i]) != slices[i]
                       : gcmmap_data(handles[i]) != NULL || errno != EBADF)
            return 1;
        if (!is_kept(i) && !is_guarded(slices[i], SIZE - i))
            return 2;
        if (gcmmap_of(slices[i]) != handles[i])
            return 3;
    }
    if (fault_of_access(slices[0], false) != SIGSEGV)
        return 4;
    if (stats_now().n_live != N_REGIONS / 5 || stats_now().n_closed != N_REGIONS * 4 / 5)
        return 5;
    for (unsigned i = 0; i < 200; i++) {
        own[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(own[i], (int)i + 1, SIZE);
    }
    for (unsigned i = 0; i < N_REGIONS; i++)
        if (!is_kept(i) && gcmmap_close(handles[i]) != 0)
            return 6;
    for (unsigned i = 0; i < N_REGIONS; i += 2)
        if (gcmmap_unmap_now(handles[i]) != 0)
            return 7;
    clear_roots(handles, sizeof handles);
    clear_roots(slices, sizeof slices);
    collect_thoroughly();
    for (unsigned i = 0; i < 300; i++)
        if (gcmmap_data(map_one(i % N_REGIONS)) == NULL)
            return 8;
    collect_thoroughly();
    for (unsigned i = 0; i < 200; i++)
        for (size_t at = 0; at < SIZE; at += 4096)
            if (own[i][at] != (unsigned char)(i + 1))
                return 9;
    return 0;
}

/* Another fork handler, before ours: maps what it can, wherever the kernel likes. */
static bool is_greedy;
static unsigned char *taken[400];

static void take(void)
{
    for (unsigned i = 0; is_greedy && i < 400; i++) {
        taken[i] = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(taken[i], 7, 16384);
    }
}

static int look_after_take(void *arg)
{
    unsigned n_lost = 0, n_inside = 0;

    (void)arg;
    (void)alarm(60);
    for (unsigned i = 0; i < N_REGIONS; i++) {
        if (is_kept(i))
            continue;
        errno = 0;
        if (gcmmap_data(handles[i]) != NULL || (errno != EBADF && errno != EINVAL))
            return 1;
        n_lost += errno == EINVAL;
        for (unsigned j = 0; j < 400; j++)
            n_inside += taken[j] >= slices[i] && taken[j] < slices[i] + SIZE;
        (void)gcmmap_close(handles[i]);
        (void)gcmmap_unmap_now(handles[i]);
    }
    if (n_inside > 0 && n_lost == 0)
        return 2;
    clear_roots(handles, sizeof handles);
    clear_roots(slices, sizeof slices);
    collect_thoroughly();
    for (unsigned i = 0; i < 200; i++) {
        unsigned char *data = gcmmap_data(map_one(i % 5));

        if (data == NULL)
            return 3;
        if (i % 5 == 1 || i % 5 == 2)
            memset(data, 9, SIZE / 2);
    }
    collect_thoroughly();
    (void)gcmmap_trim();
    for (unsigned i = 0; i < 400; i++)
        for (size_t at = 0; at < 16384; at++)
            if (taken[i][at] != 7)
                return 4;
    return n_inside > 0 ? 0 : 64;
}

static void child_succeeds(int (*life)(void *), const char *what)
{
    int status = run_in_child(life, NULL);

    if (!ok(status == 0 || status == 64, "%s%s", what,
            status == 64 ? " # SKIP nothing came there" : ""))
        note("status %d", status);
}

static void all_is_right(const char *when)
{
    unsigned n_wrong = 0;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        if (i % 5 == 1 || i % 5 == 2)
            n_wrong += slices[i][SIZE / 2] != 1;
        else
            n_wrong += !has_bytes(slices[i], SIZE - i, SEED, i % 5 == 3 ? 0 : i);
    }
    ok(n_wrong == 0, "the parent's regions are as they were %s", when);
}

static int use_and_collect(void *arg)
{
    (void)alarm(60);
    collect_thoroughly();
    for (unsigned i = 0; i < 50; i++)
        if (gcmmap_data(map_one(i % 5)) == NULL)
            return 1;
    collect_thoroughly();
    (void)arg;
    return 0;
}

static void *close_many(void *arg)
{
    for (unsigned i = 0; i < 300; i++) {
        gcmmap_region *region = map_one(i % 4);

        if (i % 3 == 0)
            (void)gcmmap_close(region);
        else if (i % 3 == 1)
            (void)gcmmap_unmap_now(region);
        region = NULL;
        if (i % 50 == 0)
            (void)gcmmap_collect();
    }
    return arg;
}

static void test_any_moment(void)
{
    int n_failed = 0;

    for (int i = 0; i < 15; i++) {
        pthread_t thread;

        need(pthread_create(&thread, NULL, close_many, NULL) == 0, "thread");
        n_failed += run_in_child(use_and_collect, NULL) != 0;
        pthread_join(thread, NULL);
    }
    ok(n_failed == 0, "forks while another thread maps, closes and releases: %d failed", n_failed);
}

int main(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
    need(pthread_atfork(NULL, NULL, take) == 0, "fork handler");
    fd = make_file(SEED, SIZE);
    apart(map_all, NULL);
    child_succeeds(look, "in a child they are closed and guarded");
    all_is_right("after that");
    is_greedy = true;
    if (collector_write_protects())
        ok(true, "mapped by a fork handler # SKIP the collector aborts when it protects its heap");
    else
        child_succeeds(look_after_take, "what a fork handler mapped there first is never touched");
    is_greedy = false;
    all_is_right("after that");
    test_any_moment();
    return done_testing();
}
