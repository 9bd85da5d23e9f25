/*
 * reserve: size classes, and when to use a row.
 *
 * SPDX-License-Identifier: MIT
 *
 * Everything new goes into a pool first and is taken out from there, so there is one
 * way in and one way out.
 */
#include <config.h>

#include "reserve.h"

#include <stdatomic.h>
#include <string.h>

#include "collector.h"
#include "os.h"
#include "rows.h"

/*
 * Pools.  The size classes go up in steps of one page to 9 pages, then in four steps to
 * each doubling, to just below ROW_BLOCK of 4 KiB pages; at most a fifth of a reservation
 * is waste.  One page is on top of each step, for the byte behind the end: sizes of files and
 * buffers like to be powers of two.  What is larger lies on rows, or, where no row can be
 * had, on huge blocks.
 */
#define N_EXACT_CLASSES 9u
#define STEPS_PER_DOUBLING 4u
#define N_CLASSES 44u
#define HUGE_BLOCKS N_CLASSES
#define N_POOLS (N_CLASSES + 1)

static struct reservation *pools[2][N_POOLS]; /* [traced][pool] */
static size_t n_pooled;                       /* without rows */

/* New blocks of a class are taken by the handful, so that neighbours can be released in one
   call; the more there is, the more. */
#define BATCH_BYTES_LEAST ((size_t)1 << 20)
#define BATCH_BYTES_MOST ((size_t)32 << 20)

/* After so many collections in which nothing was taken the pools are given back. */
#define IDLE_COLLECTIONS 8u

static atomic_uint n_taken; /* wraps */

/* Other threads may be quicker to take what we bring. */
#define MOST_TRIES 8u

static unsigned class_of(size_t n_pages)
{
    unsigned doubling = 1;

    if (n_pages <= N_EXACT_CLASSES)
        return (unsigned)n_pages - 1;
    while ((n_pages - 2) >> (doubling + 3) != 0)
        doubling++;
    /* now 2^(doubling + 2) < n_pages - 1 <= 2^(doubling + 3) */
    return N_EXACT_CLASSES + (doubling - 1) * STEPS_PER_DOUBLING +
           (unsigned)((n_pages - 2) >> doubling) - STEPS_PER_DOUBLING;
}

static size_t pages_of_class(unsigned size_class)
{
    unsigned step;

    if (size_class < N_EXACT_CLASSES)
        return size_class + 1;
    step = size_class - N_EXACT_CLASSES;
    return ((size_t)(STEPS_PER_DOUBLING + 1 + step % STEPS_PER_DOUBLING)
            << (1 + step / STEPS_PER_DOUBLING)) +
           1;
}

static size_t bytes_of_class(unsigned size_class)
{
    return pages_of_class(size_class) * os_page_size();
}

static bool is_of_class(size_t n_bytes)
{
    unsigned size_class = class_of(n_bytes / os_page_size());

    return size_class < N_CLASSES && bytes_of_class(size_class) < ROW_BLOCK;
}

void reserve_put(struct reservation *reservation)
{
    struct reservation **head = &pools[reservation->traced][reservation->pool];

    if (reservation->is_row) {
        row_pool_put(reservation);
        return;
    }
    n_pooled++;
    reservation->user = NULL;
    reservation->next = *head;
    *head = reservation;
}

struct wish {
    size_t n_bytes;
    unsigned pool;
    bool traced;
    struct reservation *found;
};

/* In a class all are alike.  Huge blocks: long enough, but not more than twice that. */
static bool fits(const struct reservation *reservation, const struct wish *wish)
{
    return wish->pool != HUGE_BLOCKS ||
           (reservation->n_bytes >= wish->n_bytes && reservation->n_bytes / 2 <= wish->n_bytes);
}

static void *take_from_pool(void *arg)
{
    struct wish *wish = arg;

    for (struct reservation **at = &pools[wish->traced][wish->pool]; *at != NULL;
         at = &(*at)->next) {
        if (!fits(*at, wish))
            continue;
        wish->found = *at;
        *at = wish->found->next;
        n_pooled--;
        break;
    }
    return NULL;
}

static void *take_row(void *arg)
{
    struct wish *wish = arg;

    wish->found = row_pool_take(wish->n_bytes, wish->traced);
    return NULL;
}

static size_t blocks_per_batch(size_t n_bytes)
{
    size_t batch = reservation_total_bytes() / 4, n;

    if (batch < BATCH_BYTES_LEAST)
        batch = BATCH_BYTES_LEAST;
    if (batch > BATCH_BYTES_MOST)
        batch = BATCH_BYTES_MOST;
    n = batch / n_bytes;
    /* Two: the lowest is better not used, see reservation_make(). */
    return n < 2 ? 2 : n > RESERVATION_BATCH ? RESERVATION_BATCH : n;
}

