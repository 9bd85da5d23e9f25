/*
 * Stores into gcmmap_memfd() and gcmmap_shm() regions are seen by forked children, by those
 * who got the descriptor, and by a process that knows nothing but the name.  Names are made,
 * found and refused as flags say; devices are mapped as far as they can be.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define SIZE ((size_t)30000)

static char name[64], path[80];

static int store_in_child(void *arg)
{
    unsigned char *data = arg;

    data[SIZE - 1] = 77;
    return data[0];
}

static void test_memfd(void)
{
    int fd = -1;
    gcmmap_region *region = gcmmap_memfd("test", SIZE, 0, NULL, &fd), *other;
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "memfd");
    data[0] = 33;
    ok(gcmmap_size(region) == SIZE && run_in_child(store_in_child, data) == 33 &&
           data[SIZE - 1] == 77,
       "parent and child see each other's stores");
    other = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    ok(gcmmap_size(other) == SIZE && ((unsigned char *)gcmmap_data(other))[SIZE - 1] == 77 &&
           (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
       "so does who has the descriptor");
    close(fd);
    region = gcmmap_memfd("", 0, GCMMAP_READ, NULL, NULL);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "an empty one");
    fd = 12345;
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_memfd(NULL, SIZE, 0, NULL, &fd), EINVAL, "no name");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_memfd("x", SIZE, GCMMAP_PRIVATE, NULL, &fd), EINVAL,
                      "a private one");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_memfd("x", SIZE_MAX, 0, NULL, &fd), EOVERFLOW, "too large");
    ok(fd == 12345, "no descriptor then");
}

static void refused(size_t size, unsigned flags, int wanted, const char *what)
{
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_shm(name, size, flags, NULL), wanted, what);
}

static size_t length(void)
{
    struct stat status;

    return stat(path, &status) == 0 ? (size_t)status.st_size : GCMMAP_REST;
}

static void test_shm(void)
{
    char command[200], first = 0;
    gcmmap_region *region, *other;
    unsigned char *data;
    FILE *witness;

    refused(SIZE, GCMMAP_WRITE, ENOENT, "there is none");
    refused(GCMMAP_REST, GCMMAP_READ, ENOENT, "nor all of it");
    refused(SIZE, GCMMAP_WRITE | GCMMAP_EXCLUSIVE, EINVAL, "exclusive, but not made");
    refused(GCMMAP_REST, GCMMAP_WRITE | GCMMAP_CREATE, EINVAL, "made, but how large");
    refused(SIZE, GCMMAP_CREATE, EINVAL, "no access");
    refused((size_t)1 << (HAS_MANY_ADDRESSES ? 50 : 31), GCMMAP_WRITE | GCMMAP_CREATE,
            HAS_MANY_ADDRESSES ? ENOSPC : EOVERFLOW, "more than there is");
    ok(length() == GCMMAP_REST, "none was left by that");
    region = gcmmap_shm(name, SIZE, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, NULL);
    data = gcmmap_data(region);
    need(data != NULL, "shm");
    memset(data, 'q', SIZE);
    snprintf(command, sizeof command, "head -c 1 %s", path);
    witness = popen(command, "r");
    need(witness != NULL && fread(&first, 1, 1, witness) == 1 && pclose(witness) == 0, "witness");
    ok(length() == SIZE && first == 'q', "another process finds it by name");
    other = gcmmap_shm(name, GCMMAP_REST, GCMMAP_READ, NULL);
    data[5] = 'z';
    ok(gcmmap_size(other) == SIZE && ((unsigned char *)gcmmap_data(other))[5] == 'z',
       "all of it by name");
    refused(SIZE, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, EEXIST, "there is one");
    refused(SIZE + 1, GCMMAP_READ, ENXIO, "more than it has");
    other = gcmmap_shm(name, 100, GCMMAP_READ | GCMMAP_CREATE, NULL);
    ok(gcmmap_size(other) == 100 && length() == SIZE, "it is not made shorter");
    other = gcmmap_shm(name, 2 * SIZE, GCMMAP_WRITE | GCMMAP_CREATE, NULL);
    ok(gcmmap_size(other) == 2 * SIZE && length() == 2 * SIZE && data[5] == 'z', "but longer");
    other = gcmmap_shm(name, SIZE, GCMMAP_WRITE | GCMMAP_PRIVATE, NULL);
    ((unsigned char *)gcmmap_data(other))[5] = 'p';
    ok(data[5] == 'z', "a private one is a copy");
    ok(gcmmap_shm_unlink(name) == 0 && length() == GCMMAP_REST && data[5] == 'z',
       "without a name what is mapped stays");
    errno = 0;
    (void)gives_errno(gcmmap_shm_unlink(name), ENOENT, "the name is gone");
    errno = 0;
    (void)gives_errno(gcmmap_shm_unlink(NULL), EINVAL, "no name");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_shm("/a/b", 1, GCMMAP_READ, NULL), EINVAL, "a bad name");
}

static void test_zero(unsigned flags, bool shared)
{
    int fd = open("/dev/zero", O_RDWR), status;
    unsigned char *data = gcmmap_data(gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | flags));

    need(data != NULL, "/dev/zero");
    close(fd);
    ok(data[0] == 0 && data[SIZE - 1] == 0, "/dev/zero shows zeros");
    data[0] = 9;
    status = run_in_child(store_in_child, data);
    ok(status == 9 && data[SIZE - 1] == (shared ? 77 : 0), "stores of a child %s seen",
       shared ? "are" : "are not");
}

static void test_mem(void)
{
    int fd = open("/dev/mem", O_RDONLY);

    if (fd < 0) {
        ok(true, "/dev/mem # SKIP not here");
        return;
    }
    errno = 0;
    ok(gcmmap_map(fd, (off_t)1 << 30, SIZE, GCMMAP_READ) != NULL || errno != 0,
       "/dev/mem is mapped or refused");
    close(fd);
}

int main(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
    snprintf(name, sizeof name, "/gcmmap-test-%ld", (long)getpid());
    snprintf(path, sizeof path, "/dev/shm%s", name);
    test_memfd();
    if (access("/dev/shm", W_OK) == 0)
        test_shm();
    else
        ok(true, "shared memory by name # SKIP no /dev/shm");
    test_zero(0, true);
    test_zero(GCMMAP_PRIVATE, false);
    test_mem();
    return done_testing();
}
