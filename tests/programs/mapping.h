/*
 * mapping: the calls that make regions, as a program of bytes chooses them, and what gcmmap.h
 * says about their flags.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPPING_H
#define MAPPING_H

#include "check.h"

static char directory[64]; /* of the named files */

/* ---- files ------------------------------------------------------------------------------------ */

#define N_NAMES 3u
static struct file *named[N_NAMES];

static const char *path_of(unsigned name)
{
    static char path[80];

    snprintf(path, sizeof path, "%s/%u", directory, name);
    return path;
}

/* fd: the caller's to give. */
static struct file *add_file(int fd, size_t size)
{
    struct file *file = calloc(1, sizeof *file);

    need(file != NULL && fd >= 0, "file");
    file->fd = fd;
    file->size = size;
    files[n_files++] = file;
    return file;
}

static struct file *make_named(unsigned name, size_t size)
{
    struct file *file =
        add_file(open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), size);

    for (size_t i = 0; i < size; i++)
        file->bytes[i] = byte_at(n_files, i);
    need(pwrite(file->fd, file->bytes, size, 0) == (ssize_t)size, "pwrite");
    return file;
}

/* ---- flags -------------------------------------------------------------------------------------- */

static unsigned take_flags(void)
{
    static const unsigned access[] = { GCMMAP_READ, GCMMAP_WRITE, GCMMAP_WRITE,
                                       GCMMAP_READ | GCMMAP_WRITE };
    static const unsigned extras[] = { GCMMAP_POINTER_FREE, GCMMAP_TRACED,   GCMMAP_BY_HANDLE,
                                       GCMMAP_WRITE_BACK,   GCMMAP_POPULATE, GCMMAP_LOCK,
                                       GCMMAP_NO_FORK,      GCMMAP_PARTIAL };
    static const unsigned hows[] = { 0, GCMMAP_HUGE, GCMMAP_NORESERVE, GCMMAP_NO_DUMP };
    unsigned basic = take(128), bits = basic & 32 ? take(256) : 0;
    unsigned flags = access[basic & 3] | (basic & 4 ? GCMMAP_PRIVATE : 0) | hows[basic >> 3 & 3];

    flags |= basic & 64 ? GCMMAP_GUARDED : 0;
    for (unsigned i = 0; i < 8; i++)
        flags |= bits & 1u << i ? extras[i] : 0;
    return flags;
}

static bool is_private_writable(unsigned flags)
{
    return (flags & GCMMAP_WRITE) && (flags & GCMMAP_PRIVATE);
}

static bool will_be_traced(unsigned flags)
{
    return (flags & GCMMAP_TRACED) ||
           (is_private_writable(flags) && !(flags & GCMMAP_POINTER_FREE));
}

/* Of those that take_flags() gives. */
static bool contradict(unsigned flags)
{
    bool is_shared_write = (flags & GCMMAP_WRITE) && !(flags & GCMMAP_PRIVATE);

    return ((flags & GCMMAP_WRITE_BACK) && !is_shared_write) ||
           ((flags & GCMMAP_TRACED) && (flags & GCMMAP_POINTER_FREE)) ||
           ((flags & GCMMAP_PARTIAL) && (will_be_traced(flags) || (flags & GCMMAP_BY_HANDLE)));
}

/* ---- options ------------------------------------------------------------------------------------- */

struct wish {
    gcmmap_options options;
    bool is_used;
    struct listener *listener;
};

#define N_RESERVED (sizeof((gcmmap_options *)NULL)->reserved / sizeof(size_t))

static struct wish take_wish(void)
{
    struct wish wish = { .is_used = take(2) == 1 };
    unsigned how;

    if (!wish.is_used)
        return wish;
    how = take(16);
    if (how & 1)
        wish.options.room = take_size(20 * PAGE) | 1;
    if (how & 2)
        wish.options.alignment = (size_t)1 << take(18);
    if (how & 4) {
        wish.listener = new_listener();
        wish.options.released = on_release;
        wish.options.data = wish.listener;
        wish.options.name = wish.listener->name;
    }
    if ((how & 8) && take(4) == 0)
        wish.options.reserved[take(N_RESERVED)] = 1;
    return wish;
}

