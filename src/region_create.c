/*
 * region_create: from a request to a live region.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "os_look.h"
#include "outside.h"
#include "pace.h"
#include "region_record.h"
#include "reserve.h"
#include "roots.h"
#include "trace.h"

/* More than so many bytes that can be written to are followed by a page that cannot. */
#define FENCED_LEAST ((size_t)32 << 10)

static uint64_t last_id; /* lock */

static size_t round_to_pages(size_t n_bytes)
{
    size_t page = os_page_size();

    return (n_bytes + page - 1) & ~(page - 1);
}

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
    /*
     * The latch has marked it, and marks stay in incremental mode: what is in its pages already
     * would be looked at by the next whole collection only.
     */
    if (region->traced && collector_is_incremental())
        reservation_unmark(region->body.at);
    region_limit_filling(region, region_page_bytes(region));
    region_show(region);
    if (region->by_handle)
        outside_add(region->body.start, region->body.n_outside, region);
    region_count_live(region, 1);
    region_stats.n_mapped++;
    region_stats.bytes_mapped += region_page_bytes(region);
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
    const unsigned not_these = GCMMAP_WRITE | GCMMAP_POPULATE | GCMMAP_LOCK | GCMMAP_GUARDED;
    bool fill = request->mapping.fd >= 0 && request->mapping.direct && request->room == 0 &&
                !(request->mapping.flags & not_these) && region->n_bytes != 0;

    return fill ? (size_t)(reservation_end(region->body.at) - region->body.start)
                : region_page_bytes(region);
}

static unsigned char *align(unsigned char *start, size_t alignment, size_t phase)
{
    return start + ((phase - (uintptr_t)start) & (alignment - 1));
}

static size_t guard_bytes(const struct region *region)
{
    return region->flags & GCMMAP_GUARDED ? os_page_size() : 0;
}

/*
 * Addresses for n_bytes and what comes behind: one byte at least, since a pointer past the end
 * must belong to us.  A page, inaccessible, where overruns could write and it costs nothing: a
 * small region's neighbours would take one entry in the kernel's table with it.
 */
static size_t bytes_inside(const struct region *region, size_t n_bytes)
{
    size_t page = os_page_size(), guard = guard_bytes(region);
    bool is_fenced = guard != 0 || ((region->flags & GCMMAP_WRITE) && n_bytes > FENCED_LEAST);

    return is_fenced ? guard + round_to_pages(n_bytes) + page : round_to_pages(n_bytes + 1);
}

/* From the first page, with the room to grow. */
static size_t total_bytes(const struct region_request *request)
{
    return request->head + (request->n_bytes > request->room ? request->n_bytes : request->room);
}

/* Protects first: what has been moved may find no way back. */
static int take_over(struct region *region, const struct region_request *request)
{
    const struct body *body = &region->body;
    unsigned flags = region_map_flags(region);
    bool protect = flags != region->flags;
    int error = protect ? os_protect(request->adopted, body->n_covered, flags) : 0;

    if (error == 0)
        error = os_move(body->start, request->adopted, body->n_covered);
    if (error != 0 && protect)
        (void)os_protect(request->adopted, body->n_covered, region->flags);
    return error;
}

/* Pages on blocks, where every pointer counts. */
static int map_inside(struct region *region, const struct region_request *request,
                      const struct os_mapping *mapping, size_t n_bytes)
{
    struct body *body = &region->body;
    size_t page = os_page_size(), alignment = request->alignment > page ? request->alignment : page;

    body->at = reserve_take(bytes_inside(region, n_bytes) + alignment - page, region->traced);
    if (body->at == NULL)
        return ENOMEM;
    body->start =
        align(reservation_start(body->at) + guard_bytes(region), alignment, request->phase);
    body->n_covered = bytes_to_cover(region, request);
    if (request->adopted != NULL)
        return take_over(region, request);
    return body->n_covered != 0 ? os_map(body->start, body->n_covered, mapping) : 0;
}

