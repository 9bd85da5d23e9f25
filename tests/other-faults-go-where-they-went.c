/*
 * Faults that no guard is for reach the handler that was there before, installed before
 * the first guard or after it, the collector's own included; and a process without one dies as
 * it would have died: of the same signal, at the same address.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static size_t page;
static volatile unsigned char sink;
static unsigned char *closed;  /* of a closed region */
static unsigned char *foreign; /* no region's: inaccessible */
static unsigned char *cut;     /* a file's, not mapped by us: truncated */

static __attribute__((noinline)) int touch(volatile unsigned char *at, bool write)
{
    gcmmap_guard guard;

    if (!GCMMAP_TRY(guard))
        return guard.fault.kind;
    if (write)
        *at = 1;
    else
        sink = *at;
    gcmmap_guard_leave(&guard);
    return 0;
}

static void set_up(void)
{
    gcmmap_region *region = gcmmap_alloc(page, GCMMAP_POINTER_FREE);
    int fd = make_file(1, 2 * page);

    closed = gcmmap_data(region);
    foreign = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cut = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 0);
    need(closed != NULL && foreign != MAP_FAILED && cut != MAP_FAILED, "set-up");
    need(gcmmap_close(region) == 0 && ftruncate(fd, 1) == 0, "set-up");
    cut += page;
    close(fd);
}

/* ---- handlers of others -------------------------------------------------------------- */

static volatile sig_atomic_t n_handled, n_handled_simply;
static void *volatile handled_address;
static volatile int handled_code;
static volatile bool was_blocked[65];
static struct sigaction chained[2];

static void note_mask(void)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (int i = 1; i < 65; i++)
        was_blocked[i] = sigismember(&now, i) == 1;
}

/* Makes the page accessible, and comes back. */
static void repair(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    n_handled++;
    handled_address = info->si_addr;
    handled_code = info->si_code;
    note_mask();
    if (info->si_code > 0)
        mprotect((void *)((uintptr_t)info->si_addr & ~(page - 1)), page, PROT_READ | PROT_WRITE);
}

static void repair_foreign(int number)
{
    (void)number;
    n_handled_simply++;
    note_mask();
    mprotect(foreign, page, PROT_READ | PROT_WRITE);
}

/* As a library does that came after us. */
static void chain(int number, siginfo_t *info, void *context)
{
    n_handled++;
    chained[number == SIGBUS].sa_sigaction(number, info, context);
}

static void install(void (*handler)(int, siginfo_t *, void *), int flags, struct sigaction *old)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    need(sigaction(SIGSEGV, &action, old) == 0, "sigaction");
    need(sigaction(SIGBUS, &action, old != NULL ? old + 1 : NULL) == 0, "sigaction");
}

static void protect_foreign(void)
{
    need(mprotect(foreign, page, PROT_NONE) == 0, "mprotect");
}

/* Each runs in a child; result: bits of what was wrong. */

static int before_us(void *arg)
{
    int wrong = 0;
    sigset_t now;

    (void)arg;
    install(repair, 0, NULL);
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED || n_handled != 0 ? 1 : 0;
    wrong |=
        touch(foreign + 5, true) != 0 || n_handled != 1 || handled_address != foreign + 5 ? 2 : 0;
    wrong |= !was_blocked[SIGUSR1] || !was_blocked[SIGSEGV] || was_blocked[SIGUSR2] ? 4 : 0;
    protect_foreign();
    sink = foreign[6];
    wrong |= n_handled != 2 || handled_address != foreign + 6 ? 8 : 0;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    wrong |= sigismember(&now, SIGUSR1) || sigismember(&now, SIGSEGV) ? 16 : 0;
    raise(SIGSEGV);
    wrong |= n_handled != 3 || handled_code > 0 ? 32 : 0;
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED || n_handled != 3 ? 64 : 0;
    return wrong;
}

static int before_us_simple(void *arg)
{
    struct sigaction action = { .sa_handler = repair_foreign, .sa_flags = SA_NODEFER };
    int wrong = 0;

    (void)arg;
    need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED || n_handled_simply != 0 ? 1 : 0;
    wrong |= touch(foreign, false) != 0 || n_handled_simply != 1 || was_blocked[SIGSEGV] ? 2 : 0;
    return wrong;
}

static int only_once(void *arg)
{
    struct sigaction action = { .sa_handler = repair_foreign, .sa_flags = (int)SA_RESETHAND };

    (void)arg;
    need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
    if (touch(closed, false) != GCMMAP_FAULT_CLOSED || touch(foreign, false) != 0)
        return 1;
    protect_foreign();
    return touch(foreign, false); /* now it dies */
}

