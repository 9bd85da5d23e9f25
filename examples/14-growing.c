/*
 * 14-growing: step 4 of doc/tutorial.md.
 *
 *     ./14-growing FILE
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <gc/gc.h>

#include "gcmmap.h"

/* Appends to a file by storing behind its end. */
static int append(gcmmap_region *region, const char *text)
{
    size_t size = gcmmap_size(region), n = strlen(text);

    if (gcmmap_extend(region, size + n) != 0)
        return -1;
    memcpy((char *)gcmmap_data(region) + size, text, n);
    return 0;
}

int main(int argc, char **argv)
{
    gcmmap_options options = { .room = 1 << 20 };
    int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    gcmmap_region *region;
    gcmmap_slice bytes;

    GC_INIT();
    region = gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_WRITE, &options);
    if (region == NULL || append(region, "one line\n") != 0 || append(region, "another\n") != 0) {
        perror("14-growing");
        return 1;
    }
    bytes = gcmmap_bytes(region);
    if (gcmmap_sync(bytes.data, bytes.size, GCMMAP_SYNC) != 0) {
        perror(argv[1]);
        return 1;
    }
    printf("%zu bytes are on the disk\n", bytes.size);
    return 0;
}
