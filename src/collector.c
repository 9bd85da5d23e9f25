/*
 * collector: the only file that includes bdwgc's headers.
 *
 * SPDX-License-Identifier: MIT
 */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc/gc.h>
#include <gc/gc_disclaim.h>
#include <gc/gc_mark.h>

#include "collector.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const struct collector_hooks *hooks;
static unsigned plain_kind, traced_kind;

static int GC_CALLBACK refuse_to_be_reclaimed(void *block)
{
    int saved_errno = errno;

    hooks->unreached(block);
    errno = saved_errno;
    return 1; /* the latch, without exception: see collector.h */
}

struct collector_marker {
    struct GC_ms_entry *top, *limit;
};

static struct GC_ms_entry *mark_traced_block(GC_word *block, struct GC_ms_entry *top,
                                             struct GC_ms_entry *limit, GC_word env)
{
    struct collector_marker marker = { top, limit };

    (void)env;
    hooks->mark(block, &marker);
    return marker.top;
}

static void start(void)
{
    if (!GC_is_init_called())
        GC_INIT();
    plain_kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 0);
    traced_kind =
        GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_traced_block), 0), 0, 1);
    GC_register_disclaim_proc((int)plain_kind, refuse_to_be_reclaimed, 0);
    GC_register_disclaim_proc((int)traced_kind, refuse_to_be_reclaimed, 0);
}

void collector_start(const struct collector_hooks *h)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    hooks = h;
    (void)pthread_once(&once, start);
}

void *collector_locked(void *(*fn)(void *), void *arg)
{
    return GC_call_with_alloc_lock(fn, arg);
}

/*
 * Our own large requests are no sign of trouble in the host: bdwgc's warnings about
 * them, and the host's out-of-memory procedure (which may well end the program),
 * are held back.  Other threads' and other warnings go where they went before.
 */
static _Thread_local bool is_our_request;
static _Atomic unsigned n_requests;
static GC_warn_proc host_warn;
static GC_oom_func host_oom;

static void GC_CALLBACK warn_unless_ours(char *format, GC_word arg)
{
    if (is_our_request && (strstr(format, "Repeated allocation of very large block") != NULL ||
                           strstr(format, "Failed to expand heap") != NULL ||
                           strstr(format, "Out of Memory") != NULL))
        return;
    host_warn(format, arg);
}

static void *GC_CALLBACK oom_unless_ours(size_t n_bytes)
{
    return is_our_request ? NULL : host_oom(n_bytes);
}

static void begin_request(void)
{
    GC_warn_proc warn;
    GC_oom_func oom;

    atomic_fetch_add(&n_requests, 1); /* first: nobody takes ours away from now on */
    warn = GC_get_warn_proc();
    oom = GC_get_oom_fn();
    if (warn != warn_unless_ours) {
        host_warn = warn;
        GC_set_warn_proc(warn_unless_ours);
    }
    if (oom != oom_unless_ours) {
        host_oom = oom;
        GC_set_oom_fn(oom_unless_ours);
    }
    is_our_request = true;
}

static void end_request(void)
{
    is_our_request = false;
    if (atomic_fetch_sub(&n_requests, 1) != 1)
        return;
    /* Unless the host has set its own meanwhile. */
    if (GC_get_warn_proc() == warn_unless_ours)
        GC_set_warn_proc(host_warn);
    if (GC_get_oom_fn() == oom_unless_ours)
        GC_set_oom_fn(host_oom);
}

void *collector_new_block(size_t n_bytes, bool traced)
{
    void *block;

    begin_request();
    /* With interior pointers on, bdwgc adds a byte of its own to each object. */
    block = GC_generic_malloc(n_bytes - 1, (int)(traced ? traced_kind : plain_kind));
    end_request();
    return block;
}

void collector_free_block(void *block)
{
    GC_free(block);
}

size_t collector_block_bytes(const void *block)
{
    return GC_size(block);
}

size_t collector_heap_bytes(void)
{
    return GC_get_heap_size();
}

void collector_pause(bool pause)
{
    if (pause)
        GC_disable();
    else
        GC_enable();
}

void *collector_block_of(const void *pointer)
{
    return GC_base((void *)pointer);
}

bool collector_is_reached(const void *block)
{
    return GC_is_marked(block) != 0;
}

unsigned long collector_cycle(void)
{
    return (unsigned long)GC_get_gc_no();
}

void collector_account(ptrdiff_t n_bytes)
{
    GC_set_non_gc_bytes(GC_get_non_gc_bytes() + (GC_word)n_bytes);
}

void collector_collect(void)
{
    GC_gcollect();
}

/*
 * A small object that nobody keeps: its finalizer runs at the first finalization
 * point after the next collection, in whatever way the host has chosen.
 */
static atomic_bool sentinel_is_set;

static void GC_CALLBACK sentinel_died(void *object, void *data)
{
    int saved_errno = errno;

    (void)object, (void)data;
    atomic_store(&sentinel_is_set, false);
    if (hooks->finalization_point())
        collector_want_finalization_point();
    errno = saved_errno;
}

void collector_want_finalization_point(void)
{
    void *sentinel;

    if (atomic_load_explicit(&sentinel_is_set, memory_order_relaxed) ||
        atomic_exchange(&sentinel_is_set, true))
        return;
    begin_request();
    sentinel = GC_MALLOC_ATOMIC(1);
    end_request();
    if (sentinel == NULL)
        atomic_store(&sentinel_is_set, false); /* the next call tries again */
    else
        GC_REGISTER_FINALIZER_NO_ORDER(sentinel, sentinel_died, NULL, NULL, NULL);
}

bool collector_protects_traced_blocks(void)
{
    return GC_is_incremental_mode() &&
           (GC_incremental_protection_needs() & GC_PROTECTS_POINTER_HEAP) != 0;
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

void collector_keep(const void *pointer)
{
    GC_reachable_here(pointer);
}
