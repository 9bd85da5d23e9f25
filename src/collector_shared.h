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

/* Around requests of our own: the host does not hear of their failing. */
void collector_begin_request(void);
void collector_end_request(void);

/* At each event of a collection. */
void collector_take_look(GC_EventType event);

#endif
