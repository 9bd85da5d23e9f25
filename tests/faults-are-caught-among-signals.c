/*
 * Sixteen threads that get signals at a kHz, with handlers that restart calls, that do not, and that leave by
 * a jump, and that collections stop all the time: each access to what is closed, truncated,
 * protected or beyond the end is caught, once, with its own description, by its own guard; what is
 * another's reaches the other's handler; no signal is lost, and mask and errno are what they were.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "timers.h"

#include <pthread.h>
#include <stdatomic.h>

#define N_THREADS 16u
#define N_ROUNDS 120u
#define N_PAGES 4u
#define N_QUEUED 200u /* signals that are queued for each thread */
#define PATIENCE 120  /* seconds */

/* What each thread has of its own. */
struct thread {
    pthread_t id;
    unsigned number;
    gcmmap_region *closed, *cut, *named, *readable, *filled;
    unsigned char *closed_bytes, *cut_bytes, *named_bytes, *readable_bytes, *filled_bytes;
    unsigned char *foreign; /* no region's */
    char path[32];
    int fd;
    sigset_t mask;
    sigjmp_buf jump;
    volatile sig_atomic_t may_jump;
    volatile unsigned n_jumps, n_restarting, n_plain, n_passed_on;
    atomic_uint n_queued;
    unsigned n_tried, n_caught, n_wrong, n_rounds;
};

static struct thread threads[N_THREADS];
static atomic_uint n_over;
static size_t page;
static _Thread_local struct thread *me;
static _Thread_local volatile unsigned char sink;

static void expect(bool condition, const char *what)
{
    if (!condition && me->n_wrong++ == 0)
        note("thread %u: %s", me->number, what);
}

/* ---- signals ------------------------------------------------------------------------- */

/* What handlers do: something, and nothing to errno. */
static void do_something(void)
{
    gcmmap_fault fault = { .kind = GCMMAP_FAULT_CLOSED, .name = "x" };
    int saved = errno;
    char text[100];

    (void)gcmmap_fault_text(&fault, text, sizeof text);
    errno = ENOSYS;
    errno = saved;
}

static void on_restarting(int signal)
{
    (void)signal;
    do_something();
    me->n_restarting++;
}

static void on_plain(int signal)
{
    (void)signal;
    do_something();
    me->n_plain++;
    if (!me->may_jump)
        return;
    me->n_jumps++;
    siglongjmp(me->jump, 1);
}

/* All others wait: it is not left by theirs. */
static void on_queued(int signal)
{
    (void)signal;
    atomic_fetch_add(&me->n_queued, 1);
}

/* Of the program, and there before the first guard.  Its mask is asked for by set_handlers(). */
static void on_foreign_fault(int signal, siginfo_t *info, void *context)
{
    sigset_t now;

    (void)context;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    expect(signal == SIGSEGV && info->si_addr == me->foreign + 7, "a fault of another's: address");
    expect(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGSEGV) == 1 &&
               sigismember(&now, SIGUSR1) == 0,
           "a fault of another's: mask");
    me->n_passed_on++;
    (void)mprotect(me->foreign, page, PROT_READ);
}

static void set_handlers(void)
{
    struct sigaction restarting = { .sa_handler = on_restarting, .sa_flags = SA_RESTART };
    struct sigaction plain = { .sa_handler = on_plain };
    struct sigaction queued = { .sa_handler = on_queued, .sa_flags = SA_RESTART };
    struct sigaction foreign = { .sa_sigaction = on_foreign_fault, .sa_flags = SA_SIGINFO };

    sigfillset(&queued.sa_mask);
    sigaddset(&foreign.sa_mask, SIGUSR2);
    need(sigaction(SIGUSR1, &restarting, NULL) == 0 && sigaction(SIGUSR2, &plain, NULL) == 0 &&
             sigaction(SIGRTMIN, &queued, NULL) == 0 && sigaction(SIGSEGV, &foreign, NULL) == 0,
         "sigaction");
}

/* Its own: one signal that no other thread blocks. */
static bool mask_is_mine(void)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (int i = 1; i <= SIGRTMAX; i++)
        if (sigismember(&now, i) != sigismember(&me->mask, i))
            return false;
    return true;
}

