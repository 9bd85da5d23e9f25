/*
 * region_file: the file of those regions that need it after they were mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "region_record.h"

int region_keep_file(struct region *region, int fd, off_t offset)
{
    struct region_file *file = calloc(1, sizeof *file);
    int error;

    region->file = file;
    if (file == NULL)
        return ENOMEM;
    file->fd = -1;
    file->offset = offset;
    error = os_describe(fd, &file->then);
    return error != 0 ? error : os_duplicate(fd, &file->fd);
}

int region_look_at(const struct region_file *file, struct os_file *now)
{
    /* Hosts that close all descriptors they find close ours, and then the number is another's. */
    if (os_describe(file->fd, now) != 0 || now->device != file->then.device ||
        now->inode != file->then.inode)
        return ESTALE;
    return 0;
}

void region_close_file(struct region_file *file)
{
    struct os_file now;

    if (file == NULL)
        return;
    if (file->fd >= 0 && region_look_at(file, &now) == 0)
        os_close(file->fd);
    file->fd = -1;
}
