/*
 * The addresses of a region are used again, but not before the last pointer to them is
 * gone: neither while it is mapped, nor after it was closed, nor after it was dropped and
 * before a collection has found that out.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define MOST 128u
#define OLD_SEED 5u
#define NEW_SEED 6u

static const struct {
    size_t n_bytes;
    unsigned n_regions;
} sizes[] = { { 100, MOST },
              { 8192, MOST },
              { 200000, MOST },
              { 2 * MiB, 32 },
              { (HAS_MANY_ADDRESSES ? 40 : 8) * MiB, 6 } };

static int old_fd, new_fd;
static size_t n_bytes;
static unsigned n_regions;
static uintptr_t old[MOST]; /* hidden starts of the regions that are to die */
static void **held;         /* in the GC heap: what keeps each of them, or NULL */
static uintptr_t new[12 * MOST];
static unsigned n_new;

static bool was_trimmed;

/* Very many collections in a row make gcmmap give the pool back. */
static void collect(void (*how)(void))
{
    size_t before = stats_now().bytes_reserved;

    how();
    was_trimmed |= stats_now().bytes_reserved < before;
}

/* Not all: some may be held by accident, or have been given back to the collector. */
static bool are_enough(unsigned n_reused, unsigned n_free)
{
    return was_trimmed || (n_reused > 0 && n_reused >= n_free / 4);
}

static void map_old(void *arg)
{
    for (unsigned i = 0; i < n_regions; i++) {
        gcmmap_region *region = gcmmap_map(old_fd, 0, n_bytes, GCMMAP_READ);
        unsigned char *data = gcmmap_data(region);
        /* First byte, last byte, one past the end, an interior one. */
        size_t places[] = { 0, n_bytes - 1, n_bytes, n_bytes / 2 };

        need(data != NULL, "gcmmap_map");
        old[i] = hide(data);
        held[i] = keeper_of(data + places[i % 4]);
    }
    (void)arg;
}

static void map_new(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3 * n_regions; i++) {
        gcmmap_region *region = gcmmap_map(new_fd, 0, n_bytes, GCMMAP_READ);

        need(region != NULL, "gcmmap_map");
        new[n_new++] = hide(gcmmap_data(region));
    }
}

/* Of the old addresses, how many are among the new?  Hidden ones fall as addresses rise. */
static unsigned count_reused(bool held_ones)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_regions; i++) {
        bool is_reused = false;

        for (unsigned j = 0; j < n_new; j++)
            is_reused |= old[i] < new[j] + n_bytes + 1 && new[j] < old[i] + n_bytes + 1;
        n += is_reused && (held[i] != NULL) == held_ones;
    }
    return n;
}

static void map_many_new(void)
{
    n_new = 0;
    apart(map_new, NULL);
}

/* Until the old addresses have their turn among others that are free. */
static void map_until_reused(void)
{
    GC_disable();
    map_many_new();
    for (unsigned i = 0; i < 3 && n_new + 3 * n_regions <= 12 * MOST; i++)
        if (count_reused(false) < n_regions)
            apart(map_new, NULL);
    GC_enable();
}

static void forget(bool (*which)(unsigned))
{
    for (unsigned i = 0; i < n_regions; i++)
        if (which(i))
            held[i] = NULL;
}

static bool odd_ones(unsigned i)
{
    return i % 2 == 1;
}

static bool all(unsigned i)
{
    (void)i;
    return true;
}

static void close_held(void *all_closed)
{
    *(bool *)all_closed = true;
    for (unsigned i = 0; i < n_regions; i++)
        if (held[i] != NULL)
            *(bool *)all_closed &= gcmmap_close(gcmmap_of(held[i])) == 0;
}

static void check_held(void *all_right)
{
    *(bool *)all_right = true;
    for (unsigned i = 0; i < n_regions; i++)
        if (held[i] != NULL)
            *(bool *)all_right &= shows_bytes(reveal(old[i]), n_bytes, OLD_SEED, 0);
}

