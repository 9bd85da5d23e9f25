/*
 * 13-when-things-go-wrong: step 3 of doc/tutorial.md.
 *
 *     ./13-when-things-go-wrong FILE, which must not exist
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define SIZE 20000

static void copy(const unsigned char *data)
{
    char byte;

    if (gcmmap_copy_out(&byte, data, 1) != 1)
        perror("copying");
}

static void look(const unsigned char *data)
{
    gcmmap_guard guard;

    if (GCMMAP_TRY(guard)) {
        printf("it is %d\n", data[SIZE - 1]);
        gcmmap_guard_leave(&guard);
    } else {
        fprintf(stderr, "looking: byte %td of %s: %s\n", guard.fault.offset, guard.fault.name,
                guard.fault.kind == GCMMAP_FAULT_TRUNCATED ? "the file was truncated" : "fault");
    }
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    gcmmap_region *region;
    const unsigned char *data;

    GC_INIT();
    if (fd < 0 || ftruncate(fd, SIZE) != 0) {
        fputs("usage: 13-when-things-go-wrong FILE, which must not exist\n", stderr);
        return 2;
    }
    if (gcmmap_open("/no/such/file", GCMMAP_READ) == NULL)
        perror("opening");

    region = gcmmap_open(argv[1], GCMMAP_READ);
    data = gcmmap_data(region);
    if (data == NULL || ftruncate(fd, 1) != 0) /* somebody cuts the file */
        return 1;
    copy(data + SIZE - 1);
    look(data);

    if (gcmmap_close(region) == 0 && gcmmap_data(region) == NULL)
        perror("closed");
    return 0;
}
