/*
 * While threads protect, sync, advise, lock ... a region as fast as they can, another closes
 * it: from the moment that gcmmap_close() returns nothing can be read there ever again, and
 * nobody's operation meets what is mapped there next.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#define N_THREADS 2
#define SIZE (64 * (size_t)4096)

static _Atomic(unsigned char *) target;
static atomic_bool enough;
static atomic_ulong n_done[N_THREADS], n_refused;
static atomic_ulong n_wrong;

static int protect_again(unsigned char *p, size_t size)
{
    int result = gcmmap_protect(p, size, 0);

    return result == 0 ? gcmmap_protect(p, size, GCMMAP_WRITE) : result;
}

static int sync_both(unsigned char *p, size_t size)
{
    return gcmmap_sync(p, size, GCMMAP_ASYNC);
}

static int advise(unsigned char *p, size_t size)
{
    int result = gcmmap_advise(p, size, GCMMAP_ADVISE_RANDOM);

    return result == 0 ? gcmmap_advise(p, size, GCMMAP_ADVISE_POPULATE_WRITE) : result;
}

static int lock(unsigned char *p, size_t size)
{
    int result = gcmmap_lock(p, size < 16384 ? size : 16384);

    return result == 0 ? gcmmap_unlock(p, size) : result;
}

static int ask(unsigned char *p, size_t size)
{
    return gcmmap_residency(p, size, NULL, 0, NULL);
}

static int unload(unsigned char *p, size_t size)
{
    return gcmmap_unload(p, size);
}

static int (*const operations[])(unsigned char *p, size_t size) = {
    protect_again, advise, protect_again, lock, sync_both, ask, unload,
};

static void *operate(void *arg)
{
    atomic_ulong *count = arg;
    uint64_t state = (uint64_t)(count - n_done) + 1;

    while (!atomic_load(&enough)) {
        unsigned char *data = atomic_load(&target);
        size_t from = next_random(&state) % SIZE, size = next_random(&state) % (SIZE - from);
        /* One thread only changes access: that is what could reopen. */
        size_t which = count == n_done ? 0 : next_random(&state) % 7;

        errno = 0;
        if (data == NULL)
            sched_yield();
        else if (operations[which](data + from, size) != 0) {
            /* Access may be changed by others meanwhile, and memory be locked. */
            if (errno == EBADF) {
                atomic_fetch_add(&n_refused, 1);
                sched_yield();
            } else if (errno == ENOTSUP && collector_write_protects()) {
                sched_yield(); /* traced memory is the collector's to protect */
            } else if (errno != EFAULT && errno != EBUSY && errno != ENOMEM && errno != EAGAIN &&
                       errno != EINVAL) {
                atomic_fetch_add(&n_wrong, 1);
            }
        }
        atomic_fetch_add(count, 1);
    }
    return NULL;
}

/* Until each thread has begun an operation after now, and ended it. */
static void let_all_operate(void)
{
    for (int i = 0; i < N_THREADS; i++)
        for (unsigned long before = atomic_load(&n_done[i]); atomic_load(&n_done[i]) < before + 2;)
            sched_yield();
}

static unsigned count_open(unsigned char *data)
{
    unsigned n_open = 0;

    for (size_t at = 0; at < SIZE; at += SIZE / 16)
        n_open += fault_of_access(data + at, false) != SIGSEGV;
    return n_open;
}

/* Whether its second half is an inaccessible mapping of nothing. */
static bool is_half_vacant(const unsigned char *data)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    bool vacant = true;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to, inode;
        char permissions[5];

        if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &from, &to, permissions, &inode) == 4 &&
            from < (uintptr_t)data + SIZE && to > (uintptr_t)data + SIZE / 2)
            vacant &= strcmp(permissions, "---p") == 0 && inode == 0;
    }
    fclose(maps);
    return vacant;
}

static bool is_vacant(const unsigned char *data)
{
    return is_half_vacant(data) && is_half_vacant(data - SIZE / 2);
}

/* ---- one operation that takes its time --------------------------------------------- */

static _Thread_local bool is_slow; /* this thread, in its next system call */
static atomic_bool is_in_call, is_closed;
static atomic_uint n_overtaken;

/* Up to 20 ms, unless the region is closed before, which it must not be. */
static void dawdle(void)
{
    const struct timespec moment = { 0, 1000000 };

    if (!is_slow)
        return;
    is_slow = false;
    atomic_store(&is_in_call, true);
    for (int i = 0; i < 20 && !atomic_load(&is_closed); i++)
        nanosleep(&moment, NULL);
    atomic_fetch_add(&n_overtaken, atomic_load(&is_closed));
}

