/*
 * grep-options: what the command line asks for.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_OPTIONS_H
#define GREP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grep-pattern.h"

/* --include and --exclude, in their order. */
struct glob {
    const char *pattern;
    bool include;
};

struct globs {
    struct glob *all;
    size_t n, room;
};

enum binary { BINARY_MESSAGE, BINARY_TEXT, BINARY_SKIPPED };

struct options {
    struct pattern_options pattern;
    struct text patterns; /* one a line */
    bool has_patterns;

    /* What is selected, and how much. */
    bool invert;
    uint64_t max_count;
    unsigned char eol;
    enum binary binary;

    /* What is put out. */
    bool count, files_with, files_without, only_matching, quiet;
    bool names_default, names; /* -h, -H; by default only where there are several files */
    bool numbers, offsets, zero_behind_names, color, json, stats, lines_at_once;
    size_t before, after;
    const char *label;
    bool no_messages;

    /* Kept and put out in the end. */
    bool sort, unique;
    size_t top; /* 0: all */

    /* Which files. */
    bool recursive, follow;
    struct globs files, directories;
};

/* Ends the program for --help, --version and what makes no sense; optind is the first file. */
struct options options_of(int argc, char **argv);

/* Whether the lines are kept for the end. */
static inline bool options_keep(const struct options *options)
{
    return options->sort || options->unique || options->top > 0;
}

/* Whether a name is left out.  command_line: any end of it that begins a name may match. */
bool globs_leave_out(const struct globs *globs, const char *name, bool command_line);

#endif
