/*
 * GCMMAP_ZERO_FILL and options.truncated: what becomes of an access to a page that the file does
 * not have any more.  Zeros, which are counted, stay private, lose no store of another thread, and
 * go with the region, whoever is closing it meanwhile; or what the callback says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

#define SEED 8u
#define N_PAGES 10u

static size_t page;

static gcmmap_region *map_filled(int fd, size_t offset, unsigned flags)
{
    return map(fd, offset, N_PAGES * page - offset, flags | GCMMAP_ZERO_FILL);
}

static void cut(int fd, size_t size)
{
    need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
}

static bool is_zero(const volatile unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static size_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t n = 0;

    need(directory != NULL, "/proc/self/fd");
    while (readdir(directory) != NULL)
        n++;
    closedir(directory);
    return n;
}

/* Pages [from, to) are inaccessible or not mapped at all. */
static bool nothing_is_left(const unsigned char *from, const unsigned char *to)
{
    char permissions[5];
    unsigned long inode;

    for (; from < to; from += page)
        if (map_line(from, permissions, &inode) && permissions[0] != '-')
            return false;
    return true;
}

/* ---- zeros ------------------------------------------------------------------------- */

static void test_zeros(unsigned flags, size_t offset)
{
    int fd = make_file(SEED, N_PAGES * page);
    gcmmap_region *region = map_filled(fd, offset, flags);
    unsigned char *data = gcmmap_data(region), *start = data - offset, *volatile probe;
    unsigned char bytes[16];

    ok(has_bytes(data, N_PAGES * page - offset, SEED, offset) && gcmmap_zero_filled(region) == 0,
       "flags %#x, offset %zu: a file as any other", flags, offset);
    cut(fd, 2 * page + 100);
    ok(has_bytes(data, 2 * page + 100 - offset, SEED, offset) &&
           is_zero(start + 2 * page + 100, page - 100) && gcmmap_zero_filled(region) == 0,
       "what is left of it is there");
    ok(is_zero(start + 5 * page, page) && gcmmap_zero_filled(region) == page,
       "a page that is lost is zeros, and counted");
    probe = start + 7 * page + 5;
    if (flags & GCMMAP_WRITE) {
        *probe = 77; /* a store, not a load, is what finds it lost */
        ok(*probe == 77 && gcmmap_zero_filled(region) == 2 * page, "it can be stored into");
    } else {
        ok(*probe == 0 && fault_of_access(probe, true) == SIGSEGV &&
               gcmmap_zero_filled(region) == 2 * page,
           "it cannot be stored into");
    }
    cut(fd, N_PAGES * page);
    need(pwrite(fd, "again", 5, (off_t)(4 * page)) == 5 &&
             pwrite(fd, "again", 5, (off_t)(5 * page)) == 5 &&
             pread(fd, bytes, 16, (off_t)(7 * page)) == 16,
         "file");
    ok(memcmp(start + 4 * page, "again", 5) == 0 && is_zero(start + 5 * page, page) &&
           is_zero(bytes, 16) && gcmmap_zero_filled(region) == 2 * page,
       "grown again: pages that were filled stay as they are, the others are the file");
    collect_with_noise();
    ok(gcmmap_of(start + 5 * page) == region && is_zero(start + 5 * page, page),
       "collections change nothing");
    need(gcmmap_close(region) == 0, "close");
    ok(nothing_is_left(start, start + N_PAGES * page) &&
           fault_of_access(start + 5 * page, false) == SIGSEGV &&
           gcmmap_zero_filled(region) == 2 * page,
       "closed: they are gone");
    unmap(region);
    close(fd);
}

static void map_fill_and_drop(void *arg)
{
    int fd = *(int *)arg;
    uintptr_t sum = 0;

    for (unsigned i = 0; i < 100; i++) {
        gcmmap_region *region =
            map_filled(fd, 0, i % 2 == 0 ? GCMMAP_READ : GCMMAP_READ | GCMMAP_BY_HANDLE);
        unsigned char *data = gcmmap_data(region);

        cut(fd, page);
        sum += data[3 * page] + data[5 * page];
        cut(fd, N_PAGES * page);
    }
    need(sum == 0, "zeros");
}

