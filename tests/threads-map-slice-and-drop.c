/*
 * Threads map, slice, read each other's slices, replace, close and unmap, with
 * collections at any moment: nobody ever sees a wrong byte, and in the end all is gone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>

#define N_THREADS 4
#define N_SLOTS 256u
#define N_FILES 4u
#define N_STEPS 40000u /* of each thread */
#define ACCIDENTS 8u

/* In the GC heap.  The region of a slice that was never shared may be closed. */
struct slot {
    pthread_mutex_t lock;
    const unsigned char *data; /* NULL: free */
    void *keeper;
    size_t n_bytes;
    size_t offset; /* in the file */
    unsigned file;
    bool is_shared;
};

static const size_t file_sizes[N_FILES] = { 3000, 70000, 1000000, 40 * MiB };
static int fds[N_FILES];
static struct slot **slots;
static atomic_ulong n_maps, n_reads, n_wrong, n_failed;

static void complain(const char *what, const struct slot *slot)
{
    if (atomic_fetch_add(&n_wrong, 1) < 5)
        note("%s: file %u, offset %zu, %zu bytes", what, slot->file, slot->offset, slot->n_bytes);
}

static void check(const struct slot *slot, uint64_t *state)
{
    size_t n = slot->n_bytes < 500 ? slot->n_bytes : 500;
    size_t at = slot->n_bytes > n ? next_random(state) % (slot->n_bytes - n) : 0;

    atomic_fetch_add(&n_reads, 1);
    if (!has_bytes(slot->data + at, n, slot->file, slot->offset + at) ||
        !has_bytes(slot->data + slot->n_bytes - n, n, slot->file, slot->offset + slot->n_bytes - n))
        complain("wrong bytes", slot);
}

static void empty(struct slot *slot)
{
    slot->data = NULL;
    slot->keeper = NULL;
    slot->n_bytes = 0;
    slot->is_shared = false;
}

static __attribute__((noinline)) void map_into(struct slot *slot, uint64_t *state)
{
    unsigned file = (unsigned)(next_random(state) % 64);
    size_t size, n, offset;
    gcmmap_region *region;

    file = file == 0 ? 3 : file % 3; /* the large one now and then */
    size = file_sizes[file];
    offset = next_random(state) % size;
    n = 1 + next_random(state) % (size - offset);
    region = gcmmap_map(fds[file], (off_t)offset, n, GCMMAP_READ);
    atomic_fetch_add(&n_maps, 1);
    if (region == NULL || gcmmap_size(region) != n) {
        atomic_fetch_add(&n_failed, 1);
        return;
    }
    /* No handle is kept; what was there is dropped, whoever else holds it. */
    slot->data = gcmmap_data(region);
    slot->keeper = keeper_of(slot->data);
    slot->n_bytes = n;
    slot->offset = offset;
    slot->file = file;
    slot->is_shared = false;
}

/* Out of its slot, so that others may replace it meanwhile: only our stack holds it. */
static __attribute__((noinline)) void borrow(struct slot *slot, uint64_t *state)
{
    struct slot copy;

    slot->is_shared = true;
    copy = *slot;
    pthread_mutex_unlock(&slot->lock);
    if (next_random(state) % 64 == 0)
        GC_gcollect();
    for (int i = 0; i < 3; i++)
        check(&copy, state);
    if (gcmmap_of(copy.data) == NULL)
        complain("nobody's slice", &copy);
    pthread_mutex_lock(&slot->lock);
}

/* Part of it into another slot, in a new object. */
static void sub_slice(struct slot *slot, uint64_t *state)
{
    size_t from = next_random(state) % slot->n_bytes;
    struct slot *to = slots[next_random(state) % N_SLOTS];

    if (to == slot || pthread_mutex_trylock(&to->lock) != 0)
        return;
    slot->is_shared = true;
    to->is_shared = true;
    to->data = slot->data + from;
    to->keeper = slot->keeper;
    to->n_bytes = 1 + next_random(state) % (slot->n_bytes - from);
    to->offset = slot->offset + from;
    to->file = slot->file;
    pthread_mutex_unlock(&to->lock);
}