static bool has_reserved(const struct wish *wish)
{
    for (unsigned i = 0; i < N_RESERVED; i++)
        if (wish->options.reserved[i] != 0)
            return true;
    return false;
}

/* ---- a new region ------------------------------------------------------------------------------ */

/* What was asked for. */
struct request {
    struct file *file;
    size_t offset, n_bytes;
    unsigned flags;
    bool fd_is_writable;
    size_t room, alignment;
    struct listener *listener;
    uintptr_t hidden_adopted;
    const unsigned char *copied; /* what the region is to show, if it is a snapshot */
};

static void check_overlap(const struct model *new)
{
    uintptr_t start = (uintptr_t)data_of(new) - new->head;
    uintptr_t end =
        start + page_up(new->head + (new->room > new->n_bytes ? new->room : new->n_bytes));

    take_stock();
    for (unsigned i = 0; i < n_models; i++) {
        const struct model *old = &models[i];
        uintptr_t old_start = (uintptr_t)data_of(old) - old->head;
        size_t most = old->room > old->n_bytes ? old->room : old->n_bytes;

        if (old->is_reached && old != new &&start < old_start + page_up(old->head + most) &&
            old_start < end)
            wrong("model %td lies on model %u, which is reached", new - models, i);
    }
}

/* A region's model, held by the slot; its contents are not known yet. */
static __attribute__((noinline)) struct model *keep(const struct request *request,
                                                    gcmmap_region *region, unsigned slot)
{
    struct model *model = new_model();
    unsigned char *data = gcmmap_data(region);

    if (model == NULL || data == NULL)
        wrong("a new region has no data");
    model->is_used = true;
    model->file = request->file;
    model->is_private = request->file == NULL || (request->flags & GCMMAP_PRIVATE);
    model->flags = request->flags | (request->file == NULL ? GCMMAP_PRIVATE : 0);
    model->is_traced = will_be_traced(model->flags);
    model->by_handle = (request->flags & GCMMAP_BY_HANDLE) != 0;
    model->fd_is_writable = request->fd_is_writable;
    model->head = request->offset % PAGE;
    model->base = request->offset - model->head;
    model->n_bytes = request->n_bytes;
    model->grows = request->room != 0;
    model->room = request->room > request->n_bytes ? request->room : request->n_bytes;
    model->hidden_handle = hide(region);
    model->hidden_data = hide(data);
    model->weak = gcmmap_weak_of(region);
    model->listener = request->listener;
    if (model->listener != NULL) {
        model->listener->has_size = request->hidden_adopted == 0;
        model->listener->n_bytes = request->n_bytes;
        model->listener->hidden_data =
            request->hidden_adopted != 0 ? request->hidden_adopted : hide(data);
    }
    /* So that it ends with its page. */
    if ((request->flags & GCMMAP_GUARDED) && request->file == NULL && !model->grows)
        model->head = (uintptr_t)data % PAGE;
    if (((uintptr_t)data - model->head) % PAGE != 0 ||
        (request->alignment > PAGE && ((uintptr_t)data - model->head) % request->alignment != 0))
        wrong("a new region's data is badly aligned");
    n_models++;
    fill_slot(slot, (int)(model - models), 0);
    for (unsigned p = 0; p < IMAGE_PAGES; p++)
        fresh_page(model, p);
    add_pages(model, 0, n_pages_for(model, model->n_bytes));
    forget_wishes(model, 0, n_pages_for(model, model->n_bytes));
    if (request->copied != NULL)
        memcpy(model->image + model->head, request->copied, model->n_bytes);
    model->is_copy = request->copied != NULL;
    check_overlap(model);
    return model;
}

static bool may_be_out_of_budget(void)
{
    gcmmap_budget budget;

    gcmmap_get_budget(&budget);
    return budget.n_regions != 0 || budget.bytes != 0 || budget.bytes_charged != 0;
}

