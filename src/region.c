/*
 * region: states.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "region_record.h"

#include <pthread.h>
#include <stdlib.h>

#include "collector.h"
#include "fault.h"
#include "outside.h"
#include "pace.h"
#include "registry.h"
#include "reserve.h"
#include "roots.h"
#include "trace.h"

/* All of these under the collector's lock. */
gcmmap_stats region_stats;
size_t region_bytes_charged;

/* What a dead region still holds: nothing if it was closed before. */
static size_t bytes_held(const struct region *region)
{
    return region->pages_are_gone ? 0 : region_page_bytes(region);
}

void region_count_live(const struct region *region, ptrdiff_t sign)
{
    size_t n_bytes = (size_t)sign * region_page_bytes(region); /* wraps as it should */

    region_stats.n_live += (size_t)sign;
    region_stats.bytes_live += n_bytes;
    if (region->traced)
        region_stats.bytes_traced += n_bytes;
    if (region->charged)
        region_bytes_charged += n_bytes;
    if (region_stats.n_live > region_stats.n_most_live)
        region_stats.n_most_live = region_stats.n_live;
    if (region_stats.bytes_live > region_stats.bytes_most_live)
        region_stats.bytes_most_live = region_stats.bytes_live;
}

/* ---- what the collector tells us ----------------------------------------- */

static struct region *region_on(const struct reservation *reservation)
{
    return reservation != NULL ? reservation->user : NULL;
}

static void block_is_unreached(void *block)
{
    struct reservation *reservation = registry_find(block);
    struct region *region = region_on(reservation);

    if (region == NULL || (region->state != LIVE && region->state != CLOSED) || region->n_pins > 0)
        return;
    if (reserve_is_reached(reservation)) {
        region_note_parts(region);
        return;
    }
    region_forget_parts(region);
    if (region->state == LIVE)
        region_count_live(region, -1);
    else
        region_stats.n_closed--;
    region_stats.bytes_dying += bytes_held(region);
    region_stats.n_dying++;
    if (region->by_handle) { /* no pointer leads to it any more */
        outside_remove(region->body.start);
        outside_unprepare();
    }
    region->state = DYING;
    region_hide(region);
    release_add(&region->body);
}

/* What is traced by default holds pointers only where it was written to. */
static unsigned pages_of(const struct region *region)
{
    return (region->charged ? ROOTS_PRIVATE : 0u) | (region->of_file ? ROOTS_MAY_FAULT : 0u) |
           ((region->growth != NULL && region->growth->resizing) || region->state != LIVE
                ? ROOTS_MAY_FAULT | ROOTS_MAY_GO
                : 0u) |
           (region->may_be_protected ? ROOTS_MAY_FAULT | ROOTS_PROTECTED : 0u);
}

/* What is to be scanned on a block; false: nothing. */
static bool find_contents(const void *block, struct roots_contents *contents)
{
    const struct region *region = region_on(registry_find(block));
    size_t from = 0, to, lead;

    /* While it is being closed too: closing may fail. */
    if (region == NULL || !region->traced || region->state == CLOSED || region->state == DYING)
        return false;
    to = region->body.n_covered;
    if (!region->by_handle) {
        reserve_find_part(region->body.at, block, &from, &to);
        lead = (size_t)(region->body.start - reservation_start(region->body.at));
        from = from > lead ? from - lead : 0;
        to = to > lead ? to - lead : 0;
        if (to > region->body.n_covered)
            to = region->body.n_covered;
    }
    *contents = (struct roots_contents){ region->body.start + from, to - from, pages_of(region) };
    return from < to;
}

struct block_visit {
    struct region_contents contents;
    region_visitor *fn;
    void *arg;
};

static void visit_words(const uintptr_t *words, size_t n_words, uintptr_t address, void *arg)
{
    struct block_visit *visit = arg;

    visit->contents.words = words;
    visit->contents.n_words = n_words;
    visit->contents.address = address;
    visit->fn(&visit->contents, visit->arg);
}

void region_visit_block(const void *block, region_visitor *fn, void *arg)
{
    struct block_visit visit = { .fn = fn, .arg = arg };
    const struct region *region = region_on(registry_find(block));
    struct roots_contents contents;

    if (region == NULL || !find_contents(block, &contents))
        return;
    visit.contents.data = region_data(region);
    visit.contents.n_bytes = region->n_bytes;
    roots_visit(&contents, visit_words, &visit);
}

static void mark_block(void *block, struct collector_marker *marker)
{
    const struct reservation *reservation = registry_find(block);
    const struct region *region = region_on(reservation);
    struct roots_contents contents;

    fault_hold(); /* the thread may be in the middle of a guard, and allocating */
    if (region != NULL && !region->by_handle)
        reserve_mark_neighbours(reservation, block, marker);
    if (find_contents(block, &contents))
        roots_scan(marker, block, &contents);
    fault_release();
}

static void ticket_called(size_t ticket, struct collector_marker *marker)
{
    fault_hold();
    roots_go_on(ticket, marker, find_contents);
    fault_release();
}

bool region_changes_unseen(const struct region *region)
{
    return region->traced && (region->by_handle || !region->charged);
}

bool region_is_watched(const struct region *region)
{
    return region->traced && !region->by_handle && collector_protects_traced_blocks();
}

static void look_again_at(struct reservation *reservation, void *marker)
{
    const struct region *region = region_on(reservation);

    if (region != NULL && region_changes_unseen(region))
        reservation_mark_again(reservation, marker);
}

