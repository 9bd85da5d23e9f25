/*
 * share: memory that other processes map too.  Checks arguments, sets errno.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>

#include "gcmmap.h"
#include "map.h"
#include "os.h"

static gcmmap_region *fail(int error)
{
    errno = error;
    return NULL;
}

/* On success errno is what it was: finalizers may have run since. */
static gcmmap_region *result_of(int error, gcmmap_region *region, int saved_errno)
{
    if (error != 0)
        return fail(error);
    errno = saved_errno;
    return region;
}

/* All of an object. */
static int map_named(int fd, const char *name, size_t size, unsigned flags,
                     const gcmmap_options *options, const void *caller, gcmmap_region **region)
{
    gcmmap_options named = options != NULL ? *options : (gcmmap_options){ 0 };

    if (named.name == NULL)
        named.name = name;
    return map_file(fd, NULL, 0, size, flags, &named, caller, region);
}

gcmmap_region *gcmmap_memfd(const char *name, size_t size, unsigned flags,
                            const gcmmap_options *options, int *fd)
{
    gcmmap_region *region = NULL;
    int saved_errno = errno, file, error;

    if (name == NULL || (flags & GCMMAP_PRIVATE))
        return fail(EINVAL);
    if (!os_is_offset(size))
        return fail(EOVERFLOW);
    if ((flags & (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC)) == 0)
        flags |= GCMMAP_WRITE;
    error = os_open_memfd(name, &file);
    if (error != 0)
        return fail(error);
    error = os_cut_file(file, (off_t)size);
    if (error == 0)
        error = map_named(file, name, size, flags, options, MAP_CALLER(), &region);
    if (error == 0 && fd != NULL)
        *fd = file;
    else
        os_close(file);
    return result_of(error, region, saved_errno);
}

gcmmap_region *gcmmap_shm(const char *name, size_t size, unsigned flags,
                          const gcmmap_options *options)
{
    const unsigned how = GCMMAP_CREATE | GCMMAP_EXCLUSIVE;
    gcmmap_region *region = NULL;
    bool created;
    int saved_errno = errno, fd, error;

    if (name == NULL || (flags & how) == GCMMAP_EXCLUSIVE ||
        ((flags & GCMMAP_CREATE) && size == GCMMAP_REST))
        return fail(EINVAL);
    if (size != GCMMAP_REST && !os_is_offset(size))
        return fail(EOVERFLOW);
    error = os_open_shm(name, flags, &fd, &created);
    if (error != 0)
        return fail(error);
    if (flags & GCMMAP_CREATE)
        error = os_grow_file(fd, (off_t)size);
    if (error == 0)
        error = map_named(fd, name, size, flags & ~how, options, MAP_CALLER(), &region);
    os_close(fd);
    if (error != 0 && created)
        (void)os_unlink_shm(name);
    return result_of(error, region, saved_errno);
}

int gcmmap_shm_unlink(const char *name)
{
    int error = name == NULL ? EINVAL : os_unlink_shm(name);

    if (error != 0)
        errno = error;
    return error != 0 ? -1 : 0;
}
