/*
 * An object's finalizer finds the slice that the object holds as it was, whatever kind of
 * finalizer it is and although object and region were found dead by the same collection.
 * Regions are released where the host lets finalizers run, not before.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_OBJECTS 200u /* of each kind */
#define SLICE ((size_t)5000)
#define N_CHAINS 50u
#define LINKS 4u
#define ACCIDENTS 4u /* may be held by something that only looks like a pointer */
#define SEED 4u

struct holder {
    const unsigned char *slice; /* nothing else holds the region ... */
    void *keeper;               /* ... but this, where interior pointers do not count */
    struct holder *next;        /* in a chain */
    size_t offset;
    unsigned what_else; /* to do in the finalizer */
};

typedef void register_function(void *, GC_finalization_proc, void *, GC_finalization_proc *,
                               void **);

static int fd;
static unsigned n_finalized, n_wrong;
static struct holder *resurrected[N_OBJECTS];
static unsigned n_resurrected;

static bool reads_right(const struct holder *holder)
{
    return has_bytes(holder->slice, SLICE, SEED, holder->offset) &&
           gcmmap_of(holder->slice) != NULL;
}

static const unsigned char *new_slice(size_t offset)
{
    gcmmap_region *region = gcmmap_map(fd, (off_t)offset, SLICE, GCMMAP_READ);

    need(region != NULL, "gcmmap_map");
    return gcmmap_data(region);
}

static void GC_CALLBACK finalize(void *object, void *data)
{
    struct holder *holder = object;

    (void)data;
    n_finalized++;
    n_wrong += !reads_right(holder);
    for (const struct holder *next = holder->next; next != NULL; next = next->next)
        n_wrong += !reads_right(next);
    switch (holder->what_else) {
    case 1: /* finalizers may map ... */
        n_wrong += !has_bytes(new_slice(holder->offset + 1), SLICE, SEED, holder->offset + 1);
        break;
    case 2: /* ... and close ... */
        n_wrong += gcmmap_close(gcmmap_of(holder->slice)) != 0;
        break;
    case 3: /* ... and collect ... */
        (void)gcmmap_collect();
        n_wrong += !reads_right(holder);
        break;
    case 4: /* ... and bring back to life */
        resurrected[n_resurrected++ % N_OBJECTS] = holder;
        break;
    default:
        break;
    }
}

/* A holder of SLICE bytes at that place in the file. */
static struct holder *new_holder(size_t offset, unsigned what_else)
{
    struct holder *holder = GC_MALLOC(sizeof *holder);

    need(holder != NULL, "GC_MALLOC");
    holder->slice = new_slice(offset);
    holder->keeper = keeper_of(holder->slice);
    holder->offset = offset;
    holder->what_else = what_else;
    return holder;
}

/* At least; a slice needs two pages or three. */
static size_t count_mapped(void)
{
    return bytes_mapped_from(fd) / 8192;
}

/* As apart(), and nothing dies meanwhile. */
static void apart_at_once(void (*fn)(void *), void *arg)
{
    GC_disable();
    apart(fn, arg);
    GC_enable();
}

/* ---- each kind of finalizer ------------------------------------------------------- */

static void forget_objects(void *arg)
{
    register_function *register_finalizer = *(register_function **)arg;

    for (unsigned i = 0; i < N_OBJECTS; i++) {
        struct holder *holder = new_holder(i * 4999, i % 40 < 4 ? i % 40 + 1 : 0);

        register_finalizer(holder, finalize, NULL, NULL, NULL);
    }
}

static void check_resurrected(void *all_right)
{
    *(bool *)all_right = n_resurrected > 0;
    for (unsigned i = 0; i < n_resurrected; i++)
        *(bool *)all_right &= reads_right(resurrected[i]);
}

static void finalizer_reads(const char *kind, register_function *register_finalizer)
{
    bool all_right;

    n_finalized = n_wrong = 0;
    apart_at_once(forget_objects, &register_finalizer);
    ok(count_mapped() >= N_OBJECTS, "%s: %u objects with a slice each", kind, N_OBJECTS);
    collect_with_noise();
    collect_thoroughly();
    /* bdwgc takes "unreachable" ones that wait for their turn back when one before them collects. */
    for (unsigned i = 0; i < N_OBJECTS / 40 && n_finalized < N_OBJECTS - ACCIDENTS; i++)
        collect_thoroughly();
    ok(n_finalized >= N_OBJECTS - ACCIDENTS, "%s: %u were finalized", kind, n_finalized);
    ok(n_wrong == 0, "%s: all found their bytes and could map, close and collect", kind);
    apart(check_resurrected, &all_right);
    ok(all_right, "%s: %u brought back to life still have theirs", kind, n_resurrected);
    clear_roots(resurrected, sizeof resurrected);
    n_resurrected = 0;
    collect_thoroughly();
    ok(count_mapped() <= ACCIDENTS, "%s: then the regions go, up to %zu", kind, count_mapped());
}

