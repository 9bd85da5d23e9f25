/*
 * calls: what is done with regions, slots and files, as a program of bytes chooses it, and what
 * gcmmap.h says becomes of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CALLS_H
#define CALLS_H

#include "mapping.h"

/* ---- ranges --------------------------------------------------------------------------------------- */

/* Some bytes of the region in a slot. */
struct range {
    struct model *model;
    size_t offset, n_bytes;
    unsigned first, last; /* pages [first, last) that hold them; none if there are no bytes */
    int error;            /* of every operation on it, or 0 */
};

static struct model *take_model(unsigned *slot)
{
    *slot = take(N_SLOTS);
    return slots[*slot].held == NOTHING ? NULL : &models[slots[*slot].model];
}

static bool take_range(struct range *range)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    size_t most;

    if (model == NULL)
        return false;
    most = model->n_bytes;
    range->model = model;
    range->offset = take_size(most);
    /* By handle, what lies behind the end may be another's. */
    if (model->by_handle && range->offset == most)
        range->offset = 0;
    range->n_bytes =
        take(8) == 0 ? most - range->offset + take(3) : take_size(most - range->offset);
    range->first = range->last = 0;
    if (range->n_bytes > 0) {
        range->first = (unsigned)((model->head + range->offset) / PAGE);
        range->last = (unsigned)(page_up(model->head + range->offset + range->n_bytes) / PAGE);
    }
    range->error = model->is_closed ? EBADF : range->n_bytes > most - range->offset ? ERANGE : 0;
    trace("model %td: bytes %zu to %zu", model - models, range->offset,
          range->offset + range->n_bytes);
    return true;
}

static unsigned char *start_of(const struct range *range)
{
    return data_of(range->model) + range->offset;
}

static bool all_pages(const struct range *range, bool (*is)(const struct model *, unsigned))
{
    for (unsigned p = range->first; p < range->last; p++)
        if (!is(range->model, p))
            return false;
    return true;
}

/* ---- stores ----------------------------------------------------------------------------------------- */

static void store(struct model *model, size_t offset, const void *from, size_t n)
{
    size_t at = model->head + offset;
    unsigned p = (unsigned)(at / PAGE);
    bool to_child = has_child_in(model, at, at + n);

    if (n == 0 || offset + n > model->n_bytes || at % PAGE + n > PAGE || !can_be_written(model, p))
        return;
    if (model->file != NULL && !model->is_private && model->base + at + n > model->file->size)
        return; /* behind the end, the kernel may clear it at any time */
    make_own(model, p);
    memcpy(data_of(model) + offset, from, n);
    memcpy(model->pages[p].is_own ? model->image + at : model->file->bytes + model->base + at, from,
           n);
    if (to_child)
        model->child = -1;
    trace("stores %zu bytes at %zu", n, offset);
}

static void call_store(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    unsigned char bytes[64];
    size_t offset;

    if (model == NULL)
        return;
    offset = take_size(model->n_bytes);
    memset(bytes, (int)take(256), sizeof bytes);
    store(model, offset, bytes, 1 + take(sizeof bytes));
}

/* How many bytes of the range lie in front of the first page that is not so. */
static size_t bytes_before(const struct range *range, bool (*is)(const struct model *, unsigned))
{
    for (unsigned p = range->first; p < range->last; p++)
        if (!is(range->model, p)) {
            size_t from = range->model->head + range->offset;

            return p * PAGE > from ? p * PAGE - from : 0;
        }
    return range->n_bytes;
}

static size_t copied(const char *call, const struct range *range, ssize_t n, size_t n_most)
{
    int wanted = range->error != 0 ? range->error : n_most == 0 && range->n_bytes > 0 ? EFAULT : 0;

    if (!outcome(call, n >= 0, wanted, 0))
        return 0;
    if ((size_t)n != n_most && ((size_t)n > n_most || n_failures() == 0))
        wrong("%s: %zd bytes, wanted %zu", call, n, n_most);
    return (size_t)n;
}

static bool is_known(const struct model *model, unsigned p)
{
    return !model->pages[p].is_unknown;
}

