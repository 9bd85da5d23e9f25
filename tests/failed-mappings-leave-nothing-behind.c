/*
 * Where a mapping fails half-way and the kernel refuses to take its pages away again, nobody
 * gets these addresses before it has: they are tried again at the next call.  Where a region could
 * not grow for that reason, closing takes all of it away.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <stdatomic.h>

#define SIZE ((size_t)30000)
#define PAGES ((size_t)32768)

static atomic_bool refuse, locks;
static atomic_uint n_refused;

/* These are the library's, too. */
__attribute__((visibility("default"))) void *mmap(void *at, size_t n_bytes, int protection,
                                                  int flags, int file, off_t offset)
{
    if (atomic_load(&refuse) && protection == PROT_NONE && (flags & MAP_FIXED)) {
        atomic_fetch_add(&n_refused, 1);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return kernel_mmap(at, n_bytes, protection, flags, file, offset);
}

__attribute__((visibility("default"))) int mlock(const void *at, size_t n_bytes)
{
    if (atomic_load(&locks))
        return (int)syscall(SYS_mlock, at, n_bytes);
    errno = EAGAIN;
    return -1;
}

/* Once more than these have been made they are refused. */
static atomic_int n_protects_left, n_moves_left;
static void *foreign;

__attribute__((visibility("default"))) int mprotect(void *at, size_t n_bytes, int protection)
{
    if (foreign != NULL && n_bytes == PAGES && protection == PROT_READ &&
        atomic_fetch_sub(&n_protects_left, 1) <= 0) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, at, n_bytes, protection);
}

__attribute__((visibility("default"))) void *mremap(void *from, size_t n_bytes, size_t n_wanted,
                                                    int flags, ...)
{
    va_list arguments;
    void *to;

    va_start(arguments, flags);
    to = va_arg(arguments, void *);
    va_end(arguments);
    if (atomic_fetch_sub(&n_moves_left, 1) <= 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mremap, from, n_bytes, n_wanted, flags, to);
}

static int fd;

static __attribute__((noinline)) void fail_to_map(size_t size)
{
    size_t n_pooled;

    need(gcmmap_unmap_now(gcmmap_map(fd, 0, size, GCMMAP_READ)) == 0, "fill the pool");
    n_pooled = stats_now().n_pooled;
    atomic_store(&refuse, true);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 0, size, GCMMAP_READ | GCMMAP_LOCK), EAGAIN,
                "a mapping that cannot be locked");
    ok(bytes_mapped_from(fd) >= size, "the kernel has kept its pages");
    if (size == SIZE) /* rows are cut and joined */
        ok(stats_now().n_pooled == n_pooled - 1, "its addresses are not pooled");
    (void)gcmmap_collect();
    ok(bytes_mapped_from(fd) >= size && (size != SIZE || stats_now().n_pooled == n_pooled - 1),
       "nor as long as the kernel refuses");
    atomic_store(&refuse, false);
}

static __attribute__((noinline)) void test_mapping(size_t size)
{
    gcmmap_region *region, *next;
    size_t n_pooled;

    fail_to_map(size);
    region = gcmmap_alloc(size, 0);
    ok(region != NULL && bytes_mapped_from(fd) == 0, "the next call has taken the pages away");
    ok(((unsigned char *)gcmmap_data(region))[size - 1] == 0, "it gets zeros");
    n_pooled = stats_now().n_pooled;
    fail_to_map(size);
    (void)gcmmap_trim();
    ok(bytes_mapped_from(fd) == 0 && stats_now().n_pooled == 0, "so does trimming");
    next = gcmmap_alloc(size, 0);
    ok(next != NULL, "and addresses are had again");
    note("%zu were pooled", n_pooled);
    GC_reachable_here(next);
    GC_reachable_here(region);
}

/* ---- growing ------------------------------------------------------------------------------ */

