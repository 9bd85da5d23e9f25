/*
 * A region with room grows where it lies: slices from before stay what they are, new
 * bytes are seen, by another process too, and what cannot be done changes nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "live.h"

#define SEED 11
#define ROOM (40 * MiB)
#define GiB ((size_t)1 << (HAS_MANY_ADDRESSES ? 30 : 28)) /* a quarter where addresses are few */

static size_t page;

/* ---- a second process ------------------------------------------------------------ */

struct piece {
    int fd;
    size_t from, to;
};

static int append(void *arg)
{
    const struct piece *piece = arg;
    unsigned char *bytes = malloc(piece->to - piece->from);

    for (size_t i = piece->from; i < piece->to; i++)
        bytes[i - piece->from] = byte_at(SEED, i);
    return pwrite(piece->fd, bytes, piece->to - piece->from, (off_t)piece->from) !=
           (ssize_t)(piece->to - piece->from);
}

static void append_in_child(int fd, size_t from, size_t to)
{
    struct piece piece = { fd, from, to };

    need(run_in_child(append, &piece) == 0, "child appends");
}

static int read_back(void *arg)
{
    const struct piece *piece = arg;
    unsigned char byte;

    for (size_t i = piece->from; i < piece->to; i += 997)
        if (pread(piece->fd, &byte, 1, (off_t)i) != 1 || byte != byte_at(SEED, i))
            return 1;
    return 0;
}

static size_t size_of(int fd)
{
    struct stat status;

    need(fstat(fd, &status) == 0, "fstat");
    return (size_t)status.st_size;
}

/* ---- following a file --------------------------------------------------------------- */

static void test_follow(unsigned flags, const char *what)
{
    static const size_t sizes[] = { 100, 5000, 4096 * 3, 4096 * 3 + 1, 17 * MiB + 5, 33 * MiB };
    const size_t offset = 3 * 4096 + 5;
    int fd = make_file(SEED, offset + 5);
    gcmmap_options options = { .room = ROOM };
    gcmmap_region *region = gcmmap_map_with(fd, (off_t)offset, GCMMAP_REST, flags, &options);
    unsigned char *data = gcmmap_data(region);
    size_t size = 5, n_wrong = 0, n_found = 0;

    need(data != NULL && gcmmap_size(region) == size, "region");
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == size, "%s: nothing changed", what);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t before = size;

        append_in_child(fd, size + offset, sizes[i] + offset);
        size = sizes[i];
        n_found += gcmmap_of(data + before + 1) != NULL;
        n_wrong += gcmmap_size(region) != before;
        n_wrong += gcmmap_refresh(region) != 0 || gcmmap_size(region) != size;
        n_wrong += gcmmap_data(region) != data || !has_bytes(data, 5, SEED, offset);
        n_wrong += !shows_bytes(data, size, SEED, offset);
        n_wrong += gcmmap_of(data + size) != region || gcmmap_of(data + before + 1) != region;
        n_wrong += gcmmap_of(data + size + 1) != NULL;
        n_wrong += stats_now().bytes_live < size;
    }
    ok(n_wrong == 0, "it follows what another process appends, and does not move");
    ok(n_found == 0, "new bytes are the region's only then");
    ok(fault_of_access(data + ROOM - 1, false) == SIGSEGV, "the rest of the room faults");
    append_in_child(fd, size + offset, ROOM + offset + 5000);
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == ROOM &&
           shows_bytes(data, ROOM, SEED, offset) && gcmmap_of(data + ROOM) == region,
       "up to its room");
    errno = 0;
    gives_errno(gcmmap_extend(region, ROOM + 1), ERANGE, "and no further");
    need(ftruncate(fd, (off_t)offset + 5001) == 0, "ftruncate");
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 5001 &&
           has_bytes(data, 5001, SEED, offset) &&
           fault_of_access(data + 2 * page, false) == SIGSEGV && size_of(fd) == offset + 5001,
       "it shrinks with the file");
    need(ftruncate(fd, 2) == 0, "ftruncate");
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 0 && gcmmap_data(region) == data &&
           gcmmap_of(data) == region && bytes_mapped_from(fd) == 0,
       "to nothing");
    append_in_child(fd, 2, 20000);
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 20000 - offset &&
           has_bytes(data, 20000 - offset, SEED, offset),
       "and grows again");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
}

/* ---- growing a file ------------------------------------------------------------------- */

