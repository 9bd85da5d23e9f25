/*
 * grep-progress: what has been done so far; a line on the terminal when that takes long.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_PROGRESS_H
#define GREP_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct totals {
    size_t n_files, n_mapped, n_copied, n_matching; /* files */
    uint64_t bytes_mapped, bytes_copied, bytes_searched;
    uint64_t n_selected; /* lines */
};
extern struct totals totals;

/* bytes_expected: 0 if nobody knows. */
void progress_open(uint64_t bytes_expected);

/* So many bytes more have been searched.  Cheap. */
void progress_add(size_t n_bytes);

/* Takes the line away, if there is one; it comes back by itself. */
void progress_hide(void);

/* --stats, on stderr.  Collects, to tell what goes. */
void stats_print(void);

#endif
