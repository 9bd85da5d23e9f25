/*
 * GCMMAP_BY_HANDLE: a mapping of 1 TiB is there at once, takes nothing from the
 * collector's heap, lives as long as its handle, and goes with it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define TIB (HAS_MANY_ADDRESSES ? (size_t)1 << (HAS_MANY_ADDRESSES ? 40 : 0) : (size_t)5 << 28)
#define N_REGIONS 64u
#define SIZE ((size_t)50000)
#define SEED 7

static int fd, large_fd;
static gcmmap_region *handles[N_REGIONS];
static unsigned char *slices[N_REGIONS];

static void map_all(void *arg)
{
    unsigned *n_wrong = arg;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        handles[i] = gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ | GCMMAP_BY_HANDLE);
        slices[i] = gcmmap_data(handles[i]);
        *n_wrong += slices[i] == NULL || !has_bytes(slices[i], SIZE - i, SEED, i);
        *n_wrong += gcmmap_of(slices[i]) != handles[i] || gcmmap_of(handles[i]) != handles[i];
        *n_wrong += gcmmap_of(slices[i] + SIZE - i) != handles[i];
        *n_wrong += gcmmap_size(handles[i]) != SIZE - i;
    }
}

static void test_life(void)
{
    unsigned n_wrong = 0, n_gone = 0;
    unsigned long inode = inode_of(fd);

    apart(map_all, &n_wrong);
    ok(n_wrong == 0, "%u regions show their bytes and are found by any pointer", N_REGIONS);
    collect_with_noise();
    for (unsigned i = 0; i < N_REGIONS; i++)
        n_wrong += !has_bytes(slices[i], SIZE - i, SEED, i);
    ok(n_wrong == 0, "their handles keep them");
    for (unsigned i = 0; i < N_REGIONS; i += 2)
        handles[i] = NULL;
    collect_thoroughly();
    for (unsigned i = 0; i < N_REGIONS; i++) {
        n_gone += inode_at(slices[i]) != inode;
        if (i % 2)
            n_wrong += inode_at(slices[i]) != inode || gcmmap_of(slices[i]) != handles[i];
        else if (inode_at(slices[i]) != inode)
            n_wrong += gcmmap_of(slices[i]) != NULL;
    }
    ok(n_gone >= N_REGIONS / 2 - 2, "%u went, though pointers into them are left", n_gone);
    ok(n_wrong == 0, "the others are as they were");

    ok(gcmmap_close(handles[1]) == 0 && fault_of_access(slices[1], false) == SIGSEGV &&
           gcmmap_data(handles[1]) == NULL && gcmmap_of(handles[1]) == handles[1],
       "a closed one faults, and its handle stays one");
    ok(gcmmap_unmap_now(handles[3]) == 0 && gcmmap_of(slices[3]) == NULL &&
           inode_at(slices[3]) != inode,
       "unmap_now works too");
    clear_roots(handles, sizeof handles);
    collect_thoroughly();
    ok(bytes_mapped_from(fd) <= 2 * 2 * SIZE, "in the end all are gone");
}

static void map_much(void *arg)
{
    static char what[64];
    gcmmap_region *region = gcmmap_map(large_fd, 4097, TIB, GCMMAP_READ | GCMMAP_BY_HANDLE);
    const unsigned char *data = gcmmap_data(region);
    size_t heap = GC_get_heap_size(), reserved = stats_now().bytes_reserved;

    (void)arg;
    need(data != NULL, "1 TiB");
    ok(gcmmap_size(region) == TIB, "a region of 1 TiB");
    ok(data[0] == 'a' && data[TIB - 1] == 'z', "has its first and last byte");
    ok(gcmmap_of(data + TIB / 3) == region && gcmmap_of(data + TIB) == region,
       "any pointer into it finds it");
    snprintf(what, sizeof what, "heap %zu MiB, reserved %zu MiB", heap >> 20, reserved >> 20);
    ok(heap < 64 * MiB && reserved < 64 * MiB, "%s", what);
    GC_reachable_here(region);
}

static void test_size(void)
{
    large_fd = make_file(1, 1);
    if (ftruncate(large_fd, (off_t)TIB + 3 * 4096) != 0) {
        ok(true, "1 TiB # SKIP the file system has no such files");
        return;
    }
    need(pwrite(large_fd, "a", 1, 4097) == 1 && pwrite(large_fd, "z", 1, 4097 + TIB - 1) == 1,
         "write");
    apart(map_much, NULL);
    collect_thoroughly();
    ok(bytes_mapped_from(large_fd) == 0, "it goes");
    errno = 0;
    ok(gcmmap_map(large_fd, 4097, TIB, GCMMAP_READ) == NULL && errno == EOVERFLOW,
       "without the flag that is refused");
}

static void allocate(void *arg)
{
    gcmmap_region **kept = arg;
    void **words;

    *kept = gcmmap_alloc(3 * MiB, GCMMAP_BY_HANDLE);
    words = gcmmap_data(*kept);
    words[3 * MiB / sizeof *words - 1] = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
}

static void test_contents(void)
{
    static gcmmap_region *kept;

    apart(allocate, &kept);
    collect_with_noise();
    ok(bytes_mapped_from(fd) >= SIZE, "what its memory points to stays");
    kept = NULL;
    collect_thoroughly();
    collect_thoroughly();
    note("%zu bytes are left", bytes_mapped_from(fd));
}

static void test_options(void)
{
    gcmmap_options options = { .alignment = 2 * MiB, .room = 5 * MiB };
    gcmmap_region *region = gcmmap_map_with(fd, 0, SIZE, GCMMAP_READ | GCMMAP_BY_HANDLE, &options);
    unsigned char *data = gcmmap_data(region);

    ok(data != NULL && (uintptr_t)data % (2 * MiB) == 0, "aligned to 2 MiB");
    ok(data != NULL && fault_of_access(data + 5 * MiB - 1, false) == SIGSEGV,
       "the room behind it is set aside");
    ok(gcmmap_unmap_now(region) == 0, "and unmapped");
    region = gcmmap_alloc(0, GCMMAP_BY_HANDLE);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "an empty one");
}

int main(void)
{
    GC_INIT();
    fd = make_file(SEED, SIZE);
    test_life();
    test_size();
    test_contents();
    test_options();
    return done_testing();
}
