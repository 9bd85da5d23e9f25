/*
 * grep-print: how what was found is shown.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_PRINT_H
#define GREP_PRINT_H

#include "grep-match.h"
#include "grep-options.h"

/* A file, for as long as something found in it is kept.  An object of the collector's. */
struct file {
    const char *name;
    bool named;        /* its name is shown */
    const void *owner; /* keeps what is mapped by handle, or was copied */
};

/* A line, or a part of it, where it lies. */
struct found {
    const struct file *file;
    struct span text; /* without the line's end */
    uint64_t number;  /* of the line; from 1 */
    uint64_t offset;  /* of the text in the file */
    uint64_t count;   /* how often it was found; 0: not shown */
    bool is_match;    /* all of the text is one match */
    bool is_context;
};

/* As one line, or one object of JSON. */
void print_found(const struct options *options, struct matcher *matcher, const struct found *found);

/* Between lines of context that do not follow one another. */
void print_gap(const struct options *options);

/* -c, -l and -L. */
void print_count(const struct options *options, const struct file *file, uint64_t count);
void print_name(const struct options *options, const struct file *file);

#endif
