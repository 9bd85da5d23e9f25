/*
 * GCMMAP_GUARDED: the byte in front of a region's pages and the one behind them end in SIGSEGV,
 * at that address, whatever lies next to it; memory ends with its last page.  Without the flag
 * writable regions of more than 32 KiB have a guard behind them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define SEED 6u
#define FILE_SIZE ((size_t)100000)
#define N_NEIGHBOURS 40u

static int fd;
static size_t page;
static unsigned char *volatile target;

static bool faults_at(unsigned char *address)
{
    bool passed = fault_of_access(address, false) == SIGSEGV && fault_address == (void *)address;

    if (!passed)
        note("%p: signal %d at %p", (void *)address, fault_signal, (void *)fault_address);
    return passed;
}

/* Of memory: where it ends for who looks at pages. */
static unsigned char *memory_end(const gcmmap_region *region)
{
    uintptr_t end = (uintptr_t)gcmmap_data(region) + gcmmap_size(region);

    return (unsigned char *)((end + 15) & ~(uintptr_t)15);
}

static unsigned char *page_end(const gcmmap_region *region)
{
    uintptr_t end = (uintptr_t)gcmmap_data(region) + gcmmap_size(region);

    return (unsigned char *)((end + page - 1) & ~(uintptr_t)(page - 1));
}

static unsigned char *page_start(const gcmmap_region *region)
{
    return (unsigned char *)((uintptr_t)gcmmap_data(region) & ~(uintptr_t)(page - 1));
}

static bool is_whole(const gcmmap_region *region, size_t size)
{
    unsigned char *data = gcmmap_data(region);

    return gcmmap_size(region) == size && gcmmap_of(region) == region &&
           gcmmap_of(data) == region && gcmmap_of(data + size) == region &&
           fault_of_access(data, false) == 0 && fault_of_access(data + size - 1, false) == 0;
}

/* As many as lie next to each other. */
static void test_memory(const char *what, size_t size, unsigned flags)
{
    gcmmap_region *regions[N_NEIGHBOURS];
    bool whole = true, before = true, behind = true, aligned = true;

    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        regions[i] = gcmmap_alloc(size, flags | GCMMAP_GUARDED);
        if (regions[i] == NULL && (flags & (GCMMAP_SECRET | GCMMAP_HUGE_ONLY))) {
            ok(true, "%s of %zu bytes # SKIP %s", what, size, strerror(errno));
            while (i > 0)
                (void)gcmmap_unmap_now(regions[--i]);
            return;
        }
        need(regions[i] != NULL, "region");
    }
    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        unsigned char *data = gcmmap_data(regions[i]);

        memset(data, 0xaa, size);
        whole &= is_whole(regions[i], size);
        aligned &= (uintptr_t)data % (size % page == 0 ? page : 16) == 0;
        before &= faults_at(page_start(regions[i]) - 1);
        behind &=
            memory_end(regions[i]) == page_end(regions[i]) && faults_at(memory_end(regions[i]));
    }
    for (unsigned i = 0; i < N_NEIGHBOURS; i++)
        for (size_t j = 0; j < size; j += 997)
            whole &= ((unsigned char *)gcmmap_data(regions[i]))[j] == 0xaa;
    for (unsigned i = 0; i < N_NEIGHBOURS; i++)
        need(gcmmap_unmap_now(regions[i]) == 0, "unmap");
    ok(whole && aligned, "%s of %zu bytes: all there, and aligned", what, size);
    ok(before, "%s of %zu bytes: the page in front of it faults", what, size);
    ok(behind, "%s of %zu bytes: the first byte behind it faults", what, size);
}

static void test_sizes(void)
{
    static const size_t sizes[] = { 1, 16, 100, 4080, 4095, 4096, 4097, 8192, 30000, 36000, 65536 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        test_memory("traced memory", sizes[i], 0);
        test_memory("memory by handle", sizes[i], GCMMAP_BY_HANDLE);
    }
    test_memory("memory", 100, GCMMAP_POINTER_FREE);
    test_memory("memory", 3 * MiB + 5, GCMMAP_POINTER_FREE | GCMMAP_HUGE);
    test_memory("memory by handle", 3 * MiB + 5,
                GCMMAP_POINTER_FREE | GCMMAP_HUGE | GCMMAP_BY_HANDLE);
    test_memory("rows", 17 * MiB + 5, GCMMAP_POINTER_FREE | GCMMAP_PARTIAL);
    test_memory("secret memory", 5000, GCMMAP_SECRET);
    test_memory("secret memory", 5000, GCMMAP_SECRET | GCMMAP_BY_HANDLE);
}