static size_t count_readable_zeros(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, maps)) {
        char access[5];
        unsigned long from, to, inode;

        n += sscanf(line, "%lx-%lx %4s %*x %*s %lu", &from, &to, access, &inode) == 4 &&
             strcmp(access, "r--p") == 0 && inode == 0 && to - from == page;
    }
    fclose(maps);
    return n;
}

static void test_dropped(void)
{
    int fd = make_file(SEED, N_PAGES * page);
    size_t n_descriptors = count_descriptors(), n_zeros = count_readable_zeros(), n_left;
    size_t n_live = stats_now().n_live;

    apart(map_fill_and_drop, &fd);
    for (int i = 0; i < 3; i++)
        collect_thoroughly();
    n_left = stats_now().n_live - n_live;
    ok(n_left <= 10, "dropped regions go: %zu of 100 left", n_left);
    ok(count_descriptors() - n_descriptors == n_left &&
           (count_readable_zeros() <= n_zeros + 2 * n_left || collector_write_protects()),
       "and with them their descriptors and zeros: %zu", count_readable_zeros() - n_zeros);
    close(fd);
}

static void test_changes_of_size(void)
{
    int fd = make_file(SEED, N_PAGES * page);
    gcmmap_options options = { .room = N_PAGES * page };
    gcmmap_region *region =
        gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_ZERO_FILL, &options);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "map");
    cut(fd, 2 * page);
    ok(data[4 * page] == 0 && gcmmap_zero_filled(region) == page, "with room: zeros");
    ok(gcmmap_refresh(region) == 0 && gcmmap_size(region) == 2 * page &&
           nothing_is_left(data + 2 * page, data + N_PAGES * page) &&
           fault_of_access(data + 4 * page, false) == SIGSEGV,
       "gcmmap_refresh(): it ends where the file does, zeros or not");
    ok(gcmmap_extend(region, N_PAGES * page) == 0 && (data[4 * page] = 5) == 5 &&
           file_has(fd, 4 * page, "\5"),
       "gcmmap_extend(): and is the file again");
    cut(fd, page);
    ok(data[6 * page] == 0 && gcmmap_zero_filled(region) == 2 * page, "zeros once more");
    unmap(region);
    close(fd);
}

static void test_protection(void)
{
    int fd = make_file(SEED, N_PAGES * page);
    gcmmap_region *region = map_filled(fd, 0, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);

    need(gcmmap_protect(data + 4 * page, page, GCMMAP_READ) == 0 &&
             gcmmap_protect(data + 5 * page, page, 0) == 0,
         "protect");
    cut(fd, page);
    ok(data[4 * page] == 0 && fault_of_access(data + 4 * page, true) == SIGSEGV,
       "what must not be stored into still must not");
    ok(fault_of_access(data + 5 * page, false) == SIGSEGV && gcmmap_zero_filled(region) == page,
       "what must not be touched still must not");
    data[6 * page] = 6;
    ok(data[6 * page] == 6 && data[7 * page] == 0 && fault_of_access(data + 7 * page, true) == 0,
       "the others may");
    unmap(region);
    close(fd);
}

static int read_one(void *arg)
{
    return *(volatile unsigned char *)arg;
}

/* ---- not for these ------------------------------------------------------------------- */

