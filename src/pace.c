/*
 * pace: thresholds of our own collections, and the host's divisor.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "pace.h"

#include <stdatomic.h>

#include "collector.h"
#include "os.h"

/*
 * We collect after so many maps, or bytes of address space, or bytes that may cost memory,
 * since the last collection of whoever's; and never before half as much as is live has been
 * mapped anew, so that the work stays proportional.
 *
 * 1,024: more does not make the cycle of map and release cheaper [bench/cycle].  4 GiB:
 * each GiB of heap costs a collection about 0.25 ms, whatever is in it.
 */
#define PACE_REGIONS 1024u
#define PACE_BYTES ((size_t)1 << (sizeof(size_t) > 4 ? 32 : 28)) /* 32 bits: 256 MiB */
#define PACE_CHARGED_BYTES ((size_t)256 << 20)
#define PACE_LIVE_PERCENT 50u

/* All under the collector's lock. */
static struct pace_limits limits = { PACE_REGIONS, PACE_BYTES, PACE_CHARGED_BYTES,
                                     PACE_LIVE_PERCENT };
static struct {
    unsigned long cycle;
    size_t n_regions, bytes, bytes_charged;
} since;

static void *set(void *arg)
{
    const struct pace_limits *wanted = arg;

    limits = (struct pace_limits){
        .n_regions = wanted->n_regions != 0 ? wanted->n_regions : PACE_REGIONS,
        .bytes = wanted->bytes != 0 ? wanted->bytes : PACE_BYTES,
        .bytes_charged = wanted->bytes_charged != 0 ? wanted->bytes_charged : PACE_CHARGED_BYTES,
        .live_percent = wanted->live_percent != 0 ? wanted->live_percent : PACE_LIVE_PERCENT,
    };
    return NULL;
}

void pace_set(const struct pace_limits *wanted)
{
    collector_locked(set, (void *)wanted);
}

static void *get(void *arg)
{
    *(struct pace_limits *)arg = limits;
    return NULL;
}

struct pace_limits pace_get(void)
{
    struct pace_limits result;

    collector_locked(get, &result);
    return result;
}

static void note_cycle(void)
{
    if (since.cycle == collector_cycle())
        return;
    since.cycle = collector_cycle();
    since.n_regions = since.bytes = since.bytes_charged = 0;
}

void pace_mapped(size_t bytes, size_t bytes_charged)
{
    note_cycle();
    since.n_regions++;
    since.bytes += bytes;
    since.bytes_charged += bytes_charged;
}

