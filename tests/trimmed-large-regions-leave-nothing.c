/*
 * Rows that are made, and given back, again and again take no more memory each time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <malloc.h>

#define N_ROUNDS 60
#define N_FIRST 20    /* while the heap grows, so may what belongs to it */
#define N_MOST 16384u /* bytes, for what is allocated once; it was 180,000 */

static __attribute__((noinline)) void map_and_unmap(void *arg)
{
    gcmmap_region *region = gcmmap_alloc(40 * MiB, GCMMAP_POINTER_FREE);

    (void)arg;
    need(region != NULL && gcmmap_unmap_now(region) == 0, "region");
}

int main(void)
{
    size_t before = 0, after;

    GC_INIT();
    for (int i = 0; i < N_ROUNDS; i++) {
        apart(map_and_unmap, NULL);
        collect_thoroughly();
        (void)gcmmap_trim();
        if (i == N_FIRST)
            before = mallinfo2().uordblks;
    }
    after = mallinfo2().uordblks;
    ok(stats_now().bytes_reserved == 0, "all addresses were given back");
    ok(after <= before + N_MOST, "and no memory is kept for them: %zu bytes, and %zu before", after,
       before);
    return done_testing();
}
