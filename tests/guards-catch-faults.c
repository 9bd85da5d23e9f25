/*
 * A guard turns a fault of a region into an error that says what it was: truncated files,
 * closed regions, protected pages, overruns; nested, in several threads, by a callback.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>

#define SEED 73
#define SIZE ((size_t)100000)

static size_t page;
static volatile unsigned char sink;

/* One access in a guard.  0: it succeeds; else the kind. */
static __attribute__((noinline)) int touch(volatile unsigned char *at, bool write,
                                           gcmmap_fault *fault)
{
    gcmmap_guard guard;

    memset(&guard, 0xff, sizeof guard);
    if (GCMMAP_TRY(guard)) {
        if (write)
            *at = 1;
        else
            sink = *at;
        gcmmap_guard_leave(&guard);
        return 0;
    }
    *fault = guard.fault;
    return guard.fault.kind;
}

static bool is_code_of(const void *address, uintptr_t function)
{
    return (uintptr_t)address - function < 4096;
}

static __attribute__((noinline)) gcmmap_region *map_here(int fd, size_t offset, size_t size,
                                                         unsigned flags, const char *name)
{
    gcmmap_options options = { .name = name };
    gcmmap_region *region = fd < 0 ? gcmmap_alloc_with(size, flags, &options)
                                   : gcmmap_map_with(fd, (off_t)offset, size, flags, &options);

    need(region != NULL, "region");
    return region;
}

static __attribute__((noinline)) void close_here(gcmmap_region *region)
{
    need(gcmmap_close(region) == 0, "close");
}

/* What every description holds. */
static bool describes(const gcmmap_fault *fault, gcmmap_region *region, const unsigned char *data,
                      size_t at, size_t size, int signal, bool write, const char *name)
{
    static const gcmmap_fault none;
    bool right = memcmp(fault->reserved, none.reserved, sizeof none.reserved) == 0 &&
                 fault->region == region && fault->address == data + at &&
                 fault->offset == (ptrdiff_t)at && fault->size == size && fault->signal == signal &&
                 (fault->is_write == write || fault->is_write == -1) &&
                 strcmp(fault->name, name) == 0 &&
                 is_code_of(fault->mapped_by, (uintptr_t)map_here);

    if (!right)
        note("region %p (%p), address %p (%p), offset %td (%zu), size %zu (%zu), signal %d (%d), "
             "write %d (%d), name %s (%s), mapped by %p",
             (void *)fault->region, (void *)region, fault->address, (void *)(data + at),
             fault->offset, at, fault->size, size, fault->signal, signal, fault->is_write, write,
             fault->name, name, fault->mapped_by);
    return right;
}

/* ---- kinds -------------------------------------------------------------------------- */

/* By name: closed descriptor, so the file is found by its path. */
static void test_truncated(unsigned flags, bool room, bool unlinked, const char *what)
{
    char path[32];
    int fd, kind, wanted = unlinked && !room ? GCMMAP_FAULT_FILE : GCMMAP_FAULT_TRUNCATED;
    gcmmap_options options = { .room = room ? SIZE : 0, .name = "words" };
    gcmmap_region *region;
    unsigned char *data;
    gcmmap_fault fault;

    make_named_file(path, SEED, SIZE);
    fd = open(path, O_RDWR);
    region = gcmmap_map_with(fd, 5000, SIZE - 5000, flags, &options);
    data = gcmmap_data(region);
    need(data != NULL && ftruncate(fd, 6000) == 0, "region");
    close(fd);
    if (unlinked)
        unlink(path);
    errno = ERFKILL;
    kind = touch(data, false, &fault);
    ok(kind == 0 && touch(data + page, false, &fault) == wanted && errno == ERFKILL,
       "%s: the page that the file's end is in is there, the next one is not", what);
    ok(fault.signal == SIGBUS && fault.address == data + page && fault.region == region &&
           fault.offset == (ptrdiff_t)page && fault.size == SIZE - 5000 &&
           strcmp(fault.name, "words") == 0 && fault.is_write <= 0 && fault.closed_by == NULL,
       "%s: region, offset, name", what);
    ok(fault.file_size == (wanted == GCMMAP_FAULT_FILE ? -1 : 6000) &&
           fault.file_offset == 5000 + (int64_t)page,
       "%s: the file's size and offset (%ld, %ld)", what, (long)fault.file_size,
       (long)fault.file_offset);
    if (flags & GCMMAP_WRITE)
        ok(touch(data + page, true, &fault) == wanted && fault.is_write != 0, "%s: stores", what);
    if (!unlinked) {
        need(truncate(path, SIZE) == 0, "truncate");
        ok(touch(data + page, false, &fault) == 0 && data[page] == 0,
           "%s: when the file has the page again, so has the region", what);
        unlink(path);
    }
}

