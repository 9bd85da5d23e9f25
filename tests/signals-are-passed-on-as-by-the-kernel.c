/*
 * What our handler for SIGSEGV and SIGBUS does not want goes to who came before it as the kernel
 * would bring it: with its siginfo_t, its mask, once, and to the next one if it is handed back. What was
 * sent, not accessed, ends the process in the sender's name, or is ignored where it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <time.h>

#include "os_signal.h"

static size_t page;
static unsigned char *pages; /* three, that cannot be accessed */
static volatile unsigned char sink;

#define NOTHING_FORBIDDEN 77 /* exit status */

#define MINE (pages + 2 * page)

#if defined(__x86_64__) || defined(__i386__)
static const bool tells_stores = true;
#else
static const bool tells_stores = false;
#endif

/* ---- handlers: ours, of those before us, of those after us ------------------------------- */

static volatile int n_asked, n_first, n_second;
static volatile struct os_fault asked;
static volatile int first_code, first_pid, first_value, first_signal;
static void *volatile first_address;
static volatile int n_wrong_masks;
static struct sigaction before_second[2];

static void open_page(const void *address)
{
    (void)mprotect((void *)((uintptr_t)address & ~(page - 1)), page, PROT_READ | PROT_WRITE);
}

static void close_pages(void)
{
    need(mprotect(pages, 3 * page, PROT_NONE) == 0, "mprotect");
}

/* In place of fault.c's. */
static bool ours(const struct os_fault *fault)
{
    n_asked++;
    asked = *fault;
    if (!fault->is_access || fault->address - (uintptr_t)MINE >= page)
        return false;
    open_page((void *)fault->address);
    return true;
}

static bool is_blocked(int signal)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, signal) == 1;
}

static void first(int signal, siginfo_t *info, void *context)
{
    (void)context;
    n_first++;
    first_signal = signal;
    first_code = info->si_code;
    first_pid = info->si_pid;
    first_value = info->si_value.sival_int;
    first_address = info->si_addr;
    n_wrong_masks += !is_blocked(SIGUSR1);
    errno = ENOSYS;
    if (info->si_code > 0)
        open_page(info->si_addr);
}

/* Hands all on to who was there before it. */
static void second(int signal, siginfo_t *info, void *context)
{
    n_second++;
    before_second[signal == SIGBUS].sa_sigaction(signal, info, context);
    n_wrong_masks += is_blocked(SIGUSR1);
}

/* The same, after an access of its own that fails: another fault, to be handled meanwhile. */
static void second_that_faults(int signal, siginfo_t *info, void *context)
{
    if (n_second == 0) {
        n_second++;
        sink = pages[page];
        n_second--;
    }
    second(signal, info, context);
}

static void install(int signal, void (*handler)(int, siginfo_t *, void *), int flags, int blocked,
                    struct sigaction *old)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

    sigemptyset(&action.sa_mask);
    if (blocked != 0)
        sigaddset(&action.sa_mask, blocked);
    need(sigaction(signal, &action, old) == 0, "sigaction");
}

static void install_first(void)
{
    install(SIGSEGV, first, 0, SIGUSR1, NULL);
    install(SIGBUS, first, 0, SIGUSR1, NULL);
}

/* Of the same depth of the stack each time. */
static __attribute__((noinline)) void touch(size_t at)
{
    close_pages();
    sink = pages[at];
}

/* ---- faults: each in a child; the result is the line of what was wrong ------------------------ */

#define EXPECT(condition)                                                                          \
    do                                                                                             \
        if (!(condition))                                                                          \
            return __LINE__ & 0xff;                                                                \
    while (0)

static int one_before(void *arg)
{
    (void)arg;
    install_first();
    errno = ERFKILL;
    os_catch_faults(ours);
    os_catch_faults(ours); /* it is there already */
    EXPECT(errno == ERFKILL);
    touch(3);
    EXPECT(errno == ERFKILL); /* whatever the others do to it */
    EXPECT(n_asked == 1 && n_first == 1 && first_address == pages + 3 && n_wrong_masks == 0);
    EXPECT(asked.signal == SIGSEGV && asked.is_access && !asked.was_passed_on && !asked.is_deadly);
    EXPECT(asked.is_write == (tells_stores ? 0 : -1));
    close_pages();
    *(volatile unsigned char *)(MINE + 1) = 1;
    EXPECT(n_asked == 2 && n_first == 1);
    EXPECT(asked.is_write == (tells_stores ? 1 : -1) && asked.address == (uintptr_t)MINE + 1);
    EXPECT(!is_blocked(SIGUSR1) && !is_blocked(SIGSEGV));
    return 0;
}

