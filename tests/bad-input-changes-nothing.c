/*
 * Bad input gets exactly the errno that gcmmap.h documents, and leaves no trace: no
 * mapping, no descriptor, no region, no heap.  Good input leaves errno alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#include <dirent.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FILE_SIZE ((size_t)10000)
#define OFFSET_MAX INT64_MAX

/* A file of 64 bits can have any size of 32 bits, but this one does not. */
#define BEYOND (sizeof(size_t) > 4 ? EOVERFLOW : ENXIO)
#define KNOWN_FLAGS                                                                                \
    (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE |             \
     GCMMAP_TRACED | GCMMAP_BY_HANDLE | GCMMAP_WRITE_BACK | GCMMAP_POPULATE | GCMMAP_HUGE |        \
     GCMMAP_HUGE_ONLY | GCMMAP_NORESERVE | GCMMAP_LOCK | GCMMAP_SYNC_DAX | GCMMAP_GROWSDOWN |      \
     GCMMAP_NO_FORK | GCMMAP_NO_DUMP | GCMMAP_SECRET | GCMMAP_PARTIAL | GCMMAP_GUARDED |           \
     GCMMAP_ZERO_FILL)
#define ERRNO_BEFORE ERFKILL /* nothing here gives it */

static int fd; /* of a file of FILE_SIZE bytes, seed 1, read and write */
static size_t page;

/* ---- what must not change --------------------------------------------------- */

struct world {
    size_t n_map_lines, n_descriptors, n_file_bytes, n_heap_bytes;
    gcmmap_stats stats;
};

static size_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t n = 0;

    need(directory != NULL, "/proc/self/fd");
    while (readdir(directory) != NULL)
        n++;
    closedir(directory);
    return n;
}

static struct world look(void)
{
    return (struct world){ .n_map_lines = count_map_lines(),
                           .n_descriptors = count_descriptors(),
                           .n_file_bytes = bytes_mapped_from(fd),
                           .n_heap_bytes = GC_get_heap_size(),
                           .stats = stats_now() };
}

static bool is_same_world(const struct world *a, const struct world *b)
{
    return a->n_map_lines == b->n_map_lines && a->n_descriptors == b->n_descriptors &&
           a->n_file_bytes == b->n_file_bytes && a->n_heap_bytes == b->n_heap_bytes &&
           memcmp(&a->stats, &b->stats, sizeof a->stats) == 0;
}

static void show_difference(const struct world *a, const struct world *b)
{
    note("map lines %zu, %zu; descriptors %zu, %zu; bytes of the file %zu, %zu; heap %zu, %zu",
         a->n_map_lines, b->n_map_lines, a->n_descriptors, b->n_descriptors, a->n_file_bytes,
         b->n_file_bytes, a->n_heap_bytes, b->n_heap_bytes);
    note("live %zu, %zu; closed %zu, %zu; pooled %zu, %zu; reserved %zu, %zu", a->stats.n_live,
         b->stats.n_live, a->stats.n_closed, b->stats.n_closed, a->stats.n_pooled,
         b->stats.n_pooled, a->stats.bytes_reserved, b->stats.bytes_reserved);
}

static struct world before;

static void begin(int errno_before)
{
    before = look();
    errno = errno_before;
}

/* The call that ends here gave what a failing call gives, this errno, and no trace. */
static void refused(bool gave_nothing, int wanted, const char *what)
{
    int got = errno;
    struct world after = look();
    bool same = is_same_world(&before, &after);

    if (!ok(gave_nothing && got == wanted && same, "%s: %s", what, strerror(wanted))) {
        note("gave %s, errno %d (%s)", gave_nothing ? "nothing" : "something", got, strerror(got));
        if (!same)
            show_difference(&before, &after);
    }
}

/* Two errnos are documented for one input that is wrong in two ways. */
static void refused_with_either(gcmmap_region *region, int one, int other, const char *what)
{
    int got = errno == other ? other : one;

    refused(region == NULL, got, what);
}

static gcmmap_region *accepted(gcmmap_region *region, const char *what)
{
    int got = errno;

    if (!ok(region != NULL && got == ERRNO_BEFORE, "%s: accepted, errno stays", what))
        note("region %p, errno %d (%s)", (void *)region, got, strerror(got));
    return region;
}

