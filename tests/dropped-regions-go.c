/*
 * A region that nobody points to is unmapped by the next collections: its file is
 * gone from /proc/self/maps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_REGIONS 64
#define SIZE ((size_t)10000)

static int fd;

static void map_and_forget(void *arg)
{
    bool *all_right = arg;

    for (int i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);

        *all_right &= region != NULL && has_bytes(gcmmap_data(region), SIZE, 1, 0);
    }
}

int main(void)
{
    bool all_right = true;
    size_t left;

    GC_INIT();
    fd = make_file(1, SIZE);
    apart(map_and_forget, &all_right);
    ok(all_right, "%d mappings show the bytes of the file", N_REGIONS);
    ok(bytes_mapped_from(fd) >= N_REGIONS / 2 * SIZE, "they are in /proc/self/maps");
    collect_thoroughly();
    left = bytes_mapped_from(fd) / SIZE;
    ok(left <= 2, "%zu are left after collections (2 may be held by accident)", left);
    ok(stats_now().n_released >= N_REGIONS - 2, "and they are counted as released");
    return done_testing();
}
