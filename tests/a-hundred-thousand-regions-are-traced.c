/*
 * There is no limit to the number of traced regions (GC_add_roots() has one of some
 * thousands): each of 100,000 holds what it points to, and lets go of it.
 *
 * By handle, where the kernel joins neighbours; by plain pointers each region takes two map slots,
 * so that needs a higher vm.max_map_count than is usual.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N 100000u
#define ACCIDENTS (N / 1000)

static void **regions; /* handles, kept */

static void fill(void *flags)
{
    for (unsigned i = 0; i < N; i++) {
        gcmmap_region *region = gcmmap_alloc(8192, *(unsigned *)flags);
        void **words = gcmmap_data(region), **object = new_mortal(2 * sizeof *object);

        need(words != NULL, "region");
        object[0] = (void *)(uintptr_t)(i + 1);
        words[i % 1000] = object;
        regions[i] = region;
    }
}

static unsigned n_wrong(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N; i++) {
        void **words = gcmmap_data(regions[i]), **object = words[i % 1000];

        n += object == NULL || object[0] != (void *)(uintptr_t)(i + 1);
    }
    return n;
}

static void test(const char *name, unsigned flags)
{
    begin_round();
    regions = GC_MALLOC(N * sizeof *regions);
    need(regions != NULL, "GC_MALLOC");
    apart(fill, &flags);
    collect_with_noise();
    GC_gcollect();
    ok(n_finalized == 0 && n_wrong() == 0, "%s: %u regions hold what they point to", name, N);
    ok(stats_now().n_live >= N, "all are live");
    regions = NULL;
    collect_with_noise();
    collect_thoroughly();
    collect_thoroughly();
    ok(stats_now().n_live <= ACCIDENTS && n_finalized >= N - ACCIDENTS,
       "nothing holds them any more: %zu are left, %u objects died", stats_now().n_live,
       n_finalized);
}

static bool slots_suffice(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long n_slots = 0;
    int n = file != NULL ? fscanf(file, "%ld", &n_slots) : 0;

    if (file != NULL)
        fclose(file);
    return file == NULL || (n == 1 && n_slots > 2L * (long)N + 5000);
}

int main(void)
{
    GC_INIT();
    if (collector_write_protects())
        skip_all("the collector aborts where it gets no map slot for its write protection");
    test("by handle", GCMMAP_BY_HANDLE);
    if (slots_suffice())
        test("by pointers", 0);
    else
        ok(true, "by pointers # SKIP vm.max_map_count is too small");
    return done_testing();
}
