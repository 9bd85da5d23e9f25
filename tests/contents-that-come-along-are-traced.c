/*
 * What is in a region's pages already when it is mapped, because a file or an adopted mapping brought
 * it along, is kept alive from the first collection on; and so is what comes later without a store
 * by the region's own addresses. Also where collections are incremental, look only at what has
 * changed, and the addresses were another region's before.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N 40u /* regions, with an object each */
#define SIZE ((size_t)20000)
#define LARGE ((size_t)40 * MiB) /* on a row of blocks: the pointer is in the last */
#define ROUNDS 6

static gcmmap_region *kept[N];

static gcmmap_region *adopt_with_pointer(size_t size)
{
    void **words = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    need(words != MAP_FAILED, "mmap");
    words[size / sizeof *words - 1] = new_mortal(64);
    return gcmmap_adopt(words, size, 0, NULL, NULL);
}

static int make_file_with_pointer(size_t size)
{
    int fd = make_file(0, 0);
    void *object = new_mortal(64);

    need(ftruncate(fd, (off_t)size) == 0 &&
             pwrite(fd, &object, sizeof object, (off_t)(size - sizeof object)) == sizeof object,
         "file");
    return fd;
}

static gcmmap_region *map_file_with_pointer(size_t size)
{
    int fd = make_file_with_pointer(size);
    gcmmap_region *region = gcmmap_map(fd, 0, size, GCMMAP_READ | GCMMAP_TRACED);

    close(fd);
    return region;
}

static gcmmap_region *snapshot_with_pointer(size_t size)
{
    int fd = make_file_with_pointer(size);
    gcmmap_region *region = gcmmap_snapshot(fd, 0, size, GCMMAP_READ | GCMMAP_TRACED, NULL, NULL);

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

static void test(const char *mode, struct kind kind)
{
    unsigned n_lost = 0;

    for (int round = 0; round < ROUNDS; round++) {
        begin_round();
        GC_disable();
        apart(make_all, &kind);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
        clear_roots(kept, sizeof kept);
        collect_thoroughly();
    }
    ok(n_lost == 0, "%s, %s: of %d objects %u are lost", mode, kind.name, ROUNDS * (int)kind.n,
       n_lost);
}

static void test_all(const char *mode)
{
    test(mode, (struct kind){ "adopted", adopt_with_pointer, SIZE, N });
    test(mode, (struct kind){ "a traced file", map_file_with_pointer, SIZE, N });
    test(mode, (struct kind){ "a snapshot", snapshot_with_pointer, SIZE, N });
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
        void *object = new_mortal(64);

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
        begin_round();
        apart(map_all, &change);
        collect_as_bdwgc_does();
        GC_disable();
        apart(change_all, &change);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
        for (unsigned i = 0; i < N_LATER; i++)
            close(files[i]);
        clear_roots(kept, sizeof kept);
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

/* ---- stores into memory ---------------------------------------------------------------- */

static void map_memory(void *flags)
{
    for (unsigned i = 0; i < N_LATER; i++) {
        kept[i] = gcmmap_alloc(SIZE, *(unsigned *)flags);
        need(kept[i] != NULL, "gcmmap_alloc");
    }
}

static void store(void **to, void *object)
{
    *to = object;
}

static void copy_in(void **to, void *object)
{
    need(gcmmap_copy_in(to, &object, sizeof object) == sizeof object, "gcmmap_copy_in");
}

/* Where the kernel may store after another store. */
static void read_in(void **to, void *object)
{
    int ends[2];

    need(pipe(ends) == 0 && write(ends[1], &object, sizeof object) == sizeof object, "pipe");
    to[1] = NULL;
    need(read(ends[0], to, sizeof object) == sizeof object, "read");
    close(ends[0]);
    close(ends[1]);
}

static void store_all(void *arg)
{
    void (*const *how)(void **, void *) = arg;

    for (unsigned i = 0; i < N_LATER; i++)
        (*how)(gcmmap_data(kept[i]), new_mortal(64));
}

/* Into regions that are old by then. */
static void test_stores(void (*how)(void **to, void *object), const char *what)
{
    unsigned n_lost = 0;

    for (int round = 0; round < ROUNDS; round++) {
        begin_round();
        collect_as_bdwgc_does();
        GC_disable();
        apart(store_all, &how);
        GC_enable();
        collect_as_bdwgc_does();
        n_lost += n_finalized;
    }
    ok(n_lost == 0, "incremental, %s: of %d objects %u are lost", what, ROUNDS * (int)N_LATER,
       n_lost);
}

static void test_both(const char *mode)
{
    test_all(mode);
    test_all_later(mode);
}

int main(void)
{
    unsigned in_heap = 0, by_handle = GCMMAP_BY_HANDLE;

    GC_INIT();
    if (!GC_is_incremental_mode())
        test_both("whole collections");
    apart(map_memory, &by_handle);
    GC_enable_incremental();
    if (!GC_is_incremental_mode())
        return done_testing();
    test_stores(store, "by handle from before");
    apart(map_memory, &by_handle);
    test_stores(store, "by handle from now");
    apart(map_memory, &in_heap);
    test_stores(store, "stored");
    test_stores(copy_in, "copied in");
    test_stores(read_in, "read");
    clear_roots(kept, sizeof kept);
    test_both("incremental");
    return done_testing();
}