/* Fresh blocks, neighbours if possible.  How many there are. */
static unsigned new_blocks(void **blocks, size_t n, size_t n_bytes, bool traced)
{
    size_t free_before = collector_free_bytes();
    unsigned n_got = 0;

    /* bdwgc counts an eighth of each block as garbage to come: collecting is our affair. */
    collector_pause(true);
    /* Left to itself bdwgc may grow its heap for each block anew, here and there. */
    if (n > 1)
        collector_free_block(collector_new_block(n * n_bytes, traced));
    while (n_got < n && (blocks[n_got] = collector_new_block(n_bytes, traced)) != NULL)
        n_got++;
    if (n_bytes >= ROW_BLOCK)
        rows_claim_rest(free_before, traced);
    collector_pause(false);
    return n_got;
}

/* New blocks into a pool. */
static bool add_blocks(const struct wish *wish, size_t n_bytes, size_t n)
{
    struct reservation like = { .pool = (unsigned short)wish->pool, .traced = wish->traced };
    void *blocks[RESERVATION_BATCH]; /* on the stack: in sight of the collector */
    unsigned n_got;

    memset(blocks, 0, sizeof blocks);
    n_got = new_blocks(blocks, n, n_bytes + reservation_slack(), wish->traced);
    return reservation_make(blocks, n_got, &like, reserve_put);
}

struct reservation *reserve_take(size_t n_bytes, bool traced)
{
    struct wish wish = { .n_bytes = n_bytes, .traced = traced };
    bool is_small = is_of_class(n_bytes);
    unsigned stage = 0;

    atomic_fetch_add_explicit(&n_taken, 1, memory_order_relaxed);
    if (is_small)
        wish.pool = class_of(n_bytes / os_page_size());
    for (unsigned i = 0; i < MOST_TRIES; i++) {
        collector_locked(is_small ? take_from_pool : take_row, &wish);
        if (wish.found != NULL)
            return wish.found;
        if (is_small ? !add_blocks(&wish, bytes_of_class(wish.pool),
                                   blocks_per_batch(bytes_of_class(wish.pool)))
                     : !rows_extend(n_bytes, traced, &stage))
            break;
    }
    if (!is_small) {
        wish.pool = HUGE_BLOCKS;
        collector_locked(take_from_pool, &wish);
        if (wish.found == NULL && add_blocks(&wish, n_bytes, 1))
            collector_locked(take_from_pool, &wish);
    }
    return wish.found;
}

static void *take_all(void *arg)
{
    struct reservation **list = arg;

    *list = NULL;
    for (unsigned i = 0; i < 2 * N_POOLS; i++) {
        struct reservation **pool = &pools[i % 2][i / 2], *next;

        for (; *pool != NULL; *pool = next) {
            next = (*pool)->next;
            (*pool)->next = *list;
            *list = *pool;
            n_pooled--;
        }
    }
    row_pool_take_all(list);
    return NULL;
}

static void *put(void *arg)
{
    reserve_put(arg);
    return NULL;
}

/* ---- what pages of failed calls may lie on ------------------------------------------ */

static struct reservation *unclean;     /* lock */
static bool is_cleaning;                /* lock: one thread has the first of them in hands */
static atomic_bool is_anything_unclean; /* may be read without the lock */

static bool vacate(const struct reservation *reservation)
{
    return os_vacate(reservation_start(reservation), reservation->n_bytes) == 0;
}

/* Behind the first, which may be in somebody's hands. */
static void *put_aside(void *arg)
{
    struct reservation *reservation = arg;
    struct reservation **at = unclean != NULL ? &unclean->next : &unclean;

    reservation->user = NULL;
    reservation->next = *at;
    *at = reservation;
    atomic_store_explicit(&is_anything_unclean, true, memory_order_relaxed);
    return NULL;
}

void reserve_put_back(struct reservation *reservation)
{
    collector_locked(vacate(reservation) ? put : put_aside, reservation);
}

static void *begin_cleaning(void *arg)
{
    (void)arg;
    if (is_cleaning || unclean == NULL)
        return NULL;
    is_cleaning = true;
    return unclean;
}

static void *end_cleaning(void *is_clean)
{
    struct reservation *first = unclean;

    is_cleaning = false;
    if (is_clean == NULL)
        return NULL;
    unclean = first->next;
    reserve_put(first);
    atomic_store_explicit(&is_anything_unclean, unclean != NULL, memory_order_relaxed);
    return unclean;
}

