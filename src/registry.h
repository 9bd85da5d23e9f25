/*
 * registry: from the address of a block to the reservation it belongs to.
 *
 * SPDX-License-Identifier: MIT
 *
 * The collector's allocation lock is this table's lock.  Each function says
 * whether to hold it.  Lookups run inside the collector's sweep and inside its
 * parallel markers (which the holder of the lock waits for); they allocate
 * nothing.  Keys are kept complemented, so that the table never looks like a
 * pointer to a block to a collector that happens to scan it.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

struct reservation;

/*
 * Lock not held.  Makes room for n more blocks; the room stays for the caller
 * until as many registry_add() or registry_unprepare().  Returns 0 or ENOMEM.
 */
int registry_prepare(size_t n);

/* Lock held.  Gives back room that was not used. */
void registry_unprepare(size_t n);

/* Lock held.  Room was prepared; the block is not in the table. */
void registry_add(const void *block, struct reservation *reservation);

/* Lock held.  The block is in the table; now it belongs to another reservation. */
void registry_set(const void *block, struct reservation *reservation);

/* Lock held.  The block is in the table. */
void registry_remove(const void *block);

/* Lock held, or in a marker.  NULL if the block is not in the table. */
struct reservation *registry_find(const void *block);

/* Lock held, or in a forked child.  Calls fn once for each; fn leaves the table alone. */
void registry_each(void (*fn)(struct reservation *reservation, void *arg), void *arg);

/* Lock held.  Calls fn once for each block; fn leaves the table alone. */
void registry_each_block(void (*fn)(void *block));

#endif