#define REFUSED(call, wanted, what) (begin(0), refused((call) == NULL, wanted, what))
#define EITHER(call, one, other, what) (begin(0), refused_with_either((call), one, other, what))
#define ACCEPTED(call, what) (errno = ERRNO_BEFORE, accepted((call), what))

/* ---- paths ------------------------------------------------------------------ */

static void test_paths(void)
{
    char directory[] = "/tmp/gcmmap-test-XXXXXX", name[64];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    need(mkdtemp(directory) != NULL && listener >= 0, "temporary directory");
    snprintf(name, sizeof name, "%s/missing", directory);
    REFUSED(gcmmap_open(name, GCMMAP_READ), ENOENT, "missing file");
    REFUSED(gcmmap_open(name, GCMMAP_WRITE), ENOENT, "missing file to write");
    ok(access(name, F_OK) != 0, "which is not created");
    REFUSED(gcmmap_open("", GCMMAP_READ), ENOENT, "empty path");
    REFUSED(gcmmap_open(NULL, GCMMAP_READ), EINVAL, "no path");
    REFUSED(gcmmap_open("/dev/null/x", GCMMAP_READ), ENOTDIR, "file as a directory");
    REFUSED(gcmmap_open(directory, GCMMAP_READ), EISDIR, "directory");
    REFUSED(gcmmap_open(directory, GCMMAP_WRITE), EISDIR, "directory to write");
    REFUSED(gcmmap_open(directory, GCMMAP_WRITE | GCMMAP_PRIVATE), EISDIR,
            "directory to write privately");

    snprintf(name, sizeof name, "%s/fifo", directory);
    need(mkfifo(name, 0600) == 0, "mkfifo");
    alarm(20); /* blocking would be the death of us */
    REFUSED(gcmmap_open(name, GCMMAP_READ), ENODEV, "FIFO without a writer, at once");
    REFUSED(gcmmap_open(name, GCMMAP_WRITE), ENODEV, "FIFO to write, at once");
    alarm(0);
    unlink(name);

    snprintf(name, sizeof name, "%s/socket", directory);
    strcpy(address.sun_path, name);
    need(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    REFUSED(gcmmap_open(name, GCMMAP_READ), ENXIO, "socket by path");
    close(listener);
    unlink(name);
    rmdir(directory);

    REFUSED(gcmmap_open("/proc/self/status", GCMMAP_READ), ENODEV, "/proc/self/status");
    /* Nothing can be read at its start, or not a single byte: contents all the same. */
    REFUSED(gcmmap_open("/proc/self/mem", GCMMAP_READ), ENODEV, "/proc/self/mem");
    REFUSED(gcmmap_open("/proc/self/pagemap", GCMMAP_READ), ENODEV, "/proc/self/pagemap");
    if (access("/sys/kernel/uevent_seqnum", R_OK) == 0) /* claims to have 4096 bytes */
        REFUSED(gcmmap_open("/sys/kernel/uevent_seqnum", GCMMAP_READ), ENODEV, "file of /sys");
}

static bool stop_being_root(void)
{
    return geteuid() != 0 ||
           (setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0 && geteuid() != 0);
}

/* Exit status: a bit for each thing that is not as it should be; 64: not to be had. */
static int open_as_nobody(void *arg)
{
    const char *path = arg;
    gcmmap_region *region;
    int wrong = 0;

    if (!stop_being_root())
        return 64;
    (void)chmod(path, 0); /* ours unless we were root, who has done it already */
    errno = 0;
    region = gcmmap_open(path, GCMMAP_READ);
    wrong |= region != NULL || errno != EACCES ? 1 : 0;
    errno = 0;
    region = gcmmap_open("/proc/self/status", GCMMAP_READ);
    wrong |= region != NULL || errno != ENODEV ? 2 : 0;
    return wrong | (bytes_mapped_from(fd) != 0 ? 4 : 0);
}

/* The file may be read and not be written. */
static int write_as_nobody(void *arg)
{
    const char *path = arg;
    gcmmap_region *region;
    int wrong = 0;

    if (!stop_being_root())
        return 64;
    errno = 0;
    region = gcmmap_open(path, GCMMAP_WRITE);
    wrong |= region != NULL || errno != EACCES ? 1 : 0;
    region = gcmmap_open(path, GCMMAP_WRITE | GCMMAP_PRIVATE);
    wrong |= region == NULL || !can_store(gcmmap_data(region)) ? 2 : 0;
    return wrong;
}

static void test_permissions(void)
{
    char path[32];
    int status;

    make_named_file(path, 2, 100);
    need(chmod(path, 0) == 0, "chmod");
    status = run_in_child(open_as_nobody, path);
    ok(status == 0 || status == 64, "file without read permission: %s%s", strerror(EACCES),
       status == 64 ? " # SKIP cannot change the user" : "");
    need(chmod(path, 0444) == 0, "chmod");
    status = run_in_child(write_as_nobody, path);
    ok(status == 0 || status == 64, "read-only file: %s if shared, writable if private%s",
       strerror(EACCES), status == 64 ? " # SKIP cannot change the user" : "");
    unlink(path);
}

/* ---- descriptors -------------------------------------------------------------- */

static void test_descriptors(void)
{
    char path[32];
    int pipe_fds[2], socket_fds[2], other, closed;
    gcmmap_region *region;

    REFUSED(gcmmap_map(-1, 0, 100, GCMMAP_READ), EBADF, "descriptor -1");
    REFUSED(gcmmap_map(-1, 0, 0, GCMMAP_READ), EBADF, "descriptor -1, no bytes");
    REFUSED(gcmmap_map(-1, 0, 100, GCMMAP_WRITE | GCMMAP_PRIVATE), EBADF, "descriptor -1, private");
    REFUSED(gcmmap_map(-1, 0, GCMMAP_REST, GCMMAP_READ), EBADF, "descriptor -1, the rest");
    REFUSED(gcmmap_map(AT_FDCWD, 0, GCMMAP_REST, GCMMAP_READ), EBADF, "AT_FDCWD");
    closed = dup(fd);
    close(closed);
    REFUSED(gcmmap_map(closed, 0, 100, GCMMAP_READ), EBADF, "closed descriptor");
    REFUSED(gcmmap_map(INT32_MAX, 0, 100, GCMMAP_READ), EBADF, "descriptor INT_MAX");

    make_named_file(path, 3, FILE_SIZE);
    other = open(path, O_WRONLY);
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_READ), EACCES, "write-only descriptor to read");
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_WRITE), EACCES, "write-only descriptor to write");
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_WRITE | GCMMAP_PRIVATE), EACCES,
            "write-only descriptor to write privately");
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_EXEC), EACCES, "write-only descriptor to execute");
    REFUSED(gcmmap_map(other, 0, 0, GCMMAP_READ), EACCES, "write-only descriptor, no bytes");
    close(other);

    other = open(path, O_RDONLY);
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_WRITE), EACCES, "read-only descriptor to write");
    REFUSED(gcmmap_map(other, 0, 0, GCMMAP_WRITE), EACCES,
            "read-only descriptor to write no bytes");
    region = ACCEPTED(gcmmap_map(other, 0, 100, GCMMAP_WRITE | GCMMAP_PRIVATE),
                      "read-only descriptor to write privately");
    ok(region != NULL && can_store(gcmmap_data(region)), "which can be written");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(other);

    other = open(path, O_PATH);
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_READ), EBADF, "O_PATH descriptor");
    REFUSED(gcmmap_map(other, 0, GCMMAP_REST, GCMMAP_READ), EBADF, "O_PATH descriptor, the rest");
    REFUSED(gcmmap_map(other, 0, 0, GCMMAP_READ), EBADF, "O_PATH descriptor, no bytes");
    close(other);
    unlink(path);

    other = open("/tmp", O_RDONLY | O_DIRECTORY);
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_READ), EISDIR, "directory's descriptor");
    REFUSED(gcmmap_map(other, 0, GCMMAP_REST, GCMMAP_READ), EISDIR,
            "directory's descriptor, the rest");
    REFUSED(gcmmap_map(other, 0, 0, GCMMAP_READ), EISDIR, "directory's descriptor, no bytes");
    close(other);

    need(pipe(pipe_fds) == 0, "pipe");
    REFUSED(gcmmap_map(pipe_fds[0], 0, 100, GCMMAP_READ), ENODEV, "pipe");
    REFUSED(gcmmap_map(pipe_fds[0], 0, GCMMAP_REST, GCMMAP_READ), ENODEV, "pipe, the rest");
    REFUSED(gcmmap_map(pipe_fds[0], 0, 0, GCMMAP_READ), ENODEV, "pipe, no bytes");
    close(pipe_fds[0]), close(pipe_fds[1]);

    need(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fds) == 0, "socketpair");
    REFUSED(gcmmap_map(socket_fds[0], 0, 100, GCMMAP_READ), ENODEV, "socket");
    REFUSED(gcmmap_map(socket_fds[0], 0, GCMMAP_REST, GCMMAP_WRITE), ENODEV, "socket, the rest");
    close(socket_fds[0]), close(socket_fds[1]);

    other = open("/proc/self/status", O_RDONLY);
    REFUSED(gcmmap_map(other, 0, GCMMAP_REST, GCMMAP_READ), ENODEV, "file of /proc, the rest");
    REFUSED(gcmmap_map(other, 0, 100, GCMMAP_READ), ENODEV, "file of /proc");
    close(other);

    other = memfd_create("sealed", MFD_ALLOW_SEALING);
    need(other >= 0 && ftruncate(other, (off_t)FILE_SIZE) == 0 &&
             fcntl(other, F_ADD_SEALS, F_SEAL_WRITE) == 0,
         "memfd");
    REFUSED(gcmmap_map(other, 0, FILE_SIZE, GCMMAP_WRITE), EPERM, "sealed memfd to write");
    close(other);
}