static __attribute__((noinline)) void call_copy_out(void)
{
    static unsigned char bytes[IMAGE_PAGES * PAGE];
    struct range range;
    size_t n;

    if (!take_range(&range) || !all_pages(&range, is_known))
        return;
    begin();
    n = copied("gcmmap_copy_out", &range, gcmmap_copy_out(bytes, start_of(&range), range.n_bytes),
               bytes_before(&range, can_be_read));
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != byte_of(range.model, range.model->head + range.offset + i))
            wrong("byte %zu was copied as %d", i, bytes[i]);
    memset(bytes, 0, n); /* there may be pointers among them */
}

static __attribute__((noinline)) void call_copy_in(void)
{
    static unsigned char bytes[IMAGE_PAGES * PAGE];
    int value = (int)take(256);
    struct range range;
    struct model *model;
    size_t n, at;

    if (!take_range(&range) || !all_pages(&range, is_known))
        return;
    model = range.model;
    at = model->head + range.offset;
    if (range.error == 0 && model->file != NULL && !model->is_private &&
        model->base + at + range.n_bytes > model->file->size)
        return; /* as in store() */
    memset(bytes, value, range.error == 0 ? range.n_bytes : 0);
    begin();
    n = copied("gcmmap_copy_in", &range, gcmmap_copy_in(start_of(&range), bytes, range.n_bytes),
               bytes_before(&range, can_be_written));
    for (size_t i = at; i < at + n; i++) {
        make_own(model, (unsigned)(i / PAGE));
        *(model->pages[i / PAGE].is_own ? model->image + i : model->file->bytes + model->base + i) =
            (unsigned char)value;
    }
    if (n > 0 && has_child_in(model, at, at + n))
        model->child = -1;
}

struct touch {
    volatile unsigned char *byte;
    unsigned char value;
};

static void touch(void *arg)
{
    struct touch *touch = arg;

    touch->value = *touch->byte;
}

static int kind_of_fault(const struct model *model, unsigned p)
{
    return model->is_closed ? GCMMAP_FAULT_CLOSED
           : model->pages[p].is_guard || !(model->pages[p].access & (GCMMAP_READ | GCMMAP_WRITE))
               ? GCMMAP_FAULT_PROTECTED
               : GCMMAP_FAULT_TRUNCATED;
}

/* A load in a guard: the byte, or which fault it was. */
static __attribute__((noinline)) void call_try(void)
{
    gcmmap_fault fault;
    struct range range;
    struct touch load = { .value = 0 };
    const struct model *model;
    unsigned p;
    int result;

    if (!take_range(&range) || range.offset >= range.model->n_bytes)
        return;
    model = range.model;
    p = (unsigned)((model->head + range.offset) / PAGE);
    if (model->pages[p].is_unknown)
        return;
    load.byte = start_of(&range);
    begin();
    result = gcmmap_try(touch, &load, &fault);
    if (outcome("gcmmap_try", result == 0, can_be_read(model, p) ? 0 : EFAULT, 0)) {
        if (load.value != byte_of(model, model->head + range.offset))
            wrong("a load in a guard gives %d", load.value);
        return;
    }
    if (n_failures() > 0)
        return;
    /* A file without a name cannot always be looked at. */
    if (fault.kind == GCMMAP_FAULT_FILE && kind_of_fault(model, p) == GCMMAP_FAULT_TRUNCATED)
        fault.kind = GCMMAP_FAULT_TRUNCATED;
    if (fault.region != handle_of(model) || fault.offset != (ptrdiff_t)range.offset ||
        fault.kind != kind_of_fault(model, p) || fault.address != start_of(&range) ||
        (!model->is_closed && fault.size != model->n_bytes) || fault.is_write == 1)
        wrong("model %td: fault of kind %d at %td, wanted kind %d at %zu", model - models,
              fault.kind, fault.offset, kind_of_fault(model, p), range.offset);
}

/* A slot's pointer moves into traced memory. */
static void call_hand_over(void)
{
    unsigned holder, slot;
    struct model *model = take_model(&holder), *child = take_model(&slot);
    size_t at, child_offset;
    void *pointer;

    if (model == NULL || child == NULL || slot == holder || !model->is_traced ||
        !model->is_private || model->is_closed || model->n_bytes < sizeof(void *) ||
        slots[slot].held != POINTER)
        return;
    at = (model->head + take_size(model->n_bytes - sizeof(void *)) + 7) & ~(size_t)7;
    child_offset = slots[slot].offset;
    pointer = pointer_to(child, child_offset);
    model->child = -1;
    store(model, at - model->head, &pointer, sizeof pointer);
    if (!can_be_written(model, (unsigned)(at / PAGE)) ||
        at - model->head + sizeof pointer > model->n_bytes ||
        memcmp(model->image + at, &pointer, sizeof pointer) != 0)
        return;
    model->child = (int)(child - models);
    model->child_at = at;
    empty_slot(slot);
    trace("model %td holds model %td", model - models, child - models);
}

