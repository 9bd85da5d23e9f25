/*
 * What the documentation of the Rust crate memmap2 says of its options and methods holds for
 * ours, or the line says in what gcmmap differs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"
#include "smaps.h"

#include <pthread.h>
#include <sys/resource.h>

#define SEED 2
#define N_PAGES ((size_t)4)

static size_t page, n_bytes; /* of the file: not whole pages */

/* r, w, x and whether it is shared, as /proc/self/maps has it. */
static bool is_mapped_as(const void *address, const char *wanted)
{
    char permissions[5] = "";
    unsigned long inode;

    return map_line(address, permissions, &inode) && strcmp(permissions, wanted) == 0;
}

/* ---- offset, len ------------------------------------------------------------------ */

static void test_offset_and_len(int fd)
{
    gcmmap_region *region = map(fd, 30, GCMMAP_REST, GCMMAP_READ);
    int empty = make_file(SEED, 0);

    ok(gcmmap_size(region) == n_bytes - 30 &&
           has_bytes(gcmmap_data(region), n_bytes - 30, SEED, 30),
       "offset: any; the length is that of the rest of the file");
    unmap(region);
    region = map(fd, 0, 9, GCMMAP_READ);
    ok(gcmmap_size(region) == 9 && has_bytes(gcmmap_data(region), 9, SEED, 0),
       "len: the buffer is that many bytes long");
    unmap(region);
    region = map(fd, page - 1, page + 2, GCMMAP_READ);
    ok(has_bytes(gcmmap_data(region), page + 2, SEED, page - 1), "offset and len: across pages");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, (off_t)n_bytes + 1, GCMMAP_REST, GCMMAP_READ), ENXIO,
                "offset: larger than the file");
    region = map(fd, n_bytes, GCMMAP_REST, GCMMAP_READ);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "offset: its end, no bytes");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 0, n_bytes + 1, GCMMAP_READ), ENXIO,
                "len: unlike memmap2, where reading beyond the end is undefined");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 1, SIZE_MAX / 2 + 1, GCMMAP_READ), EOVERFLOW,
                "len: larger than isize::MAX, of a file");
    errno = 0;
    gives_errno((intptr_t)gcmmap_alloc(SIZE_MAX / 2 + 1, 0), EOVERFLOW,
                "len: larger than isize::MAX, of memory");
    region = map(empty, 0, GCMMAP_REST, GCMMAP_WRITE);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "an empty file is an empty buffer");
    unmap(region);
    close(empty);
}

/* ---- stack, huge, populate, no_reserve_swap ------------------------------------------- */

static volatile uintptr_t address_in_handler;

static void on_signal(int number)
{
    address_in_handler = (uintptr_t)&number;
}

static void test_stack(void)
{
    size_t n = 64 * 1024;
    /* Traced, the kernel could not store there where collections are incremental. */
    gcmmap_region *region = gcmmap_alloc(n, GCMMAP_POINTER_FREE);
    stack_t stack = { .ss_sp = gcmmap_data(region), .ss_size = n }, before;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

    need(region != NULL && sigaltstack(&stack, &before) == 0, "stack");
    need(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0, "signal");
    ok(gcmmap_of((void *)address_in_handler) == region,
       "stack: pointer-free anonymous memory does for one");
    need(sigaltstack(&before, NULL) == 0, "stack");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_alloc(n, GCMMAP_GROWSDOWN), ENOTSUP,
                "stack: one that grows by itself is refused");
}

static void test_huge(int fd)
{
    gcmmap_region *region;

    errno = 0;
    region = gcmmap_alloc(3 * MiB, GCMMAP_HUGE_ONLY | GCMMAP_POINTER_FREE);
    ok(region != NULL ? *(unsigned char *)gcmmap_data(region) == 0
                      : errno == ENOMEM || errno == ENOTSUP,
       "huge: huge pages or an error; unlike memmap2's, the length need be no multiple of them");
    if (region != NULL)
        unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_HUGE_ONLY), EINVAL,
                "huge: unlike memmap2's, which has no effect there, of a file it is an error");
    region = map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_HUGE);
    ok(has_bytes(gcmmap_data(region), n_bytes, SEED, 0), "huge: as a wish it may be given");
    unmap(region);
}

static void test_populate(int fd)
{
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page, GCMMAP_POPULATE | GCMMAP_POINTER_FREE);
    size_t n_resident = 0;

    need(region != NULL, "allocation");
    ok(gcmmap_residency(gcmmap_data(region), N_PAGES * page, NULL, 0, &n_resident) == 0 &&
           n_resident == N_PAGES,
       "populate: all pages are there, of memory");
    unmap(region);
    region = map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_POPULATE);
    ok(gcmmap_residency(gcmmap_data(region), n_bytes, NULL, 0, &n_resident) == 0 &&
           n_resident == N_PAGES && has_bytes(gcmmap_data(region), n_bytes, SEED, 0),
       "populate: and of a file");
    unmap(region);
}