static int after_us(void *arg)
{
    int wrong = 0;

    (void)arg;
    install(repair, 0, NULL);
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED ? 1 : 0;
    install(chain, 0, chained);
    wrong |= touch(closed + 1, false) != GCMMAP_FAULT_CLOSED || n_handled != 1 ? 2 : 0;
    wrong |= touch(foreign, false) != 0 || n_handled != 3 ? 4 : 0;
    wrong |= touch(closed + 1, false) != GCMMAP_FAULT_CLOSED || n_handled != 4 ? 8 : 0;
    return wrong;
}

/* It is left by a jump, again and again, from the same depth of the stack. */
static int left_by_jumps(void *arg)
{
    volatile int wrong = 0;
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

    (void)arg;
    need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
    need(touch(closed, false) == GCMMAP_FAULT_CLOSED, "guard");
    for (volatile int i = 0; i < 100; i++) {
        fault_signal = 0;
        if (sigsetjmp(fault_jump, 1) == 0)
            sink = foreign[i];
        wrong |= fault_signal != SIGSEGV || fault_address != foreign + i;
        wrong |= touch(closed + i, true) != GCMMAP_FAULT_CLOSED;
    }
    return wrong;
}

static int ignored(void *arg)
{
    (void)arg;
    signal(SIGSEGV, SIG_IGN);
    if (touch(closed, false) != GCMMAP_FAULT_CLOSED)
        return 1;
    kill(getpid(), SIGSEGV);
    return touch(foreign, false); /* the kernel does not ignore this */
}

/* ---- the collector's -------------------------------------------------------------------- */

/* Traced memory is stored into, and collected, in a guard. */
static bool traced_memory_works(void)
{
    gcmmap_region *region = gcmmap_alloc(30 * page, 0);
    size_t **data = gcmmap_data(region), n = 30 * page / sizeof *data;
    gcmmap_guard guard;

    need(data != NULL, "region");
    for (volatile size_t round = 0; round < 5; round++) {
        if (!GCMMAP_TRY(guard))
            return false;
        for (size_t i = 0; i < n; i += 16) {
            data[i] = GC_MALLOC(64);
            *data[i] = ~i;
            if (i % 256 == 0)
                (void)GC_collect_a_little();
        }
        gcmmap_guard_leave(&guard);
        if (round % 2)
            collect_thoroughly();
        for (size_t i = 0; i < n; i += 16)
            if (*data[i] != ~i)
                return false;
    }
    return true;
}

static int collector_before_us(void *arg)
{
    int wrong = 0;

    (void)arg;
    GC_enable_incremental();
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED ? 1 : 0;
    wrong |= !traced_memory_works() ? 2 : 0;
    wrong |= touch(closed + 1, true) != GCMMAP_FAULT_CLOSED ? 4 : 0;
    return wrong;
}

static int collector_after_us(void *arg)
{
    int wrong = 0;

    (void)arg;
    install(repair, 0, NULL);
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED ? 1 : 0;
    GC_enable_incremental();
    wrong |= touch(closed, false) != GCMMAP_FAULT_CLOSED ? 2 : 0;
    wrong |= !traced_memory_works() ? 4 : 0;
    wrong |= touch(closed + 1, true) != GCMMAP_FAULT_CLOSED ? 8 : 0;
    /* By way of bdwgc's, and back to ours, to the one before. */
    wrong |= touch(foreign, false) != 0 || n_handled != 1 ? 16 : 0;
    wrong |= touch(closed + 1, true) != GCMMAP_FAULT_CLOSED ? 32 : 0;
    return wrong;
}

/* ---- what is not this thread's ------------------------------------------------------- */

static bool is_forbidden;

/* The library's, too. */
__attribute__((visibility("default"))) ssize_t
process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
                 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
    if (is_forbidden) {
        errno = EPERM;
        return -1;
    }
    return syscall(SYS_process_vm_readv, pid, local, n_local, remote, n_remote, flags);
}

/* A collection reads a truncated file, as there is no way to find out: better SIGBUS than a
   jump out of the collector. */
