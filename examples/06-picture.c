/*
 * 06-picture: draws what is mapped.
 *
 *     ./06-picture FILE... > picture.svg
 *
 * Maps the files, reads some of each, keeps a word here and there, and adds an arena; then
 * gcmmap_report() draws which pages are in memory, which were written, and where pointers lead.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define N_WORDS 8
#define ARENA_SIZE ((size_t)4 << 20)

static const unsigned char **words; /* static: the collector sees it */
static size_t n_words;
static char *volatile arena; /* volatile: never read, but kept */

/* Keeps pointers into the first half of the file, and a few into the rest. */
static int keep_words(const char *path)
{
    gcmmap_slice bytes = gcmmap_bytes(gcmmap_open(path, GCMMAP_READ));

    if (bytes.data == NULL)
        return -1;
    for (size_t i = 0; i < N_WORDS && bytes.size > 0; i++)
        words[n_words++] = bytes.data + bytes.size / N_WORDS * i * i / N_WORDS;
    return 0;
}

int main(int argc, char **argv)
{
    gcmmap_options options = { .name = "arena" };

    GC_INIT();
    words = GC_MALLOC((size_t)argc * N_WORDS * sizeof *words);
    for (int i = 1; i < argc; i++)
        if (keep_words(argv[i]) != 0)
            perror(argv[i]);
    arena = gcmmap_data(gcmmap_alloc_with(ARENA_SIZE, 0, &options));
    if (arena == NULL)
        return 1;
    for (size_t at = 0; at < ARENA_SIZE; at += at / 4 + 4096)
        arena[at] = 1;
    if (gcmmap_report(stdout) != 0) {
        perror("gcmmap_report");
        return 1;
    }
    return 0;
}
