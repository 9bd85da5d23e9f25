/*
 * grep-pattern: from what the user asks for to one expression of PCRE2, and what is known of it.
 *
 * An expression is rewritten so that nothing in it matches a newline: "[^a]" becomes "[^\na]".
 * Then whole files can be searched at once, and no match goes across lines.  Where that cannot be
 * told for sure (verbs, \A, \K, options in the middle ...) the expression stays what it
 * is, and lines are searched one by one.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "grep-pattern.h"

struct parser {
    const char *p, *end;
    struct text out;
    struct text run, longest; /* of characters that stand for themselves */
    size_t last;              /* bytes of the run's last character; 0: a quantifier is not its */
    size_t depth;             /* of parentheses */
    bool only_literals, has_choice, ignores_case;
};

static void end_run(struct parser *parser)
{
    if (parser->run.size > parser->longest.size) {
        parser->longest.size = 0;
        text_add(&parser->longest, parser->run.data, parser->run.size);
    }
    parser->run.size = 0;
    parser->last = 0;
}

/* Something that stands for more than itself. */
static void emit(struct parser *parser, const char *data, size_t size)
{
    end_run(parser);
    parser->only_literals = false;
    text_add(&parser->out, data, size);
}

static void emit_string(struct parser *parser, const char *string)
{
    emit(parser, string, strlen(string));
}

/* A character, as it was written and as it is. */
static void emit_literal(struct parser *parser, const char *written, size_t n, const char *is,
                         size_t size)
{
    text_add(&parser->out, written, n);
    if (parser->depth == 0) {
        text_add(&parser->run, is, size);
        parser->last = size;
    }
}

static bool at(const struct parser *parser, const char *string)
{
    size_t size = strlen(string);

    return (size_t)(parser->end - parser->p) >= size && memcmp(parser->p, string, size) == 0;
}

/* Copies n bytes as they are. */
static bool copy(struct parser *parser, size_t n)
{
    if ((size_t)(parser->end - parser->p) < n)
        return false;
    emit(parser, parser->p, n);
    parser->p += n;
    return true;
}

/* The same, in a group that does not match where a newline is. */
static bool copy_guarded(struct parser *parser, size_t n)
{
    emit_string(parser, "(?:(?!\\n)");
    if (!copy(parser, n))
        return false;
    emit_string(parser, ")");
    return true;
}

/* Length of "{...}" behind the first n bytes; 0: there is none. */
static size_t braces_behind(const struct parser *parser, size_t n)
{
    const char *from = parser->p + n, *end;

    if (from >= parser->end || *from != '{')
        return 0;
    end = memchr(from, '}', (size_t)(parser->end - from));
    return end == NULL ? 0 : (size_t)(end - from) + 1;
}

/* p is at the backslash. */
static bool parse_hexadecimal(struct parser *parser)
{
    size_t braces = braces_behind(parser, 2), n = 2 + braces;
    char digits[16] = "";

    if (braces > sizeof digits)
        return false;
    if (braces > 0) {
        memcpy(digits, parser->p + 3, braces - 2);
    } else {
        for (; n < 4 && parser->p + n < parser->end && isxdigit((unsigned char)parser->p[n]); n++)
            digits[n - 2] = parser->p[n];
    }
    return strtoul(digits, NULL, 16) != '\n' && copy(parser, n);
}

static bool parse_escape(struct parser *parser)
{
    char what;

    if (parser->end - parser->p < 2)
        return false;
    what = parser->p[1];
    if (isascii(what) && ispunct((unsigned char)what)) {
        emit_literal(parser, parser->p, 2, parser->p + 1, 1);
        parser->p += 2;
        return true;
    }
    switch (what) {
    case 's':
    case 'W':
    case 'D':
    case 'H':
        emit_string(parser, what == 's'   ? "[^\\S\\n]"
                            : what == 'W' ? "[^\\w\\n]"
                            : what == 'D' ? "[^\\d\\n]"
                                          : "[^\\h\\n]");
        parser->p += 2;
        return true;
    case 'N':
        return braces_behind(parser, 2) == 0 && copy(parser, 2);
    case 'p':
    case 'P': {
        size_t braces = braces_behind(parser, 2);

        return copy_guarded(parser, braces > 0 ? 2 + braces : 3);
    }
    case 'x':
        return parse_hexadecimal(parser);
    default:
        if (what >= '1' && what <= '9') /* a group; \12 may be a newline */
            return !(parser->end - parser->p > 2 && isdigit((unsigned char)parser->p[2])) &&
                   copy(parser, 2);
        return what != '\0' && strchr("wdhSVbBtfaer", what) != NULL && copy(parser, 2);
    }
}

