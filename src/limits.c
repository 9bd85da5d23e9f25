/*
 * limits: the public calls that set the budget and the pacing.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "gcmmap.h"
#include "pace.h"
#include "region.h"

int gcmmap_set_budget(const gcmmap_budget *budget)
{
    static const gcmmap_budget none;

    if (budget == NULL || memcmp(budget->reserved, none.reserved, sizeof none.reserved) != 0) {
        errno = EINVAL;
        return -1;
    }
    region_set_budget(&(struct region_budget){ .n_regions = budget->n_regions,
                                               .n_bytes = budget->bytes,
                                               .n_charged = budget->bytes_charged });
    return 0;
}

void gcmmap_get_budget(gcmmap_budget *budget)
{
    struct region_budget now = region_get_budget();

    *budget = (gcmmap_budget){ .n_regions = now.n_regions,
                               .bytes = now.n_bytes,
                               .bytes_charged = now.n_charged };
}

int gcmmap_set_pacing(const gcmmap_pacing *pacing)
{
    static const gcmmap_pacing none;

    if (pacing == NULL || memcmp(pacing->reserved, none.reserved, sizeof none.reserved) != 0) {
        errno = EINVAL;
        return -1;
    }
    pace_set(&(struct pace_limits){ .n_regions = pacing->n_regions,
                                    .bytes = pacing->bytes,
                                    .bytes_charged = pacing->bytes_charged,
                                    .live_percent = pacing->live_percent });
    return 0;
}

void gcmmap_get_pacing(gcmmap_pacing *pacing)
{
    struct pace_limits now = pace_get();

    *pacing = (gcmmap_pacing){ .n_regions = now.n_regions,
                               .bytes = now.bytes,
                               .bytes_charged = now.bytes_charged,
                               .live_percent = now.live_percent };
}