/* ---- slots -------------------------------------------------------------------------------------------- */

static void call_copy(void)
{
    unsigned from, to = take(N_SLOTS);
    struct model *model = take_model(&from);

    if (model != NULL)
        fill_slot(to, (int)(model - models), take_size(model->n_bytes));
}

static __attribute__((noinline)) void call_wrap(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    void **object;

    if (model == NULL || slots[slot].held != POINTER)
        return;
    object = GC_MALLOC(2 * sizeof *object);
    need(object != NULL, "GC_MALLOC");
    object[0] = pointers[slot];
    pointers[slot] = object;
    slots[slot].held = OBJECT;
}

static __attribute__((noinline)) void call_slice_object(void)
{
    struct range range;
    const gcmmap_slice_object *object;
    unsigned to = take(N_SLOTS);
    gcmmap_slice bytes;

    if (!take_range(&range))
        return;
    bytes = (gcmmap_slice){ start_of(&range), range.n_bytes };
    begin();
    object = gcmmap_slice_object_new(bytes);
    if (!outcome("gcmmap_slice_object_new", object != NULL, range.error, 0))
        return;
    empty_slot(to);
    slots[to] =
        (struct slot){ SLICE_OBJECT, (int)(range.model - models), range.offset, range.n_bytes };
    pointers[to] = (void *)object;
}

/* Looking for a region by its weak reference may bring it back. */
static __attribute__((noinline)) void call_weak(void)
{
    unsigned slot = take(N_SLOTS), i = n_models == 0 ? 0 : take(n_models);
    struct model *model = &models[i];
    gcmmap_region *found;

    if (n_models == 0)
        return;
    take_stock();
    errno = UNTOUCHED;
    found = gcmmap_weak_get(model->weak);
    if (errno != UNTOUCHED || (found != NULL && found != handle_of(model)))
        wrong("gcmmap_weak_get() of model %u", i);
    if (found == NULL ? model->is_reached : model->is_gone)
        wrong("model %u is %s", i, found == NULL ? "reached, and gone" : "gone, and found");
    if (found == NULL)
        model->is_gone = true;
    else
        fill_slot(slot, (int)i, 0);
}

/* ---- operations on pages --------------------------------------------------------------------------- */

static __attribute__((noinline)) void call_sync(void)
{
    struct range range;
    unsigned flags = take(8);
    bool is_bad = flags == 0 || (flags & 3) == 3;

    if (!take_range(&range))
        return;
    begin();
    (void)outcome("gcmmap_sync", gcmmap_sync(start_of(&range), range.n_bytes, flags) == 0,
                  is_bad ? EINVAL : range.error, flags & GCMMAP_INVALIDATE ? EBUSY : 0, 0);
}

static __attribute__((noinline)) void call_protect(void)
{
    static const unsigned accesses[] = { 0, GCMMAP_READ, GCMMAP_WRITE, GCMMAP_READ | GCMMAP_WRITE };
    struct range range;
    unsigned access = accesses[take(4)];
    struct model *model;

    if (!take_range(&range))
        return;
    model = range.model;
    begin();
    if (!outcome("gcmmap_protect", gcmmap_protect(start_of(&range), range.n_bytes, access) == 0,
                 range.error != 0 ? range.error
                 : (access & GCMMAP_WRITE) && model->file != NULL && !model->is_private &&
                         !model->fd_is_writable && range.n_bytes > 0
                     ? EACCES
                     : 0,
                 0))
        return;
    for (unsigned p = range.first; p < range.last; p++) {
        bool becomes_writable = !(model->pages[p].access & GCMMAP_WRITE) && (access & GCMMAP_WRITE);

        model->pages[p].access = access;
        /* The kernel makes the copies of locked pages at once, as far as that goes. */
        if (becomes_writable && model->pages[p].is_locked && !model->pages[p].is_own &&
            model->is_private) {
            if (all_pages(&range, is_in_file))
                make_own(model, p);
            else
                model->pages[p].is_unknown = true;
        }
    }
}

static bool is_followed(const struct model *model, unsigned p)
{
    return can_be_read(model, p) && !model->pages[p].is_unknown;
}

