/*
 * Where address space or the kernel's table of mappings runs out, what is dead is released
 * first and the call succeeds.  If nothing is dead it fails with ENOMEM, all that is mapped
 * stays as it is, and once something has died the next call works.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/resource.h>

#define SEED 3u
#define MOST_HELD 4000u

/* What a child finds out, in memory shared with its parent. */
static struct findings {
    size_t n_dead, n_failed, n_collections;
    int error_in_dead;
    size_t n_held, n_wrong_held, n_wrong_calls;
    int error;
    size_t n_before, n_after; /* statistics around the call that failed */
    size_t n_wrong_at_the_end, n_failed_later;
} * found;

static int fd, messages;
static size_t n_bytes;
static unsigned char **held; /* GC heap */

static void drop_many(void *arg)
{
    for (size_t i = 0; i < found->n_dead; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, n_bytes, GCMMAP_READ);

        if (region == NULL) {
            found->error_in_dead = errno;
            found->n_failed++;
        } else if (!shows_bytes(gcmmap_data(region), n_bytes, SEED, 0)) {
            found->n_failed++;
        }
    }
    (void)arg;
}

static void hold_until_failure(void *arg)
{
    gcmmap_region *region;

    (void)arg;
    errno = 0;
    /* All from the same offset: the kernel does not join neighbours. */
    while (found->n_held < MOST_HELD) {
        found->n_before = stats_now().n_mapped;
        region = gcmmap_map(fd, 0, n_bytes, GCMMAP_READ);
        if (region == NULL)
            break;
        held[found->n_held++] = gcmmap_data(region);
    }
    found->error = errno;
    found->n_after = stats_now().n_mapped;
}

static void check_held(void *n_wrong)
{
    for (size_t i = 0; i < found->n_held; i++)
        *(size_t *)n_wrong += held[i] != NULL && !shows_bytes(held[i], n_bytes, SEED, 0);
}

/* At the limit everything that needs nothing works. */
static void use_held(void *arg)
{
    gcmmap_region *region = gcmmap_of(held[1]);

    (void)arg;
    found->n_wrong_calls += gcmmap_data(region) != held[1];
    found->n_wrong_calls += gcmmap_size(region) != n_bytes;
    found->n_wrong_calls += gcmmap_close(region) != 0;
    found->n_wrong_calls += gcmmap_data(region) != NULL;
    held[1] = NULL;
    found->n_wrong_calls += GC_MALLOC(100) == NULL;
}

/* Neighbours: what is left of a single one between others still is an entry in the table. */
static void drop_half(void)
{
    for (size_t i = 0; i < found->n_held / 2; i++)
        held[i] = NULL;
}

static void map_again(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < found->n_held / 4; i++)
        found->n_failed_later += gcmmap_map(fd, 0, n_bytes, GCMMAP_READ) == NULL;
}

static int live_with_shortage(void *make_shortage)
{
    need(dup2(messages, STDERR_FILENO) == STDERR_FILENO, "dup2");
    GC_INIT();
    held = GC_MALLOC_UNCOLLECTABLE(MOST_HELD * sizeof *held);
    need(GC_expand_hp(32 * MiB) && held != NULL, "heap");
    make_noise();
    need(gcmmap_alloc(1, 0) != NULL, "gcmmap_alloc");
    (*(void (**)(void))make_shortage)();
    found->n_collections = (size_t)GC_get_gc_no();
    apart(drop_many, NULL);
    found->n_collections = (size_t)GC_get_gc_no() - found->n_collections;
    apart(hold_until_failure, NULL);
    if (found->n_held < 4)
        return 1;
    apart(check_held, &found->n_wrong_held);
    apart(use_held, NULL);
    collect_with_noise();
    apart(check_held, &found->n_wrong_held);
    drop_half();
    apart(map_again, NULL);
    apart(check_held, &found->n_wrong_at_the_end);
    return 0;
}

