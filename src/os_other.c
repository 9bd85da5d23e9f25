/*
 * os_other: in place of os_linux where the system tells nothing about pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os_extra.h"
#include "os_look.h"
#include "os_signal.h"

size_t os_find_written(uintptr_t *from, uintptr_t to, struct os_range *ranges, size_t n_most)
{
    (void)n_most;
    ranges[0] = (struct os_range){ *from, to, false };
    *from = to;
    return 1;
}

void os_world_is_stopped(bool stopped)
{
    (void)stopped;
}

int os_advise(void *at, size_t n_bytes, int advice)
{
    (void)at, (void)n_bytes, (void)advice;
    return ENOTSUP;
}

int os_unload(void *at, size_t n_bytes, bool shared)
{
    (void)at, (void)n_bytes, (void)shared;
    return ENOTSUP;
}

int os_residency(void *at, size_t n_pages, unsigned char *resident)
{
    (void)at, (void)n_pages, (void)resident;
    return ENOTSUP;
}

size_t os_static_data_bytes(void)
{
    return (size_t)256 << 10;
}

int os_peek(void *to, const void *from, size_t n_bytes)
{
    int error = os_copy_through_pipe(to, from, n_bytes);

    return error == 0 || error == EFAULT ? error : ENOTSUP;
}

size_t os_copy(void *to, const void *from, size_t n_bytes, bool in)
{
    (void)to, (void)from, (void)n_bytes, (void)in;
    return 0;
}

int os_grow_file(int fd, off_t size, off_t *before)
{
    struct os_file file;
    int error = os_describe(fd, &file);

    if (before != NULL)
        *before = error == 0 ? file.size : size;
    if (error != 0 || file.size >= size)
        return error;
    return posix_fallocate(fd, file.size, size - file.size);
}

int os_extra_flags(unsigned flags, int mmap_flags)
{
    (void)flags;
    return mmap_flags;
}

int os_extra_finish(void *at, size_t n_bytes, const struct os_mapping *what)
{
    const unsigned unknown = GCMMAP_HUGE_ONLY | GCMMAP_SYNC_DAX | GCMMAP_NO_FORK | GCMMAP_NO_DUMP;

    (void)at, (void)n_bytes;
    return what->flags & unknown ? ENOTSUP : 0;
}

size_t os_huge_page_size(unsigned flags)
{
    (void)flags;
    return 0;
}

int os_peek_protected(void *to, const void *from, size_t n_bytes)
{
    (void)to, (void)from, (void)n_bytes;
    return EFAULT;
}

int os_begin_peeking_protected(void)
{
    return ENOTSUP;
}

void os_peek_protected_in_child(void)
{
}

int os_extra_open_secret(size_t n_bytes, int *fd)
{
    (void)n_bytes, (void)fd;
    return ENOSYS;
}

int os_open_memfd(const char *name, int *fd)
{
    (void)name, (void)fd;
    return ENOSYS;
}

int os_seal(int fd)
{
    (void)fd;
    return ENOTSUP;
}

int os_clone(int fd, off_t from, size_t n_bytes, int *clone)
{
    (void)fd, (void)from, (void)n_bytes, (void)clone;
    return ENOTSUP;
}

int os_describe_mapping(const void *at, size_t n_bytes, unsigned *flags, bool *of_file)
{
    (void)at, (void)n_bytes, (void)flags, (void)of_file;
    return ENOTSUP;
}

int os_move(void *to, void *from, size_t n_bytes)
{
    (void)to, (void)from, (void)n_bytes;
    return ENOTSUP;
}

uint64_t os_milliseconds(void)
{
    return (uint64_t)time(NULL) * 1000;
}

int os_each_mapping(bool (*fn)(const struct os_mapped *, void *), void *arg)
{
    (void)fn, (void)arg;
    return ENOTSUP;
}

void os_name_address(const void *address, char *text, size_t n_bytes)
{
    (void)snprintf(text, n_bytes, "%#lx", (unsigned long)(uintptr_t)address);
}

int os_find_access(const void *at, unsigned *access)
{
    (void)at, (void)access;
    return ENOTSUP;
}

int os_find_file(const void *at, struct os_file *file, off_t *offset, char *path, size_t room)
{
    (void)at, (void)file, (void)room;
    path[0] = '\0';
    *offset = -1;
    return ENOENT;
}

int os_list_segments(struct os_segment **segments, size_t *n)
{
    *segments = NULL;
    *n = 0;
    return ENOTSUP;
}

int os_list_threads(struct os_threads **threads)
{
    *threads = NULL;
    return ENOTSUP;
}

void os_end_threads(struct os_threads *threads)
{
    (void)threads;
}

bool os_next_stack(const struct os_threads *threads, size_t *i, struct os_stack *stack)
{
    (void)threads, (void)i, (void)stack;
    return false;
}

long os_thread(void)
{
    return 0;
}

bool os_find_code(uintptr_t address, char *path, size_t room, uintptr_t *place)
{
    (void)address, (void)path, (void)room, (void)place;
    return false;
}

const char *os_environment(const char *variable)
{
    return getuid() == geteuid() && getgid() == getegid() ? getenv(variable) : NULL;
}
