/*
 * Where the kernel has no map slot left, gcmmap_close() and gcmmap_unmap_now() may give
 * ENOMEM.  Then the region is as open as before, and what it points to is alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_OBJECTS 400
#define SIZE ((size_t)20000) /* whole pages but for some bytes; more than are always read */
#define MOST_SLOTS 1000000L

static int n_finalized;

static void finalize(void *object, void *data)
{
    (void)object, (void)data;
    n_finalized++;
}

static void fill(void *region)
{
    void **objects = gcmmap_data(region);

    for (int i = 0; i < N_OBJECTS; i++) {
        objects[i] = GC_MALLOC_ATOMIC(64);
        memset(objects[i], i & 0xff, 64);
        GC_REGISTER_FINALIZER_NO_ORDER(objects[i], finalize, NULL, NULL, NULL);
    }
}

static bool is_as_before(gcmmap_region *region, void **data)
{
    bool right = gcmmap_data(region) == data && gcmmap_size(region) == SIZE &&
                 gcmmap_of(data) == region && fault_of_access(data, true) == 0;

    for (int i = 0; right && i < N_OBJECTS; i++)
        right = *(unsigned char *)data[i] == (i & 0xff);
    return right;
}

/* Neighbours of another access each: none can be merged. */
static size_t take_all_map_slots(void **mappings)
{
    size_t n = 0;

    while (n < MOST_SLOTS && (mappings[n] = mmap(NULL, 4096, n % 2 ? PROT_READ : PROT_NONE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
        n++;
    return n;
}

static void test(int (*end)(gcmmap_region *), const char *name, void **mappings)
{
    /* Between two others, with which the kernel joins it: closing cuts that in three. */
    gcmmap_region *volatile left = gcmmap_alloc(SIZE, 0);
    gcmmap_region *region = gcmmap_alloc(SIZE, 0);
    gcmmap_region *volatile right = gcmmap_alloc(SIZE, 0);
    void **data = gcmmap_data(region);
    gcmmap_stats before, after;
    size_t n_taken;
    int result, error;

    need(left != NULL && data != NULL && right != NULL, "regions");
    apart(fill, region);
    n_finalized = 0;
    before = stats_now();
    n_taken = take_all_map_slots(mappings);
    errno = 0;
    result = end(region);
    error = errno;
    after = stats_now();
    GC_gcollect();
    GC_gcollect();
    while (n_taken > 0)
        munmap(mappings[--n_taken], 4096);

    if (result == 0) {
        ok(true, "%s() # SKIP it did not need a map slot", name);
        return;
    }
    ok(result == -1 && error == ENOMEM, "%s() without map slots: %s", name, strerror(error));
    ok(n_finalized == 0, "no object is lost that the region points to (%d are)", n_finalized);
    ok(is_as_before(region, data), "the region is as before");
    ok(after.n_live == before.n_live && after.n_closed == before.n_closed &&
           after.bytes_live == before.bytes_live && after.bytes_traced == before.bytes_traced &&
           after.n_unmapped_now == before.n_unmapped_now,
       "and counted as before (%zu, %zu live)", before.n_live, after.n_live);
    ok(end(region) == 0 && fault_of_access(data, false) == SIGSEGV, "now there are some: closed");
    data = NULL;
    left = right = NULL; /* or the next test counts them, until they die in its midst */
    collect_thoroughly();
    ok(n_finalized >= N_OBJECTS - 2, "and now its objects go (%d of %d)", n_finalized, N_OBJECTS);
}

int main(void)
{
    FILE *limit = fopen("/proc/sys/vm/max_map_count", "r");
    long n_slots = 0;
    void **mappings;

    if (limit == NULL || fscanf(limit, "%ld", &n_slots) != 1 || n_slots >= MOST_SLOTS)
        skip_all("no limit on mappings, or a high one");
    fclose(limit);
    GC_INIT();
    if (collector_write_protects())
        skip_all("the collector aborts where it gets no map slot for its write protection");
    mappings = malloc(MOST_SLOTS * sizeof *mappings);
    need(mappings != NULL, "memory");
    test(gcmmap_close, "gcmmap_close", mappings);
    test(gcmmap_unmap_now, "gcmmap_unmap_now", mappings);
    free(mappings);
    return done_testing();
}
