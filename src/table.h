/*
 * table: what there is to tell of all regions, for the listing and the picture.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TABLE_H
#define TABLE_H

#include "region.h"
#include "search.h"
#include "survey.h"

struct table_row {
    const struct region_info *info;
    struct survey survey;
    char *path;                  /* of what the system says is mapped there; or NULL */
    size_t n_slices;             /* pointers into it, if table.knows_slices */
    struct survey_pieces pieces; /* n may be 0 */
    uint32_t *slices;            /* in each piece */
};

struct table {
    struct region_list list;
    struct table_row *rows;         /* in the order of addresses ... */
    const struct table_row **order; /* ... and the largest first */
    size_t n;
    bool knows_slices;
    size_t at; /* of a walk */
};

struct table_wish {
    const struct search_caller *caller; /* slices are to be looked for; or NULL */
    size_t (*n_pieces)(size_t rank);    /* of the region of that rank in `order`; or NULL */
};

/* Lock not held.  0 or ENOMEM. */
int table_begin(struct table *table, const struct table_wish *wish);
void table_end(struct table *table);

/* What it is called, or its path, or NULL. */
const char *table_name(const struct table_row *row);
const char *table_state(const struct table_row *row);

#endif
