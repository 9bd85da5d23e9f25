/*
 * GCMMAP_PARTIAL: of a large region only the parts stay in memory that pointers lead into,
 * and what was dropped comes back from the file; all of it goes with the last pointer (where there
 * are so many addresses that no number is one of 192 MiB by accident).
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define PART (16 * MiB)
#define N_PARTS 12u
#define SIZE (N_PARTS * PART)

static int fd;
static unsigned char **kept; /* two, on a stack: there they count in any host */

/* Bytes of [data, data + n) that are in this process's page tables. */
static __attribute__((noinline)) size_t resident(uintptr_t hidden, size_t n)
{
    uint64_t entries[512];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n_pages = 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY);

    need(pagemap >= 0, "/proc/self/pagemap");
    for (size_t done = 0; done < n / page; done += 512) {
        need(pread(pagemap, entries, sizeof entries, (off_t)((~hidden / page + done) * 8)) > 0,
             "pagemap");
        for (unsigned i = 0; i < 512; i++)
            n_pages += (size_t)(entries[i] >> 63);
    }
    close(pagemap);
    return n_pages * page;
}

/* Each page begins with the number of its part, from 1. */
static int make_large_file(void)
{
    int file = make_file(0, 0);
    unsigned char *data;

    need(ftruncate(file, SIZE) == 0, "ftruncate");
    data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    need(data != MAP_FAILED, "mmap");
    for (size_t i = 0; i < SIZE; i += 4096)
        data[i] = (unsigned char)(i / PART + 1);
    munmap(data, SIZE);
    return file;
}

struct mapping {
    const char *what;
    unsigned flags;
    bool of_file, keep_handle, parts_go;
    uintptr_t data; /* hidden */
};

/* Not on the stack, where the holes between them could hold old pointers. */
static struct mapping mappings[] = {
    { "file", GCMMAP_READ | GCMMAP_PARTIAL, true, false, true, 0 },
    { "file, handle kept", GCMMAP_READ | GCMMAP_PARTIAL, true, true, false, 0 },
    { "file, without the flag", GCMMAP_READ, true, false, false, 0 },
    { "anonymous", GCMMAP_WRITE | GCMMAP_POINTER_FREE | GCMMAP_PARTIAL, false, false, true, 0 },
    { "shared file", GCMMAP_WRITE | GCMMAP_PARTIAL, true, false, true, 0 },
};

/* Maps, touches everything, and keeps a pointer into the sixth and one into the last part. */
static void map(void *arg)
{
    struct mapping *mapping = arg;
    gcmmap_region *region = mapping->of_file ? gcmmap_map(fd, 0, SIZE, mapping->flags)
                                             : gcmmap_alloc(SIZE, mapping->flags);
    unsigned char *data = gcmmap_data(region);
    unsigned sum = 0;

    need(data != NULL, "map");
    for (size_t i = 0; i < SIZE; i += 4096) {
        if (mapping->flags & GCMMAP_WRITE)
            data[i] = (unsigned char)(i / PART + 1);
        sum += data[i];
    }
    mapping->data = hide(data);
    kept[0] = data + 5 * PART + PART / 2;
    kept[1] = mapping->keep_handle ? (unsigned char *)region : data + SIZE - 1;
    note("sum %u", sum);
}

static size_t n_resident;
static unsigned n_wrong;

static void look(void *arg)
{
    const struct mapping *mapping = arg;
    const unsigned char *data = reveal(mapping->data);

    n_resident = resident(hide(kept[0] - PART / 2), PART);
    n_wrong = 0;
    for (size_t i = 0; i < SIZE; i += 4096) {
        bool may_be_lost =
            mapping->parts_go && !mapping->of_file && i / PART != 5 && i / PART != 11;

        n_wrong += data[i] != i / PART + 1 && !(may_be_lost && data[i] == 0);
    }
}

static void test(struct mapping *mapping)
{
    const char *what = mapping->what;
    size_t before, after;

    apart(map, mapping);
    before = resident(mapping->data, SIZE);
    collect_thoroughly();
    after = resident(mapping->data, SIZE);
    ok(before == SIZE, "%s: all of it is in memory", what);
    if (mapping->parts_go && GC_size(gcmmap_of(kept[0])) > SIZE / 2)
        ok(true, "%s # SKIP too few addresses: it lies on a single block", what);
    else if (mapping->parts_go)
        ok(after >= 2 * PART - 4096 && after <= 5 * PART, "%s: %zu MiB of %zu stay", what,
           after / MiB, SIZE / MiB);
    else
        ok(after == SIZE, "%s: all of it stays", what);
    apart(look, mapping);
    ok(n_resident == PART, "%s: the part pointed into is whole", what);
    ok(n_wrong == 0, "%s: and what comes back is right", what);
    kept[0] = kept[1] = NULL;
    collect_thoroughly();
    if (mapping->of_file && HAS_MANY_ADDRESSES)
        ok(bytes_mapped_from(fd) <= SIZE + PART,
           "%s: without pointers it goes (one may be held by accident)", what);
}

static void unmap_while_waiting(void *arg)
{
    for (unsigned i = 0; i < 4; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_PARTIAL);
        uintptr_t hidden = hide(region);
        unsigned char *data = gcmmap_data(region);

        kept[0] = data + 7 * PART;
        data = NULL;
        region = NULL;
        scrub();
        GC_set_finalize_on_demand(1); /* nothing is drained */
        GC_gcollect();
        GC_set_finalize_on_demand(host_is_on_demand());
        need((i % 2 ? gcmmap_close : gcmmap_unmap_now)(reveal(hidden)) == 0, "close");
        kept[0] = NULL;
        (void)gcmmap_collect();
    }
    (void)arg;
}

int main(void)
{
    unsigned char *pointers[2] = { NULL, NULL };

    GC_INIT();
    kept = pointers;
    fd = make_large_file();
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++)
        test(&mappings[i]);
    apart(unmap_while_waiting, NULL);
    collect_thoroughly();
    ok(!HAS_MANY_ADDRESSES || bytes_mapped_from(fd) <= SIZE + PART,
       "closed while parts wait to be dropped");
    errno = 0;
    ok(gcmmap_alloc(SIZE, GCMMAP_PARTIAL) == NULL && errno == EINVAL, "not for traced memory");
    errno = 0;
    ok(gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_PARTIAL | GCMMAP_BY_HANDLE) == NULL &&
           errno == EINVAL,
       "nor by handle");
    return done_testing();
}
