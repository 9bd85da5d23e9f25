/*
 * grep-json: what was found as objects of JSON, one a line.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <string.h>

#include "grep-find.h"
#include "grep-json.h"
#include "grep-out.h"

static void string(struct span text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *plain = text.begin; /* up to p, nothing was to be changed */

    out_byte('"');
    for (const unsigned char *p = text.begin; p < text.end; p++) {
        if (*p >= ' ' && *p != '"' && *p != '\\' && *p != 0x7f)
            continue;
        out_bytes(plain, (size_t)(p - plain));
        plain = p + 1;
        if (*p == '"' || *p == '\\') {
            out_byte('\\');
            out_byte((char)*p);
        } else if (*p == '\t') {
            out_string("\\t");
        } else if (*p == '\r') {
            out_string("\\r");
        } else if (*p == '\n') {
            out_string("\\n");
        } else {
            out_string("\\u00");
            out_byte(digits[*p >> 4]);
            out_byte(digits[*p & 15]);
        }
    }
    out_bytes(plain, (size_t)(text.end - plain));
    out_byte('"');
}

static void base64(struct span text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = text.begin;

    out_byte('"');
    while (p < text.end) {
        size_t n = text.end - p < 3 ? (size_t)(text.end - p) : 3;
        unsigned bits =
            (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? (unsigned)p[2] : 0);

        out_byte(digits[bits >> 18]);
        out_byte(digits[bits >> 12 & 63]);
        out_byte(n > 1 ? digits[bits >> 6 & 63] : '=');
        out_byte(n > 2 ? digits[bits & 63] : '=');
        p += n;
    }
    out_byte('"');
}

static void text_or_bytes(const char *as_text, const char *as_bytes, struct span text)
{
    bool valid = valid_utf8(text.begin, text.end) == (size_t)(text.end - text.begin);

    out_string(valid ? as_text : as_bytes);
    if (valid)
        string(text);
    else
        base64(text);
}

static void matches(struct matcher *matcher, struct span text)
{
    const char *between = "{\"start\":";
    const unsigned char *p = text.begin;
    struct span match;

    out_string(",\"matches\":[");
    while (p < text.end && matcher_match(matcher, text, p, &match) > 0) {
        out_string(between);
        out_number((size_t)(match.begin - text.begin));
        out_string(",\"end\":");
        out_number((size_t)(match.end - text.begin));
        out_byte('}');
        between = ",{\"start\":";
        p = match.end;
    }
    out_byte(']');
}

static void field(const char *key, uint64_t value)
{
    out_string(key);
    out_number(value);
}

void json_found(const struct options *options, struct matcher *matcher, const struct found *found)
{
    const char *path = found->file->name;

    out_byte('{');
    if (found->count > 0) {
        field("\"count\":", found->count);
    } else {
        text_or_bytes("\"path\":", "\"path_bytes\":",
                      (struct span){ (const unsigned char *)path,
                                     (const unsigned char *)path + strlen(path) });
        field(",\"line\":", found->number);
        field(",\"offset\":", found->offset);
    }
    text_or_bytes(",\"text\":", ",\"bytes\":", found->text);
    if (!found->is_match && !options->invert)
        matches(matcher, found->text);
    out_string("}\n");
}