static void test_write(unsigned flags)
{
    int fd = make_file(SEED, 10);
    gcmmap_options options = { .room = ROOM };
    gcmmap_region *region = gcmmap_map_with(fd, 0, 10, GCMMAP_WRITE | flags, &options);
    unsigned char *data = gcmmap_data(region);
    struct piece piece = { fd, 0, 20 * MiB };
    bool zero;

    need(data != NULL, "region");
    ok(gcmmap_extend(region, 20 * MiB) == 0 && gcmmap_size(region) == 20 * MiB &&
           gcmmap_data(region) == data && size_of(fd) == 20 * MiB,
       "extending a writable region grows its file");
    zero = data[10] == 0 && data[4096] == 0 && data[20 * MiB - 1] == 0;
    ok(zero && has_bytes(data, 10, SEED, 0), "by zeros");
    for (size_t i = 0; i < 20 * MiB; i++)
        data[i] = byte_at(SEED, i);
    ok(run_in_child(read_back, &piece) == 0, "what is stored there reaches the file");
    ok(gcmmap_extend(region, 5) == 0 && gcmmap_size(region) == 20 * MiB,
       "extending to less than there is does nothing");
    need(ftruncate(fd, 30 * MiB) == 0, "ftruncate");
    ok(gcmmap_extend(region, 25 * MiB) == 0 && size_of(fd) == 30 * MiB, "a longer file stays");
    ok(gcmmap_truncate(region, 12345) == 0 && gcmmap_size(region) == 12345 &&
           size_of(fd) == 30 * MiB,
       "and is not cut where it goes on behind the region");
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 30 * MiB &&
           gcmmap_truncate(region, 12345) == 0 && size_of(fd) == 12345,
       "one that does not is");
    ok(has_bytes(data, 12345, SEED, 0) && fault_of_access(data + 4 * page, false) == SIGSEGV &&
           fault_of_access(data + 20 * MiB - 1, true) == SIGSEGV,
       "pages behind the new end fault");
    ok(gcmmap_extend(region, 20000) == 0 && data[12345] == 0 && data[19999] == 0 &&
           size_of(fd) == 20000,
       "it grows again");
    need(gcmmap_close(region) == 0, "close");
    errno = 0;
    gives_errno(gcmmap_extend(region, 20001), EBADF, "not when it is closed");
    close(fd);
}

static void test_locked(unsigned flags, const char *what)
{
    int fd = make_file(SEED, 10);
    gcmmap_options options = { .room = 60000 };
    gcmmap_region *region = gcmmap_map_with(fd, 0, 10, GCMMAP_WRITE | flags, &options);
    unsigned char pages[20];
    size_t n_resident = 0;

    need(region != NULL, "region");
    ok(gcmmap_extend(region, 50000) == 0 && size_of(fd) == 50000 &&
           gcmmap_residency(gcmmap_data(region), 50000, pages, 20, &n_resident) == 0 &&
           n_resident == (50000 + page - 1) / page,
       "%s: new pages are in memory at once", what);
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
}

/* ---- anonymous memory --------------------------------------------------------------------- */

static void fill(void *arg)
{
    gcmmap_region *region = *(gcmmap_region **)arg;
    unsigned char *data = gcmmap_data(region);

    for (size_t at = 0; at + MiB < ROOM; at += MiB) {
        char *object = GC_MALLOC(100);

        need(gcmmap_extend(region, at + MiB) == 0 && object != NULL, "extend");
        memset(object, (int)(at / MiB), 100);
        *(char **)(void *)(data + at + MiB - sizeof object) = object;
    }
}

static void test_memory(unsigned flags)
{
    gcmmap_options options = { .room = ROOM };
    static gcmmap_region *region;
    unsigned char *data;
    size_t n_wrong = 0;
    gcmmap_stats before = stats_now(), after;

    region = gcmmap_alloc_with(0, flags, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    apart(fill, &region);
    after = stats_now();
    ok(after.bytes_live == before.bytes_live + ROOM - MiB &&
           after.bytes_traced == before.bytes_traced + ROOM - MiB &&
           after.n_live == before.n_live + 1,
       "memory grows and is counted");
    collect_with_noise();
    for (size_t at = 0; at + MiB < ROOM; at += MiB) {
        const char *object = *(char **)(void *)(data + at + MiB - sizeof object);

        n_wrong += object[0] != (char)(at / MiB) || object[99] != (char)(at / MiB);
        n_wrong += data[at + 77] != 0;
    }
    ok(n_wrong == 0, "what the new bytes point to stays");
    ok(gcmmap_truncate(region, MiB + 1) == 0 &&
           stats_now().bytes_live == before.bytes_live + MiB + page,
       "and shrinks, and is counted");
    collect_with_noise();
    ok(gcmmap_extend(region, ROOM) == 0 && data[2 * MiB - 1] == 0 && data[30 * MiB] == 0 &&
           **(char **)(void *)(data + MiB - sizeof(char *)) == 0,
       "pages that were revoked come back as zeros");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = NULL;
    after = stats_now();
    ok(after.bytes_live == before.bytes_live && after.bytes_traced == before.bytes_traced,
       "nothing is left of it in the counters");
}

static void test_large(unsigned flags)
{
    int fd = make_file(SEED, 3);
    gcmmap_options options = { .room = 4 * GiB };
    gcmmap_region *region = gcmmap_map_with(fd, 0, 3, GCMMAP_READ | flags, &options);
    unsigned char *data = gcmmap_data(region);

    if (data == NULL || ftruncate(fd, (off_t)(3 * GiB + 2)) != 0 ||
        pwrite(fd, "z", 1, (off_t)(3 * GiB + 1)) != 1) {
        ok(true, "3 GiB # SKIP no room for that here");
    } else {
        ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 3 * GiB + 2, "to 3 GiB");
        ok(has_bytes(data, 3, SEED, 0) && data[3 * GiB + 1] == 'z' && data[GiB] == 0,
           "with its first and last byte");
        ok(gcmmap_of(data + 2 * GiB + 5) == region && gcmmap_of(data + 3 * GiB + 2) == region,
           "found by any pointer");
    }
    if (region != NULL)
        need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
}