static void only_bus(int signal, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    n_second += signal == SIGBUS;
}

static int one_for_each(void *arg)
{
    (void)arg;
    install(SIGSEGV, first, 0, SIGUSR1, NULL);
    install(SIGBUS, only_bus, 0, 0, NULL);
    os_catch_faults(ours);
    touch(0);
    EXPECT(n_first == 1 && n_second == 0);
    need(raise(SIGBUS) == 0, "raise");
    EXPECT(n_first == 1 && n_second == 1 && asked.signal == SIGBUS && !asked.is_access);
    return 0;
}

/* It has been passed on before, from the same place on the stack: that is over. */
static int one_that_came_after(void *arg)
{
    (void)arg;
    install_first();
    os_catch_faults(ours);
    touch(0);
    EXPECT(n_asked == 1 && n_first == 1);
    install(SIGSEGV, second, SA_NODEFER, 0, before_second);
    touch(0);
    EXPECT(n_asked == 2 && n_second == 1 && n_first == 2 && n_wrong_masks == 0);
    touch(2 * page);
    EXPECT(n_asked == 3 && n_second == 2 && n_first == 2);
    return 0;
}

/* Its flags are lost, and it is no other. */
static int ourselves_by_signal(void *arg)
{
    void (*handler)(int);

    (void)arg;
    install_first();
    os_catch_faults(ours);
    handler = signal(SIGSEGV, SIG_DFL);
    need(handler != SIG_ERR && signal(SIGSEGV, handler) == SIG_DFL, "signal");
    os_catch_faults(ours);
    touch(2 * page);
    touch(0);
    EXPECT(n_asked == 2 && n_first == 1 && !asked.was_passed_on);
    return 0;
}

static int one_between(void *arg)
{
    (void)arg;
    install_first();
    os_catch_faults(ours);
    install(SIGSEGV, second, 0, 0, before_second);
    os_catch_faults(ours);
    touch(0);
    EXPECT(n_asked == 2 && asked.was_passed_on && n_second == 1 && n_first == 1);
    EXPECT(n_wrong_masks == 0);
    touch(1); /* again */
    EXPECT(n_asked == 4 && n_second == 2 && n_first == 2);
    return 0;
}

static int one_that_faults_itself(void *arg)
{
    (void)arg;
    install_first();
    os_catch_faults(ours);
    install(SIGSEGV, second_that_faults, SA_NODEFER, 0, before_second);
    os_catch_faults(ours);
    touch(5);
    EXPECT(n_first == 2 && n_second == 2 && first_address == pages + 5);
    EXPECT(n_asked == 4);
    return 0;
}

/* Who comes again and again: in the end the first one has it, and it is over. */
static int many(void *arg)
{
    struct sigaction old;

    (void)arg;
    install_first();
    for (int i = 0; i < 30; i++) {
        os_catch_faults(ours);
        install(SIGSEGV, second, 0, 0, i == 0 ? before_second : &old);
        need(before_second[0].sa_sigaction == old.sa_sigaction || i == 0, "ours is ours");
    }
    os_catch_faults(ours);
    touch(0);
    EXPECT(n_first == 1 && n_second <= 30 && n_second >= 1 && n_wrong_masks == 0);
    touch(0);
    EXPECT(n_first == 2);
    return 0;
}

/* ---- signals that are sent ---------------------------------------------------------------------- */

static int ignored(void *arg)
{
    struct sigaction action = { .sa_handler = SIG_IGN, .sa_flags = SA_SIGINFO };

    (void)arg;
    signal(SIGSEGV, SIG_IGN);
    need(sigaction(SIGBUS, &action, NULL) == 0, "sigaction");
    os_catch_faults(ours);
    need(raise(SIGSEGV) == 0 && raise(SIGBUS) == 0, "raise");
    EXPECT(n_asked == 2 && !asked.is_access && !asked.is_deadly);
    return 0;
}

