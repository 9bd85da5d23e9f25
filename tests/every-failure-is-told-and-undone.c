/*
 * Of all calls that the library makes to the system and to the collector, for N = 1, 2 ... the
 * Nth fails, or the Nth and all that follow, until a public call makes no more.  Each time the
 * public call does without, or fails with an errno that gcmmap.h names for it; then it has
 * changed nothing, and works when it is called again.  Nothing is left over in the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "inject.h"

#include <malloc.h>

#define N_BYTES ((size_t)5 * 4096 + 100) /* of the file */
#define SEED 5
#define ROOM ((size_t)16 * 4096)
#define MOST_CALLS 2000 /* an endless loop, if there are more */

/* ---- what there is in a scenario --------------------------------------------------------------- */

static char path[48], large_path[48], shm_name[40];
static int fd = -1;
static gcmmap_region *region;             /* a root */
static const gcmmap_slice_object *object; /* another */
static unsigned char *mapped;             /* by others, to be adopted */
static int n_told;

struct scenario {
    const char *name;
    void (*prepare)(void);  /* or NULL */
    bool (*call)(void);     /* true: success */
    bool (*is_right)(void); /* after success */
    int errors[8];          /* that gcmmap.h names */
    bool changes_some;      /* a call that fails may, it says, have been done in part */
};

static void map_shared(void)
{
    region = gcmmap_map_with(fd, 100, N_BYTES - 100, GCMMAP_WRITE,
                             &(gcmmap_options){ .room = ROOM, .name = "shared" });
}

static void map_read_only(void)
{
    region = gcmmap_map_with(fd, 0, 5000, GCMMAP_READ, &(gcmmap_options){ .room = ROOM });
}

static void map_private(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_PRIVATE);
}

static void map_write_back(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_WRITE_BACK,
                             &(gcmmap_options){ .room = ROOM });
}

static void map_memory(void)
{
    region = gcmmap_alloc_with(N_BYTES, 0, &(gcmmap_options){ .room = ROOM });
    if (region != NULL)
        memset(gcmmap_data(region), 7, N_BYTES);
}

static void map_by_handle(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_BY_HANDLE);
}

static void map_foreign(void)
{
    mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    need(mapped != MAP_FAILED, "mmap");
}

static bool shows(size_t n, size_t offset)
{
    gcmmap_slice bytes = gcmmap_bytes(region);

    return bytes.data != NULL && bytes.size == n && has_bytes(bytes.data, n, SEED, offset);
}

/* ---- calls that map ------------------------------------------------------------------------------ */

static void on_release(const gcmmap_release *release, void *data)
{
    (void)release;
    (void)data;
    n_told++;
}

static bool open_it(void)
{
    region = gcmmap_open(path, GCMMAP_READ);
    return region != NULL;
}

static bool shows_all(void)
{
    return shows(N_BYTES, 0);
}

static bool map_middle(void)
{
    region = gcmmap_map(fd, 5000, 9000, GCMMAP_READ);
    return region != NULL;
}

static bool shows_middle(void)
{
    return shows(9000, 5000);
}

static bool map_with_everything(void)
{
    gcmmap_options options = {
        .room = ROOM, .alignment = 65536, .released = on_release, .name = "everything"
    };

    region = gcmmap_map_with(fd, 0, N_BYTES,
                             GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POPULATE | GCMMAP_LOCK |
                                 GCMMAP_NO_FORK | GCMMAP_NO_DUMP | GCMMAP_HUGE,
                             &options);
    return region != NULL;
}

static bool shows_everything(void)
{
    unsigned char *data = gcmmap_data(region);

    return shows_all() && (uintptr_t)data % 65536 == 0 && (data[1] ^= 1, data[1] ^= 1, true);
}

static bool map_for_writing_back(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_WRITE_BACK);
    return region != NULL;
}

static bool allocate(void)
{
    gcmmap_options options = { .name = "memory",
                               .alignment = (size_t)1 << 20,
                               .released = on_release };

    region = gcmmap_alloc_with(100000, 0, &options);
    return region != NULL;
}

static bool is_zero_memory(void)
{
    gcmmap_slice bytes = gcmmap_bytes(region);

    for (size_t i = 0; i < bytes.size; i += 1000)
        if (bytes.data[i] != 0)
            return false;
    memset(bytes.data, 1, 100);
    return bytes.size >= 100000;
}

static bool allocate_large(void)
{
    region = gcmmap_alloc(40 * MiB, GCMMAP_POINTER_FREE | GCMMAP_PARTIAL);
    return region != NULL;
}

