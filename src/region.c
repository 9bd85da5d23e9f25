/*
 * region: states.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "region.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "collector.h"
#include "pace.h"
#include "registry.h"
#include "release.h"
#include "reserve.h"
#include "roots.h"

enum region_state { MAPPING, LIVE, CLOSING, CLOSED, UNMAPPING, DYING };

struct region {
    struct body body; /* first: a dead body's address is its region's */
    size_t head;
    size_t n_bytes;
    enum region_state state;
    unsigned n_closers;  /* threads at work in CLOSING ... */
    bool pages_are_gone; /* ... one of which was successful */
    bool traced;
    bool of_file;
    bool charged; /* private and writable: its pages cost memory */
};

/* All of these under the collector's lock. */
static gcmmap_stats stats;
static size_t bytes_charged_live;

static unsigned char *data_of(const struct region *region)
{
    return reservation_start(region->body.at) + region->head;
}

static size_t round_to_pages(size_t n_bytes)
{
    size_t page = os_page_size();

    return (n_bytes + page - 1) & ~(page - 1);
}

/* Bytes of the pages that were asked for. */
static size_t bytes_of(const struct region *region)
{
    return region->n_bytes == 0 ? 0 : round_to_pages(region->head + region->n_bytes);
}

/* Of these, what a dead region still holds: nothing if it was closed before. */
static size_t bytes_held(const struct region *region)
{
    return region->pages_are_gone ? 0 : bytes_of(region);
}

static void count_as_live(const struct region *region, ptrdiff_t sign)
{
    size_t n_bytes = (size_t)sign * bytes_of(region); /* wraps as it should */

    stats.n_live += (size_t)sign;
    stats.bytes_live += n_bytes;
    if (region->traced)
        stats.bytes_traced += n_bytes;
    if (region->charged)
        bytes_charged_live += n_bytes;
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

    if (region == NULL || (region->state != LIVE && region->state != CLOSED) ||
        reserve_is_reached(reservation))
        return;
    if (region->state == LIVE)
        count_as_live(region, -1);
    else
        stats.n_closed--;
    stats.bytes_dying += bytes_held(region);
    stats.n_dying++;
    region->state = DYING;
    release_add(&region->body);
}

static void mark_block(void *block, struct collector_marker *marker)
{
    const struct reservation *reservation = registry_find(block);
    const struct region *region = region_on(reservation);
    size_t from, to;

    /* While it is being closed too: closing may fail. */
    if (region == NULL || !region->traced || region->state == CLOSED || region->state == DYING)
        return;
    reserve_mark_row(reservation, block, marker, &from, &to);
    if (to > region->body.n_covered)
        to = region->body.n_covered;
    if (from < to)
        roots_scan(marker, reservation_start(reservation) + from, to - from,
                   region->of_file || region->state != LIVE);
}

/* ---- release -------------------------------------------------------------- */

static void *count_released(void *arg)
{
    for (struct body *body = arg; body != NULL; body = body->next) {
        stats.n_dying--;
        stats.n_released++;
        stats.bytes_dying -= bytes_held((struct region *)body);
    }
    return NULL;
}

static void drain(void)
{
    struct body *released = release_all();

    if (released == NULL)
        return;
    collector_locked(count_released, released);
    for (struct body *next; released != NULL; released = next) {
        next = released->next;
        free(released);
    }
}

static void *is_any_left(void *arg)
{
    return stats.n_live + stats.n_closed + stats.n_dying > 0 || reservation_total_bytes() > 0
               ? arg
               : NULL;
}

static bool is_anything_left(void)
{
    return collector_locked(is_any_left, &stats) != NULL;
}

static void *read_bytes_live(void *arg)
{
    *(size_t *)arg = stats.bytes_live;
    return NULL;
}

static void finalization_point(void)
{
    size_t bytes_live;

    drain();
    collector_locked(read_bytes_live, &bytes_live);
    reserve_trim_if_idle(bytes_live);
    pace_host(reservation_total_bytes());
}

static void after_fork_in_child(void)
{
    release_after_fork_in_child();
    reserve_after_fork_in_child();
    collector_after_fork_in_child();
}