/* Bytes that lie in their pages as in the file. */
static void test_file(const char *what, gcmmap_region *region, size_t offset, size_t size)
{
    unsigned char *data = gcmmap_data(region);

    need(region != NULL, what);
    ok(is_whole(region, size) && has_bytes(gcmmap_data(region), size, SEED, offset),
       "%s: all there", what);
    ok(faults_at(page_start(region) - 1) && faults_at(page_end(region)),
       "%s: the pages around it fault", what);
    need(gcmmap_close(region) == 0, "close");
    ok(faults_at(data) && faults_at(data + size - 1), "closed: all do");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_files(void)
{
    const unsigned flags[] = { GCMMAP_READ, GCMMAP_WRITE, GCMMAP_WRITE | GCMMAP_PRIVATE,
                               GCMMAP_READ | GCMMAP_BY_HANDLE, GCMMAP_WRITE | GCMMAP_BY_HANDLE };
    gcmmap_region *region;
    char what[64];

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        snprintf(what, sizeof what, "a file, flags %#x", flags[i]);
        test_file(what, gcmmap_map(fd, 5000, 8192, flags[i] | GCMMAP_GUARDED), 5000, 8192);
        test_file(what, gcmmap_map(fd, 0, GCMMAP_REST, flags[i] | GCMMAP_GUARDED), 0, FILE_SIZE);
    }
    test_file("a snapshot", gcmmap_snapshot(fd, 77, 20000, GCMMAP_GUARDED, NULL, NULL), 77, 20000);
    region = gcmmap_memfd("guarded", 4096, GCMMAP_GUARDED, NULL, NULL);
    need(region != NULL, "memfd");
    ok(is_whole(region, 4096) && faults_at(page_start(region) - 1) && faults_at(page_end(region)),
       "a file in memory");
    region = gcmmap_alloc(0, GCMMAP_GUARDED);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0 && faults_at(gcmmap_data(region)) &&
           gcmmap_of(gcmmap_data(region)) == region,
       "an empty region");
}

static void test_room(unsigned flags)
{
    gcmmap_options options = { .room = 10 * page, .alignment = 0 };
    gcmmap_region *regions[N_NEIGHBOURS];
    bool good = true;

    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        regions[i] = gcmmap_alloc_with(100, flags | GCMMAP_GUARDED, &options);
        need(regions[i] != NULL, "room");
    }
    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        unsigned char *data = gcmmap_data(regions[i]);

        good &= (uintptr_t)data % page == 0 && faults_at(data - 1) && faults_at(data + page);
        good &= gcmmap_extend(regions[i], 10 * page) == 0 && gcmmap_data(regions[i]) == data;
        memset(data, 1, 10 * page);
        good &= faults_at(data - 1) && faults_at(data + 10 * page);
    }
    for (unsigned i = 0; i < N_NEIGHBOURS; i++)
        good &= gcmmap_unmap_now(regions[i]) == 0;
    ok(good, "with room, flags %#x: at its end and in front, grown or not", flags);
}

