/*
 * Of all calls that the library makes to the system and to the collector, for N = 1, 2 ... the
 * Nth fails, or the Nth and all that follow, until a public call makes no more.  Each time the
 * public call does without, or fails with an errno that gcmmap.h names for it; then it has
 * changed nothing, and works when it is called again.  Nothing is left over in the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "failures/operations.h"
#include "failures/witnesses.h"

#include <malloc.h>

#define MOST_CALLS 2000 /* an endless loop, if there are more */
#define MOST_LOST 5     /* descriptors */

/* ---- all of them ---------------------------------------------------------------------------------------- */

static const struct scenario scenarios[] = {
    { "gcmmap_open", NULL, open_it, shows_all, .errors = { ENOMEM, EAGAIN, EMFILE, EIO, EINTR } },
    { "gcmmap_map", NULL, map_middle, shows_middle, .errors = { ENOMEM, EAGAIN, EIO } },
    { "mapping with every option", NULL, map_with_everything, shows_everything,
      .errors = { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL } },
    { "GCMMAP_WRITE_BACK", NULL, map_for_writing_back, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO } },
    { "gcmmap_alloc", NULL, allocate, is_zero_memory, .errors = { ENOMEM, EAGAIN } },
    { "memory by handle", NULL, allocate_by_handle, is_zero_memory, .errors = { ENOMEM, EAGAIN } },
    { "a file by handle", NULL, map_file_by_handle, shows_all, .errors = { ENOMEM, EAGAIN, EIO } },
    { "a file by handle, with flags", NULL, map_by_handle_with_flags, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, EINVAL } },
    { "secret memory", NULL, allocate_secret, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO } },
    { "gcmmap_memfd", NULL, make_memfd, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO } },
    { "gcmmap_shm", NULL, make_shm, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO }, .stays = shm_is_gone },
    { "gcmmap_adopt", map_foreign, adopt, shows_adopted, .errors = { ENOMEM, EAGAIN, EMFILE } },
    { "gcmmap_adopt by handle", map_foreign, adopt_by_handle, shows_adopted,
      .errors = { ENOMEM, EAGAIN, EMFILE } },
    { "gcmmap_snapshot", NULL, take_snapshot_of_file, shows_all,
      .errors = { ENOMEM, EAGAIN, EMFILE, ENFILE, EIO, ENOSYS }, .tells = { AT_fcntl } },
    { "gcmmap_snapshot, cloned", prepare_large_file, take_snapshot_of_large_file, shows_large,
      .errors = { ENOMEM, EAGAIN, EMFILE, ENFILE, EIO, ENOSYS } },
    { "gcmmap_snapshot, never cloned", prepare_large_file, take_large_snapshot_to_memory,
      shows_large, .errors = { ENOMEM, EAGAIN, EMFILE, ENFILE, EIO, ENOSYS } },
    { "gcmmap_snapshot without memfd", NULL, take_snapshot_of_file, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, EMFILE }, .standing = AT_memfd_create },
    { "gcmmap_snapshot without memfd, read only", NULL, take_read_only_snapshot, shows_read_only,
      .errors = { ENOMEM, EAGAIN, EIO, EMFILE }, .standing = AT_memfd_create },
    { "a fixed address", find_free_address, map_at_address, shows_at_address,
      .errors = { ENOMEM, EAGAIN, EIO, EMFILE } },
    { "a file by handle, with options", NULL, map_by_handle_aligned, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, EMFILE } },
    { "a policy", NULL, open_with_policy, shows_all,
      .errors = { ENOMEM, EAGAIN, EMFILE, EIO, EINTR } },
    { "only huge pages", look_for_huge_pages, allocate_only_huge, is_huge_memory,
      .errors = { ENOMEM, EAGAIN, EINVAL } },
    { "a locked file", NULL, map_locked_file, shows_locked,
      .errors = { ENOMEM, EAGAIN, EMFILE, EIO }, .tells = { AT_mlock }, .retries = AT_mlock },
    { "a file kept from children", NULL, map_kept_from_children, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, EINVAL }, .tells = { AT_madvise }, .retries = AT_madvise,
      .retried_too = EAGAIN },
    { "a file kept from dumps", NULL, map_kept_from_dumps, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, EINVAL }, .tells = { AT_madvise }, .retries = AT_madvise,
      .retried_too = EAGAIN },
    { "a device", open_device, map_device, shows_zeros, .errors = { ENOMEM, EAGAIN, EIO },
      .tells = { AT_mmap }, .retries = AT_mmap },
    { "a traced file", empty_pools, map_traced_file, shows_all, .errors = { ENOMEM, EAGAIN, EIO } },
    { "gcmmap_shm while finalizers run", drop_objects, make_shm, is_zero_memory_at_last,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO }, .stays = shm_is_gone },
    { "gcmmap_memfd while finalizers run", drop_objects, make_memfd, is_zero_memory_at_last,
      .errors = { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO } },
    { "gcmmap_alloc on fresh blocks", empty_pools, allocate, is_zero_memory,
      .errors = { ENOMEM, EAGAIN } },
    { "mapping while others die", let_many_die, map_middle, shows_middle_alone,
      .errors = { ENOMEM, EAGAIN, EIO }, .others_die = true },
    { "gcmmap_memfd, nobody else's", NULL, make_memfd_without_fd, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO } },
    { "gcmmap_shm that is too short", create_short_shm, lengthen_shm, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO }, .stays = shm_is_untouched },
    { "gcmmap_shm that is too short, locked", create_short_shm, lengthen_locked_shm, is_zero_memory,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO }, .stays = shm_is_there },
    { "gcmmap_shm that is too short, by handle", create_short_shm, lengthen_shm_by_handle,
      is_zero_memory, .errors = { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO }, .stays = shm_is_there },
    { "gcmmap_shm that is there", create_short_shm, open_shm, always_right,
      .errors = { ENOMEM, EAGAIN, EMFILE, EIO }, .stays = shm_is_there },
    { "gcmmap_adopt of a file", map_foreign_shared, adopt, shows_adopted,
      .errors = { ENOMEM, EAGAIN, EMFILE }, .tells = { AT_getline } },
    { "guarded memory", NULL, allocate_guarded, is_zero_memory, .errors = { ENOMEM, EAGAIN } },
    { "a guarded file by handle", NULL, map_guarded_by_handle, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO } },
    { "gcmmap_list", map_shared, list_it, always_right, .errors = { ENOMEM } },
    { "gcmmap_why", map_beside_a_thread, ask_why, thread_ends, .errors = { ENOMEM, EMFILE, EIO },
      .tells = { AT_opendir, AT_readdir, AT_fopen, AT_realloc } },
    { "gcmmap_print_why", map_beside_a_thread, print_why, thread_ends,
      .errors = { ENOMEM, EMFILE, EIO }, .tells = { AT_getline } },
    { "gcmmap_try", map_and_cut, catch_fault, always_right, .errors = { 0 } },
    { "gcmmap_list of slices", map_shared, list_slices, always_right,
      .errors = { ENOMEM, EMFILE, EIO } },
    { "gcmmap_report", map_shared, report, always_right, .errors = { ENOMEM, EMFILE, EIO } },
    { "GCMMAP_ZERO_FILL", map_zero_filled_and_cut, touch_lost_page, has_one_zero_page,
      .errors = { EFAULT } },
    { "gcmmap_options.truncated", map_asking_and_cut, touch_lost_page, has_one_zero_page,
      .errors = { EFAULT } },
    { "gcmmap_sync", map_shared, sync_it, always_right, .errors = { EIO, ENOMEM },
      .changes_some = true, .tells = { AT_msync } },
    { "gcmmap_protect", map_memory, protect_it, is_protected, .errors = { ENOMEM, ENOTSUP } },
    { "gcmmap_advise", map_memory, advise_it, has_lost_a_page, .errors = { ENOMEM, EINVAL, EAGAIN },
      .tells = { AT_madvise }, .retries = AT_madvise },
    { "gcmmap_prefetch", map_shared, prefetch_it, always_right,
      .errors = { ENOMEM, EAGAIN, EINVAL } },
    { "gcmmap_unload", map_shared, unload_it, always_right, .errors = { ENOMEM, EAGAIN, EBUSY },
      .tells = { AT_madvise }, .retries = AT_madvise },
    { "gcmmap_lock", map_memory, lock_it, always_right, .errors = { ENOMEM, EAGAIN },
      .changes_some = true },
    { "gcmmap_unlock", map_memory, unlock_it, always_right, .errors = { ENOMEM },
      .changes_some = true },
    { "gcmmap_residency", map_memory, ask_residency, always_right, .errors = { ENOMEM, EAGAIN },
      .tells = { AT_mincore }, .retries = AT_mincore },
    { "gcmmap_copy_out", map_shared, copy_out, has_copied_out,
      .errors = { EFAULT, EMFILE, ENFILE } },
    { "gcmmap_copy_out through a pipe", map_shared, copy_out, has_copied_out,
      .errors = { EFAULT, EMFILE, ENFILE, ENOMEM }, .standing = AT_process_vm_readv },
    { "gcmmap_copy_in", map_memory, copy_in, has_copied_out, .errors = { EFAULT, EMFILE, ENFILE },
      .changes_some = true },
    { "gcmmap_slice_object_new", map_shared, make_object, is_object, .errors = { ENOMEM } },
    { "gcmmap_extend of memory", map_memory, extend, has_grown, .errors = { ENOMEM, EAGAIN } },
    { "gcmmap_extend of a file", map_shared, extend, has_grown,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EIO, ESTALE } },
    { "gcmmap_extend of a file where no space can be set aside", map_shared, extend, has_grown,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE }, .standing = AT_fallocate,
      .tells = { AT_ftruncate } },
    { "gcmmap_extend of a locked file", map_locked, extend, has_grown,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EIO, ESTALE } },
    { "gcmmap_extend by handle", map_by_handle_with_room, extend, has_grown,
      .errors = { ENOMEM, EAGAIN, ENOSPC, EIO, ESTALE } },
    { "gcmmap_extend over a file", map_read_only, extend_read_only, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE } },
    { "gcmmap_refresh of a file that has grown", map_read_only, refresh, shows_all,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE } },
    { "gcmmap_refresh of a file that was cut", shorten_file, refresh, has_one_page,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE }, .tells = { AT_msync } },
    { "gcmmap_refresh under a policy", map_zero_filled_and_cut, refresh, has_one_page,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE }, .stays = fills_behind_the_cut },
    { "gcmmap_truncate under a policy", map_zero_filled, truncate_it, has_first_page,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE }, .stays = still_fills },
    { "gcmmap_truncate by handle", map_by_handle_with_room, truncate_it, has_first_page,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE } },
    { "gcmmap_truncate of memory", map_memory, truncate_it, has_4096,
      .errors = { ENOMEM, EAGAIN } },
    { "gcmmap_truncate of a file", map_shared, truncate_it, file_is_cut,
      .errors = { ENOMEM, EAGAIN, EIO, ESTALE } },
    { "gcmmap_close", map_shared, close_it, is_closed, .errors = { ENOMEM, EAGAIN } },
    { "gcmmap_close, writing back", map_write_back, close_it, is_closed,
      .errors = { ENOMEM, EAGAIN, EIO }, .tells = { AT_msync } },
    { "gcmmap_close under a policy", map_zero_filled, close_it, is_closed,
      .errors = { ENOMEM, EAGAIN, EIO }, .stays = still_fills, .tells = { AT_msync } },
    { "gcmmap_close by handle", map_by_handle, close_it, is_closed, .errors = { ENOMEM, EAGAIN } },
    { "gcmmap_unmap_now", map_shared, unmap_it, is_gone, .errors = { ENOMEM, EAGAIN } },
    { "gcmmap_unmap_now by handle", map_by_handle, unmap_it, is_gone, .errors = { ENOMEM, EAGAIN },
      .stays = shows_all },
    { "gcmmap_unmap_now under a policy", map_zero_filled, unmap_it, is_gone,
      .errors = { ENOMEM, EAGAIN, EIO }, .stays = still_fills, .tells = { AT_msync } },
    { "gcmmap_unmap_now by handle, with guards", map_by_handle_with_room, unmap_it, is_gone,
      .errors = { ENOMEM, EAGAIN }, .stays = shows_all },
    { "fork", map_for_forks, fork_and_check, parent_is_as_before, .errors = { 0 } },
    { "tracing without the ioctl", hold_children, collect_twice, children_are_alive,
      .errors = { 0 }, .standing = AT_ioctl },
    { "tracing without any file", hold_children, collect_twice, children_are_alive, .errors = { 0 },
      .standing = AT_open },
    { "gcmmap_collect", drop_many, collect, all_go, .errors = { 0 } },
    { "gcmmap_trim", drop_many, trim, all_go, .errors = { 0 } },
    { "gcmmap_trim of what is pooled", prepare_pools, trim, can_be_trimmed, .errors = { 0 } },
    { "finding and naming", map_shared, look, always_right, .errors = { 0 } },
    { "tracing", hold_children, collect_twice, children_are_alive, .errors = { 0 } },
    { "tracing behind protection", hold_children_behind_protection, collect_twice,
      children_are_alive, .errors = { 0 } },
    { "private copies", map_private, collect_twice, shows_all, .errors = { 0 } },
    { "gcmmap_shm_unlink", create_shm, unlink_shm, always_right, .errors = { ENOMEM },
      .tells = { AT_shm_unlink } },
    /* Last: they leave a large heap behind. */
    { "a large region", NULL, allocate_large, is_zero_memory, .errors = { ENOMEM, EAGAIN } },
    { "a large region on fresh rows", empty_pools, allocate_rows, is_zero_memory,
      .errors = { ENOMEM, EAGAIN } },
    { "a large region beside a hole", prepare_hole, allocate_beside_hole, all_can_be_trimmed,
      .errors = { ENOMEM, EAGAIN } },
    { "forgotten parts", hold_a_part, collect, part_is_whole, .errors = { 0 } },
    { "huge pages", empty_pools, allocate_huge, is_zero_memory, .errors = { ENOMEM, EAGAIN } },
};

