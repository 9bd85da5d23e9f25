/*
 * gcmmap_options.released is called once for each region, when its pages are gone, whichever
 * way they went; with no lock held; and what is handed to it stays alive until then.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>

#include "live.h"

#define N_REGIONS 100u
#define SIZE ((size_t)9000)
#define SEED 5

static int fd;
static unsigned long inode;
static unsigned n_told[N_REGIONS], n_wrong, n_finalized;

static unsigned round_now;

struct note {
    unsigned i;
    unsigned round;
    unsigned check;
};

static void told(const gcmmap_release *release, void *data)
{
    const struct note *note = data;
    gcmmap_region *another;

    if (note->round != round_now) /* held by accident until now */
        return;
    n_wrong += note->check != note->i * 7 + 1 || release->size != SIZE - note->i;
    n_wrong += release->name == NULL || strcmp(release->name, "told") != 0;
    n_wrong += release->error != 0 || inode_at(release->data) == inode;
    n_wrong += GC_MALLOC(100) == NULL;
    another = gcmmap_map(fd, 0, 100, GCMMAP_READ); /* would wait for ever with a lock held */
    n_wrong += another == NULL || gcmmap_unmap_now(another) != 0;
    n_told[note->i]++;
}

static void GC_CALLBACK note_died(void *object, void *data)
{
    (void)object, (void)data;
    n_finalized++;
}

static gcmmap_region *map(unsigned i, unsigned flags)
{
    struct note *note = GC_MALLOC(sizeof *note);
    gcmmap_options options = { .released = told, .data = note, .name = "told" };

    *note = (struct note){ i, round_now, i * 7 + 1 };
    GC_REGISTER_FINALIZER(note, note_died, NULL, NULL, NULL);
    return gcmmap_map_with(fd, 0, SIZE - i, flags, &options);
}

static void map_and_forget(void *arg)
{
    unsigned flags = *(unsigned *)arg;

    for (unsigned i = 0; i < N_REGIONS; i++)
        n_wrong += map(i, flags) == NULL;
}

static unsigned sum_told(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        n += n_told[i];
        n_wrong += n_told[i] > 1;
        n_told[i] = 0;
    }
    round_now++;
    return n;
}

static void test_collector(unsigned flags, const char *what)
{
    unsigned n;

    n_finalized = 0;
    apart(map_and_forget, &flags);
    make_noise();
    collect_thoroughly();
    n = sum_told();
    ok(n >= N_REGIONS - 3 && n <= N_REGIONS, "%s: %u of %u releases are told", what, n, N_REGIONS);
    ok(n_wrong == 0, "once, with the pages gone and what was handed over intact");
    collect_thoroughly();
    ok(n_finalized >= N_REGIONS - 6, "which goes afterwards (%u)", n_finalized);
    (void)sum_told();
}

static void close_some(void *arg)
{
    gcmmap_region *region = map(1, GCMMAP_READ);

    (void)arg;
    ok(gcmmap_close(region) == 0 && n_told[1] == 1, "told inside gcmmap_close()");
    ok(gcmmap_close(region) == 0 && n_told[1] == 1, "not again when closed again");
    ok(gcmmap_unmap_now(region) == 0 && n_told[1] == 1, "nor by gcmmap_unmap_now()");
    region = map(2, GCMMAP_READ | GCMMAP_BY_HANDLE);
    ok(gcmmap_unmap_now(region) == 0 && n_told[2] == 1, "told inside gcmmap_unmap_now()");
    for (unsigned i = 3; i < 20; i++)
        n_wrong += gcmmap_close(map(i, GCMMAP_READ)) != 0;
}

static void *close_it(void *region)
{
    return (void *)(intptr_t)gcmmap_close(region);
}

static void close_together(void *arg)
{
    pthread_t threads[4];

    (void)arg;
    for (unsigned i = 30; i < 60; i++) {
        gcmmap_region *region = map(i, GCMMAP_READ);

        for (unsigned t = 0; t < 4; t++)
            need(GC_pthread_create(&threads[t], NULL, close_it, region) == 0, "thread");
        for (unsigned t = 0; t < 4; t++) {
            void *result;

            need(GC_pthread_join(threads[t], &result) == 0, "join");
            n_wrong += result != NULL;
        }
    }
}

static int close_in_child(void *arg)
{
    return gcmmap_close(arg) != 0 || n_told[1] != 1;
}

static void test_fork(void *arg)
{
    gcmmap_region *region = map(1, GCMMAP_READ);

    (void)arg;
    ok(run_in_child(close_in_child, region) == 0, "told in a child, for the child's");
    ok(n_told[1] == 0 && gcmmap_close(region) == 0 && n_told[1] == 1, "and here, for ours");
}

int main(void)
{
    unsigned n;

    GC_INIT();
    fd = make_file(SEED, SIZE);
    inode = inode_of(fd);
    test_collector(GCMMAP_READ, "found dead");
    test_collector(GCMMAP_READ | GCMMAP_BY_HANDLE, "by handle");
    apart(close_some, NULL);
    collect_thoroughly();
    n = sum_told();
    ok(n == 19 && n_wrong == 0, "each once, %u", n);
    apart(close_together, NULL);
    collect_thoroughly();
    n = sum_told();
    ok(n == 30 && n_wrong == 0, "four threads closing at once: each once");
    apart(test_fork, NULL);
    ok(n_wrong == 0, "nothing was wrong");
    return done_testing();
}
