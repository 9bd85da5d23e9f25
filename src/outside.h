/*
 * outside: from an address to what lies there outside the collector's heap.
 *
 * SPDX-License-Identifier: MIT
 *
 * Regions that are kept by their handle alone are not on blocks, so the registry cannot
 * find them.  The collector's allocation lock is this table's lock.
 */
#ifndef OUTSIDE_H
#define OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>

/* Lock not held.  Room for one more, the caller's until outside_add().  0 or ENOMEM. */
int outside_prepare(void);

/* Lock held.  Gives back room that was not used. */
void outside_unprepare(void);

/* Lock held.  Room was prepared.  What is in the table does not overlap. */
void outside_add(const void *start, size_t n_bytes, void *user);

/* Lock held.  It is in the table.  Its room is the caller's again. */
void outside_remove(const void *start);

/* Lock held.  Whether anything in the table overlaps. */
bool outside_overlaps(const void *start, size_t n_bytes);

/* Lock held.  Whose [start, start + n_bytes] the pointer is in; a start wins over an end. */
void *outside_find(const void *pointer);

#endif
