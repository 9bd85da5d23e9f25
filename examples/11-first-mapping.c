/*
 * 11-first-mapping: step 1 of doc/tutorial.md.
 *
 *     ./11-first-mapping FILE
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include <gc/gc.h>

#include "gcmmap.h"

static gcmmap_slice longest_line(gcmmap_region *region)
{
    gcmmap_slice rest = gcmmap_bytes(region), line, longest = { NULL, 0 };

    while (gcmmap_next_line(&rest, &line))
        if (line.size > longest.size)
            longest = line;
    return longest;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/proc/self/exe";
    gcmmap_region *region;
    gcmmap_slice longest;

    GC_INIT();
    region = gcmmap_open(path, GCMMAP_READ);
    if (region == NULL) {
        perror(path);
        return 1;
    }
    longest = longest_line(region);
    printf("the longest of %zu bytes: %.*s\n", gcmmap_size(region), (int)longest.size,
           (const char *)longest.data);
    return 0;
}
