/*
 * os_linux_memory: our own memory, whatever its protection.
 *
 * SPDX-License-Identifier: MIT
 *
 * /proc/self/mem is opened when the first pages are protected, and stays open: when the collector has
 * to read them there may be no descriptor left, no /proc (chroot), or no permission.  But a host may
 * close what it does not know and reuse the number, and a child's descriptor shows its parent's memory: so
 * the file is looked at before each use, and opened for that use alone where it is not the right one.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"
#include "os_look.h"

struct memory {
    int fd;
    pid_t process; /* whose memory it is */
    dev_t device;
    ino_t inode;
};

/*
 * malloc'ed, and never changed while there is more than one thread.  One that is of no use any more, as
 * its descriptor was closed by others, is not freed: a marker may be looking at it.
 */
static struct memory *_Atomic kept;

static int open_memory(void)
{
    return open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
}

static bool is_same_file(const struct memory *memory)
{
    struct stat status;

    if (fstat(memory->fd, &status) != 0)
        return errno != EBADF;
    return status.st_dev == memory->device && status.st_ino == memory->inode;
}

static bool is_usable(const struct memory *memory)
{
    return memory != NULL && memory->process == getpid() && is_same_file(memory);
}

static bool read_memory(int fd, void *to, const void *from, size_t n_bytes)
{
    ssize_t n;

    do
        n = pread(fd, to, n_bytes, (off_t)(uintptr_t)from);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)n_bytes;
}

int os_peek_protected(void *to, const void *from, size_t n_bytes)
{
    const struct memory *memory = atomic_load(&kept);
    int saved_errno = errno;
    bool is_kept = is_usable(memory), is_read;
    int fd = is_kept ? memory->fd : open_memory();

    is_read = fd >= 0 && read_memory(fd, to, from, n_bytes);
    if (fd >= 0 && !is_kept)
        (void)close(fd);
    errno = saved_errno;
    return is_read ? 0 : EFAULT;
}

/* Kernels can be told to respect protection there, too. */
static int try_protected(int fd)
{
    void *page;
    char byte;
    int error = os_set_aside(os_page_size(), 0, 0, &page);

    if (error != 0)
        return error;
    error = read_memory(fd, &byte, page, 1) ? 0 : ENOTSUP;
    (void)os_unmap(page, os_page_size());
    return error;
}

static int describe(struct memory *memory)
{
    struct stat status;

    memory->process = getpid();
    if (fstat(memory->fd, &status) != 0)
        return os_error_of_proc(errno);
    memory->device = status.st_dev;
    memory->inode = status.st_ino;
    return 0;
}

static int open_and_try(struct memory *memory)
{
    int error;

    memory->fd = open_memory();
    if (memory->fd < 0)
        return os_error_of_proc(errno);
    error = describe(memory);
    if (error == 0)
        error = try_protected(memory->fd);
    if (error != 0)
        (void)close(memory->fd);
    return error;
}

static int keep(struct memory *before)
{
    struct memory *fresh = malloc(sizeof *fresh);
    int error = fresh != NULL ? open_and_try(fresh) : ENOMEM;

    if (error == 0 && atomic_compare_exchange_strong(&kept, &before, fresh))
        return 0;
    if (error == 0) /* another thread was quicker */
        (void)close(fresh->fd);
    free(fresh);
    return error;
}

int os_begin_peeking_protected(void)
{
    int saved_errno = errno;
    struct memory *memory = atomic_load(&kept);
    int error = is_usable(memory) ? 0 : keep(memory);

    errno = saved_errno;
    return error;
}

void os_peek_protected_in_child(void)
{
    int saved_errno = errno;
    struct memory *memory = atomic_load(&kept);

    /* Closed first: if there is no other descriptor left, this one is. */
    if (memory != NULL && is_same_file(memory)) {
        (void)close(memory->fd);
        memory->fd = open_memory();
        if (memory->fd >= 0)
            (void)describe(memory);
    }
    errno = saved_errno;
}
