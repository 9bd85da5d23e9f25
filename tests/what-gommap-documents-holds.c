/*
 * What the documentation of the Go package gommap says of its functions holds for ours, or
 * the line says in what gcmmap differs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"
#include "smaps.h"

#include <sys/resource.h>

#define SEED 2010
#define N_PAGES ((size_t)4)

static size_t page, n_bytes; /* of the file: not whole pages */

/* ---- Map, MapRegion, MapAt -------------------------------------------------------- */

static void test_map(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    int empty = make_file(SEED, 0), readable = open_again(fd, O_RDONLY);

    ok(gcmmap_size(region) == n_bytes && has_bytes(gcmmap_data(region), n_bytes, SEED, 0),
       "Map: the entire file, whose length it finds out");
    unmap(region);
    region = map(empty, 0, GCMMAP_REST, GCMMAP_READ);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0,
       "Map: unlike gommap (EINVAL), an empty file is an empty region");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(readable, 0, GCMMAP_REST, GCMMAP_WRITE), EACCES,
                "Map: a shared writable mapping of a file open for reading");
    region = map(readable, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
    memcpy(gcmmap_data(region), "private", 7);
    ok(!file_has(fd, 0, "private"), "Map: a private one of it is allowed, and stores stay here");
    unmap(region);
    region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    memcpy(gcmmap_data(region), "shared", 6);
    ok(file_has(fd, 0, "shared"), "Map: stores into a shared one are the file's");
    unmap(region);
    close(readable);
    close(empty);
}

static void test_map_region(int fd)
{
    gcmmap_region *region = map(fd, page, 100, GCMMAP_READ);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

    ok(gcmmap_size(region) == 100 && has_bytes(gcmmap_data(region), 100, SEED, page),
       "MapRegion: the bytes from offset on, as many as asked for");
    unmap(region);
    region = map(fd, page + 1, 100, GCMMAP_READ);
    ok(has_bytes(gcmmap_data(region), 100, SEED, page + 1),
       "MapRegion: unlike gommap (EINVAL), the offset may be anything");
    unmap(region);
    region = map(fd, page, GCMMAP_REST, GCMMAP_READ);
    ok(gcmmap_size(region) == n_bytes - page,
       "MapRegion: without a length it ends where the file does; gommap's is offset bytes longer");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 0, n_bytes + page, GCMMAP_READ), ENXIO,
                "MapRegion: beyond the end, where gommap's reads would end in SIGBUS");
    need(zero >= 0, "/dev/zero");
    region = map(zero, 0, page, GCMMAP_WRITE | GCMMAP_PRIVATE);
    ok(*(unsigned char *)gcmmap_data(region) == 0, "MapRegion: of a device");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(zero, 0, GCMMAP_REST, GCMMAP_READ), EINVAL,
                "MapRegion: a device has no end that could be found out");
    close(zero);
}

static void test_map_at(int fd)
{
    void *free_place = mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    gcmmap_options options = { .address = free_place };
    gcmmap_region *region;

    need(free_place != MAP_FAILED && munmap(free_place, 2 * page) == 0, "address");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map_with(fd, 0, page, GCMMAP_READ, &options), ENOTSUP,
                "MapAt: unlike gommap's, an address is no hint; on the collector's heap it is");
    region = gcmmap_map_with(fd, 0, page, GCMMAP_READ | GCMMAP_BY_HANDLE, &options);
    ok(gcmmap_data(region) == free_place, "MapAt: by handle it is honoured");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map_with(fd, 0, page, GCMMAP_READ | GCMMAP_BY_HANDLE, &options),
                EEXIST, "MapAt: or refused, where something is mapped");
    unmap(region);
}

/* ---- UnsafeUnmap -------------------------------------------------------------------- */

