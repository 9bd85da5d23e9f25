/*
 * Peers in C: mmap + munmap by hand; gcmmap; and what one does with bdwgc alone, an object
 * with a finalizer that unmaps, which each slice carries along.
 *
 * Usage: cycle mmap|gcmmap|finalizer BYTES CYCLES FILE; see compare.c for the protocol.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../bench.h"

static volatile unsigned char touched;
static size_t n_held;

static void mmap_cycles(int fd, size_t n_bytes, unsigned long n)
{
    while (n-- > 0) {
        unsigned char *data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);

        need(data != MAP_FAILED, "mmap");
        touched = data[n_bytes / 2];
        munmap(data, n_bytes);
    }
}

static size_t nothing_left(void)
{
    return 0;
}

static void gcmmap_cycles(int fd, size_t n_bytes, unsigned long n)
{
    while (n-- > 0) {
        gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

        need(region != NULL, "gcmmap_map");
        touched = gcmmap_slice_sub(gcmmap_bytes(region), n_bytes / 2, n_bytes / 2 + 1).data[0];
    }
}

struct holder {
    unsigned char *data;
    size_t n_bytes;
};

struct carrying_slice {
    struct holder *holder;
    unsigned char *data;
    size_t n_bytes;
};

static void GC_CALLBACK unmap_held(void *object, void *unused)
{
    struct holder *holder = object;

    (void)unused;
    munmap(holder->data, holder->n_bytes);
    n_held--;
}

static void finalizer_cycles(int fd, size_t n_bytes, unsigned long n)
{
    while (n-- > 0) {
        struct holder *holder = GC_MALLOC(sizeof *holder);
        struct carrying_slice *slice = GC_MALLOC(sizeof *slice);

        need(holder != NULL && slice != NULL, "GC_MALLOC");
        holder->data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
        need(holder->data != MAP_FAILED, "mmap");
        holder->n_bytes = n_bytes;
        GC_REGISTER_FINALIZER(holder, unmap_held, NULL, NULL, NULL);
        n_held++;
        *slice = (struct carrying_slice){ holder, holder->data + n_bytes / 2, 1 };
        touched = *slice->data;
    }
}

/* bdwgc may hold one by accident: what was left before is not tried again. */
static size_t finalize_all(void)
{
    static size_t n_left;

    for (int i = 0; i < 4 && n_held > n_left; i++) {
        scrub();
        GC_gcollect();
        (void)GC_invoke_finalizers();
    }
    n_left = n_held;
    return n_left;
}

static const struct way {
    const char *name;
    void (*cycles)(int fd, size_t n_bytes, unsigned long n);
    size_t (*release)(void);
} ways[] = {
    { "mmap", mmap_cycles, nothing_left },
    { "gcmmap", gcmmap_cycles, release_all },
    { "finalizer", finalizer_cycles, finalize_all },
};

int main(int argc, char **argv)
{
    const struct way *way = NULL;
    unsigned long n_cycles;
    size_t n_bytes;
    int fd;

    for (size_t i = 0; argc == 5 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            way = &ways[i];
    if (way == NULL) {
        fprintf(stderr, "Usage: %s mmap|gcmmap|finalizer BYTES CYCLES FILE\n", argv[0]);
        return 1;
    }
    n_bytes = strtoull(argv[2], NULL, 0);
    n_cycles = strtoul(argv[3], NULL, 0);
    fd = open(argv[4], O_RDONLY);
    need(fd >= 0, argv[4]);
    GC_INIT();
    while (getchar() == '\n') {
        double start = now_ns(), looped;
        size_t n_left;

        way->cycles(fd, n_bytes, n_cycles);
        looped = now_ns();
        n_left = way->release();
        printf("%.0f %.0f %zu\n", now_ns() - start, looped - start, n_left);
        fflush(stdout);
    }
    return 0;
}
