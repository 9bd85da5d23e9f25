/*
 * guard: the public calls on guards.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>

#include "fault.h"
#include "fault_text.h"
#include "gcmmap.h"
#include "region.h"

int gcmmap_guard_enter(gcmmap_guard *guard)
{
    fault_catch();
    fault_enter(guard);
    return 1;
}

int gcmmap_guard_caught(gcmmap_guard *guard)
{
    region_look_at_file(&guard->fault);
    return 0;
}

void gcmmap_guard_leave(gcmmap_guard *guard)
{
    fault_leave(guard);
}

size_t gcmmap_fault_text(const gcmmap_fault *fault, char *text, size_t size)
{
    struct message message = { text, size, 0 };

    if (size > 0)
        text[0] = '\0';
    fault_add_text(&message, fault);
    return message.n;
}

int gcmmap_report_faults(unsigned what)
{
    if (what & ~(GCMMAP_REPORT_FAULTS | GCMMAP_REPORT_LINES)) {
        errno = EINVAL;
        return -1;
    }
    fault_report(what);
    return 0;
}

int gcmmap_try(void (*fn)(void *arg), void *arg, gcmmap_fault *fault)
{
    /* Exceptions that fn throws leave it too. */
    __attribute__((cleanup(fault_leave))) gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        fn(arg);
        return 0;
    }
    if (fault != NULL)
        *fault = guard.fault;
    errno = EFAULT;
    return -1;
}
