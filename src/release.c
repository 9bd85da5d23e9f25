/*
 * release: the list of the dead.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "release.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "collector.h"
#include "gcmmap.h"
#include "os.h"
#include "places.h"
#include "reserve.h"

/* Under the collector's lock. */
static struct body *dead;     /* not yet being released */
static struct body *in_hands; /* of the one thread that is releasing */
static bool is_busy;

static atomic_bool is_any_dead; /* may be read without the lock */

void release_add(struct body *body)
{
    body->next = dead;
    dead = body;
    atomic_store_explicit(&is_any_dead, true, memory_order_relaxed);
}

static void *begin(void *arg)
{
    (void)arg;
    if (is_busy || dead == NULL)
        return NULL;
    is_busy = true;
    in_hands = dead;
    dead = NULL;
    atomic_store_explicit(&is_any_dead, false, memory_order_relaxed);
    return in_hands;
}

/* ---- pages; lock not held, the list stays as it is in case of a fork -------- */

int release_outside(const struct body *body)
{
    size_t n_before = body->is_guarded ? os_page_size() : 0;

    return os_unmap(body->start - n_before, n_before + body->n_outside);
}

/* One past the last that may be accessible. */
static unsigned char *end_of_pages(const struct body *body)
{
    if (!body->has_strays)
        return body->start + body->n_covered;
    return body->n_outside != 0 ? body->start + body->n_outside : reservation_end(body->at);
}

int release_pages(struct body *body)
{
    size_t n_bytes = (size_t)(end_of_pages(body) - body->start);
    int error = n_bytes != 0 ? os_vacate(body->start, n_bytes) : 0;

    body->has_strays &= error != 0;
    return error;
}

static void set_released(struct body *body)
{
    body->n_outside = body->n_covered = 0;
    body->has_strays = false;
}

static void vacate(struct body *body)
{
    int error = body->n_outside != 0 ? release_outside(body) : release_pages(body);

    if (error == 0)
        set_released(body);
}

static int by_address(const void *left, const void *right)
{
    const struct body *a = *(struct body *const *)left, *b = *(struct body *const *)right;

    /* hidden_block is a complement: it falls where addresses rise. */
    return (a->at->hidden_block < b->at->hidden_block) -
           (a->at->hidden_block > b->at->hidden_block);
}

/* Once: the kernel tells of an error only once, and a second round may be needed. */
static void write_back(struct body *body)
{
    if (!body->writes_back)
        return;
    body->writes_back = false;
    if (body->n_covered != 0)
        body->write_error = os_sync(body->start, body->n_covered, GCMMAP_SYNC);
}

static bool are_neighbours(const struct body *left, const struct body *right)
{
    return left->n_outside == 0 && right->n_outside == 0 &&
           reservation_end(left->at) == reservation_start(right->at);
}

/* n bodies on adjacent reservations. */
static void vacate_neighbours(struct body **bodies, size_t n)
{
    unsigned char *start = bodies[0]->start;
    unsigned char *end = end_of_pages(bodies[n - 1]);
    bool all = n > 1 && start < end && os_vacate(start, (size_t)(end - start)) == 0;

    for (size_t i = 0; i < n; i++)
        if (all)
            set_released(bodies[i]);
        else
            vacate(bodies[i]);
}

static void vacate_all(struct body **bodies, size_t n)
{
    qsort(bodies, n, sizeof(struct body *), by_address);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && are_neighbours(bodies[j - 1], bodies[j]);)
            j++;
        vacate_neighbours(bodies + i, j - i);
    }
}

/* ---- end; lock held ------------------------------------------------------------ */

struct result {
    struct body **sorted; /* by address; NULL: no memory for that */
    size_t n;
    struct body *released;
};

static void finish(struct body *body, struct result *result)
{
    /* No map slot even for that. */
    if (body->n_covered != 0 || body->n_outside != 0 || body->has_strays) {
        release_add(body);
        return;
    }
    reserve_put(body->at);
    body->next = result->released;
    result->released = body;
}

static void *end(void *arg)
{
    struct result *result = arg;
    struct body *next;

    /* Backwards, so that the pool hands out the lowest address first. */
    if (result->sorted != NULL)
        for (size_t i = result->n; i-- > 0;)
            finish(result->sorted[i], result);
    else
        for (; in_hands != NULL; in_hands = next) {
            next = in_hands->next;
            finish(in_hands, result);
        }
    in_hands = NULL;
    is_busy = false;
    return NULL;
}

struct body *release_all(void)
{
    struct result result = { NULL, 0, NULL };
    struct body *list;

    if (!atomic_load_explicit(&is_any_dead, memory_order_relaxed))
        return NULL;
    list = collector_locked(begin, NULL);
    if (list == NULL)
        return NULL;
    places_wait(); /* signal handlers may still look at the records */
    for (struct body *body = list; body != NULL; body = body->next) {
        write_back(body);
        result.n++;
    }
    result.sorted = malloc(result.n * sizeof(struct body *));
    if (result.sorted != NULL) {
        for (size_t i = 0; i < result.n; i++, list = list->next)
            result.sorted[i] = list;
        vacate_all(result.sorted, result.n);
    } else { /* more system calls, same result */
        for (; list != NULL; list = list->next)
            vacate(list);
    }
    collector_locked(end, &result);
    free(result.sorted);
    return result.released;
}

static void *others_are_busy(void *arg)
{
    return is_busy ? arg : NULL;
}

void release_wait(void)
{
    while (collector_locked(others_are_busy, &is_busy) != NULL)
        os_yield();
}

void release_after_fork_in_child(void)
{
    struct body **last = &dead;

    while (*last != NULL)
        last = &(*last)->next;
    *last = in_hands;
    in_hands = NULL;
    is_busy = false;
    atomic_store(&is_any_dead, dead != NULL);
}
