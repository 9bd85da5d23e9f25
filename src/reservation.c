/*
 * reservation: from fresh blocks to reservations and back; cutting and joining rows.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "reservation.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "collector.h"
#include "os.h"
#include "registry.h"

static struct reservation *spare_records; /* lock */
static atomic_size_t total_bytes;         /* written under the lock */

unsigned char *reservation_start(const struct reservation *reservation)
{
    uintptr_t page = os_page_size();

    return (unsigned char *)((~reservation->hidden_block + page - 1) & ~(page - 1));
}

unsigned char *reservation_end(const struct reservation *reservation)
{
    return reservation_start(reservation) + reservation->n_bytes;
}

size_t reservation_slack(void)
{
    size_t page = os_page_size();

    return page > COLLECTOR_BLOCK_ALIGNMENT ? 2 * page : 0;
}

size_t reservation_block_bytes(const struct reservation *reservation)
{
    return reservation->n_bytes + reservation_slack();
}

size_t reservation_total_bytes(void)
{
    return total_bytes;
}

/* ---- making and unmaking -------------------------------------------------- */

/* Makes pages vanish that the collector touched: one call for neighbours.  How many. */
static unsigned vacate(struct reservation **records, unsigned n)
{
    for (unsigned i = 0, j; i < n; i = j) {
        unsigned char *start = reservation_start(records[i]), *end = reservation_end(records[i]);

        for (j = i + 1; j < n && reservation_end(records[j]) == start; j++)
            start = reservation_start(records[j]);
        if (os_vacate(start, (size_t)(end - start)) != 0)
            return i;
    }
    return n;
}

static void discard(struct reservation **records, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        collector_free_block(reservation_block(records[i]));
        free(records[i]);
    }
}

struct introduction {
    struct reservation **records;
    unsigned n;
    reservation_receiver *receiver;
};

static void *introduce(void *arg)
{
    struct introduction *introduction = arg;

    /* The lowest first, so that it is the last to be taken: see reservation_make(). */
    for (unsigned i = 0; i < introduction->n; i++) {
        unsigned nth = i == 0 ? introduction->n - 1 : i - 1;
        struct reservation *record = introduction->records[nth];

        registry_add(reservation_block(record), record);
        collector_account((ptrdiff_t)reservation_block_bytes(record));
        total_bytes += reservation_block_bytes(record);
        introduction->receiver(record);
    }
    return NULL;
}

static void *unprepare(void *arg)
{
    registry_unprepare(*(unsigned *)arg);
    return NULL;
}

/* Complements: they rise where addresses fall. */
static int by_descending_address(const void *left, const void *right)
{
    const struct reservation *a = *(struct reservation *const *)left;
    const struct reservation *b = *(struct reservation *const *)right;

    return (a->hidden_block > b->hidden_block) - (a->hidden_block < b->hidden_block);
}

/*
 * When map slots run out in the midst of it, those that are vacated are as good as any: to give
 * them back to the collector would take map slots too.
 */
static unsigned make(struct reservation **records, unsigned n, reservation_receiver *receiver)
{
    unsigned n_made = 0, n_left;

    qsort(records, n, sizeof(struct reservation *), by_descending_address);
    if (registry_prepare(n) == 0) {
        n_made = vacate(records, n);
        n_left = n - n_made;
        if (n_made > 0)
            collector_locked(introduce, &(struct introduction){ records, n_made, receiver });
        collector_locked(unprepare, &n_left);
    }
    discard(records + n_made, n - n_made);
    return n_made;
}

bool reservation_make(void **blocks, unsigned n, const struct reservation *like,
                      reservation_receiver *receiver)
{
    struct reservation *records[RESERVATION_BATCH];
    unsigned n_records = 0;
    bool made = false;

    while (n_records < n && (records[n_records] = malloc(sizeof **records)) != NULL) {
        *records[n_records] = *like;
        records[n_records]->hidden_block = ~(uintptr_t)blocks[n_records];
        records[n_records]->n_bytes =
            collector_block_bytes(blocks[n_records]) - reservation_slack();
        n_records++;
    }
    if (n_records == n && n > 0)
        made = make(records, n, receiver) > 0;
    else
        discard(records, n_records);
    for (unsigned i = n_records; i < n; i++)
        collector_free_block(blocks[i]);
    collector_forget(blocks, n);
    return made;
}