/* ---- one run -------------------------------------------------------------------------------------------------- */

static unsigned long n_runs, n_failed_calls, n_wrong, n_said;

static void complain(const struct scenario *scenario, const char *what)
{
    n_wrong++;
    if (n_said++ < 8)
        note("%s, %s of %s number %d%s: %s", scenario->name, strerror(injection.error),
             injectable_names[injection.function], injection.nth,
             injection.always ? " and all behind it" : "", what);
}

static bool is_documented(const struct scenario *scenario, int error)
{
    for (size_t i = 0; i < sizeof scenario->errors / sizeof *scenario->errors; i++)
        if (scenario->errors[i] == error && error != 0)
            return true;
    return false;
}

static bool is_told(const struct scenario *scenario, enum injectable function)
{
    for (size_t i = 0; i < sizeof scenario->tells / sizeof *scenario->tells; i++)
        if (scenario->tells[i] == function && function != NO_FUNCTION)
            return true;
    return false;
}

/* That memory or map slots were short, as the kernel says it of the call that failed. */
static bool is_made_up_for(const struct scenario *scenario, enum injectable function, int error)
{
    return function == scenario->retries && !injection.always &&
           (error == ENOMEM || error == scenario->retried_too);
}

static __attribute__((noinline)) void clean_up(const struct scenario *scenario)
{
    object = NULL;
    if (region != NULL && gcmmap_unmap_now(region) != 0)
        complain(scenario, "the region cannot be unmapped");
    region = NULL;
    if (mapped != NULL)
        munmap(mapped, 8192);
    mapped = NULL;
    (void)gcmmap_shm_unlink(shm_name);
    memset(copied, 0, sizeof copied);
}

