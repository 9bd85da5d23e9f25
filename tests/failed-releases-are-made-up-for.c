/*
 * Where the kernel refuses to take the pages of a dead region away, it keeps its addresses
 * and is counted as dying; it goes at the next occasion that the kernel allows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define N_REGIONS 100u
#define SIZE ((size_t)30000)
#define ACCIDENTS 3u

static atomic_bool refuse;
static atomic_uint n_refused;

/* The library's, too. */
__attribute__((visibility("default"))) void *mmap(void *at, size_t n_bytes, int protection,
                                                  int flags, int file, off_t offset)
{
    if (atomic_load(&refuse) && protection == PROT_NONE && (flags & MAP_FIXED)) {
        atomic_fetch_add(&n_refused, 1);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return kernel_mmap(at, n_bytes, protection, flags, file, offset);
}

static int fd, other_fd;

static void map_and_forget(void *arg)
{
    int from = *(int *)arg;

    for (unsigned i = 0; i < N_REGIONS; i++)
        need(gcmmap_map(from, 0, SIZE, GCMMAP_READ) != NULL, "gcmmap_map");
}

static void map_and_unmap(void *arg)
{
    gcmmap_region *regions[N_REGIONS];

    (void)arg;
    for (unsigned i = 0; i < N_REGIONS; i++)
        regions[i] = gcmmap_map(other_fd, 0, SIZE, GCMMAP_READ);
    for (unsigned i = 0; i < N_REGIONS; i++)
        need(gcmmap_unmap_now(regions[i]) == 0, "gcmmap_unmap_now");
}

/* On addresses that are free: nothing has to be taken away for them. */
static void map_others(void *all_right)
{
    *(bool *)all_right = true;
    for (unsigned i = 0; i < N_REGIONS / 2; i++) {
        gcmmap_region *region = gcmmap_map(other_fd, 0, SIZE, GCMMAP_READ);

        *(bool *)all_right &= region != NULL && has_bytes(gcmmap_data(region), SIZE, 2, 0);
    }
}

int main(void)
{
    size_t n_bytes, n_bytes_before, n_released;
    bool all_right;

    GC_INIT();
    fd = make_file(1, SIZE);
    other_fd = make_file(2, SIZE);
    GC_disable();
    apart(map_and_forget, &fd);
    apart(map_and_unmap, NULL); /* fills the pool */
    GC_enable();
    n_bytes_before = bytes_mapped_from(fd);
    n_released = stats_now().n_released;
    atomic_store(&refuse, true);
    collect_thoroughly();
    n_bytes = bytes_mapped_from(fd);
    ok(atomic_load(&n_refused) > 0, "the kernel was asked, and refused, %u times",
       atomic_load(&n_refused));
    ok(n_bytes == n_bytes_before, "all %u regions are still mapped", N_REGIONS);
    ok(stats_now().n_dying >= N_REGIONS - ACCIDENTS, "%zu are known to be dying",
       stats_now().n_dying);
    ok(stats_now().n_released == n_released, "none is counted as released");
    ok(stats_now().bytes_dying >= stats_now().n_dying * SIZE, "their bytes are counted");
    apart(map_others, &all_right);
    ok(all_right, "others can be mapped meanwhile");
    ok(bytes_mapped_from(fd) == n_bytes, "not in their place");
    atomic_store(&refuse, false);
    need(gcmmap_map(other_fd, 0, SIZE, GCMMAP_READ) != NULL, "gcmmap_map");
    ok(bytes_mapped_from(fd) <= ACCIDENTS * 2 * SIZE && stats_now().n_dying == 0,
       "the next call that maps releases them");
    ok(stats_now().n_released >= n_released + N_REGIONS - ACCIDENTS, "and counts them");
    return done_testing();
}
