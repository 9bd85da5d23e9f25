/*
 * Zeros in place of pages that a file does not have any more: what the callback is told of a
 * region from the middle of a file; a page that the file still has the beginning of; a region that is
 * closed, or shrinks, while the callback makes up its mind; errno, whatever the callback does to it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

#define N_PAGES 8u

static size_t page;
static volatile unsigned char sink;

struct question {
    int answer, error;
    atomic_int n_asked; /* 2: it may be answered */
    bool waits;
    gcmmap_fault fault;
};

static int answer(const gcmmap_fault *fault, void *data)
{
    struct question *question = data;

    question->fault = *fault;
    atomic_fetch_add(&question->n_asked, 1);
    while (question->waits && atomic_load(&question->n_asked) < 2)
        (void)sched_yield();
    errno = question->error;
    return question->answer;
}

static gcmmap_region *map_asked(struct question *question, size_t offset, size_t left)
{
    gcmmap_options options = { .truncated = answer, .data = question, .name = "asked" };
    int fd = make_file(1, N_PAGES * page);
    gcmmap_region *region;

    if (question->waits)
        options.room = N_PAGES * page;
    region = gcmmap_map_with(fd, (off_t)offset, N_PAGES * page - offset, GCMMAP_WRITE, &options);
    need(region != NULL && ftruncate(fd, (off_t)left) == 0, "region");
    close(fd);
    return region;
}

static __attribute__((noinline)) int touch(volatile unsigned char *at, gcmmap_fault *fault)
{
    gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        sink = *at;
        gcmmap_guard_leave(&guard);
        return 0;
    }
    *fault = guard.fault;
    return guard.fault.kind;
}

static void test_offset(size_t offset)
{
    struct question question = { .answer = GCMMAP_TRUNCATED_ZEROS };
    gcmmap_region *region = map_asked(&question, offset, 2 * page + 7);
    unsigned char *data = gcmmap_data(region);
    size_t at = 3 * page - offset;
    gcmmap_fault fault;

    ok(touch(data + at - 1, &fault) == 0 && atomic_load(&question.n_asked) == 0,
       "from %zu on: the page that the file's end is in is there", offset);
    ok(touch(data + at + 9, &fault) == 0 && sink == 0 && atomic_load(&question.n_asked) == 1 &&
           question.fault.kind == GCMMAP_FAULT_TRUNCATED &&
           question.fault.offset == (ptrdiff_t)(at + 9) &&
           question.fault.file_offset == (int64_t)(3 * page + 9) &&
           question.fault.file_size == (int64_t)(2 * page + 7) && question.fault.region == region &&
           strcmp(question.fault.name, "asked") == 0,
       "the next one is asked for, and offset and size of the file are told");
    ok(gcmmap_zero_filled(region) == page, "one page is zeros");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_errno(void)
{
    struct question question = { .answer = GCMMAP_TRUNCATED_ZEROS, .error = ENOSYS };
    gcmmap_region *region = map_asked(&question, 0, 1);
    unsigned char *data = gcmmap_data(region);
    gcmmap_fault fault;

    errno = ERFKILL;
    ok(touch(data + page, &fault) == 0 && errno == ERFKILL, "errno: zeros");
    question.answer = GCMMAP_TRUNCATED_DEFAULT;
    errno = ERFKILL;
    ok(touch(data + 2 * page, &fault) == GCMMAP_FAULT_TRUNCATED && errno == ERFKILL,
       "errno: an error in a guard");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- meanwhile ---------------------------------------------------------------------------- */

struct access {
    unsigned char *at;
    int kind;
};

static void *touch_it(void *arg)
{
    struct access *access = arg;
    gcmmap_fault fault;

    access->kind = touch(access->at, &fault);
    return NULL;
}

/* Another thread asks, and gets its answer when the page has gone. */
static void test_meanwhile(size_t n_left, const char *what)
{
    static struct question question;
    struct access access;
    gcmmap_region *region;
    pthread_t thread;
    int wanted = n_left == 0 ? GCMMAP_FAULT_CLOSED : GCMMAP_FAULT_OUTSIDE;

    question = (struct question){ .answer = GCMMAP_TRUNCATED_ZEROS, .waits = true };
    region = map_asked(&question, 0, 0);
    access.at = (unsigned char *)gcmmap_data(region) + n_left;
    need(GC_pthread_create(&thread, NULL, touch_it, &access) == 0, "thread");
    while (atomic_load(&question.n_asked) == 0)
        (void)sched_yield();
    need((n_left == 0 ? gcmmap_close(region) : gcmmap_truncate(region, n_left)) == 0, "change");
    atomic_fetch_add(&question.n_asked, 1);
    need(GC_pthread_join(thread, NULL) == 0, "join");
    ok(access.kind == wanted, "%s: no zeros come behind it (%d)", what, access.kind);
    ok(fault_of_access(access.at, false) == SIGSEGV && gcmmap_zero_filled(region) == 0,
       "%s: it stays inaccessible", what);
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- a full disk -------------------------------------------------------------------------- */

/* A page that the file has the first byte of, and for which there is no room. */
static int store_behind_end(void *arg)
{
    const size_t size = 1 << 20;
    gcmmap_region *region;
    int fd;

    (void)arg;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/mnt", "tmpfs", 0, "size=64k") != 0)
        return 77;
    fd = open("/mnt/gcmmap-test", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0 && ftruncate(fd, 2 * (off_t)size) == 0, "file");
    region = gcmmap_map(fd, 0, 2 * size, GCMMAP_WRITE | GCMMAP_ZERO_FILL);
    need(region != NULL && ftruncate(fd, (off_t)size + 1) == 0, "region");
    while (write(fd, &fd, sizeof fd) > 0) /* until the disk is full */
        continue;
    ((volatile unsigned char *)gcmmap_data(region))[size + 100] = 1;
    return 1;
}

static void test_full_disk(void)
{
    int result = run_in_child(store_behind_end, NULL);

    if (result == 77)
        ok(true, "a full disk # SKIP nothing can be mounted");
    else
        ok(died_of(SIGBUS, result), "a page that the file's end is in, on a full disk (%d)",
           result);
}

int main(void)
{
    GC_INIT();
    GC_allow_register_threads();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_offset(0);
    test_offset(page);
    test_offset(page + 77);
    test_errno();
    test_full_disk();
    if (collector_write_protects())
        return done_testing(); /* it makes pages accessible that must not be */
    test_meanwhile(0, "closed");
    test_meanwhile(page, "shrunk");
    return done_testing();
}