static void test_devices(void)
{
    int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR);
    gcmmap_region *region;
    const unsigned char *data;
    bool is_zeroed = true;

    need(zero >= 0 && null >= 0, "devices");
    REFUSED(gcmmap_open("/dev/zero", GCMMAP_READ), EINVAL, "device by path");
    REFUSED(gcmmap_map(zero, 0, GCMMAP_REST, GCMMAP_READ), EINVAL, "device, the rest");
    REFUSED(gcmmap_map(zero, 1, SIZE_MAX / 2, GCMMAP_READ), EOVERFLOW, "device, end beyond off_t");
    REFUSED(gcmmap_map(zero, 0, GCMMAP_REST - 1, GCMMAP_READ), EOVERFLOW,
            "device, almost SIZE_MAX bytes");
    REFUSED(gcmmap_map(zero, 0, GCMMAP_SIZE_MAX + 1, GCMMAP_READ), EOVERFLOW,
            "device, more than GCMMAP_SIZE_MAX bytes");
    REFUSED(gcmmap_map(zero, -1, 100, GCMMAP_READ), EINVAL, "device, negative offset");
    REFUSED(gcmmap_map(null, 0, 100, GCMMAP_READ), ENODEV, "device that cannot be mapped");

    region = ACCEPTED(gcmmap_map(zero, 0, 3 * page, GCMMAP_WRITE | GCMMAP_PRIVATE), "/dev/zero");
    data = gcmmap_data(region);
    for (size_t i = 0; i < 3 * page; i++)
        is_zeroed &= data[i] == 0;
    ok(is_zeroed && gcmmap_size(region) == 3 * page, "which shows zeros");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    close(zero), close(null);
}

