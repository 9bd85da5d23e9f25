/*
 * fault: what becomes of an access that fails.
 *
 * SPDX-License-Identifier: MIT
 *
 * A thread's guards are a chain, the innermost first.  The handler takes the thread back to
 * it if the address is a region's; all other faults go on to who handled them before.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "gcmmap.h"

struct os_fault;

/* What a region's policy is to do with a fault. */
enum fault_verdict {
    FAULT_IS_OTHERS,
    FAULT_IS_OVER, /* the access may be tried again */
    FAULT_IS_A_QUESTION,
};

struct fault_question {
    gcmmap_truncated ask;
    void *data;
    bool may_fill; /* if the answer leaves it open */
    gcmmap_fault fault;
};

/* What the room above knows of the regions whose places it has shown.  Async-signal-safe. */
struct fault_hooks {
    /* Whether such a fault is the collector's way to find out which pages change. */
    bool (*is_collectors)(const void *user, int signal);
    /* What can be said without a lock or a system call. */
    void (*describe)(const void *user, gcmmap_fault *fault);
    /* What system calls tell then. */
    void (*look_at_file)(gcmmap_fault *fault);
    /* Of a SIGBUS, before all else.  The question is described, and completed then. */
    enum fault_verdict (*judge)(void *user, const struct os_fault *fault,
                                struct fault_question *question);
    /* Puts zeros there, if the file still ends before.  Whether the access may be tried again. */
    bool (*fill)(void *user, const struct os_fault *fault);
};

/* Once, before all else. */
void fault_start(const struct fault_hooks *hooks);

/* From now on the handler is there, and in front.  Cheap if that is so. */
void fault_catch(void);

/* What is said of faults that nobody handles: GCMMAP_REPORT_ ... */
void fault_report(unsigned what);

/* This thread's innermost guard. */
void fault_enter(gcmmap_guard *guard);
/* And those inside it; nothing if it is not entered. */
void fault_leave(gcmmap_guard *guard);

/* Makes a thread as if it had entered none, before a user's code is called; and as before. */
gcmmap_guard *fault_set_aside(void);
void fault_take_up(gcmmap_guard *guards);

/* Between these the thread does what must not be left by a jump.  They nest. */
void fault_hold(void);
void fault_release(void);

#endif