static void made(const char *call, const struct request *request, gcmmap_region *region, int wanted,
                 size_t n_mapped, unsigned slot)
{
    bool is_made =
        outcome(call, region != NULL, wanted, may_be_out_of_budget() ? EDQUOT : wanted, 0);

    if (stats_now().n_mapped != n_mapped + is_made)
        wrong("%s: the number of mapped regions is wrong", call);
    if (is_made) {
        check_model(keep(request, region, slot));
        trace("model %u: %zu bytes, flags %#x", n_models - 1, request->n_bytes, request->flags);
    } else {
        drop_listener(request->listener);
    }
}

static int range_error(const struct file *file, size_t offset, size_t *n_bytes)
{
    if (offset > file->size)
        return ENXIO;
    if (*n_bytes == GCMMAP_REST)
        *n_bytes = file->size - offset;
    return *n_bytes > file->size - offset ? ENXIO : 0;
}

/* A slot for a new region; false: no room for more in the model. */
static bool take_place(unsigned *slot)
{
    *slot = take(N_SLOTS);
    return n_models < MOST_MODELS && n_files < MOST_FILES;
}

static bool is_too_large(const struct request *request)
{
    size_t most = request->room > request->n_bytes ? request->room : request->n_bytes;

    return request->n_bytes != GCMMAP_REST && request->offset % PAGE + most > IMAGE_PAGES * PAGE;
}

