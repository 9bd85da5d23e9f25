/*
 * collector_shared: what the files of the collector room share with each other, and nobody
 * else.  They alone include bdwgc's headers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef COLLECTOR_SHARED_H
#define COLLECTOR_SHARED_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc/gc.h>
#include <gc/gc_mark.h>

#include "collector.h"

extern struct collector_kinds {
    unsigned plain, traced, ticket;
} collector_kinds;

extern const struct collector_hooks *collector_hooks;

/* Makes the kinds that have a mark procedure. */
void collector_start_marking(void);

/* Lock held, at the end of a collection that calls no disclaim procedure.  false: it is no ticket. */
bool collector_stand_in_for_ticket(void *ticket);
void collector_stand_in_for_own_ticket(void);

/* Around requests of our own: the host does not hear of their failing. */
void collector_begin_request(void);
void collector_end_request(void);

/* At each event of a collection. */
void collector_take_look(GC_EventType event);

#endif