/* ---- accesses ------------------------------------------------------------------------- */

struct access {
    gcmmap_region *region;
    unsigned char *bytes;
    size_t at, size;
    bool is_write;
    int kind, signal;
    int64_t file_size;
    const char *name;
};

static __attribute__((noinline)) void do_access(volatile unsigned char *at, bool is_write)
{
    if (is_write)
        *at = 1;
    else
        sink = *at;
}

static void check_fault(const struct access *access, const gcmmap_fault *fault)
{
    me->n_caught++;
    expect(errno == ERFKILL, "errno");
    expect(mask_is_mine(), "mask");
    expect(fault->kind == access->kind && fault->signal == access->signal, "kind, signal");
    expect(fault->region == access->region && fault->size == access->size, "region");
    expect(fault->address == access->bytes + access->at && fault->offset == (ptrdiff_t)access->at &&
               fault->file_size == access->file_size,
           "address, offset, size of the file");
    expect(fault->is_write == access->is_write || fault->is_write == -1, "store or load");
    expect(strcmp(fault->name, access->name) == 0, "name");
}

static __attribute__((noinline)) void fault_once(const struct access *access)
{
    gcmmap_guard guard;

    me->n_tried++;
    errno = ERFKILL;
    if (GCMMAP_TRY(guard)) {
        do_access(access->bytes + access->at, access->is_write);
        gcmmap_guard_leave(&guard);
        expect(false, "an access succeeds");
    } else {
        check_fault(access, &guard.fault);
    }
}

static struct access access_to_closed(size_t at)
{
    return (struct access){ me->closed,          me->closed_bytes, at, N_PAGES * page, at % 2 == 0,
                            GCMMAP_FAULT_CLOSED, SIGSEGV,          -1, "closed" };
}

static struct access access_to_cut(size_t at)
{
    return (struct access){ me->cut,        me->cut_bytes, page + at,
                            N_PAGES * page, at % 2 == 0,   GCMMAP_FAULT_TRUNCATED,
                            SIGBUS,         100,           "cut" };
}

static struct access access_to_named(size_t at)
{
    return (struct access){ me->named, me->named_bytes,        page + at, N_PAGES * page,
                            false,     GCMMAP_FAULT_TRUNCATED, SIGBUS,    10,
                            me->path };
}

static struct access store_to_readable(size_t at)
{
    return (struct access){ me->readable, me->readable_bytes,     at,      2 * page,
                            true,         GCMMAP_FAULT_PROTECTED, SIGSEGV, -1,
                            "readable" };
}

static struct access access_beyond_readable(size_t at)
{
    return (struct access){ me->readable, me->readable_bytes,   2 * page + at, 2 * page,
                            false,        GCMMAP_FAULT_OUTSIDE, SIGSEGV,       -1,
                            "readable" };
}

/* ---- what a thread does ------------------------------------------------------------------ */

/* One fault in the inner guard, then one that is for the outer. */
static __attribute__((noinline)) void nest(const struct access *inner, const struct access *outer)
{
    gcmmap_guard guard;

    me->n_tried++;
    errno = ERFKILL;
    if (GCMMAP_TRY(guard)) {
        fault_once(inner);
        errno = ERFKILL;
        do_access(outer->bytes + outer->at, outer->is_write);
        gcmmap_guard_leave(&guard);
        expect(false, "an access succeeds");
    } else {
        check_fault(outer, &guard.fault);
    }
}

static void access_it(void *arg)
{
    const struct access *access = arg;

    do_access(access->bytes + access->at, access->is_write);
}

static void call_back(struct access *access)
{
    gcmmap_fault fault;

    me->n_tried++;
    expect(gcmmap_try(access_it, access, &fault) == -1 && errno == EFAULT, "gcmmap_try");
    errno = ERFKILL;
    check_fault(access, &fault);
}

/*
 * Closed bytes only: to catch those takes no lock, so it may be left by a jump.  What is left that way was
 * neither caught nor wrong.
 */
