/*
 * grep-print: how what was found is shown.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <string.h>

#include "grep-json.h"
#include "grep-out.h"
#include "grep-print.h"

/* GNU grep's colors, and its way to write them. */
#define COLOR_MATCH "01;31"
#define COLOR_NAME "35"
#define COLOR_NUMBER "32"
#define COLOR_SEPARATOR "36"

static void begin_color(const struct options *options, const char *color)
{
    if (!options->color)
        return;
    out_string("\33[");
    out_string(color);
    out_string("m\33[K");
}

static void end_color(const struct options *options)
{
    if (options->color)
        out_string("\33[m\33[K");
}

static void separator(const struct options *options, char byte)
{
    begin_color(options, COLOR_SEPARATOR);
    out_byte(byte);
    end_color(options);
}

static void name(const struct options *options, const struct file *file)
{
    begin_color(options, COLOR_NAME);
    out_string(file->name);
    end_color(options);
}

static void number(const struct options *options, uint64_t value, char behind)
{
    begin_color(options, COLOR_NUMBER);
    out_number(value);
    end_color(options);
    separator(options, behind);
}

static void matched(const struct options *options, const unsigned char *from,
                    const unsigned char *to)
{
    begin_color(options, COLOR_MATCH);
    out_bytes(from, (size_t)(to - from));
    end_color(options);
}

static void with_matches(const struct options *options, struct matcher *matcher, struct span text)
{
    const unsigned char *p = text.begin;
    struct span match;

    while (p < text.end && matcher_match(matcher, text, p, &match) > 0) {
        out_bytes(p, (size_t)(match.begin - p));
        matched(options, match.begin, match.end);
        p = match.end;
    }
    out_bytes(p, (size_t)(text.end - p));
}

static void behind_name(const struct options *options, char byte)
{
    if (options->zero_behind_names)
        out_byte('\0');
    else
        separator(options, byte);
}

/* As `uniq -c` does. */
static void frequency(uint64_t count)
{
    for (uint64_t n = 1000000; n > count && n > 1; n /= 10)
        out_byte(' ');
    out_number(count);
    out_byte(' ');
}

void print_found(const struct options *options, struct matcher *matcher, const struct found *found)
{
    char behind = found->is_context ? '-' : ':';

    if (options->json) {
        json_found(options, matcher, found);
        out_record_done();
        return;
    }
    if (found->count > 0)
        frequency(found->count);
    if (found->file->named) {
        name(options, found->file);
        behind_name(options, behind);
    }
    if (options->numbers)
        number(options, found->number, behind);
    if (options->offsets)
        number(options, found->offset, behind);
    if (found->is_match)
        matched(options, found->text.begin, found->text.end);
    else if (options->color && found->is_context == options->invert)
        with_matches(options, matcher, found->text);
    else
        out_bytes(found->text.begin, (size_t)(found->text.end - found->text.begin));
    out_byte((char)options->eol);
    out_record_done();
}

void print_gap(const struct options *options)
{
    begin_color(options, COLOR_SEPARATOR);
    out_string("--");
    end_color(options);
    out_byte('\n');
}

void print_count(const struct options *options, const struct file *file, uint64_t count)
{
    if (file->named) {
        name(options, file);
        behind_name(options, ':');
    }
    out_number(count);
    out_byte('\n');
    out_record_done();
}

void print_name(const struct options *options, const struct file *file)
{
    name(options, file);
    out_byte(options->zero_behind_names ? '\0' : '\n');
    out_record_done();
}