static bool allocate_by_handle(void)
{
    region = gcmmap_alloc_with(100000, GCMMAP_BY_HANDLE, &(gcmmap_options){ .room = 200000 });
    return region != NULL;
}

static bool map_file_by_handle(void)
{
    map_by_handle();
    return region != NULL;
}

static bool map_by_handle_with_flags(void)
{
    region =
        gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_BY_HANDLE | GCMMAP_LOCK | GCMMAP_NO_DUMP);
    return region != NULL;
}

static bool allocate_secret(void)
{
    region = gcmmap_alloc(100000, GCMMAP_SECRET);
    return region != NULL;
}

static bool make_memfd(void)
{
    int own = -1;

    region = gcmmap_memfd("inject", 100000, 0, NULL, &own);
    if (own >= 0)
        close(own);
    return region != NULL;
}

static bool make_shm(void)
{
    region = gcmmap_shm(shm_name, 100000, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, NULL);
    return region != NULL;
}

static void create_shm(void)
{
    need(make_shm(), "gcmmap_shm");
}

static bool take_snapshot_of_file(void)
{
    region = gcmmap_snapshot(fd, 0, GCMMAP_REST, GCMMAP_WRITE, NULL, NULL);
    return region != NULL;
}

#define N_LARGE (MiB + 5000)

static int large_fd = -1;

static void prepare_large_file(void)
{
    unsigned char bytes[5000];

    pretends_to_clone = true;
    for (size_t at = 0; at < N_LARGE; at += sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = byte_at(SEED, at + i);
        need(pwrite(large_fd, bytes, sizeof bytes, (off_t)at) > 0, "pwrite");
    }
    need(ftruncate(large_fd, (off_t)N_LARGE) == 0, "ftruncate");
}

static bool take_snapshot_of_large_file(void)
{
    region = gcmmap_snapshot(large_fd, 0, GCMMAP_REST, 0, NULL, NULL);
    return region != NULL;
}

static bool shows_large(void)
{
    pretends_to_clone = false;
    return shows(N_LARGE, 0);
}

static bool allocate_guarded(void)
{
    region = gcmmap_alloc(100000, GCMMAP_GUARDED);
    return region != NULL;
}

static bool map_guarded_by_handle(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_READ | GCMMAP_GUARDED | GCMMAP_BY_HANDLE);
    return region != NULL;
}

static bool unlink_shm(void)
{
    return gcmmap_shm_unlink(shm_name) == 0;
}

static bool adopt(void)
{
    region = gcmmap_adopt(mapped, 8192, 0, NULL, NULL);
    return region != NULL;
}

static bool adopt_by_handle(void)
{
    region = gcmmap_adopt(mapped, 8192, GCMMAP_BY_HANDLE, NULL, NULL);
    return region != NULL;
}

static bool shows_adopted(void)
{
    mapped = NULL;
    return shows(8192, 0);
}

/* ---- operations ----------------------------------------------------------------------------------- */

static unsigned char *data(void)
{
    return gcmmap_data(region);
}

static bool always_right(void)
{
    return true;
}

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

static bool copy_out(void)
{
    return gcmmap_copy_out(copied, data(), sizeof copied) == (ssize_t)sizeof copied;
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

static FILE *nowhere;

static bool list_it(void)
{
    return gcmmap_list(nowhere, GCMMAP_LIST_JSON) == 0;
}

static void ignore_holder(const gcmmap_holder *holder, void *arg)
{
    (void)holder;
    (void)arg;
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
    need(ftruncate(fd, 100) == 0, "ftruncate");
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
    need(ftruncate(fd, 4096) == 0, "ftruncate");
}

static bool has_one_page(void)
{
    return shows(4096, 0);
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
    return gcmmap_data(region) == NULL && bytes_mapped_from(fd) == 0;
}

static bool unmap_it(void)
{
    return gcmmap_unmap_now(region) == 0;
}

static bool is_gone(void)
{
    region = NULL;
    return bytes_mapped_from(fd) == 0;
}

#define N_DEAD 40

static __attribute__((noinline)) void map_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_DEAD; i++)
        need(gcmmap_map(fd, 0, N_BYTES,
                        (i % 2 == 0 ? GCMMAP_READ : GCMMAP_WRITE) |
                            (i % 8 == 0 ? GCMMAP_BY_HANDLE : 0) |
                            (i % 8 == 1 ? GCMMAP_WRITE_BACK : 0)) != NULL,
             "gcmmap_map");
}

static void drop_many(void)
{
    apart(map_many, NULL);
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
    return bytes_mapped_from(fd) <= 4 * 32768;
}

