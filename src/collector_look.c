/*
 * collector_look: what lies in the heap, and what is live, for those who measure and report.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "collector_shared.h"

/* ---- while the world is stopped -------------------------------------------- */

/* What this thread wants to see when it has stopped the world. */
struct look {
    void (*fn)(void *arg);
    void *arg;
    bool is_done;
};

static _Thread_local struct look *look;
static GC_word cycle_at_stop; /* lock */

void collector_take_look(GC_EventType event)
{
    struct look *own = look;

    if (event == GC_EVENT_POST_STOP_WORLD)
        cycle_at_stop = GC_get_gc_no();
    /* Not where marking was given up half-way (incremental mode). */
    if (event == GC_EVENT_PRE_START_WORLD && own != NULL && !own->is_done &&
        GC_get_gc_no() != cycle_at_stop) {
        own->is_done = true;
        own->fn(own->arg);
    }
}

/* ---- objects --------------------------------------------------------------- */

/* The kind is the same for all objects of a page; they come page by page. */
struct walk {
    struct collector_usage *usage;
    uintptr_t page;
    int kind;
    int atomic_kind; /* of GC_malloc_atomic(); has no public name before 8.3 */
};

static void GC_CALLBACK count_object(void *object, size_t n_bytes, void *data)
{
    struct walk *walk = data;

    if (((uintptr_t)object ^ walk->page) >= COLLECTOR_BLOCK_ALIGNMENT) {
        walk->page = (uintptr_t)object & ~(COLLECTOR_BLOCK_ALIGNMENT - 1);
        walk->kind = GC_get_kind_and_size(object, NULL);
    }
    if (walk->kind == (int)collector_kinds.plain || walk->kind == (int)collector_kinds.traced ||
        walk->kind == (int)collector_kinds.ticket)
        return;
    if (walk->kind == walk->atomic_kind)
        walk->usage->atomic += n_bytes;
    else
        walk->usage->composite += n_bytes;
}

static void *walk_locked(void *arg)
{
    GC_enumerate_reachable_objects_inner(count_object, arg);
    return NULL;
}

void collector_walk(struct collector_usage *usage)
{
    struct walk walk = { .usage = usage, .kind = -1 };
    void *atomic;

    *usage = (struct collector_usage){ 0 };
    collector_begin_request();
    atomic = GC_MALLOC_ATOMIC(1);
    collector_end_request();
    if (atomic == NULL)
        return;
    walk.atomic_kind = GC_get_kind_and_size(atomic, NULL);
    GC_FREE(atomic); /* or it would be called a leak, where they are looked for */
    collector_locked(walk_locked, &walk);
}

/* Kinds of objects that have no public names before bdwgc 8.3. */
static int normal_kind, uncollectable_kind, atomic_kind;

static int kind_of(void *object)
{
    return object != NULL ? GC_get_kind_and_size(object, NULL) : -1;
}

static void find_kinds(void)
{
    void *uncollectable;

    collector_begin_request();
    normal_kind = kind_of(GC_MALLOC(1));
    atomic_kind = kind_of(GC_MALLOC_ATOMIC(1));
    uncollectable = GC_MALLOC_UNCOLLECTABLE(1);
    uncollectable_kind = kind_of(uncollectable);
    GC_FREE(uncollectable);
    collector_end_request();
}

bool collector_look(void (*fn)(void *arg), void *arg)
{
    struct look own = { fn, arg, false }, *outer = look;

    find_kinds();
    look = &own;
    collector_collect();
    look = outer; /* a finalizer may look while another look waits */
    return own.is_done;
}

struct visit {
    void (*fn)(const struct collector_object *object, void *arg);
    void *arg;
    uintptr_t page;
    int kind;
};

static void GC_CALLBACK visit_object(void *start, size_t n_bytes, void *data)
{
    struct visit *visit = data;
    struct collector_object object = { .start = start, .n_bytes = n_bytes };

    if (((uintptr_t)start ^ visit->page) >= COLLECTOR_BLOCK_ALIGNMENT) {
        visit->page = (uintptr_t)start & ~(COLLECTOR_BLOCK_ALIGNMENT - 1);
        visit->kind = GC_get_kind_and_size(start, NULL);
    }
    object.kind = visit->kind;
    if (object.kind == atomic_kind || object.kind == (int)collector_kinds.plain ||
        object.kind == (int)collector_kinds.ticket)
        return;
    object.is_ours = object.kind == (int)collector_kinds.traced;
    object.is_simple = object.kind == normal_kind || object.kind == uncollectable_kind;
    visit->fn(&object, visit->arg);
}

void collector_each_object(void (*fn)(const struct collector_object *, void *), void *arg)
{
    struct visit visit = { .fn = fn, .arg = arg };

    GC_enumerate_reachable_objects_inner(visit_object, &visit);
}

enum collector_answer collector_follows(const void *pointer)
{
    size_t offset = (size_t)((uintptr_t)pointer - (uintptr_t)GC_base((void *)pointer));

    if (GC_get_all_interior_pointers() || offset == 0)
        return COLLECTOR_YES;
    return offset < sizeof(GC_word) ? COLLECTOR_MAYBE : COLLECTOR_NO;
}

bool collector_scans_libraries(void)
{
    return GC_get_no_dls() == 0;
}

void *collector_stack_base(void)
{
    struct GC_stack_base base = { 0 };

    (void)GC_get_my_stackbottom(&base);
    return base.mem_base;
}

void collector_clean_stack(void)
{
    (void)GC_clear_stack(NULL);
}
