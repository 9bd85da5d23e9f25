/*
 * row_pool: the rows that nobody uses, by address; all under the collector's lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "row_pool.h"

#include "collector.h"

static struct reservation *rows[2]; /* [traced], by address */
static size_t n_rows;

/*
 * bdwgc keeps in a static word, which it takes for a root, the end of the memory that it last
 * got from the system.  The kernel goes downwards: so when the host's heap grows next, that is
 * where our newest memory begins.  No region lies there while it is the newest.
 */
static uintptr_t hidden_newest = ~(uintptr_t)0; /* complement; lock */

/* A hole wider than this is no black-listed page but somebody else's memory. */
#define WIDEST_HOLE ((size_t)64 << 20)

/* What must be free behind a hole so that bdwgc places the bridge: more than the 16 MiB
   which GC_black_list_spacing is at most. */
#define BANK (2 * ROW_BLOCK)

static unsigned char *block_end(const struct reservation *row)
{
    return (unsigned char *)reservation_block(row) + reservation_block_bytes(row);
}

/* ---- the pool; lock held --------------------------------------------------- */

static bool are_neighbours(const struct reservation *left, const struct reservation *right)
{
    return block_end(left) == reservation_block(right);
}

void row_pool_put(struct reservation *row)
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

static bool is_newest(const struct reservation *row)
{
    return row->hidden_block == hidden_newest;
}

static bool fits(const struct reservation *row, size_t n_bytes)
{
    return row->n_bytes >= n_bytes && (!is_newest(row) || row->n_bytes - n_bytes >= ROW_BLOCK);
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

/* Cuts the first block off a row, as a row of its own; the rest. */
static struct reservation **step_over_newest(struct reservation **at)
{
    struct reservation *row = *at, *first = reservation_cut(row, ROW_BLOCK);

    if (first == NULL || first == row)
        return at;
    first->next = row;
    *at = first;
    n_rows++;
    return &first->next;
}

struct reservation *row_pool_take(size_t n_bytes, bool traced)
{
    for (struct reservation **at = &rows[traced]; *at != NULL; at = &(*at)->next) {
        if (!fits(*at, n_bytes))
            continue;
        if (is_newest(*at))
            at = step_over_newest(at);
        if ((*at)->n_bytes >= n_bytes)
            return take_front(at, n_bytes);
    }
    return NULL;
}

void row_pool_take_all(struct reservation **list)
{
    for (unsigned traced = 0; traced < 2; traced++)
        for (struct reservation *row; (row = rows[traced]) != NULL; *list = row) {
            rows[traced] = row->next;
            row->next = *list;
        }
    n_rows = 0;
}

size_t row_pool_count(void)
{
    return n_rows;
}

void *row_pool_set_newest(void *block)
{
    hidden_newest = ~(uintptr_t)block;
    return NULL;
}

void *row_pool_put_all(void *arg)
{
    for (struct reservation *row = arg, *next; row != NULL; row = next) {
        next = row->next;
        row_pool_put(row);
    }
    return NULL;
}

void *row_pool_has(void *arg)
{
    struct row_wish *question = arg;

    for (struct reservation *row = rows[question->traced]; row != NULL; row = row->next)
        if (fits(row, question->n_bytes))
            return arg;
    return NULL;
}

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

void *row_pool_find_hole(void *arg)
{
    struct row_hole *hole = arg;

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