static void close_or_unmap(struct slot *slot, uint64_t *state)
{
    gcmmap_region *region = gcmmap_of(slot->data);

    if (region == NULL)
        complain("nobody's slice", slot);
    else if (next_random(state) % 2)
        atomic_fetch_add(&n_failed, gcmmap_unmap_now(region) != 0);
    else
        atomic_fetch_add(&n_failed, gcmmap_close(region) != 0 || gcmmap_data(region) != NULL);
    empty(slot);
}

static void step(struct slot *slot, uint64_t *state)
{
    uint64_t what = next_random(state) % 100;

    if (what < 35 || slot->data == NULL)
        map_into(slot, state);
    else if (what < 55)
        check(slot, state);
    else if (what < 70)
        borrow(slot, state);
    else if (what < 80)
        sub_slice(slot, state);
    else if (what < 88 && !slot->is_shared)
        close_or_unmap(slot, state);
    else
        empty(slot);
}

static void *live(void *arg)
{
    uint64_t state = *(uint64_t *)arg;

    for (unsigned i = 0; i < N_STEPS; i++) {
        struct slot *slot = slots[next_random(&state) % N_SLOTS];

        pthread_mutex_lock(&slot->lock);
        step(slot, &state);
        pthread_mutex_unlock(&slot->lock);
        if (i % 64 == 0)
            (void)GC_MALLOC(1000 + next_random(&state) % 3000);
        if (next_random(&state) % 1000 == 0)
            (void)gcmmap_collect();
        if (next_random(&state) % 1000 == 0)
            GC_gcollect();
    }
    return NULL;
}

static void run(void *arg)
{
    pthread_t threads[N_THREADS];
    uint64_t states[N_THREADS], seed = *(uint64_t *)arg;

    for (int i = 0; i < N_THREADS; i++) {
        states[i] = next_random(&seed);
        need(pthread_create(&threads[i], NULL, live, &states[i]) == 0, "thread");
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void check_all(void *arg)
{
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (slots[i]->data != NULL)
            check(slots[i], arg);
}

static size_t count_left(void)
{
    size_t n = 0;

    for (unsigned i = 0; i < N_FILES; i++)
        n += (bytes_mapped_from(fds[i]) + file_sizes[i] - 1) / file_sizes[i];
    return n;
}

int main(void)
{
    uint64_t seed = test_seed();
    gcmmap_stats stats;

    GC_INIT();
    for (unsigned i = 0; i < N_FILES; i++)
        fds[i] = make_file(i, file_sizes[i]);
    slots = GC_MALLOC_UNCOLLECTABLE(N_SLOTS * sizeof *slots);
    for (unsigned i = 0; i < N_SLOTS; i++) {
        slots[i] = GC_MALLOC(sizeof **slots);
        pthread_mutex_init(&slots[i]->lock, NULL);
    }
    apart(run, &seed);
    collect_with_noise();
    apart(check_all, &seed);
    ok(atomic_load(&n_wrong) == 0, "%lu reads of slices on %d threads, %lu wrong",
       atomic_load(&n_reads), N_THREADS, atomic_load(&n_wrong));
    ok(atomic_load(&n_failed) == 0, "%lu maps, none failed, nor did a close", atomic_load(&n_maps));
    for (unsigned i = 0; i < N_SLOTS; i++)
        empty(slots[i]);
    collect_thoroughly();
    stats = stats_now();
    ok(stats.n_live + stats.n_closed + stats.n_dying <= ACCIDENTS,
       "without the slices %zu regions are left", stats.n_live + stats.n_closed + stats.n_dying);
    ok(count_left() <= 3 * ACCIDENTS, "and little of the files is mapped");
    ok(stats.n_mapped == stats.n_live + stats.n_closed + stats.n_dying + stats.n_released +
                             stats.n_unmapped_now &&
           stats.n_mapped == atomic_load(&n_maps),
       "the counters add up: %zu mapped, %zu released, %zu unmapped now", stats.n_mapped,
       stats.n_released, stats.n_unmapped_now);
    return done_testing();
}
