/*
 * snapshot: mappings that nobody else can change.  Checks arguments, copies, sets errno.
 *
 * SPDX-License-Identifier: MIT
 *
 * The bytes go into a file without a name, which is mapped as any other:
 *
 *     a clone     on the same disk, sharing its blocks; by name or descriptor nobody reaches it
 *     a memfd     sealed
 *     or, where there is neither, into anonymous memory.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gcmmap.h"
#include "map.h"
#include "os.h"
#include "region.h"

/* Fits the processor's caches, as it is read and written once. */
#define BUFFER_BYTES ((size_t)256 << 10)

/* A clone waits for the disk if the file was written to just now. */
#define CLONE_LEAST ((size_t)1 << 20)

/* Until we say that others keep changing the file. */
#define MOST_TRIES 3u

/* The file changed. */
#define CHANGED EBUSY

/* memfd_create(2) */
#define NAME_BYTES 249u

#define NOT_OF_COPIES                                                                              \
    (GCMMAP_HUGE_ONLY | GCMMAP_SECRET | GCMMAP_SYNC_DAX | GCMMAP_WRITE_BACK | GCMMAP_CREATE |      \
     GCMMAP_EXCLUSIVE | GCMMAP_ZERO_FILL)

struct source {
    int fd;
    off_t offset;
    size_t size; /* as asked for; GCMMAP_REST: up to the end, wherever it is */
    bool has_size;
    bool is_stream;
    struct os_file file; /* as it was when copying began */
};

struct copy {
    gcmmap_copying how;
    size_t n_most;         /* bytes that may be copied */
    unsigned char *buffer; /* NULL: none yet */
    int fd;                /* the copy; -1: */
    unsigned char *memory; /* ... it is here, or nowhere yet ... */
    size_t n_memory;       /* ... with room for so much */
    size_t head;           /* bytes of it in front of those asked for */
    size_t n_bytes;
};

/* ---- what is to be copied -------------------------------------------------------- */

