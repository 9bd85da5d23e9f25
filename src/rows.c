/*
 * rows: how to get long rows.
 *
 * SPDX-License-Identifier: MIT
 *
 * Why a row can have holes: bdwgc does not place objects on black-listed pages, addresses
 * that looked like pointers in an earlier collection.  Its list is a hash table that repeats
 * every 2^18 pages in the default build, so a few such pages break every GiB of fresh
 * address space.  But an object is placed over them all the same if the free stretch has no
 * clean place of its size and is larger than it by more than 16 MiB at most ("Punt" in
 * GC_allochblk_nth).  So each hole is bridged by an object of exactly the size for that:
 *
 *         | left: 2 blocks or more | hole | right: 2 blocks |
 *         |                        | x    |                 |      x: black-listed
 *         ^ all of this is given back, then asked for again as
 *         | bridge: left + hole           | block  | block  |
 */
#include <config.h>

#include "rows.h"

#include <stdatomic.h>
#include <string.h>

#include "collector.h"
#include "os.h"

/* One thread at a time: two would take each other's free stretches. */
static atomic_bool is_extending;
static _Thread_local bool it_is_me;

/* Room for holes near the ends of new memory, which cannot be bridged.  Short rows mostly
   fit between holes as it is: they get it at the second try. */
#define SPARE_BLOCKS 8u
#define SHORT_ROW 16u

/* The heap grows by pieces of at most this: Linux's heuristic overcommit refuses a single
   private mapping larger than RAM + swap. */
#define GROW_MOST ((size_t)2 << 30)

/* The more there is, the larger the steps, up to this beyond what is asked for. */
#define GROW_AHEAD_MOST ((size_t)1 << 30)
#define MOST_PIECES 40u

#define MOST_PAGES_BELOW 64u

#define MOST_BRIDGES 256u /* 64 GiB have 64 holes */
#define MOST_FAILURES 3u

/* ---- new blocks; lock not held ---------------------------------------------- */

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static const struct reservation *like(bool traced)
{
    static const struct reservation row[2] = { { .is_row = true },
                                               { .is_row = true, .traced = true } };

    return &row[traced];
}

/*
 * That word after our own growing: the start of what we got just before, a row's perhaps.  So
 * what need not be joined to what there is has a gap above it.
 */
static void *gap_below_newest; /* is_extending */

static void keep_apart(void *newest)
{
    unsigned char *below = newest;

    collector_locked(row_pool_set_newest, newest);
    os_close_gap(gap_below_newest);
    /* The first pages of new memory may be black-listed, and lie below the block then. */
    for (unsigned i = 0; i < MOST_PAGES_BELOW && collector_owns(below - 1); i++)
        below -= COLLECTOR_BLOCK_ALIGNMENT;
    gap_below_newest = os_open_gap_below(below);
}

static void end_keeping_apart(void)
{
    os_close_gap(gap_below_newest);
    gap_below_newest = NULL;
}

/* A new block, and whether the heap had to grow for it. */
static void *new_block(size_t n_bytes, bool traced, bool *has_grown)
{
    size_t heap_bytes = collector_heap_bytes();
    void *block = collector_new_block(n_bytes, traced);

    *has_grown = collector_heap_bytes() != heap_bytes;
    if (*has_grown && block != NULL && it_is_me)
        keep_apart(block);
    return block;
}

/* n_bytes more of free heap, in one stretch if possible. */
static void grow_heap(size_t n_bytes)
{
    void *pieces[MOST_PIECES]; /* on the stack: in sight of the collector */
    unsigned n = 0;
    /* bdwgc's index of blocks takes 8 bytes for each 4 KiB, which must not lie between
       two pieces. */
    void *gap = os_open_gap(n_bytes / 400 + ((size_t)2 << 20));

    /*
     * By allocating it and giving it back at once, not by GC_expand_hp(), which raises
     * the size below which bdwgc prefers using up its heap to collecting; for ever.
     */
    while (n_bytes > 0 && n < MOST_PIECES) {
        size_t piece = min(n_bytes, GROW_MOST);

        pieces[n] = collector_new_block(piece, false);
        if (pieces[n] == NULL)
            break;
        n++;
        n_bytes -= piece;
    }
    if (n > 0)
        keep_apart(pieces[n - 1]);
    /* More than is free, so that it is new: the last piece must not end where another begins. */
    if (n > 1 && n < MOST_PIECES &&
        (pieces[n] = collector_new_block(collector_free_bytes() + ROW_BLOCK, false)) != NULL)
        keep_apart(pieces[n++]);
    while (n > 0)
        collector_free_block(pieces[--n]);
    collector_forget(pieces, MOST_PIECES);
    os_close_gap(gap);
}

/* One new block into the pool; where it is, or NULL. */
static void *claim_block(size_t n_bytes, bool traced, bool *has_grown)
{
    void *block = new_block(n_bytes, traced, has_grown);
    uintptr_t hidden = ~(uintptr_t)block;

    return block != NULL && reservation_make(&block, 1, like(traced), row_pool_put)
               ? (void *)~hidden
               : NULL;
}

void rows_claim_rest(size_t free_before, bool traced)
{
    bool has_grown;

    /* Each size once more than there is room for it, at worst. */
    for (size_t n_bytes = ROW_BLOCK / 4; n_bytes >= ROW_BLOCK / 64; n_bytes /= 4)
        do {
            has_grown = true;
            if (collector_free_bytes() >= free_before + n_bytes &&
                claim_block(n_bytes, traced, &has_grown) == NULL)
                return;
        } while (!has_grown);
}