static unsigned char *block_after(const void *block)
{
    return (unsigned char *)block + collector_block_bytes(block);
}

void reservation_unmark(const struct reservation *reservation)
{
    unsigned char *block = reservation_block(reservation);
    unsigned char *end = block + reservation_block_bytes(reservation);

    for (; block < end; block = block_after(block))
        collector_unmark_block(block);
}

void reservation_mark_again(const struct reservation *reservation, struct collector_marker *marker)
{
    unsigned char *block = reservation_block(reservation);
    unsigned char *end = block + reservation_block_bytes(reservation);

    for (; block < end; block = block_after(block))
        collector_mark_again(marker, block);
}

static void *forget(void *arg)
{
    struct reservation *reservation = arg;
    unsigned char *block = reservation_block(reservation);
    unsigned char *end = block + reservation_block_bytes(reservation);

    for (; block < end; block = block_after(block))
        registry_remove(block);
    collector_account(-(ptrdiff_t)reservation_block_bytes(reservation));
    total_bytes -= reservation_block_bytes(reservation);
    return NULL;
}

bool reservation_unmake(struct reservation *reservation)
{
    unsigned char *block = reservation_block(reservation);
    unsigned char *end = block + reservation_block_bytes(reservation);

    if (os_restore(reservation_start(reservation), reservation->n_bytes) != 0)
        return false;
    collector_locked(forget, reservation);
    while (block < end) {
        unsigned char *next = block_after(block);

        collector_free_block(block);
        block = next;
    }
    free(reservation);
    return true;
}

/* ---- rows ------------------------------------------------------------------ */

static void own_blocks(struct reservation *row, unsigned char *from, const unsigned char *to)
{
    for (; from < to; from = block_after(from))
        registry_set(from, row);
}

struct reservation *reservation_cut(struct reservation *row, size_t n_bytes)
{
    unsigned char *start = reservation_block(row), *at = start;
    struct reservation *first = spare_records;

    while ((size_t)(at - start) < n_bytes + reservation_slack())
        at = block_after(at);
    if ((size_t)(at - start) == reservation_block_bytes(row))
        return row;
    if (first == NULL)
        return NULL;
    spare_records = first->next;
    *first = *row;
    first->n_bytes = (size_t)(at - start) - reservation_slack();
    own_blocks(first, start, at);
    /* The rest keeps its record: it may have thousands of blocks, the part a few. */
    row->hidden_block = ~(uintptr_t)at;
    row->n_bytes -= (size_t)(at - start);
    return first;
}

struct reservation *reservation_join(struct reservation *left, struct reservation *right)
{
    struct reservation *kept = left->n_bytes >= right->n_bytes ? left : right;
    struct reservation *gone = kept == left ? right : left;
    unsigned char *from = reservation_block(gone);
    unsigned char *to = from + reservation_block_bytes(gone);

    own_blocks(kept, from, to);
    kept->hidden_block = left->hidden_block;
    kept->n_bytes += reservation_block_bytes(gone);
    kept->next = right->next;
    gone->next = spare_records;
    spare_records = gone;
    return kept;
}

#define SPARES_MOST 16u /* that are kept; joining a long row gives hundreds */

struct spares {
    unsigned n, n_most;
    struct reservation *surplus;
};

static void *add_spare(void *arg)
{
    struct reservation *record = arg;

    record->next = spare_records;
    spare_records = record;
    return NULL;
}

/* What is to be freed is cut off, and handed to the caller: not under the lock. */
static void *count_spares(void *arg)
{
    struct spares *spares = arg;
    struct reservation **at = &spare_records;

    for (spares->n = 0; *at != NULL && spares->n < spares->n_most; spares->n++)
        at = &(*at)->next;
    spares->surplus = *at;
    *at = NULL;
    return NULL;
}

bool reservation_spare(unsigned n)
{
    struct spares spares = { .n_most = n + SPARES_MOST };

    collector_locked(count_spares, &spares);
    for (struct reservation *next; spares.surplus != NULL; spares.surplus = next) {
        next = spares.surplus->next;
        free(spares.surplus);
    }
    for (; spares.n < n; spares.n++) {
        struct reservation *record = malloc(sizeof *record);

        if (record == NULL)
            return false;
        collector_locked(add_spare, record);
    }
    return true;
}
