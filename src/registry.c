/*
 * registry: a hash table with linear probing, at most half full.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "registry.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "collector.h"
#include "reservation.h"

struct entry {
    uintptr_t key; /* complement of the block's address; 0: free */
    struct reservation *reservation;
};

#define FIRST_N_ENTRIES 1024u /* a power of two, as all sizes */

static struct entry *table;
static size_t n_entries; /* of table */
static size_t n_used;
static size_t n_prepared; /* promised to registry_prepare() callers */

static uintptr_t key_of(const void *block)
{
    return ~(uintptr_t)block;
}

static size_t home_of(uintptr_t key)
{
    /* Blocks are 4 KiB apart or more.  2^64 / golden ratio spreads neighbours. */
    uint64_t mixed = (uint64_t)(~key >> 12) * UINT64_C(0x9E3779B97F4A7C15);

    return (size_t)(mixed >> 32) & (n_entries - 1);
}

static void put(uintptr_t key, struct reservation *reservation)
{
    size_t i = home_of(key);

    while (table[i].key != 0)
        i = (i + 1) & (n_entries - 1);
    table[i] = (struct entry){ key, reservation };
}

struct growth {
    size_t n_more;
    struct entry *fresh; /* in: larger table or NULL; out: the one to free */
    size_t n_fresh;      /* in: its size; out: size that is needed, 0: done */
};

static void *try_prepare(void *arg)
{
    struct growth *growth = arg;
    size_t n_needed = n_entries == 0 ? FIRST_N_ENTRIES : n_entries;

    while (n_needed / 2 < n_used + n_prepared + growth->n_more)
        n_needed *= 2;
    if (n_needed > n_entries) {
        struct entry *old = table;
        size_t n_old = n_entries;

        if (growth->n_fresh < n_needed) {
            growth->n_fresh = n_needed;
            return NULL;
        }
        table = growth->fresh;
        n_entries = growth->n_fresh;
        for (size_t i = 0; i < n_old; i++)
            if (old[i].key != 0)
                put(old[i].key, old[i].reservation);
        growth->fresh = old;
    }
    n_prepared += growth->n_more;
    growth->n_fresh = 0;
    return NULL;
}

int registry_prepare(size_t n)
{
    struct growth growth = { .n_more = n };

    for (;;) {
        collector_locked(try_prepare, &growth);
        if (growth.n_fresh == 0)
            break;
        /* Outside the lock: a malloc that collects would wait for itself. */
        free(growth.fresh);
        growth.fresh = calloc(growth.n_fresh, sizeof *growth.fresh);
        if (growth.fresh == NULL)
            return ENOMEM;
    }
    free(growth.fresh);
    return 0;
}

void registry_unprepare(size_t n)
{
    n_prepared -= n;
}

void registry_add(const void *block, struct reservation *reservation)
{
    put(key_of(block), reservation);
    n_used++;
    n_prepared--;
}

static size_t index_of(uintptr_t key)
{
    size_t i = home_of(key);

    while (table[i].key != key && table[i].key != 0)
        i = (i + 1) & (n_entries - 1);
    return i;
}

void registry_set(const void *block, struct reservation *reservation)
{
    table[index_of(key_of(block))].reservation = reservation;
}

void registry_remove(const void *block)
{
    size_t hole = index_of(key_of(block));

    /* Moves later entries of the same chain back, so that no marks are needed. */
    for (size_t i = (hole + 1) & (n_entries - 1); table[i].key != 0;
         i = (i + 1) & (n_entries - 1)) {
        size_t home = home_of(table[i].key);

        if (((i - home) & (n_entries - 1)) >= ((i - hole) & (n_entries - 1))) {
            table[hole] = table[i];
            hole = i;
        }
    }
    table[hole].key = 0;
    n_used--;
}

struct reservation *registry_find(const void *block)
{
    size_t i;

    if (n_entries == 0)
        return NULL;
    i = index_of(key_of(block));
    return table[i].key != 0 ? table[i].reservation : NULL;
}

void registry_each(void (*fn)(struct reservation *reservation, void *arg), void *arg)
{
    for (size_t i = 0; i < n_entries; i++)
        if (table[i].key != 0 && table[i].key == table[i].reservation->hidden_block)
            fn(table[i].reservation, arg);
}

void registry_each_block(void (*fn)(void *block))
{
    for (size_t i = 0; i < n_entries; i++)
        if (table[i].key != 0)
            fn((void *)~table[i].key);
}
