/*
 * 03-log-follower: tail -f that keeps what it has seen, and copies nothing.
 *
 *     ./03-log-follower FILE WORD [LINES]
 *
 * Follows FILE as others append to it; after so many lines (for ever, if not said) it prints
 * the last ten that contain WORD.  These are slices of the file, and all that is kept of
 * it: parts that none of them lies in are unmapped by the collector.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define ROOM ((size_t)1 << 20) /* longer than any line */
#define N_KEPT 10

static gcmmap_slice kept[N_KEPT]; /* static data: the collector sees it */
static size_t n_found;

static int contains(gcmmap_slice line, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= line.size; i++)
        if (memcmp(line.data + i, word, n) == 0)
            return 1;
    return 0;
}

/* The next whole line behind `at`; its size is 0 if there is none yet. */
static gcmmap_slice next_line(gcmmap_slice bytes, size_t at)
{
    gcmmap_slice rest = gcmmap_slice_sub(bytes, at, bytes.size);
    const unsigned char *end = memchr(rest.data, '\n', rest.size);

    return gcmmap_slice_sub(rest, 0, end != NULL ? (size_t)(end - rest.data) + 1 : 0);
}

static int follow(int fd, const char *word, long n_wanted)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    gcmmap_options options = { .room = ROOM };
    gcmmap_region *part = gcmmap_map_with(fd, 0, 0, GCMMAP_READ, &options);
    off_t start = 0; /* of this part in the file */
    size_t at = 0;   /* what was read of it */

    while (part != NULL && n_wanted != 0) {
        gcmmap_slice bytes = gcmmap_bytes(part), line;

        if (at > bytes.size) { /* the file was cut: begin again, as tail does */
            memset(kept, 0, sizeof kept);
            n_found = at = 0;
            start = 0;
            part = gcmmap_map_with(fd, start, 0, GCMMAP_READ, &options);
            continue;
        }
        line = next_line(bytes, at);
        if (line.size > 0) {
            at += line.size;
            n_wanted -= n_wanted > 0;
            if (contains(line, word))
                kept[n_found++ % N_KEPT] = line;
        } else if (bytes.size == ROOM) { /* the next part; slices keep this one */
            start += (off_t)at;
            at = 0;
            part = gcmmap_map_with(fd, start, 0, GCMMAP_READ, &options);
        } else if (gcmmap_refresh(part) != 0) {
            return -1;
        } else if (gcmmap_size(part) == bytes.size) {
            nanosleep(&pause, NULL);
        }
    }
    return part == NULL ? -1 : 0;
}

int main(int argc, char **argv)
{
    int fd;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: %s FILE WORD [LINES]\n", argv[0]);
        return 2;
    }
    GC_INIT();
    fd = open(argv[1], O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || follow(fd, argv[2], argc == 4 ? atol(argv[3]) : -1) != 0) {
        perror(argv[1]);
        return 1;
    }
    for (size_t i = n_found > N_KEPT ? n_found - N_KEPT : 0; i < n_found; i++)
        fwrite(kept[i % N_KEPT].data, 1, kept[i % N_KEPT].size, stdout);
    return 0;
}
