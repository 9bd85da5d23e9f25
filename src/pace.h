/*
 * pace: when to collect.
 *
 * SPDX-License-Identifier: MIT
 *
 * Two directions.  Ours: mapping allocates nothing from the collector, so a program that
 * maps and drops would never collect; we ask for it.  The host's: the blocks that mappings
 * lie on look like live heap to bdwgc, which then collects too rarely; we correct its free
 * space divisor by what is ours, on top of the value that the host has chosen.
 */
#ifndef PACE_H
#define PACE_H

#include <stdbool.h>
#include <stddef.h>

/* What is mapped right now. */
struct pace_live {
    size_t n_regions;
    size_t bytes;         /* address space */
    size_t bytes_charged; /* private and writable: may cost memory */
};

/* When to collect, all set. */
struct pace_limits {
    size_t n_regions, bytes, bytes_charged, live_percent;
};

/* Lock not held.  0 stands for the default. */
void pace_set(const struct pace_limits *wanted);
struct pace_limits pace_get(void);

/* Lock held.  Something was mapped since the last collection. */
void pace_mapped(size_t bytes, size_t bytes_charged);

/* Lock held.  What is mapped became larger. */
void pace_grown(size_t bytes_charged);

/* Lock held.  It is unmapped again without our having collected. */
void pace_unmapped(size_t bytes, size_t bytes_charged);

/* Lock held.  Whether we should collect before mapping more. */
bool pace_is_due(const struct pace_live *live);

/* Before anything is mapped. */
void pace_start(void);

/*
 * Lock not held.  Corrects the host's divisor, and the least that it allocates between two
 * collections, for so many bytes of its heap that are ours; 0: puts back its own.  Call when the number changes and after each collection.
 */
void pace_host(size_t bytes_ours);

/* The same, and next to nothing if the number is that of the last call. */
void pace_host_if_changed(size_t bytes_ours);

void pace_after_fork_in_child(void);

#endif
