/*
 * grep-match: finds lines that match, and what in them does.
 *
 *     is_everything   every line
 *     is_literal      the string; then the borders of its line
 *     a literal       the string; then the expression on its line
 *     stays_in_line   the expression, on all lines at once; then the borders of the line
 *     else            the expression, on one line after the other
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "grep-find.h"
#include "grep-match.h"
#include "grep-say.h"

#define JIT_STACK_LEAST ((size_t)32 << 10)
#define JIT_STACK_MOST ((size_t)64 << 20)

struct matcher {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    struct needle needle; /* size 0: none */
    bool is_literal, is_everything, stays_in_line, is_utf;
    unsigned char eol;
};

/* ---- making one ----------------------------------------------------------- */

static pcre2_code *compile(const struct text *expression, uint32_t flags, const char *shown)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_UCHAR message[160];
    PCRE2_SIZE where;
    pcre2_code *code;
    int error;

    if (context == NULL)
        give_up("memory exhausted");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    if ((flags & PCRE2_UTF) == 0) /* of the locale */
        pcre2_set_character_tables(context, pcre2_maketables(NULL));
    code = pcre2_compile((PCRE2_SPTR)expression->data, expression->size, flags, &error, &where,
                         context);
    if (code == NULL) {
        pcre2_get_error_message(error, message, sizeof message);
        give_up("%s%s%s", shown, *shown == '\0' ? "" : ": ", (const char *)message);
    }
    pcre2_compile_context_free(context);
    return code;
}

static uint32_t flags_for(const struct pattern *pattern, const struct pattern_options *options)
{
    uint32_t flags = PCRE2_DOLLAR_ENDONLY | PCRE2_DUPNAMES | PCRE2_NEVER_BACKSLASH_C;

    if (options->utf)
        flags |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    if (options->ignore_case)
        flags |= PCRE2_CASELESS;
    if (options->utf && options->fixed) /* for -w: there is nothing else that asks for classes */
        flags |= PCRE2_UCP;
    if (pattern->stays_in_line)
        flags |= PCRE2_MULTILINE | PCRE2_ALT_CIRCUMFLEX;
    return flags;
}

struct matcher *matcher_new(const struct pattern *pattern, const struct pattern_options *options,
                            unsigned char eol)
{
    struct matcher *matcher = new_object(sizeof *matcher);
    pcre2_jit_stack *stack;
    uint32_t flags;

    flags = flags_for(pattern, options);
    *matcher = (struct matcher){ .is_literal = pattern->is_literal,
                                 .is_everything = pattern->is_everything,
                                 .stays_in_line = pattern->stays_in_line,
                                 .is_utf = options->utf,
                                 .eol = eol };
    if (pattern->literal.size > 0)
        matcher->needle =
            needle_of((const unsigned char *)pattern->literal.data, pattern->literal.size);
    if (matcher->is_literal)
        return matcher;
    if (options->words || options->lines || pattern->n_parts > 1)
        for (size_t i = 0; i < pattern->n_parts; i++) {
            struct text *part = &pattern->parts[i];

            pcre2_code_free(compile(
                part, flags, pattern->n_parts == 1 ? "" : new_string(part->data, part->size)));
        }
    matcher->code = compile(&pattern->expression, flags, "");
    matcher->data = pcre2_match_data_create(1, NULL);
    matcher->context = pcre2_match_context_create(NULL);
    if (matcher->data == NULL || matcher->context == NULL)
        give_up("memory exhausted");
    /* Where there is no JIT it is interpreted. */
    if (pcre2_jit_compile(matcher->code, PCRE2_JIT_COMPLETE) == 0) {
        stack = pcre2_jit_stack_create(JIT_STACK_LEAST, JIT_STACK_MOST, NULL);
        if (stack != NULL)
            pcre2_jit_stack_assign(matcher->context, NULL, stack);
    }
    return matcher;
}

/* ---- matching ------------------------------------------------------------- */

/* Where a line that goes through p begins; not before `from`. */
static const unsigned char *line_begin(const struct matcher *matcher, const unsigned char *from,
                                       const unsigned char *p)
{
    const unsigned char *before = memrchr(from, matcher->eol, (size_t)(p - from));

    return before == NULL ? from : before + 1;
}

/* Where it ends, its end included. */
static const unsigned char *line_end(const struct matcher *matcher, const unsigned char *p,
                                     const unsigned char *end)
{
    const unsigned char *eol = memchr(p, matcher->eol, (size_t)(end - p));

    return eol == NULL ? end : eol + 1;
}