void pace_grown(size_t bytes_charged)
{
    note_cycle();
    since.bytes_charged += bytes_charged;
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void subtract(size_t *from, size_t n)
{
    *from -= min(n, *from);
}

void pace_unmapped(size_t bytes, size_t bytes_charged)
{
    note_cycle();
    subtract(&since.n_regions, 1);
    subtract(&since.bytes, bytes);
    subtract(&since.bytes_charged, bytes_charged);
}

static size_t threshold(size_t least, size_t live)
{
    double share = (double)live / 100 * (double)limits.live_percent; /* may be beyond SIZE_MAX */

    return share >= (double)SIZE_MAX ? SIZE_MAX : (size_t)share > least ? (size_t)share : least;
}

bool pace_is_due(const struct pace_live *live)
{
    note_cycle();
    return since.n_regions >= threshold(limits.n_regions, live->n_regions) ||
           since.bytes >= threshold(limits.bytes, live->bytes) ||
           since.bytes_charged >= threshold(limits.bytes_charged, live->bytes_charged);
}

/* ---- the host's rhythm ------------------------------------------------------ */

/*
 * bdwgc (alloc.c) collects, rather than take more of its heap, once
 *
 *     scan / divisor,   scan = 2 * composite + atomic / 4 + static data + 2 * stacks
 *
 * bytes have been allocated, but not before GC_set_min_bytes_allocd(); and grows its heap by
 * heap / divisor.  Our blocks are atomic, so with them it is scan + ours / 4, and heap + ours.
 * The divisor is made large enough for the host's share of both, and what becomes too small by
 * that is put right by the minimum.  The host's scan is not to be had from bdwgc; walking the
 * objects that its last collection marked tells.  That takes a fraction of a collection's
 * time, so it is done for every eighth, or when the bytes in use have changed by a quarter; in
 * between it is scaled with them.
 */
#define WALK_EVERY 8u
#define STACKS ((size_t)64 << 10) /* a guess: twice a shallow stack, for a few threads */

/*
 * A heap that the host has had from its start (GC_INITIAL_HEAP_SIZE, GC_expand_hp) is used up
 * before it is collected (not in incremental mode).  bdwgc knows by its size, and with ours it
 * looks used up.
 */
#define PRESET_HEAP ((size_t)4 << 20) /* no heap grows to that with so few collections: */
#define PRESET_CYCLES 2u

struct rhythm {
    size_t divisor, least; /* GC_set_free_space_divisor, GC_set_min_bytes_allocd */
};

static atomic_size_t last_bytes_ours;
static atomic_flag is_busy = ATOMIC_FLAG_INIT;
static struct rhythm host;      /* as the host has set it; divisor 0: not corrected */
static struct rhythm ours;      /* what we set */
static size_t preset_heap;      /* 0: none */
static unsigned long walked_at; /* collection; 0: never */
static size_t walked_heap;      /* in use then, whole blocks */

/* What the host's live objects are, and what they weigh. */
static struct live {
    size_t bytes, scan;
} walked;

static struct live scaled(size_t heap_in_use)
{
    double factor = walked_heap > 0 ? (double)heap_in_use / (double)walked_heap : 0;

    /* Nothing was marked yet: take it for composite. */
    if (walked.scan == 0)
        return (struct live){ heap_in_use, 2 * heap_in_use };
    return (struct live){ (size_t)((double)walked.bytes * factor),
                          (size_t)((double)walked.scan * factor) };
}

static struct live host_live(size_t heap_in_use)
{
    unsigned long cycle = collector_cycle();

    if (cycle != walked_at &&
        (cycle - walked_at >= WALK_EVERY || heap_in_use / 5 > walked_heap / 4 ||
         heap_in_use / 3 < walked_heap / 4)) {
        struct collector_usage usage;

        collector_walk(&usage);
        walked_at = cycle;
        walked_heap = heap_in_use;
        walked =
            (struct live){ usage.composite + usage.atomic, 2 * usage.composite + usage.atomic / 4 };
    }
    return scaled(heap_in_use);
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct rhythm corrected(size_t bytes_ours)
{
    size_t heap = collector_heap_bytes(), in_use, used_up, least;
    struct live live;
    double scan, by_scan, by_heap;

    heap -= min(heap, bytes_ours);
    in_use = heap - min(heap, collector_free_bytes()); /* or was, until it is swept */
    if (bytes_ours < in_use / 16)                      /* not worth a walk */
        return host;
    live = host_live(in_use);
    scan = (double)(live.scan + os_static_data_bytes() + STACKS);
    by_scan = (double)bytes_ours / 4 / scan;
    by_heap = (double)bytes_ours / (double)(heap + 1);
    least = (size_t)scan / host.divisor / (collector_is_incremental() ? 2 : 1);
    /* New objects fill some of what is free in blocks, and leave some of others: about half,
       and a little less, as a heap that grows before it is collected stays larger. */
    used_up = min(preset_heap, (live.bytes + in_use) / 2);
    if (!collector_is_incremental())
        least = max(least, (preset_heap - used_up) / 16 * 15);
    return (struct rhythm){
        .divisor =
            (size_t)((double)host.divisor * (1 + (by_scan > by_heap ? by_scan : by_heap)) + 0.5),
        .least = max(least, host.least),
    };
}

void pace_start(void)
{
    size_t heap = collector_heap_bytes();

    if (heap >= PRESET_HEAP && collector_cycle() <= PRESET_CYCLES)
        preset_heap = heap;
}

/* What is set now is read by the one who changes it: else what we have set would pass for the host's. */
static void correct(size_t bytes_ours)
{
    struct rhythm now = { collector_divisor(), collector_least_allocated() };

    /* The host may have changed its mind. */
    if (host.divisor == 0 || now.divisor != ours.divisor)
        host.divisor = now.divisor;
    if (host.least == 0 || now.least != ours.least)
        host.least = now.least;
    ours = bytes_ours == 0 ? host : corrected(bytes_ours);
    if (ours.divisor != now.divisor)
        collector_set_divisor(ours.divisor);
    if (ours.least != now.least)
        collector_set_least_allocated(ours.least);
    if (bytes_ours == 0)
        host = (struct rhythm){ 0, 0 };
}

void pace_host(size_t bytes_ours)
{
    atomic_store_explicit(&last_bytes_ours, bytes_ours, memory_order_relaxed);
    /* One at a time is enough: the others' news will be part of the next round. */
    if (atomic_flag_test_and_set(&is_busy))
        return;
    if (bytes_ours != 0 || host.divisor != 0)
        correct(bytes_ours);
    atomic_flag_clear(&is_busy);
}

/* The one that was at it is not here. */
void pace_after_fork_in_child(void)
{
    atomic_flag_clear(&is_busy);
}

void pace_host_if_changed(size_t bytes_ours)
{
    if (atomic_load_explicit(&last_bytes_ours, memory_order_relaxed) != bytes_ours)
        pace_host(bytes_ours);
}
