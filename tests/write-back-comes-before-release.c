/*
 * GCMMAP_WRITE_BACK: each region is written to its file before its pages go, and an
 * error of that reaches the callback, or the caller who closes it.  The witness is an
 * msync() of our own in front of the system's, which can fail too.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/syscall.h>

#include "live.h"

#define N_REGIONS 50u
#define SIZE ((size_t)9000)
#define SEED 5

static int fd, failure;
static unsigned long inode;
static unsigned n_synced, n_wrong, n_told, n_failed;

__attribute__((visibility("default"))) int msync(void *at, size_t n_bytes, int flags)
{
    n_synced++;
    n_wrong += flags != MS_SYNC || inode_at(at) != inode || n_bytes != 3 * 4096;
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return (int)syscall(SYS_msync, at, n_bytes, flags);
}

static void told(const gcmmap_release *release, void *data)
{
    (void)data;
    n_told++;
    n_failed += release->error != 0;
    n_wrong += release->error != failure || inode_at(release->data) == inode;
}

static gcmmap_region *map(void)
{
    gcmmap_options options = { .released = told };
    gcmmap_region *region =
        gcmmap_map_with(fd, 0, SIZE, GCMMAP_WRITE | GCMMAP_WRITE_BACK, &options);

    need(region != NULL, "map");
    memset(gcmmap_data(region), 'x', SIZE);
    return region;
}

static void map_and_forget(void *arg)
{
    for (unsigned i = 0; i < N_REGIONS; i++)
        (void)map();
    (void)arg;
}

static void test_release(int error, const char *what)
{
    n_synced = n_told = n_failed = 0;
    failure = error;
    apart(map_and_forget, NULL);
    collect_thoroughly();
    ok(n_told >= N_REGIONS - 3 && n_synced == n_told, "%s: %u regions, each written once", what,
       n_told);
    ok(n_wrong == 0 && n_failed == (error == 0 ? 0 : n_told), "and the outcome is told");
}

static void test_close(void *arg)
{
    gcmmap_region *region = map();
    unsigned char *data = gcmmap_data(region);

    (void)arg;
    failure = EIO;
    errno = 0;
    ok(gcmmap_close(region) == -1 && errno == EIO, "closing says what went wrong");
    ok(gcmmap_data(region) == data && data[1] == 'x', "and the region is as it was");
    failure = ENOSPC;
    errno = 0;
    ok(gcmmap_unmap_now(region) == -1 && errno == ENOSPC && data[2] == 'x', "so does unmap_now");
    failure = 0;
    n_synced = n_told = 0;
    ok(gcmmap_close(region) == 0 && n_synced == 1 && n_told == 1, "the next attempt succeeds");
    ok(gcmmap_close(region) == 0 && n_synced == 1 && n_told == 1, "closed: nothing to write");
}

static void test_flags(void)
{
    errno = 0;
    ok(gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_WRITE_BACK) == NULL && errno == EINVAL,
       "not for what is only read");
    errno = 0;
    ok(gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_WRITE_BACK) == NULL &&
           errno == EINVAL,
       "nor for private stores");
    errno = 0;
    ok(gcmmap_alloc(SIZE, GCMMAP_WRITE_BACK) == NULL && errno == EINVAL, "nor for no file");
}

int main(void)
{
    GC_INIT();
    fd = make_file(SEED, SIZE);
    inode = inode_of(fd);
    test_release(0, "all is well");
    test_release(EIO, "the disk fails");
    apart(test_close, NULL);
    test_flags();
    return done_testing();
}
