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

#include "row_pool.h"

/*
 * Lock not held.  Tries to bring about a row of n_bytes: grows the heap, and bridges the
 * holes that black-listed pages leave.  Whether row_pool_take() is worth another try.
 * *stage counts what was tried for this caller; start with 0.
 */
bool rows_extend(size_t n_bytes, bool traced, unsigned *stage);

/*
 * Lock not held, collections paused.  What growing has left over, until no more is free than was
 * before: bdwgc would let the host use it up before it collects again.
 */
void rows_claim_rest(size_t free_before, bool traced);

void rows_after_fork_in_child(void);

#endif