static void test_unmap(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    unsigned char *slice = (unsigned char *)gcmmap_data(region) + 300;

    memcpy(slice, "unmapped", 8);
    unmap(region);
    ok(file_has(fd, 300, "unmapped"), "UnsafeUnmap: what was stored before is in the file");
    errno = 0;
    gives_errno(gcmmap_unmap_now(region), EINVAL,
                "UnsafeUnmap: a second one of the same, where gommap's unmaps what came next");

    region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    slice = (unsigned char *)gcmmap_data(region) + 300;
    need(gcmmap_close(region) == 0, "close");
    ok(fault_of_access(slice, false) == SIGSEGV,
       "unmapped: a slice taken before crashes, as gommap's does");
    for (int i = 0; i < 100; i++)
        (void)map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    ok(fault_of_access(slice, false) == SIGSEGV,
       "unmapped: unlike gommap's, it never shows what is mapped later");
    errno = 0;
    gives_errno(gcmmap_sync(slice, 1, GCMMAP_SYNC), EBADF, "unmapped: operations on it");
}

static __attribute__((noinline)) unsigned char *slice_of_new_region(int fd)
{
    return (unsigned char *)gcmmap_data(map(fd, 0, GCMMAP_REST, GCMMAP_READ)) + 2 * page;
}

static void test_nobody_unmaps(int fd)
{
    unsigned char *volatile slice = slice_of_new_region(fd);

    scrub();
    collect_thoroughly();
    ok(inode_at(slice) == inode_of(fd) && has_bytes(slice, 100, SEED, 2 * page),
       "the note about slices: unlike gommap's, a slice keeps the file mapped");
}

/* ---- Sync, Advise, Protect ------------------------------------------------------------ */

static void test_sync(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);

    memcpy(data + page + 123, "synchronous", 11);
    ok(gcmmap_sync(data, n_bytes, GCMMAP_SYNC) == 0 && file_has(fd, page + 123, "synchronous"),
       "Sync: before it returns, with MS_SYNC");
    memcpy(data + page + 123, "scheduled", 9);
    ok(gcmmap_sync(data, n_bytes, GCMMAP_ASYNC) == 0 && file_has(fd, page + 123, "scheduled"),
       "Sync: scheduled, with MS_ASYNC");
    memcpy(data + 2 * page - 3, "border", 6);
    ok(gcmmap_sync(data + 2 * page - 3, 6, GCMMAP_SYNC) == 0 &&
           file_has(fd, 2 * page - 3, "border"),
       "Sync: unlike gommap (EINVAL), of any slice: it reaches the file");
    errno = 0;
    gives_errno(gcmmap_sync(data, 1, GCMMAP_SYNC | GCMMAP_ASYNC), EINVAL, "Sync: both at once");
    unmap(region);
}