static void start_once(void)
{
    static const struct collector_hooks hooks = { block_is_unreached, mark_block,
                                                  finalization_point, is_anything_left };

    collector_start(&hooks);
    (void)os_on_fork_in_child(after_fork_in_child);
}

static void start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start_once);
}

static void *read_n_released(void *arg)
{
    *(size_t *)arg = stats.n_released;
    return arg;
}

static void *count_collection(void *arg)
{
    stats.n_collections += collector_cycle() != *(unsigned long *)arg;
    return NULL;
}

static void collect_and_drain(void)
{
    unsigned long cycle = collector_cycle();

    collector_collect();
    collector_locked(count_collection, &cycle); /* the host may have switched it off */
    release_wait();
    drain();
}

size_t region_collect(void)
{
    size_t before, after;

    start();
    collector_locked(read_n_released, &before);
    collect_and_drain();
    collector_locked(read_n_released, &after);
    return after - before;
}

size_t region_trim(void)
{
    size_t n_bytes;

    start();
    n_bytes = reserve_trim();
    pace_host(reservation_total_bytes());
    return n_bytes;
}

/* ---- creation ------------------------------------------------------------- */

static void *is_collection_due(void *arg)
{
    struct pace_live live = { stats.n_live, stats.bytes_live, bytes_charged_live };

    return pace_is_due(&live) ? arg : NULL;
}

static void *set_live(void *arg)
{
    struct region *region = arg;

    region->state = LIVE;
    region->body.at->user = region;
    count_as_live(region, 1);
    stats.n_mapped++;
    pace_mapped(region->body.at->n_bytes, region->charged ? bytes_of(region) : 0);
    return NULL;
}

/*
 * A mapping that fills its whole reservation is one entry in the kernel's table of
 * mappings instead of two, and a quarter cheaper to make and release.  What lies behind
 * the bytes asked for is then more of the file, or SIGBUS behind its end.  Not where an
 * overrun could write: there it has to fault.
 */
static size_t bytes_to_cover(const struct region *region, const struct region_request *request)
{
    bool fill = region->of_file && request->mapping.direct &&
                !(request->mapping.access & GCMMAP_WRITE) && region->n_bytes != 0;

    return fill ? region->body.at->n_bytes : bytes_of(region);
}

static int try_to_map(struct region *region, const struct region_request *request)
{
    struct os_mapping mapping = request->mapping;
    int error = 0;

    /* One byte more than asked for: a pointer past the end must belong to us. */
    region->body.at =
        reserve_take(round_to_pages(region->head + region->n_bytes + 1), region->traced);
    if (region->body.at == NULL)
        return ENOMEM;
    if (region->traced && collector_protects_traced_blocks())
        mapping.access = (mapping.access & ~GCMMAP_WRITE) | GCMMAP_READ;
    region->body.n_covered = bytes_to_cover(region, request);
    if (region->body.n_covered != 0)
        error = os_map(reservation_start(region->body.at), region->body.n_covered, &mapping);
    if (error != 0)
        reserve_put_back(region->body.at);
    return error;
}

int region_create(const struct region_request *request, gcmmap_region **handle)
{
    struct region *region = calloc(1, sizeof *region);
    int error = ENOMEM;

    if (region == NULL)
        return error;
    start();
    region->head = request->head;
    region->n_bytes = request->n_bytes;
    region->traced = request->traced;
    region->of_file = request->mapping.fd >= 0;
    region->charged =
        (~request->mapping.access & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == 0; /* both are set */

    if (collector_locked(is_collection_due, region) != NULL)
        collect_and_drain();
    else
        drain();
    /* On shortage collect; and again, for what finalizers held in the first round. */
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            collect_and_drain();
        error = try_to_map(region, request);
        if (error != ENOMEM)
            break;
    }
    if (error != 0) {
        free(region);
        return error;
    }
    *handle = reservation_block(region->body.at); /* in sight before it can be found dead */
    collector_locked(set_live, region);
    pace_host_if_changed(reservation_total_bytes());
    collector_want_finalization_point();
    collector_keep(*handle);
    return 0;
}

/* ---- looking up ------------------------------------------------------------ */

/* What a user can name: neither found dead nor being unmapped; else NULL. */
static struct region *named(struct region *region)
{
    return region == NULL || region->state == UNMAPPING || region->state == DYING ? NULL : region;
}