/* In front of the C library's: what the library calls are these. */
#define SLOW(name, parameters, ...)                                                                \
    __attribute__((visibility("default"))) int name parameters                                     \
    {                                                                                              \
        dawdle();                                                                                  \
        return (int)syscall(SYS_##name, __VA_ARGS__);                                              \
    }
SLOW(mprotect, (void *at, size_t n, int protection), at, n, protection)
SLOW(madvise, (void *at, size_t n, int advice), at, n, advice)
SLOW(msync, (void *at, size_t n, int flags), at, n, flags)
SLOW(mlock, (const void *at, size_t n), at, n)
SLOW(munlock, (const void *at, size_t n), at, n)
SLOW(mincore, (void *at, size_t n, unsigned char *pages), at, n, pages)

static int make_accessible(unsigned char *p, size_t size)
{
    return gcmmap_protect(p, size, GCMMAP_WRITE);
}

static int lock_all(unsigned char *p, size_t size)
{
    return gcmmap_lock(p, size);
}

static int unlock_all(unsigned char *p, size_t size)
{
    return gcmmap_unlock(p, size);
}

static int (*const slow_operations[])(unsigned char *p, size_t size) = {
    make_accessible, advise, sync_both, lock_all, unlock_all, ask, unload,
};

struct slow_call {
    int (*operation)(unsigned char *p, size_t size);
    unsigned char *data;
    int result;
};

static void *call_slowly(void *arg)
{
    struct slow_call *call = arg;

    is_slow = true;
    call->result = call->operation(call->data, SIZE);
    return NULL;
}

static int cut_in_half(gcmmap_region *region)
{
    return gcmmap_truncate(region, SIZE / 2);
}

static void close_during_calls(int (*close_it)(gcmmap_region *), const char *what)
{
    unsigned n_failed = 0, n_open = 0;

    atomic_store(&n_overtaken, 0);
    for (size_t i = 0; i < sizeof slow_operations / sizeof *slow_operations; i++) {
        gcmmap_options options = { .room = SIZE };
        gcmmap_region *region = gcmmap_alloc_with(SIZE, GCMMAP_POINTER_FREE, &options);
        struct slow_call call = { slow_operations[i], gcmmap_data(region), -1 };
        pthread_t thread;

        need(call.data != NULL, "region");
        atomic_store(&is_in_call, false);
        atomic_store(&is_closed, false);
        need(pthread_create(&thread, NULL, call_slowly, &call) == 0, "thread");
        while (!atomic_load(&is_in_call))
            sched_yield();
        n_failed += close_it(region) != 0;
        atomic_store(&is_closed, true);
        pthread_join(thread, NULL);
        /* The second call of those that make two may come too late. */
        n_failed += call.result != 0 && call.operation != advise;
        n_open += !is_half_vacant(call.data);
        if (close_it != gcmmap_unmap_now)
            n_failed += gcmmap_unmap_now(region) != 0;
    }
    ok(n_failed == 0 && atomic_load(&n_overtaken) == 0 && n_open == 0,
       "%s waits for operations under way (%u failed, %u overtaken, %u open)", what, n_failed,
       atomic_load(&n_overtaken), n_open);
}

/* ---- many at once ------------------------------------------------------------------- */

static void close_under_fire(int fd, unsigned flags, const char *what, int n_rounds)
{
    unsigned n_open = 0, n_failed = 0;

    for (int i = 0; i < n_rounds; i++) {
        gcmmap_region *region = fd < 0 ? gcmmap_alloc(SIZE, flags) : gcmmap_map(fd, 0, SIZE, flags);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        atomic_store(&target, data);
        if (i % 4 != 0)
            let_all_operate();
        n_failed += gcmmap_close(region) != 0;
        n_open += count_open(data) + !is_vacant(data);
        if (i % 2 == 0)
            let_all_operate();
        n_open += count_open(data) + !is_vacant(data);
        atomic_store(&target, NULL);
        let_all_operate();
        n_failed += gcmmap_unmap_now(region) != 0;
    }
    ok(n_open == 0 && n_failed == 0, "%s: closed %d times, %u pages were open after that", what,
       n_rounds, n_open);
}

/* As above, without a promise kept: threads still use the region's addresses. */
static void unmap_under_fire(int n_rounds)
{
    unsigned n_failed = 0, n_open = 0;

    for (int i = 0; i < n_rounds; i++) {
        gcmmap_region *region = gcmmap_alloc(SIZE, GCMMAP_POINTER_FREE);
        unsigned char *data = gcmmap_data(region);

        need(data != NULL, "region");
        atomic_store(&target, data);
        let_all_operate();
        n_failed += gcmmap_unmap_now(region) != 0;
        n_open += !is_vacant(data);
        atomic_store(&target, NULL);
        let_all_operate();
        n_open += !is_vacant(data);
    }
    ok(n_failed == 0 && n_open == 0, "unmapped %d times, none was open after that (%u)", n_rounds,
       n_open);
}

int main(void)
{
    pthread_t threads[N_THREADS];
    int fd = make_file(1, SIZE);

    GC_INIT();
    close_during_calls(gcmmap_close, "gcmmap_close()");
    close_during_calls(gcmmap_unmap_now, "gcmmap_unmap_now()");
    close_during_calls(cut_in_half, "gcmmap_truncate()");
    for (int i = 0; i < N_THREADS; i++)
        need(pthread_create(&threads[i], NULL, operate, &n_done[i]) == 0, "thread");
    close_under_fire(-1, GCMMAP_POINTER_FREE, "memory", 25);
    close_under_fire(-1, 0, "traced memory", 12);
    close_under_fire(-1, GCMMAP_POINTER_FREE | GCMMAP_BY_HANDLE, "memory by handle", 12);
    close_under_fire(fd, GCMMAP_WRITE, "a shared file", 12);
    unmap_under_fire(25);
    atomic_store(&enough, true);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    ok(atomic_load(&n_refused) > 0, "%lu operations came too late", atomic_load(&n_refused));
    ok(atomic_load(&n_wrong) == 0, "no operation failed for another reason (%lu)",
       atomic_load(&n_wrong));
    note("%lu and %lu operations", atomic_load(&n_done[0]), atomic_load(&n_done[1]));
    return done_testing();
}