/* ---- ranges and flags ------------------------------------------------------------ */

static void test_ranges(void)
{
    off_t end = (off_t)FILE_SIZE;
    int sparse = make_file(4, 0);

    REFUSED(gcmmap_map(fd, -1, 100, GCMMAP_READ), EINVAL, "offset -1");
    REFUSED(gcmmap_map(fd, -1, GCMMAP_REST, GCMMAP_READ), EINVAL, "offset -1, the rest");
    REFUSED(gcmmap_map(fd, -1, 0, GCMMAP_READ), EINVAL, "offset -1, no bytes");
    REFUSED(gcmmap_map(fd, -(off_t)page, 2 * page, GCMMAP_READ), EINVAL, "minus one page");
    REFUSED(gcmmap_map(fd, -OFFSET_MAX - 1, 1, GCMMAP_READ), EINVAL, "least offset");
    REFUSED(gcmmap_map(fd, 0, FILE_SIZE + 1, GCMMAP_READ), ENXIO, "one byte too many");
    REFUSED(gcmmap_map(fd, 1, FILE_SIZE, GCMMAP_READ), ENXIO, "one byte too far");
    REFUSED(gcmmap_map(fd, end, 1, GCMMAP_READ), ENXIO, "the byte at the end");
    REFUSED(gcmmap_map(fd, end + 1, 0, GCMMAP_READ), ENXIO, "no bytes, beyond the end");
    REFUSED(gcmmap_map(fd, end + 1, GCMMAP_REST, GCMMAP_READ), ENXIO, "the rest, beyond the end");
    REFUSED(gcmmap_map(fd, OFFSET_MAX, 0, GCMMAP_READ), ENXIO, "no bytes, at the largest offset");
    REFUSED(gcmmap_map(fd, OFFSET_MAX, GCMMAP_REST, GCMMAP_READ), ENXIO,
            "the rest, from the largest offset");
    REFUSED(gcmmap_map(fd, OFFSET_MAX, 1, GCMMAP_READ), EOVERFLOW, "end beyond off_t by 1");
    REFUSED(gcmmap_map(fd, 1, SIZE_MAX / 2, GCMMAP_READ), BEYOND, "end beyond off_t");
    REFUSED(gcmmap_map(fd, 0, SIZE_MAX / 2 + 1, GCMMAP_READ), EOVERFLOW, "size beyond off_t");
    for (size_t below = 2; below < 4 * page; below = below * 3 - 1) {
        char what[64];

        snprintf(what, sizeof what, "SIZE_MAX - %zu bytes", below - 1);
        REFUSED(gcmmap_map(fd, 0, (size_t)-below, GCMMAP_READ), EOVERFLOW, what);
        snprintf(what, sizeof what, "SIZE_MAX - %zu bytes from an odd offset", below - 1);
        REFUSED(gcmmap_map(fd, 4095, (size_t)-below, GCMMAP_READ), EOVERFLOW, what);
    }
    /* Beyond the end of this file, and more than any region can have. */
    EITHER(gcmmap_map(fd, 0, SIZE_MAX / 2, GCMMAP_READ), ENXIO, EOVERFLOW,
           "OFF_MAX bytes of a small file");
    EITHER(gcmmap_map(fd, 0, GCMMAP_SIZE_MAX + 1, GCMMAP_READ), ENXIO, EOVERFLOW,
           "GCMMAP_SIZE_MAX + 1 bytes of a small file");

    if (ftruncate(sparse, (off_t)GCMMAP_SIZE_MAX + 2 * (off_t)page) != 0) {
        ok(true, "larger files # SKIP file system has none");
    } else {
        char path[64];

        REFUSED(gcmmap_map(sparse, 0, GCMMAP_SIZE_MAX + 1, GCMMAP_READ), EOVERFLOW,
                "GCMMAP_SIZE_MAX + 1 bytes of a large file");
        REFUSED(gcmmap_map(sparse, 0, GCMMAP_REST, GCMMAP_READ), EOVERFLOW,
                "the rest of a large file");
        REFUSED(gcmmap_map(sparse, (off_t)page - 1, GCMMAP_SIZE_MAX + 1, GCMMAP_READ), EOVERFLOW,
                "too much of a large file from an odd offset");
        snprintf(path, sizeof path, "/proc/self/fd/%d", sparse);
        REFUSED(gcmmap_open(path, GCMMAP_READ), EOVERFLOW, "large file by path");
    }
    close(sparse);
}

