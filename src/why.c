/*
 * why: who keeps a region.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "gcmmap.h"
#include "os_look.h"
#include "region.h"
#include "search.h"
#include "text.h"

#define MOST_PRINTED 100u

struct why {
    struct region_list list; /* as it was before */
    const struct region_info *info;
    struct search_hit *hits;
    size_t n, most;
    bool gave_up;
    bool is_gone; /* nothing kept it */
};

static bool add_hit(const struct search_hit *hit, void *arg)
{
    struct why *why = arg;

    why->hits[why->n++] = *hit;
    return why->n < why->most;
}

static const struct region_info *find_info(const struct region_list *list, uintptr_t hidden_handle)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->infos[i].hidden_handle == hidden_handle)
            return &list->infos[i];
    return NULL;
}

static int search_for(struct why *why, const struct search_caller *caller)
{
    const struct search_target target = { why->info->hidden_handle, why->info->block_bytes };
    struct search search = {
        .targets = &target, .n_targets = 1, .found = add_hit, .arg = why, .caller = caller
    };
    int error;

    error = search_run(&search);
    why->gave_up = search.gave_up;
    return error;
}

static int begin(struct why *why, const struct search_caller *caller, size_t most)
{
    uintptr_t hidden_handle = ~(uintptr_t)region_of((void *)~caller->hidden);
    gcmmap_weak weak = { 0 };
    int error;

    *why = (struct why){ .most = most };
    if (hidden_handle == ~(uintptr_t)0 || region_weaken((void *)~hidden_handle, &weak) != 0)
        return EINVAL;
    /* Garbage, and objects that only their finalizer is waiting for, are no holders. */
    (void)region_collect();
    error = region_begin_list(&why->list);
    if (error != 0)
        return error;
    why->info = find_info(&why->list, hidden_handle);
    why->is_gone = why->info == NULL || why->info->id != weak.id;
    if (why->is_gone)
        return 0;
    why->hits = calloc(most + 1, sizeof *why->hits);
    if (why->hits == NULL)
        return ENOMEM;
    if (most > 0)
        error = search_for(why, caller);
    if (error == 0 && region_strengthen(&weak) == NULL)
        why->is_gone = true; /* and somebody else may be there */
    return error;
}

static void end(struct why *why)
{
    free(why->hits);
    region_end_list(&why->list);
}

/* ---- telling -------------------------------------------------------------------- */

static const struct region_info *region_at(const struct region_list *list, uintptr_t hidden_data)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->infos[i].hidden_data == hidden_data && list->infos[i].n_bytes != 0)
            return &list->infos[i];
    return NULL;
}

/* name: room for what it may be called. */
static gcmmap_holder describe(const struct why *why, const struct search_hit *hit, char *name,
                              size_t n_name)
{
    static const int kinds[] = {
        [SEARCH_REGISTER] = GCMMAP_HOLDER_REGISTER, [SEARCH_STACK] = GCMMAP_HOLDER_STACK,
        [SEARCH_DATA] = GCMMAP_HOLDER_DATA,         [SEARCH_OBJECT] = GCMMAP_HOLDER_OBJECT,
        [SEARCH_REGION] = GCMMAP_HOLDER_REGION,
    };
    size_t head = (size_t)(why->info->hidden_handle - why->info->hidden_data);
    gcmmap_holder holder = {
        .kind = kinds[hit->place],
        .flags = (hit->points_to == 0 ? GCMMAP_HOLDER_IS_HANDLE : 0u) |
                 (hit->is_unsure ? GCMMAP_HOLDER_IS_UNSURE : 0u),
        .address = (void *)hit->address,
        .points_to = why->info->by_handle ? 0 : (ptrdiff_t)hit->points_to - (ptrdiff_t)head,
        .thread = hit->thread,
        .object_kind = hit->object_kind,
    };

    if (hit->place == SEARCH_OBJECT || hit->place == SEARCH_REGION) {
        holder.object = (void *)~hit->hidden_base;
        holder.size = hit->n_bytes;
        holder.offset = (size_t)(hit->address - ~hit->hidden_base);
    }
    if (hit->place == SEARCH_DATA) {
        os_name_address(holder.address, name, n_name);
        holder.name = name;
    }
    if (hit->place == SEARCH_REGION) {
        const struct region_info *other = region_at(&why->list, hit->hidden_base);

        holder.name = other != NULL ? other->name : NULL;
    }
    return holder;
}

