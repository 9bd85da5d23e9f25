/*
 * share: memory that other processes map too.  Checks arguments, sets errno.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>

#include "gcmmap.h"
#include "os.h"

static gcmmap_region *fail(int error)
{
    errno = error;
    return NULL;
}

/* All of an object; *error is what became of it, and errno stays. */
static gcmmap_region *map_named(int fd, const char *name, size_t size, unsigned flags,
                                const gcmmap_options *options, int *error)
{
    gcmmap_options named = options != NULL ? *options : (gcmmap_options){ 0 };
    int saved_errno = errno;
    gcmmap_region *region;

    if (named.name == NULL)
        named.name = name;
    region = gcmmap_map_with(fd, 0, size, flags, &named);
    *error = region == NULL ? errno : 0;
    errno = saved_errno;
    return region;
}

static bool is_offset(size_t size)
{
    return (off_t)size >= 0 && (uintmax_t)(off_t)size == size;
}

gcmmap_region *gcmmap_memfd(const char *name, size_t size, unsigned flags,
                            const gcmmap_options *options, int *fd)
{
    gcmmap_region *region = NULL;
    int file, error;

    if (name == NULL || (flags & GCMMAP_PRIVATE))
        return fail(EINVAL);
    if (!is_offset(size))
        return fail(EOVERFLOW);
    if ((flags & (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC)) == 0)
        flags |= GCMMAP_WRITE;
    error = os_open_memfd(name, &file);
    if (error != 0)
        return fail(error);
    error = os_cut_file(file, (off_t)size);
    if (error == 0)
        region = map_named(file, name, size, flags, options, &error);
    if (error == 0 && fd != NULL)
        *fd = file;
    else
        os_close(file);
    return error != 0 ? fail(error) : region;
}

gcmmap_region *gcmmap_shm(const char *name, size_t size, unsigned flags,
                          const gcmmap_options *options)
{
    const unsigned how = GCMMAP_CREATE | GCMMAP_EXCLUSIVE;
    gcmmap_region *region = NULL;
    bool created;
    int fd, error;

    if (name == NULL || (flags & how) == GCMMAP_EXCLUSIVE ||
        ((flags & GCMMAP_CREATE) && size == GCMMAP_REST))
        return fail(EINVAL);
    if (size != GCMMAP_REST && !is_offset(size))
        return fail(EOVERFLOW);
    error = os_open_shm(name, flags, &fd, &created);
    if (error != 0)
        return fail(error);
    if (flags & GCMMAP_CREATE)
        error = os_grow_file(fd, (off_t)size);
    if (error == 0)
        region = map_named(fd, name, size, flags & ~how, options, &error);
    os_close(fd);
    if (error != 0 && created)
        (void)os_unlink_shm(name);
    return error != 0 ? fail(error) : region;
}

int gcmmap_shm_unlink(const char *name)
{
    int error = name == NULL ? EINVAL : os_unlink_shm(name);

    if (error != 0)
        errno = error;
    return error != 0 ? -1 : 0;
}
