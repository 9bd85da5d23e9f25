/*
 * With the kernel's usual limit of 65,530 mappings at least 60,000 regions live at once, each
 * of its own file.  The next ones succeed or give ENOMEM, and all that are there keep working.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_WANTED 60000u
#define N_TRIED 70000u
#define SIZE ((size_t)4096) /* a whole page: the byte behind it needs a page of its own */

static unsigned char **slices; /* GC heap */

/* A file of its own for each: the kernel cannot join any two. */
static gcmmap_region *map_number(unsigned i)
{
    int fd = memfd_create("gcmmap-test", MFD_CLOEXEC);
    gcmmap_region *region;

    need(fd >= 0 && ftruncate(fd, (off_t)SIZE) == 0, "memfd");
    need(pwrite(fd, &i, sizeof i, 0) == sizeof i, "write");
    region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    close(fd);
    return region;
}

static unsigned count_right(unsigned n)
{
    unsigned n_right = 0;

    for (unsigned i = 0; i < n; i++)
        n_right += memcmp(slices[i], &i, sizeof i) == 0;
    return n_right;
}

static void map_until_full(void *n_mapped)
{
    unsigned n = 0;
    int error = 0;

    for (gcmmap_region *region; n < N_TRIED; n++) {
        errno = 0;
        region = map_number(n);
        if (region == NULL) {
            error = errno;
            break;
        }
        slices[n] = gcmmap_data(region);
    }
    ok(n == N_TRIED || error == ENOMEM, "%u live at once, then %s", n, strerror(error));
    *(unsigned *)n_mapped = n;
}

int main(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned long limit = 0;
    unsigned n = 0;
    gcmmap_stats stats;

    if (file == NULL || fscanf(file, "%lu", &limit) != 1 || limit < 65530)
        skip_all("fewer mappings allowed than usual");
    fclose(file);
    GC_INIT();
    if (collector_write_protects())
        skip_all("the collector aborts where it gets no map slot for its write protection");
    slices = GC_MALLOC_UNCOLLECTABLE(N_TRIED * sizeof *slices);
    need(slices != NULL, "memory");
    apart(map_until_full, &n);
    ok(n >= N_WANTED, "that is at least %u", N_WANTED);
    ok(count_right(n) == n, "all of them show their file");
    stats = stats_now();
    ok(stats.n_live >= n && stats.n_live <= n + 2, "%zu are counted", stats.n_live);
    collect_thoroughly();
    ok(count_right(n) == n, "after collections too");
    memset(slices + n / 2, 0, (n - n / 2) * sizeof *slices);
    collect_thoroughly();
    ok(count_right(n / 2) == n / 2, "and after half of them went");
    ok(map_number(0) != NULL, "then more can be mapped");
    return done_testing();
}
