/*
 * region_budget: what all regions together may hold.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>

#include "collector.h"
#include "region_record.h"

/* Under the lock. */
static struct region_budget limit; /* 0: none */
static atomic_bool is_limited;     /* may be read without */
static struct region_budget in_the_making;
static _Thread_local struct region_budget own_making; /* this thread's part of it */

static bool fits(size_t limit_of, size_t used, size_t making, size_t more)
{
    return limit_of == 0 || more == 0 ||
           (used <= limit_of && making <= limit_of - used && more <= limit_of - used - making);
}

static void count(struct region_budget *total, const struct region_budget *more, ptrdiff_t sign)
{
    total->n_regions += (size_t)sign * more->n_regions; /* wraps as it should */
    total->n_bytes += (size_t)sign * more->n_bytes;
    total->n_charged += (size_t)sign * more->n_charged;
}

struct budget_call {
    struct region_budget *more;
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
    count(&in_the_making, more, 1);
    count(&own_making, more, 1);
    return NULL;
}

int region_budget_begin(struct region_budget *more)
{
    struct budget_call call = { .more = more };

    if (atomic_load_explicit(&is_limited, memory_order_relaxed))
        collector_locked(begin, &call);
    else
        *more = (struct region_budget){ 0 };
    return call.error;
}

static void *end(void *arg)
{
    const struct region_budget *more = arg;

    count(&in_the_making, more, -1);
    count(&own_making, more, -1);
    return NULL;
}

void region_budget_end(const struct region_budget *more)
{
    if (more->n_regions != 0 || more->n_bytes != 0)
        collector_locked(end, (void *)more);
}

/* What threads were making that are not here never comes. */
void region_budget_after_fork_in_child(void)
{
    in_the_making = own_making;
}

static void *set(void *arg)
{
    limit = *(const struct region_budget *)arg;
    atomic_store_explicit(&is_limited,
                          limit.n_regions != 0 || limit.n_bytes != 0 || limit.n_charged != 0,
                          memory_order_relaxed);
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
