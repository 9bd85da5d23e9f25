/*
 * Handlers of signals at a kHz leave by siglongjmp(3), as those of interpreters do, and threads are
 * cancelled, while guards catch faults, shrunken files are filled with zeros and last words are
 * spoken: closing, releasing and dying go on for all others.  What waits for ever is ended by
 * SIGALRM, in a child.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "timers.h"

#include <pthread.h>
#include <stdatomic.h>

#define PATIENCE 60 /* seconds */
#define N_FAULTING 2
#define N_REGIONS 20000 /* that a handler looks at, one after the other */
#define N_CLOSED 300
#define SIZE ((size_t)20000)

static _Thread_local sigjmp_buf jump;
static _Thread_local volatile sig_atomic_t may_jump;
static atomic_uint n_jumps, n_caught;
static atomic_bool is_over;

static void leave_by_jump(int signal)
{
    (void)signal;
    if (!may_jump)
        return;
    atomic_fetch_add(&n_jumps, 1);
    siglongjmp(jump, 1);
}

static void *wait_for_alarm(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

/* Ends the process, even if a thread waits for ever with its signals blocked. */
static void set_alarm(void)
{
    pthread_t thread;

    need(GC_pthread_create(&thread, NULL, wait_for_alarm, NULL) == 0, "thread");
    (void)alarm(PATIENCE);
}

/* This thread gets SIGUSR1 a thousand times a second. */
static timer_t start_jumping(void)
{
    struct sigaction action = { .sa_handler = leave_by_jump };

    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    return start_timer(SIGUSR1);
}

static __attribute__((noinline)) void fault_once(volatile unsigned char *at)
{
    gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        (void)*at;
        gcmmap_guard_leave(&guard);
        need(false, "what is closed can be read");
    }
    atomic_fetch_add(&n_caught, 1);
}

static void *fault_again_and_again(void *closed)
{
    timer_t timer = start_jumping();

    (void)sigsetjmp(jump, 1);
    may_jump = 1;
    while (!atomic_load(&is_over))
        fault_once(closed);
    may_jump = 0;
    need(timer_delete(timer) == 0, "timer");
    return NULL;
}

static gcmmap_region *volatile closed_region; /* the handle keeps it */

/* Outside the heap, where an incremental collector makes nothing readable. */
static __attribute__((noinline)) unsigned char *closed_bytes(void)
{
    gcmmap_region *region = gcmmap_alloc(SIZE, GCMMAP_POINTER_FREE | GCMMAP_BY_HANDLE);
    unsigned char *bytes = gcmmap_data(region);

    need(region != NULL && gcmmap_close(region) == 0, "close");
    closed_region = region;
    return bytes;
}

static __attribute__((noinline)) void close_one(unsigned i)
{
    gcmmap_region *region = gcmmap_alloc(SIZE, 0);

    need(region != NULL, "region");
    need((i % 2 == 0 ? gcmmap_unmap_now(region) : gcmmap_close(region)) == 0, "close");
    if (i % 100 == 99)
        (void)gcmmap_collect();
}

/* Those who look for faults in the parent are not here. */
static int close_in_child(void *arg)
{
    (void)arg;
    set_alarm();
    close_one(0);
    return 0;
}

static int close_among_jumps(void *arg)
{
    static gcmmap_region *live[N_REGIONS];
    pthread_t threads[N_FAULTING];
    unsigned char *closed = closed_bytes();
    gcmmap_guard guard;

    (void)arg;
    set_alarm();
    for (int i = 0; i < N_REGIONS; i++)
        need((live[i] = gcmmap_alloc(1, 0)) != NULL, "region");
    if (GCMMAP_TRY(guard)) /* the handler is there before anybody can leave by a jump */
        gcmmap_guard_leave(&guard);
    for (int i = 0; i < N_FAULTING; i++)
        need(GC_pthread_create(&threads[i], NULL, fault_again_and_again, closed) == 0, "thread");
    for (unsigned i = 0; i < N_CLOSED || atomic_load(&n_jumps) < 100; i++)
        close_one(i);
    for (int i = 0; i < 10; i++)
        need(run_in_child(close_in_child, NULL) == 0, "child");
    atomic_store(&is_over, true);
    for (int i = 0; i < N_FAULTING; i++)
        need(GC_pthread_join(threads[i], NULL) == 0, "join");
    (void)gcmmap_collect();
    ok(stats_now().n_closed + stats_now().n_dying < N_CLOSED / 2, "closed regions are released");
    note("%u jumps, %u faults caught", atomic_load(&n_jumps), atomic_load(&n_caught));
    GC_reachable_here(live[0]);
    return 0;
}

