/*
 * calls: what the glue of each binding has to do alike with gcmmap and the system.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CALLS_H
#define CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "gcmmap.h"

/* What strerror() would word for another case. */
static inline const char *reason_for(int error)
{
    switch (error) {
    case ENXIO:
        return "The range does not lie inside the file";
    case ENODEV:
        return "It cannot be mapped";
    case EOVERFLOW:
        return "It is too large to be mapped";
    case ENOMEM:
        return "No address space or map slots left";
    default:
        return strerror(error);
    }
}

/* NULL with errno, as gcmmap_map() and open(2). */
static inline gcmmap_region *map_part(const char *path, off_t offset, size_t n_bytes,
                                      unsigned flags)
{
    bool stores = (flags & GCMMAP_WRITE) && !(flags & GCMMAP_PRIVATE);
    gcmmap_region *region;
    int fd, error;

    /* Without O_NONBLOCK opening a pipe would wait for somebody to write. */
    fd = open(path, (stores ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    region = gcmmap_map(fd, offset, n_bytes, flags);
    error = errno;
    close(fd);
    errno = error;
    return region;
}

/* In the order in which gcmmap.lisp lists them. */
enum operation { ADVISE, PROTECT, PREFETCH, UNLOAD, LOCK, UNLOCK };

/* 0, or -1 with errno.  The argument is for those that take one. */
static inline int operate_on(void *p, size_t n_bytes, enum operation operation, int argument)
{
    switch (operation) {
    case ADVISE:
        return gcmmap_advise(p, n_bytes, argument);
    case PROTECT:
        return gcmmap_protect(p, n_bytes, (unsigned)argument);
    case PREFETCH:
        return gcmmap_prefetch(p, n_bytes);
    case UNLOAD:
        return gcmmap_unload(p, n_bytes);
    case LOCK:
        return gcmmap_lock(p, n_bytes);
    case UNLOCK:
        return gcmmap_unlock(p, n_bytes);
    }
    errno = EINVAL;
    return -1;
}

#endif