/* What is behind it is mapped, and not the region's. */
static __attribute__((noinline)) gcmmap_region *fail_to_grow(unsigned flags)
{
    gcmmap_options options = { .room = 4 * PAGES };
    gcmmap_region *region;

    atomic_store(&locks, true);
    region = gcmmap_map_with(fd, 0, 100, flags | GCMMAP_READ | GCMMAP_LOCK, &options);
    need(region != NULL, "region");
    atomic_store(&locks, false);
    atomic_store(&refuse, true);
    errno = 0;
    gives_errno(gcmmap_extend(region, PAGES), EAGAIN, "growing");
    atomic_store(&refuse, false);
    return region;
}

enum end { CLOSE, UNMAP_NOW, FORGET, N_ENDS };
static const char *const ends[N_ENDS] = { "closed", "unmapped", "forgotten" };

static __attribute__((noinline)) void end_after_failing(unsigned flags, enum end end)
{
    gcmmap_region *region = fail_to_grow(flags);

    ok(gcmmap_size(region) == 100 && bytes_mapped_from(fd) >= PAGES,
       "the kernel has kept what was added");
    if (end == FORGET)
        return;
    atomic_store(&refuse, true);
    if (end == CLOSE || !(flags & GCMMAP_BY_HANDLE))
        ok((end == CLOSE ? gcmmap_close(region) : gcmmap_unmap_now(region)) == -1,
           "and refuses once more");
    atomic_store(&refuse, false);
    ok((end == CLOSE ? gcmmap_close(region) : gcmmap_unmap_now(region)) == 0, "%s", ends[end]);
    ok(bytes_mapped_from(fd) == 0, "with all that was there");
}

static void test_growing(unsigned flags, enum end end)
{
    size_t left;

    end_after_failing(flags, end);
    for (int i = 0; i < 3 && bytes_mapped_from(fd) != 0; i++) {
        scrub();
        collect_with_noise();
    }
    left = bytes_mapped_from(fd);
    ok(left == 0, "%s%s: %zu bytes are left", ends[end], flags != 0 ? ", by handle" : "", left);
}

/* ---- adopting ------------------------------------------------------------------------------ */

#define NOT_HERE 77

/* Where the collector protects traced pages there are two steps, each of which may fail. */
static int adopt_in_vain(void *arg)
{
    const int *steps = arg;
    gcmmap_region *region;
    unsigned char *bytes =
        kernel_mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    GC_enable_incremental();
    if (!collector_write_protects())
        return NOT_HERE;
    need(gcmmap_alloc(1, 0) != NULL && bytes != MAP_FAILED, "memory");
    memset(bytes, 1, PAGES);
    atomic_store(&n_protects_left, steps[0]);
    atomic_store(&n_moves_left, steps[1]);
    foreign = bytes;
    region = gcmmap_adopt(bytes, PAGES, GCMMAP_TRACED, NULL, NULL);
    foreign = NULL;
    for (size_t i = 0; i < PAGES; i++)
        bytes[i]++;
    return region == NULL && errno == ENOMEM && bytes[0] == 2 && bytes[PAGES - 1] == 2 ? 0 : 1;
}

static void test_adopting(void)
{
    int steps[2][2] = { { 0, 1 }, { 9, 0 } };

    for (int i = 0; i < 2; i++) {
        int status = run_in_child(adopt_in_vain, steps[i]);

        ok(status == 0 || status == NOT_HERE, "what cannot be adopted is as it was%s",
           status == NOT_HERE ? " # SKIP no write protection by the collector" : "");
    }
}

int main(void)
{
    GC_INIT();
    fd = make_file(1, 4 * PAGES);
    need(ftruncate(fd, 32 << 20) == 0, "ftruncate");
    atomic_store(&n_moves_left, 1000);
    test_adopting();
    test_mapping(SIZE);
    test_mapping(20 << 20);
    for (enum end end = CLOSE; end < N_ENDS; end++) {
        test_growing(0, end);
        test_growing(GCMMAP_BY_HANDLE, end);
    }
    ok(atomic_load(&n_refused) > 0, "the kernel has refused %u times", atomic_load(&n_refused));
    return done_testing();
}
