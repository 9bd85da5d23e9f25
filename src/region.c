/*
 * region: states.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "region_record.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "outside.h"
#include "pace.h"
#include "registry.h"
#include "reserve.h"
#include "roots.h"

/* All of these under the collector's lock. */
gcmmap_stats region_stats;
size_t region_bytes_charged;
static uint64_t last_id;

static size_t round_to_pages(size_t n_bytes)
{
    size_t page = os_page_size();

    return (n_bytes + page - 1) & ~(page - 1);
}

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
        region->n_pins > 0 || reserve_is_reached(reservation))
        return;
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
    release_add(&region->body);
}

/* What is traced by default holds pointers only where it was written to. */
static unsigned pages_of(const struct region *region)
{
    return (region->charged ? ROOTS_PRIVATE : 0u) |
           (region->of_file || region->resizing || region->state != LIVE ? ROOTS_MAY_FAULT : 0u) |
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

static void mark_block(void *block, struct collector_marker *marker)
{
    const struct reservation *reservation = registry_find(block);
    const struct region *region = region_on(reservation);
    struct roots_contents contents;

    if (region != NULL && !region->by_handle)
        reserve_mark_neighbours(reservation, block, marker);
    if (find_contents(block, &contents))
        roots_scan(marker, block, &contents);
}

static void ticket_called(size_t ticket, struct collector_marker *marker)
{
    roots_go_on(ticket, marker, find_contents);
}

void region_free(struct region *region)
{
    free(region->name);
    free(region);
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

void region_tell_released(struct region *region)
{
    gcmmap_release release = { region_data(region), region->n_bytes, region->body.write_error };
    void **root = region->released_data, *data;

    if (root == NULL)
        return;
    data = *root;
    region->released_data = NULL;
    collector_free_root(root);
    region->released(&release, data);
}

void region_drain(void)
{
    struct body *released = release_all();

    if (released == NULL)
        return;
    collector_locked(count_released, released);
    for (struct body *next; released != NULL; released = next) {
        struct region *region = (struct region *)released;

        next = released->next;
        region_close_file(region->fd, &region->file);
        region_tell_released(region);
        region_free(region);
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
    region_finish_closing_in_child();
    release_after_fork_in_child();
    reserve_after_fork_in_child();
    collector_after_fork_in_child();
}

static void start_once(void)
{
    static const struct collector_hooks hooks = {
        .unreached = block_is_unreached,
        .mark = mark_block,
        .ticket_called = ticket_called,
        .ticket_idle = roots_forget,
        .finalization_point = finalization_point,
        .is_anything_left = is_anything_left,
    };

    collector_start(&hooks);
    (void)os_on_fork_in_child(after_fork_in_child);
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

/* ---- creation ------------------------------------------------------------- */

static void *is_collection_due(void *arg)
{
    struct pace_live live = { region_stats.n_live, region_stats.bytes_live, region_bytes_charged };

    return pace_is_due(&live) ? arg : NULL;
}

static void *set_live(void *arg)
{
    struct region *region = arg;

    region->state = LIVE;
    region->id = ++last_id;
    region->body.at->user = region;
    if (region->by_handle)
        outside_add(region->body.start, region->body.n_outside, region);
    region_count_live(region, 1);
    region_stats.n_mapped++;
    pace_mapped(region->body.at->n_bytes, region->charged ? region_page_bytes(region) : 0);
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
    /* What would have to be read in at once is no more than was asked for. */
    const unsigned not_these = GCMMAP_WRITE | GCMMAP_POPULATE | GCMMAP_LOCK;
    bool fill = region->of_file && request->mapping.direct && request->room == 0 &&
                !(request->mapping.flags & not_these) && region->n_bytes != 0;

    return fill ? (size_t)(reservation_end(region->body.at) - region->body.start)
                : region_page_bytes(region);
}

static unsigned char *align(unsigned char *start, size_t alignment, size_t phase)
{
    return start + ((phase - (uintptr_t)start) & (alignment - 1));
}

/* Pages on blocks, where every pointer counts. */
static int map_inside(struct region *region, const struct region_request *request,
                      const struct os_mapping *mapping, size_t n_bytes)
{
    struct body *body = &region->body;
    size_t page = os_page_size(), alignment = request->alignment > page ? request->alignment : page;

    /* One byte more than asked for: a pointer past the end must belong to us. */
    body->at = reserve_take(round_to_pages(n_bytes + 1) + alignment - page, region->traced);
    if (body->at == NULL)
        return ENOMEM;
    body->start = align(reservation_start(body->at), alignment, request->phase);
    body->n_covered = bytes_to_cover(region, request);
    return body->n_covered != 0 ? os_map(body->start, body->n_covered, mapping) : 0;
}

/* Pages anywhere; the handle is a block of its own, on which nothing is mapped. */
static int map_outside(struct region *region, const struct region_request *request,
                       const struct os_mapping *mapping, size_t n_bytes)
{
    struct body *body = &region->body;
    void *start = NULL;
    int error;

    body->at = reserve_take(os_page_size(), region->traced);
    if (body->at == NULL)
        return ENOMEM;
    body->n_covered = region_page_bytes(region);
    body->n_outside = round_to_pages(n_bytes);
    if (body->n_outside == body->n_covered && request->alignment == 0 && !request->address) {
        error = os_map_anywhere(body->n_covered, mapping, &start);
    } else {
        error = request->address != NULL
                    ? os_set_aside_at(request->address, body->n_outside, &start)
                    : os_set_aside(body->n_outside, request->alignment, request->phase, &start);
        if (error == 0 && body->n_covered != 0)
            error = os_map(start, body->n_covered, mapping);
        if (error != 0 && start != NULL)
            os_unmap(start, body->n_outside);
    }
    body->start = start;
    return error;
}

unsigned region_map_flags(const struct region *region)
{
    bool protect = region->traced && collector_protects_traced_blocks();

    return protect ? (region->flags & ~GCMMAP_WRITE) | GCMMAP_READ : region->flags;
}

/* bdwgc's write protection goes by small pages, and would end the process on huge ones. */
static bool is_refused_by_collector(const struct region *region,
                                    const struct region_request *request)
{
    return request->page != 0 && region->traced && !region->by_handle &&
           collector_protects_traced_blocks();
}

static int try_to_map(struct region *region, const struct region_request *request)
{
    struct os_mapping mapping = request->mapping;
    size_t n_bytes =
        region->head + (region->n_bytes > request->room ? region->n_bytes : request->room);
    int error;

    if (request->page != 0)
        n_bytes = (n_bytes + request->page - 1) & ~(request->page - 1);
    mapping.flags = region_map_flags(region);
    mapping.name = region->name;
    region->body.at = NULL;
    error = region->by_handle ? map_outside(region, request, &mapping, n_bytes)
                              : map_inside(region, request, &mapping, n_bytes);
    if (error != 0 && region->body.at != NULL)
        reserve_put_back(region->body.at);
    return error;
}

static bool prepare_release(struct region *region, const struct region_request *request)
{
    region->body.writes_back = (region->flags & GCMMAP_WRITE_BACK) != 0;
    region->released = request->released;
    if (request->released != NULL)
        region->released_data = collector_new_root(request->data);
    return request->released == NULL || region->released_data != NULL;
}

/* Growing needs the file, which the caller may close at once. */
static int keep_file(struct region *region, const struct region_request *request)
{
    int error;

    if (request->room == 0)
        return 0;
    region->room = request->room > region->n_bytes ? request->room : region->n_bytes;
    region->offset = request->mapping.offset;
    if (!region->of_file)
        return 0;
    error = os_describe(request->mapping.fd, &region->file);
    return error != 0 ? error : os_duplicate(request->mapping.fd, &region->fd);
}

static void free_record(struct region *region)
{
    region_close_file(region->fd, &region->file);
    if (region->released_data != NULL)
        collector_free_root(region->released_data);
    region_free(region);
}

static int keep_name(struct region *region, const struct region_request *request)
{
    if (request->name != NULL)
        region->name = strdup(request->name);
    return request->name != NULL && region->name == NULL ? ENOMEM : 0;
}

static struct region *new_record(const struct region_request *request)
{
    struct region *region = calloc(1, sizeof *region);

    if (region == NULL)
        return NULL;
    region->head = request->head;
    region->n_bytes = region->n_bytes_next = request->n_bytes;
    region->fd = -1;
    region->page = request->page != 0 ? request->page : os_page_size();
    region->flags = request->mapping.flags;
    region->traced = request->traced;
    region->of_file = request->mapping.fd >= 0;
    region->charged = (~region->flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == 0; /* both are set */
    /* Nothing to point into: then the handle's block will do. */
    region->by_handle =
        (region->flags & GCMMAP_BY_HANDLE) != 0 && (request->n_bytes != 0 || request->room != 0);
    /* Which pages change between two steps of a collection bdwgc sees in its heap only. */
    if (region->traced && collector_is_incremental())
        region->by_handle = false;
    return region;
}

/* On shortage collects; and again, for what finalizers held in the first round. */
static int map_or_collect(struct region *region, const struct region_request *request)
{
    int error = ENOMEM;

    if (collector_locked(is_collection_due, region) != NULL)
        region_collect_and_drain();
    else
        region_drain();
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            region_collect_and_drain();
        error = try_to_map(region, request);
        if (error != ENOMEM)
            break;
    }
    return error;
}

static void *unprepare(void *arg)
{
    outside_unprepare();
    return arg;
}

int region_create(const struct region_request *request, gcmmap_region **handle)
{
    struct region *region;
    int error;

    region_start();
    region = new_record(request);
    if (region == NULL)
        return ENOMEM;
    if (region->traced)
        roots_start();
    error = is_refused_by_collector(region, request) ? ENOTSUP : keep_file(region, request);
    if (error == 0)
        error = keep_name(region, request);
    if (error == 0 && !prepare_release(region, request))
        error = ENOMEM;
    if (error == 0 && (!region->by_handle || (error = outside_prepare()) == 0)) {
        error = map_or_collect(region, request);
        if (error != 0 && region->by_handle)
            collector_locked(unprepare, NULL);
    }
    if (error != 0) {
        free_record(region);
        return error;
    }
    *handle = reservation_block(region->body.at); /* in sight before it can be found dead */
    collector_locked(set_live, region);
    pace_host_if_changed(reservation_total_bytes());
    collector_want_finalization_point();
    collector_keep(*handle);
    return 0;
}

static void *get_stats_locked(void *arg)
{
    gcmmap_stats *result = arg;
    struct reserve_stats reserved = reserve_get_stats();

    *result = region_stats;
    result->n_pooled = reserved.n_pooled;
    result->bytes_reserved = reserved.bytes_reserved;
    return NULL;
}

void region_get_stats(gcmmap_stats *result)
{
    collector_locked(get_stats_locked, result);
}
