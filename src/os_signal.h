/*
 * os_signal: being asked when memory cannot be accessed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include <stdbool.h>
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
    void *info, *context;
};

/* Async-signal-safe.  Whether the access may be tried again; false: others are asked. */
typedef bool os_fault_handler(const struct os_fault *fault);

/*
 * From now on fn is asked first, even if it has been before and others came between.  What
 * it does not handle goes to who was there before.
 */
void os_catch_faults(os_fault_handler *fn);

/* In a handler that is going to be left by longjmp(3): makes the signal mask that of before. */
void os_leave_handler(const struct os_fault *fault);

#endif