static void test_no_reserve(int fd)
{
    gcmmap_region *region =
        map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_NORESERVE);

    ok(has_vm_flag(gcmmap_data(region), " nr "), "no_reserve_swap: no swap is set aside");
    unmap(region);
    region = gcmmap_alloc(page, 0);
    ok(has_vm_flag(gcmmap_data(region), " nr "),
       "no_reserve_swap: unlike memmap2, anonymous memory is always like that");
    unmap(region);
}

/* ---- map, map_exec, map_mut, map_copy, map_copy_read_only, map_anon ------------------ */

static void test_map(int fd)
{
    int readable = open_again(fd, O_RDONLY), writable = open_again(fd, O_WRONLY);
    gcmmap_region *region = map(readable, 0, GCMMAP_REST, GCMMAP_READ);

    close(readable);
    ok(has_bytes(gcmmap_data(region), n_bytes, SEED, 0), "map: valid after the file was dropped");
    ok(fault_of_access(gcmmap_data(region), true) == SIGSEGV, "map: immutable");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(writable, 0, GCMMAP_REST, GCMMAP_READ), EACCES,
                "map: the file is not open for reading");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(writable, 0, GCMMAP_REST, GCMMAP_WRITE), EACCES,
                "map_mut: nor is it enough that it is open for writing");
    close(writable);
    errno = 0;
    region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_EXEC);
    if (region == NULL && errno == EPERM) {
        ok(true, "map_exec # SKIP /tmp is mounted noexec");
    } else {
        ok(is_mapped_as(gcmmap_data(region), "r-xs"), "map_exec: readable and executable");
        unmap(region);
    }
}

static void test_map_mut(int fd)
{
    int readable = open_again(fd, O_RDONLY);
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);

    memcpy(gcmmap_data(region), "Hello, world!", 13);
    ok(file_has(fd, 0, "Hello, world!"), "map_mut: what is stored is in the file");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(readable, 0, GCMMAP_REST, GCMMAP_WRITE), EACCES,
                "map_mut: the file is not open for writing");
    region = map(readable, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
    memcpy(gcmmap_data(region), "no, nothing", 11);
    ok(file_has(fd, 0, "Hello, world!"), "map_copy: not seen by other processes, nor in the file");
    unmap(region);
    region = map(readable, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_PRIVATE);
    ok(is_mapped_as(gcmmap_data(region), "r--p") &&
           memcmp(gcmmap_data(region), "Hello, world!", 13) == 0,
       "map_copy_read_only: the file's bytes, private and read-only");
    ok(gcmmap_protect(gcmmap_data(region), 5, GCMMAP_WRITE) == 0 &&
           memcpy(gcmmap_data(region), "HELLO", 5) != NULL && file_has(fd, 0, "Hello"),
       "map_copy_read_only: made mutable, stores stay here");
    unmap(region);
    close(readable);
}

static void test_anon(void)
{
    gcmmap_region *region = gcmmap_alloc(36, 0);
    static const unsigned char zeros[36];

    ok(gcmmap_size(region) == 36 && memcmp(gcmmap_data(region), zeros, 36) == 0 &&
           memcpy(gcmmap_data(region), "Hello", 5) != NULL &&
           memcmp(gcmmap_data(region), "Hello", 6) == 0,
       "map_anon: a mutable buffer");
    unmap(region);
    region = gcmmap_alloc(0, 0);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "map_anon: of no length");
    unmap(region);
}

static void test_raw(void)
{
    int fd = make_file(SEED, n_bytes);
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);

    ok(gcmmap_of(data) == region && has_bytes(data, gcmmap_size(region), SEED, 0),
       "map_raw: as_ptr() and len()");
    need(ftruncate(fd, (off_t)page) == 0, "ftruncate");
    ok(fault_of_access(data + page, false) == SIGBUS && fault_of_access(data, false) == 0,
       "map_raw: SIGBUS behind the end of a file that was truncated");
    unmap(region);
    close(fd);
}

/* ---- flush ---------------------------------------------------------------------------- */

