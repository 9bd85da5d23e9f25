/*
 * gcmmap_options.address: regions by handle lie exactly there and nowhere else; where something
 * lies already they are refused and it stays; others are refused in any case.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define SIZE ((size_t)20000)
#define SEED 4u

static int fd;
static size_t page;

static unsigned char *free_addresses(size_t n_bytes)
{
    unsigned char *at = mmap(NULL, n_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(at != MAP_FAILED && munmap(at, n_bytes) == 0, "free addresses");
    return at;
}

static gcmmap_region *map_at(void *address, unsigned flags)
{
    const gcmmap_options options = { .address = address };

    return gcmmap_map_with(fd, (off_t)page + 5, SIZE - page - 5, GCMMAP_READ | flags, &options);
}

static void refused_at(void *address, unsigned flags, int wanted, const char *what)
{
    size_t n_live = stats_now().n_live, n_file = bytes_mapped_from(fd);

    errno = 0;
    (void)gives_errno((intptr_t)map_at(address, flags), wanted, what);
    /* Fewer: one from before has died meanwhile. */
    ok(stats_now().n_live <= n_live && bytes_mapped_from(fd) <= n_file, "no trace of it");
}

#define N_DROPPED 16u

static void drop_some(void *arg)
{
    for (unsigned i = 0; i < N_DROPPED; i++)
        need(map_at((unsigned char *)arg + i * 8 * page, GCMMAP_BY_HANDLE) != NULL, "region");
}

static void test_dropped(unsigned char *at)
{
    unsigned n_gone = 0, n_again = 0;
    gcmmap_region *region;

    apart(drop_some, at);
    collect_thoroughly();
    for (unsigned i = 0; i < N_DROPPED; i++) {
        if (inode_at(at + i * 8 * page) != 0)
            continue;
        n_gone++;
        region = map_at(at + i * 8 * page, GCMMAP_BY_HANDLE);
        n_again += gcmmap_data(region) == at + i * 8 * page + 5;
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
    ok(n_gone >= N_DROPPED - 3 && n_again == n_gone,
       "%u of %u dropped ones are unmapped, and their addresses can be had again", n_gone,
       N_DROPPED);
}

int main(void)
{
    unsigned char *at;
    gcmmap_region *region;
    gcmmap_options options = { .room = 40 * SIZE };
    bool is_right = true;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(SEED, SIZE);
    at = free_addresses(64 * MiB);
    region = map_at(at + page, GCMMAP_BY_HANDLE);
    ok(gcmmap_data(region) == at + page + 5 &&
           has_bytes(at + page + 5, SIZE - page - 5, SEED, page + 5),
       "a region lies where it is asked to");
    ok(gcmmap_of(at + page + 100) == region, "and is found there");
    refused_at(at + page, GCMMAP_BY_HANDLE, EEXIST, "the same again");
    refused_at(at, GCMMAP_BY_HANDLE, EEXIST, "its last pages there already");
    ok(has_bytes(at + page + 5, SIZE - page - 5, SEED, page + 5), "what lies there is as it was");
    need(gcmmap_close(region) == 0, "close");
    refused_at(at + page, GCMMAP_BY_HANDLE, EEXIST, "closed: its addresses are still its own");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = map_at(at + page, GCMMAP_BY_HANDLE);
    ok(gcmmap_data(region) == at + page + 5, "unmapped: it can be had again");
    need(gcmmap_unmap_now(region) == 0, "unmap");

    test_dropped(at + 32 * MiB);
    refused_at(at, 0, ENOTSUP, "a plain region");
    refused_at(at + 1, GCMMAP_BY_HANDLE, EINVAL, "no page begins there");
    refused_at((void *)(UINTPTR_MAX - page + 1), GCMMAP_BY_HANDLE, ENOMEM, "beyond all addresses");
    errno = 0;
    options.address = at;
    options.alignment = 1;
    while (((uintptr_t)at & (options.alignment - 1)) == 0)
        options.alignment *= 2;
    (void)gives_errno((intptr_t)gcmmap_alloc_with(SIZE, GCMMAP_BY_HANDLE, &options), EINVAL,
                      "a contradicting alignment");
    options.alignment = 0;
    region = gcmmap_alloc_with(SIZE, GCMMAP_BY_HANDLE, &options);
    ok(gcmmap_data(region) == at, "memory with room");
    for (size_t i = SIZE; is_right && i < 40 * SIZE; i += page)
        is_right = fault_of_access(at + i + page, false) == SIGSEGV;
    ok(is_right, "the room is set aside");
    refused_at(at + 30 * page, GCMMAP_BY_HANDLE, EEXIST, "inside of the room");
    ok(gcmmap_extend(region, 40 * SIZE) == 0 && fault_of_access(at + 40 * SIZE - 1, true) == 0,
       "it grows there");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    return done_testing();
}
