/*
 * members: a runtime's own objects that show bytes of one region, so that closing the region
 * can take the bytes from them.
 *
 * SPDX-License-Identifier: MIT
 *
 * A binding has an object kind of its own for them, in which struct member lies where the
 * collector does not look.  The kind's disclaim procedure is member_disclaim() on it.  Thus being
 * listed keeps nothing alive, and costs neither a weak table nor a finalizer.
 *
 *     struct members      struct member        struct member
 *     +---------+         +--------------+     +--------------+
 *     | first --+-------->| next --------+---->| next         |
 *     | n       |         |     previous |<----+-- previous   |
 *     | closed  |<--------+-- of         |     | of ...       |
 *     +---------+         +--------------+     +--------------+
 *
 * All is guarded by the collector's allocation lock, as gcmmap's own lists are.  A dead member may
 * stay on the list until its block is swept.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include <gc/gc.h>
#include <gc/gc_disclaim.h>
#include <gc/gc_mark.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct members;

struct member {
    struct member *next;
    struct member *previous;
    struct members *of; /* NULL: a free object, or one not yet in use */
    size_t n_bytes;     /* while the region is open */
};

struct members {
    struct member *first;
    struct members *next_unused;
    size_t n;
    bool closed;
};

static struct members *unused_members;

/* In a disclaim procedure.  Calls nothing: freeing memory is left to unused_members. */
static inline int member_disclaim(struct member *member)
{
    struct members *members = member->of;

    if (!members)
        return 0;
    if (member->previous)
        member->previous->next = member->next;
    else
        members->first = member->next;
    if (member->next)
        member->next->previous = member->previous;
    member->of = NULL;
    if (--members->n == 0) {
        members->next_unused = unused_members;
        unused_members = members;
    }
    return 0;
}

static inline void *GC_CALLBACK members_take_unused(void *argument)
{
    struct members *members = unused_members;

    (void)argument;
    if (members)
        unused_members = members->next_unused;
    return members;
}

/* An empty list, which is the caller's until the first member is added; NULL: no memory. */
static inline struct members *members_new(void)
{
    struct members *members = GC_call_with_alloc_lock(members_take_unused, NULL);

    if (!members)
        members = malloc(sizeof *members);
    if (members)
        *members = (struct members){ .first = NULL };
    return members;
}

struct members_adding {
    struct members *members;
    struct member *member;
};

static inline void *GC_CALLBACK members_add_locked(void *argument)
{
    struct members_adding *adding = argument;
    struct members *members = adding->members;
    struct member *member = adding->member;

    if (members->closed)
        return NULL;
    member->of = members;
    member->previous = NULL;
    member->next = members->first;
    if (member->next)
        member->next->previous = member;
    members->first = member;
    members->n++;
    return member;
}

/* False: the region has been closed meanwhile, and the member is not on the list. */
static inline bool members_add(struct members *members, struct member *member)
{
    struct members_adding adding = { members, member };

    return GC_call_with_alloc_lock(members_add_locked, &adding) != NULL;
}

struct members_marking {
    struct members *members;
    bool closed;
    void (*set_length)(struct member *member, size_t n_bytes);
};

static inline void *GC_CALLBACK members_mark_locked(void *argument)
{
    struct members_marking *marking = argument;

    marking->members->closed = marking->closed;
    for (struct member *member = marking->members->first; member; member = member->next)
        marking->set_length(member, marking->closed ? 0 : member->n_bytes);
    return NULL;
}

/* Take the bytes from all members, before the region is closed. */
static inline void members_close(struct members *members,
                                 void (*set_length)(struct member *member, size_t n_bytes))
{
    struct members_marking marking = { members, true, set_length };

    GC_call_with_alloc_lock(members_mark_locked, &marking);
}

/* Give them back: closing failed. */
static inline void members_reopen(struct members *members,
                                  void (*set_length)(struct member *member, size_t n_bytes))
{
    struct members_marking marking = { members, false, set_length };

    GC_call_with_alloc_lock(members_mark_locked, &marking);
}

#endif
