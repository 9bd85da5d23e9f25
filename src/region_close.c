/*
 * region_close: revoking, and unmapping on the caller's word.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "collector.h"
#include "outside.h"
#include "pace.h"
#include "region_record.h"
#include "registry.h"
#include "reserve.h"
#include "trace.h"

struct close_call {
    gcmmap_region *handle;
    struct region *region;
    const void *caller; /* or NULL */
    bool for_good;      /* unmap_now */
    bool is_closed;     /* by this call; result */
    /* When the pages are gone, and nobody else sees to it: */
    struct region_news news;
    struct region_growth *growth;
    struct region_file *file;
    int error;
};

static void *begin_close(void *arg)
{
    struct close_call *call = arg;
    struct region *region = region_with(call->handle);

    call->region = NULL;
    call->error = 0;
    if (region == NULL) {
        call->error = EINVAL;
    } else if (call->for_good) {
        if (region->state == CLOSING) {
            call->error = EBUSY;
            return NULL;
        }
        if (region->state == LIVE)
            region_count_live(region, -1);
        else
            region_stats.n_closed--;
        if (region->by_handle) /* the kernel may give the addresses to others at once */
            outside_remove(region->body.start);
        region_forget_parts(region);
        places_hide(region->place);
        region->state = UNMAPPING;
        call->region = region;
    } else if (region->state != CLOSED) {
        /* Several at once do the same work, so that none has to wait for another. */
        if (region->state == LIVE)
            region_count_live(region, -1);
        region->state = CLOSING;
        region->closed_by = call->caller;
        region->n_closers++;
        call->region = region;
    }
    return NULL;
}

/* What is to be done without the lock, and when nobody else can see it. */
static void take_rest(struct close_call *call)
{
    call->news = region_take_news(call->region);
    call->growth = call->region->growth;
    call->file = call->region->file;
    call->region->growth = NULL;
}

static void end_rest(const struct close_call *call)
{
    region_close_file(call->file);
    free(call->growth);
}

static void *end_close(void *arg)
{
    struct close_call *call = arg;
    struct region *region = call->region;

    if (call->for_good && call->error == 0) {
        region_stats.n_unmapped_now++;
        if (region->by_handle)
            outside_unprepare();
        pace_unmapped(region->body.at->n_bytes, region->charged ? region_page_bytes(region) : 0);
        reserve_put(region->body.at);
        region_hide(region);
        take_rest(call);
        return NULL;
    }
    if (!call->for_good) {
        region->pages_are_gone |= call->error == 0;
        if (--region->n_closers > 0)
            return NULL;
    } else {
        if (region->by_handle)
            outside_add(region->body.start, region->body.n_outside, region);
        region_show(region);
    }
    if (region->pages_are_gone) {
        region->state = CLOSED;
        region->body.n_covered = 0;
        region->body.writes_back = false;
        region_stats.n_closed++;
        region_stats.n_revoked++;
        call->is_closed = true;
        take_rest(call);
    } else {
        region->state = LIVE;
        region->closed_by = NULL;
        region_limit_filling(region, region_page_bytes(region));
        region_count_live(region, 1);
    }
    return NULL;
}

static void *is_pinned(void *arg)
{
    return ((struct region *)arg)->n_pins > 0 ? arg : NULL;
}

static int let_pages_go(const struct close_call *call)
{
    struct body *body = &call->region->body;
    bool writes_back = body->writes_back && body->n_covered != 0;
    int error = writes_back ? os_sync(body->start, body->n_covered, GCMMAP_SYNC) : 0;

    if (error != 0)
        return error;
    if (call->for_good && body->n_outside != 0)
        return release_outside(body);
    return release_pages(body);
}

