/*
 * Every descriptor that the library opens, for itself or for the caller, is close-on-exec: a
 * program that the process starts gets none of them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define MOST 256

static bool was_open[MOST];

static void remember(void)
{
    for (int i = 0; i < MOST; i++)
        was_open[i] = fcntl(i, F_GETFD) >= 0;
}

/* Of those opened since: how many, and how many would be inherited. */
static unsigned count(unsigned *n_inherited)
{
    unsigned n = 0;

    *n_inherited = 0;
    for (int i = 0; i < MOST; i++) {
        int flags = was_open[i] ? -1 : fcntl(i, F_GETFD);

        n += flags >= 0;
        *n_inherited += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    return n;
}

static unsigned n_in_between, n_inherited_in_between;

static int look(size_t done, size_t size, void *data)
{
    (void)done, (void)size, (void)data;
    n_in_between = count(&n_inherited_in_between);
    return 0;
}

int main(void)
{
    gcmmap_options room = { .room = 100000 };
    gcmmap_copying copying = { .progress = look, .how = GCMMAP_COPY_TO_MEMORY };
    gcmmap_region *regions[6];
    unsigned n, n_inherited;
    int fd, passed;
    char name[64];

    GC_INIT();
    fd = make_file(1, 50000);
    snprintf(name, sizeof name, "/gcmmap-test-%d", (int)getpid());
    remember();
    regions[0] = gcmmap_map_with(fd, 0, 5000, GCMMAP_READ, &room);
    regions[1] = gcmmap_map(fd, 0, 5000, GCMMAP_READ | GCMMAP_ZERO_FILL);
    regions[2] = gcmmap_memfd("test", 5000, GCMMAP_WRITE, &room, &passed);
    regions[3] = gcmmap_shm(name, 5000, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, &room);
    regions[4] = gcmmap_snapshot(fd, 0, 5000, 0, NULL, &copying);
    regions[5] = gcmmap_alloc(5000, GCMMAP_SECRET); /* or NULL, where there is none */
    (void)gcmmap_shm_unlink(name);
    for (int i = 0; i < 5; i++)
        need(regions[i] != NULL, "region");
    collect_with_noise();
    n = count(&n_inherited);
    ok(n == 5 && n_inherited == 0, "%u descriptors of regions, %u would be inherited", n,
       n_inherited);
    ok(n_in_between > 0 && n_inherited_in_between == 0, "nor is a copy that is being made");
    for (int i = 0; i < 5; i++)
        need(gcmmap_unmap_now(regions[i]) == 0, "unmap");
    close(passed);
    n = count(&n_inherited);
    ok(n == 0, "they go with their regions");
    return done_testing();
}