static void forbid_sending(unsigned how)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_tgsigqueueinfo, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, how),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(NOTHING_FORBIDDEN);
}

static int ignored_but_accessed(void *arg)
{
    (void)arg;
    signal(SIGSEGV, SIG_IGN);
    os_catch_faults(ours);
    touch(0);
    return 1;
}

static int default_with_siginfo(void *arg)
{
    struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_SIGINFO };

    (void)arg;
    need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
    os_catch_faults(ours);
    touch(0);
    return 1;
}

/* What a debugger, or a core file, shows last is the access itself: no signal takes its place. */
static int accessed_again(void *arg)
{
    (void)arg;
    os_catch_faults(ours);
    forbid_sending(SECCOMP_RET_KILL);
    touch(0);
    return 1;
}

static unsigned *n_handed_back; /* shared with the parent */

static void hand_back(int signal, siginfo_t *info, void *context)
{
    if (++*n_handed_back > 9) /* once is enough */
        _exit(1);
    before_second[0].sa_sigaction(signal, info, context);
}

/* It was the first, and knows nobody but us. */
static int handed_back(void *arg)
{
    (void)arg;
    install(SIGSEGV, hand_back, SA_NODEFER, 0, NULL);
    os_catch_faults(ours);
    need(sigaction(SIGSEGV, NULL, before_second) == 0, "sigaction");
    touch(0);
    return 1;
}

#ifdef BUS_MCEERR_AO
/* Some page is broken, and nobody has touched it. */
static int of_memory(void *arg)
{
    (void)arg;
    install_first();
    os_catch_faults(ours);
    send_to_self(SIGBUS, BUS_MCEERR_AO, MINE);
    EXPECT(n_asked == 1 && !asked.is_access && n_first == 1 && first_address == MINE);
    send_to_self(SIGSEGV, BUS_MCEERR_AO, MINE); /* there the number has another meaning */
    EXPECT(n_asked == 2 && asked.is_access && n_first == 1);
    return 0;
}
#endif

static int end_to_write_to;

static void write_a_byte(int signal)
{
    (void)signal;
    (void)!write(end_to_write_to, "x", 1);
}

/* A call that the signal interrupts goes on, as the handler before us asked for. */
static int restarted(void *arg)
{
    struct sigaction action = { .sa_handler = write_a_byte, .sa_flags = SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGSEGV };
    struct itimerspec soon = { { 0, 0 }, { 0, 10000000 } };
    int ends[2];
    char byte;
    timer_t timer;

    (void)arg;
    need(sigaction(SIGSEGV, &action, NULL) == 0, "sigaction");
    os_catch_faults(ours);
    need(pipe(ends) == 0, "pipe");
    end_to_write_to = ends[1];
    need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
             timer_settime(timer, 0, &soon, NULL) == 0,
         "timer");
    EXPECT(read(ends[0], &byte, 1) == 1);
    EXPECT(n_asked == 1 && !asked.is_access);
    return 0;
}

/* Signals come from the parent, with a value or without; dies if nobody was there before. */
struct sent {
    int signal;
    bool has_value, has_handler, is_forbidden;
};

static void be_sent_to(const struct sent *sent)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(NOTHING_FORBIDDEN);
    if (sent->has_handler)
        install_first();
    os_catch_faults(ours);
    if (sent->is_forbidden)
        forbid_sending(SECCOMP_RET_ERRNO | EPERM);
    (void)raise(SIGSTOP); /* ready */
    for (int i = 0; i < 1000 && n_first == 0; i++)
        (void)usleep(10000);
    _exit(n_asked == 1 && n_first == 1 && first_signal == sent->signal && first_pid == getppid() &&
                  first_code == (sent->has_value ? SI_QUEUE : SI_USER) &&
                  (!sent->has_value || first_value == 4711)
              ? 0
              : 1);
}

static bool send_to(pid_t child, const struct sent *sent)
{
    union sigval value = { .sival_int = 4711 };

    return (sent->has_value ? sigqueue(child, sent->signal, value) : kill(child, sent->signal)) ==
           0;
}

