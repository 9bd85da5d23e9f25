/*
 * region_budget: what all regions together may hold.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>

#include "collector.h"
#include "region_record.h"

/* Under the lock. */
static struct region_budget limit; /* 0: none */
static struct region_budget in_the_making;

static bool fits(size_t limit_of, size_t used, size_t making, size_t more)
{
    return limit_of == 0 || more == 0 ||
           (used <= limit_of && making <= limit_of - used && more <= limit_of - used - making);
}

struct budget_call {
    const struct region_budget *more;
    int error;
};

static void *begin(void *arg)
{
    struct budget_call *call = arg;
    const struct region_budget *more = call->more;

    if (!fits(limit.n_regions, region_stats.n_live + region_stats.n_dying, in_the_making.n_regions,
              more->n_regions) ||
        !fits(limit.n_bytes, region_stats.bytes_live + region_stats.bytes_dying,
              in_the_making.n_bytes, more->n_bytes) ||
        !fits(limit.n_charged, region_bytes_charged, in_the_making.n_charged, more->n_charged)) {
        call->error = EDQUOT;
        return NULL;
    }
    in_the_making.n_regions += more->n_regions;
    in_the_making.n_bytes += more->n_bytes;
    in_the_making.n_charged += more->n_charged;
    return NULL;
}

int region_budget_begin(const struct region_budget *more)
{
    struct budget_call call = { .more = more };

    collector_locked(begin, &call);
    return call.error;
}

static void *end(void *arg)
{
    const struct region_budget *more = arg;

    in_the_making.n_regions -= more->n_regions;
    in_the_making.n_bytes -= more->n_bytes;
    in_the_making.n_charged -= more->n_charged;
    return NULL;
}

void region_budget_end(const struct region_budget *more)
{
    collector_locked(end, (void *)more);
}

static void *set(void *arg)
{
    limit = *(const struct region_budget *)arg;
    return NULL;
}

void region_set_budget(const struct region_budget *wanted)
{
    collector_locked(set, (void *)wanted);
}

static void *get(void *arg)
{
    *(struct region_budget *)arg = limit;
    return NULL;
}

struct region_budget region_get_budget(void)
{
    struct region_budget result;

    collector_locked(get, &result);
    return result;
}
