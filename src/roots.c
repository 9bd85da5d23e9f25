/*
 * roots: scanning.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "roots.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "collector.h"
#include "os.h"

/*
 * What is scanned without a look at the mark stack in between.  512 pointers are an eighth of
 * the smallest mark stack that bdwgc has (a marker thread's own).  Divides every page size.
 */
#define BYTES_PER_PIECE ((size_t)4096)

/* A block with so little in it needs no ticket. */
#define BYTES_AT_ONCE (2 * BYTES_PER_PIECE)

/* Each covers a contiguous stretch, at most 32 are known ahead. */
#define RANGES_PER_QUESTION 32u

/* Where a scan is. */
struct walk {
    uintptr_t asked_to, end; /* addresses; not yet asked about: what lies between */
    unsigned pages;          /* enum roots_pages */
    size_t i, n_ranges;      /* to be read: from range i on */
    struct os_range ranges[RANGES_PER_QUESTION];
};

/* What is scanned next. */
struct piece {
    uintptr_t from;
    size_t n_bytes;
    unsigned pages; /* enum roots_pages */
};

/*
 * Tickets in use are at most as many as there are regions nested in regions; where none is
 * left, a block is scanned at once.  The table is malloc'ed, out of the collector's sight.
 */
#define N_TICKETS 64u

struct ticket {
    atomic_flag is_locked; /* by a marker, for moments; nobody waits */
    atomic_bool is_used;
    uintptr_t hidden; /* complement of the collector's ticket; 0: there is none */
    uintptr_t hidden_block;
    struct walk walk;
};

static struct ticket *_Atomic tickets;

void roots_start(void)
{
    struct ticket *fresh, *none = NULL;

    if (atomic_load(&tickets) != NULL)
        return;
    fresh = calloc(N_TICKETS, sizeof *fresh);
    if (fresh == NULL)
        return;
    collector_pause(true); /* where it looks for leaks: until they are known */
    for (size_t i = 0; i < N_TICKETS; i++) {
        void *ticket = collector_new_ticket(i);

        atomic_flag_clear(&fresh[i].is_locked);
        fresh[i].hidden = ticket != NULL ? ~(uintptr_t)ticket : 0;
    }
    if (!atomic_compare_exchange_strong(&tickets, &none, fresh)) {
        for (size_t i = 0; i < N_TICKETS; i++) /* another thread's are as good */
            collector_free_block((void *)(fresh[i].hidden != 0 ? ~fresh[i].hidden : 0));
        free(fresh);
    }
    collector_pause(false);
}

/* ---- a walk over what was written ------------------------------------------- */

static void begin(struct walk *walk, const struct roots_contents *contents)
{
    walk->asked_to = (uintptr_t)contents->start;
    walk->end = walk->asked_to + contents->n_bytes;
    walk->pages = contents->pages;
    walk->i = walk->n_ranges = 0;
}

/* Whether there is more.  Then range i is it. */
static bool has_more(struct walk *walk)
{
    while (walk->i == walk->n_ranges && walk->asked_to < walk->end) {
        walk->i = 0;
        if (walk->pages & ROOTS_PRIVATE) {
            walk->n_ranges =
                os_find_written(&walk->asked_to, walk->end, walk->ranges, RANGES_PER_QUESTION);
        } else {
            walk->ranges[0] = (struct os_range){ walk->asked_to, walk->end, false };
            walk->n_ranges = 1;
            walk->asked_to = walk->end;
        }
    }
    return walk->i < walk->n_ranges;
}

static struct piece next_piece(struct walk *walk)
{
    struct os_range *range = &walk->ranges[walk->i];
    struct piece piece = { range->from, range->to - range->from, walk->pages };

    if (piece.n_bytes > BYTES_PER_PIECE)
        piece.n_bytes = BYTES_PER_PIECE;
    if (range->may_fault)
        piece.pages |= ROOTS_MAY_FAULT;
    range->from += piece.n_bytes;
    if (range->from == range->to)
        walk->i++;
    return piece;
}

/* Of what is known; an answer that was cut short counts as much. */
static bool is_little(const struct walk *walk)
{
    size_t n_bytes = 0;

    for (size_t i = walk->i; i < walk->n_ranges && n_bytes <= BYTES_AT_ONCE; i++)
        n_bytes += walk->ranges[i].to - walk->ranges[i].from;
    return n_bytes <= BYTES_AT_ONCE && walk->asked_to == walk->end;
}

/* Who gets the words: the collector, or a visitor. */
struct reader {
    struct collector_marker *marker; /* or NULL */
    roots_visitor *fn;
    void *arg;
};

static void hand_over(const struct reader *reader, const struct piece *piece, const void *words)
{
    if (reader->marker != NULL)
        collector_mark_words(reader->marker, words, (const unsigned char *)words + piece->n_bytes);
    else
        /* NOLINTNEXTLINE: there is a marker or a function */
        reader->fn(words, piece->n_bytes / sizeof(uintptr_t), piece->from, reader->arg);
}

static void scan_as_is(const struct reader *reader, const struct piece *piece)
{
    hand_over(reader, piece, (const void *)piece->from);
}