static void test_path(void)
{
    char path[32], other[64];
    int fd;
    gcmmap_region *region;
    unsigned char *data;
    gcmmap_fault fault;

    make_named_file(path, SEED, SIZE);
    region = gcmmap_open(path, GCMMAP_READ);
    data = gcmmap_data(region);
    need(data != NULL && truncate(path, 0) == 0, "region");
    ok(touch(data, false, &fault) == GCMMAP_FAULT_TRUNCATED && strcmp(fault.name, path) == 0 &&
           fault.file_size == 0 && fault.file_offset == 0,
       "gcmmap_open(): the path is the name");
    need(gcmmap_close(region) == 0, "close");
    need(truncate(path, SIZE) == 0, "truncate");
    fd = open(path, O_RDONLY);
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    close(fd);
    data = gcmmap_data(region);
    need(data != NULL && truncate(path, 1) == 0, "region");
    ok(touch(data + page, false, &fault) == GCMMAP_FAULT_TRUNCATED &&
           strcmp(fault.name, path) == 0 && fault.file_size == 1,
       "gcmmap_map(): the system knows the path");
    unlink(path);
    ok(touch(data + page, false, &fault) == GCMMAP_FAULT_FILE, "without it nobody knows the size");
    /* /proc/self/maps says that now. */
    strcat(strcpy(other, path), " (deleted)");
    fd = open(other, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd >= 0 && ftruncate(fd, (off_t)SIZE) == 0, other);
    close(fd);
    ok(touch(data + page, false, &fault) == GCMMAP_FAULT_FILE && fault.file_size == -1,
       "nor is another file taken for it");
    unlink(other);
}

static void test_protected(unsigned flags, const char *what)
{
    int fd = make_file(SEED, SIZE);
    gcmmap_region *region = map_here(fd, 4096, 9 * page, flags, what);
    unsigned char *data = gcmmap_data(region);
    gcmmap_fault fault;

    if (!(flags & GCMMAP_WRITE)) {
        ok(touch(data + 7, false, &fault) == 0 &&
               touch(data + 7, true, &fault) == GCMMAP_FAULT_PROTECTED &&
               describes(&fault, region, data, 7, 9 * page, SIGSEGV, true, what),
           "%s: a store into what is to be read", what);
    } else {
        ok(touch(data + 7, true, &fault) == 0, "%s: a store", what);
    }
    need(gcmmap_protect(data + page, page, 0) == 0, "protect");
    ok(touch(data + page - 1, false, &fault) == 0 &&
           touch(data + page, false, &fault) == GCMMAP_FAULT_PROTECTED &&
           describes(&fault, region, data, page, 9 * page, SIGSEGV, false, what) &&
           fault.file_offset == 4096 + (int64_t)page && fault.file_size == -1,
       "%s: a load where access was taken away", what);
    close_here(region);
    ok(touch(data + 3, false, &fault) == GCMMAP_FAULT_CLOSED &&
           describes(&fault, region, data, 3, 9 * page, SIGSEGV, false, what) &&
           is_code_of(fault.closed_by, (uintptr_t)close_here),
       "%s: closed", what);
    ok(touch(data + 9 * page - 1, true, &fault) == GCMMAP_FAULT_CLOSED, "%s: its end, too", what);
    close(fd);
}

