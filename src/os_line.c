/*
 * os_line: asks addr2line(1), from a signal handler.
 *
 * SPDX-License-Identifier: MIT
 *
 * vfork(2), which runs no handlers of the C library's and copies nothing: execve(2) is next.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "os_signal.h"

#define MOST_MS 5000 /* large programs have much to read in */

extern char **environ;

static const char program[] = "/usr/bin/addr2line";

static pid_t start(char *const *arguments, const int *ends)
{
    /* NOLINTNEXTLINE: the program may be large, and posix_spawn() is no signal-safe call */
    pid_t child = vfork();

    if (child == 0) {
        /* NOLINTNEXTLINE: a system call, which changes the child's descriptors only */
        if (dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO)
            (void)execve(program, arguments, environ);
        _exit(127);
    }
    return child;
}

/* The first line; "" if it does not come in time. */
static void read_line(int fd, char *line, size_t room)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    size_t n = 0;
    ssize_t got = 1;

    while (n + 1 < room && got > 0 && memchr(line, '\n', n) == NULL) {
        got = poll(&wait, 1, MOST_MS) == 1 ? read(fd, line + n, room - 1 - n) : 0;
        n += got > 0 ? (size_t)got : 0;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

void os_find_line(const char *path, uintptr_t place, char *line, size_t room)
{
    char number[2 + sizeof place * 2 + 1], option[] = "-fpse";
    struct message message = { number, sizeof number, 0 };
    char *arguments[] = { (char *)program, option, (char *)path, number, NULL };
    int saved_errno = errno, ends[2];
    pid_t child;

    line[0] = '\0';
    message_add_address(&message, place);
    if (pipe(ends) != 0) {
        errno = saved_errno;
        return;
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    child = start(arguments, ends);
    (void)close(ends[1]);
    if (child > 0) {
        read_line(ends[0], line, room);
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    (void)close(ends[0]);
    if (strstr(line, "??:") != NULL) /* a function at most */
        line[0] = '\0';
    errno = saved_errno;
}
