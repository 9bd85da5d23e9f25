/*
 * gcmmap_protect() changes the access to the pages around the bytes, as faults and the
 * kernel's own list show, to no others, and for no longer than the region lives.  What is
 * in protected pages of traced regions stays alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_PAGES ((size_t)6)

static size_t page;
static int fd;

/* One letter for each page: r, w, x (r and x), X (all), - (none), as the kernel says. */
static const char *permissions(const unsigned char *start, size_t n)
{
    static char letters[64];

    for (size_t i = 0; i < n; i++) {
        char line[5] = "";
        unsigned long inode;

        need(map_line(start + i * page, line, &inode), "mapping");
        letters[i] = line[2] == 'x'   ? (line[1] == 'w' ? 'X' : 'x')
                     : line[1] == 'w' ? 'w'
                     : line[0] == 'r' ? 'r'
                                      : '-';
    }
    letters[n] = 0;
    return letters;
}

/* What loads and stores make of it, which cannot tell x from r. */
static bool faults_agree(unsigned char *start, const char *letters)
{
    for (size_t i = 0; letters[i] != 0; i++) {
        unsigned char *byte = start + i * page + i;
        bool reads = fault_of_access(byte, false) == 0, writes = fault_of_access(byte, true) == 0;

        if (reads != (letters[i] != '-') || writes != (letters[i] == 'w' || letters[i] == 'X'))
            return false;
    }
    return true;
}

static void expect(unsigned char *start, const char *letters, const char *what)
{
    const char *seen = permissions(start, strlen(letters));

    ok(strcmp(seen, letters) == 0 && faults_agree(start, letters), "%s: %s (%s)", what, letters,
       seen);
}

static void test_ranges(unsigned flags)
{
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page - 9, flags | GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);
    char after[5];
    unsigned long inode;

    need(data != NULL && map_line(data + N_PAGES * page, after, &inode), "region");
    memset(data, 1, N_PAGES * page - 9);
    errno = 4711;
    ok(gcmmap_protect(data + 2 * page - 1, 2, GCMMAP_READ) == 0 && errno == 4711,
       "two bytes on two pages");
    expect(data, "wrrwww", "are read-only with their pages");
    ok(gcmmap_protect(data + 2 * page, page, 0) == 0, "a page");
    expect(data, "wr-www", "is inaccessible");
    ok(gcmmap_protect(data + page + 17, 3 * page - 17, GCMMAP_WRITE) == 0, "some pages and a bit");
    expect(data, "wwwwww", "are writable");
    ok(data[2 * page] == 1, "contents are as they were");
    ok(gcmmap_protect(data + 3 * page, 1, GCMMAP_READ | GCMMAP_EXEC) == 0 &&
           gcmmap_protect(data + 4 * page, 1, GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC) == 0,
       "instructions");
    expect(data, "wwwxXw", "may be fetched");
    ok(gcmmap_protect(data + N_PAGES * page - 10, 1, 0) == 0 &&
           gcmmap_protect(data, 1, GCMMAP_READ) == 0,
       "the first byte and the last");
    expect(data, "rwwxX-", "have pages of their own");
    ok(gcmmap_protect(data, N_PAGES * page - 9, GCMMAP_WRITE) == 0, "all");
    expect(data, "wwwwww", "is as before");
    for (unsigned bit = 8; bit != 0; bit <<= 1) {
        errno = 0;
        if (gcmmap_protect(data, 1, GCMMAP_READ | bit) != -1 || errno != EINVAL)
            ok(false, "bit %#x is refused", bit);
    }
    expect(data, "wwwwww", "wrong access changes nothing");
    ok(gcmmap_protect(data, 3 * page, 0) == 0 && gcmmap_close(region) == 0, "it can be closed");
    errno = 0;
    gives_errno(gcmmap_protect(data, 1, GCMMAP_WRITE), EBADF, "and not opened again");
    ok(permissions(data, 1)[0] == '-' && permissions(data + 5 * page, 1)[0] == '-',
       "all of it is gone");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* The access to old pages is not that to new ones. */
