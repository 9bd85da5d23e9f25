/*
 * search: finds the pointers to regions that the collector follows.
 *
 * SPDX-License-Identifier: MIT
 *
 * The collector tells what it reaches, not from where.  So after a collection has marked, and
 * before the world goes on, all memory that it looks at is looked at once more: stacks,
 * static data, objects that were reached, contents of traced regions.
 */
#ifndef SEARCH_H
#define SEARCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is looked for: pointers into [~hidden, ~hidden + n_bytes).  Sorted by address. */
struct search_target {
    uintptr_t hidden;
    size_t n_bytes;
};

enum search_place { SEARCH_REGISTER, SEARCH_STACK, SEARCH_DATA, SEARCH_OBJECT, SEARCH_REGION };

struct search_hit {
    enum search_place place;
    bool is_unsure;        /* the collector may see it otherwise */
    size_t target;         /* which one ... */
    size_t points_to;      /* ... and how many bytes behind its start */
    uintptr_t address;     /* of the pointer; 0: in a register */
    uintptr_t hidden_base; /* complement of the address of the object or region's data it is in */
    size_t n_bytes;        /* of that */
    int object_kind;       /* bdwgc's number */
    long thread;
};

/* What is known of a public call's caller before we use its registers for ourselves. */
struct search_caller {
    uintptr_t hidden; /* complement of the pointer it asks about */
    const void *frame;
    jmp_buf registers;
};

/*
 * In the public call itself.  Its own frame is not looked at, its caller's is; so the pointer must be
 * in no register that is saved here, and no register may be in other use yet whose old value would
 * be kept in that frame.  So before it the call puts its arguments into memory, one by one
 * (clearing a whole struct takes a register on i386), and after it calls a function in a frame of
 * its own.
 */
#define SEARCH_IN_FRAME_OF_ITS_OWN __attribute__((noinline))
#define SEARCH_LOOK_AT_CALLER(caller, pointer)                                                     \
    do {                                                                                           \
        (caller).hidden = ~(uintptr_t)(pointer);                                                   \
        (caller).frame = __builtin_frame_address(0);                                               \
        (void)setjmp((caller).registers);                                                          \
    } while (0)

struct search {
    const struct search_target *targets;
    size_t n_targets;
    /* The world is stopped and the lock held.  false: enough. */
    bool (*found)(const struct search_hit *hit, void *arg);
    void *arg;
    const struct search_caller *caller;
    bool gave_up; /* result: it took too long */
};

/*
 * Lock not held.  Collects, and looks.  0; ENOMEM; ENOTSUP: the host does not let us.
 */
int search_run(struct search *search);

#endif
