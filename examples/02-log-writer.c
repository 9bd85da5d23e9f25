/*
 * 02-log-writer: appends lines to a file by storing them.
 *
 *     ... | ./02-log-writer FILE
 *
 * The region grows in place and its file with it: no buffer, no seek, and a full disk is
 * an error of gcmmap_extend().  When its room is used up the next part of the file is
 * mapped, and the collector unmaps the last one.  03-log-follower reads along.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define ROOM ((size_t)1 << 20)
#define LINE_BYTES 4096

struct log {
    int fd;
    gcmmap_region *part; /* the end of the file, from `start` on */
    off_t start;
};

/* An empty region at the end of the file, with room. */
static int map_next_part(struct log *log)
{
    gcmmap_options options = { .room = ROOM };
    struct stat status;

    if (fstat(log->fd, &status) != 0)
        return -1;
    log->start = status.st_size;
    log->part = gcmmap_map_with(log->fd, log->start, 0, GCMMAP_WRITE, &options);
    return log->part == NULL ? -1 : 0;
}

static int append(struct log *log, const char *line, size_t n)
{
    size_t at = log->part != NULL ? gcmmap_size(log->part) : ROOM;
    char *to;

    if (n > ROOM - at) {
        if (map_next_part(log) != 0)
            return -1;
        at = 0;
    }
    if (gcmmap_extend(log->part, at + n) != 0)
        return -1;
    to = (char *)gcmmap_data(log->part) + at;
    memcpy(to, line, n - 1);
    /* Who sees the end of a line sees all of it. */
    __atomic_store_n(to + n - 1, line[n - 1], __ATOMIC_RELEASE);
    return 0;
}

int main(int argc, char **argv)
{
    struct log log = { .fd = -1 };
    char line[LINE_BYTES];

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE < lines\n", argv[0]);
        return 2;
    }
    GC_INIT();
    log.fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (log.fd < 0) {
        perror(argv[1]);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL)
        if (append(&log, line, strlen(line)) != 0) {
            perror(argv[1]);
            return 1;
        }
    return 0;
}
