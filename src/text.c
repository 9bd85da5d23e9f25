/*
 * text: numbers for people, strings for machines.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "text.h"

#include <errno.h>
#include <stdbool.h>

struct text_size text_size(size_t n_bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    struct text_size result;
    double n = (double)n_bytes;
    unsigned unit = 0;

    for (; n >= 1023.95 && unit < 6; unit++)
        n /= 1024;
    (void)snprintf(result.text, sizeof result.text, unit == 0 || n >= 99.95 ? "%.0f %s" : "%.1f %s",
                   n, units[unit]);
    return result;
}

struct text_size text_age(uint64_t milliseconds)
{
    static const struct {
        uint64_t milliseconds;
        const char *name;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };
    struct text_size result;

    for (unsigned i = 0; i < sizeof units / sizeof *units; i++)
        if (milliseconds >= units[i].milliseconds) {
            (void)snprintf(result.text, sizeof result.text, "%.1f %s",
                           (double)milliseconds / (double)units[i].milliseconds, units[i].name);
            return result;
        }
    (void)snprintf(result.text, sizeof result.text, "%u ms", (unsigned)milliseconds);
    return result;
}

/* Bytes of the UTF-8 character that a string begins with; 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (s[0] >= 0xf5 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90) ||
        (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe)) /* no characters, says XML */
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) /* the end of the string, too */
            return 0;
    return n;
}

/* escape: writes what must not stay, and says so. */
static void write_utf8(FILE *to, const char *string, bool (*escape)(FILE *to, unsigned char c))
{
    const unsigned char *s = (const unsigned char *)string;

    while (*s != '\0') {
        size_t n = utf8_length(s);

        if (n == 0)
            (void)fputs("\xef\xbf\xbd", to); /* U+FFFD */
        else if (n > 1 || !escape(to, *s))
            (void)fwrite(s, 1, n, to);
        s += n == 0 ? 1 : n;
    }
}

static bool escape_json(FILE *to, unsigned char c)
{
    if (c == '"' || c == '\\')
        (void)fprintf(to, "\\%c", c);
    else if (c < ' ')
        (void)fprintf(to, "\\u%04x", c);
    else
        return false;
    return true;
}

void text_write_json(FILE *to, const char *string)
{
    if (string == NULL) {
        (void)fputs("null", to);
        return;
    }
    (void)putc('"', to);
    write_utf8(to, string, escape_json);
    (void)putc('"', to);
}

static bool escape_xml(FILE *to, unsigned char c)
{
    const char *entity = c == '<'    ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '&'  ? "&amp;"
                         : c == '"'  ? "&quot;"
                         : c == '\'' ? "&apos;"
                         : c < ' '   ? "?"
                                     : NULL;

    if (entity != NULL)
        (void)fputs(entity, to);
    return entity != NULL;
}

void text_write_xml(FILE *to, const char *string)
{
    write_utf8(to, string, escape_xml);
}

static bool escape_plain(FILE *to, unsigned char c)
{
    if (c >= ' ' && c != 0x7f)
        return false;
    (void)putc('?', to);
    return true;
}

void text_write_plain(FILE *to, const char *string)
{
    write_utf8(to, string, escape_plain);
}

int text_finish(FILE *to)
{
    int saved_errno = errno, error = 0;

    errno = 0;
    if (fflush(to) != 0)
        error = errno != 0 ? errno : EIO;
    else if (ferror(to))
        error = EIO;
    errno = saved_errno;
    return error;
}
