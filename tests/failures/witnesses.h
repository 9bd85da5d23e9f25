/*
 * witnesses: what must be as it was before a call that failed.
 * See every-failure-is-told-and-undone.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef WITNESSES_H
#define WITNESSES_H

#include "scenario.h"

/* ---- whether anything has changed --------------------------------------------------------------- */

struct snapshot {
    gcmmap_stats stats;
    gcmmap_slice bytes;
    size_t n_file, n_descriptors, n_mapped_from;
    unsigned char file[3 * ROOM], contents[3 * ROOM];
    char access[2][5]; /* of the first page and the last */
};

static size_t count_descriptors(void)
{
    size_t n = 0;

    for (int i = 3; i < 64; i++)
        n += fcntl(i, F_GETFD, 0) >= 0;
    return n;
}

static void take_snapshot(struct snapshot *snapshot)
{
    ssize_t n = pread(fd, snapshot->file, sizeof snapshot->file, 0);

    memset(snapshot->contents, 0xee, sizeof snapshot->contents);
    need(n >= 0, "pread");
    snapshot->n_file = (size_t)n;
    snapshot->stats = stats_now();
    snapshot->n_descriptors = count_descriptors();
    snapshot->n_mapped_from = bytes_mapped_from(fd);
    memset(snapshot->access, 0, sizeof snapshot->access);
    snapshot->bytes = region != NULL ? gcmmap_bytes(region) : (gcmmap_slice){ NULL, 0 };
    if (snapshot->bytes.size > 0 && snapshot->bytes.size <= sizeof snapshot->contents) {
        /* What lies behind the end of a file is seen by this as well. */
        for (size_t at = 0; at < snapshot->bytes.size; at += 100) {
            struct iovec local = { snapshot->contents + at, 100 };
            struct iovec remote = { snapshot->bytes.data + at, 100 };

            (void)process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        }
        read_maps();
        strcpy(snapshot->access[0], access_of(snapshot->bytes.data));
        strcpy(snapshot->access[1], access_of(snapshot->bytes.data + snapshot->bytes.size - 1));
    }
}

static size_t n_unreleased(const gcmmap_stats *stats)
{
    return stats->n_mapped - stats->n_unmapped_now - stats->n_released;
}

static const char *difference(const struct snapshot *a, const struct snapshot *b,
                              const struct scenario *scenario)
{
    bool changes_some = scenario->changes_some;

    if (a->n_file != b->n_file || memcmp(a->file, b->file, a->n_file) != 0)
        return changes_some && a->n_file == b->n_file ? NULL : "the file has changed";
    if (a->stats.n_live != b->stats.n_live || a->stats.n_closed != b->stats.n_closed ||
        a->stats.bytes_live != b->stats.bytes_live ||
        (!scenario->others_die && n_unreleased(&a->stats) != n_unreleased(&b->stats)) ||
        a->stats.bytes_traced != b->stats.bytes_traced ||
        a->stats.bytes_charged != b->stats.bytes_charged)
        return "the counters have changed";
    if (a->n_descriptors != b->n_descriptors)
        return "there are more or fewer descriptors";
    if (!scenario->others_die && a->n_mapped_from != b->n_mapped_from)
        return "more or less of the file is mapped";
    if (a->bytes.data != b->bytes.data || a->bytes.size != b->bytes.size)
        return "the region has another size";
    if (!changes_some && a->bytes.data != NULL && a->bytes.size <= sizeof a->contents &&
        memcmp(a->contents, b->contents, a->bytes.size / 100 * 100) != 0)
        return "the region has other contents";
    if (memcmp(a->access, b->access, sizeof a->access) != 0)
        return "the region's pages have another access";
    return NULL;
}

#endif