static size_t n_descriptors;          /* when the scenario began */
static struct snapshot before, after; /* static: a root */

/* 0: it makes fewer calls. */
static __attribute__((noinline)) int
run_once(const struct scenario *scenario, enum injectable function, int error, int nth, bool always)
{
    int got, n;
    bool successful;
    const char *changed;

    n_runs++;
    reset_file();
    n_others = bytes_mapped_from(fd);
    if (scenario->prepare != NULL)
        scenario->prepare();
    take_snapshot(&before);
    errno = 0;
    injection.standing = scenario->standing;
    arm(function, error, nth, always);
    successful = scenario->call();
    got = errno;
    disarm();
    n = atomic_load(&n_injected);
    if (successful) {
        if (got != 0) {
            complain(scenario, "it succeeds, and errno has changed");
            note("to %s", strerror(got));
        }
        if (n > 0 && is_told(scenario, function) && error != EINTR &&
            !is_made_up_for(scenario, function, error))
            complain(scenario, "it succeeds, and should not");
    } else {
        n_failed_calls++;
        if (is_made_up_for(scenario, function, error))
            complain(scenario, "it does not try again");
        /* What there was no map slot to undo is undone when there is one. */
        if (function == MAP_SLOTS)
            collect_thoroughly();
        take_snapshot(&after);
        changed = difference(&before, &after, scenario);
        if (changed != NULL)
            complain(scenario, changed);
        if (scenario->stays != NULL && !scenario->stays())
            complain(scenario, "something else has changed");
        if (n == 0 || !is_documented(scenario, got))
            complain(scenario, strerror(got));
        errno = 0;
        if (!scenario->call())
            complain(scenario, "it does not work afterwards");
    }
    /* Seen at once: when all have been lost none is lost any more. */
    if (scenario->call == collect_twice && n_descriptors != 0 &&
        count_descriptors() > n_descriptors + MOST_LOST)
        complain(scenario, "descriptors have been lost");
    changed = violation();
    if (changed != NULL)
        complain(scenario, changed);
    if (!scenario->is_right())
        complain(scenario, successful ? "it succeeds, and is wrong" : "it is wrong afterwards");
    clean_up(scenario);
    return n;
}

