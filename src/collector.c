/*
 * collector: kinds, events, requests, finalization points.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "collector_shared.h"

#include <gc/gc_disclaim.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "os.h"

const struct collector_hooks *collector_hooks;
struct collector_kinds collector_kinds;

static int GC_CALLBACK refuse_to_be_reclaimed(void *block)
{
    int saved_errno = errno;

    collector_hooks->unreached(block);
    /*
     * bdwgc marks a block that refuses, but does not count the mark; and a block without a
     * count is passed over by the next partial collection (incremental mode), whatever
     * has been stored in it by then.
     */
    GC_set_mark_bit(block);
    errno = saved_errno;
    return 1; /* the latch, without exception: see collector.h */
}

/* ---- the world ------------------------------------------------------------- */

static GC_on_collection_event_proc host_event;
static _Atomic GC_word noted_cycle; /* the last collection of which we were told */

/*
 * In leak-finding mode bdwgc calls no disclaim procedure, but prints and frees whatever is
 * not marked: a block with a file on it, too.  So we are there first.
 */
static void stand_in_for_sweep(void *block)
{
    if (GC_is_marked(block))
        return;
    if (!collector_stand_in_for_ticket(block))
        (void)refuse_to_be_reclaimed(block);
}

/* Where the host has set its own after us we are not called: see collector_lets_us_live(). */
static void GC_CALLBACK note_event(GC_EventType event)
{
    if (host_event != 0)
        host_event(event);
    if (event == GC_EVENT_RECLAIM_START) {
        atomic_store(&noted_cycle, GC_get_gc_no());
        if (GC_get_find_leak()) {
            collector_hooks->each_block(stand_in_for_sweep);
            collector_stand_in_for_own_ticket();
        }
    }
    collector_take_look(event);
    if (event == GC_EVENT_POST_STOP_WORLD || event == GC_EVENT_PRE_START_WORLD)
        os_world_is_stopped(event == GC_EVENT_POST_STOP_WORLD);
}

void collector_start(const struct collector_hooks *hooks)
{
    collector_hooks = hooks;
    if (!GC_is_init_called())
        GC_INIT();
    collector_kinds.plain = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 0);
    collector_start_marking();
    host_event = GC_get_on_collection_event();
    atomic_store(&noted_cycle, GC_get_gc_no());
    GC_set_on_collection_event(note_event);
    GC_register_disclaim_proc((int)collector_kinds.plain, refuse_to_be_reclaimed, 0);
    GC_register_disclaim_proc((int)collector_kinds.traced, refuse_to_be_reclaimed, 0);
}

bool collector_lets_us_live(void)
{
    /* A procedure over ours may well call ours: then we were told. */
    return !GC_get_find_leak() || GC_get_on_collection_event() == note_event ||
           atomic_load(&noted_cycle) == GC_get_gc_no();
}

void *collector_locked(void *(*fn)(void *), void *arg)
{
    return GC_call_with_alloc_lock(fn, arg);
}

/*
 * Our own large requests are no sign of trouble in the host: bdwgc's warnings about
 * them, and the host's out-of-memory procedure (which may well end the program),
 * are held back.  Other threads' and other warnings go where they went before.
 */
static _Thread_local unsigned n_own_requests; /* of this thread, nested */
static unsigned n_requests;                   /* of all; while is_exchanging */
static atomic_flag is_exchanging = ATOMIC_FLAG_INIT;
static _Atomic(GC_warn_proc) host_warn;
static _Atomic(GC_oom_func) host_oom;

#if GC_VERSION_MAJOR > 8 || (GC_VERSION_MAJOR == 8 && GC_VERSION_MINOR >= 3)
typedef const char *warning;
#else
typedef char *warning;
#endif

static void GC_CALLBACK warn_unless_ours(warning format, GC_word arg)
{
    if (n_own_requests > 0 && (strstr(format, "Repeated allocation of very large block") != NULL ||
                               strstr(format, "Failed to expand heap") != NULL ||
                               strstr(format, "Out of Memory") != NULL))
        return;
    host_warn(format, arg);
}

static void *GC_CALLBACK oom_unless_ours(size_t n_bytes)
{
    return n_own_requests > 0 ? NULL : host_oom(n_bytes);
}

/*
 * The host's finalizers run inside bdwgc's allocation calls.  Let those that wait run now,
 * while their own shortages are not yet taken for ours; but not nested, or a chain of
 * finalizers that map could exhaust the stack.
 */
static void run_waiting_finalizers(void)
{
    static _Thread_local bool is_running;

    if (is_running || !GC_should_invoke_finalizers() || GC_get_finalize_on_demand())
        return;
    is_running = true;
    (void)GC_invoke_finalizers();
    is_running = false;
}

