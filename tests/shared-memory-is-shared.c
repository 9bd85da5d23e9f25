/*
 * Stores into gcmmap_memfd() and gcmmap_shm() regions are seen by forked children, by those
 * who got the descriptor, and by a process that knows nothing but the name.  Names are made,
 * found and refused as flags say, and what is refused changes nothing; devices are mapped as far as they can be.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/inotify.h>

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
    refused((size_t)1 << (HAS_MANY_ADDRESSES ? 45 : 31),
            GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_BY_HANDLE,
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

/* Whether anything has happened to the object of that name, as the kernel tells others. */
static bool is_quiet(int watch)
{
    _Alignas(struct inotify_event) char events[4096];
    bool quiet = true;
    ssize_t n;

    while ((n = read(watch, events, sizeof events)) > 0)
        for (char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;

            quiet &= event->len == 0 || strcmp(event->name, name + 1) != 0;
            at += sizeof *event + event->len;
        }
    return quiet;
}

/* How many change something that should not. */
static int count_changes(int watch)
{
    const gcmmap_options misaligned = { .alignment = 3 }, reserved = { .reserved = { 1 } };
    const gcmmap_options large = { .room = GCMMAP_SIZE_MAX + 1 };
    const gcmmap_options somewhere = { .address = (void *)(uintptr_t)0x100000 };
    const struct {
        size_t size;
        unsigned flags;
        const gcmmap_options *options;
        int error;
    } bad[] = {
        { 2 * SIZE, 0x80000000u | GCMMAP_WRITE, NULL, EINVAL },
        { 2 * SIZE, 0, NULL, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE | GCMMAP_TRACED | GCMMAP_POINTER_FREE, NULL, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE | GCMMAP_SECRET, NULL, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE | GCMMAP_HUGE_ONLY, NULL, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE | GCMMAP_GROWSDOWN, NULL, ENOTSUP },
        { 2 * SIZE, GCMMAP_WRITE, &misaligned, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE, &reserved, EINVAL },
        { 2 * SIZE, GCMMAP_WRITE, &large, EOVERFLOW },
        { 2 * SIZE, GCMMAP_WRITE, &somewhere, ENOTSUP },
        { GCMMAP_SIZE_MAX + 1, GCMMAP_WRITE, NULL, EOVERFLOW },
        { SIZE_MAX / 2, GCMMAP_WRITE | GCMMAP_BY_HANDLE, NULL, EOVERFLOW },
    };
    int n = 0;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const gcmmap_region *region;

        errno = 0;
        region = gcmmap_shm(name, bad[i].size, bad[i].flags | GCMMAP_CREATE, bad[i].options);
        if (region != NULL || errno != bad[i].error || !is_quiet(watch)) {
            note("number %zu: %s", i, strerror(errno));
            n++;
        }
    }
    return n;
}

static void test_failures(void)
{
    const gcmmap_budget none = { .bytes = 1 }, all = { 0 };
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), fd;
    gcmmap_region *region;

    if (watch < 0 || inotify_add_watch(watch, "/dev/shm", IN_CREATE | IN_MODIFY | IN_DELETE) < 0) {
        ok(true, "what is refused changes nothing # SKIP no inotify");
        return;
    }
    ok(count_changes(watch) == 0 && length() == GCMMAP_REST, "nothing is made of bad input");
    need(gcmmap_set_budget(&none) == 0, "gcmmap_set_budget");
    refused(SIZE, GCMMAP_WRITE | GCMMAP_CREATE, EDQUOT, "there is no budget");
    ok(length() == GCMMAP_REST, "what was made before that is gone again");
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd >= 0 && ftruncate(fd, SIZE) == 0 && close(fd) == 0, "shm_open");
    (void)is_quiet(watch);
    refused(2 * SIZE, GCMMAP_WRITE | GCMMAP_CREATE, EDQUOT, "there is no budget for more");
    refused(2 * SIZE, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_BY_HANDLE, EDQUOT, "nor by handle");
    ok(length() == SIZE && is_quiet(watch), "what was there is not made longer for that");
    need(gcmmap_set_budget(&all) == 0, "gcmmap_set_budget");
    ok(count_changes(watch) == 0 && length() == SIZE, "nor for bad input");
    region = gcmmap_shm(name, 2 * SIZE, GCMMAP_WRITE | GCMMAP_CREATE | GCMMAP_POPULATE, NULL);
    ok(gcmmap_size(region) == 2 * SIZE && length() == 2 * SIZE && !is_quiet(watch),
       "but where it is mapped, and all of it is there");
    ok(gcmmap_shm_unlink(name) == 0, "it is unlinked");
    close(watch);
}

/* Bytes that the kernel calls so. */
static size_t count_mapped(const char *what)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    char text[4400];
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(text, sizeof text, maps))
        if (strstr(text, what) != NULL && sscanf(text, "%lx-%lx", &from, &to) == 2)
            n += to - from;
    fclose(maps);
    return n;
}

static void test_zero(unsigned flags, bool shared)
{
    size_t n_before = count_mapped("/dev/zero");
    int fd = open("/dev/zero", O_RDWR), status;
    unsigned char *data = gcmmap_data(gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | flags));

    need(data != NULL, "/dev/zero");
    close(fd);
    ok(count_mapped("/dev/zero") - n_before == SIZE / 4096 * 4096 + 4096 || getpagesize() != 4096,
       "/dev/zero is mapped once");
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
    if (access("/dev/shm", W_OK) == 0) {
        test_shm();
        test_failures();
    } else {
        ok(true, "shared memory by name # SKIP no /dev/shm");
    }
    test_zero(0, true);
    test_zero(GCMMAP_PRIVATE, false);
    test_mem();
    return done_testing();
}