static void test_reuse(void)
{
    unsigned n_wrong = 0;

    for (int i = 0; i < 50; i++) {
        gcmmap_region *region = gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        for (size_t at = 0; at < N_PAGES; at++)
            n_wrong += fault_of_access(data + at * page, true) != 0;
        need(gcmmap_protect(data + page, 2 * page, i % 2 ? 0 : GCMMAP_READ) == 0, "protect");
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
    ok(n_wrong == 0, "a region that is mapped where one was protected is not protected");
}

static void test_files(void)
{
    char path[32];
    int read_only;
    gcmmap_region *region;
    unsigned char *data;

    make_named_file(path, 7, 3 * page);
    read_only = open(path, O_RDONLY);
    unlink(path);
    region = gcmmap_map(read_only, 0, 3 * page, GCMMAP_READ);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    errno = 0;
    gives_errno(gcmmap_protect(data + page, 1, GCMMAP_WRITE), EACCES,
                "writing to a shared file that was opened for reading");
    ok(strcmp(permissions(data, 3), "rrr") == 0, "nothing has changed");
    need(gcmmap_unmap_now(region) == 0, "unmap");

    region = gcmmap_map(read_only, 0, 3 * page, GCMMAP_READ | GCMMAP_PRIVATE);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    ok(gcmmap_protect(data + page, 1, GCMMAP_WRITE) == 0 &&
           strcmp(permissions(data, 3), "rwr") == 0,
       "writing to a private one is allowed");
    memset(data + page, 0x77, page);
    ok(has_bytes(data, page, 7, 0) && data[page] == 0x77, "and possible");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = gcmmap_map(read_only, 0, 3 * page, GCMMAP_READ);
    ok(has_bytes(gcmmap_data(region), 3 * page, 7, 0), "the file does not learn of it");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(read_only);

    region = gcmmap_map(fd, 10, 2 * page, GCMMAP_READ);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    ok(gcmmap_protect(data, 1, GCMMAP_WRITE) == 0, "a shared file that was open for writing");
    data[0] ^= 1;
    ok(pread(fd, &path[0], 1, 10) == 1 && (unsigned char)path[0] == data[0], "is written");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- traced regions ---------------------------------------------------------------- */

#define N_REGIONS 40u
#define ACCIDENTS 3u

static void **regions[N_REGIONS]; /* in sight of the collector */
static void **expected;           /* complements of the objects; zeroed when one goes */
static unsigned n_kept_by_nothing;

static size_t pages_of(unsigned i)
{
    return i % 4 == 0 ? 2 : i % 4 == 3 ? 3 * MiB / page : 20;
}

/* In the middle of each page a pointer to an object that nothing else points to. */
static void fill(void *arg)
{
    size_t n = 0;

    (void)arg;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_alloc(pages_of(i) * page, i % 5 == 4 ? GCMMAP_BY_HANDLE : 0);

        regions[i] = gcmmap_data(region);
        need(regions[i] != NULL, "region");
        if (i % 5 == 4)
            regions[i] = NULL;
        for (size_t at = 0; regions[i] != NULL && at < pages_of(i); at++, n++) {
            uintptr_t *object = GC_MALLOC_ATOMIC(64);

            need(object != NULL, "GC_MALLOC_ATOMIC");
            for (int j = 0; j < 8; j++)
                object[j] = n * 8 + (unsigned)j;
            regions[i][(at * page + page / 2) / sizeof(void *)] = object;
            expected[n] = (void *)hide(object);
            GC_general_register_disappearing_link(&expected[n], object);
        }
    }
    for (int j = 0; j < 100; j++, n++) { /* witnesses that collections collect */
        void *object = GC_MALLOC_ATOMIC(64);

        expected[n] = (void *)hide(object);
        GC_general_register_disappearing_link(&expected[n], object);
    }
}

static size_t count_lost(void)
{
    size_t n = 0, n_lost = 0;

    for (unsigned i = 0; i < N_REGIONS; i++)
        for (size_t at = 0; regions[i] != NULL && at < pages_of(i); at++, n++) {
            uintptr_t *object = regions[i][(at * page + page / 2) / sizeof(void *)];
            bool right = expected[n] == (void *)hide(object);

            for (int j = 0; right && j < 8; j++)
                right = object[j] == n * 8 + (unsigned)j;
            n_lost += !right;
        }
    n_kept_by_nothing = 0;
    for (int j = 0; j < 100; j++)
        n_kept_by_nothing += expected[n + (size_t)j] != NULL;
    return n_lost;
}

static bool protect_all(unsigned access)
{
    bool right = true;

    for (unsigned i = 0; i < N_REGIONS; i++)
        if (regions[i] != NULL)
            right &= gcmmap_protect(regions[i], pages_of(i) * page, i % 3 == 1 ? access : 0) == 0;
    return right;
}

static void test_traced(void)
{
    expected = calloc(N_REGIONS * (3 * MiB / page + 1) + 100, sizeof *expected);
    need(expected != NULL, "calloc");
    apart(fill, NULL);
    ok(protect_all(GCMMAP_READ), "traced regions are protected");
    collect_with_noise();
    GC_gcollect();
    need(fault_of_access(regions[0], false) == SIGSEGV, "protection");
    need(protect_all(GCMMAP_WRITE) && gcmmap_protect(regions[0], page, GCMMAP_WRITE) == 0,
         "protect");
    for (unsigned i = 0; i < N_REGIONS; i++)
        if (regions[i] != NULL)
            need(gcmmap_protect(regions[i], pages_of(i) * page, GCMMAP_WRITE) == 0, "protect");
    ok(count_lost() == 0, "what is in pages that nobody may read stays alive (%zu lost)",
       count_lost());
    ok(n_kept_by_nothing <= 10, "other things do not (%u did)", n_kept_by_nothing);
    collect_with_noise();
    ok(count_lost() == 0, "also once they may be read again");
    need(protect_all(0), "protect");
    clear_roots(regions, sizeof regions);
    collect_thoroughly();
    ok(stats_now().n_live <= ACCIDENTS, "protected regions die as all others (%zu live)",
       stats_now().n_live);
}

static void fill_and_drop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 30; i++) {
        void **data = gcmmap_data(gcmmap_alloc(20 * page, 0));

        need(data != NULL, "region");
        for (size_t at = 0; at < 20; at++)
            data[at * page / sizeof(void *)] = GC_MALLOC(16);
        need(gcmmap_protect(data, 20 * page, 0) == 0, "protect");
    }
}