static const unsigned char *without_eol(const struct matcher *matcher, struct span line)
{
    return line.end > line.begin && line.end[-1] == matcher->eol ? line.end - 1 : line.end;
}

/* 1, 0 or an error; where says where. */
static int run(struct matcher *matcher, const unsigned char *from, const unsigned char *end,
               size_t start, struct span *where)
{
    int result = pcre2_match(matcher->code, from, (size_t)(end - from), start, 0, matcher->data,
                             matcher->context);
    const PCRE2_SIZE *places;

    if (result == PCRE2_ERROR_NOMATCH)
        return 0;
    if (result < 0)
        return result;
    places = pcre2_get_ovector_pointer(matcher->data);
    /* \K in an assertion can turn them round. */
    where->end = from + places[1];
    where->begin = places[0] < places[1] ? from + places[0] : where->end;
    return 1;
}

static int line_with_needle(struct matcher *matcher, const unsigned char *from,
                            const unsigned char *end, struct span *line)
{
    for (const unsigned char *p = from; p < end; p = line->end) {
        const unsigned char *found = find_needle(&matcher->needle, p, end);
        struct span match;
        int result;

        if (found == NULL)
            return 0;
        line->begin = line_begin(matcher, p, found);
        line->end = line_end(matcher, found + matcher->needle.size, end);
        if (matcher->is_literal)
            return 1;
        result = run(matcher, line->begin, without_eol(matcher, *line), 0, &match);
        if (result != 0)
            return result;
    }
    return 0;
}

int matcher_line(struct matcher *matcher, const unsigned char *from, const unsigned char *end,
                 struct span *line)
{
    struct span match;
    int result = 0;

    if (from >= end)
        return 0;
    if (matcher->is_everything) {
        *line = (struct span){ from, line_end(matcher, from, end) };
        return 1;
    }
    if (matcher->needle.size > 0)
        return line_with_needle(matcher, from, end, line);
    if (matcher->stays_in_line) {
        result = run(matcher, from, without_eol(matcher, (struct span){ from, end }), 0, &match);
        if (result > 0) {
            line->begin = line_begin(matcher, from, match.begin);
            line->end = line_end(matcher, match.end, end);
        }
        return result;
    }
    for (line->begin = from; line->begin < end && result == 0; line->begin = line->end) {
        line->end = line_end(matcher, line->begin, end);
        result = run(matcher, line->begin, without_eol(matcher, *line), 0, &match);
        if (result != 0)
            return result;
    }
    return 0;
}

/* The next place where a character begins. */
static const unsigned char *next_character(const struct matcher *matcher, const unsigned char *p,
                                           const unsigned char *end)
{
    do
        p++;
    while (matcher->is_utf && p < end && (*p & 0xc0) == 0x80);
    return p;
}

int matcher_match(struct matcher *matcher, struct span line, const unsigned char *from,
                  struct span *match)
{
    if (matcher->is_literal) {
        match->begin = find_needle(&matcher->needle, from, line.end);
        if (match->begin == NULL)
            return 0;
        match->end = match->begin + matcher->needle.size;
        return 1;
    }
    while (from < line.end) {
        int result = run(matcher, line.begin, line.end, (size_t)(from - line.begin), match);

        if (result <= 0)
            return result;
        if (match->end > match->begin)
            return 1;
        /* An empty one: go on behind the character that stands there. */
        from = next_character(matcher, match->end > from ? match->end : from, line.end);
    }
    return 0;
}

bool matcher_takes_empty_lines(struct matcher *matcher)
{
    static const unsigned char nothing[1];
    struct span match;

    if (matcher->is_literal)
        return false;
    return matcher->is_everything || run(matcher, nothing, nothing, 0, &match) == 1;
}

const char *matcher_error(int error)
{
    static PCRE2_UCHAR message[160];

    switch (error) {
    case PCRE2_ERROR_MATCHLIMIT:
        return "exceeded PCRE's backtracking limit";
    case PCRE2_ERROR_HEAPLIMIT:
        return "exceeded PCRE's heap limit";
    case PCRE2_ERROR_JIT_STACKLIMIT:
        return "exhausted PCRE JIT stack";
    default:
        pcre2_get_error_message(error, message, sizeof message);
        return (const char *)message;
    }
}
