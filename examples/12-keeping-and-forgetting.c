/*
 * 12-keeping-and-forgetting: step 2 of doc/tutorial.md.
 *
 *     ./12-keeping-and-forgetting FILE
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define N 100

struct bookmark { /* an object of the collector's heap */
    const unsigned char *word;
};

/* The collector looks at it. Were it static, the compiler could see that nobody else does. */
struct bookmark *bookmarks[N];

/* Maps the file N times, and keeps a pointer to its middle of each. */
static __attribute__((noinline)) int map_all(const char *path)
{
    for (int i = 0; i < N; i++) {
        gcmmap_slice bytes = gcmmap_bytes(gcmmap_open(path, GCMMAP_READ));

        if (bytes.data == NULL)
            return -1;
        bookmarks[i] = GC_NEW(struct bookmark);
        bookmarks[i]->word = bytes.data + bytes.size / 2;
    }
    return 0;
}

static size_t n_mapped(void)
{
    gcmmap_stats stats;

    (void)gcmmap_collect();
    (void)gcmmap_collect();
    gcmmap_get_stats(&stats);
    return stats.n_live;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/proc/self/exe";

    GC_INIT();
    if (map_all(path) != 0) {
        perror(path);
        return 1;
    }
    printf("%zu mapped, as a pointer into each is kept\n", n_mapped());
    memset(bookmarks, 0, sizeof bookmarks);
    if (n_mapped() > N / 10) /* a few may be held by chance: the collector is conservative */
        return puts("still mapped"), 1;
    puts("forgotten, they are unmapped");
    return 0;
}
