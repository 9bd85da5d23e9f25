/*
 * gcmmap_snapshot(): whatever others do to the file, the region stays what it was, byte by byte,
 * on each way that the bytes can go: a clone, a sealed file in memory, anonymous memory.
 * Changes in the midst of copying are noticed; streams and files of /proc can be copied too.
 *
 * In GCMMAP_TEST_DIRECTORY, if that is set, files can be cloned.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>

#define SIZE ((size_t)3 * MiB + 777)
#define SEED 5u

static const char *directory;

static int new_file(size_t n)
{
    char path[4096];
    int fd, source = make_file(SEED, n);
    unsigned char *bytes = malloc(n + 1);

    if (directory == NULL)
        directory = "/tmp";
    snprintf(path, sizeof path, "%s/gcmmap-test-XXXXXX", directory);
    fd = mkstemp(path);
    need(fd >= 0 && bytes != NULL && pread(source, bytes, n, 0) == (ssize_t)n &&
             pwrite(fd, bytes, n, 0) == (ssize_t)n,
         "file");
    unlink(path);
    free(bytes);
    close(source);
    return fd;
}

static gcmmap_region *snap(int fd, size_t offset, size_t size, unsigned flags, unsigned how)
{
    gcmmap_copying copying = { .how = how };
    gcmmap_region *region =
        gcmmap_snapshot(fd, (off_t)offset, size, flags, NULL, how != 0 ? &copying : NULL);

    need(region != NULL, "snapshot");
    return region;
}

static size_t count_descriptors(void)
{
    DIR *fds = opendir("/proc/self/fd");
    size_t n = 0;

    need(fds != NULL, "/proc/self/fd");
    while (readdir(fds) != NULL)
        n++;
    closedir(fds);
    return n;
}

/* ---- it stays -------------------------------------------------------------------- */

static int spoil(void *arg)
{
    int fd = *(int *)arg;
    unsigned char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (shared == MAP_FAILED || pwrite(fd, "spoilt", 6, 5000) != 6)
        return 1;
    memset(shared, 0xee, SIZE);
    msync(shared, SIZE, MS_SYNC);
    return ftruncate(fd, 1) != 0 || ftruncate(fd, (off_t)SIZE) != 0 || ftruncate(fd, 0) != 0;
}

static void test_stays(const char *what, unsigned flags, unsigned how)
{
    static const size_t offsets[] = { 0, 1, 4096, 4097, 100000, SIZE - 5000, SIZE };
    enum { N = sizeof offsets / sizeof *offsets };
    int fd = new_file(SIZE);
    gcmmap_region *regions[N];
    bool before = true, after = true, same = true;

    for (size_t i = 0; i < N; i++) {
        regions[i] = snap(fd, offsets[i], i % 2 == 0 ? GCMMAP_REST : SIZE - offsets[i], flags, how);
        before &=
            gcmmap_size(regions[i]) == SIZE - offsets[i] &&
            (i % 2 == 0 || has_bytes(gcmmap_data(regions[i]), SIZE - offsets[i], SEED, offsets[i]));
    }
    need(run_in_child(spoil, &fd) == 0, "child");
    for (size_t i = 0; i < N; i++)
        after &= has_bytes(gcmmap_data(regions[i]), SIZE - offsets[i], SEED, offsets[i]);
    close(fd);
    collect_with_noise();
    for (size_t i = 0; i < N; i++) {
        same &= gcmmap_of(gcmmap_data(regions[i])) == regions[i];
        unmap(regions[i]);
    }
    ok(before, "%s: all bytes are there", what);
    ok(after, "%s: they stay when others overwrite, cut off and lengthen the file", what);
    ok(same, "%s: a region as any other", what);
}

struct line {
    unsigned long from, to;
    char text[4400];
};

/* What /proc/self/maps says about it. */
static struct line line_of(const gcmmap_region *region)
{
    uintptr_t at = (uintptr_t)gcmmap_data(region);
    FILE *maps = fopen("/proc/self/maps", "r");
    struct line line;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line.text, sizeof line.text, maps))
        if (sscanf(line.text, "%lx-%lx", &line.from, &line.to) == 2 && at >= line.from &&
            at < line.to)
            break;
    fclose(maps);
    return line;
}

