/*
 * operations: what is done with regions, looked at, changed and ended.  See
 * every-failure-is-told-and-undone.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "mapping.h"

static bool sync_it(void)
{
    return gcmmap_sync(data() + 10, 9000, GCMMAP_SYNC) == 0;
}

static bool protect_it(void)
{
    return gcmmap_protect(data() + 5000, 9000, 0) == 0;
}

static bool is_protected(void)
{
    return fault_of_access(data() + 5000, false) == SIGSEGV;
}

static bool advise_it(void)
{
    return gcmmap_advise(data(), 4096, GCMMAP_ADVISE_DONTNEED) == 0;
}

static bool has_lost_a_page(void)
{
    return data()[0] == 0 && data()[4096] == 7;
}

static bool prefetch_it(void)
{
    return gcmmap_prefetch(data(), 9000) == 0;
}

static bool unload_it(void)
{
    return gcmmap_unload(data(), 9000) == 0;
}

static bool lock_it(void)
{
    return gcmmap_lock(data(), 9000) == 0;
}

static bool unlock_it(void)
{
    return gcmmap_unlock(data(), 9000) == 0;
}

static bool ask_residency(void)
{
    unsigned char pages[8];
    size_t n;

    return gcmmap_residency(data(), 9000, pages, sizeof pages, &n) == 0;
}

static unsigned char copied[9000];

/* What could not be copied the next call tells. */
static bool copy_out(void)
{
    size_t n = 0;
    ssize_t n_now = 1;

    while (n < sizeof copied && n_now > 0) {
        n_now = gcmmap_copy_out(copied + n, data() + n, sizeof copied - n);
        n += n_now > 0 ? (size_t)n_now : 0;
    }
    return n == sizeof copied;
}

static bool has_copied_out(void)
{
    return memcmp(copied, data(), sizeof copied) == 0;
}

static bool copy_in(void)
{
    memset(copied, 9, sizeof copied);
    return gcmmap_copy_in(data(), copied, sizeof copied) == (ssize_t)sizeof copied;
}

static bool make_object(void)
{
    object = gcmmap_slice_object_new((gcmmap_slice){ data(), 100 });
    return object != NULL;
}

static bool is_object(void)
{
    return object->bytes.data == data() && object->region == region;
}

/* ---- looks at regions ------------------------------------------------------------------------------ */

static bool list_it(void)
{
    return gcmmap_list(nowhere, GCMMAP_LIST_JSON) == 0;
}

static void ignore_holder(const gcmmap_holder *holder, void *arg)
{
    (void)holder;
    (void)arg;
}

static pthread_t waiter;
static sem_t waiter_may_go;

static void *wait_to_go(void *arg)
{
    while (sem_wait(&waiter_may_go) != 0)
        ;
    return arg;
}

/* Another thread, which might be one that holds it. */
static void map_beside_a_thread(void)
{
    map_shared();
    need(sem_init(&waiter_may_go, 0, 0) == 0, "sem_init");
    need(pthread_create(&waiter, NULL, wait_to_go, NULL) == 0, "pthread_create");
}

static bool thread_ends(void)
{
    return sem_post(&waiter_may_go) == 0 && pthread_join(waiter, NULL) == 0;
}

static bool ask_why(void)
{
    return gcmmap_why(region, 3, ignore_holder, NULL) >= 0;
}

static bool print_why(void)
{
    return gcmmap_print_why(nowhere, region) == 0;
}

static void map_and_cut(void)
{
    map_shared();
    cut_file(100);
}

static void touch(void *arg)
{
    volatile unsigned char *byte = arg;

    (void)*byte;
}

/* Whatever can not be found out about the fault, it is caught, and it is known where it was. */
static bool catch_fault(void)
{
    gcmmap_fault fault;
    bool caught = gcmmap_try(touch, data() + 5000, &fault) == -1 && errno == EFAULT &&
                  fault.region == region && fault.offset == 5000 && fault.signal == SIGBUS;

    errno = 0;
    return caught;
}

/* ---- size -------------------------------------------------------------------------------------------- */

static bool extend(void)
{
    return gcmmap_extend(region, 40000) == 0;
}

static bool has_grown(void)
{
    return gcmmap_size(region) == 40000 && data()[39999] == 0 && (data()[39999] = 1) == 1;
}

static bool extend_read_only(void)
{
    return gcmmap_extend(region, N_BYTES) == 0;
}

static bool refresh(void)
{
    return gcmmap_refresh(region) == 0;
}

static void shorten_file(void)
{
    map_write_back();
    cut_file(4096);
}

static bool has_one_page(void)
{
    return shows(4096, 0);
}

static bool has_first_page(void)
{
    return gcmmap_size(region) == 4096 && has_bytes(data(), 4096, SEED, 0);
}

