/*
 * Included before all else where ThreadSanitizer is on: see waits.c.
 *
 * SPDX-License-Identifier: MIT
 */
#define sched_yield tsan_yield
#define pthread_mutex_lock tsan_mutex_lock