static int close_now(gcmmap_region *handle, const void *caller, bool for_good)
{
    struct close_call call = { .handle = handle, .caller = caller, .for_good = for_good };

    region_start();
    collector_locked(begin_close, &call);
    if (call.region == NULL)
        return call.error;
    /* No new operation begins in this state; those under way may need the pages. */
    while (collector_locked(is_pinned, call.region) != NULL)
        os_yield();
    if (for_good)
        places_wait();
    region_stop_filling(call.region, 0);
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            region_collect_and_drain();
        call.error = let_pages_go(&call);
        if (call.error != ENOMEM)
            break;
    }
    collector_locked(end_close, &call);
    end_rest(&call);
    if (call.is_closed)
        TRACE_EVENT(close, region_data(call.region), call.region->n_bytes, call.region->flags,
                    call.region->name, caller);
    if (for_good && call.error == 0)
        TRACE_EVENT(unmap, region_data(call.region), call.region->n_bytes, call.region->flags,
                    call.region->name, call.region->mapped_by);
    if (for_good && call.error == 0)
        region_free_record(call.region);
    region_tell(&call.news);
    collector_keep(handle);
    return call.error;
}

int region_close(gcmmap_region *handle, const void *caller)
{
    return close_now(handle, caller, false);
}

int region_unmap_now(gcmmap_region *handle)
{
    return close_now(handle, NULL, true);
}

struct discarding {
    gcmmap_region *handle;
    struct region_listener *listener;
    size_t n_bytes;
};

static void *take_listener(void *arg)
{
    struct discarding *discarding = arg;
    struct region *region = region_with(discarding->handle);

    if (region != NULL) {
        discarding->n_bytes = region_page_bytes(region);
        discarding->listener = region->listener;
        region->listener = NULL;
    }
    return NULL;
}

static void *count_as_never_mapped(void *arg)
{
    region_stats.n_mapped--;
    region_stats.bytes_mapped -= ((struct discarding *)arg)->n_bytes;
    region_stats.n_unmapped_now--;
    return NULL;
}

void region_discard(gcmmap_region *handle)
{
    struct discarding discarding = { .handle = handle };

    collector_locked(take_listener, &discarding);
    region_free_listener(discarding.listener);
    if (region_unmap_now(handle) == 0)
        collector_locked(count_as_never_mapped, &discarding);
}

/*
 * A region that is kept from children leaves a hole: inside the collector's heap if it lies
 * on blocks.  What the child maps could come to lie there, and be overwritten by us later.
 */
static void guard_hole(struct region *region)
{
    void *start;
    int error = region->body.n_covered == 0
                    ? 0
                    : os_set_aside_at(region->body.start, region->body.n_covered, &start);

    region->body.n_covered = 0;
    region->body.writes_back = false;
    region_limit_filling(region, 0);
    region_close_file(region->file);
    free(region->growth);
    region->growth = NULL;
    if (region->state != LIVE) /* if there is something, then pages that replaced its own */
        return;
    region_count_live(region, -1);
    region->pages_are_gone = true;
    if (error == 0) {
        region->state = CLOSED;
        region_stats.n_closed++;
        return;
    }
    /* Another fork handler was quicker, and has its memory there.  Never touch it again:
       a region that is dying and in nobody's list stays so. */
    region->state = DYING;
    if (region->by_handle) {
        outside_remove(region->body.start);
        outside_unprepare();
    }
    region_hide(region);
}

/*
 * Outside the heap, and nobody knows whether the parent has unmapped it: by now others' pages may
 * lie there.  If not it stays mapped for as long as the child lives, which is better than theirs
 * going.  A region that is dying and in nobody's list stays so.
 */
static void leave_alone(struct region *region)
{
    outside_unprepare();
    region_hide(region);
    region_close_file(region->file);
    region->state = DYING;
}

/* Threads of the parent that were at work are not here to finish it. */
static void finish_what_others_began(struct reservation *reservation, void *arg)
{
    struct region *region = reservation->user;
    struct close_call call = { .region = region };

    (void)arg;
    if (region == NULL)
        return;
    region->n_pins = 0;
    region_finish_resizing_in_child(region);
    if (region->flags & GCMMAP_NO_FORK)
        guard_hole(region);
    if (region->state != CLOSING && region->state != UNMAPPING)
        return;
    if (region->state == UNMAPPING && region->by_handle) {
        leave_alone(region);
        return;
    }
    if (region->state == UNMAPPING)
        region_show(region);
    region->n_closers = 1;
    call.error = let_pages_go(&call);
    (void)end_close(&call);
    if (call.news.listener != NULL) /* told when the addresses go: not inside fork() */
        region->listener = call.news.listener;
    end_rest(&call);
}

void region_finish_closing_in_child(void)
{
    registry_each(finish_what_others_began, NULL);
}
