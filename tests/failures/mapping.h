/*
 * mapping: calls that make regions.  See every-failure-is-told-and-undone.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPPING_H
#define MAPPING_H

#include "scenario.h"

static bool open_it(void)
{
    region = gcmmap_open(path, GCMMAP_READ);
    return region != NULL;
}

static bool map_middle(void)
{
    region = gcmmap_map(fd, 5000, 9000, GCMMAP_READ);
    return region != NULL;
}

static bool shows_middle(void)
{
    return shows(9000, 5000);
}

static bool allocate_rows(void)
{
    region = gcmmap_alloc(20 * MiB, GCMMAP_POINTER_FREE);
    return region != NULL;
}

static bool shows_middle_alone(void)
{
    bool shown = shows_middle();

    collect_thoroughly();
    return shown;
}

static bool map_with_everything(void)
{
    gcmmap_options options = {
        .room = ROOM, .alignment = 65536, .released = on_release, .name = "everything"
    };

    region = gcmmap_map_with(fd, 0, N_BYTES,
                             GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POPULATE | GCMMAP_LOCK |
                                 GCMMAP_NO_FORK | GCMMAP_NO_DUMP | GCMMAP_HUGE,
                             &options);
    return region != NULL;
}

static bool shows_everything(void)
{
    unsigned char *data = gcmmap_data(region);

    return shows_all() && (uintptr_t)data % 65536 == 0 && (data[1] ^= 1, data[1] ^= 1, true);
}

static bool map_for_writing_back(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_WRITE_BACK);
    return region != NULL;
}

static bool allocate(void)
{
    gcmmap_options options = { .name = "memory",
                               .alignment = (size_t)1 << 20,
                               .released = on_release };

    region = gcmmap_alloc_with(100000, 0, &options);
    return region != NULL;
}

static bool is_zero_memory(void)
{
    gcmmap_slice bytes = gcmmap_bytes(region);

    for (size_t i = 0; i < bytes.size; i += 1000)
        if (bytes.data[i] != 0)
            return false;
    memset(bytes.data, 1, 100);
    return bytes.size >= 100000;
}

static bool is_zero_memory_at_last(void)
{
    finalizers_disturb = false;
    return is_zero_memory();
}

static bool allocate_large(void)
{
    region = gcmmap_alloc(40 * MiB, GCMMAP_POINTER_FREE | GCMMAP_PARTIAL);
    return region != NULL;
}

static bool allocate_by_handle(void)
{
    region = gcmmap_alloc_with(100000, GCMMAP_BY_HANDLE, &(gcmmap_options){ .room = 200000 });
    return region != NULL;
}

static bool map_file_by_handle(void)
{
    map_by_handle();
    return region != NULL;
}

static bool map_by_handle_with_flags(void)
{
    region =
        gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_BY_HANDLE | GCMMAP_LOCK | GCMMAP_NO_DUMP);
    return region != NULL;
}

static bool allocate_secret(void)
{
    region = gcmmap_alloc(100000, GCMMAP_SECRET);
    return region != NULL;
}

static bool make_memfd(void)
{
    int own = -1;

    region = gcmmap_memfd("inject", 100000, 0, NULL, &own);
    if (region != NULL)
        close(own);
    return region != NULL;
}

static bool make_shm(void)
{
    region = gcmmap_shm(shm_name, 100000, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, NULL);
    return region != NULL;
}

static void create_shm(void)
{
    need(make_shm(), "gcmmap_shm");
}

static bool take_snapshot_of_file(void)
{
    region = gcmmap_snapshot(fd, 0, GCMMAP_REST, GCMMAP_WRITE, NULL, NULL);
    return region != NULL;
}

static void prepare_large_file(void)
{
    unsigned char bytes[5000];

    pretends_to_clone = true;
    for (size_t at = 0; at < N_LARGE; at += sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = byte_at(SEED, at + i);
        need(pwrite(large_fd, bytes, sizeof bytes, (off_t)at) > 0, "pwrite");
    }
    need(ftruncate(large_fd, (off_t)N_LARGE) == 0, "ftruncate");
}

static bool take_snapshot_of_large_file(void)
{
    region = gcmmap_snapshot(large_fd, 0, GCMMAP_REST, 0, NULL, NULL);
    return region != NULL;
}

static bool shows_large(void)
{
    pretends_to_clone = false;
    return shows(N_LARGE, 0);
}

static bool take_read_only_snapshot(void)
{
    region = gcmmap_snapshot(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_POINTER_FREE, NULL, NULL);
    return region != NULL;
}

static bool shows_read_only(void)
{
    return shows_all() && fault_of_access(gcmmap_data(region), true) == SIGSEGV;
}

static bool allocate_guarded(void)
{
    region = gcmmap_alloc(100000, GCMMAP_GUARDED);
    return region != NULL;
}

static bool map_guarded_by_handle(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_GUARDED | GCMMAP_BY_HANDLE);
    return region != NULL;
}

static bool unlink_shm(void)
{
    return gcmmap_shm_unlink(shm_name) == 0;
}

static bool adopt(void)
{
    region = gcmmap_adopt(mapped, 8192, 0, NULL, NULL);
    return region != NULL;
}

static bool adopt_by_handle(void)
{
    region = gcmmap_adopt(mapped, 8192, GCMMAP_BY_HANDLE, NULL, NULL);
    return region != NULL;
}

static bool shows_adopted(void)
{
    mapped = NULL;
    return shows(8192, 0);
}

/* ---- with options and flags ------------------------------------------------------------------ */