static void scan_copy(const struct reader *reader, const struct piece *piece)
{
    uintptr_t words[BYTES_PER_PIECE / sizeof(uintptr_t)];
    int error = os_peek(words, (void *)piece->from, piece->n_bytes);

    if (error != 0 && (piece->pages & ROOTS_PROTECTED))
        error = os_peek_protected(words, (void *)piece->from, piece->n_bytes);
    if (error == 0)
        hand_over(reader, piece, words);
    /* Better SIGBUS, if the file is too short, than objects that are in use and gone. */
    if (error == ENOTSUP && !(piece->pages & ROOTS_MAY_GO))
        scan_as_is(reader, piece);
}

static void scan_piece(const struct reader *reader, const struct piece *piece)
{
    if (piece->pages & ROOTS_MAY_FAULT)
        scan_copy(reader, piece);
    else
        scan_as_is(reader, piece);
}

static void scan_all(const struct reader *reader, struct walk *walk)
{
    while (has_more(walk)) {
        struct piece piece = next_piece(walk);

        scan_piece(reader, &piece);
    }
}

void roots_visit(const struct roots_contents *contents, roots_visitor *fn, void *arg)
{
    const struct reader reader = { NULL, fn, arg };
    struct walk walk;

    begin(&walk, contents);
    scan_all(&reader, &walk);
}

/* ---- tickets ------------------------------------------------------------------ */

static bool lock(struct ticket *ticket)
{
    return !atomic_flag_test_and_set_explicit(&ticket->is_locked, memory_order_acquire);
}

static void unlock(struct ticket *ticket)
{
    atomic_flag_clear_explicit(&ticket->is_locked, memory_order_release);
}

static bool is_used(const struct ticket *ticket)
{
    return atomic_load_explicit(&ticket->is_used, memory_order_relaxed);
}

static void set_used(struct ticket *ticket, bool used)
{
    atomic_store_explicit(&ticket->is_used, used, memory_order_relaxed);
}

static struct ticket *take_ticket(void *block, const struct walk *walk)
{
    struct ticket *table = atomic_load(&tickets);

    for (size_t i = 0; table != NULL && i < N_TICKETS; i++) {
        struct ticket *ticket = &table[i];
        bool taken;

        if (is_used(ticket) || ticket->hidden == 0 || !lock(ticket))
            continue;
        taken = !is_used(ticket);
        if (taken) {
            ticket->hidden_block = ~(uintptr_t)block;
            ticket->walk = *walk;
            set_used(ticket, true);
        }
        unlock(ticket);
        if (taken)
            return ticket;
    }
    return NULL;
}

static void push(struct collector_marker *marker, const struct ticket *ticket)
{
    collector_push_ticket(marker, (void *)~ticket->hidden);
}

void roots_scan(struct collector_marker *marker, void *block, const struct roots_contents *contents)
{
    const struct reader reader = { .marker = marker };
    struct walk walk;
    const struct ticket *ticket;

    begin(&walk, contents);
    if (!has_more(&walk))
        return;
    ticket = is_little(&walk) ? NULL : take_ticket(block, &walk);
    if (ticket != NULL)
        push(marker, ticket);
    else
        scan_all(&reader, &walk);
}

/* In incremental mode the region may have become another since the ticket was pushed. */
static bool clip(struct piece *piece, const struct roots_contents *contents)
{
    uintptr_t start = (uintptr_t)contents->start, end = start + contents->n_bytes;

    piece->pages |= contents->pages;
    return piece->from >= start && piece->from + piece->n_bytes <= end;
}

/* What is left on the ticket goes back onto the mark stack first: below what the piece holds. */
static bool take_piece(struct ticket *ticket, struct collector_marker *marker, roots_finder *find,
                       struct piece *piece)
{
    struct roots_contents contents;
    bool found = find((void *)~ticket->hidden_block, &contents), more;

    if (found)
        *piece = next_piece(&ticket->walk);
    more = found && has_more(&ticket->walk);
    set_used(ticket, more);
    if (more)
        push(marker, ticket);
    return found && clip(piece, &contents);
}

void roots_go_on(size_t i, struct collector_marker *marker, roots_finder *find)
{
    struct ticket *table = atomic_load(&tickets), *ticket;
    const struct reader reader = { .marker = marker };
    struct piece piece;
    bool found;

    if (table == NULL) /* the ticket is just being made */
        return;
    ticket = &table[i];
    /* bdwgc may give an entry of its mark stack to two markers: then one does the work. */
    if (!lock(ticket))
        return;
    found = is_used(ticket) && take_piece(ticket, marker, find, &piece);
    unlock(ticket);
    if (found)
        scan_piece(&reader, &piece);
}

void roots_forget(size_t i)
{
    struct ticket *table = atomic_load(&tickets);

    if (table != NULL && lock(&table[i])) {
        set_used(&table[i], false);
        unlock(&table[i]);
    }
}

void roots_each_ticket(void (*fn)(void *ticket))
{
    const struct ticket *table = atomic_load(&tickets);

    for (size_t i = 0; table != NULL && i < N_TICKETS; i++)
        if (table[i].hidden != 0)
            fn((void *)~table[i].hidden);
}