#define N_EACH 16

static void run_group(const struct scenario *scenario, enum injectable function, int error,
                      bool always)
{
    int nth = 1;

    /* Where most of many fail, it matters little how many. */
    while (nth < MOST_CALLS && run_once(scenario, function, error, nth, always) != 0)
        nth += always && nth > N_EACH ? nth / 4 : 1;
    if (nth >= MOST_CALLS)
        complain(scenario, "endless");
}

/* ---- whether anything is left over ------------------------------------------------------------------------------- */

struct measure {
    size_t regions, reserved, descriptors, lines, addresses, memory;
};

static struct measure measure(void)
{
    gcmmap_stats stats;

    for (int i = 0; i < 3; i++) {
        scrub();
        (void)gcmmap_collect();
        (void)gcmmap_trim();
    }
    stats = stats_now();
    return (struct measure){ stats.n_live + stats.n_closed + stats.n_dying,
                             stats.bytes_reserved,
                             count_descriptors(),
                             count_map_lines(),
                             count_mapped_bytes(),
                             mallinfo2().uordblks };
}

#define N_MEASURES 20 /* a few records are kept for later: they are the last to come */

/* What is lost by accident, or only once, is not lost each time. */
static void run_group_again(const struct scenario *scenario, enum injectable function, int error,
                            bool always)
{
    static const char *const names[] = { "regions",      "reserved bytes",
                                         "descriptors",  "lines of /proc/self/maps",
                                         "mapped bytes", "bytes of malloc" };
    enum { N_NAMES = sizeof names / sizeof *names };
    bool has_grown[N_NAMES] = { true, true, true, true, true, true }, has_any = true;
    struct measure last = measure();

    for (int i = 0; i < N_MEASURES && has_any; i++) {
        struct measure now;

        run_group(scenario, function, error, always);
        now = measure();
        has_any = false;
        for (size_t j = 0; j < N_NAMES; j++) {
            has_grown[j] &= ((const size_t *)&now)[j] > ((const size_t *)&last)[j];
            has_any |= has_grown[j];
        }
        last = now;
    }
    /*
     * Where a mapping cannot be unmapped there is nothing else to do about it; and a
     * descriptor that may have become another's is not closed.
     */
    for (size_t j = 0; j < N_NAMES; j++)
        if (has_grown[j] && !(function == AT_munmap && (j == 3 || j == 4)) &&
            !(function == AT_fstat && j == 2))
            complain(scenario, names[j]);
}

