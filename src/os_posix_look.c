/*
 * os_posix_look: what any Unix can do for those who tell of a process.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os_look.h"

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

char *os_absolute_path(const char *path)
{
    char *directory = *path == '/' ? NULL : getcwd(NULL, 0), *result;

    if (directory == NULL)
        return strdup(path);
    result = malloc(strlen(directory) + strlen(path) + 2);
    if (result != NULL)
        (void)stpcpy(stpcpy(stpcpy(result, directory), "/"), path);
    free(directory);
    return result;
}

void os_append(const char *path, const char *text, size_t n_bytes)
{
    int saved_errno = errno;
    int fd = path == NULL ? STDERR_FILENO
                          : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);

    while (fd >= 0 && n_bytes > 0) {
        ssize_t n = write(fd, text, n_bytes);

        if (n < 0 && errno != EINTR)
            break;
        text += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && path != NULL)
        (void)close(fd);
    errno = saved_errno;
}

long os_process(void)
{
    return (long)getpid();
}
