/*
 * Mappings that others have made move to where the collector sees pointers into them, with
 * what they hold; they are released by it, and the owner is told.  What cannot be taken
 * over stays as it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_REGIONS 40u
#define SIZE ((size_t)40000)
#define PAGES ((size_t)40960)
#define SEED 11

static int fd;
static void *kept[N_REGIONS];
static unsigned n_told, n_wrong, round_now;
static void *addresses[N_REGIONS];

static void told(void *addr, size_t size, void *data)
{
    const unsigned *number = data;
    unsigned i = number[0];

    if (number[1] != round_now) /* held by accident until now */
        return;
    n_told++;
    n_wrong += i >= N_REGIONS || addr != addresses[i] || size != SIZE;
}

static void *map_plainly(unsigned i)
{
    void *at;

    switch (i % 4) {
    case 0:
        at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
        break;
    case 1:
        at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        break;
    case 2:
        at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        break;
    default:
        at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t j = 0; at != MAP_FAILED && j < SIZE; j++)
            ((unsigned char *)at)[j] = byte_at(SEED, j);
    }
    need(at != MAP_FAILED, "mmap");
    return at;
}

static void adopt_all(void *arg)
{
    unsigned flags = *(unsigned *)arg;

    for (unsigned i = 0; i < N_REGIONS; i++) {
        void *at = map_plainly(i);
        unsigned *number = GC_MALLOC_ATOMIC(2 * sizeof *number);
        gcmmap_region *region;
        unsigned char *data;

        number[0] = i;
        number[1] = round_now;
        addresses[i] = at;
        region = gcmmap_adopt(at, SIZE, flags, told, number);
        data = gcmmap_data(region);
        n_wrong += data == NULL || !has_bytes(data, SIZE, SEED, 0) || gcmmap_size(region) != SIZE;
        n_wrong += (flags & GCMMAP_BY_HANDLE) ? data != at : data == at;
        n_wrong += gcmmap_of(data + SIZE / 2) != region;
        if (i % 4 == 0)
            n_wrong += fault_of_access(data, true) != SIGSEGV;
        else
            data[0] = byte_at(SEED, 0);
        kept[i] = flags & GCMMAP_BY_HANDLE ? (void *)region : keeper_of(data + SIZE / 3);
    }
}

static void check_kept(void *arg)
{
    for (unsigned i = 0; i < N_REGIONS; i++)
        n_wrong += !has_bytes(gcmmap_data(gcmmap_of(kept[i])), SIZE, SEED, 0);
    (void)arg;
}

static void test_life(unsigned flags, const char *what)
{
    n_told = n_wrong = 0;
    round_now++;
    apart(adopt_all, &flags);
    ok(n_wrong == 0, "%s: what %u mappings hold comes along", what, N_REGIONS);
    collect_with_noise();
    apart(check_kept, NULL);
    ok(n_wrong == 0 && n_told == 0, "%s: pointers keep them", what);
    clear_roots(kept, sizeof kept);
    collect_thoroughly();
    ok(n_told >= N_REGIONS - 3 && n_wrong == 0,
       "%s: without, %u are released, and their owner told", what, n_told);
    ok(bytes_mapped_from(fd) <= 3 * PAGES, "%s: and they are not mapped any more", what);
    collect_thoroughly();
}

static void hold(void *arg)
{
    void **at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    at[1000] = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    *(void **)arg = keeper_of(gcmmap_data(gcmmap_adopt(at, SIZE, 0, NULL, NULL)));
}

static void *traced;

static void test_contents(void)
{
    apart(hold, &traced);
    collect_with_noise();
    ok(bytes_mapped_from(fd) >= SIZE, "what adopted memory points to stays");
    traced = NULL;
}

/* ---- what is refused ---------------------------------------------------------------- */

static bool refused(void *addr, size_t size, unsigned flags, int error)
{
    errno = 0;
    return gcmmap_adopt(addr, size, flags, told, NULL) == NULL && errno == error;
}

static void test_refusals(void *arg)
{
    unsigned char *at = mmap(NULL, 4 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    char *object = GC_MALLOC(100000);
    unsigned told_before = n_told;
    size_t n_live = stats_now().n_live;

    (void)arg;
    need(at != MAP_FAILED && munmap(at + 4096, 4096) == 0 &&
             mprotect(at + 3 * 4096, 4096, PROT_READ | PROT_WRITE) == 0,
         "mappings");
    ok(refused(at + 1, 100, 0, EINVAL), "not the start of a page");
    ok(refused(at, 0, 0, EINVAL), "no bytes");
    ok(refused(at, 100, 0x80000000u, EINVAL), "unknown flags");
    ok(refused(at, 100, GCMMAP_POPULATE, EINVAL), "flags that are for mapping");
    ok(refused(at, 100, GCMMAP_TRACED | GCMMAP_POINTER_FREE, EINVAL), "a contradiction");
    ok(refused(at, 4097, 0, EFAULT), "a hole");
    ok(refused(at + 4096, 100, 0, EFAULT), "nothing there");
    ok(refused(at + 2 * 4096, 2 * 4096, 0, EFAULT), "two mappings");
    ok(refused(at, 100, GCMMAP_WRITE, EACCES), "more access than there is");
    ok(refused(at, SIZE_MAX - 4096, 0, EOVERFLOW), "larger than the address space");
    ok(refused(at, GCMMAP_SIZE_MAX + 1, 0, EOVERFLOW), "larger than pointers are followed");
    ok(refused(gcmmap_data(region), 4096, 0, EINVAL), "a region");
    ok(refused((void *)((uintptr_t)object & ~(uintptr_t)4095), 4096, 0, EINVAL),
       "the collector's heap");
    ok(fault_of_access(at, false) == 0 && fault_of_access(at + 2 * 4096, false) == 0 &&
           n_told == told_before && stats_now().n_live == n_live,
       "nothing changed");
    GC_reachable_here(object);
    GC_reachable_here(region);
}

int main(void)
{
    GC_INIT();
    fd = make_file(SEED, SIZE);
    test_life(0, "moved");
    test_life(GCMMAP_BY_HANDLE, "in place");
    test_contents();
    apart(test_refusals, NULL);
    return done_testing();
}