static int collect_in_guard(void *arg)
{
    struct rlimit none = { 0, 0 };
    int fd = make_file(1, 4 * page);
    gcmmap_region *region = gcmmap_map(fd, 0, 4 * page, GCMMAP_READ | GCMMAP_TRACED);
    gcmmap_guard guard;

    (void)arg;
    need(region != NULL && ftruncate(fd, 1) == 0, "region");
    is_forbidden = true;
    need(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
    if (GCMMAP_TRY(guard)) {
        GC_gcollect();
        gcmmap_guard_leave(&guard);
        GC_reachable_here(region);
        return 1;
    }
    return 2;
}

static int n_told;

static void touch_when_told(const gcmmap_release *release, void *data)
{
    (void)release, (void)data;
    n_told += touch(closed, false) == GCMMAP_FAULT_CLOSED; /* a guard of its own */
    sink = *closed;
}

static int tell_in_guard(void *arg)
{
    gcmmap_options options = { .released = touch_when_told };
    gcmmap_region *region = gcmmap_alloc_with(page, 0, &options);
    gcmmap_guard guard;

    (void)arg;
    install(repair, 0, NULL);
    need(region != NULL, "region");
    if (GCMMAP_TRY(guard)) {
        gcmmap_close(region);
        if (n_told != 1 || n_handled != 1 || handled_address != closed)
            return 2;
        gcmmap_data(NULL);
        need(mprotect(closed, page, PROT_NONE) == 0, "mprotect");
        sink = *closed;
        return 3;
    }
    return n_told == 1 && n_handled == 1 ? 0 : 1; /* this guard is as it was */
}

/* ---- deaths -------------------------------------------------------------------------------- */

struct death {
    unsigned char *address;
    int signal;
    bool in_guard, is_sent;
};

static int die(void *arg)
{
    const struct death *death = arg;

    if (touch(closed, false) != GCMMAP_FAULT_CLOSED)
        return 1;
    if (death->is_sent)
        kill(getpid(), death->signal);
    else if (death->in_guard)
        return touch(death->address, false);
    else
        sink = *death->address;
    return 2;
}

/* What a debugger sees last. */
static bool dies_of(struct death *death)
{
    int status, last = 0;
    siginfo_t info = { 0 };
    pid_t child;

    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        _exit(die(death));
    }
    for (;;) {
        need(waitpid(child, &status, 0) == child, "waitpid");
        if (!WIFSTOPPED(status))
            break;
        last = WSTOPSIG(status);
        ptrace(PTRACE_GETSIGINFO, child, NULL, &info);
        ptrace(PTRACE_CONT, child, NULL, (void *)(intptr_t)last);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return run_in_child(die, death) == -death->signal;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != death->signal || last != death->signal) {
        note("status %#x, last signal %d", (unsigned)status, last);
        return false;
    }
    return death->is_sent ? info.si_code <= 0 && info.si_pid == child
                          : info.si_addr == death->address;
}

static void test_deaths(void)
{
    struct death deaths[] = {
        { foreign + 3, SIGSEGV, false, false }, { foreign + 3, SIGSEGV, true, false },
        { cut + 5, SIGBUS, false, false },      { cut + 5, SIGBUS, true, false },
        { closed + 9, SIGSEGV, false, false },  { NULL, SIGSEGV, false, true },
        { NULL, SIGBUS, true, true },
    };
    const char *names[] = {
        "a foreign address",      "the same in a guard",    "a foreign file",
        "the same in a guard",    "a region, but no guard", "a signal that was sent",
        "a SIGBUS that was sent",
    };

    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        ok(dies_of(&deaths[i]), "death: %s", names[i]);
}

int main(void)
{
    static const struct {
        int (*fn)(void *);
        int result;
        const char *what;
    } tests[] = {
        { before_us, 0, "a handler that was there before" },
        { before_us_simple, 0, "one without siginfo_t" },
        { only_once, -SIGSEGV, "one that is to be called once" },
        { after_us, 0, "one that came after and asks us" },
        { left_by_jumps, 0, "one that jumps" },
        { ignored, -SIGSEGV, "signals that are ignored, but for faults" },
        { collector_before_us, 0, "the collector's, before ours" },
        { collect_in_guard, -SIGBUS, "a collection's" },
        { tell_in_guard, 0, "a released callback's" },
        { collector_after_us, 0, "the collector's, after ours" },
    };

    setenv("GC_MARKERS", "1", 1);
    setenv("GC_USE_GETWRITEWATCH", "0", 1); /* write protection, where it is incremental */
    GC_set_handle_fork(1);
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    set_up();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        int result;

        if (collector_write_protects() &&
            (tests[i].fn == collect_in_guard || tests[i].fn == collector_after_us)) {
            ok(true, "%s # SKIP the collector has a handler already", tests[i].what);
            continue;
        }
        result = run_in_child(tests[i].fn, NULL);

        if (!ok(result == tests[i].result, "%s", tests[i].what))
            note("result %d", result);
    }
    if (collector_write_protects())
        ok(true, "deaths # SKIP by the collector's abort()");
    else
        test_deaths();
    return done_testing();
}
