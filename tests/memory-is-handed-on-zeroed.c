/*
 * What was stored in a region is seen by nobody who gets its addresses or its memory next: not
 * by another region, not by the same one after it has shrunk and grown, not by objects of the
 * collector's heap.  And what lies in the heap is never stored into a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"

#define SECRET UINT64_C(0x5ec7e75ec7e75ec7)
#define MOST 600u

static size_t page;
static int fd;

static struct {
    uintptr_t from, to; /* complemented: nothing here keeps a region */
} old[MOST];
static unsigned n_old;

static bool was_old(uintptr_t address)
{
    for (unsigned i = 0; i < n_old; i++)
        if (address >= ~old[i].from && address < ~old[i].to)
            return true;
    return false;
}

static void write_secrets(gcmmap_region *region)
{
    uint64_t *words = gcmmap_data(region);
    size_t n = gcmmap_size(region) / sizeof *words;

    for (size_t i = 0; i < n; i++)
        words[i] = SECRET;
    if (n_old < MOST) {
        old[n_old].from = ~(uintptr_t)words;
        old[n_old++].to = ~(uintptr_t)(words + n);
    }
}

static unsigned kinds[] = { 0, GCMMAP_POINTER_FREE, GCMMAP_GUARDED, GCMMAP_BY_HANDLE,
                            GCMMAP_POINTER_FREE | GCMMAP_HUGE };

/* Memory, and private copies of a file's pages. */
static gcmmap_region *new_region(unsigned i, size_t size)
{
    gcmmap_region *region =
        i % 6 == 5 ? gcmmap_map(fd, 0, size, GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE)
                   : gcmmap_alloc(size, kinds[i % 6]);

    need(region != NULL, "region");
    return region;
}

static size_t size_of(unsigned i)
{
    return (i % 3 == 0 ? 4096 : i % 3 == 1 ? 5 * 4096 : 100000) - 8 * (i % 2);
}

static void fill_and_end(void *arg)
{
    unsigned n = *(unsigned *)arg;

    for (unsigned i = 0; i < n; i++) {
        gcmmap_region *region = new_region(i, size_of(i));

        write_secrets(region);
        if (i % 4 == 0)
            unmap(region);
        else if (i % 4 == 1)
            need(gcmmap_close(region) == 0, "close"); /* and dropped */
    }
}

/* All that can be read of the region's pages. */
static bool holds_secrets(const gcmmap_region *region)
{
    uintptr_t from = (uintptr_t)gcmmap_data(region);
    uintptr_t to = (from + gcmmap_size(region) + page - 1) & ~(uintptr_t)(page - 1);

    for (from &= ~(uintptr_t)(page - 1); from < to; from += sizeof(uint64_t))
        if (*(volatile uint64_t *)from == SECRET)
            return true;
    return false;
}

static void test_regions(void)
{
    unsigned n = MOST / 2, n_again = 0, n_secrets = 0;

    apart(fill_and_end, &n);
    collect_thoroughly();
    for (unsigned i = 0; i < MOST; i++) {
        gcmmap_region *region = new_region(i, size_of(i));

        n_again += was_old((uintptr_t)gcmmap_data(region));
        n_secrets += holds_secrets(region);
        unmap(region);
    }
    ok(n_again > 50, "addresses are used again: %u times", n_again);
    ok(n_secrets == 0, "by none who sees what was there");
}

static void test_heap(void)
{
    unsigned n = MOST / 2, n_again = 0, n_secrets = 0;
    size_t n_bytes;

    n_old = 0;
    apart(fill_and_end, &n);
    collect_thoroughly();
    n_bytes = gcmmap_trim();
    for (unsigned i = 0; i < 200000; i++) { /* the collector does not clear these */
        size_t size = i % 50 == 0 ? 8192 : 64;
        volatile uint64_t *object = GC_MALLOC_ATOMIC(size);

        need(object != NULL, "GC_MALLOC_ATOMIC");
        n_again += was_old((uintptr_t)object);
        for (size_t j = 0; j < size / sizeof *object; j++)
            n_secrets += object[j] == SECRET;
    }
    ok(n_again > 50, "given back to the heap (%zu bytes), they hold objects: %u", n_bytes, n_again);
    ok(n_secrets == 0, "in which nothing of it is seen");
}

static void test_growing(void)
{
    gcmmap_options options = { .room = 40 * page };
    unsigned n_secrets = 0;

    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        gcmmap_region *region = gcmmap_alloc_with(40 * page, kinds[i], &options);

        need(region != NULL, "room");
        write_secrets(region);
        need(gcmmap_truncate(region, page) == 0, "truncate");
        memset(gcmmap_data(region), 0, page);
        need(gcmmap_extend(region, 40 * page) == 0, "extend");
        n_secrets += holds_secrets(region);
        unmap(region);
    }
    ok(n_secrets == 0, "pages that a region has given up and taken again are zeros");
}

/* ---- files ------------------------------------------------------------------------------- */

#define N_FILES 60u
#define FILE_SIZE ((size_t)40000)

static int files[N_FILES];

static void map_files(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N_FILES; i++) {
        gcmmap_region *region = gcmmap_map(files[i], (off_t)i, FILE_SIZE - i,
                                           GCMMAP_WRITE | (i % 7 == 0 ? GCMMAP_BY_HANDLE : 0));

        need(region != NULL, "map");
        memcpy((char *)gcmmap_data(region) + 20000, "stored", 6);
        if (i % 4 == 0)
            unmap(region);
        else if (i % 4 == 1)
            need(gcmmap_close(region) == 0, "close");
    }
}

static void test_files(void)
{
    unsigned char *bytes = malloc(FILE_SIZE);
    unsigned n_wrong = 0;

    for (unsigned i = 0; i < N_FILES; i++)
        files[i] = make_file(i, FILE_SIZE);
    apart(map_files, NULL);
    for (unsigned round = 0; round < 4; round++) {
        collect_with_noise();
        (void)gcmmap_trim();
        for (unsigned i = 0; i < 3000; i++)
            memset(GC_MALLOC_ATOMIC(i % 2 == 0 ? 4000 : 48000), 0x55, 4000);
        collect_thoroughly();
    }
    for (unsigned i = 0; i < N_FILES; i++) {
        need(pread(files[i], bytes, FILE_SIZE, 0) == (ssize_t)FILE_SIZE, "read");
        for (size_t j = 0; j < FILE_SIZE; j++) {
            bool stored = j >= 20000 + i && j < 20006 + i;

            n_wrong +=
                bytes[j] != (stored ? (unsigned char)"stored"[j - 20000 - i] : byte_at(i, j));
        }
        close(files[i]);
    }
    free(bytes);
    ok(n_wrong == 0, "files hold what was stored into them, and nothing of the heap");
}

int main(void)
{
    GC_INIT();
    if (collector_write_protects())
        kinds[2] = 0; /* no guards */
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, 200000);
    test_regions();
    test_heap();
    test_growing();
    test_files();
    return done_testing();
}