static void test_others(void)
{
    int fd = make_file(SEED, N_PAGES * page);
    gcmmap_region *plain = map(fd, 0, N_PAGES * page, GCMMAP_READ), *region;
    unsigned char *data;
    gcmmap_options options = { .truncated = (gcmmap_truncated)(uintptr_t)1 };
    size_t n_descriptors = count_descriptors();
    char bytes[8];

    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_alloc(page, GCMMAP_ZERO_FILL), EINVAL, "memory");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_alloc_with(page, 0, &options), EINVAL, "memory, a callback");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, page, GCMMAP_ZERO_FILL, NULL, NULL), EINVAL,
                      "a snapshot");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, page, 0, &options, NULL), EINVAL,
                      "a snapshot, a callback");
    errno = 0;
    ok(gcmmap_zero_filled((gcmmap_region *)bytes) == 0 && errno == EINVAL, "not a handle");
    region = map_filled(fd, 0, GCMMAP_READ);
    data = gcmmap_data(region);
    cut(fd, page);
    ok(died_of(SIGBUS, run_in_child(read_one, (unsigned char *)gcmmap_data(plain) + 5 * page)),
       "a region without the flag: SIGBUS");
    errno = 0;
    ok(write(fd, data + 5 * page, 8) < 0 && errno == EFAULT && gcmmap_zero_filled(region) == 0,
       "system calls get EFAULT");
    ok(count_descriptors() == n_descriptors + 1, "it has a descriptor of its own");
    for (int i = 3; i < 64; i++) /* as hosts do that close all they do not know */
        if (i != fd)
            close(i);
    ok(died_of(SIGBUS, run_in_child(read_one, data + 5 * page)), "without its descriptor: SIGBUS");
    for (int i = 0; i < 20; i++)
        (void)open("/dev/null", O_RDONLY | O_CLOEXEC);
    ok(died_of(SIGBUS, run_in_child(read_one, data + 5 * page)), "with another's: SIGBUS");
    unmap(plain);
    unmap(region);
    close(fd);
}

/* A page that the file has, and for which there is no room on the disk. */
static int store_on_full_disk(void *arg)
{
    char path[64];
    gcmmap_region *region;
    int fd;

    (void)arg;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/mnt", "tmpfs", 0, "size=64k") != 0)
        return 77;
    snprintf(path, sizeof path, "/mnt/gcmmap-test");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 1 << 20) != 0)
        return 1;
    region = gcmmap_map(fd, 0, 1 << 20, GCMMAP_WRITE | GCMMAP_ZERO_FILL);
    if (region == NULL)
        return 2;
    for (size_t i = 0; i < 1 << 20; i += page)
        ((volatile unsigned char *)gcmmap_data(region))[i] = 1;
    return 3;
}

static void test_full_disk(void)
{
    int result = run_in_child(store_on_full_disk, NULL);

    if (result == 77)
        ok(true, "# SKIP nothing can be mounted");
    else
        ok(died_of(SIGBUS, result), "a disk that is full ends in SIGBUS as ever (%d)", result);
}

/* ---- the callback ---------------------------------------------------------------------- */

struct answers {
    int fd, answer;
    volatile int n_asked;
    gcmmap_fault fault;
    sigjmp_buf *jump;
};

static int answer(const gcmmap_fault *fault, void *data)
{
    struct answers *answers = data;

    answers->n_asked++;
    answers->fault = *fault;
    if (answers->jump != NULL)
        siglongjmp(*answers->jump, 1);
    if (answers->answer == GCMMAP_TRUNCATED_RETRY &&
        ftruncate(answers->fd, (off_t)(N_PAGES * page)) != 0)
        abort();
    return answers->answer;
}

static gcmmap_region *map_asked(struct answers *answers, unsigned flags)
{
    gcmmap_options options = { .truncated = answer, .data = answers, .name = "asked" };
    gcmmap_region *region;

    answers->fd = make_file(SEED, N_PAGES * page);
    region = gcmmap_map_with(answers->fd, 0, N_PAGES * page, flags, &options);
    need(region != NULL, "map");
    cut(answers->fd, page);
    return region;
}