static void test_flags(void)
{
    static const unsigned bad[] = { 0,
                                    GCMMAP_PRIVATE,
                                    GCMMAP_POINTER_FREE,
                                    GCMMAP_PRIVATE | GCMMAP_POINTER_FREE,
                                    GCMMAP_TRACED,
                                    GCMMAP_PRIVATE | GCMMAP_TRACED,
                                    GCMMAP_READ | 0x80000000u,
                                    ~0u };
    static const unsigned contradictions[] = {
        GCMMAP_READ | GCMMAP_TRACED | GCMMAP_POINTER_FREE,
        GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_TRACED | GCMMAP_POINTER_FREE,
        GCMMAP_EXEC | GCMMAP_TRACED, /* nothing to read */
        GCMMAP_EXEC | GCMMAP_PRIVATE | GCMMAP_TRACED,
    };
    char path[64], what[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(what, sizeof what, "gcmmap_map() with flags %#x", bad[i]);
        REFUSED(gcmmap_map(fd, 0, 100, bad[i]), EINVAL, what);
        REFUSED(gcmmap_map(fd, 0, 0, bad[i]), EINVAL, what);
        snprintf(what, sizeof what, "gcmmap_open() with flags %#x", bad[i]);
        REFUSED(gcmmap_open(path, bad[i]), EINVAL, what);
        if ((bad[i] & ~KNOWN_FLAGS) == 0)
            continue;
        snprintf(what, sizeof what, "gcmmap_alloc() with flags %#x", bad[i]);
        REFUSED(gcmmap_alloc(100, bad[i]), EINVAL, what);
        REFUSED(gcmmap_alloc(0, bad[i]), EINVAL, what);
    }
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        snprintf(what, sizeof what, "contradictory flags %#x", contradictions[i]);
        REFUSED(gcmmap_map(fd, 0, 100, contradictions[i]), EINVAL, what);
        REFUSED(gcmmap_open(path, contradictions[i]), EINVAL, what);
        REFUSED(gcmmap_alloc(100, contradictions[i]), EINVAL, what);
    }
    for (unsigned bit = 1; bit != 0; bit <<= 1) {
        if (bit & KNOWN_FLAGS)
            continue;
        snprintf(what, sizeof what, "unknown flag %#x", bit);
        REFUSED(gcmmap_map(fd, 0, 100, GCMMAP_READ | bit), EINVAL, what);
    }
}