/* In inaccessible pages, some of which are left. */
static int map_within(const struct body *body, const struct region_request *request,
                      const struct os_mapping *mapping, void **start)
{
    size_t n_before = body->is_guarded ? os_page_size() : 0, n = n_before + body->n_outside;
    void *first = NULL;
    int error = request->address != NULL
                    ? os_set_aside_at((char *)request->address - n_before, n, &first)
                    : os_set_aside(n, request->alignment, request->phase - n_before, &first);

    if (error != 0)
        return error;
    *start = (char *)first + n_before;
    if (body->n_covered != 0)
        error = os_map(*start, body->n_covered, mapping);
    if (error != 0)
        (void)os_unmap(first, n);
    return error;
}

/* Pages anywhere; the handle is a block of its own, on which nothing is mapped. */
static int map_outside(struct region *region, const struct region_request *request,
                       const struct os_mapping *mapping, size_t n_bytes)
{
    struct body *body = &region->body;
    void *start = NULL;
    int error = 0;

    body->at = reserve_take(os_page_size(), region->traced);
    if (body->at == NULL)
        return ENOMEM;
    body->is_guarded = guard_bytes(region) != 0;
    body->n_covered = region_page_bytes(region);
    body->n_outside = round_to_pages(n_bytes) + guard_bytes(region);
    if (request->adopted != NULL)
        start = request->adopted;
    else if (body->n_outside == body->n_covered && request->alignment == 0 && !request->address)
        error = os_map_anywhere(body->n_covered, mapping, &start);
    else
        error = map_within(body, request, mapping, &start);
    body->start = start;
    return error;
}

unsigned region_map_flags(const struct region *region)
{
    return region_is_watched(region) ? (region->flags & ~GCMMAP_WRITE) | GCMMAP_READ
                                     : region->flags;
}

/*
 * bdwgc's write protection goes by small pages, and would end the process on huge ones.  It makes
 * any page of its heap accessible that is touched.
 */
static bool is_refused_by_collector(const struct region *region,
                                    const struct region_request *request)
{
    bool is_affected = (request->page != 0 && region->traced) || guard_bytes(region) != 0;

    if (!collector_lets_us_live())
        return true;
    return is_affected && !region->by_handle && collector_protects_traced_blocks();
}