static void test_callback(void)
{
    /* Of the collector's heap: kept by the region alone, as it were. */
    struct answers *answers = GC_MALLOC(sizeof *answers);
    gcmmap_region *region = map_asked(answers, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);
    gcmmap_guard guard;
    sigjmp_buf jump;

    answers->answer = GCMMAP_TRUNCATED_ZEROS;
    ok(is_zero(data + 3 * page, page) && answers->n_asked == 1 &&
           gcmmap_zero_filled(region) == page,
       "it says zeros: asked once");
    ok(answers->fault.kind == GCMMAP_FAULT_TRUNCATED && answers->fault.signal == SIGBUS &&
           answers->fault.address == data + 3 * page && answers->fault.region == region &&
           answers->fault.offset == (ptrdiff_t)(3 * page) &&
           answers->fault.file_offset == (int64_t)(3 * page) &&
           answers->fault.file_size == (int64_t)page && strcmp(answers->fault.name, "asked") == 0,
       "it is told what happened");
    answers->answer = GCMMAP_TRUNCATED_RETRY;
    data[4 * page] = 9;
    ok(answers->n_asked == 2 && file_has(answers->fd, 4 * page, "\11") &&
           gcmmap_zero_filled(region) == page,
       "it makes the file longer: the store is in the file");
    cut(answers->fd, page);
    answers->answer = GCMMAP_TRUNCATED_DEFAULT;
    ok(died_of(SIGBUS, run_in_child(read_one, data + 5 * page)), "it says no: death");
    if (GCMMAP_TRY(guard)) {
        (void)read_one(data + 5 * page + 1);
        gcmmap_guard_leave(&guard);
        ok(false, "it says no, in a guard: an error");
    } else {
        ok(guard.fault.kind == GCMMAP_FAULT_TRUNCATED && guard.fault.address == data + 5 * page + 1,
           "it says no, in a guard: an error");
    }
    answers->jump = &jump;
    if (sigsetjmp(jump, 1) == 0) {
        (void)read_one(data + 5 * page);
        ok(false, "it jumps");
    } else {
        ok(gcmmap_zero_filled(region) == page, "it jumps");
    }
    answers->jump = NULL;
    need(gcmmap_close(region) == 0, "close");
    answers->n_asked = 0;
    ok(fault_of_access(data + 5 * page, false) == SIGSEGV && answers->n_asked == 0,
       "closed: it is not asked");
    unmap(region);
    close(answers->fd);
    region = map_asked(answers, GCMMAP_READ | GCMMAP_ZERO_FILL);
    answers->answer = GCMMAP_TRUNCATED_DEFAULT;
    ok(read_one((unsigned char *)gcmmap_data(region) + 3 * page) == 0 && answers->n_asked == 1 &&
           gcmmap_zero_filled(region) == page,
       "it says nothing, with GCMMAP_ZERO_FILL: zeros");
    unmap(region);
    close(answers->fd);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define N_THREADS 4u
#define N_ROUNDS 150u

static pthread_barrier_t barrier;
static unsigned char *volatile shared;

static void *store_mine(void *arg)
{
    uintptr_t me = (uintptr_t)arg;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        for (unsigned n = 1; n < N_PAGES; n++)
            shared[n * page + me] = (unsigned char)(me + 1);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* Two that find the same page lost at once: none wipes out what the other stores. */
static void test_stores(void)
{
    pthread_t threads[N_THREADS];
    int fd = make_file(SEED, N_PAGES * page);
    unsigned n_lost = 0;

    pthread_barrier_init(&barrier, NULL, N_THREADS + 1);
    for (uintptr_t i = 0; i < N_THREADS; i++)
        need(GC_pthread_create(&threads[i], NULL, store_mine, (void *)i) == 0, "thread");
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        gcmmap_region *region = map_filled(fd, 0, GCMMAP_WRITE);

        cut(fd, page);
        shared = gcmmap_data(region);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (unsigned n = 1; n < N_PAGES; n++)
            for (unsigned j = 0; j < N_THREADS; j++)
                n_lost += shared[n * page + j] != j + 1;
        n_lost += gcmmap_zero_filled(region) != (N_PAGES - 1) * page;
        unmap(region);
        cut(fd, N_PAGES * page);
    }
    for (unsigned i = 0; i < N_THREADS; i++)
        GC_pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    close(fd);
    ok(n_lost == 0, "no store of %u threads is lost", N_THREADS);
}

#define N_MANY 150u

static void read_all(void *arg)
{
    unsigned sum = 0;

    for (unsigned n = 1; n < N_MANY; n++)
        sum += ((volatile unsigned char *)arg)[n * page];
    need(sum == 0, "zeros");
}

static void *read_until_it_faults(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        (void)gcmmap_try(read_all, shared, NULL);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* How closing begins. */
static void close_one_way(gcmmap_region *region, unsigned i)
{
    if (i % 3 == 2)
        need(gcmmap_truncate(region, page) == 0, "truncate");
    else
        need(gcmmap_close(region) == 0, "close");
}

static void test_closing(unsigned flags)
{
    pthread_t threads[N_THREADS];
    int fd = make_file(SEED, N_MANY * page);
    gcmmap_options options = { .room = N_MANY * page };
    unsigned n_left = 0;

    pthread_barrier_init(&barrier, NULL, N_THREADS + 1);
    for (uintptr_t i = 0; i < N_THREADS; i++)
        need(GC_pthread_create(&threads[i], NULL, read_until_it_faults, NULL) == 0, "thread");
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        gcmmap_region *region =
            gcmmap_map_with(fd, 0, GCMMAP_REST, flags | GCMMAP_ZERO_FILL, &options);

        need(region != NULL, "map");
        cut(fd, page);
        shared = gcmmap_data(region);
        pthread_barrier_wait(&barrier);
        for (unsigned n = 0; n < i % 20; n++)
            sched_yield();
        close_one_way(region, i);
        n_left += !nothing_is_left(shared + page, shared + N_MANY * page);
        pthread_barrier_wait(&barrier);
        n_left += !nothing_is_left(shared + page, shared + N_MANY * page);
        unmap(region);
        cut(fd, N_MANY * page);
    }
    for (unsigned i = 0; i < N_THREADS; i++)
        GC_pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    close(fd);
    ok(n_left == 0, "flags %#x: no page is filled behind the back of one who closes", flags);
}

static int fill_in_child(void *arg)
{
    gcmmap_region *region = arg;
    unsigned char *data = gcmmap_data(region);

    data[4 * page] = 1;
    return gcmmap_zero_filled(region) == page && gcmmap_close(region) == 0 &&
                   nothing_is_left(data, data + N_PAGES * page)
               ? 0
               : 1;
}

static void test_child(void)
{
    int fd = make_file(SEED, N_PAGES * page);
    gcmmap_region *region = map_filled(fd, 0, GCMMAP_WRITE);

    cut(fd, page);
    ok(run_in_child(fill_in_child, region) == 0, "a forked child fills its own");
    ok(gcmmap_zero_filled(region) == 0 && *((unsigned char *)gcmmap_data(region) + 4 * page) == 0,
       "not its parent's");
    unmap(region);
    close(fd);
}

int main(void)
{
    static const unsigned flags[] = { GCMMAP_READ, GCMMAP_WRITE, GCMMAP_READ | GCMMAP_PRIVATE,
                                      GCMMAP_WRITE | GCMMAP_PRIVATE };

    GC_INIT();
    GC_allow_register_threads();
    page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        test_zeros(flags[i], i % 2 == 0 ? 0 : 77);
        test_zeros(flags[i] | GCMMAP_BY_HANDLE, 0);
        if (!collector_write_protects())
            test_zeros(flags[i] | GCMMAP_GUARDED, 5);
    }
    test_dropped();
    test_changes_of_size();
    test_protection();
    test_full_disk();
    test_callback();
    test_stores();
    test_closing(GCMMAP_READ);
    test_closing(GCMMAP_READ | GCMMAP_BY_HANDLE);
    test_child();
    test_others();
    return done_testing();
}
