/*
 * outside: a sorted array.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "outside.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"

struct stretch {
    uintptr_t start, n_bytes;
    void *user;
};

#define FIRST_N_STRETCHES 16u

static struct stretch *table;
static size_t n_stretches; /* of table */
static size_t n_used;
static size_t n_prepared; /* promised to outside_prepare() callers */

struct growth {
    struct stretch *fresh; /* in: larger table or NULL; out: the one to free */
    size_t n_fresh;        /* in: its size; out: size that is needed, 0: done */
};

static void *try_prepare(void *arg)
{
    struct growth *growth = arg;
    size_t n_needed = n_stretches == 0 ? FIRST_N_STRETCHES : n_stretches;

    while (n_needed < n_used + n_prepared + 1)
        n_needed *= 2;
    if (n_needed > n_stretches) {
        struct stretch *old = table;

        if (growth->n_fresh < n_needed) {
            growth->n_fresh = n_needed;
            return NULL;
        }
        if (n_used > 0)
            memcpy(growth->fresh, old, n_used * sizeof *old);
        table = growth->fresh;
        n_stretches = growth->n_fresh;
        growth->fresh = old;
    }
    n_prepared++;
    growth->n_fresh = 0;
    return NULL;
}

int outside_prepare(void)
{
    struct growth growth = { 0 };

    for (;;) {
        collector_locked(try_prepare, &growth);
        if (growth.n_fresh == 0)
            break;
        /* Outside the lock: a malloc that collects would wait for itself. */
        free(growth.fresh);
        growth.fresh = malloc(growth.n_fresh * sizeof *growth.fresh);
        if (growth.fresh == NULL)
            return ENOMEM;
    }
    free(growth.fresh);
    return 0;
}

void outside_unprepare(void)
{
    n_prepared--;
}

/* How many begin at or below the address. */
static size_t rank_of(uintptr_t address)
{
    size_t low = 0, high = n_used;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void outside_add(const void *start, size_t n_bytes, void *user)
{
    size_t rank = rank_of((uintptr_t)start);

    memmove(table + rank + 1, table + rank, (n_used - rank) * sizeof *table);
    table[rank] = (struct stretch){ (uintptr_t)start, n_bytes, user };
    n_used++;
    n_prepared--;
}

void outside_remove(const void *start)
{
    size_t rank = rank_of((uintptr_t)start);

    memmove(table + rank - 1, table + rank, (n_used - rank) * sizeof *table);
    n_used--;
    n_prepared++;
}

bool outside_overlaps(const void *start, size_t n_bytes)
{
    size_t rank = rank_of((uintptr_t)start + (n_bytes - 1));

    return rank > 0 && table[rank - 1].start + table[rank - 1].n_bytes > (uintptr_t)start;
}

void *outside_find(const void *pointer)
{
    size_t rank = rank_of((uintptr_t)pointer);

    if (rank == 0 || (uintptr_t)pointer - table[rank - 1].start > table[rank - 1].n_bytes)
        return NULL;
    return table[rank - 1].user;
}