static void test_alignment(unsigned flags)
{
    gcmmap_options options = { .alignment = 1 << 20 };
    gcmmap_region *region = gcmmap_alloc_with(page + 16, flags | GCMMAP_GUARDED, &options);

    ok(region != NULL && (uintptr_t)page_start(region) % options.alignment == 0 &&
           faults_at(page_start(region) - 1) && faults_at(memory_end(region)),
       "aligned, flags %#x", flags);
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_address(void)
{
    char *free_pages = mmap(NULL, 8 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    gcmmap_options options = { .address = free_pages + 2 * page };
    gcmmap_region *region;

    need(free_pages != MAP_FAILED && munmap(free_pages + page, 7 * page) == 0, "addresses");
    region = gcmmap_alloc_with(page, GCMMAP_GUARDED | GCMMAP_BY_HANDLE, &options);
    ok(gcmmap_data(region) == options.address && faults_at(page_start(region) - 1) &&
           faults_at(page_end(region)),
       "at an address");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    options.address = free_pages + page;
    errno = 0;
    (void)gives_errno(
        (intptr_t)gcmmap_alloc_with(page, GCMMAP_GUARDED | GCMMAP_BY_HANDLE, &options), EEXIST,
        "at an address in front of which there is something");
    munmap(free_pages, page);
}

/* ---- the end of a process ------------------------------------------------------------- */

static int store(void *arg)
{
    (void)arg;
    *target = 1;
    return 0;
}

static void test_deaths(unsigned flags)
{
    gcmmap_region *region = gcmmap_alloc(100, flags | GCMMAP_GUARDED);

    need(region != NULL, "region");
    target = (unsigned char *)gcmmap_data(region) + 99;
    ok(run_in_child(store, NULL) == 0, "flags %#x: a store into the last byte", flags);
    target = memory_end(region);
    ok(run_in_child(store, NULL) == -SIGSEGV, "behind it: death");
    target = page_start(region) - 1;
    ok(run_in_child(store, NULL) == -SIGSEGV, "in front of it: death");
}

/* ---- what is left of them --------------------------------------------------------------- */

static void map_and_drop(void *arg)
{
    static const unsigned kinds[] = { GCMMAP_BY_HANDLE, GCMMAP_BY_HANDLE | GCMMAP_POINTER_FREE };

    for (unsigned i = 0; i < 200; i++)
        (void)gcmmap_alloc(50000 + i, kinds[i % 2] | GCMMAP_GUARDED);
    (void)arg;
}

static size_t guards_outside(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char access[5];

        n += sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 && access[0] == '-' &&
             GC_base((void *)from) == NULL;
    }
    fclose(maps);
    return n;
}

static void test_dropped(void)
{
    size_t before = guards_outside(), after;

    apart(map_and_drop, NULL);
    for (int i = 0; i < 3; i++)
        collect_thoroughly();
    after = guards_outside();
    ok(after <= before + 20, "guards outside the heap go with their regions: %zu, then %zu", before,
       after);
}

static int refused_if_incremental(void *arg)
{
    gcmmap_region *region;

    (void)arg;
    GC_enable_incremental();
    if (!collector_write_protects())
        return 77;
    errno = 0;
    if (gcmmap_alloc(100, GCMMAP_GUARDED) != NULL || errno != ENOTSUP)
        return 1;
    region = gcmmap_alloc(100, GCMMAP_GUARDED | GCMMAP_BY_HANDLE);
    return region != NULL && faults_at(memory_end(region)) && faults_at(page_start(region) - 1) ? 0
                                                                                                : 2;
}

static void test_incremental(void)
{
    int result = run_in_child(refused_if_incremental, NULL);

    if (result == 77)
        ok(true, "# SKIP no write protection");
    else
        ok(result == 0, "refused where bdwgc protects its heap, but outside of that (%d)", result);
}

/* ---- without the flag ---------------------------------------------------------------------- */

static void test_default(const char *what, size_t size, unsigned flags)
{
    gcmmap_region *regions[N_NEIGHBOURS];
    bool behind = true;

    for (unsigned i = 0; i < N_NEIGHBOURS; i++) {
        regions[i] = flags & GCMMAP_POINTER_FREE ? gcmmap_alloc(size, flags)
                                                 : gcmmap_map(fd, 0, size, flags);
        need(regions[i] != NULL, "region");
    }
    for (unsigned i = 0; i < N_NEIGHBOURS; i++)
        behind &= faults_at(page_end(regions[i]));
    for (unsigned i = 0; i < N_NEIGHBOURS; i++)
        need(gcmmap_unmap_now(regions[i]) == 0, "unmap");
    ok(behind, "without the flag: behind %zu bytes of %s", size, what);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(SEED, FILE_SIZE);
    test_incremental();
    if (collector_write_protects())
        return done_testing(); /* ENOTSUP, as that says */
    test_sizes();
    test_files();
    test_room(0);
    test_room(GCMMAP_BY_HANDLE);
    test_alignment(0);
    test_alignment(GCMMAP_BY_HANDLE);
    test_address();
    test_deaths(0);
    test_deaths(GCMMAP_BY_HANDLE);
    test_dropped();
    for (size_t n_pages = 1; n_pages <= 20; n_pages++) {
        test_default("memory", n_pages * page, GCMMAP_POINTER_FREE);
        if (n_pages * page - 100 > 32768) {
            test_default("memory", n_pages * page - 100, GCMMAP_POINTER_FREE);
            test_default("a file", n_pages * page - 100, GCMMAP_WRITE);
        }
    }
    return done_testing();
}
