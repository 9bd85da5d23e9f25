/*
 * 04-arena: memory that is allocated piece by piece and forgotten all at once.
 *
 *     ./04-arena < TEXT
 *
 * The words of a text become a tree.  Its nodes lie in an arena on gcmmap_alloc(), and point
 * to each other and to objects of the collector's heap: the spelling, and a list of the lines
 * that the word is in.  These point back.  Nothing is ever freed: while any node is in use, the
 * arena is, with all that its nodes point to; afterwards both go, in circles or not.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define RESERVED ((size_t)1 << (sizeof(void *) > 4 ? 30 : 20)) /* costs what is written to */
#define N_TREES 10 /* the same, several times: one may be held by chance */

struct arena {
    char *next, *end; /* the arena lies in its own memory, and points there */
};

struct line { /* in the collector's heap */
    struct line *previous;
    struct node *node; /* back into the arena */
    unsigned long number;
};

struct node { /* in the arena */
    struct node *left, *right;
    const char *word; /* in the collector's heap */
    struct line *lines;
};

static struct arena *new_arena(void)
{
    struct arena *arena = gcmmap_data(gcmmap_alloc(RESERVED, 0));

    if (arena != NULL) {
        arena->next = (char *)(arena + 1);
        arena->end = (char *)arena + RESERVED;
    }
    return arena;
}

/* Zeroed, as the kernel gives it. */
static void *allocate(struct arena *arena, size_t n_bytes)
{
    char *result = arena->next;

    n_bytes = (n_bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    if ((size_t)(arena->end - arena->next) < n_bytes)
        return NULL;
    arena->next += n_bytes;
    return result;
}

static struct node *find(struct arena *arena, struct node **root, const char *word)
{
    struct node **at = root;

    for (int order; *at != NULL; at = order < 0 ? &(*at)->left : &(*at)->right)
        if ((order = strcmp(word, (*at)->word)) == 0)
            return *at;
    *at = allocate(arena, sizeof **at);
    if (*at != NULL)
        (*at)->word = GC_STRDUP(word);
    return *at;
}

static bool add(struct node *node, unsigned long number)
{
    struct line *line = GC_NEW(struct line);

    if (node == NULL || line == NULL)
        return false;
    *line = (struct line){ node->lines, node, number };
    node->lines = line;
    return true;
}

/* The words of the text, which is gone afterwards; NULL: no memory. */
static __attribute__((noinline)) struct node *read_tree(char *text)
{
    struct arena *arena = new_arena();
    struct node *root = NULL;
    unsigned long number = 0;

    for (char *line, *rest = text; arena != NULL && (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        for (char *word; (word = strsep(&line, " \t.,;:()\"'")) != NULL;)
            if (*word != '\0' && !add(find(arena, &root, word), number))
                return NULL;
    }
    return root;
}

static size_t count_lines(const struct node *node)
{
    size_t n = 0;

    if (node == NULL)
        return 0;
    for (const struct line *line = node->lines; line != NULL; line = line->previous)
        n += line->node == node && line->number > 0;
    return n + count_lines(node->left) + count_lines(node->right);
}

static __attribute__((noinline)) bool build(const char *text, struct node **trees)
{
    for (int i = 0; i < N_TREES; i++)
        if ((trees[i] = read_tree(GC_STRDUP(text))) == NULL)
            return false;
    return true;
}

/* Of each tree only a line is kept: an object of the heap, which knows its node. */
static __attribute__((noinline)) void keep_lines(struct node **trees, struct line **lines)
{
    for (int i = 0; i < N_TREES; i++) {
        lines[i] = trees[i]->lines;
        trees[i] = NULL;
    }
}

static __attribute__((noinline)) size_t count_all(struct line **lines)
{
    size_t n = 0;

    for (int i = 0; i < N_TREES; i++)
        n += count_lines(lines[i]->node); /* of roots */
    return n;
}

static size_t n_arenas(void)
{
    gcmmap_stats stats;

    for (int i = 0; i < 3; i++)
        (void)gcmmap_collect();
    gcmmap_get_stats(&stats);
    return stats.n_live;
}

int main(void)
{
    static char text[1 << 16];
    static struct node *trees[N_TREES]; /* static: the collector sees them */
    static struct line *lines[N_TREES];
    size_t n_first, n_again;

    GC_INIT();
    text[fread(text, 1, sizeof text - 1, stdin)] = '\0';
    if (strspn(text, " \t\n.,;:()\"'") == strlen(text) || !build(text, trees)) {
        fputs("04-arena: no words, or no memory\n", stderr);
        return 1;
    }
    keep_lines(trees, lines);
    n_first = count_all(lines);
    printf("%d arenas, %zu words in all\n", N_TREES, n_first);
    if (n_arenas() != N_TREES || (n_again = count_all(lines)) != n_first)
        return puts("BROKEN: something is missing"), 1;
    puts("one line of each is kept: so is all the rest");
    memset(lines, 0, sizeof lines);
    if (n_arenas() > 2)
        return puts("BROKEN: the arenas are still there"), 1;
    puts("forgotten: the arenas are gone");
    return 0;
}
