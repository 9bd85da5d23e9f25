/*
 * witnesses: what must be as it was before a call that failed, and what must be true at any time.
 * See every-failure-is-told-and-undone.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef WITNESSES_H
#define WITNESSES_H

#include "scenario.h"

/* ---- /proc/self/maps ------------------------------------------------------------------------- */

struct line {
    uintptr_t from, to;
    char access[5];
};

#define MOST_LINES 20000u

static struct line *lines; /* malloc'ed: what they name must not be held by them */
static size_t n_lines;

static void read_maps(void)
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
static const char *access_of(const void *address)
{
    for (size_t i = 0; i < n_lines; i++)
        if ((uintptr_t)address >= lines[i].from && (uintptr_t)address < lines[i].to)
            return lines[i].access;
    return "";
}

/* Outside the collector's heap, and its index, which never shrinks. */
static size_t count_mapped_bytes(void)
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

static void add_pooled(struct reservation *reservation, void *arg)
{
    (void)arg;
    if (reservation->user == NULL && n_pooled < MOST_POOLED)
        pooled[n_pooled++] = (struct pooled){ (uintptr_t)reservation_start(reservation),
                                              (uintptr_t)reservation_end(reservation) };
}

static void *list_pooled(void *arg)
{
    n_pooled = 0;
    registry_each(add_pooled, NULL);
    return arg;
}

/* On what no region lies nothing is mapped that could be touched: it is the next region's. */
static bool pool_is_inaccessible(void)
{
    if (pooled == NULL)
        pooled = malloc(MOST_POOLED * sizeof *pooled);
    need(pooled != NULL, "malloc");
    collector_locked(list_pooled, NULL);
    read_maps();
    for (size_t i = 0; i < n_lines; i++)
        for (size_t j = 0; j < n_pooled && lines[i].access[0] != '-'; j++)
            if (pooled[j].from < lines[i].to && lines[i].from < pooled[j].to)
                return false;
    return true;
}

#define LARGE_BUDGET ((size_t)1 << 36)

static void set_budget(size_t n_regions, size_t n_bytes, size_t n_charged)
{
    gcmmap_budget budget = { .n_regions = n_regions, .bytes = n_bytes, .bytes_charged = n_charged };

    need(gcmmap_set_budget(&budget) == 0, "gcmmap_set_budget");
}

/* Nothing is set apart for a region that was never made. */
static bool budget_is_free(void)
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

static const char *violation(void)
{
    return !pool_is_inaccessible() ? "what is in the pool can be accessed"
           : !budget_is_free()     ? "some of the budget is lost"
                                   : NULL;
}

/* ---- whether anything has changed --------------------------------------------------------------- */

struct snapshot {
    gcmmap_stats stats;
    gcmmap_slice bytes;
    size_t n_file, n_descriptors, n_mapped_from;
    unsigned char file[3 * ROOM], contents[3 * ROOM];
    char access[2][5]; /* of the first page and the last */
};

static size_t count_descriptors(void)
{
    size_t n = 0;

    for (int i = 3; i < 64; i++)
        n += fcntl(i, F_GETFD, 0) >= 0;
    return n;
}

static void take_snapshot(struct snapshot *snapshot)
{
    ssize_t n = pread(fd, snapshot->file, sizeof snapshot->file, 0);

    memset(snapshot->contents, 0xee, sizeof snapshot->contents);
    need(n >= 0, "pread");
    snapshot->n_file = (size_t)n;
    snapshot->stats = stats_now();
    snapshot->n_descriptors = count_descriptors();
    snapshot->n_mapped_from = bytes_mapped_from(fd);
    memset(snapshot->access, 0, sizeof snapshot->access);
    snapshot->bytes = region != NULL ? gcmmap_bytes(region) : (gcmmap_slice){ NULL, 0 };
    if (snapshot->bytes.size > 0 && snapshot->bytes.size <= sizeof snapshot->contents) {
        /* What lies behind the end of a file is seen by this as well. */
        for (size_t at = 0; at < snapshot->bytes.size; at += 100) {
            struct iovec local = { snapshot->contents + at, 100 };
            struct iovec remote = { snapshot->bytes.data + at, 100 };

            (void)process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        }
        read_maps();
        strcpy(snapshot->access[0], access_of(snapshot->bytes.data));
        strcpy(snapshot->access[1], access_of(snapshot->bytes.data + snapshot->bytes.size - 1));
    }
}

static const char *difference(const struct snapshot *a, const struct snapshot *b,
                              const struct scenario *scenario)
{
    bool changes_some = scenario->changes_some;

    if (a->n_file != b->n_file || memcmp(a->file, b->file, a->n_file) != 0)
        return changes_some && a->n_file == b->n_file ? NULL : "the file has changed";
    if (a->stats.n_live != b->stats.n_live || a->stats.n_closed != b->stats.n_closed ||
        a->stats.bytes_live != b->stats.bytes_live ||
        a->stats.n_mapped - a->stats.n_unmapped_now !=
            b->stats.n_mapped - b->stats.n_unmapped_now ||
        a->stats.bytes_traced != b->stats.bytes_traced ||
        a->stats.bytes_charged != b->stats.bytes_charged)
        return "the counters have changed";
    if (a->n_descriptors != b->n_descriptors)
        return "there are more or fewer descriptors";
    if (!scenario->others_die && a->n_mapped_from != b->n_mapped_from)
        return "more or less of the file is mapped";
    if (a->bytes.data != b->bytes.data || a->bytes.size != b->bytes.size)
        return "the region has another size";
    if (!changes_some && a->bytes.data != NULL && a->bytes.size <= sizeof a->contents &&
        memcmp(a->contents, b->contents, a->bytes.size / 100 * 100) != 0)
        return "the region has other contents";
    if (memcmp(a->access, b->access, sizeof a->access) != 0)
        return "the region's pages have another access";
    return NULL;
}

#endif
