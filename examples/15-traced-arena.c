/*
 * 15-traced-arena: step 5 of doc/tutorial.md.
 *
 *     ./15-traced-arena
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define N 10000

struct node { /* in the arena */
    struct node *next;
    const char *name; /* in the collector's heap */
};

/* A list, all of it in one region, whose nodes point to strings outside. */
static __attribute__((noinline)) struct node *build(void)
{
    struct node *nodes = gcmmap_data(gcmmap_alloc(N * sizeof *nodes, 0));
    char name[32];

    for (int i = 0; nodes != NULL && i < N; i++) {
        snprintf(name, sizeof name, "node %d", i);
        nodes[i] = (struct node){ i + 1 < N ? &nodes[i + 1] : NULL, GC_STRDUP(name) };
    }
    return nodes;
}

int main(void)
{
    static struct node *last; /* all that is kept */
    const struct node *first;

    GC_INIT();
    last = build();
    while (last != NULL && last->next != NULL)
        last = last->next;
    (void)gcmmap_collect();
    for (int i = 0; i < 100000; i++) /* what was lost would be used again */
        memset(GC_MALLOC(16), 0x55, 16);
    first = gcmmap_data(gcmmap_of(last));
    if (first == NULL || strcmp(first->name, "node 0") != 0)
        return puts("something is missing"), 1;
    printf("%s is kept, and so is %s\n", last->name, first->name);
    return 0;
}