static __attribute__((noinline)) void call_map(void)
{
    unsigned slot, name = take(N_NAMES), how = take(4);
    struct request request = { .file = named[name], .fd_is_writable = true };
    gcmmap_region *region;
    struct wish wish;
    size_t n_mapped;
    int wanted;

    if (!take_place(&slot))
        return;
    request.flags = take_flags();
    wish = take_wish();
    request.room = wish.options.room;
    request.alignment = wish.options.alignment;
    request.listener = wish.listener;
    request.n_bytes = GCMMAP_REST;
    if (how != 0) {
        request.offset = take_size(request.file->size + 1);
        request.n_bytes = how == 1 ? GCMMAP_REST : take_size(request.file->size + 1);
        if (how == 3 && request.offset < request.file->size)
            request.n_bytes %= request.file->size - request.offset + 1;
    } else {
        request.fd_is_writable = (request.flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == GCMMAP_WRITE;
    }
    wanted = contradict(request.flags) || has_reserved(&wish)
                 ? EINVAL
                 : range_error(request.file, request.offset, &request.n_bytes);
    if (is_too_large(&request)) {
        drop_listener(wish.listener);
        return;
    }
    n_mapped = stats_now().n_mapped;
    begin();
    if (how == 0)
        region =
            gcmmap_open_with(path_of(name), request.flags, wish.is_used ? &wish.options : NULL);
    else
        region = gcmmap_map_with(request.file->fd, (off_t)request.offset, request.n_bytes,
                                 request.flags, wish.is_used ? &wish.options : NULL);
    made(how == 0 ? "gcmmap_open" : "gcmmap_map", &request, region, wanted, n_mapped, slot);
}

static __attribute__((noinline)) void call_alloc(void)
{
    struct request request = { .file = NULL };
    unsigned slot;
    struct wish wish;
    gcmmap_region *region;
    size_t n_mapped;
    int wanted;

    if (!take_place(&slot))
        return;
    request.n_bytes = take_size(18 * PAGE);
    request.flags = take_flags();
    wish = take_wish();
    request.room = wish.options.room;
    request.alignment = wish.options.alignment;
    request.listener = wish.listener;
    wanted = contradict(request.flags | GCMMAP_PRIVATE) || has_reserved(&wish) ? EINVAL : 0;
    n_mapped = stats_now().n_mapped;
    begin();
    region = gcmmap_alloc_with(request.n_bytes, request.flags, wish.is_used ? &wish.options : NULL);
    made("gcmmap_alloc", &request, region, wanted, n_mapped, slot);
}

/* A copy that is the region's own; of it the model has all pages. */
static __attribute__((noinline)) void call_snapshot(void)
{
    unsigned slot, name = take(N_NAMES);
    const struct file *file = named[name];
    struct request request = { .flags = take_flags() & ~(unsigned)GCMMAP_WRITE_BACK };
    gcmmap_region *region;
    size_t n_mapped;
    int wanted;

    if (!take_place(&slot))
        return;
    request.offset = take_size(file->size + 1);
    request.n_bytes = take(2) ? GCMMAP_REST : take_size(file->size + 1);
    wanted = contradict(request.flags | GCMMAP_PRIVATE)
                 ? EINVAL
                 : range_error(file, request.offset, &request.n_bytes);
    n_mapped = stats_now().n_mapped;
    /* An empty file that cannot be read may be one like those of /proc. */
    file->size != 0 ? begin() : begin_calmly();
    region = gcmmap_snapshot(file->fd, (off_t)request.offset, request.n_bytes, request.flags, NULL,
                             NULL);
    request.copied = file->bytes + request.offset;
    request.offset = 0;
    made("gcmmap_snapshot", &request, region, wanted, n_mapped, slot);
}

/* A memfd, or POSIX shared memory, as one more file. */
static __attribute__((noinline)) void call_share(void)
{
    struct request request = { .fd_is_writable = true };
    unsigned slot, is_shm = take(2);
    char name[64];
    gcmmap_region *region;
    size_t n_mapped;
    int fd = -1, wanted;

    if (!take_place(&slot))
        return;
    request.n_bytes = take_size(FILE_MOST);
    request.flags = take_flags();
    snprintf(name, sizeof name, "/gcmmap-programs-%ld", (long)getpid());
    wanted =
        contradict(request.flags) || (!is_shm && (request.flags & GCMMAP_PRIVATE)) ? EINVAL : 0;
    n_mapped = stats_now().n_mapped;
    begin();
    region = is_shm ? gcmmap_shm(name, request.n_bytes,
                                 request.flags | GCMMAP_CREATE | GCMMAP_EXCLUSIVE, NULL)
                    : gcmmap_memfd(name, request.n_bytes, request.flags, NULL, &fd);
    disarm();
    if (region != NULL) {
        int saved_errno = errno;

        if (is_shm)
            fd = shm_open(name, O_RDWR, 0);
        request.file = add_file(fd, request.n_bytes);
        errno = saved_errno;
    }
    made(is_shm ? "gcmmap_shm" : "gcmmap_memfd", &request, region, wanted, n_mapped, slot);
    begin_calmly();
    if (is_shm)
        (void)outcome("gcmmap_shm_unlink", gcmmap_shm_unlink(name) == 0, region ? 0 : ENOENT, 0);
}

/* Anonymous memory, or a file's. */
static __attribute__((noinline)) void call_adopt(void)
{
    static const unsigned kinds[] = { 0, GCMMAP_BY_HANDLE, GCMMAP_POINTER_FREE,
                                      GCMMAP_BY_HANDLE | GCMMAP_POINTER_FREE };
    struct request request = { .fd_is_writable = true };
    unsigned slot, name = take(N_NAMES + 1), kind = kinds[take(4)], is_private = take(2);
    unsigned n_pages = 1 + take(6);
    unsigned char *memory;
    gcmmap_region *region;
    size_t n_mapped;

    if (!take_place(&slot))
        return;
    request.file = name < N_NAMES ? named[name] : NULL;
    if (request.file == NULL)
        is_private = 1;
    else
        n_pages = 1;
    if (request.file != NULL && request.file->size == 0)
        return;
    request.n_bytes = n_pages * PAGE - take(2) * 5;
    request.flags = kind | GCMMAP_WRITE | (is_private ? GCMMAP_PRIVATE : 0);
    memory =
        mmap(NULL, n_pages * PAGE, PROT_READ | PROT_WRITE,
             (is_private ? MAP_PRIVATE : MAP_SHARED) | (request.file == NULL ? MAP_ANONYMOUS : 0),
             request.file == NULL ? -1 : request.file->fd, 0);
    need(memory != MAP_FAILED, "mmap");
    /* The kernel joins equal neighbours; with guards on both sides it could not be adopted. */
    request.listener = new_listener();
    request.hidden_adopted = hide(memory);
    n_mapped = stats_now().n_mapped;
    begin();
    region = gcmmap_adopt(memory, request.n_bytes, kind, on_adopted_release, request.listener);
    if (region == NULL)
        munmap(memory, n_pages * PAGE);
    made("gcmmap_adopt", &request, region, 0, n_mapped, slot);
}

#endif