static bool truncate_it(void)
{
    return gcmmap_truncate(region, 4096) == 0;
}

static bool file_is_cut(void)
{
    struct stat status;

    return gcmmap_size(region) == 4096 && fstat(fd, &status) == 0 && status.st_size == 4196;
}

static bool has_4096(void)
{
    return gcmmap_size(region) == 4096 && data()[4095] == 7;
}

/* ---- ends --------------------------------------------------------------------------------------------- */

static bool close_it(void)
{
    return gcmmap_close(region) == 0;
}

static bool is_closed(void)
{
    return gcmmap_data(region) == NULL && bytes_mapped_from(fd) <= n_others;
}

static bool unmap_it(void)
{
    return gcmmap_unmap_now(region) == 0;
}

static bool is_gone(void)
{
    region = NULL;
    return bytes_mapped_from(fd) <= n_others;
}

static bool collect(void)
{
    scrub();
    (void)gcmmap_collect();
    return true;
}

/* With the next collection at the latest; a few look as if they were held. */
static bool all_go(void)
{
    collect_thoroughly();
    return bytes_mapped_from(fd) <= n_others + (size_t)4 * 32768;
}

static bool trim(void)
{
    (void)gcmmap_trim();
    return true;
}

/* ---- addresses: what is not given back is in the pools, for the next call ----------------------- */

static size_t n_reserved; /* bytes, without what the pools have */

static __attribute__((noinline)) void fill_pools(void *arg)
{
    static const size_t sizes[] = { 4096, 100000, 20 * MiB, 5000, 50 * MiB, 3 * MiB };
    gcmmap_region *regions[sizeof sizes / sizeof *sizes];

    (void)arg;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        regions[i] = gcmmap_alloc(sizes[i], i % 2 == 0 ? GCMMAP_POINTER_FREE : 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        need(gcmmap_unmap_now(regions[i]) == 0, "gcmmap_unmap_now");
}

static void prepare_pools(void)
{
    empty_pools();
    n_reserved = stats_now().bytes_reserved;
    apart(fill_pools, NULL);
}

static bool can_be_trimmed(void)
{
    (void)gcmmap_trim();
    return stats_now().bytes_reserved <= n_reserved;
}

#define N_SIDE_BYTES ((HAS_MANY_ADDRESSES ? 100 : 40) * MiB)

static gcmmap_region *hole; /* a root */

/* So that a large region finds two long rows, and between them what is not free. */
static __attribute__((noinline)) void make_hole(void *arg)
{
    gcmmap_region *all = gcmmap_alloc(2 * N_SIDE_BYTES + 20 * MiB, GCMMAP_POINTER_FREE);
    gcmmap_region *left, *right;

    (void)arg;
    need(gcmmap_unmap_now(all) == 0, "gcmmap_alloc");
    left = gcmmap_alloc(N_SIDE_BYTES, GCMMAP_POINTER_FREE);
    hole = gcmmap_alloc(20 * MiB, GCMMAP_POINTER_FREE);
    right = gcmmap_alloc(N_SIDE_BYTES, GCMMAP_POINTER_FREE);
    need(gcmmap_unmap_now(left) == 0 && gcmmap_unmap_now(right) == 0, "gcmmap_unmap_now");
}

static void prepare_hole(void)
{
    empty_pools();
    n_reserved = stats_now().bytes_reserved;
    apart(make_hole, NULL);
}

static bool allocate_beside_hole(void)
{
    region = gcmmap_alloc(N_SIDE_BYTES / 5 * 8, GCMMAP_POINTER_FREE);
    return region != NULL;
}

static bool all_can_be_trimmed(void)
{
    bool is = gcmmap_unmap_now(region) == 0 && gcmmap_unmap_now(hole) == 0;

    region = NULL;
    hole = NULL;
    return is && can_be_trimmed();
}

static bool look(void)
{
    gcmmap_weak weak = gcmmap_weak_of(region);

    return gcmmap_of(data()) == region && gcmmap_weak_get(weak) == region &&
           gcmmap_slice_of(data(), 10).data == data();
}

/* Pointers in traced memory are found whatever the kernel refuses to tell. */
#define N_CHILDREN 30

static uintptr_t hidden_children[N_CHILDREN];

static __attribute__((noinline)) void hand_over_children(void *arg)
{
    void **pointers = gcmmap_data(region);

    (void)arg;
    for (size_t i = 0; i < N_CHILDREN; i++) {
        gcmmap_region *child = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ);

        need(child != NULL, "gcmmap_map");
        hidden_children[i] = hide(child);
        pointers[i * 60] = child;
    }
}

static void hold_children(void)
{
    map_memory();
    apart(hand_over_children, NULL);
}

static void hold_children_behind_protection(void)
{
    hold_children();
    need(gcmmap_protect(data(), N_BYTES, 0) == 0, "gcmmap_protect");
}

