/*
 * region_grow: changes of a region's size, inside the addresses set aside for it.
 *
 *      start      data                                              data + room
 *        v         v                                                     v
 *        +---------+-----------------------------+------+----------------+---+
 *        | head    | n_bytes                     |      | inaccessible   |   |
 *        +---------+-----------------------------+------+----------------+---+
 *        |<------------ n_covered: mapped ------------->|
 *
 * Pages change with no lock held, in a region that is pinned and marked as `resizing`:
 * closing waits, the marker expects pages to be missing, a second change of size waits for
 * the first.  They are counted, under the lock, when they are there, and until they are gone.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "collector.h"
#include "pace.h"
#include "region_record.h"

struct resize {
    gcmmap_region *handle;
    size_t n_bytes; /* what the caller wants */
    struct region *region;
    int error;
};

/* ---- under the lock ------------------------------------------------------------ */

static void *begin(void *arg)
{
    struct resize *call = arg;
    struct region *region = region_with(call->handle);

    call->error = region == NULL             ? EINVAL
                  : region->state != LIVE    ? EBADF
                  : region->growth == NULL   ? ENOTSUP
                  : region->growth->resizing ? EBUSY
                                             : 0;
    if (call->error != 0)
        return NULL;
    region->growth->resizing = true;
    region->n_pins++;
    call->region = region;
    return NULL;
}

static void *end(void *arg)
{
    struct region *region = arg;

    region->growth->n_bytes_next = region->n_bytes;
    region->growth->resizing = false;
    region->n_pins--;
    return NULL;
}

/* It may be in the hands of one who closes it, and is then not counted as live. */
static void set_size(struct region *region, size_t n_bytes)
{
    size_t n_covered = region_page_bytes_for(region, n_bytes);
    bool live = region->state == LIVE;

    if (live)
        region_count_live(region, -1);
    if (region->charged && n_covered > region->body.n_covered)
        pace_grown(n_covered - region->body.n_covered);
    region->n_bytes = n_bytes;
    region->body.n_covered = n_covered;
    region_limit_filling(region, n_covered);
    if (live)
        region_count_live(region, 1);
}

static void *commit(void *arg)
{
    struct resize *call = arg;

    set_size(call->region, call->n_bytes);
    return NULL;
}

static void *announce(void *arg)
{
    struct resize *call = arg;

    call->region->growth->n_bytes_next = call->n_bytes;
    return NULL;
}

/* ---- the file ------------------------------------------------------------------- */