/* What only protected pages of dead regions point to is garbage; closing takes them all. */
static void test_dead(void)
{
    size_t n_lines = count_map_lines();

    apart(fill_and_drop, NULL);
    collect_thoroughly();
    ok(stats_now().n_live <= ACCIDENTS && count_map_lines() < n_lines + 20,
       "and leave nothing behind (%zu map lines, %zu before)", count_map_lines(), n_lines);
}

/* ---- incremental collection by write protection ------------------------------------ */

static int protect_in_that_mode(void)
{
    void **traced = gcmmap_data(gcmmap_alloc(10 * page, 0));
    unsigned char *other = gcmmap_data(gcmmap_alloc(10 * page, GCMMAP_POINTER_FREE));
    gcmmap_region *region;

    if (!collector_write_protects())
        return 0;
    errno = 0;
    if (gcmmap_protect(traced, 1, 0) != -1 || errno != ENOTSUP)
        return 1;
    errno = 0;
    if (gcmmap_protect(traced, 1, GCMMAP_WRITE) != -1 || errno != ENOTSUP)
        return 2;
    traced[0] = other;
    if (gcmmap_protect(other + page, 1, 0) != 0)
        return 3;
    for (int i = 0; i < 3; i++)
        collect_with_noise();
    if (strcmp(permissions(other, 3), "w-w") != 0 ||
        fault_of_access(other + page, false) != SIGSEGV)
        return 4;
    if (traced[0] != other)
        return 5;
    region =
        gcmmap_alloc(10 * page, GCMMAP_BY_HANDLE); /* pages that the collector does not protect */
    other = gcmmap_data(region);
    if (gcmmap_protect(other, 1, 0) != 0 || fault_of_access(other, false) != SIGSEGV)
        return 6;
    GC_reachable_here(region);
    return 0;
}

static int run_incremental(void *arg)
{
    setenv("GC_ENABLE_INCREMENTAL", "1", 1);
    setenv("GC_USE_GETWRITEWATCH", "0", 1);
    execl("/proc/self/exe", arg, "incremental", (char *)NULL);
    return 99;
}

int main(int argc, char **argv)
{
    int status;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (argc > 1)
        return protect_in_that_mode();
    fd = make_file(1, 8 * page);
    test_ranges(0);
    test_ranges(GCMMAP_BY_HANDLE);
    test_reuse();
    test_files();
    if (collector_write_protects()) {
        ok(true, "traced regions # SKIP the collector protects them itself");
    } else {
        test_traced();
        test_dead();
    }
    status = run_in_child(run_incremental, argv[0]);
    ok(status == 0, "where the collector protects traced regions, nobody else does (%d)", status);
    return done_testing();
}
