/*
 * grep-pattern: from what the user asks for to one expression of PCRE2, and what is known of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_PATTERN_H
#define GREP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "grep-text.h"

/* How patterns are meant. */
struct pattern_options {
    bool fixed;       /* -F */
    bool ignore_case; /* -i */
    bool words;       /* -w */
    bool lines;       /* -x */
    bool utf;         /* text is UTF-8 */
    bool newlines;    /* in a line there may be newlines: -z */
};

struct pattern {
    struct text expression;
    struct text *parts; /* what was asked for: each has to be an expression of its own */
    size_t n_parts;
    struct text literal; /* in each match there are these bytes; empty: nothing is known */
    bool is_literal;     /* and a match is nothing else */
    bool is_everything;  /* every line matches */
    bool stays_in_line;  /* it never matches a newline, nor tells one from the end of the text:
                            so many lines can be searched at once */
};

/* Patterns stand one in a line of `lines`. */
struct pattern pattern_of(const struct text *lines, const struct pattern_options *options);

#endif
