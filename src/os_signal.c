/*
 * os_signal: SIGSEGV and SIGBUS, and who else wants them.
 *
 * SPDX-License-Identifier: MIT
 *
 * Who came before us is called as the kernel would do it.  Where we were first, another came
 * second and we came again, our first predecessor is called when the other hands the fault
 * back to us: that is a call from inside of our own call, and for the same siginfo_t.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "os_signal.h"

#ifndef SYS_rt_tgsigqueueinfo
#define SYS_rt_tgsigqueueinfo (-1)
#endif

#define N_BEFORE 8

static const int signals[2] = { SIGSEGV, SIGBUS };

/* Who was there each time that we came; the last one was there last. */
static struct before {
    struct sigaction actions[N_BEFORE];
    atomic_uint n;
} before[2];

static os_fault_handler *handler;

/* What this thread is passing on. */
struct passing {
    const void *info; /* NULL: nothing */
    uintptr_t frame;  /* of who passes it on: the stack grows downwards, or so we take it */
    unsigned n_left;  /* predecessors who have not been asked */
};

static OS_SIGNAL_TLS struct passing passing;

static void ask_handler(int number, siginfo_t *info, void *context);

/* ---- coming ---------------------------------------------------------------------- */

static void remember(struct before *list, const struct sigaction *action)
{
    unsigned n = atomic_load(&list->n);

    if (n == N_BEFORE) /* somebody comes and goes: the oldest are forgotten */
        atomic_store(&list->n, n = 1);
    list->actions[n] = *action;
    atomic_store(&list->n, n + 1);
}

static void come_for(struct before *list, int number)
{
    struct sigaction ours = { .sa_sigaction = ask_handler,
                              /* Nothing is blocked: the handler may be left by a jump. */
                              .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART };
    struct sigaction now = { .sa_handler = SIG_DFL };

    (void)sigaction(number, NULL, &now);
    if (now.sa_sigaction != ask_handler)
        remember(list, &now);
    /* In any case: who has put us back by signal(3) has forgotten our flags. */
    (void)sigemptyset(&ours.sa_mask);
    (void)sigaction(number, &ours, NULL);
}

void os_catch_faults(os_fault_handler *fn)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    (void)pthread_mutex_lock(&mutex);
    handler = fn;
    for (int i = 0; i < 2; i++)
        come_for(&before[i], signals[i]);
    (void)pthread_mutex_unlock(&mutex);
}

/* ---- passing on -------------------------------------------------------------------- */

/* The same again, with nobody to catch it; if it was sent, sent again. */
static void die_as_before(int number, siginfo_t *info, bool is_access)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
    if (is_access) /* the access that failed is made again when we return */
        return;
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), number, info) != 0)
        (void)raise(number);
}

static void call(struct sigaction *action, int number, siginfo_t *info, void *context)
{
    sigset_t mask = action->sa_mask, old;

    if (!(action->sa_flags & SA_NODEFER))
        (void)sigaddset(&mask, number);
    (void)pthread_sigmask(SIG_BLOCK, &mask, &old);
    if (action->sa_flags & (int)SA_RESETHAND)
        action->sa_handler = SIG_DFL;
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, info, context);
    else
        /* NOLINTNEXTLINE: SIG_DFL and SIG_IGN do not come here */
        action->sa_handler(number);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* With SA_SIGINFO, too, as the kernel sees it. */
static bool is_ignored(const struct sigaction *action)
{
    return action->sa_handler == SIG_IGN;
}

/* That a fault is ignored means nothing to the kernel either.  NULL: nobody is left. */
static bool is_deadly(const struct sigaction *action, bool is_access)
{
    return action == NULL || action->sa_handler == SIG_DFL || (is_access && is_ignored(action));
}

static void pass_on(struct sigaction *action, const struct os_fault *fault)
{
    if (is_deadly(action, fault->is_access))
        die_as_before(fault->signal, fault->info, fault->is_access);
    else if (!is_ignored(action))
        call(action, fault->signal, fault->info, fault->context);
}

/* ---- being asked --------------------------------------------------------------------- */

/* Bit 1 of the error code that x86 pushes; other processors tell in other ways. */
static int is_write(const void *context)
{
#if defined(__x86_64__) && defined(REG_ERR)
    return (((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#elif defined(__i386__) && defined(REG_ERR)
    return (((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)context;
    return -1;
#endif
}

static const void *code_of(const void *context)
{
#if defined(__x86_64__) && defined(REG_RIP)
    return (const void *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__i386__) && defined(REG_EIP)
    return (const void *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_EIP];
#elif defined(__aarch64__)
    return (const void *)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return NULL;
#endif
}

static bool is_access(const siginfo_t *info)
{
#ifdef BUS_MCEERR_AO /* broken memory, not in use just now */
    if (info->si_signo == SIGBUS && info->si_code == BUS_MCEERR_AO)
        return false;
#endif
    return info->si_code > 0;
}

static void ask_handler(int number, siginfo_t *info, void *context)
{
    struct before *list = &before[number == SIGBUS];
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    struct passing outer = passing;
    bool nested = outer.info == info && outer.frame > frame;
    unsigned n_left = nested ? outer.n_left : atomic_load(&list->n);
    struct sigaction *next = n_left > 0 ? &list->actions[n_left - 1] : NULL;
    struct os_fault fault = { .signal = number,
                              .address = (uintptr_t)info->si_addr,
                              .is_write = is_write(context),
                              .is_access = is_access(info),
                              .was_passed_on = nested,
                              .is_deadly = is_deadly(next, is_access(info)),
                              .code = code_of(context),
                              .saved_errno = errno,
                              .info = info,
                              .context = context };

    if (!handler(&fault)) {
        passing = (struct passing){ info, frame, n_left > 0 ? n_left - 1 : 0 };
        pass_on(next, &fault);
        passing = outer;
    }
    errno = fault.saved_errno;
}

void os_leave_handler(const struct os_fault *fault)
{
    errno = fault->saved_errno;
    (void)pthread_sigmask(SIG_SETMASK, &((ucontext_t *)fault->context)->uc_sigmask, NULL);
}

const char *os_signal_name(int signal)
{
    return signal == SIGBUS ? "SIGBUS" : "SIGSEGV";
}

void os_write_error(const char *text, size_t n_bytes)
{
    while (n_bytes > 0) {
        ssize_t n = write(STDERR_FILENO, text, n_bytes);

        if (n < 0 && errno != EINTR)
            return;
        text += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
}

void os_wait_a_little(void)
{
    struct timespec pause = { 0, 10000000 };

    (void)nanosleep(&pause, NULL);
}

void os_begin_undisturbed(struct os_undisturbed *thread)
{
    sigset_t all;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &thread->cancel_state);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &thread->mask);
}

void os_end_undisturbed(const struct os_undisturbed *thread)
{
    (void)pthread_sigmask(SIG_SETMASK, &thread->mask, NULL);
    (void)pthread_setcancelstate(thread->cancel_state, NULL);
}
