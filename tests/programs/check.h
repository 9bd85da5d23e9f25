/*
 * check: whether calls ended as documented, and regions show what the model says.  Memory is
 * read by process_vm_readv(2), which says EFAULT where a load would end in a signal.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CHECK_H
#define CHECK_H

#include "model.h"

#include <sys/uio.h>

/* ---- the program, and what to say when it goes wrong ------------------------------------- */

static struct {
    const uint8_t *bytes;
    size_t n, at;
    const char *name;
    bool is_traced;
} program;

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list arguments;

    printf("not ok 1 - %s, at byte %zu: ", program.name, program.at);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n# GCMMAP_PROGRAM_TRACE=1 shows the calls\n");
    fflush(stdout);
    abort();
}

__attribute__((format(printf, 1, 2))) static void trace(const char *format, ...)
{
    va_list arguments;

    if (!program.is_traced)
        return;
    printf("# %4zu ", program.at);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* The next operand, less than limit; 0 when the program is over. */
static unsigned take(unsigned limit)
{
    return program.at < program.n ? program.bytes[program.at++] % limit : 0;
}

/* Sizes and offsets: around the borders of pages, or anything. */
static size_t take_size(size_t limit)
{
    unsigned how = take(8);
    size_t size = take(256) * PAGE / 16;

    if (how < 4)
        size = size / PAGE * PAGE + (how == 3 ? PAGE - 1 : how);
    else if (how == 4)
        size = take(256);
    else if (how == 5)
        size += take(256);
    return size % (limit + 1);
}

/* ---- failures of the system ---
 * Where the library is linked with inject.h any call it makes may fail, between begin() and
 * outcome(); n_failures() tells how many did.
 */

#define UNTOUCHED 4242

#ifdef GCMMAP_INJECT
#include "../inject.h"

/* A mapping that was made, had to go, and could not, stays in the pool until that is used. */
#define MAPPINGS_LEFT 8

static int n_failures(void)
{
    return atomic_load(&n_injected);
}

/* What gcmmap.h says that shortages may lead to; whatever is wrong must not come as one. */
static const struct {
    const char *call;
    int errors[8];
} after_failures[] = {
    { "gcmmap_open", { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL, EDQUOT } },
    { "gcmmap_map", { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL, EDQUOT } },
    { "gcmmap_alloc", { ENOMEM, EAGAIN, EINVAL, EDQUOT } },
    { "gcmmap_adopt", { ENOMEM, EAGAIN, EMFILE, EDQUOT } },
    { "gcmmap_memfd", { ENOMEM, EAGAIN, EMFILE, ENOSYS, EIO, EINVAL, EDQUOT } },
    { "gcmmap_shm", { ENOMEM, EAGAIN, EMFILE, ENOSPC, EIO, EINVAL, EDQUOT } },
    { "gcmmap_snapshot", { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL, ENOSPC, EDQUOT } },
    { "mapping with any flags", { ENOMEM, EAGAIN, EMFILE, EIO, EINVAL, ENOTSUP, ENOSYS, EDQUOT } },
    { "gcmmap_slice_object_new", { ENOMEM } },
    { "gcmmap_sync", { EIO } },
    { "gcmmap_protect", { ENOMEM, ENOTSUP, EMFILE, ENFILE } },
    { "gcmmap_lock", { ENOMEM, EAGAIN } },
    { "gcmmap_unlock", { ENOMEM } },
    { "gcmmap_unload", { ENOMEM, EAGAIN, EBUSY, ENOTSUP } },
    { "gcmmap_prefetch", { ENOMEM, EAGAIN, EINVAL } },
    { "gcmmap_residency", { ENOMEM, EAGAIN } },
    { "gcmmap_advise", { ENOMEM, EAGAIN, EINVAL } },
    { "gcmmap_advise(REMOVE)", { ENOMEM, EAGAIN, EINVAL } },
    { "gcmmap_extend", { ENOMEM, EAGAIN, EINVAL, ENOSPC, EIO, ESTALE, EDQUOT } },
    { "gcmmap_refresh", { ENOMEM, EAGAIN, EINVAL, EIO, ESTALE, EDQUOT } },
    { "gcmmap_truncate", { ENOMEM, EAGAIN, EIO, ESTALE } },
    { "gcmmap_close", { ENOMEM, EAGAIN, EIO } },
    { "gcmmap_unmap_now", { ENOMEM, EAGAIN, EIO } },
    { "gcmmap_copy_out", { EFAULT, EMFILE, ENFILE } },
    { "gcmmap_copy_in", { EFAULT, EMFILE, ENFILE } },
    { "gcmmap_try", { EFAULT } },
    { "gcmmap_list", { ENOMEM } },
};

static bool may_follow_failures(const char *call, int error)
{
    for (size_t i = 0; i < sizeof after_failures / sizeof *after_failures; i++)
        for (unsigned j = 0; j < 8 && strcmp(after_failures[i].call, call) == 0; j++)
            if (error == after_failures[i].errors[j])
                return error != 0;
    return false;
}

static const char *violated(void)
{
    int saved_errno = errno;
    const char *what = pool_is_inaccessible() ? NULL : "what is in the pool can be accessed";

    errno = saved_errno;
    return what;
}

static const char *lost_budget(void)
{
    return budget_is_free() ? NULL : "some of the budget is lost";
}

/* Of calls that fail anyhow, or make none themselves. */
static void begin_calmly(void)
{
    atomic_store(&n_injected, 0);
    errno = UNTOUCHED;
}

static void begin(void)
{
    begin_calmly();
    atomic_store(&is_armed, true);
}

static void prepare_failures(const uint8_t *bytes, size_t n)
{
    injection.chance = n + 1;
    for (size_t i = 0; i < n; i++)
        injection.chance = injection.chance * 31 + bytes[i];
    injection.chance |= 1;
}
#else
#define MAPPINGS_LEFT 0

static int n_failures(void)
{
    return 0;
}

static bool may_follow_failures(const char *call, int error)
{
    (void)call;
    (void)error;
    return false;
}

static const char *violated(void)
{
    return NULL;
}

static const char *lost_budget(void)
{
    return NULL;
}

static void begin_calmly(void)
{
    errno = UNTOUCHED;
}

static void begin(void)
{
    begin_calmly();
}

static void disarm(void)
{
}

static void prepare_failures(const uint8_t *bytes, size_t n)
{
    (void)bytes;
    (void)n;
}
#endif

/* ---- errno --------------------------------------------------------------------------------- */

/*
 * A call has just ended.  wanted: the errno that gcmmap.h says, or 0; behind it others that
 * may come in its place, and a 0.  True: it was successful.
 */
static bool outcome(const char *call, bool succeeded, int wanted, ...)
{
    int got = errno;
    bool allowed = got == wanted || (n_failures() > 0 && may_follow_failures(call, got));
    va_list others;

    disarm();
    trace("%s: %s", call, succeeded ? "success" : strerror(got));
    if (succeeded && wanted == 0 && got == UNTOUCHED)
        return true;
    if (succeeded)
        wrong("%s succeeded: errno %d, wanted %d", call, got, wanted);
    va_start(others, wanted);
    for (int other = va_arg(others, int); other != 0; other = va_arg(others, int))
        allowed |= got == other;
    va_end(others);
    if (!allowed)
        wrong("%s: errno %d (%s), wanted %d", call, got, strerror(got), wanted);
    return false;
}

/* The pages were to be read in at once: whether they were is known only if nothing failed. */
static void forget_wishes(struct model *model, unsigned from, unsigned to)
{
    for (unsigned p = from; p < to && n_failures() > 0; p++)
        model->pages[p].is_unknown |= (model->flags & GCMMAP_POPULATE) != 0;
}

/* ---- slots: what the collector sees ------------------------------------------------------- */

#define N_SLOTS 8u

enum held { NOTHING, POINTER, OBJECT, SLICE_OBJECT };

struct slot {
    enum held held;
    int model;
    size_t offset;  /* of the pointer behind the data; by handle: it is the handle */
    size_t n_bytes; /* of a slice object */
};

static struct slot slots[N_SLOTS];
static void *pointers[N_SLOTS]; /* static data is a root */

static void empty_slot(unsigned i)
{
    slots[i] = (struct slot){ .model = -1 };
    pointers[i] = NULL;
}

static __attribute__((noinline)) void *handle_of(const struct model *model)
{
    return reveal(model->hidden_handle);
}

static unsigned char *data_of(const struct model *model)
{
    return reveal(model->hidden_data);
}

/* What is to be kept, in the heap or in static data, so that the model's region is. */
static void *pointer_to(const struct model *model, size_t offset)
{
    return model->by_handle || !GC_get_all_interior_pointers() ? handle_of(model)
                                                               : data_of(model) + offset;
}

static void fill_slot(unsigned i, int model, size_t offset)
{
    empty_slot(i);
    slots[i] = (struct slot){ POINTER, model, offset, 0 };
    pointers[i] = pointer_to(&models[model], offset);
}

static void take_stock(void)
{
    for (unsigned i = 0; i < n_models; i++)
        models[i].is_reached = false;
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (slots[i].held != NOTHING)
            reach(slots[i].model);
}

/* ---- looks ------------------------------------------------------------------------------------- */

/* Bytes [from, to) of a page: whether they can be read, and what they are. */
static bool peek(unsigned char *bytes, const unsigned char *from, size_t n)
{
    struct iovec local = { bytes, n }, remote = { (void *)from, n };

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

static void check_page(const struct model *model, unsigned p)
{
    size_t from = p == 0 ? model->head : p * PAGE, end = model->head + model->n_bytes;
    size_t to = (p + 1) * PAGE < end ? (p + 1) * PAGE : end;
    unsigned char bytes[PAGE];
    bool is_read;

    if (model->pages[p].is_unknown)
        return;
    is_read = peek(bytes, data_of(model) - model->head + from, to - from);
    if (is_read != can_be_read(model, p))
        wrong("model %td: page %u can%s be read", model - models, p, is_read ? "" : "not");
    for (size_t at = from; is_read && at < to; at++)
        if (bytes[at - from] != byte_of(model, at))
            wrong("model %td: byte %zu of the image is %d, wanted %d", model - models, at,
                  bytes[at - from], byte_of(model, at));
}

/* The lines of /proc/self/maps about the first byte, and about the one behind the last. */
static void show_mappings(const unsigned char *first, const unsigned char *end)
{
    char permissions[5] = "";
    unsigned long inode = 0;

    (void)map_line(first, permissions, &inode);
    note("%p: %s, inode %lu", (const void *)first, permissions, inode);
    (void)map_line(end, permissions, &inode);
    note("%p: %s, inode %lu", (const void *)end, permissions, inode);
}

/* Behind writable memory that ends with a page nothing can be touched, nor in the room. */
static void check_end(const struct model *model)
{
    unsigned char byte, *end = data_of(model) + model->n_bytes;
    bool is_known =
        model->grows ? model->n_bytes < model->room : (model->flags & GCMMAP_WRITE) != 0;

    if ((model->by_handle && !model->grows) || model->has_strays)
        return;
    if (model->n_bytes > 0 && is_known && (uintptr_t)end % PAGE == 0 && peek(&byte, end, 1)) {
        /* Seen once, with seed 1003 and interior pointers off, and not again in 150 runs. */
        show_mappings(data_of(model), end);
        wrong(
            "model %td: the byte behind the end can be read: %zu bytes, room %zu, flags %#x%s%s%s",
            model - models, model->n_bytes, model->room, model->flags,
            model->grows ? ", grows" : "", model->by_handle ? ", by handle" : "",
            model->is_copy ? ", a copy" : "");
    }
}

static void check_names(const struct model *model)
{
    gcmmap_slice bytes;

    begin_calmly();
    if (gcmmap_of(data_of(model)) != handle_of(model) ||
        gcmmap_of(handle_of(model)) != handle_of(model))
        wrong("gcmmap_of() of model %td", model - models);
    if (gcmmap_weak_get(model->weak) != handle_of(model))
        wrong("model %td is reached, and its weak reference is dead", model - models);
    bytes = gcmmap_bytes(handle_of(model));
    if (outcome("gcmmap_bytes", bytes.data != NULL, model->is_closed ? EBADF : 0, 0) &&
        (bytes.data != data_of(model) || bytes.size != model->n_bytes))
        wrong("model %td: %zu bytes, wanted %zu", model - models, bytes.size, model->n_bytes);
}

/* Of one that is reached. */
static __attribute__((noinline)) void check_model(const struct model *model)
{
    check_names(model);
    for (unsigned p = 0; p < n_pages_for(model, model->n_bytes); p++)
        check_page(model, p);
    if (!model->is_closed)
        check_end(model);
}

static void check_slot(unsigned i)
{
    const struct slot *slot = &slots[i];
    const gcmmap_slice_object *object = pointers[i];

    if (slot->held == SLICE_OBJECT &&
        (object->region != handle_of(&models[slot->model]) || object->bytes.size != slot->n_bytes ||
         object->bytes.data != data_of(&models[slot->model]) + slot->offset))
        wrong("slot %u: its slice object has changed", i);
    if (slot->held == OBJECT &&
        *(void **)pointers[i] != pointer_to(&models[slot->model], slot->offset))
        wrong("slot %u: its object has changed", i);
}

static void check_stats(void)
{
    size_t n_open = 0, n_closed = 0;
    gcmmap_stats stats = stats_now();

    for (unsigned i = 0; i < n_models; i++) {
        n_open += models[i].is_reached && !models[i].is_closed;
        n_closed += models[i].is_reached && models[i].is_closed;
    }
    if (stats.n_live < n_open || stats.n_closed < n_closed)
        wrong("%zu live and %zu closed regions, wanted at least %zu and %zu", stats.n_live,
              stats.n_closed, n_open, n_closed);
    if (stats.n_live + stats.n_closed + stats.n_dying !=
        stats.n_mapped - stats.n_released - stats.n_unmapped_now)
        wrong("%zu live, %zu closed, %zu dying of %zu mapped, %zu released, %zu unmapped now",
              stats.n_live, stats.n_closed, stats.n_dying, stats.n_mapped, stats.n_released,
              stats.n_unmapped_now);
}

static __attribute__((noinline)) void check_everything(void)
{
    take_stock();
    for (unsigned i = 0; i < N_SLOTS; i++)
        check_slot(i);
    for (unsigned i = 0; i < n_models; i++)
        if (models[i].is_reached)
            check_model(&models[i]);
    check_stats();
    if (violated() != NULL)
        wrong("%s", violated());
    scrub();
}

/* By reading, not by mapping. */
static void check_files(void)
{
    static unsigned char bytes[FILE_MOST];
    struct stat status;

    for (unsigned i = 0; i < n_files; i++) {
        const struct file *file = files[i];

        need(fstat(file->fd, &status) == 0, "fstat");
        if ((size_t)status.st_size != file->size)
            wrong("file %u has %zu bytes, wanted %zu", i, (size_t)status.st_size, file->size);
        need(pread(file->fd, bytes, file->size, 0) == (ssize_t)file->size, "pread");
        if (memcmp(bytes, file->bytes, file->size) != 0)
            wrong("file %u has other contents", i);
    }
}

/* ---- released --------------------------------------------------------------------------------- */

static struct listener *listeners; /* not called yet */
static unsigned n_listeners;

static void told(struct listener *listener, const void *data, size_t n_bytes)
{
    struct listener **at = &listeners;

    while (*at != NULL && *at != listener)
        at = &(*at)->next;
    if (*at == NULL)
        wrong("a region is told to be released for the second time");
    *at = listener->next;
    n_listeners--;
    if (hide(data) != listener->hidden_data || n_bytes != listener->n_bytes)
        wrong("the release of another region is told");
    if (listener->program == program_number) {
        struct model *model = &models[listener->model];

        take_stock();
        if (model->is_used && model->is_reached && !model->is_closed)
            wrong("model %u is released, and is reached", listener->model);
        model->listener = NULL;
    }
    free(listener);
}

static void on_release(const gcmmap_release *release, void *data)
{
    struct listener *listener = data;

    if ((release->error != 0 && n_failures() == 0) || release->name == NULL ||
        strcmp(release->name, listener->name) != 0)
        wrong("released: name %s, error %d", release->name, release->error);
    told(listener, release->data, release->size);
}

static void on_adopted_release(void *addr, size_t size, void *data)
{
    told(data, addr, size);
}

static struct listener *new_listener(void)
{
    struct listener *listener = calloc(1, sizeof *listener);

    need(listener != NULL, "calloc");
    snprintf(listener->name, sizeof listener->name, "r%u", n_models);
    listener->program = program_number;
    listener->model = n_models;
    listener->next = listeners;
    listeners = listener;
    n_listeners++;
    return listener;
}

static void drop_listener(struct listener *listener)
{
    if (listener != NULL && listeners != listener)
        wrong("a call that failed told a release");
    if (listener != NULL) {
        listeners = listener->next;
        n_listeners--;
        free(listener);
    }
}

#endif
