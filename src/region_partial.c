/*
 * region_partial: parts of a large region that no pointer leads into.
 *
 * SPDX-License-Identifier: MIT
 *
 * Inside a collection they are only noted; their pages are dropped when the dead are released.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "collector.h"
#include "region_record.h"
#include "reserve.h"

enum parts_state { NOTHING, WAITING, IN_HANDS };

struct parts {
    struct region *next; /* WAITING */
    enum parts_state state;
    unsigned long cycle; /* collection they are from */
    size_t n, n_most;
    struct reserve_stretch stretch[];
};

static struct region *waiting; /* lock */

int region_prepare_parts(struct region *region, size_t n_bytes)
{
    size_t n_most = reserve_most_stretches(n_bytes);

    region->parts = malloc(sizeof *region->parts + n_most * sizeof *region->parts->stretch);
    if (region->parts == NULL)
        return ENOMEM;
    *region->parts = (struct parts){ .n_most = n_most };
    return 0;
}

void region_note_parts(struct region *region)
{
    struct parts *parts = region->parts;

    if (parts == NULL || parts->state == IN_HANDS || region->state != LIVE ||
        parts->cycle == collector_cycle())
        return;
    parts->cycle = collector_cycle();
    parts->n = reserve_find_unreached(region->body.at, parts->stretch, parts->n_most);
    if (parts->state == WAITING || parts->n == 0)
        return;
    parts->state = WAITING;
    parts->next = waiting;
    waiting = region;
}

static void *take_parts(void *arg)
{
    struct region *region = waiting;

    (void)arg;
    if (region == NULL)
        return NULL;
    waiting = region->parts->next;
    region->parts->state = region->state == LIVE ? IN_HANDS : NOTHING;
    region->n_pins++;
    return region;
}

static void *end_parts(void *arg)
{
    struct region *region = arg;

    region->parts->state = NOTHING;
    region->n_pins--;
    return NULL;
}

static void drop(struct region *region)
{
    const struct body *body = &region->body;
    size_t lead = (size_t)(body->start - reservation_start(body->at));

    for (size_t i = 0; i < region->parts->n; i++) {
        size_t from = region->parts->stretch[i].from, to = region->parts->stretch[i].to;

        from = from > lead ? from - lead : 0;
        to = to > lead ? to - lead : 0;
        if (to > body->n_covered)
            to = body->n_covered;
        if (from < to)
            (void)os_advise(body->start + from, to - from, GCMMAP_ADVISE_DONTNEED);
    }
}

void region_drop_parts(void)
{
    struct region *region;

    while ((region = collector_locked(take_parts, NULL)) != NULL) {
        if (region->parts->state == IN_HANDS)
            drop(region);
        collector_locked(end_parts, region);
    }
}

static void forget(struct region **from, const struct region *region)
{
    while (*from != NULL && *from != region)
        from = &(*from)->parts->next;
    if (*from != NULL)
        *from = region->parts->next;
}

void region_forget_parts(struct region *region)
{
    if (region->parts != NULL && region->parts->state == WAITING) {
        forget(&waiting, region);
        region->parts->state = NOTHING;
    }
}