/* The pages of the held ones can be neither read nor seen as anybody's file. */
static void check_closed(void *all_right)
{
    *(bool *)all_right = true;
    for (unsigned i = 0; i < n_regions; i++)
        if (held[i] != NULL)
            *(bool *)all_right &=
                inode_at(reveal(old[i])) == 0 && fault_of_access(reveal(old[i]), false) == SIGSEGV;
}

static void check_size(void)
{
    bool all_right, all_closed;
    unsigned n_half = n_regions / 2;

    was_trimmed = false;
    /* Dropped, but nobody knows yet. */
    GC_disable();
    apart(map_old, NULL);
    forget(all);
    map_many_new();
    GC_enable();
    ok(count_reused(false) == 0, "%zu bytes: dropped, not collected: no address reused", n_bytes);
    collect(collect_thoroughly);
    map_until_reused();
    ok(are_enough(count_reused(false), n_regions), "%zu bytes: after collections %u of %u reused",
       n_bytes, count_reused(false), n_regions);
    collect(collect_thoroughly);

    /* Held by stale pointers to anywhere in them. */
    apart(map_old, NULL);
    forget(odd_ones);
    for (unsigned i = 0; i < 3; i++) {
        collect(collect_with_noise);
        map_many_new();
        ok(count_reused(true) == 0, "%zu bytes: held ones are not reused", n_bytes);
    }
    collect(collect_thoroughly);
    map_until_reused();
    ok(count_reused(true) == 0 && are_enough(count_reused(false), n_half),
       "%zu bytes: %u of the %u others are", n_bytes, count_reused(false), n_half);
    apart(check_held, &all_right);
    ok(all_right, "%zu bytes: the held ones still show theirs", n_bytes);

    /* Closed, but still pointed to. */
    apart(close_held, &all_closed);
    ok(all_closed, "%zu bytes: held ones are closed", n_bytes);
    for (unsigned i = 0; i < 3; i++) {
        collect(collect_with_noise);
        map_many_new();
        ok(count_reused(true) == 0, "%zu bytes: closed ones are not reused", n_bytes);
    }
    apart(check_closed, &all_right);
    ok(all_right, "%zu bytes: closed ones fault", n_bytes);
    forget(all);
    collect(collect_thoroughly);
    map_until_reused();
    ok(are_enough(count_reused(false), n_regions),
       "%zu bytes: without the pointers %u of %u are reused", n_bytes, count_reused(false),
       n_regions);
    collect(collect_thoroughly);
}

static void unmap_now_and_map_again(void *arg)
{
    unsigned *n = arg;

    for (unsigned i = 0; i < 100; i++) {
        gcmmap_region *region = gcmmap_map(old_fd, 0, 5000, GCMMAP_READ);
        uintptr_t before = hide(region);

        need(region != NULL && gcmmap_unmap_now(region) == 0, "gcmmap_unmap_now");
        region = gcmmap_map(new_fd, 0, 5000, GCMMAP_READ);
        *n += hide(region) == before && has_bytes(gcmmap_data(region), 5000, NEW_SEED, 0);
    }
}

int main(void)
{
    unsigned n_same = 0;

    GC_INIT();
    DOES_NOT_COUNT(old);
    DOES_NOT_COUNT(new);
    held = GC_MALLOC_UNCOLLECTABLE(MOST * sizeof *held);
    need(held != NULL, "GC_MALLOC_UNCOLLECTABLE");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        n_bytes = sizes[i].n_bytes;
        n_regions = sizes[i].n_regions;
        old_fd = make_file(OLD_SEED, n_bytes);
        new_fd = make_file(NEW_SEED, n_bytes);
        check_size();
        close(old_fd);
        close(new_fd);
    }
    old_fd = make_file(OLD_SEED, 5000);
    new_fd = make_file(NEW_SEED, 5000);
    apart(unmap_now_and_map_again, &n_same);
    ok(n_same >= 90, "after gcmmap_unmap_now() they are reused at once: %u of 100", n_same);
    return done_testing();
}
