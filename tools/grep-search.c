/*
 * grep-search: which lines of a text are selected, and what is done with them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <string.h>

#include "grep-find.h"
#include "grep-keep.h"
#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"
#include "grep-search.h"

static bool something_shown; /* of any file: then there are gaps */

struct search search_new(const struct options *options, struct matcher *matcher, struct file *file)
{
    struct search search = { .options = options, .matcher = matcher, .file = file };

    search.is_hidden = options->quiet || options->files_with || options->files_without ||
                       (options->count && !options_keep(options));
    search.stops_at_first = options->quiet || options->files_with || options->files_without;
    search.done = options->max_count == 0;
    return search;
}

void search_moved(struct search *search, const unsigned char *keep, const unsigned char *begin)
{
    const struct options *options = search->options;

    if (search->begin != NULL) {
        if ((options->numbers || options->json) && search->counted < keep) {
            search->line += count_byte(search->counted, keep, options->eol);
            search->counted = keep;
        }
        search->offset += (uint64_t)(keep - search->begin);
        search->counted = search->counted < keep ? begin : begin + (search->counted - keep);
        search->shown = search->shown < keep ? NULL : begin + (search->shown - keep);
        if (search->last_end != NULL)
            search->last_end = search->last_end < keep ? NULL : begin + (search->last_end - keep);
    } else {
        search->counted = begin;
        search->shown = NULL;
    }
    search->begin = begin;
}

/* ---- what is shown -------------------------------------------------------- */

/* Whether a line can be shown: what is no text might do things to a terminal. */
static bool can_show(struct search *search, struct span line)
{
    const struct options *options = search->options;

    if (options->binary != BINARY_TEXT && options->pattern.utf && !options->json &&
        valid_utf8(line.begin, line.end) != (size_t)(line.end - line.begin)) {
        search->has_bad_lines = true;
        return false;
    }
    return true;
}

static void put_out(const struct search *search, const struct found *found)
{
    if (options_keep(search->options))
        keep_found(found);
    else
        print_found(search->options, search->matcher, found);
}

/* One by one: -o. */
static void show_matches(struct search *search, struct span line, struct found *found)
{
    const unsigned char *p = line.begin;
    struct span match;

    found->is_match = true;
    while (p < line.end && matcher_match(search->matcher, line, p, &match) > 0) {
        found->text = match;
        found->offset = search->offset + (uint64_t)(match.begin - search->begin);
        if (can_show(search, match))
            put_out(search, found);
        p = match.end;
    }
}

/* A line with its end. */
static void show_line(struct search *search, struct span line, bool is_context)
{
    const struct options *options = search->options;
    struct found found = { .file = search->file, .is_context = is_context };

    if (search->is_hidden || (!options->only_matching && !can_show(search, line)))
        return;
    if (options->numbers || options->json) {
        search->line += count_byte(search->counted, line.begin, options->eol);
        search->counted = line.begin;
        found.number = search->line + 1;
    }
    search->shown = line.end;
    something_shown = true;
    if (line.end[-1] == options->eol)
        line.end--;
    found.text = line;
    found.offset = search->offset + (uint64_t)(line.begin - search->begin);
    if (!options->only_matching)
        put_out(search, &found);
    else if (!options->invert && !is_context)
        show_matches(search, line, &found);
}

static const unsigned char *line_end(const struct search *search, const unsigned char *p,
                                     const unsigned char *end)
{
    const unsigned char *eol = memchr(p, search->options->eol, (size_t)(end - p));

    return eol == NULL ? end : eol + 1;
}

/* As many of the lines in [shown, limit) as are due behind the last one that was selected. */
static void show_after(struct search *search, const unsigned char *limit)
{
    const unsigned char *p = search->shown;

    while (search->after_left > 0 && p != NULL && p < limit && !search->is_hidden) {
        struct span line = { p, line_end(search, p, limit) };

        show_line(search, line, true);
        search->after_left--;
        p = line.end;
    }
}

/* Where n lines in front of p begin; not before `from`. */
static const unsigned char *lines_before(const struct search *search, const unsigned char *from,
                                         const unsigned char *p, size_t n)
{
    for (; n > 0 && p > from; n--) {
        const unsigned char *eol = memrchr(from, search->options->eol, (size_t)(p - 1 - from));

        p = eol == NULL ? from : eol + 1;
    }
    return p;
}

