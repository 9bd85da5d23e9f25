/*
 * What is in the pages that a traced region grows over, or comes to see, is kept alive from then on; also
 * where collections are incremental, look only at what has been stored since, and nothing but objects
 * that have not changed for long leads to the region.  The region itself stays, and goes when it is forgotten.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N 40u /* regions, with an object each */
#define LARGE ((size_t)40 * MiB)
#define ROUNDS 4
#define ACCIDENTS 2u /* regions that only look as if a pointer held them */

static size_t page;
static gcmmap_region **kept; /* in the heap, alone in its pages */
static int fds[N];
static gcmmap_weak weak[N];

struct kind {
    const char *name;
    unsigned flags;
    size_t before, after; /* bytes */
    int (*show)(gcmmap_region *region, size_t size);
    unsigned n;
};

static int extend(gcmmap_region *region, size_t size)
{
    return gcmmap_extend(region, size);
}

static int refresh(gcmmap_region *region, size_t size)
{
    (void)size;
    return gcmmap_refresh(region);
}

/* The file is as long as the region. */
static void map_all(void *arg)
{
    const struct kind *kind = arg;
    gcmmap_options options = { .room = kind->after };

    kept = GC_MALLOC(3 * page);
    need(kept != NULL, "GC_MALLOC");
    for (unsigned i = 0; i < kind->n; i++) {
        fds[i] = make_file(0, 0);
        need(ftruncate(fds[i], (off_t)kind->before) == 0, "file");
        kept[i] = gcmmap_map_with(fds[i], 0, kind->before, kind->flags, &options);
        need(kept[i] != NULL, kind->name);
        weak[i] = gcmmap_weak_of(kept[i]);
    }
    GC_end_stubborn_change(kept);
}

static void grow_all(void *arg)
{
    const struct kind *kind = arg;

    for (unsigned i = 0; i < kind->n; i++) {
        void *object = new_mortal(64);

        need(pwrite(fds[i], &object, sizeof object, (off_t)(kind->after - sizeof object)) ==
                 sizeof object,
             "pwrite");
        need(kind->show(kept[i], kind->after) == 0 && gcmmap_size(kept[i]) == kind->after,
             kind->name);
        GC_reachable_here(object);
    }
}

static void count_alive(void *arg)
{
    unsigned *n = arg;

    for (unsigned i = 0; i < N; i++)
        *n += gcmmap_weak_get(weak[i]) != NULL;
}

static void forget(unsigned n)
{
    kept = NULL;
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    collect_thoroughly();
}

static void test(const char *mode, struct kind kind)
{
    unsigned n_lost = 0, n_gone = 0, n_left = kind.n;

    for (int round = 0; round < ROUNDS; round++) {
        unsigned n_alive = 0;

        begin_round();
        memset(weak, 0, sizeof weak);
        apart(map_all, &kind);
        collect_as_bdwgc_does();
        GC_disable();
        apart(grow_all, &kind);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
        apart(count_alive, &n_alive);
        n_gone += kind.n - n_alive;
        forget(kind.n);
        n_alive = 0;
        apart(count_alive, &n_alive);
        n_left = n_alive < n_left ? n_alive : n_left; /* one that is held may hold the others */
    }
    ok(n_lost == 0, "%s, %s: of %d objects %u are lost", mode, kind.name, ROUNDS * (int)kind.n,
       n_lost);
    ok(n_gone == 0, "%s, %s: %u regions are lost", mode, kind.name, n_gone);
    ok(n_left <= ACCIDENTS, "%s, %s: forgotten, %u are left at best", mode, kind.name, n_left);
}

static void test_all(const char *mode)
{
    const unsigned readable = GCMMAP_READ | GCMMAP_TRACED, shared = GCMMAP_WRITE | GCMMAP_TRACED;

    test(mode, (struct kind){ "extended", readable, 100, 5 * page, extend, N });
    test(mode, (struct kind){ "refreshed", readable, 100, 5 * page, refresh, N });
    test(mode, (struct kind){ "refreshed in one page", readable, 100, 2000, refresh, N });
    test(mode, (struct kind){ "empty at first", readable, 0, page, refresh, N });
    test(mode, (struct kind){ "shared, extended", shared, page, 3 * page, extend, N });
    test(mode, (struct kind){ "private", readable | GCMMAP_PRIVATE, page, 3 * page, refresh, N });
    test(mode, (struct kind){ "large", readable, 20 * MiB, LARGE, extend, 3 });
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (!GC_is_incremental_mode())
        test_all("whole collections");
    GC_enable_incremental();
    if (GC_is_incremental_mode())
        test_all("incremental");
    return done_testing();
}
