/*
 * grep-match: finds lines that match, and what in them does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_MATCH_H
#define GREP_MATCH_H

#include <stdbool.h>

#include "grep-pattern.h"

struct matcher;

/* A stretch of bytes [begin, end). */
struct span {
    const unsigned char *begin, *end;
};

/* Ends the program, with a message, if the pattern is no expression.  eol: what ends a line. */
struct matcher *matcher_new(const struct pattern *pattern, const struct pattern_options *options,
                            unsigned char eol);

/*
 * The first line in [from, end) that matches; `from` is where a line begins.  The line comes with
 * its end, if it has one.
 *
 * \return  1; 0: there is none; or minus an error of PCRE2's.
 */
int matcher_line(struct matcher *matcher, const unsigned char *from, const unsigned char *end,
                 struct span *line);

/*
 * The first match in a line (without its end) that begins at `from` or behind it, and is not empty.
 *
 * \return  as above.
 */
int matcher_match(struct matcher *matcher, struct span line, const unsigned char *from,
                  struct span *match);

/* Whether a line without any byte matches. */
bool matcher_takes_empty_lines(struct matcher *matcher);

/* What an error of PCRE2's is about. */
const char *matcher_error(int error);

#endif
