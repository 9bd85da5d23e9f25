/*
 * collector_mark: how traced blocks and tickets are marked; what incremental collection needs.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "collector_shared.h"

#include <gc/gc_disclaim.h>

#include <stdlib.h>

struct collector_marker {
    struct GC_ms_entry *top, *limit;
};

static struct GC_ms_entry *mark_traced_block(GC_word *block, struct GC_ms_entry *top,
                                             struct GC_ms_entry *limit, GC_word env)
{
    struct collector_marker marker = { top, limit };

    (void)env;
    collector_hooks->mark(block, &marker);
    return marker.top;
}

/* ---- tickets: objects that are never reclaimed, pushed by hand ------------- */

#define AGAIN (~(GC_word)0) /* the number of the one that is ours */

static struct GC_ms_entry *call_ticket(GC_word *ticket, struct GC_ms_entry *top,
                                       struct GC_ms_entry *limit, GC_word env)
{
    struct collector_marker marker = { top, limit };

    (void)env;
    if (*ticket == AGAIN)
        collector_hooks->look_again(&marker);
    else
        collector_hooks->ticket_called(*ticket, &marker);
    return marker.top;
}

static int GC_CALLBACK refuse_to_be_reclaimed(void *ticket)
{
    if (*(GC_word *)ticket != AGAIN)
        collector_hooks->ticket_idle(*(GC_word *)ticket);
    GC_set_mark_bit(ticket); /* counted: as that of a block that refuses, in collector.c */
    return 1;
}

static void **again; /* malloc'ed, where the collector does not look: the ticket AGAIN */

bool collector_stand_in_for_ticket(void *ticket)
{
    if (GC_get_kind_and_size(ticket, NULL) != (int)collector_kinds.ticket)
        return false;
    (void)refuse_to_be_reclaimed(ticket);
    return true;
}

void collector_stand_in_for_own_ticket(void)
{
    if (again != NULL && !GC_is_marked(*again))
        (void)refuse_to_be_reclaimed(*again);
}

void collector_push_ticket(struct collector_marker *marker, void *ticket)
{
    /* Marked it may well be already: pushed all the same. */
    GC_clear_mark_bit(ticket);
    marker->top = GC_MARK_AND_PUSH(ticket, marker->top, marker->limit, NULL);
}

void *collector_new_ticket(size_t number)
{
    GC_word *ticket;

    collector_begin_request();
    /* A block of its own: mark bits of small objects share words. */
    ticket = GC_generic_malloc(COLLECTOR_BLOCK_ALIGNMENT - 1, (int)collector_kinds.ticket);
    collector_end_request();
    if (ticket != NULL)
        *ticket = number;
    return ticket;
}

void collector_start_marking(void)
{
    /* Not cleared: that would touch every page of memory that is about to be replaced. */
    collector_kinds.traced =
        GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_traced_block), 0), 0,
                    TRACED_KIND_IS_CLEARED);
    collector_kinds.ticket =
        GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(call_ticket), 0), 0, 1);
    GC_register_disclaim_proc((int)collector_kinds.ticket, refuse_to_be_reclaimed, 0);
}

/* ---- pointers ---------------------------------------------------------------- */

void collector_unmark_block(void *block)
{
    GC_clear_mark_bit(block);
}

void collector_mark_words(struct collector_marker *marker, const void *from, const void *to)
{
    struct GC_ms_entry *top = marker->top, *limit = marker->limit;
    void **end = (void **)to;

    for (void **word = (void **)from; word < end; word++) {
        void *candidate = *(void *volatile *)word;

        top = GC_MARK_AND_PUSH(candidate, top, limit, word);
    }
    marker->top = top;
}

void collector_mark_pointer(struct collector_marker *marker, void *block)
{
    marker->top = GC_MARK_AND_PUSH(block, marker->top, marker->limit, NULL);
}

/* ---- incremental collection --------------------------------------------------- */

bool collector_is_incremental(void)
{
    return GC_is_incremental_mode() != 0;
}

bool collector_protects_traced_blocks(void)
{
    return GC_is_incremental_mode() &&
           (GC_incremental_protection_needs() & GC_PROTECTS_POINTER_HEAP) != 0;
}

static GC_push_other_roots_proc host_push;

/* The last step of each collection comes here, the world stopped; steps before it may, too. */
static void GC_CALLBACK push_again(void)
{
    if (host_push != 0)
        host_push();
    if (GC_is_incremental_mode()) {
        GC_clear_mark_bit(*again);
        GC_push_all(again, again + 1);
    }
}

static void *begin_to_push(void *fresh)
{
    if (again != NULL) /* another thread was faster */
        return fresh;
    again = fresh;
    host_push = GC_get_push_other_roots();
    GC_set_push_other_roots(push_again);
    return NULL;
}

static void *read_again(void *unused)
{
    (void)unused;
    return again;
}

bool collector_look_again(void)
{
    void **fresh;

    if (collector_locked(read_again, NULL) != NULL)
        return true;
    fresh = malloc(sizeof *fresh);
    if (fresh == NULL)
        return false;
    collector_pause(true); /* where it looks for leaks: until the ticket is known */
    *fresh = collector_new_ticket(AGAIN);
    if (*fresh != NULL)
        fresh = collector_locked(begin_to_push, fresh);
    if (fresh != NULL)
        collector_free_block(*fresh);
    free(fresh);
    collector_pause(false);
    return collector_locked(read_again, NULL) != NULL;
}

void collector_mark_again(struct collector_marker *marker, void *block)
{
    if (GC_is_marked(block)) {
        GC_clear_mark_bit(block);
        collector_mark_pointer(marker, block);
    }
}
