/*
 * rows: the pool of rows, and how to get long ones.
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

static struct reservation *rows[2]; /* [traced], by address */
static size_t n_rows;

/* One thread at a time: two would take each other's free stretches. */
static atomic_bool is_extending;
static _Thread_local bool it_is_me;

/* A hole wider than this is no black-listed page but somebody else's memory. */
#define WIDEST_HOLE ((size_t)64 << 20)

/* What must be free behind a hole so that bdwgc places the bridge: more than the 16 MiB
   which GC_black_list_spacing is at most. */
#define BANK (2 * ROW_BLOCK)

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

#define MOST_BRIDGES 256u /* 64 GiB have 64 holes */
#define MOST_FAILURES 3u

static unsigned char *block_end(const struct reservation *row)
{
    return (unsigned char *)reservation_block(row) + reservation_block_bytes(row);
}

/* ---- the pool; lock held --------------------------------------------------- */

static bool are_neighbours(const struct reservation *left, const struct reservation *right)
{
    return block_end(left) == reservation_block(right);
}

void rows_put(struct reservation *row)
{
    struct reservation **at = &rows[row->traced], **before = NULL;

    while (*at != NULL && reservation_block(*at) < reservation_block(row)) {
        before = at;
        at = &(*at)->next;
    }
    row->user = NULL;
    row->next = *at;
    *at = row;
    n_rows++;
    if (row->next != NULL && are_neighbours(row, row->next)) {
        *at = reservation_join(row, row->next);
        n_rows--;
    }
    if (before != NULL && are_neighbours(*before, *at)) {
        *before = reservation_join(*before, *at);
        n_rows--;
    }
}

/* Takes the first blocks, n_bytes or more, off a pooled row. */
static struct reservation *take_front(struct reservation **at, size_t n_bytes)
{
    struct reservation *row = *at, *part = reservation_cut(row, n_bytes);

    if (part == row) {
        *at = row->next;
        n_rows--;
    }
    return part;
}

struct reservation *rows_take(size_t n_bytes, bool traced)
{
    for (struct reservation **at = &rows[traced]; *at != NULL; at = &(*at)->next)
        if ((*at)->n_bytes >= n_bytes)
            return take_front(at, n_bytes);
    return NULL;
}

void rows_take_all(struct reservation **list)
{
    for (unsigned traced = 0; traced < 2; traced++)
        for (struct reservation *row; (row = rows[traced]) != NULL; *list = row) {
            rows[traced] = row->next;
            row->next = *list;
        }
    n_rows = 0;
}

size_t rows_count(void)
{
    return n_rows;
}

/* ---- new blocks; lock not held ---------------------------------------------- */

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static const struct reservation *like(bool traced)
{
    static const struct reservation row[2] = { { .is_row = true },
                                               { .is_row = true, .traced = true } };

    return &row[traced];
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
    while (n > 0)
        collector_free_block(pieces[--n]);
    collector_forget(pieces, MOST_PIECES);
    os_close_gap(gap);
}

/* One new block into the pool; where it is, or NULL. */
static void *claim_block(size_t n_bytes, bool traced)
{
    void *block = collector_new_block(n_bytes, traced);
    uintptr_t hidden = ~(uintptr_t)block;

    return block != NULL && reservation_make(&block, 1, like(traced), rows_put) ? (void *)~hidden
                                                                                : NULL;
}

/*
 * What growing has left over, in smaller blocks, until no more is free than was before:
 * bdwgc would let the host use it up before it collects again.
 */
static void claim_rest(size_t free_before, bool traced)
{
    size_t heap_bytes = collector_heap_bytes();

    for (size_t n_bytes = ROW_BLOCK / 4; n_bytes >= ROW_BLOCK / 64; n_bytes /= 4)
        while (collector_free_bytes() >= free_before + n_bytes &&
               collector_heap_bytes() == heap_bytes)
            if (claim_block(n_bytes, traced) == NULL)
                return;
}

/*
 * All free stretches of the heap that are long enough, in blocks of ROW_BLOCK bytes into
 * the pool: a bridge is placed where we want it only if there is no other place for it.
 */
static bool claim_all(size_t n_most, bool traced)
{
    size_t heap_bytes = collector_heap_bytes();
    bool any = false;

    /* When the heap grows, nothing was left. */
    while (n_most-- > 0 && collector_heap_bytes() == heap_bytes) {
        void *blocks[RESERVATION_BATCH]; /* on the stack: in sight of the collector */
        unsigned n = 0;

        memset(blocks, 0, sizeof blocks);
        while (n < RESERVATION_BATCH && collector_heap_bytes() == heap_bytes &&
               (blocks[n] = collector_new_block(ROW_BLOCK, traced)) != NULL)
            n++;
        if (n == 0 || !reservation_make(blocks, n, like(traced), rows_put))
            break;
        any = true;
    }
    return any;
}

/* ---- bridges ------------------------------------------------------------------ */

struct hole {
    bool traced;
    uintptr_t hidden_behind; /* look at addresses above this one */
    /* found: */
    struct reservation *freed; /* list: banks, and all rows between them */
    unsigned char *left, *right_bank, *end;
};

/* The same with the last blocks; about n_bytes of them. */
static struct reservation *take_back(struct reservation **at, size_t n_bytes)
{
    struct reservation *row = *at, *front;
    size_t n_all = reservation_block_bytes(row);
    size_t n_front = n_all > n_bytes ? n_all - n_bytes : 0;

