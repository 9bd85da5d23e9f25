/*
 * region_list: all regions at some moment, for those who report.
 *
 * SPDX-License-Identifier: MIT
 *
 * The table is copied under the lock, into memory that was made before.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "os_look.h"
#include "region_record.h"
#include "registry.h"

struct copy {
    struct region_list *list;
    size_t n_infos, n_name_bytes; /* how much room there is */
    size_t n_needed, n_name_bytes_needed;
    uint64_t now;
};

static bool is_visible(const struct region *region)
{
    return region != NULL && region->state != MAPPING && region->state != UNMAPPING;
}

static enum region_visible state_of(const struct region *region)
{
    switch (region->state) {
    case LIVE:
        return REGION_OPEN;
    case CLOSED:
        return REGION_CLOSED;
    case DYING:
        return REGION_DYING;
    default:
        return REGION_CLOSING;
    }
}

static struct region_info describe(const struct region *region, uint64_t now)
{
    const struct reservation *at = region->body.at;

    return (struct region_info){
        .id = region->id,
        .hidden_handle = at->hidden_block,
        .hidden_data = ~(uintptr_t)region_data(region),
        .block_bytes = reservation_block_bytes(at),
        .n_bytes = region->n_bytes,
        .n_page_bytes = region->pages_are_gone ? 0 : region_page_bytes(region),
        .room = region->growth != NULL ? region->growth->room : 0,
        .offset = region->offset,
        .flags = region->flags,
        .state = state_of(region),
        .traced = region->traced,
        .of_file = region->of_file,
        .charged = region->charged,
        .by_handle = region->by_handle,
        .age = now > region->mapped_at ? now - region->mapped_at : 0,
        .mapped_by = region->mapped_by,
        .closed_by = region->closed_by,
    };
}

static void copy_one(struct reservation *reservation, void *arg)
{
    struct copy *copy = arg;
    const struct region *region = reservation->user;
    size_t i = copy->n_needed, at = copy->n_name_bytes_needed, n_bytes;

    if (!is_visible(region))
        return;
    n_bytes = region->name != NULL ? strlen(region->name) + 1 : 0;
    copy->n_needed++;
    copy->n_name_bytes_needed += n_bytes;
    if (copy->n_needed > copy->n_infos || copy->n_name_bytes_needed > copy->n_name_bytes)
        return;
    copy->list->infos[i] = describe(region, copy->now);
    if (n_bytes > 0)
        copy->list->infos[i].name = memcpy(copy->list->names + at, region->name, n_bytes);
}

static void *copy_all(void *arg)
{
    struct copy *copy = arg;

    copy->n_needed = copy->n_name_bytes_needed = 0;
    registry_each(copy_one, copy);
    return NULL;
}

static int by_address(const void *left, const void *right)
{
    uintptr_t a = ~((const struct region_info *)left)->hidden_data;
    uintptr_t b = ~((const struct region_info *)right)->hidden_data;

    return (a > b) - (a < b);
}

int region_begin_list(struct region_list *list)
{
    struct copy copy = { .list = list, .now = os_milliseconds() };

    region_start();
    *list = (struct region_list){ 0 };
    for (;;) {
        collector_locked(copy_all, &copy);
        if (copy.n_needed <= copy.n_infos && copy.n_name_bytes_needed <= copy.n_name_bytes)
            break;
        region_end_list(list);
        /* A little more: others map meanwhile. */
        copy.n_infos = copy.n_needed + copy.n_needed / 8 + 16;
        copy.n_name_bytes = copy.n_name_bytes_needed + copy.n_name_bytes_needed / 8 + 1024;
        list->infos = malloc(copy.n_infos * sizeof *list->infos);
        list->names = malloc(copy.n_name_bytes);
        if (list->infos == NULL || list->names == NULL) {
            region_end_list(list);
            return ENOMEM;
        }
    }
    list->n = copy.n_needed;
    if (list->n > 0)
        qsort(list->infos, list->n, sizeof *list->infos, by_address);
    return 0;
}

void region_end_list(struct region_list *list)
{
    free(list->infos);
    free(list->names);
    *list = (struct region_list){ 0 };
}

bool region_pin_listed(const struct region_info *info, struct region_pin *pin)
{
    if (info->n_bytes == 0 || region_pin((void *)~info->hidden_data, info->n_bytes, pin) != 0)
        return false;
    if (pin->region->id == info->id)
        return true;
    region_unpin(pin); /* another one lies there now */
    return false;
}
