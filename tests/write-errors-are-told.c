/*
 * What the disk refuses is told: by gcmmap_sync(), by closing and truncating what is
 * GCMMAP_WRITE_BACK, and by the release callback.  Here the disk really refuses: it is a sparse
 * image in a small tmpfs that is full.  A plain mmap(2) and msync(2) is the witness for the error.
 *
 * Mounts live in a mount namespace of their own, so that they go with the process, whatever it
 * ends in; and the loop device goes with them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define SIZE ((size_t)20000) /* not whole pages */
#define N_REGIONS 40u
#define TIMEOUT_SECONDS 60

static char directory[] = "/tmp/gcmmap-test-XXXXXX";
static unsigned n_files;

/* ---- a disk that gets full ------------------------------------------------- */

static void path_of(char *path, const char *name)
{
    snprintf(path, 64, "%s/%s", directory, name);
}

/* Both file systems below `directory`, for this process only; false: the machine has no such. */
static bool make_disk(void)
{
    char command[512], image[64];
    int fd;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("gcmmap-test", directory, "tmpfs", 0, "size=4m") != 0)
        return false;
    path_of(image, "image");
    fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0 && ftruncate(fd, 32 << 20) == 0, "image");
    close(fd);
    snprintf(
        command, sizeof command,
        "exec > /dev/null 2>&1; PATH=/usr/sbin:/sbin:$PATH; cd %s && mkdir disk && "
        "mkfs.ext4 -q -F -O ^has_journal -m 0 image && mount -t ext4 -o loop,noatime image disk",
        directory);
    return system(command) == 0;
}

static int new_file(void)
{
    char name[32], path[64];
    int fd;

    snprintf(name, sizeof name, "disk/%u", n_files++);
    path_of(path, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0 && ftruncate(fd, 2 * (off_t)SIZE) == 0, "file");
    return fd;
}

/* Nothing is left of the tmpfs, so none of the image's holes can be written. */
static void fill_disk(void)
{
    static char zeros[65536];
    char path[64];
    int fd;

    path_of(path, "filler");
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0, "filler");
    for (size_t n = sizeof zeros; n > 0;)
        if (write(fd, zeros, n) <= 0)
            n /= 2;
    close(fd);
}

static void make_room(void)
{
    char path[64];

    path_of(path, "filler");
    need(unlink(path) == 0, "filler");
}

/* What the kernel says of a store that cannot be written. */
static int error_of_the_disk(void)
{
    int fd = new_file(), error;
    unsigned char *data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    need(data != MAP_FAILED, "mmap");
    data[5] = 1;
    error = msync(data, SIZE, MS_SYNC) == 0 ? 0 : errno;
    munmap(data, SIZE);
    close(fd);
    return error;
}

/* ---- who tells -------------------------------------------------------------- */

/* A region of a file of its own, with something to write. */
static gcmmap_region *map_dirty(unsigned flags, const gcmmap_options *options)
{
    int fd = new_file();
    gcmmap_region *region = gcmmap_map_with(fd, 0, SIZE, GCMMAP_WRITE | flags, options);

    need(region != NULL, "map");
    close(fd);
    memset(gcmmap_data(region), 'x', SIZE);
    return region;
}

static void test_sync(int error)
{
    gcmmap_region *region = map_dirty(0, NULL);
    unsigned char *data = gcmmap_data(region);

    errno = 0;
    gives_errno(gcmmap_sync(data, SIZE, GCMMAP_SYNC), error, "gcmmap_sync()");
    ok(data[0] == 'x' && data[SIZE - 1] == 'x', "and the bytes are as they were stored");
    data[9001] = 'y';
    errno = 0;
    gives_errno(gcmmap_sync(data + 9001, 1, GCMMAP_SYNC), error, "of one byte in the middle");
    data[1] = 'z';
    ok(gcmmap_close(region) == 0, "closing without GCMMAP_WRITE_BACK does not ask");
}

static void test_close(int error)
{
    gcmmap_region *region = map_dirty(GCMMAP_WRITE_BACK, NULL);
    unsigned char *data = gcmmap_data(region);

    errno = 0;
    gives_errno(gcmmap_close(region), error, "gcmmap_close() with GCMMAP_WRITE_BACK");
    ok(gcmmap_data(region) == data && data[SIZE - 1] == 'x', "and the region stays open");
    ok(gcmmap_close(region) == 0, "the kernel tells once: the next attempt succeeds");

    region = map_dirty(GCMMAP_WRITE_BACK, NULL);
    data = gcmmap_data(region);
    errno = 0;
    gives_errno(gcmmap_unmap_now(region), error, "gcmmap_unmap_now()");
    ok(gcmmap_data(region) == data && gcmmap_unmap_now(region) == 0, "the same");
}

static void test_truncate(int error)
{
    gcmmap_options options = { .room = SIZE };
    gcmmap_region *region = map_dirty(GCMMAP_WRITE_BACK, &options);
    unsigned char *data = gcmmap_data(region);

    errno = 0;
    gives_errno(gcmmap_truncate(region, 100), error, "gcmmap_truncate() with GCMMAP_WRITE_BACK");
    ok(gcmmap_size(region) == SIZE && data[SIZE - 1] == 'x',
       "and the region is as large as before");
    ok(gcmmap_truncate(region, 100) == 0 && gcmmap_size(region) == 100, "the next one succeeds");
    errno = 0;
    gives_errno(gcmmap_close(region), error, "closing it asks for what is left");
    ok(gcmmap_close(region) == 0, "and has asked");
}

static int wanted;
static unsigned n_told, n_right;

static void told(const gcmmap_release *release, void *data)
{
    n_told++;
    n_right += release->error == wanted && release->size == SIZE && data == &n_told;
}

static void map_and_forget(void *arg)
{
    gcmmap_options options = { .released = told, .data = &n_told };

    for (unsigned i = 0; i < N_REGIONS; i++)
        (void)map_dirty(*(unsigned *)arg, &options);
}

static void test_release(unsigned flags, int error, const char *what)
{
    n_told = n_right = 0;
    wanted = error;
    apart(map_and_forget, &flags);
    collect_thoroughly();
    ok(n_told >= N_REGIONS - 3 && n_right == n_told,
       "%s: the callback of %u of %u regions that the collector released is told %s", what, n_told,
       N_REGIONS, error == 0 ? "of no error" : strerror(error));
}

static void test_all(void *arg)
{
    int error = *(int *)arg;

    test_sync(error);
    test_close(error);
    test_truncate(error);
}

static int test_in_namespace(void)
{
    int error;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(TIMEOUT_SECONDS);
    if (!make_disk())
        skip_all("no loop device with ext4 in a mount namespace (needs the superuser)");
    GC_INIT();
    fill_disk();
    error = error_of_the_disk();
    if (error == 0)
        skip_all("the full disk takes what is written");
    note("msync(2) says: %s", strerror(error));
    apart(test_all, &error);
    test_release(GCMMAP_WRITE_BACK, error, "GCMMAP_WRITE_BACK");
    test_release(0, 0, "without it");
    make_room();
    test_release(GCMMAP_WRITE_BACK, 0, "with room on the disk");
    return done_testing();
}

int main(void)
{
    int status = 0;
    pid_t child;

    need(mkdtemp(directory) != NULL, "directory");
    child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        exit(test_in_namespace());
    need(waitpid(child, &status, 0) == child, "waitpid");
    rmdir(directory); /* the mounts were the child's */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
