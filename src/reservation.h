/*
 * reservation: addresses of the collector's heap that mappings lie on.
 *
 * SPDX-License-Identifier: MIT
 *
 * A reservation is one block, or a row of adjacent blocks:
 *
 *      block                                              end of last block
 *        |                                                       |
 *        v                                                       v
 *        +------+----------------------------------------+-------+
 *        |      | start ... start + n_bytes              |       |
 *        +------+----------------------------------------+-------+
 *         <----> whole OS pages only: start differs from block only
 *                where the OS page is larger than bdwgc's block of 4 KiB
 *
 * Pages of a reservation that no mapping covers are inaccessible.
 */
#ifndef RESERVATION_H
#define RESERVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reservation {
    struct reservation *next; /* in its pool */
    void *user;               /* who lies on it, the caller's; NULL: nobody */
    uintptr_t hidden_block;   /* complement of the first block's address */
    size_t n_bytes;           /* usable, from reservation_start() */
    unsigned short pool;      /* which one: reserve's affair */
    bool traced : 1;          /* kind of its blocks */
    bool is_row : 1;
    bool seen : 1;            /* a pointer reached one of its blocks ... */
    uint64_t seen_cycle : 45; /* ... in this collection; fills the word */
};

/* Start of its first block: what the collector sees as the object. */
static inline void *reservation_block(const struct reservation *reservation)
{
    return (void *)~reservation->hidden_block;
}

/* First of the pages to use. */
unsigned char *reservation_start(const struct reservation *reservation);

/* One past the last page to use. */
unsigned char *reservation_end(const struct reservation *reservation);

/* What blocks need beyond n OS pages to contain them aligned; mostly 0. */
size_t reservation_slack(void);

/* Bytes of its blocks. */
size_t reservation_block_bytes(const struct reservation *reservation);

/* Lock held.  All of its blocks are new to the collector: see collector_unmark_block(). */
void reservation_unmark(const struct reservation *reservation);

/* In collector_hooks.look_again(): those of its blocks that were found reachable are read once more. */
struct collector_marker;
void reservation_mark_again(const struct reservation *reservation, struct collector_marker *marker);

/* What to do with a new reservation; lock held. */
typedef void reservation_receiver(struct reservation *reservation);

/* More than one call takes at most. */
#define RESERVATION_BATCH 32u

/*
 * Lock not held.  Makes a reservation of each of n <= RESERVATION_BATCH fresh blocks, in
 * sight of the collector, and hands them out from the highest address down: a pool that
 * takes from its front then goes upwards.  But the lowest comes first, to be used last: bdwgc
 * keeps in a static word, which it takes for a root, the end of the memory that it last got
 * from the system; that is where our blocks begin if it came from right below them, and
 * a region there would be held for no reason.
 * blocks is cleared.  false: shortage of memory or map slots, and the blocks are gone; true: some
 * of them are reservations, and the others gone.
 */
bool reservation_make(void **blocks, unsigned n, const struct reservation *like,
                      reservation_receiver *receiver);

/*
 * Lock not held.  Gives the blocks back to the collector, and frees the record.  It
 * belongs to nobody and its pages are inaccessible.  false: no map slot for that;
 * nothing changed.
 */
bool reservation_unmake(struct reservation *reservation);

/*
 * Lock held.  Cuts the first blocks off a row: as few as contain n_bytes usable ones.
 * Returns them as a reservation of their own, and `row` is the rest; returns `row` itself
 * if that is all of it; NULL: no spare record, see reservation_spare().
 */
struct reservation *reservation_cut(struct reservation *row, size_t n_bytes);

/* Lock held.  Appends the row `right`, which begins where `left` ends.  right is gone. */
struct reservation *reservation_join(struct reservation *left, struct reservation *right);

/*
 * Lock not held.  Sees to it that n calls of reservation_cut() will have a record; frees what
 * reservation_join() has left beyond a few more.
 */
bool reservation_spare(unsigned n);

/* Bytes of all blocks.  With or without the lock. */
size_t reservation_total_bytes(void);

#endif