/* What calls cannot do without, says gcmmap.h. */
static const struct exception {
    const char *scenario;
    enum injectable function;
    int error; /* 0: all */
} exceptions[] = {
    { "tracing behind protection", AT_open, 0 },
    { "tracing behind protection", AT_pread, EIO },
    /* A copy that cannot be unmapped is a region that nobody has: a collection ends it, some time. */
    { "gcmmap_snapshot without memfd, read only", MAP_SLOTS, 0 },
    /* The new pages stay behind the region's end for want of a map slot, until it goes. */
    { "gcmmap_extend of a locked file", MAP_SLOTS, 0 },
};

static bool is_excepted(const struct scenario *scenario, enum injectable function, int error)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strcmp(exceptions[i].scenario, scenario->name) == 0 &&
            exceptions[i].function == function &&
            (exceptions[i].error == 0 || exceptions[i].error == error))
            return true;
    return false;
}

/*
 * Each function that the scenario calls, with each error, once and for good; and map slots, for
 * two calls in a row, and for good, as when the table is full.
 */
static void inject(const struct scenario *scenario, const bool *is_called,
                   void (*run)(const struct scenario *, enum injectable, int, bool))
{
    for (enum injectable function = 1; function < N_INJECTABLE; function++)
        for (const int *error = errors_of(function); is_called[function] && *error != 0; error++) {
            if (is_excepted(scenario, function, *error))
                continue;
            run(scenario, function, *error, false);
            if (*error != EINTR) /* then of course it tries again */
                run(scenario, function, *error, true);
        }
    /* What one does without may be what undoes another. */
    if (!is_excepted(scenario, MAP_SLOTS, ENOMEM)) {
        run(scenario, MAP_SLOTS, ENOMEM, false);
        run(scenario, MAP_SLOTS, ENOMEM, true);
    }
}