/* p is at the bracket.  Finds the class's end, and whether it is sure to have no newline. */
static bool parse_class(struct parser *parser)
{
    const char *p = parser->p + 1, *end = parser->end;
    bool negated = p < end && *p == '^', clean = true;

    p += negated;
    p += p < end && *p == ']';
    while (p < end && *p != ']') {
        if (*p == '\\') {
            if (end - p < 2 || strchr("EQ", p[1]) != NULL)
                return false;
            clean &= strchr("wdhS", p[1]) != NULL || ispunct((unsigned char)p[1]);
            p += 2;
        } else if (*p == '[' && end - p > 1 && strchr(":.=", p[1]) != NULL) {
            const char mark[] = { p[1], ']', '\0' };
            const char *close = memmem(p + 2, (size_t)(end - p - 2), mark, 2);

            clean = false;
            p = close == NULL ? p + 1 : close + 2;
        } else {
            clean &= (unsigned char)*p >= ' ';
            p++;
        }
    }
    if (p >= end)
        return false;
    if (!negated)
        return clean ? copy(parser, (size_t)(p + 1 - parser->p))
                     : copy_guarded(parser, (size_t)(p + 1 - parser->p));
    emit_string(parser, "[^\\n");
    parser->p += 2;
    /* These mean themselves only in front. */
    if (*parser->p == ']' || *parser->p == '-') {
        emit_string(parser, "\\");
        copy(parser, 1);
    }
    return copy(parser, (size_t)(p + 1 - parser->p));
}