static void test_contradictions(void)
{
    REFUSED(gcmmap_map(fd, 0, 100, GCMMAP_READ | GCMMAP_GROWSDOWN), ENOTSUP, "GCMMAP_GROWSDOWN");
    REFUSED(gcmmap_alloc(100, GCMMAP_GROWSDOWN), ENOTSUP, "memory with GCMMAP_GROWSDOWN");
    REFUSED(gcmmap_alloc(100, GCMMAP_GROWSDOWN | 0x80000000u), EINVAL,
            "GCMMAP_GROWSDOWN and an unknown flag");
    REFUSED(gcmmap_alloc(100, GCMMAP_HUGE | GCMMAP_HUGE_ONLY), EINVAL, "huge and only huge pages");
    REFUSED(gcmmap_map(fd, 0, 100, GCMMAP_READ | GCMMAP_HUGE_ONLY), EINVAL,
            "only huge pages of a file");
    REFUSED(gcmmap_map(fd, 0, 100, GCMMAP_READ | GCMMAP_PRIVATE | GCMMAP_SYNC_DAX), EINVAL,
            "GCMMAP_SYNC_DAX of a private mapping");
    REFUSED(gcmmap_map(fd, 0, 100, GCMMAP_READ | GCMMAP_SECRET), EINVAL, "a secret file");
    REFUSED(gcmmap_alloc(100, GCMMAP_SECRET | GCMMAP_TRACED), EINVAL, "secret, but traced");
    REFUSED(gcmmap_alloc(100, GCMMAP_SECRET | GCMMAP_HUGE), EINVAL, "secret huge pages");
    REFUSED(gcmmap_alloc(100, GCMMAP_SYNC_DAX), EINVAL, "GCMMAP_SYNC_DAX of memory");
}