/* Opens what is mapped; only the superuser can. */
static int open_copy(const gcmmap_region *region, int flags)
{
    struct line line = line_of(region);
    char path[128];

    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)line.from,
             (unsigned long)line.to);
    return open(path, flags | O_CLOEXEC);
}

static void test_seals(void)
{
    int fd = new_file(SIZE), copy;
    gcmmap_options options = { .name = "a/name" };
    gcmmap_copying copying = { .how = GCMMAP_COPY_TO_MEMORY };
    gcmmap_region *region = gcmmap_snapshot(fd, 0, SIZE, 0, &options, &copying);

    ok(strstr(line_of(region).text, "/memfd:a/name") != NULL, "it is shown by its name");
    copy = open_copy(region, O_RDWR);
    if (copy < 0) {
        ok(true, "# SKIP /proc/self/map_files: %s", strerror(errno));
    } else {
        ok(pwrite(copy, "x", 1, 0) < 0 && errno == EPERM && ftruncate(copy, 0) != 0 &&
               errno == EPERM && ftruncate(copy, (off_t)SIZE * 2) != 0 && errno == EPERM,
           "who gets hold of it cannot change it");
        close(copy);
    }
    unmap(region);
    close(fd);
}

static void test_access(void)
{
    int fd = new_file(SIZE);
    gcmmap_region *region = snap(fd, 0, SIZE, 0, 0);
    unsigned char *data = gcmmap_data(region);

    ok(fault_of_access(data + 5000, true) == SIGSEGV && has_bytes(data, SIZE, SEED, 0),
       "nobody can store there");
    unmap(region);
    region = snap(fd, 3, SIZE - 3, GCMMAP_WRITE, 0);
    data = gcmmap_data(region);
    data[7] ^= 1;
    ok(file_has(fd, 10, (char[]){ (char)byte_at(SEED, 10), 0 }) && data[7] != byte_at(SEED, 10) &&
           has_bytes(data + 8, SIZE - 11, SEED, 11),
       "with GCMMAP_WRITE this process can, alone");
    unmap(region);
    close(fd);
}

/* ---- where neither a clone nor a file in memory can be had ------------------------ */

static int without_memfd(void *arg)
{
    struct rlimit files;
    int fd = *(int *)arg, last;
    gcmmap_region *region, *writable;
    bool good;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 1;
    last = dup(fd);
    files.rlim_cur = (rlim_t)last;
    close(last);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        return 2;
    region = gcmmap_snapshot(fd, 99, SIZE - 99, 0, NULL,
                             &(gcmmap_copying){ .how = GCMMAP_COPY_TO_MEMORY });
    writable = gcmmap_snapshot(fd, 99, SIZE - 99, GCMMAP_WRITE, NULL,
                               &(gcmmap_copying){ .how = GCMMAP_COPY_TO_MEMORY });
    files.rlim_cur = files.rlim_max;
    if (region == NULL || writable == NULL || setrlimit(RLIMIT_NOFILE, &files) != 0)
        return 3;
    good = strchr(line_of(region).text, '/') == NULL;
    if (spoil(&fd) != 0)
        return 4;
    good &= has_bytes(gcmmap_data(region), SIZE - 99, SEED, 99) &&
            fault_of_access(gcmmap_data(region), true) == SIGSEGV &&
            has_bytes(gcmmap_data(writable), SIZE - 99, SEED, 99) &&
            fault_of_access(gcmmap_data(writable), true) == 0;
    return good ? 0 : 5;
}

static int with_limit_on_files(void *arg)
{
    struct rlimit limit = { 4096, 4096 };
    gcmmap_region *region;

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    region = gcmmap_snapshot(*(int *)arg, 0, GCMMAP_REST, 0, NULL,
                             &(gcmmap_copying){ .how = GCMMAP_COPY_TO_MEMORY });
    return region != NULL && has_bytes(gcmmap_data(region), SIZE, SEED, 0) ? 0 : 2;
}

static void test_anonymous(void)
{
    int fd = new_file(SIZE), result;

    result = run_in_child(with_limit_on_files, &fd);
    ok(result == 0, "a limit on the size of files is no limit for snapshots (%d)", result);
    result = run_in_child(without_memfd, &fd);
    ok(result == 0, "without descriptors: a copy in anonymous memory, which stays (%d)", result);
    close(fd);
}

/* ---- while it is being copied ------------------------------------------------------- */

