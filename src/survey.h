/*
 * survey: what the pages of a region hold at this moment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SURVEY_H
#define SURVEY_H

#include "region.h"

/*
 * A region cut into n pieces, for those who draw it; not more than it has pages.  Page i
 * of m is in piece i * n / m.
 */
struct survey_pieces {
    size_t n;
    uint32_t *resident, *written; /* pages in each piece */
};

struct survey {
    bool knows_resident, knows_written;
    size_t n_resident, n_written; /* bytes of whole pages */
    struct survey_pieces *pieces; /* filled in; or NULL */
};

/* How many of m pages lie in front of piece i of n. */
static inline size_t survey_pages_before(size_t i, size_t n, size_t m)
{
    return (i * m + n - 1) / n;
}

/* Lock not held.  Asks the system; a region that is not open any more has nothing. */
void survey_region(const struct region_info *info, struct survey *survey);

#endif