static __attribute__((noinline)) void call_lock(void)
{
    struct range range;
    bool is_lock = take(2);
    int result;

    if (!take_range(&range))
        return;
    /* Which pages have been copied when it fails half-way nobody knows. */
    if (is_lock && range.error == 0 && range.model->is_private && !all_pages(&range, is_followed))
        return;
    begin();
    result = is_lock ? gcmmap_lock(start_of(&range), range.n_bytes)
                     : gcmmap_unlock(start_of(&range), range.n_bytes);
    if (!outcome(is_lock ? "gcmmap_lock" : "gcmmap_unlock", result == 0, range.error,
                 is_lock && !all_pages(&range, is_followed) ? ENOMEM : 0, EAGAIN, 0) &&
        n_failures() > 0)
        return;
    for (unsigned p = range.first; p < range.last && range.error == 0; p++) {
        range.model->pages[p].is_locked = is_lock;
        if (is_lock)
            fault_in(range.model, p);
    }
}

static __attribute__((noinline)) void call_unload(void)
{
    struct range range;
    bool is_unload = take(2);

    if (!take_range(&range))
        return;
    begin();
    if (is_unload)
        (void)outcome("gcmmap_unload", gcmmap_unload(start_of(&range), range.n_bytes) == 0,
                      range.error, EBUSY, 0);
    else
        (void)outcome("gcmmap_prefetch", gcmmap_prefetch(start_of(&range), range.n_bytes) == 0,
                      range.error, 0);
}

static __attribute__((noinline)) void call_residency(void)
{
    unsigned char pages[IMAGE_PAGES + 1];
    struct range range;
    size_t room = take(IMAGE_PAGES), n_resident = 99;
    bool is_asked = take(2);
    int wanted;

    if (!take_range(&range))
        return;
    memset(pages, 7, sizeof pages);
    wanted = range.error == 0 && is_asked && room < range.last - range.first ? ERANGE : range.error;
    begin();
    if (!outcome("gcmmap_residency",
                 gcmmap_residency(start_of(&range), range.n_bytes, is_asked ? pages : NULL, room,
                                  &n_resident) == 0,
                 wanted, 0)) {
        if (n_resident != 99 || pages[0] != 7)
            wrong("gcmmap_residency() failed, and stored something");
        return;
    }
    if (n_resident > range.last - range.first)
        wrong("%zu pages resident of %u", n_resident, range.last - range.first);
    for (unsigned p = 0; p < room && is_asked; p++) {
        if (pages[p] > 1 && p < range.last - range.first)
            wrong("gcmmap_residency() stored %u", pages[p]);
        if (pages[p] != 7 && p >= range.last - range.first)
            wrong("gcmmap_residency() stored too much");
    }
}

/* ---- advice ------------------------------------------------------------------------------------------- */

static const int harmless[] = {
    GCMMAP_ADVISE_NORMAL,   GCMMAP_ADVISE_RANDOM,      GCMMAP_ADVISE_SEQUENTIAL,
    GCMMAP_ADVISE_WILLNEED, GCMMAP_ADVISE_COLD,        GCMMAP_ADVISE_PAGEOUT,
    GCMMAP_ADVISE_DONTDUMP, GCMMAP_ADVISE_DODUMP,      GCMMAP_ADVISE_MERGEABLE,
    GCMMAP_ADVISE_HUGEPAGE, GCMMAP_ADVISE_UNMERGEABLE, GCMMAP_ADVISE_NOHUGEPAGE,
    GCMMAP_ADVISE_COLLAPSE, GCMMAP_ADVISE_KEEPONFORK,  GCMMAP_ADVISE_POPULATE_READ
};

/* Has a page lost what was stored in it?  Of an operation that may have been done half-way. */
static void find_out(struct model *model, unsigned p)
{
    model->pages[p].is_unknown = true;
    if (has_child_in(model, p * PAGE, (p + 1) * PAGE))
        model->child = -1;
}

static void advise_pages(const struct range *range, int advice, bool done)
{
    struct model *model = range->model;

    for (unsigned p = range->first; p < range->last; p++) {
        if (!done && advice != GCMMAP_ADVISE_WIPEONFORK)
            find_out(model, p);
        else if (!done)
            continue;
        else if (advice == GCMMAP_ADVISE_DONTNEED)
            lose_page(model, p);
        else if (advice == GCMMAP_ADVISE_GUARD_INSTALL)
            lose_page(model, p), model->pages[p].is_guard = true;
        else if (advice == GCMMAP_ADVISE_GUARD_REMOVE)
            model->pages[p].is_guard = false;
        else if (advice == GCMMAP_ADVISE_WIPEONFORK)
            model->pages[p].is_wiped = true;
    }
}