struct watch {
    int fd;
    unsigned n_calls, n_changes; /* changes to be made, one at the second call of each round */
    unsigned cancel_at;          /* 0: never */
    unsigned cut;                /* instead of overwriting */
    bool in_order;
    size_t last, size;
};

static int watch(size_t done, size_t size, void *data)
{
    struct watch *watch = data;

    watch->in_order &= watch->n_calls == 0 || done >= watch->last || done == 0;
    watch->in_order &= size == watch->size && done <= size;
    watch->last = done;
    watch->n_calls++;
    if (done == size / 3 / (256 << 10) * (256 << 10) && watch->n_changes > 0) {
        watch->n_changes--;
        if (watch->cut)
            need(ftruncate(watch->fd, 1000) == 0, "truncate");
        else
            need(pwrite(watch->fd, "new", 3, 10) == 3, "write");
    }
    return watch->n_calls == watch->cancel_at;
}

static gcmmap_region *snap_watched(struct watch *state, unsigned how)
{
    gcmmap_copying copying = { .progress = watch, .data = state, .how = how };

    state->in_order = true;
    state->size = SIZE;
    errno = 0;
    return gcmmap_snapshot(state->fd, 0, SIZE, 0, NULL, &copying);
}

static void test_progress(void)
{
    struct watch state = { .fd = new_file(SIZE) };
    size_t n_descriptors = count_descriptors(), n_lines;
    gcmmap_region *region = snap_watched(&state, GCMMAP_COPY_TO_MEMORY);

    ok(region != NULL && state.in_order && state.last == SIZE && state.n_calls == SIZE / 262144 + 2,
       "progress is told: %u times", state.n_calls);
    unmap(region);
    n_lines = count_map_lines();
    for (unsigned at = 1; at <= state.n_calls; at += 5) {
        struct watch cancelling = { .fd = state.fd, .cancel_at = at };

        region = snap_watched(&cancelling, GCMMAP_COPY_TO_MEMORY);
        (void)gives_errno((intptr_t)region, ECANCELED, "progress says no");
        need(cancelling.n_calls == at, "calls");
    }
    ok(count_descriptors() == n_descriptors && count_map_lines() <= n_lines,
       "nothing is left of what was cancelled");
    close(state.fd);
}

static void test_changes(void)
{
    const unsigned memory = GCMMAP_COPY_TO_MEMORY;
    struct watch state = { .fd = new_file(SIZE), .n_changes = 1 };
    gcmmap_region *region = snap_watched(&state, memory);

    ok(region != NULL && memcmp((char *)gcmmap_data(region) + 10, "new", 3) == 0 &&
           state.n_changes == 0 && state.n_calls > SIZE / 262144 + 2,
       "a change in the midst of it: copied again, %u calls", state.n_calls);
    state = (struct watch){ .fd = state.fd, .n_changes = 1000 };
    region = snap_watched(&state, memory);
    (void)gives_errno((intptr_t)region, EBUSY, "a file that changes all the time");
    ok(state.n_changes == 997, "three times it was tried");
    state.n_changes = 1000;
    region = snap_watched(&state, memory | GCMMAP_COPY_ANYHOW);
    ok(region != NULL && state.n_changes == 999 &&
           has_bytes((char *)gcmmap_data(region) + 13, SIZE - 13, SEED, 13),
       "GCMMAP_COPY_ANYHOW: copied all the same");
    state = (struct watch){ .fd = state.fd, .n_changes = 1, .cut = 1 };
    region = snap_watched(&state, memory | GCMMAP_COPY_ANYHOW);
    (void)gives_errno((intptr_t)region, ENXIO, "a file that is cut off in the midst of it");
    close(state.fd);
}

/* ---- what else can be read --------------------------------------------------------- */

static void *feed(void *arg)
{
    int fd = *(int *)arg;

    for (size_t i = 0; i < SIZE; i += 10007) {
        unsigned char bytes[10007];
        size_t n = SIZE - i < sizeof bytes ? SIZE - i : sizeof bytes;

        for (size_t j = 0; j < n; j++)
            bytes[j] = byte_at(SEED, i + j);
        if (write(fd, bytes, n) != (ssize_t)n)
            break;
    }
    close(fd);
    return NULL;
}