static bool parse_group(struct parser *parser)
{
    static const char *const plain[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?|" };
    static const char *const cases[] = { "(?i)", "(?i:", "(?-i)", "(?-i:" };
    static const char *const names[] = { "(?<", "(?P<", "(?'" };

    parser->depth++;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (at(parser, plain[i]))
            return copy(parser, strlen(plain[i]));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (at(parser, cases[i])) {
            size_t size = strlen(cases[i]);

            parser->ignores_case = true;
            parser->depth -= cases[i][size - 1] == ')';
            return copy(parser, size);
        }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (at(parser, names[i])) {
            char mark = names[i][2] == '\'' ? '\'' : '>';
            size_t size = strlen(names[i]);
            const char *close =
                memchr(parser->p + size, mark, (size_t)(parser->end - parser->p) - size);

            return close != NULL && copy(parser, (size_t)(close + 1 - parser->p));
        }
    return !at(parser, "(?") && !at(parser, "(*") && copy(parser, 1);
}

/* Length of a quantifier at p, 0 if there is none; whether it allows for nothing at all. */
static size_t quantifier_at(const char *p, const char *end, bool *may_be_none)
{
    const char *q = p + 1;

    *may_be_none = *p != '+';
    if (*p == '{') {
        size_t digits = 0;

        *may_be_none = strtoul(q, NULL, 10) == 0;
        for (; q < end && (isdigit((unsigned char)*q) || (*q == ',' && digits > 0)); q++)
            digits++;
        if (digits == 0 || q >= end || *q != '}')
            return 0;
        q++;
    }
    if (q < end && (*q == '?' || *q == '+'))
        q++;
    return (size_t)(q - p);
}

static bool parse_quantifier(struct parser *parser, size_t n, bool may_be_none)
{
    if (may_be_none)
        parser->run.size -= parser->last;
    return copy(parser, n);
}

static size_t character_size(const struct parser *parser, bool utf)
{
    size_t n = 1;

    while (utf && (unsigned char)*parser->p >= 0xc0 && parser->p + n < parser->end &&
           ((unsigned char)parser->p[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* One item; false: it is not known what it does. */
static bool parse_item(struct parser *parser, bool utf)
{
    bool may_be_none;
    size_t n;

    switch (*parser->p) {
    case '\\':
        return parse_escape(parser);
    case '[':
        return parse_class(parser);
    case '(':
        return parse_group(parser);
    case ')':
        return parser->depth-- > 0 && copy(parser, 1);
    case '|':
        parser->has_choice |= parser->depth == 0;
        return copy(parser, 1);
    case '^':
    case '$':
    case '.':
        return copy(parser, 1);
    case '*':
    case '+':
    case '?':
    case '{':
        n = quantifier_at(parser->p, parser->end, &may_be_none);
        if (n > 0)
            return parse_quantifier(parser, n, may_be_none);
        break;
    default:
        break;
    }
    n = character_size(parser, utf);
    emit_literal(parser, parser->p, n, parser->p, n);
    parser->p += n;
    return true;
}

/* Adds it to the pattern, rewritten if that can be done. */
static void add_expression(struct pattern *pattern, const char *data, size_t size,
                           const struct pattern_options *options)
{
    struct parser parser = { .p = data, .end = data + size, .only_literals = true };
    bool known = true;

    while (known && parser.p < parser.end)
        known = parse_item(&parser, options->utf);
    end_run(&parser);
    known &= parser.depth == 0;
    if (!known || options->newlines) {
        text_add(&pattern->expression, data, size);
        pattern->stays_in_line = false;
    } else {
        text_add(&pattern->expression, parser.out.data, parser.out.size);
    }
    if (known && !parser.has_choice && !parser.ignores_case) {
        pattern->literal = parser.longest;
        pattern->is_literal = parser.only_literals;
    }
}

static void add_fixed(struct pattern *pattern, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (isascii(data[i]) && ispunct((unsigned char)data[i]))
            text_add(&pattern->expression, "\\", 1);
        text_add(&pattern->expression, data + i, 1);
    }
    pattern->literal.size = 0;
    text_add(&pattern->literal, data, size);
    pattern->is_literal = true;
}

/* The longest of several strings is to be found. */
static int by_size(const void *left, const void *right)
{
    size_t a = ((const struct text *)left)->size;
    size_t b = ((const struct text *)right)->size;

    return (a < b) - (a > b);
}

struct pattern pattern_of(const struct text *lines, const struct pattern_options *options)
{
    struct pattern pattern = { .stays_in_line = true };
    struct text *all = NULL;
    size_t n = 0, room = 0;
    char *p = lines->data, *end = p + lines->size;

    for (;;) {
        char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;

        all = array_grow(all, n, &room, sizeof *all);
        all[n++] = (struct text){ .data = p, .size = (size_t)(stop - p) };
        if (newline == NULL)
            break;
        p = newline + 1;
    }
    if (options->fixed)
        qsort(all, n, sizeof *all, by_size);
    text_add_string(&pattern.expression, options->lines   ? "^(?:"
                                         : options->words ? "(?<!\\w)(?:"
                                                          : "");
    /* Each of several counts its groups from 1. */
    text_add_string(&pattern.expression, n > 1 ? "(?|(?:" : "");
    for (size_t i = 0; i < n; i++) {
        text_add_string(&pattern.expression, i > 0 ? ")|(?:" : "");
        if (options->fixed)
            add_fixed(&pattern, all[i].data, all[i].size);
        else
            add_expression(&pattern, all[i].data, all[i].size, options);
        pattern.is_everything |= all[i].size == 0;
    }
    text_add_string(&pattern.expression, n > 1 ? "))" : "");
    text_add_string(&pattern.expression, options->lines ? ")$" : options->words ? ")(?!\\w)" : "");
    pattern.parts = all;
    pattern.n_parts = options->fixed ? 0 : n;
    if (n > 1 || options->ignore_case)
        pattern.literal.size = 0;
    pattern.is_everything &= !options->lines && !options->words;
    pattern.is_literal &= pattern.literal.size > 0 && !options->lines && !options->words;
    return pattern;
}