static void punch(const struct range *range)
{
    struct file *file = range->model->file;
    size_t from = range->model->base + range->first * PAGE;
    size_t to = range->model->base + range->last * PAGE;

    for (size_t at = from; at < to && at < FILE_MOST; at++)
        file->bytes[at] = 0;
}

static __attribute__((noinline)) void call_advise(void)
{
    static const int lossy[] = { GCMMAP_ADVISE_DONTNEED, GCMMAP_ADVISE_GUARD_INSTALL,
                                 GCMMAP_ADVISE_GUARD_REMOVE, GCMMAP_ADVISE_WIPEONFORK };
    unsigned what = take(24);
    int advice = what < 15 ? harmless[what] : lossy[what % 4], wanted;
    struct range range;
    bool done;

    if (!take_range(&range))
        return;
    if (what == 23)
        advice = GCMMAP_ADVISE_DONTFORK;
    if (what == 22)
        advice = 26 + (int)take(60);
    wanted = what == 23 ? ENOTSUP : what == 22 ? EINVAL : range.error;
    begin();
    trace("advice %d", advice);
    done = outcome("gcmmap_advise", gcmmap_advise(start_of(&range), range.n_bytes, advice) == 0,
                   wanted, wanted != 0 ? wanted : EINVAL, wanted != 0 ? 0 : EFAULT, EAGAIN, EBUSY,
                   ENOMEM, 0);
    if (wanted == 0 && what >= 15)
        advise_pages(&range, advice, done);
}

static __attribute__((noinline)) void call_punch(void)
{
    struct range range;
    const struct model *model;
    bool done;

    if (!take_range(&range))
        return;
    model = range.model;
    for (unsigned p = range.first; p < range.last; p++)
        if (model->pages[p].is_locked || !(model->pages[p].access & GCMMAP_WRITE))
            return; /* the kernel may refuse in the middle */
    begin();
    done = outcome("gcmmap_advise(REMOVE)",
                   gcmmap_advise(start_of(&range), range.n_bytes, GCMMAP_ADVISE_REMOVE) == 0,
                   range.error != 0                                  ? range.error
                   : range.n_bytes == 0 || is_shared_writable(model) ? 0
                                                                     : EACCES,
                   0);
    if (done && range.n_bytes > 0)
        punch(&range);
}

/* ---- size ------------------------------------------------------------------------------------------------ */

static void has_size(struct model *model, size_t n_bytes)
{
    unsigned before = n_pages_for(model, model->n_bytes), now = n_pages_for(model, n_bytes);

    model->n_bytes = n_bytes;
    if (model->listener != NULL && model->listener->has_size)
        model->listener->n_bytes = n_bytes;
    if (now > before)
        add_pages(model, before, now);
    forget_wishes(model, before, now);
    for (unsigned p = now; p < before; p++)
        fresh_page(model, p);
    if (model->child >= 0 && model->child_at + sizeof(void *) > now * PAGE)
        model->child = -1;
    trace("has %zu bytes", n_bytes);
}

static int size_error(const struct model *model)
{
    return model->is_closed ? EBADF : !model->grows ? ENOTSUP : 0;
}

static size_t end_in_file(const struct model *model, size_t n_bytes)
{
    return model->base + model->head + n_bytes;
}

static __attribute__((noinline)) void call_extend(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    size_t size = model != NULL ? take_size(model->room + 2) : 0;
    bool grows_file;
    int wanted;

    if (model == NULL)
        return;
    if (model->file != NULL && end_in_file(model, size) > FILE_MOST)
        return;
    grows_file = model->file != NULL && end_in_file(model, size) > model->file->size;
    wanted = size_error(model);
    if (wanted == 0 && size > model->n_bytes)
        wanted = size > model->room ? ERANGE : grows_file && !is_shared_writable(model) ? ENXIO : 0;
    begin();
    if (!outcome("gcmmap_extend", gcmmap_extend(handle_of(model), size) == 0, wanted,
                 may_be_out_of_budget() ? EDQUOT : 0, 0)) {
        /* The pages were there, the file could not grow, and they could not be taken away again. */
        model->has_strays |= n_failures() > 1;
        return;
    }
    if (size <= model->n_bytes)
        return;
    if (grows_file)
        file_has_size(model->file, end_in_file(model, size));
    has_size(model, size);
}

