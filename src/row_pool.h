/*
 * row_pool: the rows that nobody uses, by address.
 *
 * SPDX-License-Identifier: MIT
 *
 * What is adjacent is joined, what is too long is cut.  The collector's lock is held in all of
 * these; those that take and return void * are for collector_locked().
 */
#ifndef ROW_POOL_H
#define ROW_POOL_H

#include "reservation.h"

/* 4,096 pages of bdwgc: one hop back from anywhere inside finds the start. */
#define ROW_BLOCK ((size_t)16 << 20)

void row_pool_put(struct reservation *row);

/* A row of at least n_bytes, or NULL. */
struct reservation *row_pool_take(size_t n_bytes, bool traced);

/* Moves all rows to the front of the list. */
void row_pool_take_all(struct reservation **list);

size_t row_pool_count(void);

/* All rows of a list; NULL. */
void *row_pool_put_all(void *list);

/* Where the memory begins that we last got from the system; NULL. */
void *row_pool_set_newest(void *block);

struct row_wish {
    size_t n_bytes;
    bool traced;
};

/* The wish, if there is a row of its n_bytes; or NULL. */
void *row_pool_has(void *wish);

struct row_hole {
    bool traced;
    uintptr_t hidden_behind; /* look at addresses above this one */
    /* found: */
    struct reservation *freed; /* list: banks, and all rows between them */
    unsigned char *left, *right_bank, *end;
};

/* The next hole, its banks taken out of the pool; NULL: no more, or no spare record. */
void *row_pool_find_hole(void *hole);

#endif