/* bdwgc itself changes errno where a thread is slow to stop. */
static void collect_as_host(void)
{
    GC_gcollect();
    if (errno == ETIMEDOUT)
        errno = 0;
}

static bool collect_twice(void)
{
    collect_as_host();
    collect_as_host();
    return true;
}

static bool children_are_alive(void)
{
    (void)gcmmap_collect();
    for (size_t i = 0; i < N_CHILDREN; i++)
        if (gcmmap_size(reveal(hidden_children[i])) != N_BYTES)
            return false;
    return true;
}

static bool list_slices(void)
{
    return gcmmap_list(nowhere, GCMMAP_LIST_SLICES) == 0;
}

static bool report(void)
{
    return gcmmap_report(nowhere) == 0;
}

/* ---- policies --------------------------------------------------------------------------------- */

static void map_zero_filled_and_cut(void)
{
    map_zero_filled();
    cut_file(4096);
}

static void map_asking_and_cut(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_READ,
                             &(gcmmap_options){ .truncated = answer_zeros });
    cut_file(4096);
}

/* Where there are no zeros to be had, it is a fault. */
static bool touch_lost_page(void)
{
    gcmmap_fault fault;
    bool done = gcmmap_try(touch, data() + 8192, &fault) == 0;

    if (!done && (fault.signal != SIGBUS || fault.offset != 8192))
        errno = ENOSYS;
    return done;
}

static bool has_one_zero_page(void)
{
    return gcmmap_zero_filled(region) == 4096 && data()[8192] == 0 && data()[0] == byte_at(SEED, 0);
}

/* After a call that failed the policy holds as before. */
static bool still_fills(void)
{
    bool fills;

    cut_file(4096);
    fills = touch_lost_page() && gcmmap_zero_filled(region) >= 4096;
    reset_file();
    return fills;
}

static bool fills_behind_the_cut(void)
{
    return touch_lost_page() && gcmmap_zero_filled(region) >= 4096;
}

/* ---- forks ------------------------------------------------------------------------------------- */

static gcmmap_region *kept_from_children; /* a root */

static void map_for_forks(void)
{
    map_by_handle_with_room();
    kept_from_children = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_NO_FORK,
                                         &(gcmmap_options){ .room = ROOM });
    need(kept_from_children != NULL, "gcmmap_map");
}

/* What fails in the child is counted there, and told by its status. */
static int check_in_child(void)
{
    bool is_closed = gcmmap_data(kept_from_children) == NULL, shows_rest = shows_all();
    gcmmap_region *more = gcmmap_alloc(N_BYTES, 0);
    bool failed = more == NULL, any;

    any = atomic_load(&n_injected) > 0;
    atomic_store(&is_armed, false);
    if (failed && !any)
        return 3;
    if (more == NULL)
        more = gcmmap_alloc(N_BYTES, 0);
    collect_thoroughly();
    return !is_closed ? 4 : !shows_rest || !shows_all() ? 5 : more == NULL ? 6 : any;
}

static bool fork_and_check(void)
{
    int status, saved_errno = errno;
    pid_t child = fork();

    if (child < 0)
        return false;
    if (child == 0)
        _exit(check_in_child());
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
        atomic_fetch_add(&n_injected, 1);
    else if (status != 0)
        note("the child's status is %#x", (unsigned)status);
    errno = saved_errno;
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1;
}

static bool parent_is_as_before(void)
{
    bool is = shows_all() && gcmmap_size(kept_from_children) == N_BYTES &&
              has_bytes(gcmmap_data(kept_from_children), N_BYTES, SEED, 0);

    need(gcmmap_unmap_now(kept_from_children) == 0, "gcmmap_unmap_now");
    kept_from_children = NULL;
    return is;
}

/* ---- parts of large regions ------------------------------------------------------------------------ */

#define N_PARTS_BYTES (64 * MiB)

static unsigned char *held_part; /* a root */

static __attribute__((noinline)) void map_parts(void *arg)
{
    gcmmap_region *large = gcmmap_alloc(N_PARTS_BYTES, GCMMAP_POINTER_FREE | GCMMAP_PARTIAL);
    unsigned char *start = gcmmap_data(large);

    (void)arg;
    need(start != NULL, "gcmmap_alloc");
    for (size_t at = 0; at < N_PARTS_BYTES; at += MiB)
        start[at] = 77;
    held_part = start + N_PARTS_BYTES - MiB / 2;
}

static void hold_a_part(void)
{
    apart(map_parts, NULL);
}

static bool part_is_whole(void)
{
    bool is = held_part[-(ptrdiff_t)(MiB / 2)] == 77;

    held_part = NULL;
    collect_thoroughly();
    return is;
}

#endif
