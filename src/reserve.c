/*
 * reserve: size classes, rows of blocks, pools.
 *
 * SPDX-License-Identifier: MIT
 *
 * Everything new goes into a pool first and is taken out from there, so there is one
 * way in and one way out.
 */
#include "reserve.h"

#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "os.h"
#include "registry.h"

/* What bdwgc aligns large objects to: HBLKSIZE, 4 KiB on all Linux systems. */
#define COLLECTOR_ALIGNMENT ((size_t)4096)

/*
 * Pools.  The size classes go up in steps of one page to 8 pages, then in four steps
 * to each doubling, to just below RESERVE_ROW_BLOCK of 4 KiB pages; at most a fifth of
 * a reservation is waste.  Then the rows, and huge single blocks for when no row can
 * be had.
 */
#define N_EXACT_CLASSES 8u
#define STEPS_PER_DOUBLING 4u
#define N_CLASSES 43u
#define ROWS N_CLASSES
#define HUGE_BLOCKS (N_CLASSES + 1)
#define N_POOLS (N_CLASSES + 2)

static struct reservation *pools[2][N_POOLS]; /* [traced][pool]; rows: by address */
static struct reservation *spare_records;
static struct reserve_stats stats;

/* New blocks of a class are taken by the handful, so that neighbours die together. */
#define BATCH_BYTES ((size_t)1 << 20)
#define BATCH_MOST 32u

/* The heap grows by at most this in one call: Linux's heuristic overcommit refuses a
   single private mapping larger than RAM + swap. */
#define GROW_MOST ((size_t)2 << 30)

/* How often to look for a row among new blocks before a huge one has to do. */
#define ROW_TRIES 3u

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static unsigned class_of(size_t n_pages)
{
    unsigned doubling = 1;

    if (n_pages <= N_EXACT_CLASSES)
        return (unsigned)n_pages - 1;
    while ((n_pages - 1) >> (doubling + 3) != 0)
        doubling++;
    /* now 2^(doubling + 2) < n_pages <= 2^(doubling + 3) */
    return N_EXACT_CLASSES + (doubling - 1) * STEPS_PER_DOUBLING +
           (unsigned)((n_pages - 1) >> doubling) - STEPS_PER_DOUBLING;
}

static size_t pages_of_class(unsigned size_class)
{
    unsigned step;

    if (size_class < N_EXACT_CLASSES)
        return size_class + 1;
    step = size_class - N_EXACT_CLASSES;
    return (size_t)(STEPS_PER_DOUBLING + 1 + step % STEPS_PER_DOUBLING)
           << (1 + step / STEPS_PER_DOUBLING);
}

/* What a block needs beyond n OS pages to contain them aligned. */
static size_t alignment_slack(void)
{
    size_t page = os_page_size();

    return page > COLLECTOR_ALIGNMENT ? 2 * page : 0;
}

void *reserve_block(const struct reservation *reservation)
{
    return (void *)~reservation->hidden_block;
}

unsigned char *reserve_start(const struct reservation *reservation)
{
    uintptr_t page = os_page_size();

    return (unsigned char *)((~reservation->hidden_block + page - 1) & ~(page - 1));
}

static unsigned char *block_at(const struct reservation *reservation, unsigned i)
{
    return (unsigned char *)reserve_block(reservation) + i * RESERVE_ROW_BLOCK;
}

static unsigned char *end_of(const struct reservation *reservation)
{
    return reserve_start(reservation) + reservation->n_bytes;
}

/* ---- pools; lock held ---------------------------------------------------- */

static void register_row(struct reservation *row)
{
    for (unsigned i = 0; i < row->n_blocks; i++)
        registry_set(block_at(row, i), row);
}

static void set_row_length(struct reservation *row, unsigned n_blocks)
{
    row->n_blocks = n_blocks;
    row->n_bytes = n_blocks * RESERVE_ROW_BLOCK - alignment_slack();
}

/* left and right are neighbours in memory; right disappears. */
static void join_rows(struct reservation *left, struct reservation *right)
{
    left->next = right->next;
    set_row_length(left, left->n_blocks + right->n_blocks);
    register_row(left);
    right->next = spare_records;
    spare_records = right;
    stats.n_pooled--;
}

static bool are_neighbours(const struct reservation *left, const struct reservation *right)
{
    return block_at(left, left->n_blocks) == block_at(right, 0);
}

static void put_row(struct reservation *row)
{
    struct reservation **at = &pools[row->traced][ROWS], *before = NULL;

    while (*at != NULL && reserve_block(*at) < reserve_block(row)) {
        before = *at;
        at = &before->next;
    }
    row->next = *at;
    *at = row;
    if (row->next != NULL && are_neighbours(row, row->next))
        join_rows(row, row->next);
    if (before != NULL && are_neighbours(before, row))
        join_rows(before, row);
}

