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

static gcmmap_options named(const gcmmap_options *options, const char *name)
{
    gcmmap_options result = options != NULL ? *options : (gcmmap_options){ 0 };

    if (result.name == NULL)
        result.name = name;
    return result;
}

gcmmap_region *gcmmap_memfd(const char *name, size_t size, unsigned flags,
                            const gcmmap_options *options, int *fd)
{
    gcmmap_options with_name = named(options, name);
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
        error = map_file(file, NULL, 0, size, flags, &with_name, MAP_CALLER(), &region);
    if (error == 0 && fd != NULL)
        *fd = file;
    else
        os_close(file);
    return result_of(error, region, saved_errno);
}

static int check_shm(const char *name, size_t size, unsigned how, unsigned flags,
                     const gcmmap_options *options)
{
    if (name == NULL || how == GCMMAP_EXCLUSIVE || (how != 0 && size == GCMMAP_REST))
        return EINVAL;
    if (size != GCMMAP_REST && !os_is_offset(size))
        return EOVERFLOW;
    return map_check_object(size, flags, options);
}

gcmmap_region *gcmmap_shm(const char *name, size_t size, unsigned flags,
                          const gcmmap_options *options)
{
    const unsigned how = flags & (GCMMAP_CREATE | GCMMAP_EXCLUSIVE);
    gcmmap_options with_name = named(options, name);
    gcmmap_region *region = NULL;
    bool created;
    int saved_errno = errno, fd, error;

    error = check_shm(name, size, how, flags & ~how, options);
    if (error == 0)
        error = os_open_shm(name, flags, &fd, &created);
    if (error != 0)
        return fail(error);
    error = how != 0 ? map_object(fd, size, flags & ~how, &with_name, MAP_CALLER(), &region)
                     : map_file(fd, NULL, 0, size, flags, &with_name, MAP_CALLER(), &region);
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
