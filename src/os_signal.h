/*
 * os_signal: being asked when memory cannot be accessed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * For variables of threads that signal handlers use: no memory is allocated at the first
 * use.  8 bytes of them are no burden for the C library's reserve in case of dlopen(3).
 */
#ifdef __GLIBC__
#define OS_SIGNAL_TLS _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define OS_SIGNAL_TLS _Thread_local
#endif

struct os_fault {
    int signal; /* SIGSEGV or SIGBUS */
    uintptr_t address;
    int is_write;       /* 1 or 0; -1: the system does not tell */
    bool is_access;     /* of the thread's own; else somebody has sent it */
    bool was_passed_on; /* those who were there before us have returned it to us */
    bool is_deadly;     /* nobody else will handle it */
    const void *code;   /* where it was accessed; NULL: not known */
    int saved_errno;    /* the thread's */
    void *info, *context;
};

/* Async-signal-safe.  Whether the access may be tried again; false: others are asked. */
typedef bool os_fault_handler(const struct os_fault *fault);

/*
 * From now on fn is asked first, even if it has been before and others came between.  What
 * it does not handle goes to who was there before.
 */
void os_catch_faults(os_fault_handler *fn);

/*
 * Between these nobody takes the thread away from what it does: neither a signal's handler, which may
 * be left by a jump, nor pthread_cancel(3).  They nest.  Async-signal-safe.
 */
struct os_undisturbed {
    sigset_t mask; /* as it was before */
    int cancel_state;
};
void os_begin_undisturbed(struct os_undisturbed *before);
void os_end_undisturbed(const struct os_undisturbed *thread);

/* In a handler that longjmp(3) is going to leave: makes signal mask and errno those of before. */
void os_leave_handler(const struct os_fault *fault);

/* "SIGBUS" */
const char *os_signal_name(int signal);

/* ---- for the last words; all of it async-signal-safe --------------------------------- */

/* All of it, on the standard error stream. */
void os_write_error(const char *text, size_t n_bytes);

/* For another thread that is speaking. */
void os_wait_a_little(void);

/*
 * In which file an address in code lies, and where in it: as addr2line(1) and nm(1) count.
 * False: not known.
 */
bool os_find_code(uintptr_t address, char *path, size_t room, uintptr_t *place);

/* Asks addr2line(1), some seconds at most: "function at file:line"; "": it does not know. */
void os_find_line(const char *path, uintptr_t place, char *line, size_t room);

#endif