static __attribute__((noinline)) void call_refresh(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    size_t start, size;
    int wanted;

    if (model == NULL)
        return;
    wanted = size_error(model);
    if (wanted == 0 && model->file == NULL)
        wanted = EINVAL;
    begin();
    if (!outcome("gcmmap_refresh", gcmmap_refresh(handle_of(model)) == 0, wanted,
                 may_be_out_of_budget() ? EDQUOT : 0, 0))
        return;
    start = end_in_file(model, 0);
    size = model->file->size > start ? model->file->size - start : 0;
    has_size(model, size < model->room ? size : model->room);
}

static __attribute__((noinline)) void call_truncate(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    size_t size = model != NULL ? take_size(model->room + 2) : 0;
    bool cuts;
    int wanted;

    if (model == NULL)
        return;
    wanted = size_error(model);
    if (wanted == 0 && size > model->n_bytes)
        wanted = ERANGE;
    cuts = is_shared_writable(model) && size < model->n_bytes &&
           model->file->size <= end_in_file(model, model->n_bytes) &&
           model->file->size > end_in_file(model, size);
    begin();
    if (!outcome("gcmmap_truncate", gcmmap_truncate(handle_of(model), size) == 0, wanted, 0))
        return;
    if (cuts)
        file_has_size(model->file, end_in_file(model, size));
    has_size(model, size);
}

/* ---- ends -------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void call_close(void)
{
    unsigned slot;
    bool was_closed;
    struct model *model = take_model(&slot);

    if (model == NULL)
        return;
    was_closed = model->is_closed;
    model->is_closed = true; /* the callback may ask */
    begin();
    if (!outcome("gcmmap_close", gcmmap_close(handle_of(model)) == 0, 0, 0)) {
        model->is_closed = was_closed;
        return;
    }
    model->child = -1;
    if (model->listener != NULL)
        wrong("gcmmap_close() did not tell the release");
}

static bool is_child(int i)
{
    for (unsigned j = 0; j < n_models; j++)
        if (models[j].child == i)
            return true;
    return false;
}

/* Only if no slice will be left. */
static __attribute__((noinline)) void call_unmap_now(void)
{
    unsigned slot;
    struct model *model = take_model(&slot);
    gcmmap_region *region;

    if (model == NULL || is_child((int)(model - models)))
        return;
    region = handle_of(model);
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (slots[i].held != NOTHING && &models[slots[i].model] == model)
            empty_slot(i);
    begin();
    if (!outcome("gcmmap_unmap_now", gcmmap_unmap_now(region) == 0, 0, 0))
        return;
    if (model->listener != NULL)
        wrong("gcmmap_unmap_now() did not tell the release");
    model->child = -1;
    model->is_closed = model->is_gone = true;
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static void call_write_file(void)
{
    struct file *file = files[take(n_files)];
    size_t offset = take_size(file->size), n = take_size(FILE_MOST - offset);
    int value = (int)take(256);

    if (n == 0)
        return;
    trace("writes %zu bytes to a file at %zu", n, offset);
    if (offset + n > file->size)
        file_has_size(file, offset + n);
    memset(file->bytes + offset, value, n);
    need(pwrite(file->fd, file->bytes + offset, n, (off_t)offset) == (ssize_t)n, "pwrite");
}

static void call_cut_file(void)
{
    struct file *file = files[take(n_files)];
    size_t size = take_size(FILE_MOST);

    trace("a file of %zu bytes has %zu now", file->size, size);
    need(ftruncate(file->fd, (off_t)size) == 0, "ftruncate");
    file_has_size(file, size);
}

static void call_replace_file(void)
{
    unsigned name = take(N_NAMES), other = (name + 1 + take(N_NAMES - 1)) % N_NAMES;
    bool is_renamed = take(2);

    if (n_files == MOST_FILES)
        return;
    if (is_renamed) {
        char to[80];

        strcpy(to, path_of(other));
        need(rename(path_of(name), to) == 0, "rename");
        named[other] = named[name];
    } else {
        need(unlink(path_of(name)) == 0, "unlink");
    }
    named[name] = make_named(name, take_size(FILE_MOST));
}

#endif