    if (n_front < 2 * ROW_BLOCK)
        return take_front(at, row->n_bytes);
    front = reservation_cut(row, n_front - ROW_BLOCK);
    if (front == NULL)
        return NULL;
    if (front == row) {
        *at = row->next;
        n_rows--;
    } else {
        front->next = row->next;
        *at = front;
    }
    return row;
}

static void *find_hole(void *arg)
{
    struct hole *hole = arg;

    for (struct reservation **at = &rows[hole->traced]; *at != NULL; at = &(*at)->next) {
        struct reservation *left = *at, **right = &left->next, *bank;
        unsigned char *after = block_end(left);

        if ((uintptr_t)after <= ~hole->hidden_behind || left->n_bytes < 2 * BANK)
            continue;
        /* Rows too short for a bank belong to the hole. */
        while (*right != NULL && (*right)->n_bytes < BANK &&
               (size_t)((unsigned char *)reservation_block(*right) - after) <= WIDEST_HOLE)
            right = &(*right)->next;
        if (*right == NULL ||
            (size_t)((unsigned char *)reservation_block(*right) - after) > WIDEST_HOLE)
            continue;
        hole->hidden_behind = ~(uintptr_t)after;
        hole->right_bank = reservation_block(*right);
        bank = take_front(right, BANK);
        if (bank == NULL)
            return NULL;
        hole->end = block_end(bank);
        bank->next = NULL;
        hole->freed = bank;
        while (left->next != NULL && reservation_block(left->next) < (void *)hole->right_bank) {
            struct reservation *between = left->next;

            left->next = between->next;
            n_rows--;
            between->next = hole->freed;
            hole->freed = between;
        }
        /* Longer than the bank on the right, so that only the bridge has no clean place. */
        bank = take_back(at, (size_t)(hole->end - hole->right_bank) + ROW_BLOCK);
        if (bank != NULL) {
            hole->left = reservation_block(bank);
            bank->next = hole->freed;
            hole->freed = bank;
        }
        return hole;
    }
    return NULL;
}

static void *put_all(void *arg)
{
    for (struct reservation *row = arg, *next; row != NULL; row = next) {
        next = row->next;
        rows_put(row);
    }
    return NULL;
}

static bool bridge(struct hole *hole)
{
    struct reservation *row = hole->freed;
    unsigned char *at;

    while (row != NULL) {
        struct reservation *next = row->next;

        if (hole->left == NULL || !reservation_unmake(row)) {
            collector_locked(put_all, row);
            return false;
        }
        row = next;
    }
    /* Each has to come to lie right behind the one before. */
    if (claim_block((size_t)(hole->right_bank - hole->left), hole->traced) != hole->left)
        return false;
    for (at = hole->right_bank; at < hole->end;) {
        size_t n_bytes = min((size_t)(hole->end - at), ROW_BLOCK);

        if (claim_block(n_bytes, hole->traced) != at)
            return false;
        at += n_bytes;
    }
    return true;
}

struct question {
    size_t n_bytes;
    bool traced;
};

static void *is_there_a_row(void *arg)
{
    struct question *question = arg;

    for (struct reservation *row = rows[question->traced]; row != NULL; row = row->next)
        if (row->n_bytes >= question->n_bytes)
            return arg;
    return NULL;
}

static bool bridge_holes(size_t n_bytes, bool traced)
{
    struct question question = { n_bytes, traced };
    struct hole hole = { .traced = traced, .hidden_behind = ~(uintptr_t)0 };
    unsigned n_failures = 0;

    for (unsigned i = 0; i < MOST_BRIDGES && n_failures < MOST_FAILURES; i++) {
        if (collector_locked(is_there_a_row, &question) != NULL)
            return true;
        hole.left = NULL;
        hole.freed = NULL;
        if (!reservation_spare(2) || collector_locked(find_hole, &hole) == NULL)
            break;
        n_failures += !bridge(&hole);
    }
    return collector_locked(is_there_a_row, &question) != NULL;
}

static bool extend(size_t n_bytes, bool traced, unsigned stage)
{
    size_t n_blocks = (n_bytes + reservation_slack() + ROW_BLOCK - 1) / ROW_BLOCK;
    size_t n_ahead = min(reservation_total_bytes() / 4, GROW_AHEAD_MOST) / ROW_BLOCK;
    size_t free_before = collector_free_bytes();
    bool is_there;

    if (n_blocks == 1)
        return claim_block(ROW_BLOCK, traced) != NULL;
    if (stage == 0 && bridge_holes(n_bytes, traced))
        return true;
    if (n_ahead > SPARE_BLOCKS)
        n_blocks += n_ahead;
    else if (stage > 0 || n_blocks > SHORT_ROW)
        n_blocks += SPARE_BLOCKS;
    grow_heap(n_blocks * ROW_BLOCK);
    is_there = claim_all(n_blocks, traced) && bridge_holes(n_bytes, traced);
    claim_rest(free_before, traced);
    return is_there;
}

bool rows_extend(size_t n_bytes, bool traced, unsigned *stage)
{
    bool worth_it;

    /* it_is_me: in a finalizer that one of our own allocations runs. */
    if (*stage > 1 || it_is_me || !reservation_spare(1))
        return false;
    if (atomic_exchange(&is_extending, true)) {
        while (atomic_load(&is_extending))
            os_yield();
        return true; /* look again: there may be enough for us too */
    }
    it_is_me = true;
    /* No collection in between: it would black-list other pages. */
    collector_pause(true);
    worth_it = extend(n_bytes, traced, (*stage)++);
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
