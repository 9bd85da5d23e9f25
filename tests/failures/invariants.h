/*
 * invariants: what must be true at any time, whatever has failed.  For programs that are linked with
 * the library's objects.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include "../tap.h"

/* Before names of theirs become global ones. */
#include "../../src/collector.h"
#include "../../src/region_record.h"
#include "../../src/registry.h"
#include "../../src/reservation.h"
#include "../../src/reserve.h"

/* ---- /proc/self/maps ------------------------------------------------------------------------- */

struct line {
    unsigned long from, to;
    char access[5];
};

#define MOST_LINES 20000u

static struct line *lines; /* malloc'ed: what they name must not be held by them */
static size_t n_lines;

static inline void read_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char text[4400];

    if (lines == NULL)
        lines = malloc(MOST_LINES * sizeof *lines);
    need(maps != NULL && lines != NULL, "/proc/self/maps");
    for (n_lines = 0; fgets(text, sizeof text, maps);) {
        struct line *line = &lines[n_lines];

        need(n_lines < MOST_LINES - 1, "too many lines");
        n_lines += sscanf(text, "%lx-%lx %4s", &line->from, &line->to, line->access) == 3;
    }
    fclose(maps);
}

/* How the page that holds the address may be accessed; "": it is not mapped. */
static inline const char *access_of(const void *address)
{
    for (size_t i = 0; i < n_lines; i++)
        if ((uintptr_t)address >= lines[i].from && (uintptr_t)address < lines[i].to)
            return lines[i].access;
    return "";
}

/* Outside the collector's heap, and its index, which never shrinks. */
static inline size_t count_mapped_bytes(void)
{
    size_t n = 0, n_heap = GC_get_heap_size();

    read_maps();
    for (size_t i = 0; i < n_lines; i++)
        n += lines[i].to - lines[i].from;
    n_heap += n_heap / 256;
    return n > n_heap ? n - n_heap : 0;
}

/* ---- what must be true at any time -------------------------------------------------------------- */

struct pooled {
    uintptr_t from, to;
};

#define MOST_POOLED 20000u

static struct pooled *pooled; /* malloc'ed too */
static size_t n_pooled;

static inline void add_pooled(struct reservation *reservation, void *arg)
{
    (void)arg;
    if (reservation->user == NULL && n_pooled < MOST_POOLED)
        pooled[n_pooled++] = (struct pooled){ (uintptr_t)reservation_start(reservation),
                                              (uintptr_t)reservation_end(reservation) };
}

static inline void *list_pooled(void *arg)
{
    n_pooled = 0;
    registry_each(add_pooled, NULL);
    return arg;
}

/*
 * On what no region lies nothing is mapped that could be touched: it is the next region's.  But for what
 * three failures in a row have left, which waits for the next occasion: this one.
 */
static inline bool pool_is_inaccessible(void)
{
    reserve_clean();
    if (pooled == NULL)
        pooled = malloc(MOST_POOLED * sizeof *pooled);
    need(pooled != NULL, "malloc");
    collector_locked(list_pooled, NULL);
    read_maps();
    for (size_t i = 0; i < n_lines; i++)
        for (size_t j = 0; j < n_pooled && lines[i].access[0] != '-'; j++)
            if (pooled[j].from < lines[i].to && lines[i].from < pooled[j].to) {
                note("pooled: %zx to %zx; mapped: %zx to %zx, %s", (size_t)pooled[j].from,
                     (size_t)pooled[j].to, (size_t)lines[i].from, (size_t)lines[i].to,
                     lines[i].access);
                return false;
            }
    return true;
}

#define LARGE_BUDGET (SIZE_MAX / 4)

static inline void set_budget(size_t n_regions, size_t n_bytes, size_t n_charged)
{
    gcmmap_budget budget = { .n_regions = n_regions, .bytes = n_bytes, .bytes_charged = n_charged };

    need(gcmmap_set_budget(&budget) == 0, "gcmmap_set_budget");
}

/* Nothing is set apart for a region that was never made. */
static inline bool budget_is_free(void)
{
    gcmmap_stats stats = stats_now();
    struct region_budget more = { 1, 4096, 4096 };
    int error;

    set_budget(stats.n_live + stats.n_dying + 1, stats.bytes_live + stats.bytes_dying + 4096,
               stats.bytes_charged + 4096);
    error = region_budget_begin(&more);
    if (error == 0)
        region_budget_end(&more);
    set_budget(LARGE_BUDGET, LARGE_BUDGET, LARGE_BUDGET);
    return error == 0;
}

/* In words; NULL: all is well. */
static inline const char *violation(void)
{
    return !pool_is_inaccessible() ? "what is in the pool can be accessed"
           : !budget_is_free()     ? "some of the budget is lost"
                                   : NULL;
}

#endif