/* ---- cancellation ------------------------------------------------------------------------- */

struct shrunken {
    gcmmap_region *region;
    unsigned char *bytes;
};

/* The handler makes system calls that are cancellation points. */
static void *store_when_cancelled(void *arg)
{
    const struct shrunken *shrunken = arg;
    int old;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    (void)pthread_cancel(pthread_self());
    (void)pthread_setcancelstate(old, NULL);
    shrunken->bytes[0] = 1;
    pthread_testcancel();
    return NULL;
}

static int close_after_cancelling(void *arg)
{
    int fd = make_file(1, SIZE);
    struct shrunken shrunken;
    pthread_t thread;
    void *result;

    (void)arg;
    set_alarm();
    shrunken.region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_WRITE | GCMMAP_ZERO_FILL);
    need(shrunken.region != NULL, "region");
    shrunken.bytes = gcmmap_data(shrunken.region);
    need(gcmmap_protect(shrunken.bytes, SIZE, GCMMAP_READ | GCMMAP_WRITE) == 0, "protect");
    need(ftruncate(fd, 0) == 0, "truncate");
    need(GC_pthread_create(&thread, NULL, store_when_cancelled, &shrunken) == 0, "thread");
    need(GC_pthread_join(thread, &result) == 0, "join");
    ok(result == PTHREAD_CANCELED && shrunken.bytes[0] == 1,
       "a thread that stores is cancelled when it has stored");
    shrunken.bytes[SIZE - 1] = 2;
    ok(gcmmap_zero_filled(shrunken.region) > 0, "zeros are still put where the file ends");
    ok(gcmmap_close(shrunken.region) == 0, "the region is closed");
    return 0;
}

/* ---- last words ---------------------------------------------------------------------------- */

static int die_among_jumps(void *arg)
{
    volatile unsigned char *closed = closed_bytes();

    need(dup2(*(int *)arg, STDERR_FILENO) >= 0, "dup2");
    need(gcmmap_report_faults(GCMMAP_REPORT_FAULTS | GCMMAP_REPORT_LINES) == 0, "report");
    set_alarm();
    (void)start_jumping();
    if (sigsetjmp(jump, 1) == 0) {
        may_jump = 1;
        for (;;) /* one that comes before the handler does is no loss */
            (void)*closed;
    }
    return 0;
}

static void test_last_words(void)
{
    char path[] = "/tmp/gcmmap-test-XXXXXX", text[8192] = "";
    int fd = mkstemp(path), n_complete = 0, n_begun = 0;

    need(fd >= 0 && unlink(path) == 0, "temporary file");
    for (int i = 0; i < 5; i++) {
        ssize_t n;

        need(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0, "file");
        (void)run_in_child(die_among_jumps, &fd);
        n = pread(fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        n_begun++;
        n_complete += strstr(text, "gcmmap: SIGSEGV") != NULL && strstr(text, "closed by") != NULL;
    }
    if (!ok(n_complete > 0, "last words are spoken to their end"))
        note("%d of %d: %s", n_complete, n_begun, text);
    close(fd);
}

int main(void)
{
    GC_INIT();
    if (collector_write_protects())
        skip_all("the collector makes pages accessible that must not be");
    GC_allow_register_threads();
    all_ok(close_among_jumps, NULL, "handlers that leave by jumps keep nobody from closing");
    all_ok(close_after_cancelling, NULL, "nor do threads that are cancelled");
    test_last_words();
    return done_testing();
}