static void *free_address; /* a wish: nothing is mapped there */

static void find_free_address(void)
{
    free_address = mmap(NULL, 2 * ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(free_address != MAP_FAILED && munmap(free_address, 2 * ROOM) == 0, "mmap");
}

static bool map_at_address(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_BY_HANDLE,
                             &(gcmmap_options){ .address = free_address, .room = ROOM });
    return region != NULL;
}

static bool shows_at_address(void)
{
    return shows_all() && gcmmap_data(region) == free_address;
}

static bool map_by_handle_aligned(void)
{
    gcmmap_options options = {
        .alignment = 65536, .room = ROOM, .released = on_release, .name = "by handle"
    };

    region =
        gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_BY_HANDLE | GCMMAP_GUARDED, &options);
    return region != NULL;
}

static int answer_zeros(const gcmmap_fault *fault, void *arg)
{
    (void)fault;
    (void)arg;
    return GCMMAP_TRUNCATED_ZEROS;
}

static bool open_with_policy(void)
{
    gcmmap_options options = { .truncated = answer_zeros, .data = &n_told, .room = ROOM };

    region = gcmmap_open_with(path, GCMMAP_READ | GCMMAP_ZERO_FILL, &options);
    return region != NULL;
}

static bool allocate_huge(void)
{
    region = gcmmap_alloc(4 * MiB, GCMMAP_HUGE | GCMMAP_POPULATE | GCMMAP_POINTER_FREE);
    return region != NULL;
}

static bool has_huge_pages;

static bool allocate_only_huge(void)
{
    if (!has_huge_pages)
        return true;
    region = gcmmap_alloc(2 * MiB, GCMMAP_HUGE_ONLY | GCMMAP_POINTER_FREE);
    return region != NULL;
}

/* The system may keep none ready. */
static void look_for_huge_pages(void)
{
    has_huge_pages = true;
    has_huge_pages = allocate_only_huge() && gcmmap_unmap_now(region) == 0;
    region = NULL;
}

static bool is_huge_memory(void)
{
    return !has_huge_pages || is_zero_memory();
}

static bool map_locked_file(void)
{
    map_locked();
    return region != NULL;
}

static bool shows_locked(void)
{
    return shows(N_BYTES - 100, 100);
}

static bool map_kept_from_children(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_NO_FORK);
    return region != NULL;
}

static bool map_kept_from_dumps(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_NO_DUMP);
    return region != NULL;
}

static int device = -1;

