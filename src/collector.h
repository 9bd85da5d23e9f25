/*
 * collector: all that the library asks of bdwgc.
 *
 * SPDX-License-Identifier: MIT
 *
 * A block is one large object of the collector's heap, of one of two kinds that
 * are ours: plain blocks, in which nothing is ever looked for, and traced blocks,
 * whose contents our mark hook reads.  Blocks start on a boundary of 4 KiB and
 * every pointer into one keeps it.
 *
 * The latch: once allocated, a block is never reclaimed by the collector, because
 * our disclaim procedure always refuses.  Only collector_free_block() ends it.  So
 * the collector can never write objects into a file that is mapped on a block.
 */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collector_marker; /* a mark in progress */

/* What bdwgc aligns large objects to: HBLKSIZE, 4 KiB on all Linux systems. */
#define COLLECTOR_BLOCK_ALIGNMENT ((size_t)4096)

/* What the rooms above do when the collector has something to say. */
struct collector_hooks {
    /*
     * At the end of each collection, for each block without a pointer to it.
     * Lock held, other threads running.  No call into the collector but
     * collector_is_reached() and collector_cycle(), no slow system call.
     */
    void (*unreached)(void *block);

    /*
     * Whenever a traced block is found reachable: hand its contents to
     * collector_mark_words().  World stopped, possibly on several threads at
     * once; may look up tables, must neither lock nor allocate.
     */
    void (*mark)(void *block, struct collector_marker *marker);

    /*
     * A ticket's turn has come, see collector_push_ticket(); as mark.  And at the end of a
     * collection in which it was not pushed; as unreached.
     */
    void (*ticket_called)(size_t number, struct collector_marker *marker);
    void (*ticket_idle)(size_t number);

    /*
     * After collector_look_again(), where collections are incremental: once in each at least, as
     * mark.  Calls collector_mark_again() for blocks whose contents change unseen.
     */
    void (*look_again)(struct collector_marker *marker);

    /*
     * Calls fn for each block and each ticket that were not freed; it may call unreached and
     * ticket_idle.  Lock held, other threads running.
     */
    void (*each_block)(void (*fn)(void *block));

    /* After a collection, where the host lets finalizers run.  No lock held. */
    void (*finalization_point)(void);

    /* Whether it has to be called after the next one too.  No lock held. */
    bool (*is_anything_left)(void);
};

/*
 * Once, before all else.  Initializes the collector if the
 * host has not.  Must not be called with the lock held.
 */
void collector_start(const struct collector_hooks *hooks);

/*
 * False: it looks for leaks, and the host's event procedure keeps from us when.  Blocks would be
 * freed, whatever is mapped on them.
 */
bool collector_lets_us_live(void);

/* Runs fn(arg) under the allocation lock.  fn must not call the collector. */
void *collector_locked(void *(*fn)(void *arg), void *arg);

/*
 * A new block of n_bytes or NULL.  Its bytes are ordinary memory.  The caller
 * keeps the pointer in sight until the registry knows the block.  May collect.
 */
void *collector_new_block(size_t n_bytes, bool traced);

/* The block's memory is ordinary again, and nobody knows it any more. */
void collector_free_block(void *block);

/* Size of a block, as the collector sees it. */
size_t collector_block_bytes(const void *block);

/*
 * A copy of the contents that the collector sees, whoever points to it, until it is freed; or
 * NULL.  May collect.
 */
void *collector_new_root(const void *contents, size_t n_bytes);
void collector_free_root(void *root);

/* An ordinary object with these contents, pointers among them; or NULL.  May collect. */
void *collector_new_object(const void *contents, size_t n_bytes);

/* Size of the whole heap; and of its blocks that are free. */
size_t collector_heap_bytes(void);
size_t collector_free_bytes(void);

/* Lock not held.  Bytes of others' objects that the last collection marked. */
struct collector_usage {
    size_t composite; /* may contain pointers */
    size_t atomic;
};
void collector_walk(struct collector_usage *usage);

/* GC_free_space_divisor: the larger, the more collections. */
size_t collector_divisor(void);
void collector_set_divisor(size_t divisor);

/* GC_min_bytes_allocd: what is allocated at least between two collections. */
size_t collector_least_allocated(void);
void collector_set_least_allocated(size_t n_bytes);

