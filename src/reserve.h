/*
 * reserve: addresses for mappings to lie on, out of pools by size.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef RESERVE_H
#define RESERVE_H

#include "reservation.h"

struct collector_marker;

/*
 * Lock not held.  A reservation of n_bytes or more (whole pages), all of them
 * inaccessible, user NULL.  NULL: no memory or addresses.  May collect.
 */
struct reservation *reserve_take(size_t n_bytes, bool traced);

/*
 * Lock held.  Back to its pool, all pages inaccessible; it may be handed out again
 * at once, or have been joined with a neighbour.
 */
void reserve_put(struct reservation *reservation);

/*
 * Lock not held.  The same, whatever is mapped there by now.  If the kernel has no map slot for
 * making it inaccessible it is put aside, as nobody's, until reserve_clean() succeeds.
 */
void reserve_put_back(struct reservation *reservation);

/* Lock not held.  Tries again.  Cheap if there is nothing to do. */
void reserve_clean(void);

/*
 * Lock held, inside the unreached hook.  Whether a pointer reaches any block of
 * the reservation.  Found once in each collection, before the latch has set any of
 * the mark bits it is read from.
 */
bool reserve_is_reached(struct reservation *reservation);

/* Usable bytes [from, to) of a reservation, of blocks next to each other. */
struct reserve_stretch {
    size_t from, to;
};

/* How many stretches a reservation of so many bytes can be broken into. */
size_t reserve_most_stretches(size_t n_bytes);

/*
 * Lock held, inside the unreached hook, at the first call for the reservation in a collection.
 * The stretches that no pointer leads into, as many as there is room for; none if one
 * leads into the first block.  How many.
 */
size_t reserve_find_unreached(const struct reservation *reservation,
                              struct reserve_stretch *stretches, size_t n_most);

/* In the mark hook, for one block of the reservation: sees to it that all are marked. */
void reserve_mark_neighbours(const struct reservation *reservation, const void *block,
                             struct collector_marker *marker);

/* In the mark hook.  Which usable bytes [from, to) of the reservation lie in this block. */
void reserve_find_part(const struct reservation *reservation, const void *block, size_t *from,
                       size_t *to);

/*
 * Lock not held.  Gives all that is pooled back to the collector's heap; returns how many
 * bytes of address space.
 */
size_t reserve_trim(void);

/*
 * Lock not held.  After each collection: trims if nothing was taken for some of them, and
 * more is pooled than lies under live regions.  (bdwgc lets the host use up free heap before
 * it collects again: give it little, and seldom.)
 */
void reserve_trim_if_idle(size_t bytes_live);

/* In a forked child: the threads that were at work in the parent are not here. */
void reserve_after_fork_in_child(void);

struct reserve_stats {
    size_t n_pooled;
    size_t bytes_reserved;
};

/* Lock held. */
struct reserve_stats reserve_get_stats(void);

#endif