/* One at a time: the last to end its requests must not put back what the next relies on. */
static void begin_exchange(void)
{
    while (atomic_flag_test_and_set_explicit(&is_exchanging, memory_order_acquire))
        os_yield();
}

static void end_exchange(void)
{
    atomic_flag_clear_explicit(&is_exchanging, memory_order_release);
}

void collector_begin_request(void)
{
    GC_warn_proc warn;
    GC_oom_func oom;

    run_waiting_finalizers();
    begin_exchange();
    n_requests++;
    warn = GC_get_warn_proc();
    oom = GC_get_oom_fn();
    if (warn != warn_unless_ours) {
        host_warn = warn;
        GC_set_warn_proc(warn_unless_ours);
    }
    if (oom != oom_unless_ours) {
        host_oom = oom;
        GC_set_oom_fn(oom_unless_ours);
    }
    end_exchange();
    n_own_requests++;
}

void collector_end_request(void)
{
    n_own_requests--;
    begin_exchange();
    /* Unless the host has set its own meanwhile. */
    if (--n_requests == 0 && GC_get_warn_proc() == warn_unless_ours)
        GC_set_warn_proc(host_warn);
    if (n_requests == 0 && GC_get_oom_fn() == oom_unless_ours)
        GC_set_oom_fn(host_oom);
    end_exchange();
}

void *collector_new_block(size_t n_bytes, bool traced)
{
    void *block;

    collector_begin_request();
    /* With interior pointers on, bdwgc adds a byte of its own to each object. */
    block = GC_generic_malloc(n_bytes - 1,
                              (int)(traced ? collector_kinds.traced : collector_kinds.plain));
    collector_end_request();
    return block;
}

void collector_free_block(void *block)
{
    GC_free(block);
}

size_t collector_block_bytes(const void *block)
{
    return GC_size(block);
}

/* bdwgc's word for "look at it again" has a strange name. */
static void *with_contents(void *object, const void *contents, size_t n_bytes)
{
    if (object != NULL) {
        memcpy(object, contents, n_bytes);
        GC_end_stubborn_change(object);
    }
    return object;
}

void *collector_new_root(const void *contents, size_t n_bytes)
{
    void *root;

    collector_begin_request();
    root = GC_MALLOC_UNCOLLECTABLE(n_bytes);
    collector_end_request();
    return with_contents(root, contents, n_bytes);
}

void collector_free_root(void *root)
{
    GC_FREE(root);
}

void *collector_new_object(const void *contents, size_t n_bytes)
{
    void *object;

    collector_begin_request();
    object = GC_MALLOC(n_bytes);
    collector_end_request();
    return with_contents(object, contents, n_bytes);
}

size_t collector_heap_bytes(void)
{
    return GC_get_heap_size();
}

size_t collector_free_bytes(void)
{
    return GC_get_free_bytes();
}

/*
 * bdwgc grows its heap by what is asked for and heap / divisor: more than our blocks need, and
 * the host would use it up before it collects again.  So the divisor is this while we pause.
 */
#define EXACTLY ((GC_word)1 << (sizeof(GC_word) > 4 ? 24 : 18)) /* times a block: no overflow */

static struct {
    unsigned n; /* nested, of all threads */
    GC_word divisor;
} set_aside; /* lock */

static bool is_set_aside(void)
{
    return set_aside.n > 0 && GC_get_free_space_divisor() == EXACTLY;
}

static void *begin_exactly(void *arg)
{
    if (set_aside.n++ == 0) {
        set_aside.divisor = GC_get_free_space_divisor();
        GC_set_free_space_divisor(EXACTLY);
    }
    return arg;
}

static void *end_exactly(void *arg)
{
    if (set_aside.n == 1 && is_set_aside()) /* else the host has set its own meanwhile */
        GC_set_free_space_divisor(set_aside.divisor);
    set_aside.n--;
    return arg;
}

static void *read_divisor(void *arg)
{
    *(GC_word *)arg = is_set_aside() ? set_aside.divisor : GC_get_free_space_divisor();
    return NULL;
}

static void *write_divisor(void *arg)
{
    if (is_set_aside())
        set_aside.divisor = *(GC_word *)arg;
    else
        GC_set_free_space_divisor(*(GC_word *)arg);
    return NULL;
}

size_t collector_divisor(void)
{
    GC_word divisor;

    collector_locked(read_divisor, &divisor);
    return (size_t)divisor;
}

void collector_set_divisor(size_t divisor)
{
    GC_word word = divisor < EXACTLY ? divisor : EXACTLY - 1;

    collector_locked(write_divisor, &word);
}

size_t collector_least_allocated(void)
{
    return GC_get_min_bytes_allocd();
}

void collector_set_least_allocated(size_t n_bytes)
{
    GC_set_min_bytes_allocd(n_bytes);
}

