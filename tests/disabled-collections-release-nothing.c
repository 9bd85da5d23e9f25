/*
 * While the host has collections switched off (GC_disable, GC_DONT_GC), mapping works and
 * nothing goes by itself; closing and gcmmap_unmap_now do what they do. A shortage is an error, not a
 * wait for ever. Switched on again, what was forgotten goes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N 3000
#define SIZE ((size_t)10000)

static int fd;

static void map_and_forget(void *arg)
{
    unsigned *n_failed = arg;

    for (unsigned i = 0; i < N; i++)
        *n_failed += gcmmap_map(fd, 0, SIZE, GCMMAP_READ) == NULL;
    *n_failed += gcmmap_alloc(40 * MiB, 0) == NULL;
}

static void nothing_goes(const char *how)
{
    unsigned n_failed = 0;
    gcmmap_region *region;
    unsigned char *data;
    GC_word cycle = GC_get_gc_no();

    apart(map_and_forget, &n_failed);
    ok(n_failed == 0, "%s: %d regions are mapped", how, N + 1);
    ok(gcmmap_collect() == 0, "%s: gcmmap_collect() releases none, and comes back", how);
    GC_gcollect();
    (void)gcmmap_collect();
    ok(GC_get_gc_no() == cycle, "%s: no collection ran", how);
    ok(stats_now().n_live == N + 1 && stats_now().n_released == 0, "%s: all are there", how);
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    ok(gcmmap_unmap_now(region) == 0 && stats_now().n_live == N + 1, "%s: unmap_now works", how);
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    data = gcmmap_data(region);
    ok(gcmmap_close(region) == 0 && fault_of_access(data, false) == SIGSEGV, "%s: closing, too",
       how);
    gcmmap_set_budget(&(gcmmap_budget){ .n_regions = N + 2 });
    errno = 0;
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    ok(region != NULL, "%s: one more is allowed", how);
    gives_errno((intptr_t)gcmmap_map(fd, 0, SIZE, GCMMAP_READ), EDQUOT, how);
    gcmmap_set_budget(&(gcmmap_budget){ 0 });
}

static int from_the_environment(void *arg)
{
    (void)arg;
    setenv("GC_DONT_GC", "1", 1);
    GC_INIT();
    nothing_goes("GC_DONT_GC");
    return 0;
}

int main(void)
{
    fd = make_file(1, SIZE);
    all_ok(from_the_environment, NULL, "all of this with GC_DONT_GC=1");
    GC_INIT();
    GC_disable();
    nothing_goes("GC_disable()");
    GC_enable();
    for (int i = 0; i < 3; i++)
        collect_thoroughly();
    ok(stats_now().n_released >= N * 9 / 10, "GC_enable(): %zu are released",
       stats_now().n_released);
    return done_testing();
}
