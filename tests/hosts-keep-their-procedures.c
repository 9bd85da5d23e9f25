/*
 * A host's own use of the collector goes on beside ours: its kinds with disclaim and mark
 * procedures, its finalized objects, its event, warning and start procedures, set before us or
 * after us; it need not call GC_INIT, and regions live and die as ever meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <gc/gc_disclaim.h>
#include <gc/gc_mark.h>

#define N 300
#define SIZE ((size_t)10000)

static int fd;
static unsigned kind, marked_kind;
static unsigned n_disclaimed, n_closed, n_marked, n_warned;
static unsigned n_events[GC_EVENT_THREAD_UNSUSPENDED + 1], n_late_events;
static GC_on_collection_event_proc below;

struct object {
    void *first; /* bdwgc's, of disclaimed kinds */
    gcmmap_region *region;
    unsigned char *bytes;
    unsigned refuse;
};

static int GC_CALLBACK disclaim(void *block)
{
    struct object *object = block;

    if (object->region == NULL || object->bytes == NULL)
        return 0;
    n_disclaimed++;
    return object->refuse-- > 0; /* once more, some */
}

static void GC_CALLBACK finalize(void *block, void *data)
{
    struct object *object = block;

    (void)data;
    n_closed += object->bytes[SIZE - 1] == byte_at(1, SIZE - 1);
}

static struct GC_ms_entry *mark(GC_word *block, struct GC_ms_entry *top, struct GC_ms_entry *limit,
                                GC_word env)
{
    struct object *object = (struct object *)block;

    (void)env;
    n_marked++;
    return GC_MARK_AND_PUSH(object->region, top, limit, (void **)&object->region);
}

static void GC_CALLBACK count_event(GC_EventType event)
{
    n_events[event]++;
}

static void GC_CALLBACK count_late_event(GC_EventType event)
{
    n_late_events++;
    if (below != 0)
        below(event);
}

static void GC_CALLBACK forget_event(GC_EventType event)
{
    (void)event;
    n_late_events++;
}

static void GC_CALLBACK count_warning(tap_warning text, GC_word arg)
{
    (void)text, (void)arg;
    n_warned++;
}

static const struct GC_finalizer_closure closure = { finalize, NULL };

static void make_objects(void *arg)
{
    unsigned *n_wrong = arg;

    for (unsigned i = 0; i < N; i++) {
        struct object *object = i % 3 == 0   ? GC_generic_malloc(sizeof *object, (int)kind)
                                : i % 3 == 1 ? GC_finalized_malloc(sizeof *object, &closure)
                                             : GC_MALLOC(sizeof *object);
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);

        *n_wrong += object == NULL || region == NULL;
        object->region = region;
        object->bytes = gcmmap_data(region);
        object->refuse = i % 2;
        GC_end_stubborn_change(object);
    }
}

static struct object *kept;

static void keep_one(void *arg)
{
    (void)arg;
    kept = GC_generic_malloc(sizeof *kept, (int)marked_kind);
    kept->region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    kept->bytes = NULL; /* only the mark procedure's pointer counts */
    GC_end_stubborn_change(kept);
}

/* A region that the host shows the collector by its procedure for further roots only. */
static GC_push_other_roots_proc pushed_below;
static void **pushed; /* malloc'ed */

static void GC_CALLBACK push(void)
{
    pushed_below();
    GC_push_all(pushed, pushed + 1);
}

static void push_one(void *arg)
{
    (void)arg;
    pushed = malloc(sizeof *pushed);
    need(pushed != NULL, "malloc");
    *pushed = gcmmap_data(gcmmap_map(fd, 0, SIZE, GCMMAP_READ));
    need(*pushed != NULL, "gcmmap_map");
    pushed_below = GC_get_push_other_roots();
    GC_set_push_other_roots(push);
}

static void trace_a_file(void *arg)
{
    (void)arg;
    need(gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_TRACED) != NULL, "gcmmap_map");
}

static void test_pushed(const char *when)
{
    uintptr_t hidden;

    collect_thoroughly();
    hidden = ~(uintptr_t)*pushed;
    ok(gcmmap_of((void *)~hidden) != NULL && has_bytes((void *)~hidden, SIZE, 1, 0),
       "%s: what its procedure for further roots pushes is alive", when);
    hidden = 0;
    *pushed = NULL;
}