static int look(struct source *source, size_t size)
{
    int error = source->offset < 0 ? EINVAL : os_describe(source->fd, &source->file);

    if (error == 0)
        error = os_check_access(source->fd, GCMMAP_READ);
    if (error != 0)
        return error;
    source->size = size;
    source->has_size = source->file.type == OS_FILE_REGULAR &&
                       (source->file.size != 0 || !os_has_hidden_contents(source->fd));
    source->is_stream = os_is_stream(source->fd);
    if (source->file.type == OS_FILE_DIRECTORY)
        return EISDIR;
    if (source->is_stream && source->offset != 0)
        return ESPIPE;
    if (source->has_size)
        return map_check_file_range(&source->file, source->offset, &source->size);
    if (source->file.type == OS_FILE_DEVICE || size != GCMMAP_REST)
        return map_check_device_range(source->offset, size);
    return 0;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool has_changed(const struct source *source)
{
    struct os_file now;

    return source->has_size &&
           (os_describe(source->fd, &now) != 0 || now.size != source->file.size ||
            !is_same_time(&now.modified, &source->file.modified) ||
            !is_same_time(&now.changed, &source->file.changed));
}

/* ---- copying ----------------------------------------------------------------------- */

static int report(const struct copy *copy, const struct source *source)
{
    size_t size = source->size == GCMMAP_REST ? 0 : source->size;

    if (copy->how.progress == NULL || copy->how.progress(copy->n_bytes, size, copy->how.data) == 0)
        return 0;
    return ECANCELED;
}

static int make_room(struct copy *copy, size_t n_needed)
{
    size_t n_room = copy->n_memory;
    unsigned char *larger;

    while (n_room < n_needed)
        n_room = n_room < BUFFER_BYTES ? BUFFER_BYTES : n_room + n_room / 2;
    if (n_room == copy->n_memory)
        return 0;
    larger = realloc(copy->memory, n_room);
    if (larger == NULL)
        return ENOMEM;
    copy->memory = larger;
    copy->n_memory = n_room;
    return 0;
}

static bool is_all_zero(const unsigned char *bytes, size_t n)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* What is zero becomes a hole, which takes no memory. */
static int append(struct copy *copy, size_t n)
{
    int error = 0;

    if (copy->fd < 0) {
        error = make_room(copy, copy->n_bytes + n);
        if (error == 0)
            memcpy(copy->memory + copy->n_bytes, copy->buffer, n);
    } else if (!is_all_zero(copy->buffer, n)) {
        error = os_write(copy->fd, (off_t)copy->n_bytes, copy->buffer, n);
    }
    if (error == 0)
        copy->n_bytes += n;
    return error;
}

static int copy_bytes(struct copy *copy, const struct source *source)
{
    for (;;) {
        size_t n = source->size - copy->n_bytes, n_most = copy->n_most + 1 - copy->n_bytes;
        off_t at = source->is_stream ? -1 : source->offset + (off_t)copy->n_bytes;
        int error = report(copy, source);

        if (error != 0 || n == 0)
            return error;
        n = n < n_most ? n : n_most;
        error = os_read(source->fd, at, copy->buffer, n < BUFFER_BYTES ? n : BUFFER_BYTES, &n);
        if (error == EINTR)
            continue;
        if (error == 0 && n == 0)
            return 0;
        if (error == 0)
            error = append(copy, n);
        if (error != 0)
            return error;
        if (copy->n_bytes > copy->n_most)
            return EOVERFLOW;
    }
}

/* Files of /sys end before they say that they do. */
static int check_copy(const struct copy *copy, const struct source *source, size_t wanted)
{
    bool changed = has_changed(source), is_short = copy->n_bytes < source->size;

    if (changed && (is_short || !(copy->how.how & GCMMAP_COPY_ANYHOW)))
        return CHANGED;
    return is_short && wanted != GCMMAP_REST ? ENXIO : 0;
}

static void name_copy(char *name, const gcmmap_options *options)
{
    name[0] = '\0';
    (void)strncat(name, options != NULL && options->name != NULL ? options->name : "snapshot",
                  NAME_BYTES);
}

static int copy_into_memory(struct copy *copy, const struct source *source, size_t wanted,
                            const gcmmap_options *options)
{
    char name[NAME_BYTES + 1];
    int error;

    name_copy(name, options);
    /* Without: no descriptor to be had, or a limit on files.  Then anonymous memory will do. */
    if (os_most_file_bytes() != UINTMAX_MAX || os_open_memfd(name, &copy->fd) != 0)
        copy->fd = -1;
    if (copy->buffer == NULL)
        copy->buffer = malloc(BUFFER_BYTES);
    error = copy->buffer != NULL ? copy_bytes(copy, source) : ENOMEM;
    if (error == 0)
        error = check_copy(copy, source, wanted);
    if (error == 0 && copy->fd >= 0)
        error = os_cut_file(copy->fd, (off_t)copy->n_bytes);
    return error == 0 && copy->fd >= 0 ? os_seal(copy->fd) : error;
}

/* One call copies nothing, and no change can come in between. */
static int clone(struct copy *copy, const struct source *source)
{
    size_t head = (size_t)(source->offset % (off_t)os_page_size());
    struct os_file now;
    int error;

    if (!source->has_size || source->size < CLONE_LEAST || (copy->how.how & GCMMAP_COPY_TO_MEMORY))
        return ENOTSUP;
    error = os_clone(source->fd, source->offset - (off_t)head, head + source->size, &copy->fd);
    if (error != 0) {
        copy->fd = -1;
        return ENOTSUP;
    }
    if (os_describe(copy->fd, &now) != 0 || now.size < (off_t)(head + source->size))
        return CHANGED;
    copy->head = head;
    copy->n_bytes = source->size;
    return report(copy, source);
}

static void discard(struct copy *copy)
{
    if (copy->fd >= 0)
        os_close(copy->fd);
    copy->fd = -1;
    copy->n_bytes = 0;
}

static int take(struct copy *copy, struct source *source, size_t size,
                const gcmmap_options *options)
{
    int error = CHANGED;

    for (unsigned i = 0; i < MOST_TRIES && error == CHANGED; i++) {
        discard(copy);
        error = look(source, size);
        if (error == 0 && source->size != GCMMAP_REST && source->size > copy->n_most)
            error = EOVERFLOW;
        if (error == 0)
            error = clone(copy, source);
        if (error == ENOTSUP)
            error = copy_into_memory(copy, source, size, options);
    }
    return error;
}

/* ---- mapping it -------------------------------------------------------------------- */

/* A new region of memory. */
static int fill(gcmmap_region *handle, const unsigned char *bytes, size_t n_bytes)
{
    gcmmap_slice slice;
    struct region_pin pin;
    int error = region_bytes(handle, &slice);

    if (error == 0)
        error = region_pin(slice.data, n_bytes, &pin);
    if (error != 0)
        return error;
    if (!(pin.flags & GCMMAP_WRITE))
        error = os_protect(pin.pages, pin.n_bytes, GCMMAP_WRITE);
    if (error == 0)
        memcpy(slice.data, bytes, n_bytes);
    if (error == 0 && !(pin.flags & GCMMAP_WRITE))
        error = os_protect(pin.pages, pin.n_bytes, pin.flags);
    region_unpin(&pin);
    return error;
}

static int map_copy(const struct copy *copy, unsigned flags, const gcmmap_options *options,
                    const void *caller, gcmmap_region **handle)
{
    int error;

    if (copy->fd >= 0)
        return map_file(copy->fd, NULL, (off_t)copy->head, copy->n_bytes, flags, options, caller,
                        handle);
    error = map_memory(copy->n_bytes, flags, options, caller, handle);
    if (error != 0 || copy->n_bytes == 0)
        return error;
    error = fill(*handle, copy->memory, copy->n_bytes);
    if (error != 0) {
        region_discard(*handle);
        *handle = NULL;
    }
    return error;
}

static int check_copying(const gcmmap_copying *how)
{
    if ((how->how & ~(GCMMAP_COPY_ANYHOW | GCMMAP_COPY_TO_MEMORY)) != 0)
        return EINVAL;
    for (size_t i = 0; i < sizeof how->reserved / sizeof *how->reserved; i++)
        if (how->reserved[i] != 0)
            return EINVAL;
    return 0;
}

static int snapshot(struct source *source, size_t size, unsigned flags,
                    const gcmmap_options *options, struct copy *copy, const void *caller,
                    gcmmap_region **handle)
{
    int error = check_copying(&copy->how);

    if (error == 0 && (flags & NOT_OF_COPIES))
        error = EINVAL;
    if (error == 0)
        error = map_check(flags, options);
    if (error == 0 && options != NULL && (options->room != 0 || options->truncated != NULL))
        error = EINVAL;
    if (error == 0)
        error = take(copy, source, size, options);
    return error == 0 ? map_copy(copy, flags, options, caller, handle) : error;
}

gcmmap_region *gcmmap_snapshot(int fd, int64_t offset, size_t size, unsigned flags,
                               const gcmmap_options *options, const gcmmap_copying *copying)
{
    struct source source = { .fd = fd, .offset = offset };
    struct copy copy = { .fd = -1 };
    gcmmap_region *handle = NULL;
    int saved_errno = errno, error;

    if ((flags & (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC)) == 0)
        flags |= GCMMAP_READ;
    flags |= GCMMAP_PRIVATE;
    if (copying != NULL)
        copy.how = *copying;
    copy.n_most = map_most_bytes(flags);
    error = snapshot(&source, size, flags, options, &copy, MAP_CALLER(), &handle);
    discard(&copy);
    free(copy.buffer);
    free(copy.memory);
    errno = error != 0 ? error : saved_errno;
    return handle;
}