static void show_before(struct search *search, const unsigned char *p)
{
    const struct options *options = search->options;
    const unsigned char *from = search->shown == NULL ? search->begin : search->shown;

    if (options->before == 0 && options->after == 0)
        return;
    from = lines_before(search, from, p, options->before);
    if (something_shown && (search->shown == NULL || from > search->shown) && !search->is_hidden)
        print_gap(options);
    while (from < p && !search->is_hidden) {
        struct span line = { from, line_end(search, from, p) };

        show_line(search, line, true);
        from = line.end;
    }
}

/* ---- what is selected ----------------------------------------------------- */

static void select_line(struct search *search, struct span line)
{
    const struct options *options = search->options;

    search->n_selected++;
    search->last_end = line.end;
    if (!search->is_hidden) {
        show_after(search, line.begin);
        show_before(search, line.begin);
        show_line(search, line, false);
        search->shown = line.end;
        search->after_left = options->after;
    }
    if (search->stops_at_first || search->n_selected >= options->max_count)
        search->done = true;
}

/* All lines of a stretch are selected. */
static void select_lines(struct search *search, const unsigned char *from, const unsigned char *to)
{
    const struct options *options = search->options;

    if (from < to && search->is_hidden && !search->stops_at_first &&
        options->max_count == UINT64_MAX) {
        search->n_selected += count_byte(from, to, options->eol) + (to[-1] != options->eol);
        return;
    }
    while (from < to && !search->done) {
        struct span line = { from, line_end(search, from, to) };

        select_line(search, line);
        from = line.end;
    }
}

/* The first line in [p, to) that matches, or the empty one at `to`. */
static struct span next_match(struct search *search, const unsigned char *p,
                              const unsigned char *to)
{
    struct span line = { to, to };
    int result = matcher_line(search->matcher, p, to, &line);

    if (result > 0)
        return line;
    if (result < 0) {
        search->error = result;
        search->done = true;
    }
    return (struct span){ to, to };
}

/* -m was reached: context goes on up to what would be selected next. */
static void show_rest(struct search *search, const unsigned char *p, const unsigned char *to)
{
    const unsigned char *limit = p;

    if (search->after_left == 0 || search->is_hidden)
        return;
    if (search->options->invert) {
        for (struct span line; limit < to; limit = line.end) {
            line = next_match(search, limit, line_end(search, limit, to));
            if (line.begin != limit)
                break;
        }
    } else {
        limit = next_match(search, p, to).begin;
    }
    show_after(search, limit);
    if (limit < to)
        search->after_left = 0;
}

void search_text(struct search *search, const unsigned char *from, const unsigned char *to)
{
    const unsigned char *p = from;

    while (p < to && !search->done) {
        struct span line = next_match(search, p, to);

        if (search->error != 0)
            return;
        if (search->options->invert)
            select_lines(search, p, line.begin);
        else if (line.begin < line.end)
            select_lines(search, line.begin, line.end);
        p = search->done && search->last_end != NULL ? search->last_end : line.end;
    }
    if (search->done)
        show_rest(search, p, to);
    else
        show_after(search, to);
}

const unsigned char *search_needs(const struct search *search, const unsigned char *to)
{
    const unsigned char *from = search->shown == NULL ? search->begin : search->shown;

    return lines_before(search, from, to, search->options->before);
}

void search_end(struct search *search)
{
    const struct options *options = search->options;
    bool any = search->n_selected > 0;

    totals.n_matching += any;
    totals.n_selected += search->n_selected;
    if (search->error != 0) {
        errors_seen = true;
        say("%s: %s", search->file->name, matcher_error(search->error));
    }
    if (options->quiet)
        return;
    if (options->files_with || options->files_without) {
        if (any == options->files_with)
            print_name(options, search->file);
    } else if (options->count && !options_keep(options)) {
        print_count(options, search->file, search->n_selected);
    } else if ((search->is_binary || search->has_bad_lines) && any &&
               options->binary == BINARY_MESSAGE) {
        say("%s: binary file matches", search->file->name);
    }
}
