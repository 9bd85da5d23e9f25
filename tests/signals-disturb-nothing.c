/*
 * Signals at a kHz, with handlers that restart calls and with ones that do not, and sixteen
 * threads that map, slice, read, grow, close and forget: no call fails with EINTR, no byte is
 * wrong, all is released in the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

#define N_THREADS 16
#define N_ROUNDS 60
#define SIZE ((size_t)50000)

static int fd;
static atomic_uint n_signals;
static atomic_int n_wrong, first_error;

static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&n_signals, 1);
}

static void set_handler(int signal, int flags)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

    need(sigaction(signal, &action, NULL) == 0, "sigaction");
}

static void expect(bool condition)
{
    int none = 0;

    if (condition)
        return;
    atomic_fetch_add(&n_wrong, 1);
    atomic_compare_exchange_strong(&first_error, &none, errno);
}

static __attribute__((noinline)) void one_round(unsigned round)
{
    gcmmap_options options = { .room = 4 * SIZE };
    gcmmap_region *file = gcmmap_map(fd, round, SIZE - round, GCMMAP_READ | GCMMAP_WRITE);
    gcmmap_region *memory = gcmmap_alloc_with(SIZE, 0, &options);
    void **words = gcmmap_data(memory);
    unsigned char *bytes = gcmmap_data(file), copy[100];

    expect(file != NULL && memory != NULL);
    if (file == NULL || memory == NULL)
        return;
    expect(has_bytes(bytes, 1000, 1, round));
    words[0] = bytes;
    expect(gcmmap_extend(memory, 2 * SIZE) == 0);
    expect(gcmmap_copy_out(copy, bytes + 500, sizeof copy) == (ssize_t)sizeof copy);
    expect(gcmmap_sync(bytes, 1000, GCMMAP_SYNC) == 0);
    if (round % 4 == 0)
        (void)gcmmap_collect();
    expect(words[0] == bytes && gcmmap_of(bytes) == file);
    if (round % 3 == 0)
        expect(gcmmap_close(file) == 0);
    if (round % 3 == 1)
        expect(gcmmap_truncate(memory, 100) == 0);
}

static void *work(void *arg)
{
    for (unsigned i = 0; i < N_ROUNDS; i++)
        one_round(i);
    return arg;
}

static void run(const char *how, int flags)
{
    struct itimerval period = { { 0, 1000 }, { 0, 1000 } }, none = { 0 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
    struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } };
    unsigned n_before = atomic_load(&n_signals);
    pthread_t threads[N_THREADS];
    sigset_t both, old;
    timer_t timer;

    sigemptyset(&both);
    sigaddset(&both, SIGALRM);
    sigaddset(&both, SIGUSR2);
    atomic_store(&n_wrong, 0);
    set_handler(SIGALRM, flags);
    set_handler(SIGUSR2, flags);
    need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
             timer_settime(timer, 0, &fast, NULL) == 0 &&
             setitimer(ITIMER_REAL, &period, NULL) == 0,
         "timers");
    for (unsigned i = 0; i < N_THREADS; i++)
        need(GC_pthread_create(&threads[i], NULL, work, NULL) == 0, "thread");
    /* The kernel prefers the first thread, which has nothing to be disturbed in. */
    need(pthread_sigmask(SIG_BLOCK, &both, &old) == 0, "mask");
    for (unsigned i = 0; i < N_THREADS; i++)
        need(GC_pthread_join(threads[i], NULL) == 0, "join");
    need(setitimer(ITIMER_REAL, &none, NULL) == 0 && timer_delete(timer) == 0, "timers");
    need(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0, "mask");
    if (!ok(atomic_load(&n_wrong) == 0, "%s: nothing failed", how))
        note("%d things, the first with %s", atomic_load(&n_wrong),
             strerror(atomic_load(&first_error)));
    ok(atomic_load(&n_signals) - n_before >= 10, "%s: there were signals", how);
    note("%u signals", atomic_load(&n_signals) - n_before);
}

int main(void)
{
    size_t left;

    GC_INIT();
    GC_allow_register_threads();
    fd = make_file(1, SIZE);
    run("restarting", SA_RESTART);
    run("not restarting", 0);
    for (int i = 0; i < 3; i++)
        collect_thoroughly();
    left = bytes_mapped_from(fd);
    ok(left <= 8 * SIZE, "%zu bytes of the file are left", left);
    ok(stats_now().n_live <= 16, "%zu of %d regions are left", stats_now().n_live,
       4 * N_THREADS * N_ROUNDS);
    return done_testing();
}
