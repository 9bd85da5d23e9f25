/*
 * gcmmap_copy_out() and gcmmap_copy_in() copy what can be copied and say where that ends:
 * truncated files, pages without access, closed regions; with process_vm_readv(2) and without.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define SEED 71
#define SIZE ((size_t)100000)
#define LARGE (20 * MiB)

static size_t page;
static bool is_forbidden; /* process_vm_readv(2) and _writev(2) */
static size_t n_calls;

/* The library's, too. */
__attribute__((visibility("default"))) ssize_t
process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
                 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
    n_calls++;
    if (is_forbidden) {
        errno = EPERM;
        return -1;
    }
    return syscall(SYS_process_vm_readv, pid, local, n_local, remote, n_remote, flags);
}

__attribute__((visibility("default"))) ssize_t
process_vm_writev(pid_t pid, const struct iovec *local, unsigned long n_local,
                  const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
    n_calls++;
    if (is_forbidden) {
        errno = EPERM;
        return -1;
    }
    return syscall(SYS_process_vm_writev, pid, local, n_local, remote, n_remote, flags);
}

static bool out_gives(const void *p, size_t size, ssize_t wanted, int error)
{
    unsigned char *bytes = malloc(size + 1);
    ssize_t got;

    bytes[0] = 0xEE;
    errno = 0;
    got = gcmmap_copy_out(bytes, p, size);
    if (got != wanted || errno != error)
        note("copy_out %zu: %zd (wanted %zd), errno %d (wanted %d)", size, got, wanted, errno,
             error);
    wanted = got == wanted && errno == error && (got > 0 || bytes[0] == 0xEE) ? 1 : 0;
    free(bytes);
    return wanted;
}

static bool in_gives(void *p, size_t size, ssize_t wanted, int error)
{
    unsigned char *bytes = calloc(1, size + 1);
    ssize_t got;

    errno = 0;
    got = gcmmap_copy_in(p, bytes, size);
    if (got != wanted || errno != error)
        note("copy_in %zu: %zd (wanted %zd), errno %d (wanted %d)", size, got, wanted, errno,
             error);
    free(bytes);
    return got == wanted && errno == error;
}

/* ---- what can be copied ------------------------------------------------------ */

static void test_kind(int fd, size_t size, unsigned flags, const char *what)
{
    gcmmap_region *region = fd >= 0 ? gcmmap_map(fd, 4099, size, flags) : gcmmap_alloc(size, flags);
    unsigned char *data = gcmmap_data(region), *bytes = malloc(size), *wanted = malloc(size);
    bool right;

    need(data != NULL && bytes != NULL && wanted != NULL, what);
    for (size_t i = 0; i < size; i++)
        wanted[i] = fd >= 0 ? byte_at(SEED, 4099 + i) : 0;
    errno = ERFKILL;
    right = gcmmap_copy_out(bytes, data, size) == (ssize_t)size && memcmp(bytes, wanted, size) == 0;
    right &= gcmmap_copy_out(bytes, data + 5001, 17) == 17 && memcmp(bytes, wanted + 5001, 17) == 0;
    ok(right && errno == ERFKILL, "%s: bytes come out", what);
    if (flags & GCMMAP_WRITE) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_at(SEED + 1, i);
        right = gcmmap_copy_in(data, bytes, size) == (ssize_t)size;
        right &= memcmp(data, bytes, size) == 0;
        bytes[9000] ^= 1;
        right &= gcmmap_copy_in(data + 9000, bytes + 9000, 1) == 1;
        ok(right && memcmp(data, bytes, size) == 0 && errno == ERFKILL, "%s: and go in", what);
        if (fd >= 0 && !(flags & GCMMAP_PRIVATE)) {
            need(pread(fd, wanted, size, 4099) == (ssize_t)size, "pread");
            ok(memcmp(wanted, bytes, size) == 0, "%s: to the file", what);
        }
    } else {
        ok(in_gives(data, size, -1, EFAULT) && memcmp(data, wanted, size) == 0,
           "%s: nothing goes in", what);
    }
    ok(out_gives(data, 0, 0, 0) && out_gives(data + size, 0, 0, 0), "%s: no bytes", what);
    ok(out_gives(data, size + 1, -1, ERANGE) && in_gives(data + 1, size, -1, ERANGE) &&
           out_gives(data + size, 1, -1, ERANGE),
       "%s: more than there is", what);
    ok(gcmmap_close(region) == 0 && out_gives(data, 1, -1, EBADF) && in_gives(data, 1, -1, EBADF),
       "%s: closed", what);
    free(bytes);
    free(wanted);
}

