/*
 * GCMMAP_PARTIAL: of a large region only the parts stay in memory that pointers lead into,
 * and what was dropped comes back from the file; all of it goes with the last pointer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define PART (16 * MiB)
#define N_PARTS 12u
#define SIZE (N_PARTS * PART)

static int fd;
static unsigned char *kept[2];

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
            n_pages += entries[i] >> 63;
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
    int fd;
    unsigned flags;
    bool keep_handle;
    uintptr_t data; /* hidden */
};

/* Maps, touches everything, and keeps a pointer into the sixth and one into the last part. */
static void map(void *arg)
{
    struct mapping *mapping = arg;
    gcmmap_region *region = mapping->fd >= 0 ? gcmmap_map(mapping->fd, 0, SIZE, mapping->flags)
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

/* In frames of its own: looking at a page must not hold it. */
struct look {
    const struct mapping *mapping;
    bool parts_go;
    size_t resident_part;
    unsigned n_wrong;
};

static void look(void *arg)
{
    struct look *look = arg;
    const unsigned char *data = reveal(look->mapping->data);

    look->resident_part = resident(hide(kept[0] - PART / 2), PART);
    for (size_t i = 0; i < SIZE; i += 4096) {
        unsigned wanted = (unsigned)(i / PART + 1);

        if (look->parts_go && look->mapping->fd < 0 && data[i] == 0 && i / PART != 5 &&
            i / PART != 11)
            wanted = 0;
        look->n_wrong += data[i] != wanted;
    }
}

static void test(struct mapping mapping, const char *what, bool parts_go)
{
    static struct look looked; /* not on the stack, where its padding could hold old pointers */
    size_t before, after;

    looked = (struct look){ &mapping, parts_go, 0, 0 };
    apart(map, &mapping);
    before = resident(mapping.data, SIZE);
    collect_thoroughly();
    after = resident(mapping.data, SIZE);
    ok(before == SIZE, "%s: all of it is in memory", what);
    if (parts_go)
        ok(after >= 2 * PART - 4096 && after <= 5 * PART, "%s: %zu MiB of %zu stay", what,
           after / MiB, SIZE / MiB);
    else
        ok(after == SIZE, "%s: all of it stays", what);
    apart(look, &looked);
    ok(looked.resident_part == PART, "%s: the part pointed into is whole", what);
    ok(looked.n_wrong == 0, "%s: and what comes back is right", what);
    kept[0] = kept[1] = NULL;
    collect_thoroughly();
    if (mapping.fd >= 0)
        ok(bytes_mapped_from(mapping.fd) <= SIZE, "%s: without pointers it goes", what);
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
        GC_set_finalize_on_demand(0);
        need((i % 2 ? gcmmap_close : gcmmap_unmap_now)(reveal(hidden)) == 0, "close");
        kept[0] = NULL;
        (void)gcmmap_collect();
    }
    (void)arg;
}

int main(void)
{
    GC_INIT();
    fd = make_large_file();
    test((struct mapping){ fd, GCMMAP_READ | GCMMAP_PARTIAL, false, 0 }, "file", true);
    test((struct mapping){ fd, GCMMAP_READ | GCMMAP_PARTIAL, true, 0 }, "file, handle kept", false);
    test((struct mapping){ fd, GCMMAP_READ, false, 0 }, "file, without the flag", false);
    test((struct mapping){ -1, GCMMAP_WRITE | GCMMAP_POINTER_FREE | GCMMAP_PARTIAL, false, 0 },
         "anonymous", true);
    test((struct mapping){ fd, GCMMAP_WRITE | GCMMAP_PARTIAL, false, 0 }, "shared file", true);
    apart(unmap_while_waiting, NULL);
    collect_thoroughly();
    ok(bytes_mapped_from(fd) <= SIZE, "closed while parts wait to be dropped");
    errno = 0;
    ok(gcmmap_alloc(SIZE, GCMMAP_PARTIAL) == NULL && errno == EINVAL, "not for traced memory");
    errno = 0;
    ok(gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_PARTIAL | GCMMAP_BY_HANDLE) == NULL &&
           errno == EINVAL,
       "nor by handle");
    return done_testing();
}
