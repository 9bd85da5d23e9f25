/*
 * gcmmap_slice_of() makes a slice of bytes that are all in one open region, and of no others.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define SIZE ((size_t)10000)
#define OFFSET 100 /* so that the handle is not where the data is */
#define SEED 5
#define N_ROUNDS 100000u

static bool gives(const void *p, size_t size)
{
    gcmmap_slice slice;

    errno = ERFKILL;
    slice = gcmmap_slice_of(p, size);
    return slice.data == p && slice.size == size && errno == ERFKILL;
}

static bool refuses(const void *p, size_t size, int error)
{
    gcmmap_slice slice;

    errno = 0;
    slice = gcmmap_slice_of(p, size);
    return slice.data == NULL && slice.size == 0 && errno == error;
}

static void test_borders(gcmmap_region *region, const char *what)
{
    unsigned char *data = gcmmap_data(region);

    note("%s", what);
    ok(gives(data, SIZE), "all of a region");
    ok(gives(data, 1) && gives(data + SIZE - 1, 1), "its first and its last byte");
    ok(gives(data, 0) && gives(data + 5, 0) && gives(data + SIZE, 0), "no bytes, at its end too");
    ok(has_bytes(gcmmap_slice_of(data + 7, 50).data, 50, SEED, OFFSET + 7), "they are the file's");
    ok(refuses(data, SIZE + 1, ERANGE) && refuses(data + SIZE, 1, ERANGE) &&
           refuses(data + SIZE - 1, 2, ERANGE),
       "one byte too far: ERANGE");
    ok(refuses(data + 1, SIZE_MAX, ERANGE) && refuses(data, SIZE_MAX, ERANGE) &&
           refuses(data + 1, SIZE_MAX - (uintptr_t)data, ERANGE),
       "sizes that would wrap: ERANGE");
    ok(refuses(region, 1, ERANGE) && refuses(region, 0, ERANGE),
       "a handle in front of the bytes: ERANGE");
}

static void test_random(const unsigned char *data)
{
    uint64_t state = test_seed();
    unsigned n_wrong = 0, n_inside = 0;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        size_t at = next_random(&state) % (SIZE + 1), size = next_random(&state) % SIZE;
        bool inside = at + size <= SIZE;

        n_wrong += !(inside ? gives(data + at, size) : refuses(data + at, size, ERANGE));
        n_inside += inside;
    }
    ok(n_wrong == 0, "%u random ranges, %u inside", N_ROUNDS, n_inside);
}

static void test_others(void)
{
    unsigned char local;

    ok(refuses(NULL, 0, EINVAL) && refuses(NULL, 1, EINVAL), "NULL: EINVAL");
    ok(refuses(&local, 1, EINVAL), "the stack: EINVAL");
    ok(refuses(GC_MALLOC(100), 1, EINVAL), "another object of the collector's: EINVAL");
}

static void test_closed(gcmmap_region *region)
{
    unsigned char *data = gcmmap_data(region);

    need(gcmmap_close(region) == 0, "close");
    ok(refuses(data, 1, EBADF) && refuses(data + SIZE, 0, EBADF), "a closed region: EBADF");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    ok(refuses(data, 1, EINVAL), "one that is gone: EINVAL");
}

static void test_size(void)
{
    gcmmap_options options = { .room = 3 * SIZE };
    gcmmap_region *region = gcmmap_alloc_with(SIZE, 0, &options);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "region with room");
    ok(refuses(data, SIZE + 1, ERANGE), "room is not bytes");
    need(gcmmap_extend(region, 2 * SIZE) == 0, "extend");
    ok(gives(data, 2 * SIZE) && refuses(data, 2 * SIZE + 1, ERANGE), "until the region grows");
}

int main(void)
{
    gcmmap_region *plain, *by_handle;
    int fd;

    GC_INIT();
    fd = make_file(SEED, OFFSET + SIZE);
    plain = gcmmap_map(fd, OFFSET, SIZE, GCMMAP_READ);
    by_handle = gcmmap_map(fd, OFFSET, SIZE, GCMMAP_READ | GCMMAP_BY_HANDLE);
    need(plain != NULL && by_handle != NULL, "map");
    test_borders(plain, "followed by pointers");
    test_borders(by_handle, "kept by its handle");
    test_random(gcmmap_data(plain));
    test_others();
    test_size();
    test_closed(plain);
    test_closed(by_handle);
    GC_reachable_here(by_handle);
    return done_testing();
}