static gcmmap_region *snap_pipe(size_t size)
{
    int ends[2], got;
    pthread_t feeder;
    gcmmap_region *region;

    need(pipe(ends) == 0, "pipe");
    need(pthread_create(&feeder, NULL, feed, &ends[1]) == 0, "thread");
    errno = 0;
    region = gcmmap_snapshot(ends[0], 0, size, 0, NULL, NULL);
    got = errno;
    close(ends[0]);
    pthread_join(feeder, NULL);
    errno = got;
    return region;
}

static int late_end;

static void write_late(int signal)
{
    (void)signal;
    if (write(late_end, "late", 4) != 4)
        abort();
    close(late_end);
}

static int interrupted(void *arg)
{
    struct sigaction action = { .sa_handler = write_late };
    struct itimerval timer = { .it_value = { .tv_usec = 20000 } };
    int ends[2];
    gcmmap_region *region;

    (void)arg;
    if (pipe(ends) != 0)
        return 1;
    late_end = ends[1];
    sigaction(SIGALRM, &action, NULL); /* without SA_RESTART */
    setitimer(ITIMER_REAL, &timer, NULL);
    region = gcmmap_snapshot(ends[0], 0, GCMMAP_REST, 0, NULL, NULL);
    return region != NULL && gcmmap_size(region) == 4 ? 0 : 2;
}

static void test_streams(void)
{
    gcmmap_region *region = snap_pipe(GCMMAP_REST);
    int fd, ends[2];

    ok(region != NULL && gcmmap_size(region) == SIZE &&
           has_bytes(gcmmap_data(region), SIZE, SEED, 0),
       "a pipe, to its end");
    region = snap_pipe(70000);
    ok(region != NULL && gcmmap_size(region) == 70000 &&
           has_bytes(gcmmap_data(region), 70000, SEED, 0),
       "the first bytes of a pipe");
    (void)gives_errno((intptr_t)snap_pipe(SIZE + 1), ENXIO, "a pipe that ends too early");
    ok(run_in_child(interrupted, NULL) == 0, "a signal does not end it");
    need(pipe2(ends, O_NONBLOCK) == 0, "pipe");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(ends[0], 0, 10, 0, NULL, NULL), EAGAIN,
                      "a pipe that has nothing, and does not wait");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(ends[0], 1, 10, 0, NULL, NULL), ESPIPE,
                      "a pipe with an offset");
    close(ends[1]);
    region = gcmmap_snapshot(ends[0], 0, GCMMAP_REST, 0, NULL, NULL);
    ok(region != NULL && gcmmap_size(region) == 0 && gcmmap_data(region) != NULL, "an empty pipe");
    close(ends[0]);
    fd = open("/proc/self/limits", O_RDONLY | O_CLOEXEC);
    region = gcmmap_snapshot(fd, 0, GCMMAP_REST, 0, NULL, NULL);
    ok(region != NULL && gcmmap_size(region) > 100 && memcmp(gcmmap_data(region), "Limit ", 6) == 0,
       "a file of /proc, which cannot be mapped");
    region = gcmmap_snapshot(fd, 6, 5, 0, NULL, NULL);
    ok(region != NULL && gcmmap_size(region) == 5, "a part of it");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, 1 << 20, 0, NULL, NULL), ENXIO,
                      "more of it than there is");
    close(fd);
    fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        region = gcmmap_snapshot(fd, 0, GCMMAP_REST, 0, NULL, NULL);
        ok(region != NULL && gcmmap_size(region) > 10 && gcmmap_size(region) < 100,
           "a file of /sys, which is shorter than it says");
        close(fd);
    }
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    region = gcmmap_snapshot(fd, 0, 100000, 0, NULL, NULL);
    ok(region != NULL && gcmmap_size(region) == 100000, "so many bytes of a device");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, GCMMAP_REST, 0, NULL, NULL), EINVAL,
                      "all of a device");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, GCMMAP_SIZE_MAX + 1, 0, NULL, NULL),
                      EOVERFLOW, "more than a region can have");
    close(fd);
}

static void test_holes(void)
{
    const size_t size = 64 * MiB;
    int fd = new_file(0), copy;
    gcmmap_region *region;
    unsigned char *data;
    struct stat status;

    need(ftruncate(fd, (off_t)size) == 0 && pwrite(fd, "x", 1, (off_t)(size / 2)) == 1, "file");
    region = snap(fd, 0, GCMMAP_REST, 0, GCMMAP_COPY_TO_MEMORY);
    data = gcmmap_data(region);
    ok(gcmmap_size(region) == size && data[size / 2] == 'x' && data[size / 2 + 1] == 0,
       "holes are copied");
    copy = open_copy(region, O_RDONLY);
    if (copy < 0)
        ok(true, "# SKIP /proc/self/map_files: %s", strerror(errno));
    else
        ok(fstat(copy, &status) == 0 && status.st_blocks <= 2 * 512, "they take no memory");
    if (copy >= 0)
        close(copy);
    unmap(region);
    close(fd);
}

