/*
 * A budget is never exceeded: garbage is collected first, then mapping fails with EDQUOT and
 * changes nothing.  The pacing says how much garbage there may be.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>

#include "live.h"

#define SIZE ((size_t)8192)
#define MOST 50u

static int fd;
static gcmmap_region *kept[MOST + 10];

static void set(size_t n_regions, size_t bytes, size_t bytes_charged)
{
    gcmmap_budget budget = { .n_regions = n_regions,
                             .bytes = bytes,
                             .bytes_charged = bytes_charged };

    need(gcmmap_set_budget(&budget) == 0, "gcmmap_set_budget");
}

static gcmmap_region *map_file(void)
{
    return gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
}

static gcmmap_region *allocate(void)
{
    return gcmmap_alloc(SIZE, GCMMAP_WRITE);
}

static void drop_many(void *map)
{
    unsigned n_failed = 0;

    for (unsigned i = 0; i < 10 * MOST; i++)
        n_failed += (*(gcmmap_region * (**)(void)) map)() == NULL;
    ok(n_failed == 0, "garbage does not count: %u maps", 10 * MOST);
}

static void keep_many(void *map)
{
    unsigned n = 0;

    errno = 0;
    while (n < MOST + 10 && (kept[n] = (*(gcmmap_region * (**)(void)) map)()) != NULL)
        n++;
    ok(errno == EDQUOT && n >= MOST - 3 && n <= MOST, "%u of %u kept, then EDQUOT", n, MOST);
}

static void test_limit(gcmmap_region *(*map)(void), const char *what)
{
    note("%s", what);
    apart(drop_many, &map);
    apart(keep_many, &map);
    ok(stats_now().n_live + stats_now().n_dying <= MOST + 1, "no more than that is there");
    kept[0] = NULL;
    kept[1] = NULL;
    kept[2] = NULL;
    ok(map() != NULL, "what is dropped makes room");
    clear_roots(kept, sizeof kept);
    set(0, 0, 0);
    collect_thoroughly();
}

static void test_extend(void)
{
    gcmmap_options options = { .room = 10 * SIZE };
    gcmmap_region *region = gcmmap_alloc_with(SIZE, 0, &options);
    size_t live = stats_now().bytes_live;

    set(0, live + SIZE, 0);
    errno = 0;
    ok(gcmmap_extend(region, 4 * SIZE) == -1 && errno == EDQUOT && gcmmap_size(region) == SIZE,
       "extending beyond the budget is refused");
    ok(gcmmap_extend(region, 2 * SIZE) == 0, "up to it, not");
    set(0, 0, 0);
}

/* ---- several threads ------------------------------------------------------------------ */

static size_t most_live;

static void *map_and_drop(void *arg)
{
    for (unsigned i = 0; i < 500; i++) {
        gcmmap_region *region = map_file();
        size_t n = stats_now().n_live;

        if (n > most_live)
            most_live = n;
        GC_reachable_here(region);
    }
    return arg;
}

static void test_threads(void)
{
    pthread_t threads[4];

    set(20, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        need(GC_pthread_create(&threads[i], NULL, map_and_drop, NULL) == 0, "thread");
    for (unsigned i = 0; i < 4; i++)
        need(GC_pthread_join(threads[i], NULL) == 0, "join");
    ok(most_live <= 20, "four threads never have more: %zu of 20", most_live);
    set(0, 0, 0);
}

/* ---- pacing ---------------------------------------------------------------------------- */

static void map_a_thousand(void *arg)
{
    for (unsigned i = 0; i < 1000; i++)
        (void)map_file();
    (void)arg;
}

static size_t collections_for_a_thousand(size_t n_regions)
{
    gcmmap_pacing pacing = { .n_regions = n_regions };
    size_t before;

    collect_thoroughly();
    need(gcmmap_set_pacing(&pacing) == 0, "gcmmap_set_pacing");
    before = stats_now().n_collections;
    apart(map_a_thousand, NULL);
    return stats_now().n_collections - before;
}

static void test_pacing(void)
{
    gcmmap_pacing pacing;
    size_t n = collections_for_a_thousand(100);

    ok(n >= 5 && n <= 15, "every 100 regions: %zu collections for a thousand", n);
    n = collections_for_a_thousand(0);
    ok(n <= 1, "by default: %zu", n);
    gcmmap_get_pacing(&pacing);
    ok(pacing.n_regions == 1024 && pacing.live_percent == 50 && pacing.bytes != 0,
       "defaults are told");
}

static void test_bad_input(void)
{
    gcmmap_budget budget = { .reserved = { 0, 1 } }, before, after;
    gcmmap_pacing pacing = { .reserved = { 0, 0, 0, 1 } };

    set(7, 8, 9);
    gcmmap_get_budget(&before);
    errno = 0;
    ok(gcmmap_set_budget(&budget) == -1 && errno == EINVAL, "reserved has to be zero");
    errno = 0;
    ok(gcmmap_set_budget(NULL) == -1 && errno == EINVAL, "NULL: EINVAL");
    gcmmap_get_budget(&after);
    ok(after.n_regions == 7 && after.bytes == 8 && after.bytes_charged == 9, "nothing changed");
    errno = 0;
    ok(gcmmap_set_pacing(&pacing) == -1 && errno == EINVAL, "the same for the pacing");
    errno = 0;
    ok(gcmmap_set_pacing(NULL) == -1 && errno == EINVAL, "NULL: EINVAL");
}

int main(void)
{
    GC_INIT();
    fd = make_file(1, SIZE);
    set(MOST, 0, 0);
    test_limit(map_file, "regions");
    set(0, MOST * SIZE, 0);
    test_limit(map_file, "bytes");
    set(0, 0, MOST * SIZE);
    ok(map_file() != NULL, "what costs no memory is not charged");
    test_limit(allocate, "charged bytes");
    test_extend();
    test_threads();
    test_pacing();
    test_bad_input();
    return done_testing();
}
