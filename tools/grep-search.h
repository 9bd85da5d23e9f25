/*
 * grep-search: which lines of a text are selected, and what is done with them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_SEARCH_H
#define GREP_SEARCH_H

#include "grep-print.h"

/*
 * One file's search.  All pointers lead into the text:
 *
 *     begin        counted       shown            from        to          end
 *       | lines: `line` |          | not shown yet  | searched next | not yet  |
 *
 * What is shown of [begin, from) as context is what there was in it.
 */
struct search {
    const struct options *options;
    struct matcher *matcher;
    struct file *file;

    const unsigned char *begin; /* what is there */
    uint64_t offset;            /* of begin, in the file */
    const unsigned char *counted;
    uint64_t line; /* newlines in front of `counted` */
    const unsigned char *shown;
    size_t after_left; /* lines of context that are still due */

    uint64_t n_selected;
    const unsigned char *last_end; /* behind the last line that was selected, or NULL */
    bool is_binary, is_hidden;     /* nothing is shown (any more) */
    bool has_bad_lines;            /* that were to be shown, and are no UTF-8 */
    bool stops_at_first, done;
    int error; /* of PCRE2's */
};

struct search search_new(const struct options *options, struct matcher *matcher, struct file *file);

/* Searches whole lines; the next call goes on at `to`. */
void search_text(struct search *search, const unsigned char *from, const unsigned char *to);

/* The text goes on elsewhere: what was at `keep`, and all behind it, is at `begin` now. */
void search_moved(struct search *search, const unsigned char *keep, const unsigned char *begin);

/* How far the text is still needed when everything in front of `to` was searched. */
const unsigned char *search_needs(const struct search *search, const unsigned char *to);

/* -c, -l, -L and the message on binary files. */
void search_end(struct search *search);

#endif
