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
 * bdwgc collects once  scan / divisor  bytes have been allocated, where (alloc.c)
 *
 *     scan = 2 * composite + atomic / 4 + static data + 2 * stacks
 *
 * in bytes in use.  Our blocks are atomic: with them it is scan + ours / 4.  So the same
 * rhythm needs the divisor times (scan + ours / 4) / scan.  The host's scan is not to be
 * had from bdwgc; walking the objects that its last collection marked tells.  That takes a
 * fraction of a collection's time, so it is done for every eighth, or when the bytes in use
 * have changed by a quarter; in between it is scaled with them.
 */
#define WALK_EVERY 8u
#define TOO_LITTLE ((size_t)4 << 20)
#define STACKS ((size_t)64 << 10) /* a guess: twice a shallow stack, for a few threads */

static atomic_size_t last_bytes_ours;
static atomic_flag is_busy = ATOMIC_FLAG_INIT;
static size_t host_divisor;               /* as the host has set it; 0: not corrected */
static size_t our_divisor;                /* what we set */
static unsigned long walked_at;           /* collection; 0: never */
static size_t walked_scan, walked_in_use; /* then */

static size_t host_scan(size_t in_use)
{
    unsigned long cycle = collector_cycle();

    if (cycle != walked_at && (cycle - walked_at >= WALK_EVERY || in_use / 5 > walked_in_use / 4 ||
                               in_use / 3 < walked_in_use / 4)) {
        struct collector_usage usage;

        collector_walk(&usage);
        walked_at = cycle;
        walked_scan = 2 * usage.composite + usage.atomic / 4;
        walked_in_use = in_use;
    }
    /* Nothing was marked yet: take it for composite. */
    if (walked_in_use == 0 || walked_scan == 0)
        return 2 * in_use;
    return (size_t)((double)walked_scan / (double)walked_in_use * (double)in_use);
}

static size_t corrected(size_t bytes_ours, size_t in_use)
{
    double scan;

    /* Too little to matter, even if the host's heap were all atomic; or little garbage more,
       where a young host that collected more often would settle for a smaller heap. */
    if (bytes_ours / 16 < in_use / 16 / 16 || bytes_ours <= TOO_LITTLE)
        return host_divisor;
    scan = (double)(host_scan(in_use) + os_static_data_bytes() + STACKS);
    return (size_t)((double)host_divisor * (1 + (double)bytes_ours / 4 / scan) + 0.5);
}

void pace_host(size_t bytes_ours)
{
    size_t divisor = collector_divisor(), used;

    atomic_store_explicit(&last_bytes_ours, bytes_ours, memory_order_relaxed);
    /* One at a time is enough: the others' news will be part of the next round. */
    if ((bytes_ours == 0 && host_divisor == 0) || atomic_flag_test_and_set(&is_busy))
        return;
    if (host_divisor == 0 || divisor != our_divisor)
        host_divisor = divisor;    /* the host has changed its mind */
    used = collector_heap_bytes(); /* or was used, until it is swept */
    used -= min(used, collector_free_bytes());
    used -= min(used, bytes_ours);
    our_divisor = bytes_ours == 0 ? host_divisor : corrected(bytes_ours, used);
    if (our_divisor != divisor)
        collector_set_divisor(our_divisor);
    if (bytes_ours == 0)
        host_divisor = 0;
    atomic_flag_clear(&is_busy);
}

void pace_host_if_changed(size_t bytes_ours)
{
    if (atomic_load_explicit(&last_bytes_ours, memory_order_relaxed) != bytes_ours)
        pace_host(bytes_ours);
}