/*
 * Free stretches of the heap that are long enough, in blocks of ROW_BLOCK bytes into the pool:
 * n_bytes of them, or until no more than so much is free.  false: shortage.
 */
static bool claim(size_t n_bytes, size_t free_bytes, bool traced)
{
    bool has_grown = false;

    if (n_bytes < collector_free_bytes())
        free_bytes = max(free_bytes, collector_free_bytes() - n_bytes);
    /* When the heap grows, nothing was left. */
    while (!has_grown && collector_free_bytes() >= free_bytes + ROW_BLOCK) {
        void *blocks[RESERVATION_BATCH]; /* on the stack: in sight of the collector */
        unsigned n = 0;

        memset(blocks, 0, sizeof blocks);
        while (n < RESERVATION_BATCH && !has_grown &&
               collector_free_bytes() >= free_bytes + ROW_BLOCK &&
               (blocks[n] = new_block(ROW_BLOCK, traced, &has_grown)) != NULL)
            n++;
        if (n == 0 || !reservation_make(blocks, n, like(traced), row_pool_put))
            return false;
    }
    return true;
}

/* ---- bridges ------------------------------------------------------------------ */

static bool bridge(struct row_hole *hole)
{
    struct reservation *row = hole->freed;
    unsigned char *at;
    bool has_grown;

    while (row != NULL) {
        struct reservation *next = row->next;

        if (hole->left == NULL || !reservation_unmake(row)) {
            collector_locked(row_pool_put_all, row);
            return false;
        }
        row = next;
    }
    /* Each has to come to lie right behind the one before. */
    if (claim_block((size_t)(hole->right_bank - hole->left), hole->traced, &has_grown) !=
        hole->left)
        return false;
    for (at = hole->right_bank; at < hole->end;) {
        size_t n_bytes = min((size_t)(hole->end - at), ROW_BLOCK);

        if (claim_block(n_bytes, hole->traced, &has_grown) != at)
            return false;
        at += n_bytes;
    }
    return true;
}

static bool is_there_now(struct row_wish *wanted)
{
    return collector_locked(row_pool_has, wanted) != NULL;
}

static bool bridge_holes(struct row_wish *wanted)
{
    struct row_hole hole = { .traced = wanted->traced, .hidden_behind = ~(uintptr_t)0 };
    unsigned n_failures = 0;

    for (unsigned i = 0; i < MOST_BRIDGES && n_failures < MOST_FAILURES; i++) {
        if (is_there_now(wanted))
            return true;
        hole.left = NULL;
        hole.freed = NULL;
        if (!reservation_spare(2) || collector_locked(row_pool_find_hole, &hole) == NULL)
            break;
        n_failures += !bridge(&hole);
    }
    return is_there_now(wanted);
}

/* ---- extending --------------------------------------------------------------- */

static bool grow(struct row_wish *wanted, size_t n_bytes)
{
    size_t free_before = collector_free_bytes();
    bool is_there = false;

    grow_heap(n_bytes);
    /* First what is new, then as much of what was free before: it may have been ours.  All of that
       only for a bridge, which is placed where we want it only if there is no other place. */
    if (claim(n_bytes, free_before, wanted->traced)) {
        is_there = is_there_now(wanted) ||
                   (claim(n_bytes, 0, wanted->traced) && is_there_now(wanted)) ||
                   (claim(SIZE_MAX, 0, wanted->traced) && bridge_holes(wanted));
    }
    rows_claim_rest(free_before, wanted->traced);
    return is_there;
}

static bool extend(struct row_wish *wanted, unsigned stage)
{
    size_t n_blocks = (wanted->n_bytes + reservation_slack() + ROW_BLOCK - 1) / ROW_BLOCK;
    size_t n_ahead = min(reservation_total_bytes() / 4, GROW_AHEAD_MOST) / ROW_BLOCK;

    if (stage == 0 && n_blocks > 1 && bridge_holes(wanted))
        return true;
    if (n_ahead > SPARE_BLOCKS)
        n_blocks += n_ahead;
    else if (stage > 0 || n_blocks > SHORT_ROW)
        n_blocks += SPARE_BLOCKS;
    else
        n_blocks++; /* the newest */
    return grow(wanted, n_blocks * ROW_BLOCK);
}

bool rows_extend(size_t n_bytes, bool traced, unsigned *stage)
{
    bool worth_it;

    /* it_is_me: in a finalizer that one of our own allocations runs. */
    if (*stage > 1 || it_is_me || !reservation_spare(2))
        return false;
    if (atomic_exchange(&is_extending, true)) {
        while (atomic_load(&is_extending))
            os_yield();
        return true; /* look again: there may be enough for us too */
    }
    it_is_me = true;
    /* No collection in between: it would black-list other pages. */
    collector_pause(true);
    worth_it = extend(&(struct row_wish){ .n_bytes = n_bytes, .traced = traced }, (*stage)++);
    end_keeping_apart();
    collector_pause(false);
    it_is_me = false;
    atomic_store(&is_extending, false);
    return worth_it;
}

void rows_after_fork_in_child(void)
{
    if (!it_is_me)
        atomic_store(&is_extending, false);
}