/* ---- new bytes keep ---------------------------------------------------------------------------- */

#define N_REGIONS 40

static unsigned char *last[N_REGIONS];
static void *volatile keepers[N_REGIONS];
static uintptr_t hidden[N_REGIONS];

static void map_some(void *fd)
{
    gcmmap_options options = { .room = 60000 };

    for (int i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_map_with(*(int *)fd, 0, 10, GCMMAP_READ, &options);

        need(region != NULL && gcmmap_extend(region, 50000) == 0, "extend");
        hidden[i] = hide(region);
        last[i] = (unsigned char *)gcmmap_data(region) + 50000 - i % 2; /* one past, too */
        keepers[i] = keeper_of(last[i]);
    }
}

static size_t n_descriptors(void)
{
    size_t n = 0;

    for (int i = 0; i < 1024; i++)
        n += fcntl(i, F_GETFD) >= 0;
    return n;
}

static void test_life(void)
{
    int fd = make_file(SEED, 50000);
    size_t n_before = n_descriptors(), n_wrong = 0, n_left = 0;

    apart(map_some, &fd);
    collect_thoroughly();
    for (int i = 0; i < N_REGIONS; i++)
        n_wrong += gcmmap_of(last[i]) != reveal(hidden[i]) ||
                   !has_bytes(last[i] - 100, 99, SEED, 49900 - (size_t)i % 2);
    ok(n_wrong == 0, "pointers to bytes that were added keep a region");
    ok(n_descriptors() == n_before + N_REGIONS, "which has its file open");
    clear_roots(last, sizeof last);
    memset((void *)keepers, 0, sizeof keepers);
    collect_thoroughly();
    for (int i = 0; i < N_REGIONS; i++)
        n_left += gcmmap_of(reveal(hidden[i])) != NULL;
    ok(n_left <= 2 && bytes_mapped_from(fd) <= n_left * 53248, "without them it goes");
    ok(n_descriptors() == n_before + n_left, "and its descriptor");
    close(fd);
}

/* ---- what cannot be done -------------------------------------------------------------------------- */

static void test_errors(void)
{
    int fd = make_file(SEED, 5000);
    gcmmap_options options = { .room = 20000 };
    gcmmap_region *fixed = gcmmap_map(fd, 0, 100, GCMMAP_READ);
    gcmmap_region *region = gcmmap_map_with(fd, 0, 100, GCMMAP_READ, &options);
    gcmmap_region *private = gcmmap_map_with(fd, 0, 100, GCMMAP_WRITE | GCMMAP_PRIVATE, &options);
    gcmmap_region *memory = gcmmap_alloc_with(100, 0, &options);
    struct rlimit limit, low = { 4, 4 };

    need(fixed && region && private && memory, "regions");
    errno = 0;
    gives_errno(gcmmap_extend(fixed, 200), ENOTSUP, "without room");
    gives_errno(gcmmap_truncate(fixed, 50), ENOTSUP, "the same");
    gives_errno(gcmmap_refresh(fixed), ENOTSUP, "the same");
    gives_errno(gcmmap_extend(region, 5001), ENXIO, "behind the end of the file");
    gives_errno(gcmmap_extend(private, 5001), ENXIO, "of a private mapping too");
    gives_errno(gcmmap_extend(memory, 20001), ERANGE, "more than the room");
    gives_errno(gcmmap_truncate(region, 101), ERANGE, "truncating to more");
    gives_errno(gcmmap_refresh(memory), EINVAL, "memory has no file to follow");
    gives_errno(gcmmap_extend(NULL, 1), EINVAL, "NULL");
    gives_errno(gcmmap_extend(region, SIZE_MAX), ERANGE, "SIZE_MAX");
    ok(gcmmap_size(fixed) == 100 && gcmmap_size(region) == 100 && gcmmap_size(private) == 100 &&
           gcmmap_size(memory) == 100 && size_of(fd) == 5000,
       "nothing changed");
    ok(gcmmap_extend(private, 5000) == 0 && has_bytes(gcmmap_data(private), 5000, SEED, 0),
       "a private mapping grows over the file");
    ok(gcmmap_truncate(private, 10) == 0 && size_of(fd) == 5000, "and leaves it alone");
    need(getrlimit(RLIMIT_NOFILE, &limit) == 0, "limit");
    low.rlim_max = limit.rlim_max;
    need(setrlimit(RLIMIT_NOFILE, &low) == 0, "limit");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map_with(fd, 0, 100, GCMMAP_READ, &options), EMFILE,
                "room takes a descriptor");
    ok(gcmmap_map(fd, 0, 100, GCMMAP_READ) != NULL, "a region of fixed size takes none");
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "limit");
}