static void test_kinds(void)
{
    int fd = make_file(SEED, LARGE + 2 * page);

    test_kind(fd, SIZE, GCMMAP_READ, "a file");
    test_kind(fd, SIZE, GCMMAP_READ | GCMMAP_BY_HANDLE, "by handle");
    test_kind(fd, SIZE, GCMMAP_WRITE | GCMMAP_PRIVATE, "a private file");
    test_kind(fd, LARGE, GCMMAP_READ | GCMMAP_TRACED, "20 MiB, traced");
    test_kind(fd, LARGE, GCMMAP_WRITE | GCMMAP_PRIVATE, "20 MiB, private");
    test_kind(-1, SIZE, GCMMAP_WRITE, "anonymous memory");
    test_kind(-1, SIZE, GCMMAP_WRITE | GCMMAP_POINTER_FREE, "pointer-free memory");
    test_kind(-1, LARGE, GCMMAP_WRITE, "20 MiB of anonymous memory");
    test_kind(fd, SIZE, GCMMAP_WRITE, "a shared file");
    close(fd);
}

static void test_secret(void)
{
    gcmmap_region *region = gcmmap_alloc(SIZE, GCMMAP_SECRET | GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region), bytes[3000];

    if (region == NULL) {
        ok(true, "secret memory # SKIP %s", strerror(errno));
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = byte_at(SEED, i);
    ok(gcmmap_copy_in(data + 3000, bytes, sizeof bytes) == sizeof bytes &&
           has_bytes(data + 3000, sizeof bytes, SEED, 0) && data[2999] == 0 && data[6000] == 0,
       "secret memory: bytes go in");
    memset(bytes, 0, sizeof bytes);
    ok(gcmmap_copy_out(bytes, data + 3000, sizeof bytes) == sizeof bytes &&
           has_bytes(bytes, sizeof bytes, SEED, 0),
       "and come out");
}

/* ---- what cannot --------------------------------------------------------------- */

/* A file of 10 pages is cut in its fifth. */
static void test_truncated(unsigned flags, const char *what)
{
    int fd = make_file(SEED, 10 * page);
    gcmmap_region *region = gcmmap_map(fd, 100, 10 * page - 100, flags);
    unsigned char *data = gcmmap_data(region), *bytes = malloc(10 * page);
    ssize_t left = (ssize_t)(5 * page - 100);

    need(data != NULL && ftruncate(fd, (off_t)(4 * page + 10)) == 0, what);
    errno = 0;
    ok(gcmmap_copy_out(bytes, data, 10 * page - 100) == left &&
           has_bytes(bytes, 4 * page - 90, SEED, 100) && errno == 0,
       "%s: what is left of a truncated file comes out", what);
    ok(out_gives(data + left, 5 * page, -1, EFAULT), "%s: the rest does not", what);
    ok(out_gives(data + left - 1, 2, 1, 0), "%s: one byte of two", what);
    ok(in_gives(data + 1, (size_t)left, flags & GCMMAP_WRITE ? left - 1 : -1,
                flags & GCMMAP_WRITE ? 0 : EFAULT) &&
           in_gives(data + left, 1, -1, EFAULT),
       "%s: nor does it go in", what);
    free(bytes);
    close(fd);
}

static void test_protected(void)
{
    gcmmap_region *region = gcmmap_alloc(10 * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);

    memset(data, 7, 10 * page);
    need(gcmmap_protect(data + 3 * page, page, GCMMAP_READ) == 0, "protect");
    need(gcmmap_protect(data + 6 * page, page, 0) == 0, "protect");
    ok(in_gives(data, 10 * page, (ssize_t)(3 * page), 0) && data[3 * page - 1] == 0 &&
           data[3 * page] == 7,
       "bytes go in up to a page that is protected against it");
    ok(in_gives(data + 3 * page, page, -1, EFAULT) && data[3 * page] == 7, "and not into that");
    ok(in_gives(data + 3 * page - 5, 6, 5, 0), "5 of 6");
    ok(out_gives(data, 10 * page, (ssize_t)(6 * page), 0) &&
           out_gives(data + 6 * page, 1, -1, EFAULT),
       "they come out up to a page without access");
    ok(in_gives(data + 6 * page, page, -1, EFAULT), "and do not go in there");
    need(gcmmap_protect(data + 6 * page, page, GCMMAP_READ) == 0, "protect");
    ok(data[6 * page] == 7 && data[7 * page - 1] == 7, "which is as it was");
}

static void test_bad_pointers(void)
{
    static unsigned char foreign[10];

    ok(out_gives(foreign, 1, -1, EINVAL) && in_gives(foreign, 1, -1, EINVAL) &&
           out_gives(NULL, 0, -1, EINVAL) && out_gives(GC_MALLOC(10), 1, -1, EINVAL),
       "pointers into no region");
}

static void test_without_descriptors(void)
{
    gcmmap_region *region = gcmmap_alloc(SIZE, 0);
    struct rlimit before, none;
    unsigned char *data = gcmmap_data(region);

    need(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
    none = before;
    none.rlim_cur = 0;
    need(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
    ok(out_gives(data, 10, is_forbidden ? -1 : 10, is_forbidden ? EMFILE : 0),
       "without descriptors: %s", is_forbidden ? "EMFILE" : "as with them");
    need(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit");
}

/* ---- several threads -------------------------------------------------------------- */

static _Atomic(unsigned char *) target;
static atomic_bool enough;

static void *copy_all_the_time(void *arg)
{
    size_t *n_wrong = arg;
    unsigned char *bytes = malloc(3 * MiB);

    while (!atomic_load(&enough)) {
        unsigned char *data = atomic_load(&target);
        ssize_t n = data == NULL ? 0 : gcmmap_copy_out(bytes, data, 3 * MiB);

        if (n < 0)
            *n_wrong += errno != EBADF && errno != EINVAL;
        for (ssize_t i = 0; i < n; i += 1000)
            *n_wrong += bytes[i] > 1; /* 0: the next region, in the same place */
    }
    free(bytes);
    return NULL;
}

static void test_closing(void)
{
    pthread_t thread;
    size_t n_wrong = 0;

    need(pthread_create(&thread, NULL, copy_all_the_time, &n_wrong) == 0, "thread");
    for (int i = 0; i < 60; i++) {
        gcmmap_region *region = gcmmap_alloc(3 * MiB, GCMMAP_POINTER_FREE);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        memset(data, 1, 3 * MiB);
        atomic_store(&target, data);
        sched_yield();
        if (i % 2)
            gcmmap_close(region);
        else
            gcmmap_unmap_now(region);
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    atomic_store(&enough, false);
    atomic_store(&target, NULL);
    ok(n_wrong == 0, "copies of a region that another thread closes (%zu wrong)", n_wrong);
}

/* What was copied into traced memory is found by a collection that is under way. */
static void test_traced(void)
{
    gcmmap_region *region = gcmmap_alloc(20 * page, 0);
    void **data = gcmmap_data(region);
    size_t n_wrong = 0;

    need(data != NULL, "region");
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 20 * page / sizeof *data; i += 64) {
            size_t *object = GC_MALLOC(64);

            *object = ~i;
            n_wrong += gcmmap_copy_in(&data[i], &object, sizeof object) != sizeof object;
            object = NULL;
            if (i % 1024 == 0)
                (void)GC_collect_a_little();
        }
        for (size_t i = 0; i < 20 * page / sizeof *data; i += 64)
            n_wrong += *(size_t *)data[i] != ~i;
        if (round % 10 == 9)
            collect_with_noise();
    }
    ok(n_wrong == 0, "pointers copied into traced memory keep objects (%zu wrong)", n_wrong);
}

static void test_all(void)
{
    test_kinds();
    test_truncated(GCMMAP_READ, "shared");
    test_truncated(GCMMAP_WRITE, "writable");
    test_truncated(GCMMAP_WRITE | GCMMAP_PRIVATE, "private");
    test_truncated(GCMMAP_READ | GCMMAP_BY_HANDLE, "by handle");
    test_protected();
    test_bad_pointers();
    test_secret();
    test_without_descriptors();
    test_closing();
    test_traced();
}

int main(int n_arguments, char **arguments)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_all();
    ok(n_calls > 0, "the kernel copied (%zu calls)", n_calls);
    note("process_vm_readv(2) is forbidden");
    is_forbidden = true;
    test_all();
    if (n_arguments == 1 && !GC_is_incremental_mode()) {
        pid_t child;
        int status;

        fflush(stdout);
        child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            setenv("GC_ENABLE_INCREMENTAL", "1", 1);
            setenv("GC_USE_GETWRITEWATCH", "0", 1);
            need(freopen("/dev/null", "w", stdout) != NULL, "/dev/null");
            execl("/proc/self/exe", arguments[0], "again", (char *)NULL);
            _exit(99);
        }
        need(waitpid(child, &status, 0) == child, "waitpid");
        ok(status == 0, "all of this where collections are incremental (%#x)", (unsigned)status);
    }
    return done_testing();
}