/*
 * Until it is called with false as often: no collections, and the heap grows by no more than
 * what is asked for.
 */
void collector_pause(bool pause);

/* In a forked child: ends the pauses of threads that are not here. */
void collector_after_fork_in_child(void);

/* The block that a pointer points into, or NULL; others' objects too. */
void *collector_block_of(const void *pointer);

/* Lock held.  Whether an address lies in the collector's heap. */
bool collector_owns(const void *address);

/* Lock held, between the end of marking and the next collection. */
bool collector_is_reached(const void *block);

/* Number of the current collection; changes with each. */
unsigned long collector_cycle(void);

/*
 * Lock held.  Takes bytes out of (or puts them back into) the account by which
 * the collector decides when to collect: ours are not garbage to wait for.
 */
void collector_account(ptrdiff_t n_bytes);

/*
 * Lock not held.  Full collection; runs finalizers as the host has chosen.  Nothing where
 * the host has switched collections off.
 */
void collector_collect(void);

/*
 * Lock not held.  Collects, and calls fn(arg) when all is marked that pointers reach, with the
 * world stopped and the lock held: fn must neither lock, nor allocate, nor wait for others.
 * false: it was not called, as the host has switched collections off, or gets the collector's
 * events instead of us.
 */
bool collector_look(void (*fn)(void *arg), void *arg);

struct collector_object {
    unsigned char *start;
    size_t n_bytes;
    int kind;       /* bdwgc's number */
    bool is_ours;   /* a traced block: what is to be read there the mark hook knows */
    bool is_simple; /* every word counts; else perhaps not */
};

/* In such a fn.  All objects that were marked and may contain pointers. */
void collector_each_object(void (*fn)(const struct collector_object *object, void *arg), void *arg);

/*
 * Whether a pointer in the heap or in static data is one to the collector.  COLLECTOR_MAYBE: in
 * hosts that switched interior pointers off, some tags are, and bdwgc does not tell which.
 */
enum collector_answer { COLLECTOR_NO, COLLECTOR_MAYBE, COLLECTOR_YES };
enum collector_answer collector_follows(const void *pointer);

/* Whether it looks at static data of shared libraries, too. */
bool collector_scans_libraries(void);

/* Where this thread's stack begins: frames lie below, or above where stacks grow upwards. */
void *collector_stack_base(void);

/* Clears what calls that have returned left on the stack. */
void collector_clean_stack(void);

/*
 * Lock not held.  From now on collections are followed by finalization_point(), for as long
 * as there is anything left.
 */
void collector_want_finalization_point(void);

/* Whether it collects in small steps, and looks only at what has changed meanwhile. */
bool collector_is_incremental(void);

/*
 * Whether the collector finds out by write protection which traced pages change
 * (incremental mode without the kernel's soft-dirty bits).  Memory put on a traced
 * block must then be write-protected: the first store makes it writable.
 */
bool collector_protects_traced_blocks(void);

/* As if the block were new: whoever points to it, the collector looks into it once more. */
void collector_unmark_block(void *block);

/*
 * Lock not held.  From now on look_again() is called.  For good: to be called again only after it
 * has returned false, for want of memory.  May collect.
 */
bool collector_look_again(void);

/* In look_again().  If the block has been found reachable its contents are looked at once more. */
void collector_mark_again(struct collector_marker *marker, void *block);

/* In the mark hook: everything in [from, to) that looks like a pointer. */
void collector_mark_words(struct collector_marker *marker, const void *from, const void *to);

/* In the mark hook: one pointer to a block. */
void collector_mark_pointer(struct collector_marker *marker, void *block);

/*
 * Tickets: work of the mark hook that is put off, so that it never pushes more than the mark
 * stack has room for, and other markers can take it over.  What is pushed after a ticket is
 * marked first.
 *
 * Lock not held.  A new one, which lives for ever; NULL: no memory.
 */
void *collector_new_ticket(size_t number);

/* In the mark hook.  Calls ticket_called(number) at least once more in this collection. */
void collector_push_ticket(struct collector_marker *marker, void *ticket);

/*
 * Clears pointers on the stack that are not needed any more: later frames have holes through
 * which the collector would see them.
 */
void collector_forget(void **pointers, size_t n);

/* Keeps a pointer in sight of the collector up to here. */
void collector_keep(const void *pointer);

#endif