static __attribute__((noinline)) void fault_among_jumps(void)
{
    struct access access = access_to_closed(13), last = store_to_readable(9);
    unsigned n_tried = me->n_tried, n_caught = me->n_caught;
    gcmmap_guard around, guard;

    me->n_tried++;
    if (GCMMAP_TRY(around)) {
        if (GCMMAP_TRY(guard)) {
            if (sigsetjmp(me->jump, 1) == 0) {
                me->may_jump = 1;
                for (int i = 0; i < 30; i++)
                    fault_once(&access);
            }
            me->may_jump = 0;
            gcmmap_guard_leave(&guard); /* and the one that the jump was out of */
        }
        me->n_tried = n_tried + 1;
        me->n_caught = n_caught;
        errno = ERFKILL;
        do_access(last.bytes + last.at, last.is_write);
        gcmmap_guard_leave(&around);
        expect(false, "an access succeeds");
    } else {
        check_fault(&last, &around.fault);
    }
}

static void touch_filled(unsigned round)
{
    size_t n = 1 + round % (N_PAGES - 1);

    errno = ERFKILL;
    expect(me->filled_bytes[n * page + round] == 0, "zeros");
    expect(errno == ERFKILL && mask_is_mine(), "zeros: errno, mask");
    expect(gcmmap_zero_filled(me->filled) == (round < N_PAGES - 1 ? n : N_PAGES - 1) * page,
           "zeros are counted");
}

static void touch_foreign(void)
{
    unsigned n = me->n_passed_on;
    gcmmap_guard guard;

    expect(mprotect(me->foreign, page, PROT_NONE) == 0, "mprotect");
    errno = ERFKILL;
    if (GCMMAP_TRY(guard)) {
        do_access(me->foreign + 7, false);
        gcmmap_guard_leave(&guard);
    } else {
        expect(false, "a fault of another's is caught");
    }
    expect(me->n_passed_on == n + 1, "a fault of another's is passed on, once");
    expect(errno == ERFKILL && mask_is_mine(), "a fault of another's: errno, mask");
}

static void one_round(unsigned round)
{
    struct access accesses[] = { access_to_closed(round), access_to_cut(round),
                                 access_to_named(round), store_to_readable(round),
                                 access_beyond_readable(round) };
    const size_t n = sizeof accesses / sizeof *accesses;

    for (size_t i = 0; i < n; i++) {
        fault_once(&accesses[i]);
        nest(&accesses[i], &accesses[(i + round) % (n - 1)]);
        call_back(&accesses[i]);
    }
    fault_among_jumps();
    touch_filled(round);
    touch_foreign();
}

static gcmmap_region *map_cut(int fd, size_t size, size_t left, gcmmap_options *options,
                              unsigned flags)
{
    gcmmap_region *region = gcmmap_map_with(fd, 0, size, flags, options);

    need(region != NULL && ftruncate(fd, (off_t)left) == 0, "region");
    return region;
}

static __attribute__((noinline)) void set_up(struct thread *thread)
{
    gcmmap_options closed = { .name = "closed" }, cut = { .name = "cut", .room = N_PAGES * page };
    gcmmap_options readable = { .name = "readable", .room = 8 * page };
    int fd = make_file(1, N_PAGES * page), other = make_file(2, N_PAGES * page);

    thread->closed = gcmmap_alloc_with(N_PAGES * page, GCMMAP_POINTER_FREE, &closed);
    thread->closed_bytes = gcmmap_data(thread->closed);
    need(thread->closed_bytes != NULL && gcmmap_close(thread->closed) == 0, "region");
    thread->cut = map_cut(fd, N_PAGES * page, 100, &cut, GCMMAP_WRITE);
    thread->cut_bytes = gcmmap_data(thread->cut);
    close(fd);
    thread->filled = map_cut(other, N_PAGES * page, 1, NULL, GCMMAP_READ | GCMMAP_ZERO_FILL);
    thread->filled_bytes = gcmmap_data(thread->filled);
    close(other);
    make_named_file(thread->path, 3, N_PAGES * page);
    thread->named = gcmmap_open(thread->path, GCMMAP_READ);
    thread->named_bytes = gcmmap_data(thread->named);
    need(thread->named_bytes != NULL && truncate(thread->path, 10) == 0, "region");
    thread->readable = gcmmap_alloc_with(2 * page, GCMMAP_POINTER_FREE, &readable);
    thread->readable_bytes = gcmmap_data(thread->readable);
    need(thread->readable_bytes != NULL &&
             gcmmap_protect(thread->readable_bytes, 2 * page, GCMMAP_READ) == 0,
         "region");
    thread->foreign = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(thread->foreign != MAP_FAILED, "mmap");
}