/* ---- refused ------------------------------------------------------------------------ */

static void refused(int fd, off_t offset, size_t size, unsigned flags, int wanted, const char *what)
{
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, offset, size, flags, NULL, NULL), wanted, what);
}

static void test_refused(void)
{
    int fd = new_file(1000), other;
    gcmmap_options options = { .room = 5000 };
    gcmmap_copying copying = { .how = 0x80 };

    refused(fd, 0, 1001, 0, ENXIO, "more than the file has");
    refused(fd, 1001, GCMMAP_REST, 0, ENXIO, "from behind its end");
    refused(fd, -1, 1, 0, EINVAL, "before its start");
    refused(fd, 1, SIZE_MAX - 1, 0, EOVERFLOW, "more than can be");
    refused(fd, 0, 10, GCMMAP_HUGE_ONLY, EINVAL, "GCMMAP_HUGE_ONLY");
    refused(fd, 0, 10, GCMMAP_SECRET, EINVAL, "GCMMAP_SECRET");
    refused(fd, 0, 10, GCMMAP_WRITE_BACK | GCMMAP_WRITE, EINVAL, "GCMMAP_WRITE_BACK");
    refused(fd, 0, 10, 0x80000000u, EINVAL, "an unknown flag");
    refused(-1, 0, 10, 0, EBADF, "no descriptor");
    other = open("/tmp", O_RDONLY | O_CLOEXEC);
    refused(other, 0, 10, 0, EISDIR, "a directory");
    close(other);
    other = open_again(fd, O_WRONLY);
    refused(other, 0, 10, 0, EACCES, "not open for reading");
    close(other);
    other = open_again(fd, O_PATH);
    refused(other, 0, 10, 0, EBADF, "O_PATH");
    close(other);
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, 10, 0, &options, NULL), EINVAL, "room");
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, 10, 0, NULL, &copying), EINVAL,
                      "a way that there is not");
    copying = (gcmmap_copying){ .reserved = { 0, 1 } };
    errno = 0;
    (void)gives_errno((intptr_t)gcmmap_snapshot(fd, 0, 10, 0, NULL, &copying), EINVAL,
                      "something in reserved");
    close(fd);
}

static void test_clone(void)
{
    int fd = new_file(SIZE);
    gcmmap_region *region = snap(fd, 0, GCMMAP_REST, 0, 0), *small, *memory;

    ok(strstr(line_of(region).text, directory) != NULL, "the file was cloned");
    small = snap(fd, 0, 10000, 0, 0);
    ok(strstr(line_of(small).text, "/memfd:") != NULL, "little of it was copied");
    memory = snap(fd, 0, SIZE, 0, GCMMAP_COPY_TO_MEMORY);
    ok(strstr(line_of(memory).text, "/memfd:") != NULL, "so was all with GCMMAP_COPY_TO_MEMORY");
    unmap(region);
    unmap(small);
    unmap(memory);
    close(fd);
}

int main(void)
{
    size_t n_descriptors;

    GC_INIT();
    signal(SIGPIPE, SIG_IGN);
    directory = getenv("GCMMAP_TEST_DIRECTORY");
    if (directory != NULL) {
        test_clone();
        test_stays("clone", 0, 0);
        test_stays("clone by handle", GCMMAP_BY_HANDLE, 0);
        test_access();
        return done_testing();
    }
    test_stays("memory", 0, GCMMAP_COPY_TO_MEMORY);
    n_descriptors = count_descriptors();
    test_stays("any way", 0, 0);
    test_stays("by handle", GCMMAP_BY_HANDLE, 0);
    test_stays("writable", GCMMAP_WRITE, GCMMAP_COPY_ANYHOW);
    test_seals();
    test_access();
    test_anonymous();
    test_progress();
    test_changes();
    test_streams();
    test_holes();
    test_refused();
    ok(count_descriptors() == n_descriptors, "no descriptor is left open");
    return done_testing();
}