static void test_outside(unsigned flags, const char *what)
{
    gcmmap_options options = { .room = 20 * page, .name = what };
    gcmmap_region *region = map_here(-1, 0, 9 * page, flags, what);
    unsigned char *data = gcmmap_data(region);
    gcmmap_fault fault;

    if (flags & GCMMAP_GUARDED)
        ok(touch(data - 1, true, &fault) == GCMMAP_FAULT_OUTSIDE && fault.offset == -1 &&
               fault.region == region,
           "%s: an underrun", what);
    if (!(flags & GCMMAP_BY_HANDLE) || (flags & GCMMAP_GUARDED))
        ok(touch(data + 9 * page, true, &fault) == GCMMAP_FAULT_OUTSIDE &&
               describes(&fault, region, data, 9 * page, 9 * page, SIGSEGV, true, what),
           "%s: an overrun", what);
    region = gcmmap_alloc_with(10 * page, flags, &options);
    data = gcmmap_data(region);
    need(data != NULL, "region");
    ok(touch(data + 15 * page, false, &fault) == GCMMAP_FAULT_OUTSIDE && fault.region == region,
       "%s: in the room behind it", what);
    need(gcmmap_extend(region, 16 * page) == 0, "extend");
    ok(touch(data + 15 * page, false, &fault) == 0, "%s: when it has grown", what);
    need(gcmmap_truncate(region, 3 * page) == 0, "truncate");
    ok(touch(data + 3 * page, false, &fault) == GCMMAP_FAULT_OUTSIDE && fault.size == 3 * page &&
           fault.offset == (ptrdiff_t)(3 * page),
       "%s: when it has shrunk", what);
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_large(void)
{
    gcmmap_region *region = map_here(-1, 0, 50 * MiB, GCMMAP_POINTER_FREE, "large");
    unsigned char *data = gcmmap_data(region);
    bool right = true;
    gcmmap_fault fault;

    close_here(region);
    for (size_t at = 0; at < 50 * MiB; at += MiB)
        right &= touch(data + at, false, &fault) == GCMMAP_FAULT_CLOSED &&
                 describes(&fault, region, data, at, 50 * MiB, SIGSEGV, false, "large");
    ok(right, "all over a region of several blocks");
}

static void test_long_name(void)
{
    char name[1000];
    gcmmap_region *region;
    gcmmap_fault fault;

    for (size_t i = 0; i < sizeof name - 1; i++)
        name[i] = (char)('a' + i % 26);
    name[sizeof name - 1] = '\0';
    region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, name);
    gcmmap_slice bytes = gcmmap_bytes(region);
    close_here(region);
    ok(touch(bytes.data, false, &fault) == GCMMAP_FAULT_CLOSED &&
           strcmp(fault.name, name + sizeof name - sizeof fault.name) == 0,
       "of a long name the end is told");
}

/* Others have their addresses afterwards: whom a fault is told to be of is exact. */
static void test_reuse(void)
{
    static gcmmap_region *regions[300];
    size_t n_wrong = 0;
    gcmmap_fault fault;

    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 300; i++) {
            char name[16];

            snprintf(name, sizeof name, "%zu.%zu", round, i);
            regions[i] = map_here(-1, 0, page * (1 + i % 3),
                                  GCMMAP_POINTER_FREE | (i % 5 == 0 ? GCMMAP_BY_HANDLE : 0), name);
        }
        for (size_t i = 0; i < 300; i++) {
            gcmmap_slice bytes = gcmmap_bytes(regions[i]);
            char name[16];

            snprintf(name, sizeof name, "%zu.%zu", round, i);
            close_here(regions[i]);
            n_wrong += touch(bytes.data, true, &fault) != GCMMAP_FAULT_CLOSED ||
                       !describes(&fault, regions[i], bytes.data, 0, page * (1 + i % 3), SIGSEGV,
                                  true, name);
        }
        for (size_t i = 0; i < 300; i++)
            if (i % 2 == round % 2)
                need(gcmmap_unmap_now(regions[i]) == 0, "unmap");
        clear_roots(regions, sizeof regions);
        collect_thoroughly();
    }
    ok(n_wrong == 0, "900 regions, one after the other in the same places (%zu wrong)", n_wrong);
}