static bool stores_reach_file(const struct region *region)
{
    return region->of_file && (region->flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == GCMMAP_WRITE;
}

/* Where in the file the first n_bytes end; more than an off_t holds, perhaps. */
static uintmax_t end_in_file(const struct region *region, size_t n_bytes)
{
    return (region->file != NULL ? (uintmax_t)region->file->offset : 0) + region->head + n_bytes;
}

/* ---- pages; lock not held --------------------------------------------------------- */

static unsigned char *pages_behind(const struct region *region, size_t n_bytes, size_t *n_behind)
{
    size_t n_kept = region_page_bytes_for(region, n_bytes);

    *n_behind = region->body.n_covered - n_kept;
    return region->body.start + n_kept;
}

/* The kernel may have no map slot for that: then closing tries again. */
static void vacate_pages(struct region *region, size_t from, size_t to)
{
    if (from < to && os_vacate(region->body.start + from, to - from) != 0)
        region->body.has_strays = true;
}

/* The pages [from, to) of the region; end: how long the file has to be then, or 0. */
static int map_pages(struct region *region, size_t from, size_t to, uintmax_t end)
{
    const struct region_file *file = region->file;
    struct os_mapping mapping = { .fd = -1,
                                  .name = region->name,
                                  .flags = region_map_flags(region) };
    int error;

    if (file != NULL) {
        mapping.fd = file->fd;
        mapping.offset = file->offset + (off_t)from;
        mapping.direct = file->then.type == OS_FILE_REGULAR;
        mapping.end = (off_t)end;
    }
    if (from == to)
        return end != 0 ? os_grow_file(mapping.fd, mapping.end, NULL) : 0;
    error = os_map(region->body.start + from, to - from, &mapping);
    if (error != 0)
        vacate_pages(region, from, to);
    return error;
}

static int grow(struct resize *call, bool grow_file)
{
    struct region *region = call->region;
    size_t from = region->body.n_covered, to = region_page_bytes_for(region, call->n_bytes);
    uintmax_t end_wanted = end_in_file(region, call->n_bytes);
    struct os_file file = { .type = OS_FILE_DEVICE };
    int error = region->of_file ? region_look_at(region->file, &file) : 0;
    bool is_short = file.type == OS_FILE_REGULAR && (uintmax_t)file.size < end_wanted;
    struct region_budget more = { 0, to - from, region->charged ? to - from : 0 };

    if (error != 0)
        return error;
    if (is_short && !grow_file)
        return ENXIO;
    if (region->of_file && !os_is_offset(end_wanted + os_page_size()))
        return EFBIG;
    error = region_budget_begin(&more);
    if (error != 0)
        return error;
    error = map_pages(region, from, to, is_short ? end_wanted : 0);
    if (error == 0)
        collector_locked(commit, call);
    region_budget_end(&more);
    return error;
}

static int cut_file(struct region *region, size_t n_bytes)
{
    size_t from = region_page_bytes_for(region, n_bytes);
    int error = os_cut_file(region->file->fd, (off_t)end_in_file(region, n_bytes));

    if (error != 0)
        (void)map_pages(region, from, region->body.n_covered, 0);
    return error;
}

static void *is_pinned_by_others(void *arg)
{
    return ((struct region *)arg)->n_pins > 1 ? arg : NULL;
}

static int shrink(struct resize *call, bool cut)
{
    struct region *region = call->region;
    size_t n_behind;
    unsigned char *behind = pages_behind(region, call->n_bytes, &n_behind);
    bool may_come_back = cut && region->traced; /* and what they hold must be there then */
    int error = 0;

    collector_locked(announce, call);
    /* From now on nobody gets a pin; those under way may be on the pages that go. */
    while (collector_locked(is_pinned_by_others, call->region) != NULL)
        os_yield();
    region_stop_filling(call->region, region->body.n_covered - n_behind);
    if (region->body.writes_back && !cut)
        error = os_sync(behind, n_behind, GCMMAP_SYNC);
    if (may_come_back)
        collector_pause(true);
    if (error == 0 && n_behind != 0)
        error = os_vacate(behind, n_behind);
    if (error == 0 && cut)
        error = cut_file(region, call->n_bytes);
    if (may_come_back)
        collector_pause(false);
    if (error == 0)
        collector_locked(commit, call);
    else
        region_limit_filling(call->region, region->body.n_covered);
    return error;
}

/* What another thread was adding goes; what it was revoking goes too. */
void region_finish_resizing_in_child(struct region *region)
{
    size_t n_all;

    if (region->growth == NULL || !region->growth->resizing)
        return;
    n_all = region_page_bytes_for(region, region->growth->room);
    region->growth->resizing = false;
    if (region->growth->n_bytes_next < region->n_bytes)
        set_size(region, region->growth->n_bytes_next);
    region->growth->n_bytes_next = region->n_bytes;
    region_limit_filling(region, region->body.n_covered);
    vacate_pages(region, region->body.n_covered, n_all);
}

/* ---- the three changes --------------------------------------------------------------- */

static int extend(struct resize *call)
{
    if (call->n_bytes <= call->region->n_bytes)
        return 0; /* perhaps another thread was faster */
    return call->n_bytes > call->region->growth->room ? ERANGE
                                                      : grow(call, stores_reach_file(call->region));
}

/* Never cuts off what the region does not show. */
static int truncate_to(struct resize *call)
{
    const struct region *region = call->region;
    struct os_file file = { .type = OS_FILE_DEVICE };
    bool cut = false;
    int error;

    if (call->n_bytes >= region->n_bytes)
        return call->n_bytes > region->n_bytes ? ERANGE : 0;
    if (stores_reach_file(region)) {
        error = region_look_at(region->file, &file);
        if (error != 0)
            return error;
        cut = file.type == OS_FILE_REGULAR &&
              (uintmax_t)file.size <= end_in_file(region, region->n_bytes) &&
              (uintmax_t)file.size > end_in_file(region, call->n_bytes);
    }
    return shrink(call, cut);
}

static int refresh(struct resize *call)
{
    const struct region *region = call->region;
    uintmax_t first = end_in_file(region, 0), n_bytes;
    struct os_file file;
    int error = region->of_file ? region_look_at(region->file, &file) : EINVAL;

    if (error != 0)
        return error;
    if (file.type != OS_FILE_REGULAR)
        return EINVAL;
    n_bytes = (uintmax_t)file.size > first ? (uintmax_t)file.size - first : 0;
    call->n_bytes = n_bytes < region->growth->room ? (size_t)n_bytes : region->growth->room;
    if (call->n_bytes == region->n_bytes)
        return 0;
    return call->n_bytes > region->n_bytes ? grow(call, false) : shrink(call, false);
}

static int resize_once(gcmmap_region *handle, size_t n_bytes, int (*change)(struct resize *))
{
    struct resize call = { .handle = handle, .n_bytes = n_bytes };
    int error;

    for (;;) {
        collector_locked(begin, &call);
        if (call.error != EBUSY)
            break;
        os_yield();
    }
    if (call.error != 0)
        return call.error;
    error = change(&call);
    collector_locked(end, call.region);
    return error;
}

/* Collects with nothing in hand: finalizers run then, and may do the same. */
static int resize(gcmmap_region *handle, size_t n_bytes, int (*change)(struct resize *))
{
    int error = ENOMEM;

    region_start();
    for (int n_collections = 0; n_collections <= 2; n_collections++) {
        if (n_collections > 0)
            region_collect_and_drain();
        error = resize_once(handle, n_bytes, change);
        if (error != ENOMEM && error != EDQUOT)
            break;
    }
    collector_keep(handle);
    return error;
}

int region_extend(gcmmap_region *handle, size_t n_bytes)
{
    return resize(handle, n_bytes, extend);
}

int region_refresh(gcmmap_region *handle)
{
    return resize(handle, 0, refresh);
}

int region_truncate(gcmmap_region *handle, size_t n_bytes)
{
    return resize(handle, n_bytes, truncate_to);
}
