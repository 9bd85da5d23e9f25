/*
 * model: what each region must show, according to gcmmap.h; kept in malloc'ed memory, with all
 * addresses hidden from the collector.  See programs-of-calls-hold-the-oracle.c.
 *
 *        image, pages of the file from `base` on
 *        +---------+--------------------------+----------------+
 *        |  head   |  n_bytes                 |   up to room   |
 *        +---------+--------------------------+----------------+
 *
 * A page of an image counts where it is the region's own: anonymous, or a private copy.  All
 * others are seen through their file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MODEL_H
#define MODEL_H

#include "../live.h"

#define PAGE ((size_t)4096) /* programs are skipped where it is another */
#define FILE_MOST (16 * PAGE)
#define IMAGE_PAGES 24u
#define MOST_FILES 24u
#define MOST_MODELS 64u
#define ACCESS (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC)

struct file {
    unsigned char bytes[FILE_MOST]; /* 0 behind the end */
    size_t size;
    int fd; /* read and write */
};

struct page {
    unsigned access;
    bool is_own;     /* the image has its contents */
    bool is_guard;   /* nobody may touch it */
    bool is_locked;  /* in memory */
    bool is_wiped;   /* in forked children */
    bool is_unknown; /* no longer followed */
};

/* What a released callback is told; outlives the program of calls that it belongs to. */
struct listener {
    struct listener *next;
    uintptr_t hidden_data;
    size_t n_bytes;
    char name[8];
    unsigned program, model;
    bool has_size; /* options.released, and not gcmmap_adopt's */
};

struct model {
    bool is_used, is_closed, is_gone; /* gone: found so by a weak reference, or unmapped now */
    bool is_reached;                  /* scratch */
    bool has_strays;                  /* perhaps: pages behind its end, for want of a map slot */
    bool is_copy; /* a snapshot: what it shows when a page is lost, it does not say */
    bool grows, is_traced, is_private, by_handle, fd_is_writable;
    unsigned flags;
    struct file *file; /* NULL: anonymous */
    size_t base;       /* of the image in the file */
    size_t head, n_bytes, room;
    uintptr_t hidden_handle, hidden_data;
    gcmmap_weak weak;
    struct page pages[IMAGE_PAGES];
    unsigned char *image;
    int child;       /* model that a pointer in the image leads to; -1: none */
    size_t child_at; /* in the image */
    struct listener *listener;
};

static struct file *files[MOST_FILES];
static unsigned n_files;
static struct model models[MOST_MODELS];
static unsigned n_models;
static unsigned program_number;

static inline size_t page_up(size_t n)
{
    return (n + PAGE - 1) & ~(PAGE - 1);
}

static inline unsigned n_pages_for(const struct model *model, size_t n_bytes)
{
    return n_bytes == 0 ? 0 : (unsigned)(page_up(model->head + n_bytes) / PAGE);
}

static inline bool is_shared_writable(const struct model *model)
{
    return model->file != NULL && !model->is_private && (model->flags & GCMMAP_WRITE);
}

/* ---- contents ------------------------------------------------------------------ */

static inline bool has_child_in(const struct model *model, size_t from, size_t to)
{
    return model->child >= 0 && model->child_at < to && model->child_at + sizeof(void *) > from;
}

static inline const unsigned char *byte_in_file(const struct model *model, size_t at)
{
    static const unsigned char zero = 0;

    at += model->base;
    return at < FILE_MOST ? &model->file->bytes[at] : &zero;
}

static inline unsigned char byte_of(const struct model *model, size_t at)
{
    return model->pages[at / PAGE].is_own ? model->image[at] : *byte_in_file(model, at);
}

/* The page holds what this process stored, from now on. */
static inline void make_own(struct model *model, unsigned p)
{
    if (model->pages[p].is_own || !model->is_private)
        return;
    for (size_t at = p * PAGE; at < (p + 1) * PAGE; at++)
        model->image[at] = *byte_in_file(model, at);
    model->pages[p].is_own = true;
}

/* What was stored is lost. */
static inline void lose_page(struct model *model, unsigned p)
{
    memset(model->image + p * PAGE, 0, PAGE);
    model->pages[p].is_own = model->file == NULL;
    model->pages[p].is_unknown |= model->is_copy;
    if (has_child_in(model, p * PAGE, (p + 1) * PAGE))
        model->child = -1;
}

/* As it is when it is mapped. */
static inline void fresh_page(struct model *model, unsigned p)
{
    model->pages[p] = (struct page){ .access = model->flags & ACCESS };
    lose_page(model, p);
}

static inline bool is_in_file(const struct model *model, unsigned p)
{
    return model->file == NULL || model->base + p * PAGE < model->file->size;
}

static inline bool can_be_read(const struct model *model, unsigned p)
{
    return !model->is_closed && (model->pages[p].access & (GCMMAP_READ | GCMMAP_WRITE)) &&
           !model->pages[p].is_guard && is_in_file(model, p);
}

static inline bool can_be_written(const struct model *model, unsigned p)
{
    return can_be_read(model, p) && (model->pages[p].access & GCMMAP_WRITE) &&
           !model->pages[p].is_unknown;
}

/* Pages that are locked, or were asked for at once, become copies if they can be written to. */
static inline void fault_in(struct model *model, unsigned p)
{
    if (model->pages[p].access & GCMMAP_WRITE)
        make_own(model, p);
}

static inline void add_pages(struct model *model, unsigned from, unsigned to)
{
    for (unsigned p = from; p < to; p++) {
        fresh_page(model, p);
        model->pages[p].is_locked = (model->flags & GCMMAP_LOCK) != 0;
        if (model->flags & (GCMMAP_LOCK | GCMMAP_POPULATE))
            fault_in(model, p);
    }
}

static inline void file_has_size(struct file *file, size_t size)
{
    bool shrinks = size < file->size;

    if (shrinks)
        memset(file->bytes + size, 0, file->size - size);
    file->size = size;
    for (unsigned i = 0; i < n_models && shrinks; i++) {
        struct model *model = &models[i];

        if (!model->is_used || model->file != file || model->is_closed)
            continue;
        for (unsigned p = 0; p < IMAGE_PAGES; p++)
            if (!is_in_file(model, p)) {
                lose_page(model, p);
                model->pages[p].is_unknown |= model->pages[p].is_guard;
            }
    }
}

/* ---- who is reached --------------------------------------------------------------- */

static inline void reach(int i)
{
    while (i >= 0 && !models[i].is_reached) {
        models[i].is_reached = true;
        i = models[i].is_closed ? -1 : models[i].child;
    }
}

static inline struct model *new_model(void)
{
    struct model *model = n_models < MOST_MODELS ? &models[n_models] : NULL;

    if (model == NULL)
        return NULL;
    *model = (struct model){ .child = -1, .image = model->image };
    if (model->image == NULL)
        model->image = malloc(IMAGE_PAGES * PAGE);
    need(model->image != NULL, "malloc");
    return model;
}

#endif