static void test_huge_allocations(void)
{
    static const size_t sizes[] = { GCMMAP_SIZE_MAX + 1,
                                    GCMMAP_SIZE_MAX * 2,
                                    SIZE_MAX / 2,
                                    SIZE_MAX / 2 + 1,
                                    SIZE_MAX - ((size_t)1 << 20),
                                    SIZE_MAX - 4096,
                                    SIZE_MAX - 4095,
                                    SIZE_MAX - 1,
                                    SIZE_MAX };
    char what[64];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(what, sizeof what, "gcmmap_alloc() of %#zx bytes", sizes[i]);
        REFUSED(gcmmap_alloc(sizes[i], 0), EOVERFLOW, what);
        REFUSED(gcmmap_alloc(sizes[i], GCMMAP_POINTER_FREE), EOVERFLOW, what);
    }
}

/* ---- handles ---------------------------------------------------------------------- */

static void test_one_handle(const char *name, const void *pointer)
{
    gcmmap_region *handle = (gcmmap_region *)(uintptr_t)pointer;
    gcmmap_slice slice;
    char what[80];

    snprintf(what, sizeof what, "gcmmap_data() of %s", name);
    REFUSED(gcmmap_data(handle), EINVAL, what);
    snprintf(what, sizeof what, "gcmmap_size() of %s", name);
    begin(0);
    refused(gcmmap_size(handle) == 0, EINVAL, what);
    snprintf(what, sizeof what, "gcmmap_bytes() of %s", name);
    begin(0);
    slice = gcmmap_bytes(handle);
    refused(slice.data == NULL && slice.size == 0, EINVAL, what);
    snprintf(what, sizeof what, "gcmmap_close() of %s", name);
    begin(0);
    refused(gcmmap_close(handle) == -1, EINVAL, what);
    snprintf(what, sizeof what, "gcmmap_unmap_now() of %s", name);
    begin(0);
    refused(gcmmap_unmap_now(handle) == -1, EINVAL, what);
}

/* No error, and no region of that pointer. */
static void test_of_nothing(const char *name, const void *pointer)
{
    gcmmap_region *found;

    begin(ERRNO_BEFORE);
    found = gcmmap_of(pointer);
    ok(found == NULL && errno == ERRNO_BEFORE, "gcmmap_of() %s: NULL, errno stays", name);
}

static void test_handles(void)
{
    static char static_bytes[64];
    char stack_bytes[64];
    char *malloced = malloc(64);
    char *object = GC_MALLOC(64), *large_object = GC_MALLOC(100000);
    gcmmap_region *small = gcmmap_map(fd, 100, FILE_SIZE - 100, GCMMAP_READ);
    gcmmap_region *large = gcmmap_alloc((size_t)40 << 20, 0);
    gcmmap_region *gone = gcmmap_map(fd, 0, FILE_SIZE, GCMMAP_READ);
    const struct {
        const char *name;
        const void *pointer;
    } foreign[] = {
        { "NULL", NULL },
        { "address 1", (void *)(uintptr_t)1 },
        { "the last address", (void *)UINTPTR_MAX },
        { "an address of the stack", stack_bytes },
        { "static data", static_bytes },
        { "a function", (void *)(uintptr_t)test_one_handle },
        { "malloc'ed memory", malloced },
        { "an object of the heap", object },
        { "the inside of an object", object + 8 },
        { "a large object of the heap", large_object },
        { "a page inside of a large object", large_object + 8192 },
    };
    unsigned char *large_data = gcmmap_data(large);

    need(small != NULL && large != NULL && gone != NULL, "regions");
    need(malloced != NULL && gcmmap_unmap_now(gone) == 0, "pointers");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        test_one_handle(foreign[i].name, foreign[i].pointer);
        test_of_nothing(foreign[i].name, foreign[i].pointer);
    }
    test_one_handle("a region unmapped before", gone);
    test_of_nothing("a region unmapped before", gone);
    test_one_handle("data behind the handle", gcmmap_data(small));
    test_one_handle("one byte behind the handle", (char *)small + 1);
    test_one_handle("one page behind the handle", (char *)small + page);
    test_one_handle("16 MiB behind the handle", (char *)large + ((size_t)16 << 20));
    test_one_handle("32 MiB behind the handle", (char *)large + ((size_t)32 << 20));
    ok(has_bytes(gcmmap_data(small), FILE_SIZE - 100, 1, 100) &&
           gcmmap_size(small) == FILE_SIZE - 100 && can_store(large_data + ((size_t)40 << 20) - 1),
       "the regions themselves are as before");
    need(gcmmap_unmap_now(small) == 0 && gcmmap_unmap_now(large) == 0, "unmap");
    free(malloced);
}

