/*
 * peers: what the tests of the peers' documentation share.  Regions, and a second process.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PEERS_H
#define PEERS_H

#include "live.h"

/* Bytes of a file as a region, or the end of the test. */
static inline gcmmap_region *map(int fd, size_t offset, size_t size, unsigned flags)
{
    gcmmap_region *region = gcmmap_map(fd, (off_t)offset, size, flags);

    need(region != NULL, "map");
    return region;
}

static inline void unmap(gcmmap_region *region)
{
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

struct question {
    int fd;
    size_t offset;
    const char *wanted;
};

static inline int compare_with_file(void *arg)
{
    const struct question *question = arg;
    char got[64] = "";
    size_t n = strlen(question->wanted);

    return pread(question->fd, got, n, (off_t)question->offset) != (ssize_t)n ||
           memcmp(got, question->wanted, n) != 0;
}

/* Asks a second process. */
static inline bool file_has(int fd, size_t offset, const char *wanted)
{
    struct question question = { fd, offset, wanted };

    return run_in_child(compare_with_file, &question) == 0;
}

/* The same file, opened anew with other access. */
static inline int open_again(int fd, int flags)
{
    char path[64];
    int again;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, flags | O_CLOEXEC);
    need(again >= 0, "open");
    return again;
}

#endif