static void tell(const struct why *why, void (*found)(const gcmmap_holder *holder, void *data),
                 void *data)
{
    char name[512];

    for (size_t i = 0; i < why->n && !why->is_gone; i++) {
        const gcmmap_holder holder = describe(why, &why->hits[i], name, sizeof name);

        found(&holder, data);
    }
}

struct why_call {
    size_t most;
    void (*found)(const gcmmap_holder *holder, void *data);
    void *data;
    struct search_caller caller;
};

static SEARCH_IN_FRAME_OF_ITS_OWN ssize_t tell_why(const struct why_call *call)
{
    int saved_errno = errno, error = EINVAL;
    struct why why = { 0 };

    if (call->found != NULL && call->most < PTRDIFF_MAX / sizeof *why.hits)
        error = begin(&why, &call->caller, call->most);
    if (error == 0) {
        tell(&why, call->found, call->data);
        error = why.gave_up ? ETIMEDOUT : 0;
    }
    end(&why);
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : (ssize_t)(why.is_gone ? 0 : why.n);
}

ssize_t gcmmap_why(const void *pointer, size_t most,
                   void (*found)(const gcmmap_holder *holder, void *data), void *data)
{
    struct why_call call;

    call.most = most;
    call.found = found;
    call.data = data;
    SEARCH_LOOK_AT_CALLER(call.caller, pointer);
    return tell_why(&call);
}

/* ---- text -------------------------------------------------------------------------- */

static void print_holder(const gcmmap_holder *holder, void *data)
{
    FILE *to = data;

    switch (holder->kind) {
    case GCMMAP_HOLDER_REGISTER:
        (void)fprintf(to, "  a register of thread %ld", holder->thread);
        break;
    case GCMMAP_HOLDER_STACK:
        (void)fprintf(to, "  the stack of thread %ld, at %p", holder->thread, holder->address);
        break;
    case GCMMAP_HOLDER_DATA:
        (void)fprintf(to, "  static data at %p: ", holder->address);
        text_write_plain(to, holder->name);
        break;
    case GCMMAP_HOLDER_OBJECT:
        (void)fprintf(to, "  the object %p of %zu bytes, kind %d, at offset %zu", holder->object,
                      holder->size, holder->object_kind, holder->offset);
        break;
    default:
        (void)fprintf(to, "  the region at %p, at offset %zu", holder->object, holder->offset);
        if (holder->name != NULL) {
            (void)fputs(": ", to);
            text_write_plain(to, holder->name);
        }
    }
    if (holder->flags & GCMMAP_HOLDER_IS_HANDLE)
        (void)fputs(", by the handle", to);
    else
        (void)fprintf(to, ", by a pointer to byte %td", holder->points_to);
    (void)fputs(holder->flags & GCMMAP_HOLDER_IS_UNSURE ? " (may not count)\n" : "\n", to);
}

static void print_all(FILE *to, const struct why *why)
{
    const struct region_info *info = why->info;

    if (why->is_gone) {
        (void)fputs("the region is gone: nothing kept it\n", to);
        return;
    }
    (void)fprintf(to, "the region at %#lx, %zu bytes", (unsigned long)~info->hidden_data,
                  info->n_bytes);
    if (info->name != NULL) {
        (void)fputs(", ", to);
        text_write_plain(to, info->name);
    }
    (void)fputs(info->state == REGION_CLOSED ? ", closed, its addresses" : "", to);
    (void)fputs(why->n > 0 ? " is kept by\n"
                           : " is kept, but nothing was found that points to it: a root that "
                             "cannot be looked at, or a pointer that is gone by now\n",
                to);
    tell(why, print_holder, to);
    if (why->n == why->most)
        (void)fprintf(to, "  and perhaps others: the first %zu were looked for\n", why->most);
    if (why->gave_up)
        (void)fputs("  and perhaps others: not everything was looked at, it took too long\n", to);
}

struct print_why_call {
    FILE *to;
    struct search_caller caller;
};

static SEARCH_IN_FRAME_OF_ITS_OWN int print_why(const struct print_why_call *call)
{
    int saved_errno = errno, error = EINVAL;
    struct why why = { 0 };

    if (call->to != NULL)
        error = begin(&why, &call->caller, MOST_PRINTED);
    if (error == 0) {
        print_all(call->to, &why);
        error = text_finish(call->to);
    }
    end(&why);
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}

int gcmmap_print_why(FILE *to, const void *pointer)
{
    struct print_why_call call;

    call.to = to;
    SEARCH_LOOK_AT_CALLER(call.caller, pointer);
    return print_why(&call);
}
