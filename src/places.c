/*
 * places: a list of chunks of slots.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "places.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "collector.h"
#include "os.h"

/* Addresses are complemented, as in the registry. */
struct place {
    atomic_uintptr_t hidden_start; /* 0: nothing is there */
    atomic_uintptr_t n_bytes;
    _Atomic(void *) user; /* or the next free one */
};

#define PLACES_PER_CHUNK 1024u

struct chunk {
    struct chunk *next; /* an older one */
    struct place places[PLACES_PER_CHUNK];
};

static _Atomic(struct chunk *) chunks;
static atomic_uint n_looking;

static struct place *free_places; /* under the lock */

static void add_chunk(struct chunk *fresh)
{
    for (size_t i = PLACES_PER_CHUNK; i-- > 0;) { /* the first is taken first */
        atomic_init(&fresh->places[i].user, free_places);
        free_places = &fresh->places[i];
    }
    fresh->next = atomic_load_explicit(&chunks, memory_order_relaxed);
    atomic_store_explicit(&chunks, fresh, memory_order_release);
}

/* NULL: there is none, and no fresh chunk. */
static void *try_take(void *arg)
{
    struct chunk **fresh = arg;
    struct place *place;

    if (free_places == NULL && *fresh != NULL) {
        add_chunk(*fresh);
        *fresh = NULL;
    }
    place = free_places;
    if (place != NULL)
        free_places = atomic_load_explicit(&place->user, memory_order_relaxed);
    return place;
}

struct place *places_new(void)
{
    struct chunk *fresh = NULL;
    struct place *place = collector_locked(try_take, &fresh);

    if (place != NULL)
        return place;
    fresh = calloc(1, sizeof *fresh); /* outside the lock, as in registry_prepare() */
    place = collector_locked(try_take, &fresh);
    free(fresh); /* if another thread was faster */
    return place;
}

void places_show(struct place *place, const void *start, size_t n_bytes, void *user)
{
    atomic_store_explicit(&place->user, user, memory_order_relaxed);
    atomic_store_explicit(&place->n_bytes, n_bytes, memory_order_relaxed);
    atomic_store_explicit(&place->hidden_start, ~(uintptr_t)start, memory_order_release);
}

void places_hide(struct place *place)
{
    atomic_store_explicit(&place->hidden_start, 0, memory_order_relaxed);
}

void places_put(struct place *place)
{
    atomic_store_explicit(&place->user, free_places, memory_order_relaxed);
    free_places = place;
}

static void *user_at(struct place *place, uintptr_t address)
{
    uintptr_t hidden = atomic_load_explicit(&place->hidden_start, memory_order_acquire);
    void *user;

    if (hidden == 0 ||
        address - ~hidden >= atomic_load_explicit(&place->n_bytes, memory_order_acquire))
        return NULL;
    user = atomic_load_explicit(&place->user, memory_order_acquire);
    /* Not if all that belongs to two who followed each other. */
    return atomic_load_explicit(&place->hidden_start, memory_order_relaxed) == hidden ? user : NULL;
}

void *places_enter(uintptr_t address)
{
    void *user = NULL;

    atomic_fetch_add(&n_looking, 1);
    for (struct chunk *chunk = atomic_load_explicit(&chunks, memory_order_acquire);
         chunk != NULL && user == NULL; chunk = chunk->next)
        for (size_t i = 0; i < PLACES_PER_CHUNK && user == NULL; i++)
            user = user_at(&chunk->places[i], address);
    return user;
}

void places_leave(void)
{
    atomic_fetch_sub(&n_looking, 1);
}

void places_wait(void)
{
    /* A handler that comes after this sees that they are hidden. */
    while (atomic_fetch_add(&n_looking, 0) > 0)
        os_yield();
}

void places_after_fork_in_child(void)
{
    atomic_store(&n_looking, 0);
}
