/*
 * os_copy: the part of os.h that reads and writes files and opens shared memory, on any Unix.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os.h"

bool os_is_stream(int fd)
{
    int saved_errno = errno;
    bool is_stream = lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;

    errno = saved_errno;
    return is_stream;
}

int os_read(int fd, off_t offset, void *to, size_t n_bytes, size_t *n_read)
{
    int saved_errno = errno, error;
    ssize_t n = offset < 0 ? read(fd, to, n_bytes) : pread(fd, to, n_bytes, offset);

    error = n < 0 ? errno : 0;
    *n_read = n < 0 ? 0 : (size_t)n;
    errno = saved_errno;
    return error;
}

int os_write(int fd, off_t offset, const void *from, size_t n_bytes)
{
    int saved_errno = errno, error = 0;
    const char *at = from;

    while (n_bytes > 0 && error == 0) {
        ssize_t n = pwrite(fd, at, n_bytes, offset);

        if (n >= 0) {
            at += n;
            offset += n;
            n_bytes -= (size_t)n;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    errno = saved_errno;
    return error;
}

uintmax_t os_most_file_bytes(void)
{
    struct rlimit limit;
    int saved_errno = errno;
    bool is_limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;

    errno = saved_errno;
    return is_limited ? (uintmax_t)limit.rlim_cur : UINTMAX_MAX;
}

int os_open_shm(const char *name, unsigned flags, int *fd, bool *created)
{
    bool writable = (flags & GCMMAP_WRITE) && !(flags & GCMMAP_PRIVATE);
    int saved_errno = errno, error;

    do {
        *created = false;
        *fd = -1;
        errno = ENOENT;
        if (flags & GCMMAP_CREATE) {
            *fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
            *created = *fd >= 0;
        }
        if (*fd < 0 && !(flags & GCMMAP_EXCLUSIVE) && (!(flags & GCMMAP_CREATE) || errno == EEXIST))
            *fd = shm_open(name, writable || (flags & GCMMAP_CREATE) ? O_RDWR : O_RDONLY, 0);
        error = *fd < 0 ? errno : 0;
    } while (error == ENOENT && (flags & GCMMAP_CREATE)); /* it went just now */
    errno = saved_errno;
    return error;
}

int os_unlink_shm(const char *name)
{
    int saved_errno = errno;
    int error = shm_unlink(name) != 0 ? errno : 0;

    errno = saved_errno;
    return error;
}

/* The kernel reads and writes for us, and a pipe always has room for so little. */
static int pass_on(const int *ends, void *to, const void *from, size_t n_bytes)
{
    ssize_t n = write(ends[1], from, n_bytes);

    if (n == (ssize_t)n_bytes)
        n = read(ends[0], to, n_bytes);
    return n == (ssize_t)n_bytes ? 0 : n >= 0 || errno == EFAULT ? EFAULT : EIO;
}

int os_copy_through_pipe(void *to, const void *from, size_t n_bytes)
{
    int saved_errno = errno, ends[2], error = 0;

    if (pipe(ends) == 0) {
        error = pass_on(ends, to, from, n_bytes);
        (void)close(ends[0]);
        (void)close(ends[1]);
    } else {
        error = errno;
    }
    errno = saved_errno;
    return error;
}