static bool is_from_us(const struct sent *sent, const siginfo_t *info)
{
    if (info->si_pid != getpid() || info->si_code != (sent->has_value ? SI_QUEUE : SI_USER))
        return false;
    return !sent->has_value || info->si_value.sival_int == 4711;
}

/* A debugger sees all signals that the child gets: from the parent, and again from itself. */
static int watch(pid_t child, const struct sent *sent, siginfo_t *last, int *n_signals)
{
    int status;

    *n_signals = 0;
    for (;;) {
        need(waitpid(child, &status, 0) == child, "waitpid");
        if (!WIFSTOPPED(status))
            return status;
        if (WSTOPSIG(status) == SIGSTOP) {
            need(send_to(child, sent), "kill");
            ptrace(PTRACE_CONT, child, NULL, NULL);
            continue;
        }
        *n_signals += 1;
        ptrace(PTRACE_GETSIGINFO, child, NULL, last);
        ptrace(PTRACE_CONT, child, NULL, (void *)(intptr_t)WSTOPSIG(status));
    }
}

static void test_sent(const struct sent *sent, const char *what)
{
    siginfo_t last = { 0 };
    int status, n_signals;
    pid_t child;

    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        be_sent_to(sent);
    status = watch(child, sent, &last, &n_signals);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_FORBIDDEN)
        ok(true, "%s # SKIP no ptrace(2), or no seccomp(2)", what);
    else if (sent->has_handler)
        ok(WIFEXITED(status) && WEXITSTATUS(status) == 0 && n_signals == 1, "%s", what);
    else
        ok(WIFSIGNALED(status) && WTERMSIG(status) == sent->signal && n_signals == 2 &&
               (sent->is_forbidden ? last.si_pid == child : is_from_us(sent, &last)),
           "%s (status %#x, %d signals)", what, (unsigned)status, n_signals);
}

int main(void)
{
    static const struct {
        int (*fn)(void *);
        int result;
        const char *what;
    } tests[] = {
        { one_before, 0, "one that was there before" },
        { one_for_each, 0, "one for each signal" },
        { one_that_came_after, 0, "one that came after, and hands on" },
        { ourselves_by_signal, 0, "we, by signal(3)" },
        { one_between, 0, "one between: we came again" },
        { one_that_faults_itself, 0, "one that has a fault of its own meanwhile" },
        { many, 0, "thirty between" },
        { ignored, 0, "what is sent is ignored where it was" },
        { ignored_but_accessed, -SIGSEGV, "what is accessed is not" },
        { default_with_siginfo, -SIGSEGV, "the default action, with SA_SIGINFO" },
        { accessed_again, -SIGSEGV, "the access that it dies of is its last" },
        { handed_back, -SIGSEGV, "nobody is left" },
        { restarted, 0, "calls are restarted" },
#ifdef BUS_MCEERR_AO
        { of_memory, 0, "broken memory that nobody touches is no access" },
#endif
    };
    static const struct {
        struct sent sent;
        const char *what;
    } sents[] = {
        { { SIGSEGV, false, true, false }, "kill(2): the handler sees who" },
        { { SIGBUS, true, true, false }, "sigqueue(3): and with which value" },
        { { SIGSEGV, false, false, false }, "kill(2): it dies of that" },
        { { SIGBUS, true, false, false }, "sigqueue(3): it dies of that" },
        { { SIGSEGV, false, false, true }, "it dies even if it must not say so" },
    };

    page = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    n_handed_back = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(pages != MAP_FAILED && n_handed_back != MAP_FAILED, "mmap");
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        int result = run_in_child(tests[i].fn, NULL);

        if (result == NOTHING_FORBIDDEN && tests[i].fn == accessed_again)
            ok(true, "%s # SKIP no seccomp(2)", tests[i].what);
        else if (!ok(result == tests[i].result, "%s", tests[i].what))
            note("result %d: a line, less 256 perhaps", result);
    }
    ok(*n_handed_back == 1, "and is asked once");
    for (size_t i = 0; i < sizeof sents / sizeof *sents; i++)
        test_sent(&sents[i].sent, sents[i].what);
    return done_testing();
}