void reserve_put(struct reservation *reservation)
{
    struct reservation **head = &pools[reservation->traced][reservation->pool];

    reservation->user = NULL;
    stats.n_pooled++;
    if (reservation->pool == ROWS) {
        put_row(reservation);
    } else {
        reservation->next = *head;
        *head = reservation;
    }
}

struct wish {
    size_t n_bytes;
    unsigned pool;
    unsigned n_row_blocks; /* for ROWS */
    bool traced;
    struct reservation *found;
};

static bool fits(const struct wish *wish, const struct reservation *candidate)
{
    if (wish->pool == HUGE_BLOCKS) /* any length: not more than twice too long */
        return candidate->n_bytes >= wish->n_bytes && candidate->n_bytes / 2 <= wish->n_bytes;
    return wish->pool != ROWS || candidate->n_blocks >= wish->n_row_blocks;
}

/* Cuts the row at the length wished for; the rest takes a spare record. */
static bool cut_row(const struct wish *wish, struct reservation *row)
{
    struct reservation *rest = spare_records;

    if (row->n_blocks == wish->n_row_blocks)
        return true;
    if (rest == NULL)
        return false;
    spare_records = rest->next;
    *rest = *row;
    rest->hidden_block = ~(uintptr_t)block_at(row, wish->n_row_blocks);
    set_row_length(rest, row->n_blocks - wish->n_row_blocks);
    register_row(rest);
    set_row_length(row, wish->n_row_blocks);
    row->next = rest;
    stats.n_pooled++;
    return true;
}

static void *take(void *arg)
{
    struct wish *wish = arg;

    for (struct reservation **at = &pools[wish->traced][wish->pool]; *at != NULL;
         at = &(*at)->next) {
        if (!fits(wish, *at))
            continue;
        if (wish->pool == ROWS && !cut_row(wish, *at))
            break;
        wish->found = *at;
        *at = wish->found->next;
        stats.n_pooled--;
        break;
    }
    return NULL;
}

static void *add_spare_record(void *arg)
{
    struct reservation *record = arg;

    record->next = spare_records;
    spare_records = record;
    return NULL;
}

/* ---- new reservations; lock not held ------------------------------------- */

static int by_address(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)*(void *const *)left, b = (uintptr_t)*(void *const *)right;

    return (a > b) - (a < b);
}

static void discard_block(void *block, size_t n_bytes)
{
    struct reservation blank = { .hidden_block = ~(uintptr_t)block };

    /* Where the kernel has no map slot left the latch keeps the block, unused. */
    if (os_restore(reserve_start(&blank), n_bytes) == 0)
        collector_free_block(block);
}

/* Makes pages vanish that the collector touched: one call for neighbours. */
static int vacate(struct reservation **records, unsigned n)
{
    for (unsigned i = 0, j; i < n; i = j) {
        unsigned char *start = reserve_start(records[i]), *end = end_of(records[i]);
        int error;

        for (j = i + 1; j < n && reserve_start(records[j]) == end; j++)
            end = end_of(records[j]);
        error = os_vacate(start, (size_t)(end - start));
        if (error != 0)
            return error;
    }
    return 0;
}

struct introduction {
    struct reservation **records;
    unsigned n;
};

static void *introduce_all(void *arg)
{
    struct introduction *introduction = arg;

    /* Backwards, so that the lowest address is the first to be handed out. */
    for (unsigned i = introduction->n; i-- > 0;) {
        struct reservation *record = introduction->records[i];
        size_t n_bytes = record->n_bytes + alignment_slack();

        registry_add(reserve_block(record), record);
        collector_account((ptrdiff_t)n_bytes);
        stats.bytes_reserved += n_bytes;
        reserve_put(record);
    }
    return NULL;
}

static void *unprepare(void *arg)
{
    registry_unprepare(*(unsigned *)arg);
    return NULL;
}

/* Turns fresh blocks of n_bytes usable bytes each into pooled reservations. */
static bool introduce(void **blocks, unsigned n, size_t n_bytes, const struct wish *wish)
{
    struct reservation *records[BATCH_MOST];
    unsigned n_records = 0;

    while (n_records < n && (records[n_records] = calloc(1, sizeof **records)) != NULL) {
        *records[n_records] = (struct reservation){ .hidden_block = ~(uintptr_t)blocks[n_records],
                                                    .n_bytes = n_bytes,
                                                    .n_blocks = 1,
                                                    .pool = (unsigned short)wish->pool,
                                                    .traced = wish->traced };
        n_records++;
    }
    if (n > 0 && n_records == n && registry_prepare(n) == 0) {
        if (vacate(records, n) == 0) {
            collector_locked(introduce_all, &(struct introduction){ records, n });
            return true;
        }
        collector_locked(unprepare, &n);
    }
    for (unsigned i = 0; i < n; i++)
        discard_block(blocks[i], n_bytes);
    while (n_records > 0)
        free(records[--n_records]);
    return false;
}