static bool trim(void)
{
    (void)gcmmap_trim();
    return true;
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

static bool collect_twice(void)
{
    GC_gcollect();
    GC_gcollect();
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

/* ---- all of them ---------------------------------------------------------------------------------------- */

static const struct scenario scenarios[] = {
    { "gcmmap_open", NULL, open_it, shows_all, { ENOMEM, EAGAIN, EMFILE, EIO, EINTR }, false },
    { "gcmmap_map", NULL, map_middle, shows_middle, { ENOMEM, EAGAIN, EIO }, false },
    { "mapping with every option",
      NULL,
      map_with_everything,
      shows_everything,
      { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL },
      false },
    { "GCMMAP_WRITE_BACK", NULL, map_for_writing_back, shows_all, { ENOMEM, EAGAIN, EIO }, false },
    { "gcmmap_alloc", NULL, allocate, is_zero_memory, { ENOMEM, EAGAIN }, false },
    { "a large region", NULL, allocate_large, is_zero_memory, { ENOMEM, EAGAIN }, false },
    { "memory by handle", NULL, allocate_by_handle, is_zero_memory, { ENOMEM, EAGAIN }, false },
    { "a file by handle", NULL, map_file_by_handle, shows_all, { ENOMEM, EAGAIN, EIO }, false },
    { "a file by handle, with flags",
      NULL,
      map_by_handle_with_flags,
      shows_all,
      { ENOMEM, EAGAIN, EIO, EINVAL },
      false },
    { "secret memory",
      NULL,
      allocate_secret,
      is_zero_memory,
      { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO },
      false },
    { "gcmmap_memfd",
      NULL,
      make_memfd,
      is_zero_memory,
      { ENOMEM, EAGAIN, ENOSYS, EMFILE, EIO },
      false },
    { "gcmmap_shm",
      NULL,
      make_shm,
      is_zero_memory,
      { ENOMEM, EAGAIN, ENOSPC, EMFILE, EIO },
      false },
    { "gcmmap_adopt", map_foreign, adopt, shows_adopted, { ENOMEM, EAGAIN, ENOTSUP }, false },
    { "gcmmap_adopt by handle",
      map_foreign,
      adopt_by_handle,
      shows_adopted,
      { ENOMEM, EAGAIN, ENOTSUP },
      false },
    { "gcmmap_snapshot",
      NULL,
      take_snapshot_of_file,
      shows_all,
      { ENOMEM, EAGAIN, EMFILE, ENFILE, EIO, ENOSYS },
      false },
    { "gcmmap_snapshot, cloned",
      prepare_large_file,
      take_snapshot_of_large_file,
      shows_large,
      { ENOMEM, EAGAIN, EMFILE, ENFILE, EIO, ENOSYS },
      false },
    { "guarded memory", NULL, allocate_guarded, is_zero_memory, { ENOMEM, EAGAIN }, false },
    { "a guarded file by handle",
      NULL,
      map_guarded_by_handle,
      shows_all,
      { ENOMEM, EAGAIN, EIO },
      false },
    { "gcmmap_list", map_shared, list_it, always_right, { ENOMEM }, false },
    { "gcmmap_why", map_shared, ask_why, always_right, { ENOMEM, ENOTSUP }, false },
    { "gcmmap_print_why", map_shared, print_why, always_right, { ENOMEM, ENOTSUP }, false },
    { "gcmmap_try", map_and_cut, catch_fault, always_right, { 0 }, false },
    { "gcmmap_sync", map_shared, sync_it, always_right, { EIO, ENOMEM }, true },
    { "gcmmap_protect", map_memory, protect_it, is_protected, { ENOMEM, ENOTSUP }, false },
    { "gcmmap_advise", map_memory, advise_it, has_lost_a_page, { ENOMEM, EINVAL, EAGAIN }, false },
    { "gcmmap_prefetch", map_shared, prefetch_it, always_right, { ENOMEM, EAGAIN, EINVAL }, false },
    { "gcmmap_unload", map_shared, unload_it, always_right, { ENOMEM, EAGAIN, EBUSY }, false },
    { "gcmmap_lock", map_memory, lock_it, always_right, { ENOMEM, EAGAIN }, true },
    { "gcmmap_unlock", map_memory, unlock_it, always_right, { ENOMEM }, true },
    { "gcmmap_residency", map_memory, ask_residency, always_right, { ENOMEM, EAGAIN }, false },
    { "gcmmap_copy_out", map_shared, copy_out, has_copied_out, { EFAULT, EMFILE, ENFILE }, false },
    { "gcmmap_copy_in", map_memory, copy_in, has_copied_out, { EFAULT, EMFILE, ENFILE }, true },
    { "gcmmap_slice_object_new", map_shared, make_object, is_object, { ENOMEM }, false },
    { "gcmmap_extend of memory", map_memory, extend, has_grown, { ENOMEM, EAGAIN }, false },
    { "gcmmap_extend of a file",
      map_shared,
      extend,
      has_grown,
      { ENOMEM, EAGAIN, ENOSPC, EIO, ESTALE },
      false },
    { "gcmmap_extend over a file",
      map_read_only,
      extend_read_only,
      shows_all,
      { ENOMEM, EAGAIN, EIO, ESTALE },
      false },
    { "gcmmap_refresh of a file that has grown",
      map_read_only,
      refresh,
      shows_all,
      { ENOMEM, EAGAIN, EIO, ESTALE },
      false },
    { "gcmmap_refresh of a file that was cut",
      shorten_file,
      refresh,
      has_one_page,
      { ENOMEM, EAGAIN, EIO, ESTALE },
      false },
    { "gcmmap_truncate of memory", map_memory, truncate_it, has_4096, { ENOMEM, EAGAIN }, false },
    { "gcmmap_truncate of a file",
      map_shared,
      truncate_it,
      file_is_cut,
      { ENOMEM, EAGAIN, EIO, ESTALE },
      false },
    { "gcmmap_close", map_shared, close_it, is_closed, { ENOMEM, EAGAIN }, false },
    { "gcmmap_close, writing back",
      map_write_back,
      close_it,
      is_closed,
      { ENOMEM, EAGAIN, EIO },
      false },
    { "gcmmap_close by handle", map_by_handle, close_it, is_closed, { ENOMEM, EAGAIN }, false },
    { "gcmmap_unmap_now", map_shared, unmap_it, is_gone, { ENOMEM, EAGAIN }, false },
    { "gcmmap_unmap_now by handle", map_by_handle, unmap_it, is_gone, { ENOMEM, EAGAIN }, false },
    { "gcmmap_collect", drop_many, collect, all_go, { 0 }, false },
    { "gcmmap_trim", drop_many, trim, all_go, { 0 }, false },
    { "finding and naming", map_shared, look, always_right, { 0 }, false },
    { "tracing", hold_children, collect_twice, children_are_alive, { 0 }, false },
    { "tracing behind protection",
      hold_children_behind_protection,
      collect_twice,
      children_are_alive,
      { 0 },
      false },
    { "private copies", map_private, collect_twice, shows_all, { 0 }, false },
    { "gcmmap_shm_unlink", create_shm, unlink_shm, always_right, { ENOMEM }, false },
};

/* ---- whether anything has changed ------------------------------------------------------------------------ */

struct snapshot {
    gcmmap_stats stats;
    gcmmap_slice bytes;
    size_t n_file, n_descriptors, n_mapped_from;
    unsigned char file[3 * ROOM], contents[3 * ROOM];
};

static size_t count_descriptors(void)
{
    size_t n = 0;

    for (int i = 3; i < 64; i++)
        n += fcntl(i, F_GETFD, 0) >= 0;
    return n;
}

static void take_snapshot(struct snapshot *snapshot)
{
    ssize_t n = pread(fd, snapshot->file, sizeof snapshot->file, 0);

    memset(snapshot->contents, 0xee, sizeof snapshot->contents);
    need(n >= 0, "pread");
    snapshot->n_file = (size_t)n;
    snapshot->stats = stats_now();
    snapshot->n_descriptors = count_descriptors();
    snapshot->n_mapped_from = bytes_mapped_from(fd);
    snapshot->bytes = region != NULL ? gcmmap_bytes(region) : (gcmmap_slice){ NULL, 0 };
    if (snapshot->bytes.data != NULL && snapshot->bytes.size <= sizeof snapshot->contents) {
        /* What lies behind the end of a file is seen by this as well. */
        for (size_t at = 0; at < snapshot->bytes.size; at += 100) {
            struct iovec local = { snapshot->contents + at, 100 };
            struct iovec remote = { snapshot->bytes.data + at, 100 };

            (void)process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        }
    }
}

static const char *difference(const struct snapshot *a, const struct snapshot *b, bool changes_some)
{
    if (a->n_file != b->n_file || memcmp(a->file, b->file, a->n_file) != 0)
        return changes_some && a->n_file == b->n_file ? NULL : "the file has changed";
    if (a->stats.n_live != b->stats.n_live || a->stats.n_closed != b->stats.n_closed ||
        a->stats.bytes_live != b->stats.bytes_live || a->stats.n_mapped != b->stats.n_mapped)
        return "the counters have changed";
    if (a->n_descriptors != b->n_descriptors)
        return "there are more or fewer descriptors";
    if (a->n_mapped_from != b->n_mapped_from)
        return "more or less of the file is mapped";
    if (a->bytes.data != b->bytes.data || a->bytes.size != b->bytes.size)
        return "the region has another size";
    if (!changes_some && a->bytes.data != NULL && a->bytes.size <= sizeof a->contents &&
        memcmp(a->contents, b->contents, a->bytes.size / 100 * 100) != 0)
        return "the region has other contents";
    return NULL;
}

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

static void reset_file(void)
{
    unsigned char bytes[N_BYTES];

    for (size_t i = 0; i < N_BYTES; i++)
        bytes[i] = byte_at(SEED, i);
    need(ftruncate(fd, (off_t)N_BYTES) == 0 && pwrite(fd, bytes, N_BYTES, 0) == (ssize_t)N_BYTES,
         "file");
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
    if (scenario->prepare != NULL)
        scenario->prepare();
    take_snapshot(&before);
    errno = 0;
    arm(function, error, nth, always);
    successful = scenario->call();
    got = errno;
    disarm();
    n = atomic_load(&n_injected);
    if (successful) {
        if (got != 0)
            complain(scenario, "it succeeds, and errno has changed");
    } else {
        n_failed_calls++;
        take_snapshot(&after);
        changed = difference(&before, &after, scenario->changes_some);
        if (changed != NULL)
            complain(scenario, changed);
        if (n == 0 || !is_documented(scenario, got))
            complain(scenario, strerror(got));
        if (!scenario->call())
            complain(scenario, "it does not work afterwards");
    }
    if (!scenario->is_right())
        complain(scenario, successful ? "it succeeds, and is wrong" : "it is wrong afterwards");
    clean_up(scenario);
    return n;
}

static void run_group(const struct scenario *scenario, enum injectable function, int error,
                      bool always)
{
    int nth = 1;

    while (nth < MOST_CALLS && run_once(scenario, function, error, nth, always) != 0)
        nth++;
    if (nth == MOST_CALLS)
        complain(scenario, "endless");
}

/* ---- whether anything is left over ------------------------------------------------------------------------------- */

struct measure {
    size_t regions, reserved, descriptors, lines, memory;
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
    return (struct measure){ stats.n_live + stats.n_closed + stats.n_dying, stats.bytes_reserved,
                             count_descriptors(), count_map_lines(), mallinfo2().uordblks };
}

#define N_MEASURES 20 /* a few records are kept for later: they are the last to come */

/* What is lost by accident, or only once, is not lost each time. */
static void run_group_again(const struct scenario *scenario, enum injectable function, int error,
                            bool always)
{
    static const char *const names[] = { "regions", "reserved bytes", "descriptors",
                                         "lines of /proc/self/maps", "bytes of malloc" };
    enum { N_NAMES = sizeof names / sizeof *names };
    bool has_grown[N_NAMES] = { true, true, true, true, true }, has_any = true;
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
        if (has_grown[j] && !(function == AT_munmap && j == 3) && !(function == AT_fstat && j == 2))
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

/* Each function that the scenario calls, with each error, once and for good. */
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
}

static void inject_into_all(const struct scenario *scenario)
{
    unsigned long n_before = n_wrong;
    bool is_called[N_INJECTABLE];
    struct measure at_first, now;

    n_said = 0;
    for (int i = 0; i < 2; i++)
        (void)run_once(scenario, 0, ENOMEM, 0, false);
    for (int i = 0; i < N_INJECTABLE; i++)
        is_called[i] = atomic_load(&n_calls[i]) > 0;
    at_first = measure();
    inject(scenario, is_called, run_group);
    now = measure();
    if (now.regions > at_first.regions || now.reserved > at_first.reserved ||
        now.descriptors > at_first.descriptors || now.lines > at_first.lines ||
        now.memory > at_first.memory)
        inject(scenario, is_called, run_group_again);
    ok(n_wrong == n_before, "%s: it does without, or fails as documented and changes nothing",
       scenario->name);
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
    GC_INIT();
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
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        inject_into_all(&scenarios[i]);
    test_reach();
    reset_file();
    test_first_calls();
    unlink(path);
    unlink(large_path);
    note("%lu runs, in %lu of them the call failed", n_runs, n_failed_calls);
    return done_testing();
}