static void inject_into_all(const struct scenario *scenario)
{
    unsigned long n_before = n_wrong;
    bool is_called[N_INJECTABLE];
    struct measure at_first, now;

    n_said = 0;
    n_descriptors = count_descriptors();
    for (int i = 0; i < 2; i++)
        (void)run_once(scenario, 0, ENOMEM, 0, false);
    for (int i = 0; i < N_INJECTABLE; i++)
        is_called[i] = atomic_load(&n_calls[i]) > 0;
    at_first = measure();
    inject(scenario, is_called, run_group);
    now = measure();
    if (now.regions > at_first.regions || now.reserved > at_first.reserved ||
        now.descriptors > at_first.descriptors || now.lines > at_first.lines ||
        now.addresses > at_first.addresses || now.memory > at_first.memory)
        inject(scenario, is_called, run_group_again);
    ok(n_wrong == n_before, "%s: it does without, or fails as documented and changes nothing",
       scenario->name);
}

/* ---- often --------------------------------------------------------------------------------------- */

#define N_OFTEN 2000
#define N_LOST (24u << 10) /* bytes, by all of them */

static bool map_with_all_options(void)
{
    gcmmap_options options = { .room = ROOM,
                               .released = on_release,
                               .data = &n_told,
                               .truncated = answer_zeros,
                               .name = "often" };

    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_READ, &options);
    return region != NULL;
}

static bool allocate_afresh(void)
{
    bool armed = atomic_exchange(&is_armed, false), done;

    empty_pools();
    atomic_store(&is_armed, armed);
    done = allocate();
    return done;
}

/*
 * What is lost in small pieces, or only counted for, is seen when it happens often.  EAGAIN: then
 * nothing is collected.
 */
static void test_often(bool (*call)(void), int n, const char *what)
{
    size_t memory = 0, heap = 0, n_succeeded = 0;

    for (int i = 0; i < n; i++) {
        if (i == n / 4) {
            (void)measure();
            memory = mallinfo2().uordblks;
            heap = GC_get_heap_size() - GC_get_free_bytes();
        }
        arm(AT_mmap, EAGAIN, 1, true);
        n_succeeded += call();
        disarm();
    }
    (void)measure();
    memory = mallinfo2().uordblks - memory;
    heap = GC_get_heap_size() - GC_get_free_bytes() - heap;
    ok(n_succeeded == 0 && (ptrdiff_t)memory < (ptrdiff_t)N_LOST &&
           (ptrdiff_t)heap < (ptrdiff_t)N_LOST,
       "%s fails %d times: %td bytes of memory are lost, %td of the collector's", what, n,
       (ptrdiff_t)memory, (ptrdiff_t)heap);
}

/* ---- the first calls of a process ---------------------------------------------------------------------------- */

#define ENOUGH 77 /* exit status: fewer calls are made */

