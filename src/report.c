/*
 * report: what is there to see.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "gcmmap.h"
#include "region.h"

void gcmmap_get_stats(gcmmap_stats *stats)
{
    region_get_stats(stats);
}
