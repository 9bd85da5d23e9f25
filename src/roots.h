/*
 * roots: the contents of traced regions, as the collector's marker sees them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTS_H
#define ROOTS_H

#include <stddef.h>

struct collector_marker;

/* What there is to know about pages: combine. */
enum roots_pages {
    /* Private: those never written hold no pointers, and are not read, if the system tells
       which they are. */
    ROOTS_PRIVATE = 1,
    /* Some may be unreadable, because their file was truncated or because another thread is
       closing the region; these are passed over. */
    ROOTS_MAY_FAULT = 2,
    /* Some may be protected against reading; they are read all the same where the system has
       a way.  With the above. */
    ROOTS_PROTECTED = 4,
};

/* In the mark hook: marks what the pages [from, from + n_bytes) point to. */
void roots_scan(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                unsigned pages);

#endif