/* ---- success leaves errno alone -------------------------------------------------- */

static void test_success(void)
{
    gcmmap_region *region = ACCEPTED(gcmmap_map(fd, 77, 5000, GCMMAP_READ), "gcmmap_map()");
    gcmmap_region *memory = ACCEPTED(gcmmap_alloc(5000, 0), "gcmmap_alloc()");
    gcmmap_slice slice;
    gcmmap_stats stats;
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ACCEPTED(gcmmap_open(path, GCMMAP_READ), "gcmmap_open()");
    errno = ERRNO_BEFORE;
    slice = gcmmap_bytes(region);
    ok(slice.data == gcmmap_data(region) && slice.size == gcmmap_size(region) &&
           gcmmap_of(slice.data) == region && errno == ERRNO_BEFORE,
       "questions about a region: errno stays");
    gcmmap_get_stats(&stats);
    (void)gcmmap_collect();
    ok(errno == ERRNO_BEFORE, "gcmmap_get_stats(), gcmmap_collect(): errno stays");
    ok(gcmmap_close(region) == 0 && gcmmap_close(region) == 0 && errno == ERRNO_BEFORE,
       "gcmmap_close(), twice: errno stays");
    ok(gcmmap_unmap_now(region) == 0 && gcmmap_unmap_now(memory) == 0 && errno == ERRNO_BEFORE,
       "gcmmap_unmap_now(), closed or open: errno stays");
    for (size_t i = 0; i < sizeof stats.reserved / sizeof *stats.reserved; i++)
        need(stats.reserved[i] == 0, "reserved counters are 0");
}

static int n_finalized;

static void finalize(void *object, void *data)
{
    (void)object, (void)data;
    n_finalized++;
    errno = EDOM;
}

/* Finalizers run inside of these calls, and do as they please with errno. */
static void test_finalizers(void)
{
    bool stays = true;

    for (int i = 0; i < 5000; i++) {
        void *object = GC_MALLOC(16);

        GC_REGISTER_FINALIZER_NO_ORDER(object, finalize, NULL, NULL, NULL);
        errno = ERRNO_BEFORE; /* those before may have run */
        if (i % 2 == 0)
            stays &= gcmmap_map(fd, 0, 100, GCMMAP_READ) != NULL && errno == ERRNO_BEFORE;
        else
            stays &= gcmmap_alloc(100, 0) != NULL && errno == ERRNO_BEFORE;
    }
    errno = ERRNO_BEFORE;
    (void)gcmmap_collect();
    stays &= errno == ERRNO_BEFORE;
    ok(n_finalized > 0 || host_is_on_demand(), "%d finalizers run%s", n_finalized,
       host_is_on_demand() ? " # SKIP this host runs them on demand, outside of our calls" : "");
    ok(stays, "errno stays where finalizers change it in the middle of a call");
}

int main(void)
{
    gcmmap_region *warm[5];

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, FILE_SIZE);
    /* Whatever the first calls set up once and for all is there when we start to look. */
    warm[0] = gcmmap_map(fd, 0, FILE_SIZE, GCMMAP_READ);
    warm[1] = gcmmap_alloc(100, 0);
    warm[2] = gcmmap_map(fd, 0, 100, GCMMAP_READ);
    warm[3] = gcmmap_alloc(100, GCMMAP_POINTER_FREE);
    warm[4] = gcmmap_map(fd, 0, page, GCMMAP_READ);
    for (size_t i = 0; i < sizeof warm / sizeof *warm; i++)
        need(gcmmap_unmap_now(warm[i]) == 0, "first regions");

    test_paths();
    test_permissions();
    test_descriptors();
    test_devices();
    test_ranges();
    test_flags();
    test_contradictions();
    test_huge_allocations();
    test_handles();
    test_success();
    test_finalizers();
    return done_testing();
}
