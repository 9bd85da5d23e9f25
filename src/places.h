/*
 * places: from an address to the region there, for those who cannot take the lock.
 *
 * SPDX-License-Identifier: MIT
 *
 * Signal handlers must not look into the registry, which changes under the lock that the
 * thread they interrupt may hold.  Here nothing moves and nothing is freed: places lie in
 * chunks that are only ever added, and a handler looks at one after the other.  That takes
 * 1 us for each 1,000 regions, in a fault.  Adding and removing a place costs two stores.
 *
 * A handler that has found something counts as looking until places_leave(): what it found
 * is not freed meanwhile by those who call places_wait() between removing and freeing.
 */
#ifndef PLACES_H
#define PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct place;

/* Lock not held.  One at which nothing is yet, the caller's; NULL: no memory. */
struct place *places_new(void);

/* Lock held.  What is there from now on; it overlaps with no other. */
void places_show(struct place *place, const void *start, size_t n_bytes, void *user);

/* Lock held.  Nothing is there any more; it stays the caller's. */
void places_hide(struct place *place);

/* Lock held.  It is hidden, and nobody's. */
void places_put(struct place *place);

/*
 * Async-signal-safe.  Whose place the address is in; else NULL.  To be left in any case, so by a
 * thread that nobody disturbs: os_signal.h.
 */
void *places_enter(uintptr_t address);
void places_leave(void);

/* Lock not held.  Waits until nobody looks at what was hidden before. */
void places_wait(void);

/* In a forked child: those who looked in the parent are not here. */
void places_after_fork_in_child(void);

#endif
