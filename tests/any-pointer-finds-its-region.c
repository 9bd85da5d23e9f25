/*
 * gcmmap_of() finds the region of a handle and of any byte, one past the end included,
 * and nothing for any other pointer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define MIB ((size_t)1 << 20)
#define ERRNO_BEFORE ERFKILL

static size_t page;
static int fd;

#define FILE_PAGES 20

static gcmmap_region *of(const void *pointer)
{
    gcmmap_region *region;

    errno = ERRNO_BEFORE;
    region = gcmmap_of(pointer);
    need(errno == ERRNO_BEFORE, "gcmmap_of() changes errno");
    return region;
}

/* ---- one region ------------------------------------------------------------------- */

static void test_region(gcmmap_region *region, const char *what)
{
    gcmmap_slice slice = gcmmap_bytes(region);
    const unsigned char *handle = (const unsigned char *)region, *data = slice.data;
    size_t step = slice.size > 100 * page ? 1009 * 16 : 1;
    bool inside = true, before = true, beyond = true;

    need(data != NULL, "region");
    for (size_t i = 0; i < slice.size; i += step)
        inside &= of(data + i) == region;
    ok(inside && of(data) == region && of(data + slice.size - (slice.size != 0)) == region,
       "%s: each byte", what);
    ok(of(data + slice.size) == region, "one past the end");
    ok(of(region) == region, "the handle");
    for (const unsigned char *p = handle + 1; p < data; p++)
        before &= of(p) == NULL;
    before &= of(handle - 1) != region && of(handle - page) != region;
    ok(before, "no byte before the data (%td in its page)", data - handle);
    for (size_t i = 1; i <= 2 * page; i++)
        beyond &= of(data + slice.size + i) != region;
    ok(beyond && of(data + slice.size + 16 * MIB) != region, "no byte further behind");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- many regions ------------------------------------------------------------------- */

#define N_MANY 150

static gcmmap_region *many[N_MANY];
static gcmmap_slice bytes_of_many[N_MANY];

/* The same by looking at each: no two can claim one pointer. */
static gcmmap_region *owner_by_search(const unsigned char *pointer)
{
    for (int i = 0; i < N_MANY; i++)
        if (pointer == (unsigned char *)many[i] ||
            (pointer >= bytes_of_many[i].data &&
             pointer <= bytes_of_many[i].data + bytes_of_many[i].size))
            return many[i];
    return NULL;
}

static void test_many(void)
{
    uint64_t state = test_seed();
    size_t n_wrong = 0, n_owned = 0;

    for (int i = 0; i < N_MANY; i++) {
        size_t offset = (size_t)(next_random(&state) % (FILE_PAGES * page));
        size_t n = (size_t)(next_random(&state) % (FILE_PAGES * page - offset + 1));

        if (i % 3 == 0)
            n = n / page * page; /* one past the end is on another page */
        if (i % 25 == 24)
            many[i] = gcmmap_alloc((size_t)(next_random(&state) % (3 * 16 * MIB)), 0);
        else if (i % 5 == 4)
            many[i] = gcmmap_alloc(n, GCMMAP_POINTER_FREE);
        else
            many[i] = gcmmap_map(fd, (off_t)offset, n, GCMMAP_READ);
        bytes_of_many[i] = gcmmap_bytes(many[i]);
        need(bytes_of_many[i].data != NULL, "region");
        if (i % 10 == 9) /* closed regions count */
            need(gcmmap_close(many[i]) == 0, "close");
    }
    for (int i = 0; i < 200000; i++) {
        gcmmap_slice slice = bytes_of_many[next_random(&state) % N_MANY];
        const unsigned char *pointer = slice.data;

        if (i % 4 == 1)
            pointer += slice.size;
        else if (i % 4 == 2)
            pointer += next_random(&state) % (slice.size + 1);
        if (i % 4 == 3)
            pointer += next_random(&state) % (64 * page);
        else
            pointer += next_random(&state) % 9;
        pointer -= i % 4 == 3 ? 32 * page : 4;
        n_wrong += of(pointer) != owner_by_search(pointer);
        n_owned += owner_by_search(pointer) != NULL;
    }
    ok(n_wrong == 0, "200,000 pointers around %d regions (%zu into one, %zu wrong)", N_MANY,
       n_owned, n_wrong);
    ok(n_owned > 50000 && n_owned < 190000, "of both sorts");
    for (int i = 0; i < N_MANY; i++)
        need(gcmmap_unmap_now(many[i]) == 0, "unmap");
    clear_roots(many, sizeof many);
    clear_roots(bytes_of_many, sizeof bytes_of_many);
}

/* ---- what belongs to nobody ----------------------------------------------------------- */

static void test_others(void)
{
    static char static_bytes[8];
    char stack_bytes[8];
    char *malloced = malloc(100), *object = GC_MALLOC(100), *atomic = GC_MALLOC_ATOMIC(5000);
    char *large = GC_MALLOC(10 * page);
    void *mapping = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t state = test_seed();
    size_t n_owned = 0;

    ok(of(NULL) == NULL, "NULL");
    ok(of(stack_bytes) == NULL && of(&state) == NULL, "the stack");
    ok(of(static_bytes) == NULL && of(&fd) == NULL, "static data");
    ok(of((void *)(uintptr_t)test_others) == NULL && of((void *)(uintptr_t)gcmmap_of) == NULL,
       "functions");
    ok(of(malloced) == NULL && of(mapping) == NULL, "malloc'ed and mapped memory");
    ok(of(object) == NULL && of(object + 50) == NULL && of(atomic) == NULL &&
           of(atomic + 4097) == NULL && of(large) == NULL && of(large + 5 * page) == NULL,
       "objects of the heap");
    for (size_t i = 0; i < 100000; i++)
        n_owned += of((void *)(uintptr_t)(next_random(&state) >> i % 64)) != NULL;
    for (uintptr_t i = 1; i < 5000; i++)
        n_owned += of((void *)i) != NULL || of((void *)(UINTPTR_MAX - i + 1)) != NULL;
    ok(n_owned == 0, "any odd number (%zu)", n_owned);
    munmap(mapping, page);
    free(malloced);
}

/* ---- regions that are gone ------------------------------------------------------------- */

#define N_GONE 100

static uintptr_t hidden[N_GONE]; /* complements: no pointers */

static void map_and_drop(void *arg)
{
    for (int i = 0; i < N_GONE; i++) {
        gcmmap_region *region = gcmmap_map(fd, 100, 2 * page, GCMMAP_READ);

        *(bool *)arg &= region != NULL && of((char *)gcmmap_data(region) + page) == region;
        if (i % 4 == 0)
            need(gcmmap_close(region) == 0, "close");
        hidden[i] = ~(uintptr_t)region;
    }
}

static int count_owned(size_t offset)
{
    int n = 0;

    for (int i = 0; i < N_GONE; i++)
        n += of((char *)~hidden[i] + offset) != NULL;
    return n;
}

static void test_gone(void)
{
    gcmmap_region *region = gcmmap_alloc(3 * page, 0);
    unsigned char *data = gcmmap_data(region);
    bool right = true;

    need(gcmmap_unmap_now(region) == 0, "unmap");
    ok(of(region) == NULL && of(data + page) == NULL && of(data + 3 * page) == NULL,
       "nothing after gcmmap_unmap_now()");
    apart(map_and_drop, &right);
    collect_thoroughly();
    ok(right && count_owned(0) <= 2 && count_owned(page) <= 2,
       "nothing after a release (%d of %d are left)", count_owned(0), N_GONE);
}

int main(void)
{
    gcmmap_region *region;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, FILE_PAGES * page);
    ok(of(&region) == NULL, "before the first region");
    test_region(gcmmap_map(fd, 0, 5000, GCMMAP_READ), "from the start of a page");
    test_region(gcmmap_map(fd, 1, 5000, GCMMAP_READ), "one byte behind it");
    test_region(gcmmap_map(fd, (off_t)page - 1, 2, GCMMAP_READ), "across two pages");
    test_region(gcmmap_map(fd, (off_t)page + 1000, GCMMAP_REST, GCMMAP_READ), "to the end");
    test_region(gcmmap_map(fd, 0, 2 * page, GCMMAP_WRITE), "whole pages");
    test_region(gcmmap_map(fd, 77, 0, GCMMAP_READ), "no bytes");
    test_region(gcmmap_alloc(0, 0), "no bytes of memory");
    test_region(gcmmap_alloc(10 * page, 0), "memory");
    test_region(gcmmap_alloc(14 * MIB, 0), "14 MiB");
    test_region(gcmmap_alloc(16 * MIB - 1, GCMMAP_POINTER_FREE), "16 MiB - 1");
    test_region(gcmmap_alloc(16 * MIB, 0), "16 MiB");
    test_region(gcmmap_alloc(48 * MIB, 0), "48 MiB");
    test_region(gcmmap_alloc(50 * MIB + 1, GCMMAP_POINTER_FREE), "50 MiB + 1");
    region = gcmmap_map(fd, 0, 100, GCMMAP_READ);
    ok(of((char *)region + 100) == region && of((char *)region + 101) == NULL,
       "one past the end, not two");
    need(gcmmap_unmap_now(region) == 0, "unmap"); /* test_many() knows all regions */
    test_many();
    test_others();
    test_gone();
    return done_testing();
}