static void test_flush(int fd)
{
    gcmmap_region *region = map(fd, 5, GCMMAP_REST, GCMMAP_WRITE);
    gcmmap_region *copy = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
    gcmmap_region *memory = gcmmap_alloc(page, 0);
    unsigned char *data = gcmmap_data(region);
    size_t size = gcmmap_size(region);

    memcpy(data, "flush", 5);
    ok(gcmmap_sync(data, size, GCMMAP_SYNC) == 0 && file_has(fd, 5, "flush"), "flush");
    memcpy(data, "async", 5);
    ok(gcmmap_sync(data, size, GCMMAP_ASYNC) == 0 && file_has(fd, 5, "async"), "flush_async");
    memcpy(data + 2 * page + 1, "range", 5);
    ok(gcmmap_sync(data + 2 * page + 1, 5, GCMMAP_SYNC) == 0 && file_has(fd, 2 * page + 6, "range"),
       "flush_range: any offset and length");
    ok(gcmmap_sync(data + page, page, GCMMAP_ASYNC) == 0, "flush_async_range");
    errno = 0;
    gives_errno(gcmmap_sync(data + 10, size - 9, GCMMAP_SYNC), ERANGE,
                "flush_range: must be in the bounds");
    ok(gcmmap_sync(data + size, 0, GCMMAP_SYNC) == 0, "flush_range: of no bytes at the end");
    need(memory != NULL, "allocation");
    memcpy((unsigned char *)gcmmap_data(copy) + 5, "nowhere", 7);
    ok(gcmmap_sync(gcmmap_data(copy), n_bytes, GCMMAP_SYNC) == 0 && file_has(fd, 5, "async") &&
           gcmmap_sync(gcmmap_data(memory), page, GCMMAP_SYNC) == 0,
       "flush: of private and of anonymous memory nothing is written, and that is no error");
    unmap(region);
    unmap(copy);
    unmap(memory);
}

/* ---- make_read_only, make_mut, make_exec ------------------------------------------------ */

static void test_make(int fd)
{
    int readable = open_again(fd, O_RDONLY);
    gcmmap_region *memory = gcmmap_alloc(128, GCMMAP_POINTER_FREE);
    gcmmap_region *file = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    gcmmap_region *unwritable = map(readable, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *data = gcmmap_data(memory);

    need(data != NULL, "allocation");
    memcpy(data, "Hello, world!", 13);
    ok(gcmmap_protect(data, 128, GCMMAP_READ) == 0 && memcmp(data, "Hello, world!", 13) == 0 &&
           fault_of_access(data, true) == SIGSEGV,
       "make_read_only: an immutable version of the same bytes");
    ok(gcmmap_protect(data, 128, GCMMAP_WRITE) == 0 && fault_of_access(data, true) == 0,
       "make_mut: writable again");
    ok(gcmmap_protect(data, 128, GCMMAP_READ | GCMMAP_EXEC) == 0 && is_mapped_as(data, "r-xp"),
       "make_exec: readable and executable");
    data = gcmmap_data(file);
    ok(gcmmap_protect(data, n_bytes, GCMMAP_WRITE) == 0 && memcpy(data, "made", 4) != NULL &&
           file_has(fd, 0, "made"),
       "make_mut: of a file that is open for writing");
    errno = 0;
    gives_errno(gcmmap_protect(gcmmap_data(unwritable), n_bytes, GCMMAP_WRITE), EACCES,
                "make_mut: of one that is not");
    unmap(memory);
    unmap(file);
    unmap(unwritable);
    close(readable);
}

/* ---- advise, lock --------------------------------------------------------------------- */

static void test_advise(int fd)
{
    static const struct {
        int advice;
        const char *name;
    } all[] = { { GCMMAP_ADVISE_NORMAL, "Normal" },
                { GCMMAP_ADVISE_RANDOM, "Random" },
                { GCMMAP_ADVISE_SEQUENTIAL, "Sequential" },
                { GCMMAP_ADVISE_WILLNEED, "WillNeed" },
                { GCMMAP_ADVISE_DONTDUMP, "DontDump" },
                { GCMMAP_ADVISE_DODUMP, "DoDump" },
                { GCMMAP_ADVISE_COLD, "Cold" },
                { GCMMAP_ADVISE_PAGEOUT, "PageOut" },
                { GCMMAP_ADVISE_POPULATE_READ, "PopulateRead" } };
    gcmmap_region *file = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    gcmmap_region *memory = gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(file), *bytes = gcmmap_data(memory), byte = 1;

    need(bytes != NULL, "allocation");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        errno = 0;
        ok((gcmmap_advise(data, n_bytes, all[i].advice) == 0 &&
            gcmmap_advise(data + page + 3, 5, all[i].advice) == 0) ||
               errno == EINVAL, /* an older kernel */
           "advise, advise_range: %s", all[i].name);
    }
    ok(has_bytes(data + page, page, SEED, page), "advise: the bytes are what they were");
    errno = 0;
    gives_errno(gcmmap_advise(data + 1, n_bytes, GCMMAP_ADVISE_RANDOM), ERANGE,
                "advise_range: must be in the bounds");
    memset(bytes, 'x', N_PAGES * page);
    ok(gcmmap_advise(bytes + page, page, GCMMAP_ADVISE_DONTNEED) == 0 && bytes[page] == 0 &&
           bytes[2 * page - 1] == 0 && bytes[page - 1] == 'x' && bytes[2 * page] == 'x',
       "unchecked_advise_range: DontNeed makes zeros of anonymous memory");
    ok(gcmmap_advise(bytes, page, GCMMAP_ADVISE_FREE) == 0 && (bytes[0] == 'x' || bytes[0] == 0),
       "unchecked_advise_range: Free, any time later");
    errno = 0;
    ok(gcmmap_advise(data + 2 * page, page, GCMMAP_ADVISE_REMOVE) == 0
           ? pread(fd, &byte, 1, (off_t)(2 * page + 7)) == 1 && byte == 0 &&
                 has_bytes(data + page, page, SEED, page)
           : errno == ENOTSUP, /* by the file system */
       "unchecked_advise_range: Remove makes a hole in the file");
    unmap(file);
    unmap(memory);
}