void reserve_clean(void)
{
    struct reservation *first;
    bool is_clean = true;

    while (is_clean && atomic_load_explicit(&is_anything_unclean, memory_order_relaxed) &&
           (first = collector_locked(begin_cleaning, NULL)) != NULL) {
        is_clean = vacate(first);
        collector_locked(end_cleaning, is_clean ? first : NULL);
    }
}

size_t reserve_trim(void)
{
    struct reservation *list, *next;
    size_t n_bytes = 0;

    reserve_clean();
    collector_locked(take_all, &list);
    for (; list != NULL; list = next) {
        size_t n = reservation_block_bytes(list);

        next = list->next;
        if (reservation_unmake(list))
            n_bytes += n;
        else
            collector_locked(put, list);
    }
    (void)reservation_spare(0); /* few are kept */
    return n_bytes;
}

void reserve_trim_if_idle(size_t bytes_live)
{
    static atomic_uint n_idle, n_taken_before;
    unsigned n = atomic_load(&n_taken);

    if (atomic_exchange(&n_taken_before, n) != n)
        atomic_store(&n_idle, 0);
    else if (atomic_fetch_add(&n_idle, 1) % IDLE_COLLECTIONS == IDLE_COLLECTIONS - 1 &&
             reservation_total_bytes() / 2 > bytes_live)
        (void)reserve_trim();
}

void reserve_after_fork_in_child(void)
{
    is_cleaning = false;
    rows_after_fork_in_child();
}

/* ---- inside a collection ------------------------------------------------- */

#define CYCLES (((uint64_t)1 << 45) - 1) /* as many as reservation.seen_cycle has room for */

bool reserve_is_reached(struct reservation *reservation)
{
    uint64_t cycle = collector_cycle() & CYCLES;
    unsigned char *block = reservation_block(reservation);
    unsigned char *end = block + reservation_block_bytes(reservation);

    if (!reservation->is_row)
        return false; /* the hook is called for an unmarked block: this one */
    if (reservation->seen_cycle != cycle) {
        reservation->seen_cycle = cycle & CYCLES; /* again: so compilers see that it fits */
        reservation->seen = false;
        for (; block < end && !reservation->seen; block += collector_block_bytes(block))
            reservation->seen = collector_is_reached(block);
    }
    return reservation->seen;
}

size_t reserve_most_stretches(size_t n_bytes)
{
    return n_bytes / ROW_BLOCK + 2; /* every other block; bridges are as good as whole ones */
}

size_t reserve_find_unreached(const struct reservation *reservation,
                              struct reserve_stretch *stretches, size_t n_most)
{
    unsigned char *first = reservation_block(reservation), *start = reservation_start(reservation);
    unsigned char *end = first + reservation_block_bytes(reservation);
    size_t n = 0;
    bool was_reached = true;

    if (!reservation->is_row || collector_is_reached(first))
        return 0;
    for (unsigned char *block = first; block < end; block += collector_block_bytes(block)) {
        bool is_reached = collector_is_reached(block);

        if (!is_reached && was_reached) {
            if (n == n_most)
                break;
            stretches[n++].from = block > start ? (size_t)(block - start) : 0;
        }
        if (!is_reached)
            stretches[n - 1].to = (size_t)(block + collector_block_bytes(block) - start);
        was_reached = is_reached;
    }
    return n;
}

/* Each its neighbours: one that marked thousands would fill the mark stack. */
void reserve_mark_neighbours(const struct reservation *reservation, const void *block,
                             struct collector_marker *marker)
{
    unsigned char *first = reservation_block(reservation);
    unsigned char *end = first + reservation_block_bytes(reservation);
    unsigned char *next = (unsigned char *)block + collector_block_bytes(block);

    if (!reservation->is_row)
        return;
    if (next < end)
        collector_mark_pointer(marker, next);
    if ((const unsigned char *)block > first)
        collector_mark_pointer(marker, collector_block_of((const unsigned char *)block - 1));
}

void reserve_find_part(const struct reservation *reservation, const void *block, size_t *from,
                       size_t *to)
{
    size_t pad =
        (size_t)(reservation_start(reservation) - (unsigned char *)reservation_block(reservation));
    size_t start =
        (size_t)((const unsigned char *)block - (unsigned char *)reservation_block(reservation));
    size_t end = start + collector_block_bytes(block);

    *from = start > pad ? start - pad : 0;
    *to = end > pad ? end - pad : 0;
    if (*to > reservation->n_bytes)
        *to = reservation->n_bytes;
}

struct reserve_stats reserve_get_stats(void)
{
    return (struct reserve_stats){ .n_pooled = n_pooled + row_pool_count(),
                                   .bytes_reserved = reservation_total_bytes() };
}
