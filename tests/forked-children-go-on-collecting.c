/*
 * A fork while another thread maps, and has paused the collector or is about to, or changes the
 * host's rhythm: the child collects if the parent's host does, its rhythm is kept, and its budget
 * is its own.
 *
 * Linked with --wrap for what pauses and paces, so that the other thread can be held there.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "live.h"

#define NO_GROWTH ((GC_word)1 << (sizeof(GC_word) > 4 ? 24 : 18)) /* the divisor, in a pause */

enum place {
    NOWHERE,
    BEFORE_DISABLE,
    BEHIND_DISABLE,
    ALLOCATING,
    BEFORE_ENABLE,
    BEHIND_ENABLE,
    PACING
};

static atomic_int place; /* where the next that comes is held */
static atomic_bool is_held, may_go;
static _Thread_local bool is_worker;
static GC_word divisor_seen; /* while blocks are made */

void __real_GC_disable(void);
void __wrap_GC_disable(void);
void __real_GC_enable(void);
void __wrap_GC_enable(void);
void *__real_GC_generic_malloc(size_t n_bytes, int kind);
void *__wrap_GC_generic_malloc(size_t n_bytes, int kind);
size_t __real_GC_get_min_bytes_allocd(void);
size_t __wrap_GC_get_min_bytes_allocd(void);

static void come_to(enum place here)
{
    if (!is_worker || atomic_load(&place) != (int)here)
        return;
    atomic_store(&place, NOWHERE);
    atomic_store(&is_held, true);
    while (!atomic_load(&may_go))
        sched_yield();
}

void __wrap_GC_disable(void)
{
    come_to(BEFORE_DISABLE);
    __real_GC_disable();
    come_to(BEHIND_DISABLE);
}

void __wrap_GC_enable(void)
{
    come_to(BEFORE_ENABLE);
    __real_GC_enable();
    come_to(BEHIND_ENABLE);
}

void *__wrap_GC_generic_malloc(size_t n_bytes, int kind)
{
    come_to(ALLOCATING);
    divisor_seen = GC_get_free_space_divisor();
    return __real_GC_generic_malloc(n_bytes, kind);
}

size_t __wrap_GC_get_min_bytes_allocd(void)
{
    come_to(PACING);
    return __real_GC_get_min_bytes_allocd();
}

/* Through all of these places. */
static void map_and_trim(size_t n_bytes)
{
    gcmmap_region *region = gcmmap_alloc(n_bytes, GCMMAP_POINTER_FREE);

    need(region != NULL && gcmmap_unmap_now(region) == 0, "gcmmap_alloc");
    (void)gcmmap_trim();
}

static void *work(void *arg)
{
    is_worker = true;
    map_and_trim(200000);
    return arg;
}

static bool collects(void)
{
    GC_word cycle = GC_get_gc_no();

    GC_gcollect();
    return GC_get_gc_no() != cycle;
}

/* The number of the first thing that is wrong. */
static int look(void *arg)
{
    const bool *is_disabled = arg;

    if (*is_disabled && collects())
        return 1;
    if (*is_disabled)
        GC_enable();
    if (GC_is_disabled() || !collects())
        return 2;
    for (int i = 0; i < 2; i++) {
        divisor_seen = 0;
        map_and_trim(300000);
        if (divisor_seen != NO_GROWTH)
            return 3;
        if (GC_is_disabled() || !collects() || GC_get_free_space_divisor() >= NO_GROWTH)
            return 4;
    }
    return 0;
}

static int look_at_rhythm(void *arg)
{
    GC_word before = GC_get_free_space_divisor();

    (void)arg;
    return gcmmap_alloc(64 * MiB, GCMMAP_POINTER_FREE) == NULL ? 1
           : GC_get_free_space_divisor() <= before             ? 2
                                                               : 0;
}

/* 200,000 bytes of it are being mapped by a thread that is not here. */
static int look_at_budget(void *arg)
{
    (void)arg;
    return gcmmap_alloc(300000, GCMMAP_POINTER_FREE) == NULL;
}

static int fork_at(enum place where, int (*fn)(void *), void *arg)
{
    pthread_t worker;
    int result;

    atomic_store(&is_held, false);
    atomic_store(&may_go, false);
    atomic_store(&place, where);
    need(pthread_create(&worker, NULL, work, NULL) == 0, "thread");
    while (!atomic_load(&is_held))
        sched_yield();
    result = run_in_child(fn, arg);
    atomic_store(&may_go, true);
    pthread_join(worker, NULL);
    return result;
}

static void test(enum place where, bool is_disabled, const char *what)
{
    int result;

    if (is_disabled)
        GC_disable();
    result = fork_at(where, look, &is_disabled);
    ok(result == 0, "%s%s (%d)", what, is_disabled ? ", and the host has paused it too" : "",
       result);
    if (is_disabled)
        GC_enable();
    ok(!GC_is_disabled() && collects(), "the parent collects");
}

int main(void)
{
    int result;

    GC_set_handle_fork(1);
    GC_INIT();
    map_and_trim(100000);
    for (int i = 0; i < 2; i++) {
        test(BEFORE_DISABLE, i != 0, "just before a pause");
        test(ALLOCATING, i != 0, "in a pause");
        test(BEFORE_ENABLE, i != 0, "at its end");
    }
    test(BEHIND_DISABLE, false, "when it has just begun");
    test(BEHIND_ENABLE, false, "when it has just ended");
    result = fork_at(PACING, look_at_rhythm, NULL);
    ok(result == 0, "while the rhythm is looked at (%d)", result);
    need(gcmmap_set_budget(&(gcmmap_budget){ .n_regions = 1, .bytes = 400000 }) == 0, "budget");
    result = fork_at(ALLOCATING, look_at_budget, NULL);
    ok(result == 0, "what another thread was mapping is not charged (%d)", result);
    return done_testing();
}
