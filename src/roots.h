/*
 * roots: the contents of traced regions, as the collector's marker sees them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTS_H
#define ROOTS_H

#include <stdbool.h>
#include <stddef.h>

struct collector_marker;

/*
 * In the mark hook: marks what the private pages [from, from + n_bytes) point to.
 * Pages that were never written are neither read nor faulted in; where the system does
 * not tell which were, all are read.
 *
 * may_fault: pages may be unreadable, because their file was truncated or because another
 * thread is closing the region; these are passed over.
 */
void roots_scan(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                bool may_fault);

#endif
