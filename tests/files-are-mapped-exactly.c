/*
 * A region shows exactly the bytes asked for, at whatever offset and of whatever size,
 * with the access asked for: files, empty ranges, large files, anonymous memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#include <sys/statvfs.h>

#define MIB ((size_t)1 << 20)
#define N_RANDOM 1500

static size_t page;

/* Whether the region has the bytes that pread() gives, and is where it should be. */
static bool is_exact(gcmmap_region *region, int fd, size_t offset, size_t n)
{
    gcmmap_slice slice = gcmmap_bytes(region);
    unsigned char *wanted = malloc(n + 1);
    bool right;

    need(wanted != NULL && pread(fd, wanted, n, (off_t)offset) == (ssize_t)n, "pread");
    right = region != NULL && slice.data != NULL && slice.size == n &&
            gcmmap_data(region) == slice.data && gcmmap_size(region) == n &&
            memcmp(slice.data, wanted, n) == 0 && gcmmap_of(slice.data) == region;
    free(wanted);
    return right;
}

static unsigned char byte_in_file(int fd, size_t offset)
{
    unsigned char byte = 0;

    need(pread(fd, &byte, 1, (off_t)offset) == 1, "pread");
    return byte;
}

/* Mapped once: whole pages, and up to a quarter more for what lies behind. */
static bool is_mapped_once(int fd, size_t n)
{
    size_t got = bytes_mapped_from(fd), wanted = (n + page - 1) / page * page;

    return got >= wanted && got <= wanted + wanted / 4 + page;
}

/* ---- ranges --------------------------------------------------------------- */