/* Up to n new blocks into the pool; whether there was at least one. */
static bool add_blocks(const struct wish *wish, size_t n_bytes, size_t n)
{
    size_t n_block_bytes = wish->pool == ROWS ? n_bytes : n_bytes + alignment_slack();
    size_t n_usable = wish->pool == ROWS ? n_bytes - alignment_slack() : n_bytes;
    bool any = false;

    while (n > 0) {
        void *blocks[BATCH_MOST]; /* on the stack: in sight of the collector */
        unsigned n_got = 0, n_batch = (unsigned)min(n, BATCH_MOST);

        memset(blocks, 0, sizeof blocks);
        while (n_got < n_batch &&
               (blocks[n_got] = collector_new_block(n_block_bytes, wish->traced)) != NULL)
            n_got++;
        qsort(blocks, n_got, sizeof *blocks, by_address);
        if (!introduce(blocks, n_got, n_usable, wish))
            break;
        any = true;
        if (n_got < n_batch)
            break;
        n -= n_batch;
    }
    return any;
}

static void grow_heap(size_t n_bytes)
{
    /* Only for the sake of adjacent blocks: if it fails, allocation will tell. */
    while (n_bytes > 0 && collector_grow(min(n_bytes, GROW_MOST)))
        n_bytes -= min(n_bytes, GROW_MOST);
}

/* Takes from the pool, or has `more` bring some there first. */
static struct reservation *take_or(struct wish *wish, unsigned n_tries,
                                   bool (*more)(const struct wish *))
{
    for (;;) {
        collector_locked(take, wish);
        if (wish->found != NULL || n_tries-- == 0 || !more(wish))
            return wish->found;
    }
}

static bool more_of_class(const struct wish *wish)
{
    size_t n_bytes = pages_of_class(wish->pool) * os_page_size();
    size_t n = min(BATCH_BYTES / n_bytes, BATCH_MOST);

    return add_blocks(wish, n_bytes, n > 0 ? n : 1);
}

static bool more_rows(const struct wish *wish)
{
    struct reservation *spare = calloc(1, sizeof *spare);

    if (spare == NULL)
        return false;
    collector_locked(add_spare_record, spare);
    if (wish->n_row_blocks > 1)
        grow_heap((wish->n_row_blocks + 1) * RESERVE_ROW_BLOCK);
    return add_blocks(wish, RESERVE_ROW_BLOCK, wish->n_row_blocks);
}

static bool more_huge_blocks(const struct wish *wish)
{
    return add_blocks(wish, wish->n_bytes, 1);
}

struct reservation *reserve_take(size_t n_bytes, bool traced)
{
    size_t n_pages = n_bytes / os_page_size();
    struct wish wish = { .n_bytes = n_bytes, .traced = traced };

    wish.pool = class_of(n_pages);
    if (wish.pool < N_CLASSES && pages_of_class(wish.pool) * os_page_size() < RESERVE_ROW_BLOCK) {
        /* Other threads may be quicker to take what we bring: try some times. */
        return take_or(&wish, 8, more_of_class);
    }
    wish.pool = ROWS;
    wish.n_row_blocks =
        (unsigned)((n_bytes + alignment_slack() + RESERVE_ROW_BLOCK - 1) / RESERVE_ROW_BLOCK);
    if (take_or(&wish, ROW_TRIES, more_rows) == NULL && wish.n_row_blocks > 1) {
        wish.pool = HUGE_BLOCKS;
        (void)take_or(&wish, 1, more_huge_blocks);
    }
    return wish.found;
}

/* ---- inside a collection ------------------------------------------------- */

bool reserve_is_reached(struct reservation *reservation)
{
    unsigned long cycle = collector_cycle();

    if (reservation->n_blocks == 1)
        return false; /* the hook is called for an unmarked block: this one */
    if (reservation->seen_cycle != cycle) {
        reservation->seen_cycle = cycle;
        reservation->seen = false;
        for (unsigned i = 0; i < reservation->n_blocks && !reservation->seen; i++)
            reservation->seen = collector_is_reached(block_at(reservation, i));
    }
    return reservation->seen;
}

void reserve_mark_row(const struct reservation *reservation, const void *block,
                      struct collector_marker *marker, size_t *from, size_t *to)
{
    size_t start = (size_t)((const unsigned char *)block -
                            (const unsigned char *)reserve_block(reservation));
    size_t pad =
        (size_t)(reserve_start(reservation) - (unsigned char *)reserve_block(reservation));

    /* The first block marks all the others, the others only the first. */
    if (start != 0)
        collector_mark_pointer(marker, reserve_block(reservation));
    else
        for (unsigned i = 1; i < reservation->n_blocks; i++)
            collector_mark_pointer(marker, block_at(reservation, i));
    *from = start > pad ? start - pad : 0;
    *to = reservation->n_bytes;
    if (reservation->n_blocks > 1)
        *to = min(*to, start + RESERVE_ROW_BLOCK - pad);
}

struct reserve_stats reserve_get_stats(void)
{
    return stats;
}