static void *work(void *arg)
{
    timer_t restarting, plain;

    me = arg;
    sigemptyset(&me->mask);
    sigaddset(&me->mask, SIGRTMIN + 8 + (int)me->number);
    pthread_sigmask(SIG_SETMASK, &me->mask, NULL);
    restarting = start_timer(SIGUSR1);
    plain = start_timer(SIGUSR2);
    for (unsigned i = 0; i < N_ROUNDS; i++)
        one_round(i);
    expect(timer_delete(restarting) == 0 && timer_delete(plain) == 0, "timers");
    atomic_fetch_add(&n_over, 1);
    while (atomic_load(&me->n_queued) < N_QUEUED) /* or the alarm comes */
        (void)usleep(1000);
    expect(mask_is_mine(), "the mask in the end");
    return NULL;
}

static __attribute__((noinline)) void use_a_region(void)
{
    gcmmap_region *region = gcmmap_alloc(3 * page, 0);

    need(region != NULL && gcmmap_unmap_now(region) == 0, "region");
}

static void queue_one_for_each(void)
{
    for (unsigned i = 0; i < N_THREADS; i++)
        need(pthread_sigqueue(threads[i].id, SIGRTMIN, (union sigval){ 0 }) == 0, "sigqueue");
}

/* Meanwhile, in the first thread. */
static unsigned collect_meanwhile(void)
{
    unsigned n;

    for (n = 0; n < N_QUEUED || atomic_load(&n_over) < N_THREADS; n++) {
        if (n < N_QUEUED)
            queue_one_for_each();
        use_a_region();
        (void)gcmmap_collect();
    }
    return n;
}

static void test_threads(void)
{
    unsigned n_tried = 0, n_caught = 0, n_wrong = 0, n_lost = 0, n_signals = 0, n_jumps = 0;
    unsigned n_passed_on = 0, n_calm = 0, n_collections;
    sigset_t queued, before;

    sigemptyset(&queued);
    sigaddset(&queued, SIGRTMIN);
    for (unsigned i = 0; i < N_THREADS; i++) {
        threads[i].number = i;
        set_up(&threads[i]);
    }
    /* They take the first when they know who they are. */
    pthread_sigmask(SIG_BLOCK, &queued, &before);
    for (unsigned i = 0; i < N_THREADS; i++)
        need(GC_pthread_create(&threads[i].id, NULL, work, &threads[i]) == 0, "thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    n_collections = collect_meanwhile();
    for (unsigned i = 0; i < N_THREADS; i++) {
        const struct thread *thread = &threads[i];

        need(GC_pthread_join(thread->id, NULL) == 0, "join");
        (void)unlink(thread->path);
        n_tried += thread->n_tried;
        n_caught += thread->n_caught;
        n_wrong += thread->n_wrong;
        n_passed_on += thread->n_passed_on;
        n_jumps += thread->n_jumps;
        n_lost += N_QUEUED - atomic_load(&thread->n_queued);
        n_signals += thread->n_restarting + thread->n_plain;
        n_calm += thread->n_restarting == 0 || thread->n_plain == 0;
    }
    ok(n_wrong == 0, "each fault is described as what it is (%u wrong)", n_wrong);
    ok(n_caught == n_tried, "%u of %u are caught", n_caught, n_tried);
    ok(n_passed_on == N_THREADS * N_ROUNDS, "%u are passed on to the handler that was there before",
       n_passed_on);
    ok(n_lost == 0, "of %u signals that were queued none is lost (%u)", N_THREADS * N_QUEUED,
       n_lost);
    ok(n_calm == 0, "all threads had signals");
    note("%u signals, %u jumps, %u collections", n_signals, n_jumps, n_collections);
}

int main(void)
{
    GC_INIT();
    GC_allow_register_threads();
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (collector_write_protects())
        skip_all("the collector makes pages accessible that must not be");
    set_handlers();
    (void)alarm(PATIENCE);
    test_threads();
    return done_testing();
}
