/*
 * cells: bytevectors of Guile's that hold their region, and the exceptions about them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CELLS_H
#define CELLS_H

#include "members.h"

#include <libguile.h>

#include "gcmmap.h"

struct cell {
    /* As Guile has it. */
    scm_t_bits type;
    size_t length;
    unsigned char *contents;
    SCM parent;
    struct member member;
};

void set_up_cells(void);

_Noreturn void system_error(const char *who, SCM what, int error);
_Noreturn void closed_error(const char *who, const struct cell *cell);

/* A bytevector, or SCM_BOOL_F if the region was closed. */
SCM make_cell(struct members *members, SCM parent, unsigned char *data, size_t n_bytes,
              scm_t_bits type);
/* The first of a region; without one errno is raised. */
SCM bytevector_of(const char *who, gcmmap_region *region, SCM name, unsigned flags);

/* The bytevector of ours that this one is or is a slice of; NULL: none. */
struct cell *find_cell(SCM bytevector);
/* These raise instead. */
struct cell *need_cell(const char *who, SCM bytevector);
struct cell *need_open_cell(const char *who, SCM bytevector);

gcmmap_region *handle_of(const struct cell *cell);

void close_region(const char *who, const struct cell *cell);

#endif