static void test_whole_file(void)
{
    char path[32];
    gcmmap_region *region;
    int fd;

    make_named_file(path, 1, 12345);
    fd = open(path, O_RDONLY);
    region = gcmmap_open(path, GCMMAP_READ);
    ok(is_exact(region, fd, 0, 12345), "a whole file by path");
    ok(is_mapped_once(fd, 12345), "each page of it once");
    unlink(path);
    close(fd);
    ok(has_bytes(gcmmap_data(region), 12345, 1, 0), "which is unlinked afterwards");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_closed_descriptor(void)
{
    int fd = make_file(2, 5000), other = make_file(3, 5000);
    gcmmap_region *region = gcmmap_map(fd, 10, GCMMAP_REST, GCMMAP_WRITE);

    need(region != NULL && dup2(other, fd) == fd, "dup2"); /* as good as closed */
    close(other);
    close(fd);
    ok(has_bytes(gcmmap_data(region), 4990, 2, 10), "the descriptor can be closed at once");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_random_ranges(void)
{
    static const unsigned flags[] = { GCMMAP_READ,
                                      GCMMAP_READ | GCMMAP_PRIVATE,
                                      GCMMAP_WRITE,
                                      GCMMAP_WRITE | GCMMAP_PRIVATE,
                                      GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE,
                                      GCMMAP_READ | GCMMAP_WRITE | GCMMAP_POINTER_FREE };
    uint64_t state = test_seed();
    size_t file_size = 9 * page + 123;
    int fd = make_file(4, file_size);
    unsigned n_wrong = 0;

    for (unsigned i = 0; i < N_RANDOM; i++) {
        size_t offset = (size_t)(next_random(&state) % (file_size + 1));
        size_t n = (size_t)(next_random(&state) % (file_size - offset + 1));
        gcmmap_region *region;

        switch (next_random(&state) % 6) { /* most errors are near page borders */
        case 0:
            offset = offset / page * page;
            n = n < file_size - offset ? n : file_size - offset;
            break;
        case 1:
            n = n / page * page;
            break;
        case 2:
            n = file_size - offset;
            break;
        default:
            break;
        }
        region =
            gcmmap_map(fd, (off_t)offset, n == file_size - offset && i % 2 == 0 ? GCMMAP_REST : n,
                       flags[i % (sizeof flags / sizeof *flags)]);
        if (!is_exact(region, fd, offset, n) && n_wrong++ < 5)
            note("wrong: offset %zu, size %zu", offset, n);
        if (i % 3 == 0 && region != NULL)
            need(gcmmap_unmap_now(region) == 0, "unmap");
    }
    ok(n_wrong == 0, "%d random ranges show what pread() gives (%u do not)", N_RANDOM, n_wrong);
    close(fd);
}

static void test_sizes(void)
{
    const size_t sizes[] = { 1, page - 1, page, page + 1, 2 * page, 8 * page, 9 * page };
    bool right = true, rest_is_right = true, last_is_right = true;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        int fd = make_file(5, n);
        gcmmap_region *whole = gcmmap_map(fd, 0, n, GCMMAP_READ);
        gcmmap_region *rest = gcmmap_map(fd, (off_t)(n / 3), GCMMAP_REST, GCMMAP_READ);
        gcmmap_region *last = gcmmap_map(fd, (off_t)n - 1, 1, GCMMAP_READ);

        right &= is_exact(whole, fd, 0, n);
        rest_is_right &= is_exact(rest, fd, n / 3, n - n / 3);
        last_is_right &= is_exact(last, fd, n - 1, 1);
        close(fd);
    }
    ok(right, "files of 1 byte to 9 pages, page borders included");
    ok(rest_is_right, "GCMMAP_REST ends where the file ends");
    ok(last_is_right, "the last byte alone");
}

static void test_empty(void)
{
    char path[32];
    int fd, empty;
    const size_t offsets[] = { 0, 1, page - 1, page, page + 1, 3 * page };
    gcmmap_region *region;
    bool right = true;

    make_named_file(path, 6, 0);
    empty = open(path, O_RDWR);
    region = gcmmap_open(path, GCMMAP_READ);
    ok(is_exact(region, empty, 0, 0), "an empty file by path");
    region = gcmmap_map(empty, 0, GCMMAP_REST, GCMMAP_WRITE);
    ok(is_exact(region, empty, 0, 0), "the rest of an empty file");
    region = gcmmap_map(empty, 0, 0, GCMMAP_WRITE | GCMMAP_PRIVATE);
    ok(is_exact(region, empty, 0, 0), "no bytes of an empty file");
    close(empty);
    unlink(path);

    fd = make_file(6, 3 * page);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        region = gcmmap_map(fd, (off_t)offsets[i], 0, GCMMAP_READ);
        right &= is_exact(region, fd, offsets[i], 0);
    }
    ok(right, "no bytes at any offset, the end of the file included");
    ok(bytes_mapped_from(fd) == 0, "nothing is mapped for them");
    region = gcmmap_map(fd, (off_t)(3 * page), GCMMAP_REST, GCMMAP_READ);
    ok(is_exact(region, fd, 3 * page, 0), "the rest from the end of the file");
    region = gcmmap_alloc(0, 0);
    ok(region != NULL && gcmmap_data(region) != NULL && gcmmap_size(region) == 0 &&
           gcmmap_of(gcmmap_data(region)) == region,
       "an allocation of no bytes");
    ok_but_for_protection(fault_of_access(gcmmap_data(region), false) == SIGSEGV,
                          "has no byte to touch");
    close(fd);
}

/* ---- access ----------------------------------------------------------------- */