static bool map_device(void)
{
    region = gcmmap_map(device, 0, N_BYTES, GCMMAP_READ);
    return region != NULL;
}

/* Then there are addresses in the pool, and no other call needs map slots. */
static void open_device(void)
{
    if (device < 0)
        device = open("/dev/zero", O_RDWR | O_CLOEXEC);
    need(device >= 0 && map_device() && gcmmap_unmap_now(region) == 0, "/dev/zero");
    region = NULL;
}

static bool shows_zeros(void)
{
    gcmmap_slice bytes = gcmmap_bytes(region);

    return bytes.size == N_BYTES && bytes.data[0] == 0 && bytes.data[N_BYTES - 1] == 0;
}

static bool map_traced_file(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_TRACED);
    return region != NULL;
}

/* ---- shared memory ------------------------------------------------------------------------------ */

static void create_short_shm(void)
{
    gcmmap_region *other = gcmmap_shm(shm_name, 5000, GCMMAP_WRITE | GCMMAP_CREATE, NULL);
    const struct timespec long_ago[2] = { { 1000, 0 }, { 1000, 0 } };
    int its_fd = shm_open(shm_name, O_RDWR, 0);

    need(other != NULL && gcmmap_unmap_now(other) == 0, "gcmmap_shm");
    need(futimens(its_fd, long_ago) == 0 && close(its_fd) == 0, "futimens");
}

/* A call that fails leaves what was there, as long as it was, and its name. */
static bool shm_is_there(void)
{
    int other = shm_open(shm_name, O_RDWR, 0);
    struct stat status = { 0 };

    return other >= 0 && fstat(other, &status) == 0 && close(other) == 0 && status.st_size == 5000;
}

/* Nor was it any longer in between where it was a mapping that failed. */
static bool shm_is_untouched(void)
{
    int other = shm_open(shm_name, O_RDWR, 0);
    struct stat status = { 0 };
    bool is = other >= 0 && fstat(other, &status) == 0 && close(other) == 0;

    return is && status.st_size == 5000 &&
           (injection.function != AT_mmap || status.st_mtim.tv_sec == 1000);
}

/* What a call has made that fails has gone. */
static bool shm_is_gone(void)
{
    int other = shm_open(shm_name, O_RDWR, 0);

    if (other >= 0)
        (void)close(other);
    return other < 0;
}

static bool lengthen_shm(void)
{
    region = gcmmap_shm(shm_name, 100000, GCMMAP_WRITE | GCMMAP_CREATE, NULL);
    return region != NULL;
}

static bool lengthen_locked_shm(void)
{
    const unsigned how = GCMMAP_CREATE | GCMMAP_LOCK;

    region = gcmmap_shm(shm_name, 100000, GCMMAP_WRITE | how, NULL);
    return region != NULL;
}

static bool lengthen_shm_by_handle(void)
{
    const unsigned how = GCMMAP_CREATE | GCMMAP_BY_HANDLE | GCMMAP_POPULATE;

    region = gcmmap_shm(shm_name, 100000, GCMMAP_WRITE | how, NULL);
    return region != NULL;
}

static bool open_shm(void)
{
    region = gcmmap_shm(shm_name, GCMMAP_REST, GCMMAP_READ, NULL);
    return region != NULL && gcmmap_size(region) == 5000;
}

static bool make_memfd_without_fd(void)
{
    region = gcmmap_memfd("inject", 100000, 0, &(gcmmap_options){ .room = 200000 }, NULL);
    return region != NULL;
}

/* ---- snapshots ------------------------------------------------------------------------------------- */

static int copy_to_memory(size_t done, size_t size, void *data)
{
    (void)data;
    return done > size;
}

static bool take_large_snapshot_to_memory(void)
{
    gcmmap_copying copying = { .how = GCMMAP_COPY_TO_MEMORY, .progress = copy_to_memory };

    region = gcmmap_snapshot(large_fd, 0, GCMMAP_REST, 0, NULL, &copying);
    return region != NULL;
}

#endif
