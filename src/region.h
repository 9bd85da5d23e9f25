/*
 * region: one mapping and its life.
 *
 * SPDX-License-Identifier: MIT
 *
 *                    os_map()            no pointer reaches it
 *      (reserved) -> MAPPING --> LIVE ---------------------------> DYING --+
 *                                |  ^                                ^     |
 *                          close |  | ENOMEM           no pointer    |     | drain:
 *                                v  |                  reaches it    |     | pages replaced,
 *                              CLOSING --> CLOSED -------------------+     | neighbours in
 *                                                                          | one call
 *      (pool) <--- UNMAPPING <-- LIVE, CLOSED: unmap_now                   |
 *        ^                                                                 |
 *        +-----------------------------------------------------------------+
 *
 * The state changes only under the collector's lock.  System calls are made with no
 * lock held, in the states MAPPING, CLOSING, UNMAPPING and DYING, which say whose
 * turn it is.  DYING starts inside a collection, the drain runs where the host lets
 * finalizers run, or in the next call that maps or collects.
 *
 * A handle is the address of the reservation's first block.  It is looked up, never
 * dereferenced, so any pointer may be passed.  Functions return 0 or a positive errno.
 */
#ifndef REGION_H
#define REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "gcmmap.h"
#include "os.h"

struct region;

struct region_request {
    struct os_mapping mapping; /* offset: of the page that holds the first byte */
    size_t head;               /* bytes of that page in front of the first byte */
    size_t n_bytes;            /* head + n_bytes does not overflow when rounded to pages */
    size_t room;               /* bytes that n_bytes may grow to; 0: as it is */
    size_t alignment;          /* of the first page: a power of two, or 0 ... */
    size_t phase;              /* ... a multiple of which it lies this far behind */
    size_t page;               /* what is mapped is a multiple of; 0: of os_page_size() */
    void *address;             /* of the first page; NULL: anywhere */
    const char *name;          /* or NULL */
    const void *caller;        /* who asked: an address in the user's code; or NULL */
    bool traced;
    gcmmap_released released;   /* or NULL */
    gcmmap_truncated truncated; /* or NULL */
    void *data;                 /* for both */
    bool of_file;
    void *adopted; /* pages that are mapped already, n_bytes of them; or NULL */
    void (*adopted_released)(void *addr, size_t size, void *data); /* instead of released */
};

/* EINVAL: some of it is the collector's, or a region's. */
int region_may_adopt(const void *start, size_t n_bytes);

int region_create(const struct region_request *request, gcmmap_region **handle);

/* EINVAL: not a handle. */
int region_zero_filled(const gcmmap_region *handle, size_t *n_bytes);

/* EINVAL: not a handle; EBADF: closed; *bytes is {NULL, 0} then. */
int region_bytes(const gcmmap_region *handle, gcmmap_slice *bytes);

/* The region that the pointer lies in or one past, closed or not; else NULL. */
gcmmap_region *region_of(const void *pointer);

/* EINVAL: not a handle. */
int region_weaken(const gcmmap_region *handle, gcmmap_weak *weak);
gcmmap_region *region_strengthen(const gcmmap_weak *weak);

/*
 * Keeps the pages around some bytes of a region as they are: closing and shrinking wait, and
 * the region does not die.  Not for long, and not while a user's code runs.
 */
struct region_pin {
    unsigned char *pages; /* whole pages around the bytes; NULL if there are no bytes */
    size_t n_bytes;       /* of these pages */
    unsigned flags;       /* GCMMAP_ ..., as mapped */
    bool of_file;
    bool traced;
    gcmmap_region *handle;
    struct region *region; /* region_unpin()'s */
};

/* EINVAL: in no region; EBADF: closed; ERANGE: not all of the bytes are in the region. */
int region_pin(const void *data, size_t n_bytes, struct region_pin *pin);
void region_unpin(struct region_pin *pin);

/* Whether the collector may write-protect the pages, and lift that at the first store. */
bool region_is_protected_by_collector(const struct region_pin *pin);

/*
 * Before the access to pinned pages changes.  ENOTSUP: the collector changes it by itself
 * (incremental mode), or could not trace what is protected against reading; EMFILE, ENFILE,
 * ENOMEM: nor can it just now.
 */
int region_begin_protect(const struct region_pin *pin, unsigned access);

/* Whether pinned pages may be filled with zeros by others; if so, none is when it returns. */
bool region_waited_for_filling(const struct region_pin *pin);

/* Before pinned pages begin to fault: from now on the collector must be careful there. */
void region_expect_faults(const struct region_pin *pin);

/*
 * Changes of size, for regions with room; one at a time in each region.
 * EINVAL: not a handle; EBADF: closed; ENOTSUP: no room; ESTALE: its descriptor is gone.
 */
int region_extend(gcmmap_region *handle, size_t n_bytes);
int region_refresh(gcmmap_region *handle);
int region_truncate(gcmmap_region *handle, size_t n_bytes);

/* What all regions together may hold; 0: no limit. */
struct region_budget {
    size_t n_regions, n_bytes, n_charged;
};

void region_set_budget(const struct region_budget *budget);
struct region_budget region_get_budget(void);

/* Once, before a region is made: what signal handlers may ask of it. */
void region_catch_faults(void);

/* Tells apart what may be the matter with a file; lock not held. */
void region_look_at_file(gcmmap_fault *fault);

int region_close(gcmmap_region *handle, const void *caller);
int region_unmap_now(gcmmap_region *handle);

/* The same for a new region that its user has not seen: nobody is told. */
void region_discard(gcmmap_region *handle);

/* Collects, then releases the dead; returns how many. */
size_t region_collect(void);

/* Gives the pooled addresses back; returns how many bytes. */
size_t region_trim(void);

void region_get_stats(gcmmap_stats *stats);

enum region_visible { REGION_OPEN, REGION_CLOSING, REGION_CLOSED, REGION_DYING };

/* What a region is like at some moment.  Addresses are complemented: they keep nothing. */
struct region_info {
    uint64_t id;
    uintptr_t hidden_handle;
    uintptr_t hidden_data;
    size_t block_bytes; /* from its handle on: what pointers keep it by */
    size_t n_bytes;
    size_t n_page_bytes; /* of the pages that hold them, 0: they are gone */
    size_t room;         /* 0: fixed size */
    off_t offset;        /* in its file */
    unsigned flags;      /* GCMMAP_ ..., as mapped */
    enum region_visible state;
    bool traced, of_file, charged, by_handle;
    uint64_t age; /* milliseconds */
    const void *mapped_by, *closed_by;
    const char *name; /* or NULL */
};

struct region_list {
    struct region_info *infos; /* in the order of their data's addresses */
    size_t n;
    char *names;
};

/* Lock not held.  All regions; ENOMEM.  To be given back by region_end_list(). */
int region_begin_list(struct region_list *list);
void region_end_list(struct region_list *list);

/*
 * With the world stopped and the lock held: the contents of a traced region that lie on a block,
 * or nothing.  The words are those at `address`, perhaps a copy.
 */
struct region_contents {
    const unsigned char *data; /* the region's */
    size_t n_bytes;
    const uintptr_t *words;
    size_t n_words;
    uintptr_t address;
};
typedef void region_visitor(const struct region_contents *contents, void *arg);
void region_visit_block(const void *block, region_visitor *fn, void *arg);

/*
 * Pins the region that is described, if it is still open and as long.  false: it is not.
 * A region without bytes has no pages.
 */
bool region_pin_listed(const struct region_info *info, struct region_pin *pin);

#endif