static void test_stores(void)
{
    int fd = make_file(7, 3 * page);
    unsigned char was = byte_at(7, page + 5), is = (unsigned char)(was + 1);
    gcmmap_region *private = gcmmap_map(fd, (off_t)page, page, GCMMAP_WRITE | GCMMAP_PRIVATE);
    gcmmap_region *shared = gcmmap_map(fd, (off_t)page + 3, 100, GCMMAP_WRITE);
    gcmmap_region *readable = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *private_data = gcmmap_data(private), *shared_data = gcmmap_data(shared);
    const unsigned char *bytes = gcmmap_data(readable);

    need(private != NULL && shared != NULL && readable != NULL, "regions");
    private_data[5] = is;
    ok(byte_in_file(fd, page + 5) == was && bytes[page + 5] == was && shared_data[2] == was,
       "a private store does not reach the file");
    shared_data[2] = (unsigned char)(was + 2);
    ok(byte_in_file(fd, page + 5) == (unsigned char)(was + 2) &&
           bytes[page + 5] == (unsigned char)(was + 2),
       "a shared store does");
    ok(private_data[5] == is, "and not the private copy");
    ok(fault_of_access(gcmmap_data(readable), true) == SIGSEGV &&
           fault_of_access(gcmmap_data(readable), false) == 0,
       "without GCMMAP_WRITE stores fault");
    close(fd);
}

static int store_in_file(void *arg)
{
    int fd = *(int *)arg;
    unsigned char byte = 99;
    unsigned char *data = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (data == MAP_FAILED || pwrite(fd, &byte, 1, 1) != 1)
        return 1;
    data[0] = 98;
    return 0;
}

static int store_in_region(void *arg)
{
    unsigned char *data = arg;

    data[2] = 97;
    return 0;
}

static void test_other_process(void)
{
    int fd = make_file(8, 100);
    gcmmap_region *reading = gcmmap_map(fd, 0, 100, GCMMAP_READ);
    gcmmap_region *writing = gcmmap_map(fd, 0, 100, GCMMAP_WRITE);
    const volatile unsigned char *data = gcmmap_data(reading);

    need(run_in_child(store_in_file, &fd) == 0, "child");
    ok(data[0] == 98 && data[1] == 99 && data[3] == byte_at(8, 3),
       "stores of another process are seen");
    need(run_in_child(store_in_region, gcmmap_data(writing)) == 0, "child");
    ok(byte_in_file(fd, 2) == 97 && data[2] == 97, "and a child's stores through the region");
    close(fd);
}

#if defined(__x86_64__)
static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov eax, 42; ret */
#elif defined(__aarch64__)
static const unsigned char code[] = { 0x40, 5, 0x80, 0x52, 0xc0, 3, 0x5f, 0xd6 }; /* the same */
#else
static const unsigned char code[1];
#endif

static void test_code(void)
{
    int fd = make_file(9, 2 * page);
    off_t offset = (off_t)page + 64;
    gcmmap_region *region, *data_only;
    char permissions[5];
    unsigned long inode;
    int (*function)(void);
    void *start;

    if (sizeof code == 1) {
        ok(true, "code # SKIP for another machine");
        return;
    }
    need(pwrite(fd, code, sizeof code, offset) == sizeof code, "write");
    errno = 0;
    region = gcmmap_map(fd, offset, sizeof code, GCMMAP_READ | GCMMAP_EXEC);
    if (region == NULL && errno == EPERM) {
        ok(true, "code # SKIP /tmp is mounted noexec");
        return;
    }
    start = gcmmap_data(region);
    need(start != NULL, "region");
    memcpy(&function, &start, sizeof function);
    ok(function() == 42, "GCMMAP_EXEC: a function in a file runs");
    data_only = gcmmap_map(fd, offset, sizeof code, GCMMAP_READ);
    ok(map_line(gcmmap_data(data_only), permissions, &inode) && strcmp(permissions, "r--s") == 0,
       "without it nothing is executable (%s)", permissions);
    close(fd);
}

static void test_noexec(void)
{
    char path[] = "/dev/shm/gcmmap-test-XXXXXX";
    struct statvfs status;
    int fd = mkstemp(path);

    if (fd < 0 || fstatvfs(fd, &status) != 0 || (status.f_flag & ST_NOEXEC) == 0) {
        ok(true, "GCMMAP_EXEC on a noexec file system # SKIP /dev/shm is none");
    } else {
        need(ftruncate(fd, 100) == 0, "ftruncate");
        errno = 0;
        gives_errno((intptr_t)gcmmap_map(fd, 0, 100, GCMMAP_READ | GCMMAP_EXEC), EPERM,
                    "GCMMAP_EXEC on a noexec file system");
    }
    if (fd >= 0)
        close(fd), unlink(path);
}

