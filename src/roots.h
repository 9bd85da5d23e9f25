/*
 * roots: the contents of traced regions, as the collector's marker sees them.
 *
 * SPDX-License-Identifier: MIT
 *
 * All of these in the mark hook, unless said otherwise: possibly on several threads at once.
 * A block's contents are read in pieces of a page.  Few pieces are read at once; for more
 * there is a ticket, which reads one and pushes itself for the rest, below what it found: so
 * the mark stack has always room, and other markers can go on with the rest.
 */
#ifndef ROOTS_H
#define ROOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collector_marker;

/* What there is to know about pages: combine. */
enum roots_pages {
    /* Private: those never written hold no pointers, and are not read, if the system tells
       which they are. */
    ROOTS_PRIVATE = 1,
    /* Some may be unreadable, because their file was truncated; these are passed over. */
    ROOTS_MAY_FAULT = 2,
    /* Because another thread is closing the region: the same, and on no account to be read
       without making sure.  With the above. */
    ROOTS_MAY_GO = 8,
    /* Some may be protected against reading; they are read all the same where the system has
       a way.  With the above. */
    ROOTS_PROTECTED = 4,
};

/* What lies on a block: whole pages. */
struct roots_contents {
    const unsigned char *start;
    size_t n_bytes;
    unsigned pages; /* enum roots_pages */
};

/* Not in the mark hook, lock not held.  Before there are traced regions: makes tickets. */
void roots_start(void);

/* Marks what the contents of a block point to, at the latest when its ticket is called. */
void roots_scan(struct collector_marker *marker, void *block,
                const struct roots_contents *contents);

/* What lies on the block now; false: nothing to scan. */
typedef bool roots_finder(const void *block, struct roots_contents *contents);

/*
 * Not for marking, but with the world stopped as in the mark hook: hands over what would be
 * read.  The words are those at `address`, perhaps a copy.
 */
typedef void roots_visitor(const uintptr_t *words, size_t n_words, uintptr_t address, void *arg);
void roots_visit(const struct roots_contents *contents, roots_visitor *fn, void *arg);

/* The ticket's turn: goes on with its block, if that still has contents. */
void roots_go_on(size_t ticket, struct collector_marker *marker, roots_finder *find);

/* At the end of a collection, lock held: the ticket has no block any more. */
void roots_forget(size_t ticket);

/* Calls fn for each object that is ours for good. */
void roots_each_ticket(void (*fn)(void *ticket));

#endif