static void look_again(struct collector_marker *marker)
{
    registry_each(look_again_at, marker);
}

/* ---- release -------------------------------------------------------------- */

static void *count_released(void *arg)
{
    for (struct body *body = arg; body != NULL; body = body->next) {
        region_stats.n_dying--;
        region_stats.n_released++;
        region_stats.bytes_dying -= bytes_held((struct region *)body);
    }
    return NULL;
}

struct region_news region_take_news(struct region *region)
{
    struct region_news news = {
        region->listener,
        { region_data(region), region->n_bytes, NULL, region->body.write_error },
    };

    region->listener = NULL;
    return news;
}

void region_free_listener(struct region_listener *listener)
{
    if (listener == NULL)
        return;
    free(listener->name);
    collector_free_root(listener);
}

void region_tell(const struct region_news *news)
{
    const struct region_listener *listener = news->listener;
    gcmmap_release release = news->release;
    gcmmap_guard *guards;

    if (listener == NULL)
        return;
    release.name = listener->name;
    guards = fault_set_aside();
    if (listener->adopted_released != NULL)
        listener->adopted_released(listener->adopted, release.size, listener->data);
    else if (listener->released != NULL)
        listener->released(&release, listener->data);
    fault_take_up(guards);
    region_free_listener(news->listener);
}

static void *hide(void *arg)
{
    region_hide(arg);
    return NULL;
}

void region_free_record(struct region *region)
{
    if (region->place != NULL)
        collector_locked(hide, region);
    region_close_file(region->file);
    free(region->file);
    free(region->growth);
    region_free_listener(region->listener);
    free(region->name);
    free(region->parts);
    free(region);
}

void region_drain(void)
{
    struct body *released = release_all();

    reserve_clean();
    region_drop_parts();
    if (released == NULL)
        return;
    collector_locked(count_released, released);
    for (struct body *next; released != NULL; released = next) {
        struct region *region = (struct region *)released;
        struct region_news news = region_take_news(region);

        next = released->next;
        TRACE_EVENT(release, region_data(region), region->n_bytes, region->flags, region->name,
                    region->mapped_by);
        region_free_record(region);
        region_tell(&news);
    }
}

static void *is_any_left(void *arg)
{
    return region_stats.n_live + region_stats.n_closed + region_stats.n_dying > 0 ||
                   reservation_total_bytes() > 0
               ? arg
               : NULL;
}

static bool is_anything_left(void)
{
    return collector_locked(is_any_left, &region_stats) != NULL;
}

static void *read_bytes_live(void *arg)
{
    *(size_t *)arg = region_stats.bytes_live;
    return NULL;
}

static void finalization_point(void)
{
    size_t bytes_live;

    region_drain();
    collector_locked(read_bytes_live, &bytes_live);
    reserve_trim_if_idle(bytes_live);
    pace_host(reservation_total_bytes());
}

static void after_fork_in_child(void)
{
    os_peek_protected_in_child();
    places_after_fork_in_child();
    region_policies_after_fork_in_child();
    region_budget_after_fork_in_child();
    region_finish_closing_in_child();
    release_after_fork_in_child();
    reserve_after_fork_in_child();
    pace_after_fork_in_child();
    collector_after_fork_in_child();
}

static void each_block(void (*fn)(void *block))
{
    registry_each_block(fn);
    roots_each_ticket(fn);
}

static void start_once(void)
{
    static const struct collector_hooks hooks = {
        .unreached = block_is_unreached,
        .mark = mark_block,
        .ticket_called = ticket_called,
        .ticket_idle = roots_forget,
        .look_again = look_again,
        .each_block = each_block,
        .finalization_point = finalization_point,
        .is_anything_left = is_anything_left,
    };

    region_catch_faults();
    collector_start(&hooks);
    pace_start();
    (void)os_on_fork_in_child(after_fork_in_child);
    trace_start(region_get_stats);
}

void region_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start_once);
}

static void *read_n_released(void *arg)
{
    *(size_t *)arg = region_stats.n_released;
    return arg;
}

static void *count_collection(void *arg)
{
    region_stats.n_collections += collector_cycle() != *(unsigned long *)arg;
    return NULL;
}

void region_collect_and_drain(void)
{
    unsigned long cycle = collector_cycle();

    collector_collect();
    collector_locked(count_collection, &cycle); /* the host may have switched it off */
    TRACE_PROBE1(collect, collector_cycle());
    if (trace_wants())
        trace_write_collection(collector_cycle());
    release_wait();
    region_drain();
}

size_t region_collect(void)
{
    size_t before, after;

    region_start();
    collector_locked(read_n_released, &before);
    region_collect_and_drain();
    collector_locked(read_n_released, &after);
    return after - before;
}

size_t region_trim(void)
{
    size_t n_bytes;

    region_start();
    n_bytes = reserve_trim();
    pace_host(reservation_total_bytes());
    return n_bytes;
}

static void *get_stats_locked(void *arg)
{
    gcmmap_stats *result = arg;
    struct reserve_stats reserved = reserve_get_stats();

    *result = region_stats;
    result->bytes_charged = region_bytes_charged;
    result->n_pooled = reserved.n_pooled;
    result->bytes_reserved = reserved.bytes_reserved;
    return NULL;
}

void region_get_stats(gcmmap_stats *result)
{
    collector_locked(get_stats_locked, result);
}
