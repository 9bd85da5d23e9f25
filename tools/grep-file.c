/*
 * grep-file: one file's bytes: mapped, or read where it cannot be mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gcmmap.h"
#include "grep-file.h"
#include "grep-guard.h"
#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"
#include "grep-search.h"

/* What is searched at once: it stays in the processor's cache for the second look. */
#define WINDOW ((size_t)256 << 10)
/* What is read at once, at least. */
#define CHUNK ((size_t)256 << 10)

/* ---- windows -------------------------------------------------------------- */

/*
 * A binary file, without -a: zero bytes end lines too, and nothing is shown.
 */
static void search_binary(struct search *search, const unsigned char *from, const unsigned char *to)
{
    bool empty_is_selected = matcher_takes_empty_lines(search->matcher) != search->options->invert;

    while (from < to && !search->done) {
        const unsigned char *zero = memchr(from, '\0', (size_t)(to - from));
        const unsigned char *end = zero == NULL ? to : zero;

        /* As in the middle of nothing but zeros. */
        if (end > from)
            search_text(search, from, end);
        if (zero != NULL && (end == from || end[-1] == '\n') && empty_is_selected) {
            search->n_selected++;
            search->done |=
                search->stops_at_first || search->n_selected >= search->options->max_count;
        }
        from = zero == NULL ? to : zero + 1;
    }
}

static void search_window(struct search *search, const unsigned char *from, const unsigned char *to)
{
    const struct options *options = search->options;

    if (options->binary != BINARY_TEXT && options->eol == '\n' && !search->is_binary &&
        memchr(from, '\0', (size_t)(to - from)) != NULL) {
        search->is_binary = search->is_hidden = true;
        search->stops_at_first |= !options->count || options_keep(options);
        if (options->binary == BINARY_SKIPPED) {
            search->n_selected = 0;
            search->done = true;
        }
    }
    if (search->is_binary && options->eol == '\n')
        search_binary(search, from, to);
    else
        search_text(search, from, to);
    progress_add((size_t)(to - from));
}

/* The end of the last line in [from, to), or NULL if none ends there. */
static const unsigned char *last_end(const struct search *search, const unsigned char *from,
                                     const unsigned char *to)
{
    const unsigned char *eol = memrchr(from, search->options->eol, (size_t)(to - from));

    if (eol == NULL && search->is_binary)
        eol = memrchr(from, '\0', (size_t)(to - from));
    return eol == NULL ? NULL : eol + 1;
}

static void search_windows(struct search *search, const unsigned char *from,
                           const unsigned char *end)
{
    while (from < end && !search->done) {
        const unsigned char *to = end;

        for (size_t size = WINDOW; (size_t)(end - from) > size; size *= 2) {
            to = last_end(search, from + (size == WINDOW ? 0 : size / 2), from + size);
            if (to != NULL)
                break;
            to = end;
        }
        search_window(search, from, to);
        from = to;
    }
}

/* ---- mapped --------------------------------------------------------------- */

/* What a guard runs. */
struct job {
    struct search *search;
    const unsigned char *data;
    size_t size;
};

static void search_mapped(void *data)
{
    struct job *job = data;

    search_moved(job->search, job->data, job->data);
    search_windows(job->search, job->data, job->data + job->size);
}

/* From the descriptor's place to the end; NULL with errno set if that cannot be. */
static gcmmap_region *map(int fd, off_t offset, struct file *file)
{
    gcmmap_region *region = gcmmap_map(fd, offset, GCMMAP_REST, GCMMAP_READ);

    if (region == NULL && errno == EOVERFLOW) {
        region = gcmmap_map(fd, offset, GCMMAP_REST, GCMMAP_READ | GCMMAP_BY_HANDLE);
        file->owner = region;
    }
    return region;
}

/* ---- read ----------------------------------------------------------------- */

/* A pipe, a terminal, a file of /proc: in chunks, which live as long as something in them does. */
struct chunk {
    unsigned char *data, *end, *limit;
};

static bool new_chunk(struct chunk *chunk, const unsigned char *keep)
{
    size_t n_kept = keep == NULL ? 0 : (size_t)(chunk->end - keep);
    size_t size = 2 * n_kept < CHUNK ? CHUNK : 2 * n_kept;
    unsigned char *data = gcmmap_data(gcmmap_alloc(size, GCMMAP_WRITE | GCMMAP_POINTER_FREE));

    if (data == NULL)
        return false;
    if (n_kept > 0)
        memcpy(data, keep, n_kept);
    *chunk = (struct chunk){ data, data + n_kept, data + size };
    return true;
}

/* Errno of what could not be read, or 0. */
static int search_read(struct search *search, int fd)
{
    struct chunk chunk = { 0 };
    const unsigned char *from;

    if (!new_chunk(&chunk, NULL))
        return errno;
    totals.n_copied++;
    from = chunk.data;
    search_moved(search, from, from);
    while (!search->done) {
        ssize_t n = read(fd, chunk.end, (size_t)(chunk.limit - chunk.end));
        const unsigned char *to;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        totals.bytes_copied += (uint64_t)n;
        to = last_end(search, chunk.end, chunk.end + n);
        chunk.end += n;
        if (to != NULL) {
            search_window(search, from, to);
            from = to;
        }
        if (chunk.end == chunk.limit && !search->done) {
            const unsigned char *keep = search_needs(search, from);
            size_t ahead = (size_t)(from - keep);

            if (!new_chunk(&chunk, keep))
                return errno;
            search_moved(search, keep, chunk.data);
            from = chunk.data + ahead;
        }
    }
    if (from < chunk.end && !search->done)
        search_window(search, from, chunk.end);
    return 0;
}

/* ---- either --------------------------------------------------------------- */

bool file_search(const struct options *options, struct matcher *matcher, int fd,
                 const struct stat *status, const char *name, bool named)
{
    struct file *file = new_object(sizeof *file);
    struct search search = search_new(options, matcher, file);
    off_t offset = fd == STDIN_FILENO && S_ISREG(status->st_mode) ? lseek(fd, 0, SEEK_CUR) : 0;
    gcmmap_region *region;

    *file = (struct file){ .name = name, .named = named };
    totals.n_files++;
    if (offset < 0)
        offset = 0;
    region = S_ISREG(status->st_mode) ? map(fd, offset, file) : NULL;
    if (region != NULL) {
        gcmmap_slice bytes = gcmmap_bytes(region);
        struct job job = { &search, bytes.data, bytes.size };

        totals.n_mapped++;
        totals.bytes_mapped += bytes.size;
        search.offset = (uint64_t)offset;
        if (guarded(search_mapped, &job) != NULL) {
            out_give_up_record();
            errors_seen = true;
            if (!options->no_messages)
                say("%s: " TRUNCATED, name);
        }
        if (fd == STDIN_FILENO)
            (void)lseek(fd,
                        search.last_end != NULL && search.done
                            ? offset + (search.last_end - bytes.data)
                            : offset + (off_t)bytes.size,
                        SEEK_SET);
    } else {
        int error = search_read(&search, fd);

        if (error != 0)
            say_error(options->no_messages, name, error);
    }
    search_end(&search);
    return search.n_selected > 0;
}