static void check(const char *what, void (*make_shortage)(void), size_t n_dead)
{
    struct stat printed;
    int status;

    messages = make_file(0, 0);
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(found != MAP_FAILED, "mmap");
    found->n_dead = n_dead;
    status = run_in_child(live_with_shortage, &make_shortage);
    if (!ok(status == 0, "%s: the program survives", what))
        note("status %d, %zu held", status, found->n_held);
    if (!ok(found->n_failed == 0, "%s: %zu maps, of which few can be there at once, succeed", what,
            n_dead))
        note("%zu failed: %s", found->n_failed, strerror(found->error_in_dead));
    ok(found->n_collections > 0, "%s: by %zu collections", what, found->n_collections);
    if (!ok(found->n_held >= 4 && found->n_held < MOST_HELD && found->error == ENOMEM,
            "%s: ENOMEM with %zu held", what, found->n_held))
        note("errno %d", found->error);
    ok(found->n_before == found->n_after, "%s: the call that failed left nothing", what);
    ok(found->n_wrong_held == 0, "%s: those that are held stay right", what);
    ok(found->n_wrong_calls == 0, "%s: other calls work at the limit, closing too", what);
    if (!ok(found->n_failed_later == 0, "%s: after dropping half of them it goes on", what))
        note("%zu of %zu failed", found->n_failed_later, found->n_held / 4);
    ok(found->n_wrong_at_the_end == 0, "%s: the other half stays right", what);
    need(fstat(messages, &printed) == 0, "fstat");
    ok(printed.st_size == 0, "%s: bdwgc prints nothing about it", what);
    close(messages);
    munmap(found, sizeof *found);
}

/* ---- shortages -------------------------------------------------------------------------- */

static void limit_address_space(void)
{
    struct rlimit limit;
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long n_pages = 0;

    need(file != NULL && fscanf(file, "%lu", &n_pages) == 1, "/proc/self/statm");
    fclose(file);
    need(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
    limit.rlim_cur = n_pages * (size_t)sysconf(_SC_PAGESIZE) + 700 * MiB;
    need(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

static size_t max_map_count(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    size_t n = 0;

    if (file != NULL) {
        need(fscanf(file, "%zu", &n) == 1, "max_map_count");
        fclose(file);
    }
    return n;
}

/* Leaves about 500: every second page of ours gets other permissions. */
static void fill_map_slots(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = max_map_count() - count_map_lines() - 500;
    char *pages =
        mmap(NULL, n * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    need(pages != MAP_FAILED, "mmap");
    for (size_t i = 0; i < n; i += 2)
        need(mprotect(pages + i * page, page, PROT_READ) == 0, "mprotect");
}

/* What one size has left behind is there for others. */
static void map_small_ones(void *n_failed)
{
    unsigned char *all[150];

    for (size_t i = 0; i < 150; i++) {
        all[i] = gcmmap_data(gcmmap_map(fd, 0, 4 * MiB - 4096, GCMMAP_READ));
        *(size_t *)n_failed += all[i] == NULL;
    }
    GC_reachable_here(all);
}

static int change_sizes(void *arg)
{
    unsigned char *all[20];
    size_t n_failed = 0;

    (void)arg;
    GC_INIT();
    need(gcmmap_alloc(1, 0) != NULL, "gcmmap_alloc");
    limit_address_space();
    apart(map_small_ones, &n_failed);
    collect_thoroughly();
    for (size_t i = 0; i < 20; i++) {
        all[i] = gcmmap_data(gcmmap_map(fd, 0, 14 * MiB, GCMMAP_READ));
        n_failed += all[i] == NULL;
    }
    GC_reachable_here(all);
    return n_failed != 0;
}

int main(void)
{
    fd = make_file(0, 0);
    need(ftruncate(fd, (off_t)(14 * MiB)) == 0, "ftruncate");
    ok(run_in_child(change_sizes, NULL) == 0, "address space: other sizes than before");
    close(fd);
    n_bytes = 40 * MiB;
    fd = make_file(SEED, n_bytes);
    check("address space, large regions", limit_address_space, 200);
    n_bytes = 3 * MiB;
    check("address space", limit_address_space, 1000);
    n_bytes = 3000;
    if (getenv("GC_ENABLE_INCREMENTAL") != NULL)
        ok(true, "map slots # SKIP the collector aborts where it gets none");
    else if (max_map_count() > 1000 && max_map_count() < 1000000)
        check("map slots", fill_map_slots, 1000);
    else
        ok(true, "map slots # SKIP no limit, or too high a one");
    return done_testing();
}
