/*
 * grep-keep: what was found and is shown in the end: sorted, each once, the most frequent.
 *
 * The slices lie in an array that the collector scans, and keep their regions.  What is sorted are
 * indices into it, so no slice is ever hidden from the collector.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <stdint.h>
#include <string.h>

#include "grep-guard.h"
#include "grep-keep.h"
#include "grep-out.h"
#include "grep-say.h"

struct kept {
    const unsigned char *data; /* NULL: it cannot be read any more */
    size_t size;
    const struct file *file;
    uint64_t number, offset, count, hash;
    bool is_match;
};

/* What is sorted. */
struct place {
    uint64_t key; /* the text's first bytes, as a number */
    size_t index;
};

static const struct options *options;
static struct matcher *shower;
static struct kept *all;
static size_t n_all, room;

static struct place *order;
static size_t next; /* to be put out */

/* Of texts, with --unique: indices + 1, 0 is free; a power of two of them, half are free. */
static size_t *table;
static size_t n_table;

void keep_open(const struct options *what)
{
    options = what;
}

/* ---- each once ------------------------------------------------------------ */

static uint64_t hash_of(struct span text)
{
    uint64_t hash = (uint64_t)(text.end - text.begin) * UINT64_C(0x9E3779B97F4A7C15);
    const unsigned char *p = text.begin;

    for (uint64_t word; text.end - p >= (ptrdiff_t)sizeof word; p += sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9FB21C651E98DF25);
        hash ^= hash >> 32;
    }
    for (; p < text.end; p++)
        hash = (hash ^ *p) * UINT64_C(0x100000001B3);
    return (hash ^ hash >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
}

/* Where in the table a hash belongs: its place, or a free one. */
static size_t *slot_of(uint64_t hash, struct span text)
{
    size_t size = (size_t)(text.end - text.begin);
    size_t i = (size_t)(hash >> 20) & (n_table - 1);

    for (; table[i] != 0; i = (i + 1) & (n_table - 1)) {
        const struct kept *kept = &all[table[i] - 1];

        if (kept->hash == hash && kept->size == size && kept->data != NULL &&
            memcmp(kept->data, text.begin, size) == 0)
            break;
    }
    return &table[i];
}

/* The texts differ, so none is looked at. */
static void grow_table(void)
{
    size_t *slots;
    size_t n = n_table == 0 ? 1024 : 2 * n_table;

    if (2 * n_all < n_table)
        return;
    slots = new_bytes(n * sizeof *slots);
    memset(slots, 0, n * sizeof *slots);
    for (size_t i = 0; i < n_all; i++) {
        size_t at = (size_t)(all[i].hash >> 20) & (n - 1);

        while (slots[at] != 0)
            at = (at + 1) & (n - 1);
        slots[at] = i + 1;
    }
    table = slots;
    n_table = n;
}

void keep_found(const struct found *found)
{
    struct kept kept = { .data = found->text.begin,
                         .size = (size_t)(found->text.end - found->text.begin),
                         .file = found->file,
                         .number = found->number,
                         .offset = found->offset,
                         .count = 1,
                         .is_match = found->is_match };
    size_t *slot = NULL;

    if (options->unique) {
        grow_table();
        kept.hash = hash_of(found->text);
        slot = slot_of(kept.hash, found->text);
        if (*slot != 0) {
            all[*slot - 1].count++;
            return;
        }
    }
    all = array_grow(all, n_all, &room, sizeof *all);
    all[n_all++] = kept;
    if (slot != NULL)
        *slot = n_all;
}

/* ---- sorted --------------------------------------------------------------- */

/* The first eight bytes, so that most comparisons need not look at the text. */
static uint64_t key_of(const struct kept *kept)
{
    uint64_t key = 0;

    for (size_t i = 0; i < sizeof key; i++)
        key = key << 8 | (i < kept->size ? kept->data[i] : 0);
    return key;
}

static bool comes_before(const struct place *left, const struct place *right)
{
    const struct kept *a = &all[left->index], *b = &all[right->index];
    int difference;

    if (options->top > 0 && a->count != b->count)
        return a->count > b->count;
    if (left->key != right->key)
        return left->key < right->key;
    difference = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    if (difference != 0)
        return difference < 0;
    return a->size != b->size ? a->size < b->size : left->index < right->index;
}

/* Merges [from, middle) and [middle, to). */
static void merge(const struct place *in, struct place *out, size_t from, size_t middle, size_t to)
{
    size_t left = from, right = middle;

    for (size_t i = from; i < to; i++) {
        bool takes_right = left == middle || (right < to && comes_before(&in[right], &in[left]));

        out[i] = in[takes_right ? right++ : left++];
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The order, of what can still be read. */
static void sort(void *n_sorted)
{
    size_t n = 0;
    struct place *spare = new_bytes((n_all + 1) * sizeof *spare);

    order = new_bytes((n_all + 1) * sizeof *order);
    for (size_t i = 0; i < n_all; i++)
        if (all[i].data != NULL) {
            order[n].key = options->sort || options->top > 0 ? key_of(&all[i]) : 0;
            order[n++].index = i;
        }
    *(size_t *)n_sorted = n;
    if (!options->sort && options->top == 0)
        return;
    for (size_t run = 1; run < n; run *= 2) {
        struct place *merged = spare;

        for (size_t from = 0; from < n; from += 2 * run)
            merge(order, merged, from, least(from + run, n), least(from + 2 * run, n));
        spare = order;
        order = merged;
    }
}

/* ---- put out -------------------------------------------------------------- */

static void put_out(void *n)
{
    for (; next < *(size_t *)n; next++) {
        const struct kept *kept = &all[order[next].index];
        struct found found = { .file = kept->file,
                               .number = kept->number,
                               .offset = kept->offset,
                               .is_match = kept->is_match };

        if (kept->data == NULL)
            continue;
        found.text = (struct span){ kept->data, kept->data + kept->size };
        if (options->count || options->top > 0)
            found.count = kept->count;
        print_found(options, shower, &found);
    }
}

/* What lies in a region that cannot be read goes. */
static void drop(const gcmmap_region *region)
{
    const struct file *file = NULL;

    out_give_up_record();
    for (size_t i = 0; i < n_all; i++)
        if (all[i].data != NULL && gcmmap_of(all[i].data) == region) {
            file = all[i].file;
            all[i].data = NULL;
        }
    errors_seen = true;
    if (file != NULL && !options->no_messages)
        say("%s: " TRUNCATED, file->name);
}

void keep_end(struct matcher *matcher)
{
    const gcmmap_region *lost;
    size_t n = 0;

    shower = matcher;
    while ((lost = guarded(sort, &n)) != NULL)
        drop(lost);
    if (options->top > 0)
        n = least(n, options->top);
    while ((lost = guarded(put_out, &n)) != NULL)
        drop(lost);
    /* Whatever still leads to the array by accident shall not lead to the files. */
    if (n_all > 0)
        memset(all, 0, n_all * sizeof *all);
    all = NULL;
    order = NULL;
    table = NULL;
    n_all = room = n_table = next = 0;
}
