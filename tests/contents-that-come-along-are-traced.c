/*
 * What is in a region's pages already when it is mapped, because a file or an adopted mapping brought
 * it along, is kept alive from the first collection on; and so is what comes later without a store
 * by the region's own addresses. Also where collections are incremental, look only at what has
 * changed, and the addresses were another region's before.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N 40u /* regions, with an object each */
#define SIZE ((size_t)20000)
#define LARGE ((size_t)40 * MiB) /* on a row of blocks: the pointer is in the last */
#define ROUNDS 6

static gcmmap_region *kept[N];
static unsigned n_finalized; /* of this round */
static uintptr_t round_number;

static void count_finalized(void *object, void *data)
{
    (void)object;
    n_finalized += (uintptr_t)data == round_number; /* others were held by accident till now */
}

static void *new_object(void)
{
    void *object = GC_MALLOC(64);

    need(object != NULL, "GC_MALLOC");
    GC_REGISTER_FINALIZER_NO_ORDER(object, count_finalized, (void *)round_number, NULL, NULL);
    return object;
}

static gcmmap_region *adopt_with_pointer(size_t size)
{
    void **words = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    need(words != MAP_FAILED, "mmap");
    words[size / sizeof *words - 1] = new_object();
    return gcmmap_adopt(words, size, 0, NULL, NULL);
}

static gcmmap_region *map_file_with_pointer(size_t size)
{
    int fd = make_file(0, 0);
    void *object = new_object();
    gcmmap_region *region;

    need(ftruncate(fd, (off_t)size) == 0 &&
             pwrite(fd, &object, sizeof object, (off_t)(size - sizeof object)) == sizeof object,
         "file");
    region = gcmmap_map(fd, 0, size, GCMMAP_READ | GCMMAP_TRACED);
    close(fd);
    return region;
}

struct kind {
    const char *name;
    gcmmap_region *(*make)(size_t size);
    size_t size;
    unsigned n;
};

static void make_all(void *arg)
{
    const struct kind *kind = arg;

    for (unsigned i = 0; i < kind->n; i++) {
        kept[i] = kind->make(kind->size);
        need(kept[i] != NULL, kind->name);
    }
}

static void collect_as_bdwgc_does(void)
{
    GC_word first = GC_get_gc_no();

    for (int i = 0; i < 100 && GC_get_gc_no() < first + 4; i++) {
        make_noise();
        while (GC_collect_a_little())
            continue;
        run_finalizers_if_asked();
    }
}

static void test(const char *mode, struct kind kind)
{
    unsigned n_lost = 0;

    for (int round = 0; round < ROUNDS; round++) {
        n_finalized = 0;
        round_number++;
        GC_disable();
        apart(make_all, &kind);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
        memset(kept, 0, sizeof kept);
        collect_thoroughly();
    }
    ok(n_lost == 0, "%s, %s: of %d objects %u are lost", mode, kind.name, ROUNDS * (int)kind.n,
       n_lost);
}

static void test_all(const char *mode)
{
    test(mode, (struct kind){ "adopted", adopt_with_pointer, SIZE, N });
    test(mode, (struct kind){ "a traced file", map_file_with_pointer, SIZE, N });
    test(mode, (struct kind){ "large, adopted", adopt_with_pointer, LARGE, 3 });
    test(mode, (struct kind){ "a large traced file", map_file_with_pointer, LARGE, 3 });
}

/* ---- what comes later --------------------------------------------------------------- */

#define N_LATER 10u

struct change {
    const char *name;
    unsigned flags;
    size_t n_bytes_first;
    int (*call)(gcmmap_region *region); /* when the pointer is in the file */
};

static int files[N_LATER];

static int extend(gcmmap_region *region)
{
    return gcmmap_extend(region, SIZE);
}

static int nothing(gcmmap_region *region)
{
    (void)region;
    return 0;
}

static void map_all(void *arg)
{
    const struct change *change = arg;
    gcmmap_options options = { .room = SIZE };

    for (unsigned i = 0; i < N_LATER; i++) {
        files[i] = make_file(0, 0);
        need(ftruncate(files[i], (off_t)change->n_bytes_first) == 0, "file");
        kept[i] = gcmmap_map_with(files[i], 0, change->n_bytes_first, change->flags | GCMMAP_TRACED,
                                  &options);
        need(kept[i] != NULL, change->name);
    }
}

static void change_all(void *arg)
{
    const struct change *change = arg;

    for (unsigned i = 0; i < N_LATER; i++) {
        void *object = new_object();

        need(ftruncate(files[i], (off_t)SIZE) == 0 &&
                 pwrite(files[i], &object, sizeof object, (off_t)(SIZE - sizeof object)) ==
                     sizeof object,
             "file");
        need(change->call(kept[i]) == 0, change->name);
    }
}

static void test_later(const char *mode, struct change change)
{
    unsigned n_lost = 0;

    for (int round = 0; round < ROUNDS; round++) {
        n_finalized = 0;
        round_number++;
        apart(map_all, &change);
        collect_as_bdwgc_does();
        GC_disable();
        apart(change_all, &change);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
        for (unsigned i = 0; i < N_LATER; i++)
            close(files[i]);
        memset(kept, 0, sizeof kept);
        collect_thoroughly();
    }
    ok(n_lost == 0, "%s, %s: of %d objects %u are lost", mode, change.name, ROUNDS * (int)N_LATER,
       n_lost);
}

static void test_all_later(const char *mode)
{
    const unsigned rw = GCMMAP_READ | GCMMAP_WRITE;

    test_later(mode, (struct change){ "extended over it", rw, 4096, extend });
    test_later(mode, (struct change){ "refreshed", GCMMAP_READ, 4096, gcmmap_refresh });
    test_later(mode, (struct change){ "written to the file", GCMMAP_READ, SIZE, nothing });
}

/* Pages outside the heap. */
static void map_by_handle(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N_LATER; i++) {
        kept[i] = gcmmap_alloc(SIZE, GCMMAP_BY_HANDLE);
        need(kept[i] != NULL, "gcmmap_alloc");
    }
}

static void store_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N_LATER; i++)
        *(void **)gcmmap_data(kept[i]) = new_object();
}

static void test_by_handle(const char *when)
{
    unsigned n_lost = 0;

    for (int round = 0; round < ROUNDS; round++) {
        n_finalized = 0;
        round_number++;
        collect_as_bdwgc_does();
        GC_disable();
        apart(store_all, NULL);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
    }
    ok(n_lost == 0, "incremental, by handle %s: of %d objects %u are lost", when,
       ROUNDS * (int)N_LATER, n_lost);
    memset(kept, 0, sizeof kept);
}

static void test_both(const char *mode)
{
    test_all(mode);
    test_all_later(mode);
}

int main(void)
{
    GC_INIT();
    if (!GC_is_incremental_mode())
        test_both("whole collections");
    apart(map_by_handle, NULL);
    GC_enable_incremental();
    if (!GC_is_incremental_mode())
        return done_testing();
    test_by_handle("from before");
    apart(map_by_handle, NULL);
    test_by_handle("from now");
    test_both("incremental");
    return done_testing();
}