/* ---- chains: in order, one object each collection ----------------------------------- */

static void forget_chains(void *arg)
{
    for (unsigned i = 0; i < N_CHAINS; i++) {
        struct holder *chain = NULL;

        for (unsigned j = 0; j < LINKS; j++) {
            struct holder *holder = new_holder((i * LINKS + j) * 4001, 0);

            holder->next = chain;
            chain = holder;
            GC_REGISTER_FINALIZER(holder, finalize, NULL, NULL, NULL);
        }
    }
    (void)arg;
}

static void chains_are_read(void)
{
    n_finalized = n_wrong = 0;
    apart_at_once(forget_chains, NULL);
    GC_gcollect();
    ok(n_wrong == 0 && n_finalized <= 3 * N_CHAINS && count_mapped() >= N_CHAINS,
       "chains die one link at a time");
    collect_thoroughly();
    collect_thoroughly();
    ok(n_finalized >= (N_CHAINS - 2) * LINKS, "%u of %u links were finalized", n_finalized,
       N_CHAINS * LINKS);
    ok(n_wrong == 0, "all found their bytes and those of the links behind them");
    ok(count_mapped() <= 2 * LINKS, "then the regions go, up to %zu", count_mapped());
}

/* ---- when ------------------------------------------------------------------------------- */

static void forget_slices(void *arg)
{
    for (unsigned i = 0; i < N_OBJECTS; i++)
        (void)new_slice(i * 4999);
    (void)arg;
}

static void collect_without_us(void)
{
    for (int i = 0; i < 4; i++) {
        scrub();
        GC_gcollect();
    }
}

static void release_needs_no_call_of_ours(void)
{
    apart_at_once(forget_slices, NULL);
    collect_without_us();
    run_finalizers_if_asked();
    ok(count_mapped() <= ACCIDENTS, "the host's own collections release, up to %zu",
       count_mapped());
}

static void release_waits_for_the_host(void)
{
    size_t n_before;

    collect_thoroughly();
    n_before = count_mapped();
    GC_set_finalize_on_demand(1);
    apart_at_once(forget_slices, NULL);
    collect_without_us();
    make_noise();
    ok(count_mapped() >= n_before + N_OBJECTS && stats_now().n_dying >= N_OBJECTS - ACCIDENTS,
       "finalization on demand: %zu regions are dying, all still mapped", stats_now().n_dying);
    ok(GC_should_invoke_finalizers(), "the host is told that there is something to do");
    (void)GC_invoke_finalizers();
    ok(count_mapped() <= n_before + ACCIDENTS && stats_now().n_dying == 0,
       "GC_invoke_finalizers() releases them, up to %zu", count_mapped() - n_before);

    apart_at_once(forget_slices, NULL);
    collect_without_us();
    ok(count_mapped() >= n_before + N_OBJECTS, "the same again");
    need(gcmmap_alloc(1, 0) != NULL, "gcmmap_alloc");
    ok(count_mapped() <= n_before + ACCIDENTS, "the next call that maps releases them too");
    GC_set_finalize_on_demand(host_is_on_demand());
    (void)GC_invoke_finalizers();
}

static void on_demand_too(void)
{
    n_finalized = n_wrong = 0;
    GC_set_finalize_on_demand(1);
    apart_at_once(forget_objects, &(register_function *){ GC_register_finalizer_no_order });
    collect_without_us();
    ok(n_finalized == 0, "finalization on demand: no finalizer ran unasked");
    /* A drain between death and finalizer must leave their slices alone. */
    need(gcmmap_alloc(1, 0) != NULL, "gcmmap_alloc");
    (void)GC_invoke_finalizers();
    ok(n_finalized >= N_OBJECTS - ACCIDENTS && n_wrong == 0,
       "finalization on demand: %u finalizers found their bytes", n_finalized);
    GC_set_finalize_on_demand(host_is_on_demand());
    clear_roots(resurrected, sizeof resurrected);
    n_resurrected = 0;
    collect_thoroughly();
    ok(count_mapped() <= 2 * ACCIDENTS, "then the regions go, up to %zu", count_mapped());
}

int main(void)
{
    GC_INIT();
    fd = make_file(SEED, N_OBJECTS * 5000 + SLICE);
    finalizer_reads("ordered", GC_register_finalizer);
    finalizer_reads("no_order", GC_register_finalizer_no_order);
    finalizer_reads("unreachable", GC_register_finalizer_unreachable);
    finalizer_reads("ignore_self", GC_register_finalizer_ignore_self);
    chains_are_read();
    release_needs_no_call_of_ours();
    release_waits_for_the_host();
    on_demand_too();
    return done_testing();
}
