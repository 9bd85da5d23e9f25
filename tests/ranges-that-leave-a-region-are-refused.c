/*
 * Operations on some bytes of a region refuse whole what is not all in one open region, and
 * do nothing where there are no bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

static size_t page;

static int sync_bytes(const void *p, size_t size)
{
    return gcmmap_sync(p, size, GCMMAP_SYNC);
}

static int residency(const void *p, size_t size)
{
    size_t n_resident;

    return gcmmap_residency(p, size, NULL, 0, &n_resident);
}

static int protect(const void *p, size_t size)
{
    return gcmmap_protect(p, size, GCMMAP_READ);
}

static int advise(const void *p, size_t size)
{
    return gcmmap_advise(p, size, GCMMAP_ADVISE_RANDOM);
}

static const struct {
    const char *name;
    int (*call)(const void *p, size_t size);
} operations[] = {
    { "gcmmap_sync", sync_bytes },      { "gcmmap_lock", gcmmap_lock },
    { "gcmmap_unlock", gcmmap_unlock }, { "gcmmap_residency", residency },
    { "gcmmap_advise", advise },        { "gcmmap_prefetch", gcmmap_prefetch },
    { "gcmmap_unload", gcmmap_unload }, { "gcmmap_protect", protect },
};

#define N_OPERATIONS (sizeof operations / sizeof *operations)

static bool refuses(size_t i, const void *p, size_t size, int wanted)
{
    errno = 0;
    if (operations[i].call(p, size) == -1 && errno == wanted)
        return true;
    note("%s(%p, %zu): errno %d (%s) instead of %s", operations[i].name, p, size, errno,
         strerror(errno), strerror(wanted));
    return false;
}

static bool accepts(size_t i, const void *p, size_t size)
{
    errno = 4711;
    if (operations[i].call(p, size) == 0 && errno == 4711)
        return true;
    /* What is write-protected is the collector's to protect. */
    if (operations[i].call == protect && errno == ENOTSUP && collector_write_protects())
        return true;
    note("%s(%p, %zu): %s", operations[i].name, p, size, strerror(errno));
    return false;
}

/* The permissions and the size of what is mapped there, all of /proc/self/smaps. */
static void add_line(const char *line, void *arg)
{
    uint64_t *sum = arg;

    if (strncmp(line, "VmFlags:", 8) == 0 || strncmp(line, "Size:", 5) == 0 ||
        strncmp(line, "Locked:", 7) == 0)
        for (; *line != 0; line++)
            *sum = *sum * 31 + (unsigned char)*line;
}

static uint64_t digest(const void *address)
{
    uint64_t sum = 0;

    need(smaps_of(address, add_line, &sum), "mapping");
    return sum;
}

static void test_ranges(gcmmap_region *region, size_t n, const char *what)
{
    unsigned char *data = gcmmap_data(region);
    uint64_t before = digest(data);
    unsigned n_wrong = 0;

    for (size_t i = 0; i < N_OPERATIONS; i++) {
        n_wrong += !refuses(i, data, n + 1, ERANGE);
        n_wrong += !refuses(i, data + n, 1, ERANGE);
        n_wrong += !refuses(i, data + n / 2, n, ERANGE);
        n_wrong += !refuses(i, data + 1, SIZE_MAX, ERANGE);
        n_wrong += !refuses(i, data + 1, (size_t)0 - (uintptr_t)data, ERANGE);
        n_wrong += !refuses(i, data + 1, SIZE_MAX - page, ERANGE);
    }
    ok(n_wrong == 0 && digest(data) == before, "%s: ranges that leave it change nothing", what);
    n_wrong = 0;
    for (size_t i = 0; i < N_OPERATIONS; i++) {
        n_wrong += !accepts(i, data, 0);
        n_wrong += !accepts(i, data + n / 2, 0);
        n_wrong += !accepts(i, data + n, 0);
    }
    ok(n_wrong == 0 && digest(data) == before, "%s: no bytes are fine, and change nothing", what);
    n_wrong = 0;
    for (size_t i = 0; i < N_OPERATIONS; i++)
        n_wrong += !accepts(i, data, n) || !accepts(i, data + n - 1, 1) ||
                   !accepts(i, data + n / 3, n / 2);
    ok(n_wrong == 0, "%s: all of it, its last byte, its middle", what);
    need(gcmmap_close(region) == 0, "close");
    n_wrong = 0;
    for (size_t i = 0; i < N_OPERATIONS; i++)
        n_wrong += !refuses(i, data, 0, EBADF) || !refuses(i, data, 1, EBADF) ||
                   !refuses(i, data, n + 1, EBADF);
    ok(n_wrong == 0, "%s: nothing can be done once it is closed", what);
    need(gcmmap_unmap_now(region) == 0, "unmap");
    n_wrong = 0;
    for (size_t i = 0; i < N_OPERATIONS; i++)
        n_wrong += !refuses(i, data, 0, EINVAL) || !refuses(i, data, 1, EINVAL);
    ok(n_wrong == 0, "%s: nor once it is gone", what);
}

static void test_empty(void)
{
    gcmmap_region *region = gcmmap_alloc(0, 0);
    unsigned n_wrong = 0;

    for (size_t i = 0; i < N_OPERATIONS; i++)
        n_wrong +=
            !accepts(i, gcmmap_data(region), 0) || !refuses(i, gcmmap_data(region), 1, ERANGE);
    ok(n_wrong == 0, "an empty region has no bytes");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_foreign(int fd)
{
    static int variable;
    gcmmap_region *region = gcmmap_map(fd, 100, 50, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);
    void *foreign[] = { NULL,
                        &variable,
                        &fd,
                        GC_MALLOC(100),
                        data - 1,
                        (void *)~(uintptr_t)0,
                        mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
    unsigned n_wrong = 0;

    for (size_t i = 0; i < N_OPERATIONS; i++)
        for (size_t j = 0; j < sizeof foreign / sizeof *foreign; j++)
            n_wrong += !refuses(i, foreign[j], 0, EINVAL) || !refuses(i, foreign[j], 1, EINVAL);
    ok(n_wrong == 0, "others' memory is left alone");
    /* The handle is a pointer of ours, but not to a byte that was asked for. */
    for (size_t i = 0; i < N_OPERATIONS; i++)
        n_wrong += !refuses(i, region, 1, ERANGE);
    ok(n_wrong == 0, "so are bytes in front of the region");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

int main(void)
{
    int fd;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, 10 * page);
    test_ranges(gcmmap_map(fd, 5, 3 * page, GCMMAP_READ), 3 * page, "readable file");
    test_ranges(gcmmap_map(fd, 5, 3 * page, GCMMAP_WRITE), 3 * page, "writable file");
    test_ranges(gcmmap_map(fd, 0, 3 * page, GCMMAP_WRITE | GCMMAP_PRIVATE), 3 * page,
                "private file");
    test_ranges(gcmmap_alloc(3 * page, 0), 3 * page, "memory");
    test_ranges(gcmmap_alloc(40 * MiB, GCMMAP_POINTER_FREE), 40 * MiB, "much memory");
    test_ranges(gcmmap_alloc(3 * page, GCMMAP_BY_HANDLE), 3 * page, "memory by handle");
    test_ranges(gcmmap_map(fd, 7, 3 * page, GCMMAP_READ | GCMMAP_BY_HANDLE), 3 * page,
                "file by handle");
    test_empty();
    test_foreign(fd);
    return done_testing();
}