/* ---- large files ------------------------------------------------------------- */

static void test_large_file(void)
{
    size_t n = 40 * MIB + 77, offset = 3 * page + 1000;
    int fd = make_file(10, n);
    gcmmap_region *whole = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    gcmmap_region *part = gcmmap_map(fd, (off_t)offset, 33 * MIB, GCMMAP_WRITE | GCMMAP_PRIVATE);
    gcmmap_region *exact = gcmmap_map(fd, 0, 32 * MIB, GCMMAP_WRITE);
    unsigned char *bytes;

    ok(is_exact(whole, fd, 0, n), "every byte of 40 MiB");
    ok(is_exact(part, fd, offset, 33 * MIB), "every byte of 33 MiB from an odd offset");
    ok(is_exact(exact, fd, 0, 32 * MIB), "every byte of exactly 32 MiB");
    bytes = gcmmap_data(exact);
    for (size_t at = 16 * MIB - 1; at < 32 * MIB; at += 16 * MIB) {
        bytes[at] ^= 1;
        need(byte_in_file(fd, at) == bytes[at], "stores at the borders of blocks");
    }
    need(gcmmap_unmap_now(whole) == 0 && gcmmap_unmap_now(part) == 0 &&
             gcmmap_unmap_now(exact) == 0,
         "unmap");
    ok(bytes_mapped_from(fd) == 0, "all of it is unmapped at once");
    close(fd);
}

static void test_sparse_file(void)
{
    size_t n = 1024 * MIB;
    int fd = make_file(11, 0);
    gcmmap_region *region;
    const unsigned char *bytes;
    bool right = true;

    need(ftruncate(fd, (off_t)n) == 0, "ftruncate");
    for (size_t at = 0; at < n; at += 64 * MIB)
        need(pwrite(fd, &(unsigned char){ (unsigned char)(at / MIB / 64 + 1) }, 1, (off_t)at) == 1,
             "write");
    need(pwrite(fd, "z", 1, (off_t)n - 1) == 1, "write");
    region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    need(region != NULL, "region of 1 GiB");
    bytes = gcmmap_data(region);
    for (size_t at = 0; at < n; at += 64 * MIB)
        right &=
            bytes[at] == at / MIB / 64 + 1 && bytes[at + 1] == 0 && gcmmap_of(bytes + at) == region;
    ok(right && bytes[n - 1] == 'z' && bytes[n - 2] == 0 && gcmmap_size(region) == n,
       "a sparse file of 1 GiB: first, last, and in between");
    ok(gcmmap_of(bytes + n) == region, "one past its end is its own");
    ok(is_mapped_once(fd, n), "each page once");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(fd);
}

/* ---- anonymous memory ------------------------------------------------------------ */