static void test_lock(void)
{
    struct rlimit limit;
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page, 0);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL && getrlimit(RLIMIT_MEMLOCK, &limit) == 0, "allocation");
    if (limit.rlim_cur < 64 * page)
        ok(true, "lock, unlock # SKIP RLIMIT_MEMLOCK is too low");
    else
        ok(gcmmap_lock(data, N_PAGES * page) == 0 && has_vm_flag(data, " lo ") &&
               gcmmap_unlock(data, N_PAGES * page) == 0 && !has_vm_flag(data, " lo "),
           "lock: the whole map is in memory; unlock: it need not be");
    unmap(region);
}

/* ---- remap ---------------------------------------------------------------------------- */

static void test_remap(int fd)
{
    gcmmap_options options = { .room = 8 * page };
    gcmmap_region *region = gcmmap_map_with(fd, 0, page, GCMMAP_READ, &options);
    gcmmap_region *fixed = map(fd, 0, page, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "map");
    ok(gcmmap_extend(region, n_bytes) == 0 && gcmmap_data(region) == data &&
           gcmmap_size(region) == n_bytes && has_bytes(data, n_bytes, SEED, 0),
       "remap: larger, in place, where room was set aside");
    ok(gcmmap_truncate(region, 100) == 0 && gcmmap_data(region) == data &&
           gcmmap_size(region) == 100 && fault_of_access(data + page, false) == SIGSEGV,
       "remap: smaller");
    errno = 0;
    gives_errno(gcmmap_extend(region, n_bytes + 1), ENXIO,
                "remap: beyond the end of the file, undefined in memmap2");
    errno = 0;
    gives_errno(gcmmap_extend(region, 8 * page + 1), ERANGE,
                "remap: unlike may_move, it never moves: more than the room");
    errno = 0;
    gives_errno(gcmmap_extend(fixed, n_bytes), ENOTSUP, "remap: without room it cannot grow");
    unmap(region);
    unmap(fixed);
}

/* ---- Drop, Send, Sync ------------------------------------------------------------------- */

static void *read_it(void *slice)
{
    return has_bytes(slice, page, SEED, page) ? slice : NULL;
}

static void test_drop(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    unsigned char *slice = (unsigned char *)gcmmap_data(region) + page;
    pthread_t thread;
    void *result = NULL;

    need(pthread_create(&thread, NULL, read_it, slice) == 0 && pthread_join(thread, &result) == 0,
         "thread");
    ok(result == slice, "Send, Sync: another thread reads it");
    ok(gcmmap_close(region) == 0 && inode_at(slice) == 0,
       "Drop: the memory is unmapped; here by closing, or by the collector");
    ok(fault_of_access(slice, false) == SIGSEGV,
       "Drop: slices that memmap2's compiler refuses to leave behind fault here");
}

static void run(void (*test)(int))
{
    int fd = make_file(SEED, n_bytes);

    test(fd);
    close(fd);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    n_bytes = N_PAGES * page - 100;
    run(test_offset_and_len);
    test_stack();
    run(test_huge);
    run(test_populate);
    run(test_no_reserve);
    run(test_map);
    run(test_map_mut);
    test_anon();
    test_raw();
    run(test_flush);
    run(test_make);
    run(test_advise);
    test_lock();
    run(test_remap);
    run(test_drop);
    return done_testing();
}