static void test_advise(int fd)
{
    static const struct {
        int advice;
        const char *name;
    } all[] = { { GCMMAP_ADVISE_NORMAL, "NORMAL" },
                { GCMMAP_ADVISE_RANDOM, "RANDOM" },
                { GCMMAP_ADVISE_SEQUENTIAL, "SEQUENTIAL" },
                { GCMMAP_ADVISE_WILLNEED, "WILLNEED" },
                { GCMMAP_ADVISE_DONTNEED, "DONTNEED" } };
    int readable = open_again(fd, O_RDONLY);
    gcmmap_region *region = map(readable, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ok(gcmmap_advise(data, n_bytes, all[i].advice) == 0 &&
               gcmmap_advise(data + page + 7, 1, all[i].advice) == 0 &&
               has_bytes(data + page, page, SEED, page),
           "Advise: MADV_%s, of all and of any slice, and the file is as it was", all[i].name);
    errno = 0;
    gives_errno(gcmmap_advise(data, n_bytes, 9999), EINVAL, "Advise: 9999");
    errno = 0;
    gives_errno(gcmmap_advise(data, n_bytes, GCMMAP_ADVISE_DONTFORK), ENOTSUP,
                "Advise: unlike gommap, MADV_DONTFORK; there is GCMMAP_NO_FORK");
    errno = 0;
    gives_errno(gcmmap_advise(data, n_bytes, GCMMAP_ADVISE_REMOVE), EACCES,
                "Advise: MADV_REMOVE, and the file is open for reading");
    unmap(region);
    close(readable);
}

static void test_protect(int fd)
{
    int readable = open_again(fd, O_RDONLY);
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    gcmmap_region *read_only = map(readable, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);

    ok(gcmmap_protect(data, n_bytes, GCMMAP_READ) == 0 && fault_of_access(data, false) == 0 &&
           fault_of_access(data, true) == SIGSEGV,
       "Protect: PROT_READ, stores crash");
    ok(gcmmap_protect(data, n_bytes, 0) == 0 && fault_of_access(data, false) == SIGSEGV,
       "Protect: PROT_NONE, loads too");
    ok(gcmmap_protect(data, n_bytes, GCMMAP_READ | GCMMAP_WRITE) == 0 &&
           fault_of_access(data, true) == 0,
       "Protect: PROT_READ | PROT_WRITE, both are allowed again");
    ok(gcmmap_protect(data + page + 9, 1, GCMMAP_READ) == 0 &&
           fault_of_access(data + page, true) == SIGSEGV && fault_of_access(data, true) == 0 &&
           fault_of_access(data + 2 * page, true) == 0,
       "Protect: unlike gommap (EINVAL), of any slice, as pages");
    errno = 0;
    gives_errno(gcmmap_protect(gcmmap_data(read_only), 1, GCMMAP_WRITE), EACCES,
                "Protect: PROT_WRITE, shared, and the file is open for reading");
    unmap(region);
    unmap(read_only);
    close(readable);
}

/* ---- Lock, Unlock, IsResident --------------------------------------------------------- */

static void test_lock(int fd)
{
    struct rlimit limit;
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);

    need(getrlimit(RLIMIT_MEMLOCK, &limit) == 0, "getrlimit");
    if (limit.rlim_cur < 64 * page) {
        ok(true, "Lock, Unlock # SKIP RLIMIT_MEMLOCK is too low");
        unmap(region);
        return;
    }
    ok(gcmmap_lock(data, n_bytes) == 0 && has_vm_flag(data, " lo ") &&
           has_vm_flag(data + n_bytes - 1, " lo "),
       "Lock: the region is not swapped out");
    ok(gcmmap_lock(data, n_bytes) == 0 && has_vm_flag(data, " lo "), "Lock: twice is no error");
    ok(gcmmap_unlock(data, n_bytes) == 0 && !has_vm_flag(data, " lo "),
       "Unlock: it may be swapped out again, however often it was locked");
    ok(gcmmap_unlock(data, n_bytes) == 0, "Unlock: twice is no error");
    ok(gcmmap_lock(data + page + 1, 1) == 0 && has_vm_flag(data + page, " lo ") &&
           !has_vm_flag(data, " lo ") && gcmmap_unlock(data + page + 1, 1) == 0 &&
           !has_vm_flag(data + page, " lo "),
       "Lock, Unlock: of any slice");
    unmap(region);
}

static void test_is_resident(int fd)
{
    unsigned char pages[N_PAGES] = { 7, 7, 7, 7 };
    size_t n_resident = 99;
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "allocation");
    data[page + 5] = 1;
    ok(gcmmap_residency(data, N_PAGES * page, pages, N_PAGES, &n_resident) == 0 &&
           memcmp(pages, "\0\1\0", N_PAGES) == 0 && n_resident == 1,
       "IsResident: one answer for each page, whether it is there");
    pages[0] = pages[1] = 7;
    ok(gcmmap_residency(data + page + 10, 1, pages, 1, &n_resident) == 0 && pages[0] == 1 &&
           pages[1] == 7 && n_resident == 1,
       "IsResident: less than one page is one answer");
    ok(gcmmap_residency(data + 2 * page - 1, 2, pages, 2, &n_resident) == 0 && pages[0] == 1 &&
           pages[1] == 0,
       "IsResident: two bytes in two pages are two answers; gommap has room for one");
    unmap(region);
    region = map(fd, 0, 10, GCMMAP_READ);
    data = gcmmap_data(region);
    ok(fault_of_access(data, false) == 0 && gcmmap_residency(data, 10, pages, 1, NULL) == 0 &&
           pages[0] == 1,
       "IsResident: a file's page that was read");
    unmap(region);
}

int main(void)
{
    int fd;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    n_bytes = N_PAGES * page - 100;
    fd = make_file(SEED, n_bytes);
    test_map(fd);
    test_map_region(fd);
    test_map_at(fd);
    test_unmap(fd);
    test_nobody_unmaps(fd);
    close(fd);
    fd = make_file(SEED, n_bytes);
    test_sync(fd);
    close(fd);
    fd = make_file(SEED, n_bytes);
    test_advise(fd);
    test_protect(fd);
    test_lock(fd);
    test_is_resident(fd);
    return done_testing();
}
