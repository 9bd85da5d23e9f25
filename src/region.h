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

struct region_request {
    struct os_mapping mapping; /* offset: of the page that holds the first byte */
    size_t head;               /* bytes of that page in front of the first byte */
    size_t n_bytes;            /* head + n_bytes does not overflow when rounded to pages */
    bool traced;
};

int region_create(const struct region_request *request, gcmmap_region **handle);

/* EINVAL: not a handle; EBADF: closed; *bytes is {NULL, 0} then. */
int region_bytes(const gcmmap_region *handle, gcmmap_slice *bytes);

/* The region that the pointer lies in or one past, closed or not; else NULL. */
gcmmap_region *region_of(const void *pointer);

int region_close(gcmmap_region *handle);
int region_unmap_now(gcmmap_region *handle);

/* Collects, then releases the dead; returns how many. */
size_t region_collect(void);

/* Gives the pooled addresses back; returns how many bytes. */
size_t region_trim(void);

void region_get_stats(gcmmap_stats *stats);

#endif