static bool is_zeroed(gcmmap_region *region)
{
    const unsigned char *bytes = gcmmap_data(region);
    size_t n = gcmmap_size(region);

    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static const unsigned alloc_flags[] = { 0, GCMMAP_POINTER_FREE, GCMMAP_READ | GCMMAP_WRITE };

static void test_alloc(void)
{
    const size_t sizes[] = { 1,       100,      page - 1,     page,     page + 1,     3 * page,
                             MIB,     14 * MIB, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 32 * MIB,
                             33 * MIB };
    bool zeroed = true, aligned = true, fits = true, ends = true, reused = false;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];

        for (size_t j = 0; j < sizeof alloc_flags / sizeof *alloc_flags; j++) {
            gcmmap_region *region = gcmmap_alloc(n, alloc_flags[j]);
            gcmmap_region *neighbour = gcmmap_alloc(n, alloc_flags[j]), *next;
            unsigned char *bytes = gcmmap_data(region);

            need(bytes != NULL && neighbour != NULL, "allocation");
            zeroed &= is_zeroed(region) && is_zeroed(neighbour);
            aligned &= (uintptr_t)bytes % page == 0;
            fits &= gcmmap_size(region) == n && can_store(bytes) && can_store(bytes + n - 1);
            if (n % page == 0) /* else a neighbour may start on the next page */
                ends &= fault_of_access(bytes + n, false) == SIGSEGV &&
                        fault_address == bytes + n && fault_of_access(bytes + n, true) == SIGSEGV &&
                        gcmmap_of(bytes + n) == region;
            memset(bytes, 0xff, n);
            need(gcmmap_unmap_now(region) == 0, "unmap");
            next = gcmmap_alloc(n, alloc_flags[j]);
            need(next != NULL, "allocation");
            reused |= gcmmap_data(next) == bytes;
            zeroed &= is_zeroed(next);
            need(gcmmap_unmap_now(next) == 0 && gcmmap_unmap_now(neighbour) == 0, "unmap");
        }
    }
    ok(zeroed, "allocations of 1 byte to 33 MiB are zeroed");
    ok(reused, "the same addresses after gcmmap_unmap_now() included");
    ok(aligned, "they are page-aligned");
    ok(fits, "all their bytes can be written");
    ok_but_for_protection(ends, "behind a whole number of pages, the next byte faults");
}

static void test_alloc_access(void)
{
    gcmmap_region *region = gcmmap_alloc(page, GCMMAP_READ);
    char permissions[5] = "";
    unsigned long inode;

    ok(fault_of_access(gcmmap_data(region), false) == 0 &&
           fault_of_access(gcmmap_data(region), true) == SIGSEGV,
       "an allocation to read only");
    region = gcmmap_alloc(page, GCMMAP_READ | GCMMAP_PRIVATE);
    ok(map_line(gcmmap_data(region), permissions, &inode) && strcmp(permissions, "r--p") == 0 &&
           inode == 0,
       "is private, as it is with GCMMAP_PRIVATE (%s)", permissions);
}

#define N_DROPPED 200
#define N_DROPPED_BYTES ((size_t)20000)

static uintptr_t hidden[N_DROPPED]; /* complements: no pointers */

static void dirty_and_drop(void *arg)
{
    for (int i = 0; i < N_DROPPED; i++) {
        gcmmap_region *region = gcmmap_alloc(N_DROPPED_BYTES, *(unsigned *)arg);

        need(region != NULL, "allocation");
        memset(gcmmap_data(region), 0xee, N_DROPPED_BYTES);
        hidden[i] = ~(uintptr_t)gcmmap_data(region);
    }
}

static bool was_ours(const void *data)
{
    for (int i = 0; i < N_DROPPED; i++)
        if (hidden[i] == ~(uintptr_t)data)
            return true;
    return false;
}

static void test_reuse_after_release(unsigned flags, const char *what)
{
    static gcmmap_region *fresh[N_DROPPED];
    int n_reused = 0;
    bool zeroed = true;

    apart(dirty_and_drop, &flags);
    collect_thoroughly();
    for (int i = 0; i < N_DROPPED; i++) {
        fresh[i] = gcmmap_alloc(N_DROPPED_BYTES, flags);
        n_reused += was_ours(gcmmap_data(fresh[i]));
        zeroed &= is_zeroed(fresh[i]);
    }
    ok(zeroed && n_reused >= N_DROPPED / 2,
       "%s memory is zeroed where it was released before (%d of %d)", what, n_reused, N_DROPPED);
    memset(fresh, 0, sizeof fresh);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_whole_file();
    test_closed_descriptor();
    test_random_ranges();
    test_sizes();
    test_empty();
    test_stores();
    test_other_process();
    test_code();
    test_noexec();
    test_large_file();
    test_sparse_file();
    test_alloc();
    test_alloc_access();
    test_reuse_after_release(0, "traced");
    test_reuse_after_release(GCMMAP_POINTER_FREE, "pointer-free");
    return done_testing();
}
