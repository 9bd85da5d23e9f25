/*
 * os_linux_look: what Linux tells of a process to those who look at it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os_look.h"

uint64_t os_milliseconds(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* "start-end rwxp offset device inode path": proc_pid_maps(5). */
static bool parse(char *line, struct os_mapped *mapped)
{
    unsigned long from, to, inode;
    char access[5];
    int path = 0;

    if (sscanf(line, "%lx-%lx %4s %*x %*s %lu %n", &from, &to, access, &inode, &path) != 4)
        return false;
    line[strcspn(line, "\n")] = '\0';
    mapped->from = from;
    mapped->to = to;
    mapped->flags = (access[0] == 'r' ? GCMMAP_READ : 0u) | (access[1] == 'w' ? GCMMAP_WRITE : 0u) |
                    (access[2] == 'x' ? GCMMAP_EXEC : 0u) |
                    (access[3] == 'p' ? GCMMAP_PRIVATE : 0u);
    mapped->of_file = inode != 0;
    mapped->path = path > 0 && (size_t)path < strlen(line) ? line + path : "";
    return true;
}

/* Whether they were all read, or as many as were wanted. */
static bool read_lines(FILE *maps, bool (*fn)(const struct os_mapped *, void *), void *arg)
{
    char *line = NULL;
    size_t room = 0;
    struct os_mapped mapped;
    bool is_wanted = true;

    while (is_wanted && getline(&line, &room, maps) > 0)
        if (parse(line, &mapped))
            is_wanted = fn(&mapped, arg);
    free(line);
    return !is_wanted || feof(maps) != 0;
}

int os_each_mapping(bool (*fn)(const struct os_mapped *, void *), void *arg)
{
    int saved_errno = errno, error;
    FILE *maps = fopen("/proc/self/maps", "re");

    error = maps == NULL ? os_error_of_proc(errno) : 0;
    if (maps != NULL && !read_lines(maps, fn, arg))
        error = errno == ENOMEM ? ENOMEM : EIO;
    if (maps != NULL)
        (void)fclose(maps);
    errno = saved_errno;
    return error;
}

struct description {
    uintptr_t at;
    size_t n_bytes;
    unsigned flags;
    bool of_file, found;
};

static bool describe(const struct os_mapped *mapped, void *arg)
{
    struct description *wanted = arg;

    if (wanted->at >= mapped->to)
        return true;
    wanted->found = wanted->at >= mapped->from && wanted->n_bytes <= mapped->to - wanted->at;
    wanted->flags = mapped->flags;
    wanted->of_file = mapped->of_file;
    return false;
}

int os_describe_mapping(const void *at, size_t n_bytes, unsigned *flags, bool *of_file)
{
    struct description wanted = { .at = (uintptr_t)at, .n_bytes = n_bytes };
    int error = os_each_mapping(describe, &wanted);

    if (error == 0 && !wanted.found)
        error = EFAULT;
    if (error == 0) {
        *flags = wanted.flags;
        *of_file = wanted.of_file;
    }
    return error;
}

const char *os_environment(const char *variable)
{
    return secure_getenv(variable);
}
