/*
 * A weak reference keeps nothing, finds its region for as long as that is there, and
 * never another one, even when addresses are used again.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <stdatomic.h>

#include "live.h"

#define N_REGIONS 200u
#define SIZE ((size_t)5000)
#define SEED 3

static int fd;
static gcmmap_weak weak[N_REGIONS];
static gcmmap_region *kept[N_REGIONS];

static void map_all(void *arg)
{
    unsigned *n_wrong = arg;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);

        weak[i] = gcmmap_weak_of(region);
        *n_wrong += region == NULL || gcmmap_weak_get(weak[i]) != region;
        if (i % 2)
            kept[i] = region;
    }
}

static void count(void *arg)
{
    unsigned *n = arg;

    for (unsigned i = 0; i < N_REGIONS; i++)
        n[i % 2] += gcmmap_weak_get(weak[i]) != NULL;
}

static void map_again(void *arg)
{
    unsigned *n_reused = arg;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);

        for (unsigned j = 0; j < N_REGIONS; j++)
            *n_reused += region == (gcmmap_region *)~weak[j].hidden;
    }
}

static void test_lives(void)
{
    unsigned n_wrong = 0, found[2] = { 0, 0 }, n_reused = 0;

    apart(map_all, &n_wrong);
    ok(n_wrong == 0, "%u weak references find their regions", N_REGIONS);
    collect_thoroughly();
    apart(count, found);
    ok(found[1] == N_REGIONS / 2, "they find those that are kept");
    ok(found[0] <= 2, "%u of the others are left: they keep nothing", found[0]);
    apart(map_again, &n_reused);
    ok(n_reused >= N_REGIONS / 4, "%u addresses are used again", n_reused);
    found[0] = found[1] = 0;
    apart(count, found);
    ok(found[0] <= 2, "the new regions are not taken for the old");
}

static void test_ends(void)
{
    gcmmap_region *region = kept[1];
    gcmmap_weak copy = weak[1], none;

    ok(gcmmap_close(region) == 0 && gcmmap_weak_get(copy) == region, "a closed region is found");
    ok(gcmmap_unmap_now(region) == 0 && gcmmap_weak_get(copy) == NULL,
       "one that was unmapped at once is not");
    errno = 0;
    none = gcmmap_weak_of((gcmmap_region *)&none);
    ok(errno == EINVAL && gcmmap_weak_get(none) == NULL, "no handle: EINVAL, and never found");
    errno = 0;
    none = gcmmap_weak_of(NULL);
    ok(errno == EINVAL && gcmmap_weak_get(none) == NULL, "NULL: the same");
    ok(gcmmap_weak_get((gcmmap_weak){ 0 }) == NULL, "all zero: never found");
}

/* ---- against collections --------------------------------------------------------------- */

static atomic_bool stop;

static void *collect(void *arg)
{
    while (!atomic_load(&stop))
        (void)gcmmap_collect();
    return arg;
}

static void chase(void *arg)
{
    unsigned *n = arg; /* found and right, found and wrong, gone */

    for (unsigned i = 0; i < 3000; i++) {
        gcmmap_weak reference =
            gcmmap_weak_of(gcmmap_map(fd, (off_t)(i % 1000), 3000, GCMMAP_READ));

        scrub();
        for (unsigned j = 0; j < 5; j++) {
            gcmmap_region *region = gcmmap_weak_get(reference);

            if (region == NULL)
                n[2]++;
            else if (has_bytes(gcmmap_data(region), 300, SEED, i % 1000))
                n[0]++;
            else
                n[1]++;
        }
    }
}

static void test_race(void)
{
    pthread_t thread;
    unsigned n[3] = { 0, 0, 0 };

    need(GC_pthread_create(&thread, NULL, collect, NULL) == 0, "thread");
    apart(chase, n);
    atomic_store(&stop, true);
    need(GC_pthread_join(thread, NULL) == 0, "join");
    ok(n[1] == 0, "while another thread collects: %u found, %u gone, none wrong", n[0], n[2]);
    ok(n[0] > 0, "some are found");
}

int main(void)
{
    GC_INIT();
    fd = make_file(SEED, SIZE);
    test_lives();
    test_ends();
    test_race();
    return done_testing();
}