/* ---- nesting --------------------------------------------------------------------------- */

static void test_nesting(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "nested");
    unsigned char *data = gcmmap_data(region);
    volatile int inner = 0, outer = 0, second = 0;
    gcmmap_guard guard, nested, never;

    close_here(region);
    if (GCMMAP_TRY(guard)) {
        if (GCMMAP_TRY(nested))
            sink = data[1];
        else
            inner = (int)nested.fault.offset;
        if (GCMMAP_TRY(nested)) {
            gcmmap_guard_leave(&nested);
            gcmmap_guard_leave(&nested);
        }
        sink = data[2];
    } else {
        outer = (int)guard.fault.offset;
    }
    ok(inner == 1 && outer == 2, "the innermost guard catches, then the one around it");
    if (GCMMAP_TRY(guard)) {
        if (GCMMAP_TRY(nested)) {
            memset(&never, 0x5a, sizeof never);
            gcmmap_guard_leave(&never);
            gcmmap_guard_leave(&guard); /* both */
        }
    }
    ok(fault_of_access(data, false) == SIGSEGV, "leaving the outer one leaves both");
    for (volatile int i = 0; i < 1000; i++)
        if (GCMMAP_TRY(guard))
            data[i] = 1;
        else
            second += guard.fault.offset == i && guard.fault.is_write != 0;
    ok(second == 1000, "a thousand times");
}

static void touch_it(void *arg)
{
    sink = *(unsigned char *)arg;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void test_callback(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "callback");
    unsigned char *data = gcmmap_data(region);
    gcmmap_fault fault = { .kind = -1 };

    errno = ERFKILL;
    ok(gcmmap_try(touch_it, data, &fault) == 0 && gcmmap_try(do_nothing, data, NULL) == 0 &&
           errno == ERFKILL && fault.kind == -1,
       "gcmmap_try(): nothing happens");
    close_here(region);
    ok(gcmmap_try(touch_it, data, &fault) == -1 && errno == EFAULT &&
           fault.kind == GCMMAP_FAULT_CLOSED &&
           describes(&fault, region, data, 0, page, SIGSEGV, false, "callback"),
       "a fault");
    ok(gcmmap_try(touch_it, data, NULL) == -1 && errno == EFAULT, "of no interest");
}

/* ---- signal mask, alternate stack ------------------------------------------------------- */

static void test_mask(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "mask");
    unsigned char *data = gcmmap_data(region);
    sigset_t wanted, now;
    gcmmap_fault fault;
    bool right = true;

    close_here(region);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR2);
    need(pthread_sigmask(SIG_SETMASK, &wanted, NULL) == 0, "mask");
    for (int i = 0; i < 3; i++)
        right &= touch(data, false, &fault) == GCMMAP_FAULT_CLOSED;
    need(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0, "mask");
    for (int i = 1; i < 32; i++)
        right &= sigismember(&now, i) == (i == SIGUSR2);
    ok(right, "afterwards the signal mask is what it was");
    sigemptyset(&wanted);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
}

static void test_alternate_stack(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "stack");
    unsigned char *data = gcmmap_data(region);
    size_t n_bytes = (size_t)MINSIGSTKSZ + 8192;
    unsigned char *memory = calloc(1, n_bytes);
    stack_t stack = { .ss_sp = memory, .ss_size = n_bytes }, none = { .ss_flags = SS_DISABLE };
    gcmmap_fault fault;
    bool right = true, used = false;

    close_here(region);
    need(sigaltstack(&stack, NULL) == 0, "sigaltstack");
    for (int i = 0; i < 5; i++)
        right &= touch(data + i, false, &fault) == GCMMAP_FAULT_CLOSED && fault.offset == i;
    for (size_t i = 0; i < n_bytes; i++)
        used |= memory[i] != 0;
    ok(right && used, "on an alternate stack");
    need(sigaltstack(&none, NULL) == 0, "sigaltstack");
    free(memory);
}

/* ---- threads ------------------------------------------------------------------------------ */