static atomic_uint n_pauses;            /* of all threads */
static atomic_uint n_disabled;          /* of them, those that GC_disable() has counted */
static atomic_bool is_disabled_by_host; /* when the first of them began */
static _Thread_local unsigned n_own_pauses;

void collector_pause(bool pause)
{
    if (pause) {
        if (atomic_fetch_add(&n_pauses, 1) == 0)
            atomic_store(&is_disabled_by_host, GC_is_disabled() != 0);
        n_own_pauses++;
        GC_disable();
        atomic_fetch_add(&n_disabled, 1);
        collector_locked(begin_exactly, NULL);
    } else {
        collector_locked(end_exactly, NULL);
        GC_enable();
        atomic_fetch_sub(&n_disabled, 1);
        n_own_pauses--;
        atomic_fetch_sub(&n_pauses, 1);
    }
}

/*
 * Ends the pauses of threads that are not here any more.  Who forks holds the lock that
 * GC_disable() takes, so they wait in front of it rather than behind; one call too many would
 * switch collections off for ever.
 */
static void end_others_pauses(void)
{
    while (set_aside.n > n_own_pauses)
        collector_locked(end_exactly, NULL);
    for (unsigned n = atomic_load(&n_disabled); n > n_own_pauses; n--)
        if (GC_is_disabled())
            GC_enable();
    /* Between the call and our counting, for some nanoseconds. */
    if (n_own_pauses == 0 && atomic_load(&n_pauses) > 0 && !atomic_load(&is_disabled_by_host) &&
        GC_is_disabled())
        GC_enable();
    atomic_store(&n_disabled, n_own_pauses);
    atomic_store(&n_pauses, n_own_pauses);
}

void collector_after_fork_in_child(void)
{
    n_requests = n_own_requests;
    end_exchange();
    end_others_pauses();
}

void *collector_block_of(const void *pointer)
{
    return GC_base((void *)pointer);
}

bool collector_owns(const void *address)
{
    return GC_is_heap_ptr(address) != 0;
}

bool collector_is_reached(const void *block)
{
    return GC_is_marked(block) != 0;
}

unsigned long collector_cycle(void)
{
    return (unsigned long)GC_get_gc_no();
}

void collector_account(ptrdiff_t n_bytes)
{
    GC_set_non_gc_bytes(GC_get_non_gc_bytes() + (GC_word)n_bytes);
}

void collector_collect(void)
{
    GC_word cycle = GC_get_gc_no();

    GC_gcollect();
    /* That another of our threads paused it is no reason not to collect. */
    while (GC_get_gc_no() == cycle && n_own_pauses == 0 && atomic_load(&n_pauses) > 0) {
        os_yield();
        GC_gcollect();
    }
}

/*
 * Sentinels: small objects that nobody keeps.  After each collection their finalizers run
 * where the host lets finalizers run; the first to run takes the occasion, all set
 * themselves up again.  Several, because a forgotten word on a stack that nobody cleans
 * can hold one.
 */
#define N_SENTINELS 4

static atomic_uint n_sentinels;
static _Atomic GC_word seen_cycle;

static void GC_CALLBACK sentinel_died(void *object, void *data);

static void set_up(void *sentinel)
{
    /* A shortage of memory here is ours, and another sentinel's chance. */
    n_own_requests++;
    GC_REGISTER_FINALIZER_NO_ORDER(sentinel, sentinel_died, NULL, NULL, NULL);
    n_own_requests--;
}

static void GC_CALLBACK sentinel_died(void *object, void *data)
{
    int saved_errno = errno;
    GC_word cycle = GC_get_gc_no();

    (void)data;
    if (atomic_exchange(&seen_cycle, cycle) != cycle)
        collector_hooks->finalization_point();
    if (collector_hooks->is_anything_left()) {
        set_up(object); /* allocates nothing that could run other finalizers */
    } else {
        atomic_fetch_sub(&n_sentinels, 1);
        if (collector_hooks->is_anything_left()) /* it came between */
            collector_want_finalization_point();
    }
    errno = saved_errno;
}

void collector_want_finalization_point(void)
{
    unsigned none = 0;

    /* In leak-finding mode there are no finalizers, and sentinels would be called leaks. */
    if (GC_get_find_leak())
        return;
    if (atomic_load_explicit(&n_sentinels, memory_order_relaxed) > 0 ||
        !atomic_compare_exchange_strong(&n_sentinels, &none, N_SENTINELS))
        return;
    collector_begin_request();
    for (int i = 0; i < N_SENTINELS; i++) {
        void *sentinel = GC_MALLOC_ATOMIC(1);

        if (sentinel != NULL)
            set_up(sentinel);
        else
            atomic_fetch_sub(&n_sentinels, 1);
    }
    collector_end_request();
}

void collector_forget(void **pointers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *(void *volatile *)&pointers[i] = NULL;
}

void collector_keep(const void *pointer)
{
    GC_reachable_here(pointer);
}
