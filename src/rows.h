/*
 * rows: long stretches of addresses made of adjacent blocks.
 *
 * SPDX-License-Identifier: MIT
 *
 * bdwgc finds the start of a huge object by hopping back at most 4,095 pages at a time, so
 * a region of 1 GiB must not be one object (HACKING.md, "Large regions").  It lies on a row
 * of blocks of ROW_BLOCK bytes.  The pool joins what is adjacent and cuts what is too long.
 */
#ifndef ROWS_H
#define ROWS_H

#include "reservation.h"

/* 4,096 pages of bdwgc: one hop back from anywhere inside finds the start. */
#define ROW_BLOCK ((size_t)16 << 20)

/* Lock held.  A row of at least n_bytes, or NULL. */
struct reservation *rows_take(size_t n_bytes, bool traced);

/* Lock held. */
void rows_put(struct reservation *row);

/*
 * Lock not held.  Tries to bring about a row of n_bytes: grows the heap, and bridges the
 * holes that black-listed pages leave.  Whether rows_take() is worth another try.
 * *stage counts what was tried for this caller; start with 0.
 */
bool rows_extend(size_t n_bytes, bool traced, unsigned *stage);

/* Lock held.  Moves all rows to the front of the list. */
void rows_take_all(struct reservation **list);

void rows_after_fork_in_child(void);

/* Lock held. */
size_t rows_count(void);

#endif
