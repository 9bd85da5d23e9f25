/*
 * os_copy: the part of os.h that reads and writes files, on any Unix.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

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