static int try_to_map(struct region *region, const struct region_request *request)
{
    struct os_mapping mapping = request->mapping;
    size_t n_bytes = total_bytes(request);
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

static int prepare_growth(struct region *region, const struct region_request *request)
{
    region->growth = calloc(1, sizeof *region->growth);
    if (region->growth == NULL)
        return ENOMEM;
    region->growth->n_bytes_next = region->n_bytes;
    region->growth->room = request->room > region->n_bytes ? request->room : region->n_bytes;
    return 0;
}

static int prepare_news(struct region *region, const struct region_request *request)
{
    struct region_listener listener = { .data = request->data,
                                        .released = request->released,
                                        .adopted_released = request->adopted_released,
                                        .adopted = request->adopted };

    if (region->name != NULL && (listener.name = strdup(region->name)) == NULL)
        return ENOMEM;
    region->listener = collector_new_root(&listener, sizeof listener);
    if (region->listener == NULL)
        free(listener.name);
    return region->listener != NULL ? 0 : ENOMEM;
}

static int keep_name(struct region *region, const struct region_request *request)
{
    if (request->name != NULL)
        region->name = strdup(request->name);
    return request->name != NULL && region->name == NULL ? ENOMEM : 0;
}

/* What can be had before there are pages.  Undone by region_free_record(). */
static int prepare(struct region *region, const struct region_request *request)
{
    bool has_policy = (request->mapping.flags & GCMMAP_ZERO_FILL) || request->truncated != NULL;
    int error;

    region->body.writes_back = (region->flags & GCMMAP_WRITE_BACK) != 0;
    error = keep_name(region, request);
    if (error == 0 && (request->released != NULL || request->adopted_released != NULL ||
                       (request->truncated != NULL && request->data != NULL)))
        error = prepare_news(region, request);
    if (error == 0 && request->room != 0)
        error = prepare_growth(region, request);
    /* The caller may close it at once. */
    if (error == 0 && (has_policy || request->room != 0) && request->mapping.fd >= 0)
        error = region_keep_file(region, request->mapping.fd, request->mapping.offset);
    if (error == 0 && has_policy)
        region_begin_policy(region, request);
    if (error == 0 && (region->flags & GCMMAP_PARTIAL))
        error = region_prepare_parts(region, total_bytes(request));
    if (error == 0 && (region->place = places_new()) == NULL)
        error = ENOMEM;
    if (error == 0 && region->by_handle)
        error = outside_prepare();
    return error;
}

static struct region *new_record(const struct region_request *request)
{
    struct region *region = calloc(1, sizeof *region);

    if (region == NULL)
        return NULL;
    region->head = (uint32_t)request->head;
    region->n_bytes = request->n_bytes;
    region->page = (uint32_t)(request->page != 0 ? request->page : os_page_size());
    region->flags = request->mapping.flags;
    region->traced = request->traced;
    region->of_file = request->of_file;
    region->mapped_by = request->caller;
    region->mapped_at = os_milliseconds();
    region->offset = request->mapping.offset + (off_t)request->head;
    region->charged = (~region->flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == 0; /* both are set */
    /* Nothing to point into: then the handle's block will do. */
    region->by_handle =
        (region->flags & GCMMAP_BY_HANDLE) != 0 && (request->n_bytes != 0 || request->room != 0);
    return region;
}

static struct region_budget need_of(const struct region *region)
{
    size_t n_bytes = region_page_bytes(region);

    return (struct region_budget){ 1, n_bytes, region->charged ? n_bytes : 0 };
}

/* On shortage collects; and again, for what finalizers held in the first round. */
static int map_or_collect(struct region *region, const struct region_request *request,
                          struct region_budget *more)
{
    int error = ENOMEM;

    if (collector_locked(is_collection_due, region) != NULL)
        region_collect_and_drain();
    else
        region_drain();
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            region_collect_and_drain();
        if (n_collections == 2 && region->body.at == NULL)
            (void)reserve_trim(); /* there are addresses for regions of other sizes */
        *more = need_of(region);
        error = region_budget_begin(more);
        if (error == 0) {
            error = try_to_map(region, request);
            if (error == 0)
                return 0; /* the budget is the caller's to end: when the region is counted */
            region_budget_end(more);
        }
        if (error != ENOMEM && error != EDQUOT)
            break;
    }
    return error;
}

static void *unprepare(void *arg)
{
    outside_unprepare();
    return arg;
}

struct adoption {
    const unsigned char *start;
    size_t n_bytes;
    bool is_ours;
};

static void *look_for_ours(void *arg)
{
    struct adoption *adoption = arg;
    size_t page = os_page_size();

    adoption->is_ours = outside_overlaps(adoption->start, adoption->n_bytes);
    for (size_t at = 0; at < adoption->n_bytes && !adoption->is_ours; at += page)
        adoption->is_ours = collector_owns(adoption->start + at);
    return NULL;
}

int region_may_adopt(const void *start, size_t n_bytes)
{
    struct adoption adoption = { start, n_bytes, false };

    region_start();
    collector_locked(look_for_ours, &adoption);
    return adoption.is_ours ? EINVAL : 0;
}

static void *count_failure(void *arg)
{
    region_stats.n_failed++;
    return arg;
}

int region_create(const struct region_request *request, gcmmap_region **handle)
{
    struct region_budget more;
    struct region *region;
    int error;

    region_start();
    region = new_record(request);
    if (region == NULL)
        return ENOMEM;
    if (region->traced)
        roots_start();
    if (region_changes_unseen(region) && !collector_look_again()) {
        region_free_record(region);
        return ENOMEM;
    }
    error = is_refused_by_collector(region, request) ? ENOTSUP : prepare(region, request);
    if (error == 0) {
        error = map_or_collect(region, request, &more);
        if (error != 0 && region->by_handle)
            collector_locked(unprepare, NULL);
    }
    if (error != 0) {
        if (error == ENOMEM || error == EDQUOT)
            collector_locked(count_failure, NULL);
        region_free_record(region);
        return error;
    }
    *handle = reservation_block(region->body.at); /* in sight before it can be found dead */
    collector_locked(set_live, region);
    region_budget_end(&more);
    pace_host_if_changed(reservation_total_bytes());
    collector_want_finalization_point();
    TRACE_EVENT(map, region_data(region), region->n_bytes, region->flags, region->name,
                region->mapped_by);
    collector_keep(*handle);
    return 0;
}