static void *touch_all_the_time(void *arg)
{
    unsigned char *data = arg;
    size_t n_wrong = 0;
    gcmmap_fault fault;

    for (size_t i = 0; i < 20000; i++)
        n_wrong += touch(data + i % page, i & 1, &fault) != GCMMAP_FAULT_CLOSED ||
                   fault.offset != (ptrdiff_t)(i % page);
    return (void *)n_wrong;
}

static void test_threads(void)
{
    pthread_t threads[4];
    size_t n_wrong = 0;

    for (int i = 0; i < 4; i++) {
        gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "threads");
        unsigned char *data = gcmmap_data(region);

        close_here(region);
        need(pthread_create(&threads[i], NULL, touch_all_the_time, data) == 0, "thread");
    }
    for (int i = 0; i < 200; i++) /* meanwhile others come and go */
        need(gcmmap_unmap_now(gcmmap_alloc(page, 0)) == 0, "unmap");
    for (int i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        n_wrong += (size_t)result;
    }
    ok(n_wrong == 0, "four threads, 20,000 faults each (%zu wrong)", n_wrong);
}

/* A guard of this thread is none of that thread's. */
static void *die_unguarded(void *arg)
{
    sink = *(unsigned char *)arg;
    return NULL;
}

static int guard_and_let_other_die(void *arg)
{
    gcmmap_guard guard;
    pthread_t thread;

    if (!GCMMAP_TRY(guard))
        return 1;
    if (pthread_create(&thread, NULL, die_unguarded, arg) != 0)
        return 2;
    pthread_join(thread, NULL);
    return 3;
}

static void test_other_thread(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "other thread");
    unsigned char *data = gcmmap_data(region);

    close_here(region);
    /* The collector's handler makes the page readable. */
    ok(run_in_child(guard_and_let_other_die, data) == (collector_write_protects() ? 3 : -SIGSEGV),
       "a thread's guard does not catch what another does");
}

/* In a child of fork(). */
static int touch_in_child(void *arg)
{
    gcmmap_fault fault;

    return touch(arg, false, &fault);
}

static void test_child(void)
{
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE, "child");
    unsigned char *data = gcmmap_data(region);

    close_here(region);
    ok(run_in_child(touch_in_child, data) == GCMMAP_FAULT_CLOSED, "in a forked child");
    region = map_here(-1, 0, page, GCMMAP_POINTER_FREE | GCMMAP_NO_FORK, "child");
    data = gcmmap_data(region);
    ok(run_in_child(touch_in_child, data) == GCMMAP_FAULT_CLOSED && data[0] == 0,
       "which does not get a region");
}

/* ---- what no guard is for --------------------------------------------------------------- */

#define CAUGHT 2 /* exit status */

static gcmmap_region *volatile closed_region; /* the handle keeps it */

static unsigned char *closed_bytes(void)
{
    /* Outside the heap, where the collector makes nothing readable. */
    gcmmap_region *region = map_here(-1, 0, page, GCMMAP_POINTER_FREE | GCMMAP_BY_HANDLE, "closed");
    unsigned char *data = gcmmap_data(region);

    closed_region = region;
    close_here(region);
    return data;
}

/* Static: what is left of it is the same as while it was entered. */
static int die_when_left(void *closed)
{
    static gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        gcmmap_guard_leave(&guard);
        sink = *(volatile unsigned char *)closed;
    }
    return CAUGHT;
}

static int die_when_overwritten(void *closed)
{
    static gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        guard.check++; /* as if its frame was gone */
        sink = *(volatile unsigned char *)closed;
    }
    return CAUGHT;
}

static int leave_past_overwritten(void *closed)
{
    static gcmmap_guard outer, inner;

    (void)closed;
    if (GCMMAP_TRY(outer) && GCMMAP_TRY(inner)) {
        memset(&inner, 0x5a, sizeof inner);
        gcmmap_guard_leave(&outer);
        return 0;
    }
    return CAUGHT;
}

