/*
 * timers: signals for one thread, a thousand a second.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TIMERS_H
#define TIMERS_H

#include "tap.h"

#include <time.h>

/* This thread gets the signal, whatever the others do.  A process's timers would disturb the first one
   only, which the kernel prefers. */
static inline timer_t start_timer(int signal)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal };
    struct itimerspec fast = { { 0, 1000000 }, { 0, 1000000 } };
    timer_t timer = 0;

#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
#else
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
#endif
    need(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
             timer_settime(timer, 0, &fast, NULL) == 0,
         "timer");
    return timer;
}

#endif
