/*
 * release: makes the pages of the dead go, neighbours in one call.
 *
 * SPDX-License-Identifier: MIT
 *
 * Replacing pages costs a system call, and where other threads run an interrupt of each of
 * their processors.  So the dead are collected in a list, under the collector's lock, and
 * released together, without it.
 */
#ifndef RELEASE_H
#define RELEASE_H

#include <stdbool.h>
#include <stddef.h>

struct reservation;

/* What a region occupies. */
struct body {
    struct body *next; /* among the dead */
    struct reservation *at;
    unsigned char *start; /* of the pages; mostly reservation_start() */
    size_t n_covered;     /* bytes of pages from there that are mapped over */
    size_t n_outside;     /* bytes of addresses from there that are not the reservation's */
    bool is_guarded;      /* outside: so is a page in front of start */
    bool has_strays;      /* behind those: pages of a call that failed, perhaps */
    bool writes_back;     /* its pages are to be written before they go ... */
    int write_error;      /* ... and this is what became of it */
};

/* Lock not held.  Unmaps all that lies outside the reservation. */
int release_outside(const struct body *body);

/* Lock not held.  Makes all pages inaccessible, strays as well. */
int release_pages(struct body *body);

/* Lock held; inside a collection. */
void release_add(struct body *body);

/*
 * Lock not held.  Releases all that were added: replaces their pages by inaccessible ones
 * and puts the reservations back.  Returns them, linked by next; their reservations are
 * not theirs any more.  Those for which the kernel had no map slot stay for the next time,
 * and so do all if another thread is at it.
 */
struct body *release_all(void);

/* Lock not held.  Waits until no other thread is in release_all(). */
void release_wait(void);

/* In a forked child: the thread that was releasing in the parent is not here to finish. */
void release_after_fork_in_child(void);

#endif