static void regions_come_and_go(const char *when)
{
    unsigned n_wrong = 0, n_disclaimed_before = n_disclaimed, n_closed_before = n_closed;
    size_t n_released = stats_now().n_released;

    apart(make_objects, &n_wrong);
    ok(n_wrong == 0, "%s: %d are mapped", when, N);
    for (int i = 0; i < 3; i++) {
        make_noise();
        GC_gcollect();
        collect_thoroughly();
    }
    ok(stats_now().n_released - n_released >= N * 9 / 10, "%s: %zu are released", when,
       stats_now().n_released - n_released);
    ok(n_disclaimed - n_disclaimed_before >= N / 3 * 9 / 10,
       "%s: the host's disclaim procedure is called %u times", when,
       n_disclaimed - n_disclaimed_before);
    ok(n_closed - n_closed_before >= N / 3 * 9 / 10 && n_closed - n_closed_before <= N / 3,
       "%s: %u finalized objects of the host read their region", when, n_closed - n_closed_before);
}

static void set_up_kinds(void)
{
    GC_init_finalized_malloc();
    kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
    GC_register_disclaim_proc((int)kind, disclaim, 1);
    marked_kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark), 0), 0, 1);
}

/* A host that has set all before the first call of ours. */
static int before_us(void *arg)
{
    (void)arg;
    GC_INIT();
    set_up_kinds();
    GC_set_on_collection_event(count_event);
    GC_set_warn_proc(count_warning);
    apart(push_one, NULL);
    apart(trace_a_file, NULL); /* from now on we have roots of our own to push */
    regions_come_and_go("before us");
    test_pushed("before us");
    ok(n_events[GC_EVENT_START] > 0 &&
           (GC_is_incremental_mode() ? n_events[GC_EVENT_RECLAIM_END] > 0
                                     : n_events[GC_EVENT_START] == n_events[GC_EVENT_RECLAIM_END]),
       "its event procedure is called as ever");
    ok(GC_get_warn_proc() == count_warning, "its warning procedure is in place");
    return 0;
}

/* A host that sets all after us, and has not called GC_INIT. */
static int after_us(void *arg)
{
    (void)arg;
    ok(gcmmap_map(fd, 0, SIZE, GCMMAP_READ) != NULL, "without GC_INIT: a file is mapped");
    set_up_kinds();
    below = GC_get_on_collection_event();
    GC_set_on_collection_event(count_late_event);
    GC_set_warn_proc(count_warning);
    apart(keep_one, NULL);
    apart(trace_a_file, NULL);
    apart(push_one, NULL);
    regions_come_and_go("after us");
    test_pushed("after us");
    ok(n_late_events > 0, "its event procedure is called");
    ok(GC_get_warn_proc() == count_warning, "its warning procedure is in place");
    ok(n_marked > 0 && gcmmap_of(gcmmap_data(kept->region)) == kept->region &&
           has_bytes(gcmmap_data(kept->region), SIZE, 1, 0),
       "what its mark procedure found is alive");
    GC_set_on_collection_event(forget_event);
    regions_come_and_go("without our event procedure");
    ok(has_bytes(gcmmap_data(kept->region), SIZE, 1, 0), "and is still");
    return 0;
}

/* The first call of all comes from gcmmap_collect, or another that maps nothing. */
static int not_even_a_map(void *arg)
{
    gcmmap_stats stats;

    (void)arg;
    gcmmap_get_stats(&stats);
    if (stats.n_live != 0 || gcmmap_of(&stats) != NULL || gcmmap_trim() != 0)
        return 1;
    (void)gcmmap_collect();
    return gcmmap_alloc(SIZE, 0) == NULL;
}

int main(void)
{
    fd = make_file(1, SIZE);
    all_ok(before_us, NULL, "a host that was there before us");
    all_ok(after_us, NULL, "a host that comes after us, and does not call GC_INIT");
    all_ok(not_even_a_map, NULL, "calls that need no region, before the first");
    return done_testing();
}