/* In a process of its own, which has called nothing yet. */
static int be_first(char **arguments)
{
    enum injectable function = (enum injectable)atoi(arguments[2]);
    gcmmap_region *memory = NULL;
    bool opened, allocated;
    int n, error = 0;

    strcpy(path, arguments[1]);
    errno = 0;
    arm(function, *errors_of(function), atoi(arguments[3]), atoi(arguments[4]) != 0);
    opened = open_it();
    if (!opened)
        error = errno;
    memory = gcmmap_alloc(N_BYTES, 0);
    allocated = memory != NULL;
    if (!allocated && error == 0)
        error = errno;
    disarm();
    n = atomic_load(&n_injected);
    if (opened && allocated && errno != 0)
        return 2;
    if (error != 0 && error != ENOMEM && error != *errors_of(function))
        return 3;
    if (!opened && !open_it())
        return 4;
    if (memory == NULL)
        memory = gcmmap_alloc(N_BYTES, 0);
    if (!shows_all() || gcmmap_size(memory) != N_BYTES)
        return 5;
    memset(gcmmap_data(memory), 1, N_BYTES);
    collect_thoroughly();
    return !shows_all() ? 6 : n == 0 ? ENOUGH : 0;
}

static int run_first(enum injectable function, int nth, bool always)
{
    char numbers[3][16];
    int status;
    pid_t child;

    snprintf(numbers[0], sizeof numbers[0], "%d", (int)function);
    snprintf(numbers[1], sizeof numbers[1], "%d", nth);
    snprintf(numbers[2], sizeof numbers[2], "%d", always);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        execl("/proc/self/exe", "first", path, numbers[0], numbers[1], numbers[2], (char *)NULL);
        _exit(99);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_first_calls(void)
{
    unsigned long n = 0;
    bool right = true;

    for (enum injectable function = 1; function < N_INJECTABLE; function++)
        for (int always = 0; always < 2; always++) {
            int nth = 1, status;

            for (; (status = run_first(function, nth, always)) == 0; nth++)
                n++;
            if (status == ENOUGH)
                continue;
            right = false;
            note("%s number %d%s fails in the first calls: %d", injectable_names[function], nth,
                 always ? " and all behind it" : "", status);
        }
    ok(right && n > 20, "the first calls of a process do without, or can be made again (%lu)", n);
}

/*
 * A function that the linker does not put ours in place of, as its symbol has another name, would
 * never fail, and all would be well.
 */
static void test_reach(void)
{
    bool all = true;

    for (int i = 1; i < N_INJECTABLE; i++)
        if (!atomic_load(&was_called[i])) {
            note("no scenario calls %s", injectable_names[i]);
            all = false;
        }
    ok(all, "each function that can be made to fail is called by some scenario");
}

int main(int n_arguments, char **arguments)
{
    const char *only = n_arguments == 2 ? arguments[1] : NULL; /* the scenario of that name */

    GC_INIT();
    if (collector_write_protects())
        skip_all("the collector makes pages accessible that must not be");
    if (n_arguments == 5)
        return be_first(arguments);
    strcpy(path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/gcmmap-inject-XXXXXX"
                                               : "/tmp/gcmmap-inject-XXXXXX");
    strcpy(large_path, path);
    fd = mkstemp(path);
    large_fd = mkstemp(large_path);
    snprintf(shm_name, sizeof shm_name, "/gcmmap-inject-%ld", (long)getpid());
    nowhere = fopen("/dev/null", "we");
    need(fd >= 0 && large_fd >= 0 && nowhere != NULL, "mkstemp");
    reset_file();
    set_budget(LARGE_BUDGET, LARGE_BUDGET, LARGE_BUDGET);
    if (only == NULL) {
        test_often(map_with_all_options, N_OFTEN, "a region with options");
        test_often(allocate_afresh, N_OFTEN / 10, "memory on fresh blocks");
        test_often(map_by_handle_aligned, N_OFTEN, "a region by handle");
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (only != NULL && strcmp(only, scenarios[i].name) != 0)
            continue;
        if (scenarios[i].prepare == hold_a_part &&
            (!GC_get_all_interior_pointers() || !HAS_MANY_ADDRESSES))
            ok(true, "%s # SKIP a pointer into a part does not hold it, or it is the only one",
               scenarios[i].name);
        else
            inject_into_all(&scenarios[i]);
    }
    if (only == NULL) {
        test_reach();
        reset_file();
        test_first_calls();
    }
    unlink(path);
    unlink(large_path);
    note("%lu runs, in %lu of them the call failed", n_runs, n_failed_calls);
    return done_testing();
}