static int steal_descriptors(void *arg)
{
    int fd = make_file(SEED, 5000), other = make_file(SEED + 1, 9000);
    gcmmap_options options = { .room = 20000 };
    gcmmap_region *region = gcmmap_map_with(fd, 0, 100, GCMMAP_WRITE, &options);
    int n_wrong = 0;

    (void)arg;
    for (int i = 3; i < 200; i++)
        if (i != other && fcntl(i, F_GETFD) >= 0)
            dup2(other, i);
    errno = 0;
    n_wrong += gcmmap_extend(region, 9500) != -1 || errno != ESTALE;
    n_wrong += gcmmap_refresh(region) != -1 || gcmmap_truncate(region, 5) != -1;
    n_wrong += gcmmap_size(region) != 100 || size_of(other) != 9000;
    n_wrong += !has_bytes(gcmmap_data(region), 100, SEED, 0);
    for (int i = 3; i < 200; i++)
        n_wrong -= fcntl(i, F_GETFD) >= 0;
    n_wrong += gcmmap_unmap_now(region) != 0;
    for (int i = 3; i < 200; i++)
        n_wrong += fcntl(i, F_GETFD) >= 0;
    return n_wrong;
}

static void test_full_disk(void)
{
    char directory[] = "/tmp/gcmmap-test-XXXXXX", path[64];
    gcmmap_options options = { .room = ROOM };
    gcmmap_region *region;
    unsigned char *data;
    int fd;

    need(mkdtemp(directory) != NULL, "directory");
    snprintf(path, sizeof path, "%s/log", directory);
    /* In a mount namespace of our own, which goes with the process. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("gcmmap-test", directory, "tmpfs", 0, "size=1m") != 0) {
        ok(true, "a full disk # SKIP mount: %s", strerror(errno));
        rmdir(directory);
        return;
    }
    fd = open(path, O_RDWR | O_CREAT, 0600);
    need(fd >= 0 && write(fd, "abc", 3) == 3, "file");
    region = gcmmap_open_with(path, GCMMAP_WRITE, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    errno = 0;
    gives_errno(gcmmap_extend(region, 2 * MiB), ENOSPC, "a full disk is an error");
    ok(size_of(fd) == 3 && gcmmap_size(region) == 3 && memcmp(data, "abc", 3) == 0 &&
           gcmmap_of(data + 4) == NULL && fault_of_access(data + page, false) == SIGSEGV,
       "and changes nothing");
    ok(gcmmap_extend(region, MiB / 2) == 0 && fault_of_access(data + MiB / 2 - 1, true) == 0,
       "what fits is there");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
    need(umount(directory) == 0 && rmdir(directory) == 0, "umount");
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_follow(GCMMAP_READ, "shared");
    test_follow(GCMMAP_READ | GCMMAP_PRIVATE, "private");
    test_follow(GCMMAP_READ | GCMMAP_BY_HANDLE, "by handle");
    test_write(0);
    test_write(GCMMAP_BY_HANDLE | GCMMAP_WRITE_BACK);
    test_locked(GCMMAP_LOCK, "locked");
    test_locked(GCMMAP_POPULATE, "populated");
    test_memory(0);
    if (!collector_write_protects()) /* bdwgc knows nothing of memory outside its heap */
        test_memory(GCMMAP_BY_HANDLE);
    test_large(0);
    test_large(GCMMAP_BY_HANDLE);
    test_life();
    test_errors();
    ok(run_in_child(steal_descriptors, NULL) == 0, "descriptors that others took are left alone");
    test_full_disk();
    return done_testing();
}