static struct region *region_with(const gcmmap_region *handle)
{
    const struct reservation *reservation = handle != NULL ? registry_find(handle) : NULL;

    if (reservation == NULL || reservation_block(reservation) != (const void *)handle)
        return NULL;
    return named(reservation->user);
}

struct bytes_call {
    const gcmmap_region *handle;
    gcmmap_slice bytes;
    int error;
};

static void *bytes_locked(void *arg)
{
    struct bytes_call *call = arg;
    const struct region *region = region_with(call->handle);

    if (region == NULL)
        call->error = EINVAL;
    else if (region->state != LIVE)
        call->error = EBADF;
    else
        call->bytes = (gcmmap_slice){ data_of(region), region->n_bytes };
    return NULL;
}

int region_bytes(const gcmmap_region *handle, gcmmap_slice *bytes)
{
    struct bytes_call call = { .handle = handle };

    start();
    collector_locked(bytes_locked, &call);
    *bytes = call.bytes;
    return call.error;
}

static void *find_locked(void *arg)
{
    const unsigned char *pointer = arg;
    const void *block = collector_block_of(pointer);
    const struct reservation *reservation = block != NULL ? registry_find(block) : NULL;
    const struct region *region = named(region_on(reservation));

    if (region == NULL)
        return NULL;
    if (pointer != reservation_block(reservation) &&
        (pointer < data_of(region) || pointer > data_of(region) + region->n_bytes))
        return NULL;
    return reservation_block(reservation);
}

gcmmap_region *region_of(const void *pointer)
{
    start();
    return collector_locked(find_locked, (void *)pointer);
}

/* ---- closing ---------------------------------------------------------------- */

struct close_call {
    gcmmap_region *handle;
    struct region *region;
    bool for_good; /* unmap_now */
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
            count_as_live(region, -1);
        else
            stats.n_closed--;
        region->state = UNMAPPING;
        call->region = region;
    } else if (region->state != CLOSED) {
        /* Several at once do the same work, so that none has to wait for another. */
        if (region->state == LIVE)
            count_as_live(region, -1);
        region->state = CLOSING;
        region->n_closers++;
        call->region = region;
    }
    return NULL;
}

static void *end_close(void *arg)
{
    struct close_call *call = arg;
    struct region *region = call->region;

    if (call->for_good && call->error == 0) {
        stats.n_unmapped_now++;
        pace_unmapped(region->body.at->n_bytes, region->charged ? bytes_of(region) : 0);
        reserve_put(region->body.at);
        return NULL;
    }
    if (!call->for_good) {
        region->pages_are_gone |= call->error == 0;
        if (--region->n_closers > 0)
            return NULL;
    }
    if (region->pages_are_gone) {
        region->state = CLOSED;
        region->body.n_covered = 0;
        stats.n_closed++;
    } else {
        region->state = LIVE;
        count_as_live(region, 1);
    }
    return NULL;
}

static int close_now(gcmmap_region *handle, bool for_good)
{
    struct close_call call = { .handle = handle, .for_good = for_good };

    start();
    collector_locked(begin_close, &call);
    if (call.region == NULL)
        return call.error;
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            collect_and_drain();
        call.error =
            call.region->body.n_covered == 0
                ? 0
                : os_vacate(reservation_start(call.region->body.at), call.region->body.n_covered);
        if (call.error != ENOMEM)
            break;
    }
    collector_locked(end_close, &call);
    if (for_good && call.error == 0)
        free(call.region);
    collector_keep(handle);
    return call.error;
}

int region_close(gcmmap_region *handle)
{
    return close_now(handle, false);
}

int region_unmap_now(gcmmap_region *handle)
{
    return close_now(handle, true);
}

static void *get_stats_locked(void *arg)
{
    gcmmap_stats *result = arg;
    struct reserve_stats reserved = reserve_get_stats();

    *result = stats;
    result->n_pooled = reserved.n_pooled;
    result->bytes_reserved = reserved.bytes_reserved;
    return NULL;
}

void region_get_stats(gcmmap_stats *result)
{
    collector_locked(get_stats_locked, result);
}