/* It left by a jump, and other calls have used its stack since. */
static int leave_past_a_jump(void *closed)
{
    static gcmmap_guard around, outer, inner, never;

    if (GCMMAP_TRY(around)) {
        if (GCMMAP_TRY(outer) && GCMMAP_TRY(inner))
            memset(&inner, 0x5a, sizeof inner);
        memset(&never, 0x5a, sizeof never);
        gcmmap_guard_leave(&never);
        gcmmap_guard_leave(&outer);
        gcmmap_guard_leave(&outer);
        sink = *(volatile unsigned char *)closed;
        return 1;
    }
    return around.fault.kind == GCMMAP_FAULT_CLOSED ? CAUGHT : 1;
}

static int die_after_try(void *closed)
{
    need(gcmmap_try(do_nothing, NULL, NULL) == 0, "gcmmap_try");
    sink = *(volatile unsigned char *)closed;
    return CAUGHT;
}

static int die_when_sent(void *closed)
{
    static gcmmap_guard guard;

    if (GCMMAP_TRY(guard))
        send_to_self(SIGSEGV, SI_QUEUE, closed);
    return CAUGHT;
}

static int die_when_sent_to_policy(void *lost)
{
    static gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) /* the handler is there */
        gcmmap_guard_leave(&guard);
    send_to_self(SIGBUS, SI_QUEUE, lost);
    return CAUGHT;
}

/* Where the collector protects pages its handler ends the process. */
static bool dies(int (*fn)(void *), void *arg, int signal)
{
    int status = run_in_child(fn, arg);

    return status == -signal || (collector_write_protects() && status == -SIGABRT);
}

static void test_not_caught(void)
{
    unsigned char *closed = closed_bytes();
    int fd = make_file(SEED, SIZE);
    gcmmap_region *region = map_here(fd, 0, SIZE, GCMMAP_READ | GCMMAP_ZERO_FILL, "lost");

    need(ftruncate(fd, 0) == 0, "truncate");
    ok(dies(die_when_left, closed, SIGSEGV), "a guard that was left catches nothing");
    ok(dies(die_when_overwritten, closed, SIGSEGV), "nor one whose frame is gone");
    ok(run_in_child(leave_past_overwritten, NULL) == 0, "guards are left past such ones");
    ok(run_in_child(leave_past_a_jump, closed) == CAUGHT, "and the guard around them catches");
    ok(dies(die_after_try, closed, SIGSEGV), "gcmmap_try() leaves its guard");
    ok(dies(die_when_sent, closed, SIGSEGV),
       "a signal that was sent is not caught, whatever address comes with it");
    ok(dies(die_when_sent_to_policy, gcmmap_data(region), SIGBUS), "nor answered with zeros");
    close(fd);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_truncated(GCMMAP_READ, false, false, "a file");
    test_truncated(GCMMAP_READ | GCMMAP_BY_HANDLE, false, false, "by handle");
    test_truncated(GCMMAP_WRITE, false, false, "a writable file");
    test_truncated(GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE, false, false,
                   "a private file");
    test_truncated(GCMMAP_READ, false, true, "an unlinked file");
    test_truncated(GCMMAP_READ, true, true, "an unlinked file with room");
    test_truncated(GCMMAP_READ, true, false, "a file with room");
    test_path();
    test_protected(GCMMAP_READ, "readable");
    test_protected(GCMMAP_READ | GCMMAP_BY_HANDLE, "readable, by handle");
    test_protected(GCMMAP_WRITE, "writable");
    test_protected(GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE, "private");
    test_outside(GCMMAP_POINTER_FREE, "anonymous memory");
    test_outside(GCMMAP_POINTER_FREE | GCMMAP_BY_HANDLE, "anonymous memory by handle");
    if (!collector_write_protects()) /* the collector would lift the guards */
        test_outside(GCMMAP_POINTER_FREE | GCMMAP_GUARDED, "guarded memory");
    test_outside(GCMMAP_POINTER_FREE | GCMMAP_GUARDED | GCMMAP_BY_HANDLE, "the same by handle");
    test_large();
    test_long_name();
    test_reuse();
    test_nesting();
    test_callback();
    test_mask();
    test_alternate_stack();
    test_threads();
    test_other_thread();
    test_child();
    test_not_caught();
    return done_testing();
}
