/*
 * reserve: addresses from the collector's heap for mappings to lie on, and the
 * pools they wait in between two uses.
 *
 * SPDX-License-Identifier: MIT
 *
 * A reservation is one block of a size class, or a row of adjacent blocks of
 * RESERVE_ROW_BLOCK bytes each for what is larger: bdwgc finds the start of a huge
 * object by many small hops, so a region of 1 GiB must not be one object (HACKING.md,
 * "Large regions").  Rows are split and joined as needed.
 *
 *      block                                  block + n_blocks * size of a block
 *        |                                                   |
 *        v                                                   v
 *        +------+------------------------------------+-------+
 *        |      | start ... start + n_bytes          |       |
 *        +------+------------------------------------+-------+
 *         <----> whole OS pages only: start differs from block only
 *                where the OS page is larger than bdwgc's block of 4 KiB
 *
 * Pages of a reservation that no mapping covers are inaccessible.
 */
#ifndef RESERVE_H
#define RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 4,096 of bdwgc's blocks: 4,095 is what its back pointers cross in one hop. */
#define RESERVE_ROW_BLOCK ((size_t)16 << 20)

struct collector_marker;

struct reservation {
    struct reservation *next; /* in its pool */
    void *user;               /* who lies on it, the caller's; NULL: nobody */
    uintptr_t hidden_block;   /* complement of the first block's address */
    size_t n_bytes;           /* usable, from reserve_start() */
    unsigned n_blocks;
    unsigned short pool;      /* which one */
    bool traced;              /* kind of its blocks */
    bool seen;                /* a pointer reached one of its blocks ... */
    unsigned long seen_cycle; /* ... in this collection */
};

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

/* Start of its first block: what the collector sees as the object. */
void *reserve_block(const struct reservation *reservation);

/* First of the pages to use. */
unsigned char *reserve_start(const struct reservation *reservation);

/*
 * Lock held, inside the unreached hook.  Whether a pointer reaches any block of
 * the reservation.  Found once in each collection, before the latch has set any of
 * the mark bits it is read from.
 */
bool reserve_is_reached(struct reservation *reservation);

/*
 * In the mark hook, for one block of the reservation: sees to it that all others
 * are marked too, and tells which usable bytes [from, to) lie in this one.
 */
void reserve_mark_row(const struct reservation *reservation, const void *block,
                      struct collector_marker *marker, size_t *from, size_t *to);

struct reserve_stats {
    size_t n_pooled;
    size_t bytes_reserved;
};

/* Lock held. */
struct reserve_stats reserve_get_stats(void);

#endif
