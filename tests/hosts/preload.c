/*
 * preload: maps a file in a program that knows nothing of it, keeps it, and tells at the end how
 * often the collector has run.
 *
 *     LD_PRELOAD=preload.so GCMMAP_TEST_FILE=FILE GCMMAP_TEST_COUNT=COUNT PROGRAM
 *
 * Without GCMMAP_TEST_FILE it only counts.
 *
 * SPDX-License-Identifier: MIT
 */
#include <gc/gc.h>

#include <stdio.h>
#include <stdlib.h>

#include "gcmmap.h"

static const char *kept; /* inside the mapping */

static void tell(void)
{
    const char *path = getenv("GCMMAP_TEST_COUNT");
    FILE *out = path ? fopen(path, "w") : NULL;
    size_t n_bytes = kept ? gcmmap_size(gcmmap_of(kept)) : 0;

    if (!out)
        return;
    fprintf(out, "%lu %zu\n", (unsigned long)GC_get_gc_no(), n_bytes);
    fclose(out);
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("GCMMAP_TEST_FILE");

    if (path) {
        kept = gcmmap_data(gcmmap_open(path, GCMMAP_READ));
        if (!kept)
            abort();
        kept++;
    }
    atexit(tell);
}
