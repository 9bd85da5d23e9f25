/*
 * ThreadSanitizer delivers a signal in the midst of code only inside the system calls that it knows
 * to block; else when the thread comes to the next one.  bdwgc stops threads by signals, and waits for
 * each.  So who waits for another thread has to do it in such a call; and not in
 * pthread_mutex_lock(3), where the runtime of clang 14, interrupted, waits for itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <time.h>

int tsan_yield(void);
int tsan_mutex_lock(pthread_mutex_t *mutex);

int tsan_yield(void)
{
    struct timespec moment = { 0, 1000 };

    return nanosleep(&moment, NULL);
}

int tsan_mutex_lock(pthread_mutex_t *mutex)
{
    while (pthread_mutex_trylock(mutex) != 0)
        (void)tsan_yield();
    return 0;
}
