/*
 * grep-out: stdout, with a buffer of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"

static char buffer[64 << 10];
static size_t size;   /* bytes in it */
static size_t record; /* of these, whole records */
static bool torn;     /* part of a record has been written */
static bool lines_wait = true, on_terminal;

void out_open(int lines_at_once)
{
    on_terminal = isatty(STDOUT_FILENO) == 1;
    lines_wait = !lines_at_once && !on_terminal;
}

static void write_all(const char *data, size_t n)
{
    if (on_terminal && n > 0)
        progress_hide();
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, data, n);

        if (done < 0 && errno != EINTR)
            give_up("write error: %s", strerror(errno));
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
}

void out_flush(void)
{
    size_t n = size;

    if (size > record)
        torn = true;
    size = record = 0;
    write_all(buffer, n);
}

/* The buffer is full: whole records are written; a part of one only if it fills the buffer. */
static void make_room(void)
{
    size_t n = record;

    if (n == 0) {
        out_flush();
        return;
    }
    record = 0;
    write_all(buffer, n);
    size -= n;
    memmove(buffer, buffer + n, size);
}

/* The size grows behind the copy, so what a fault leaves is nothing. */
void out_bytes(const void *data, size_t n)
{
    const char *from = data;

    while (n > 0) {
        size_t part = sizeof buffer - size;

        if (part > n)
            part = n;
        memcpy(buffer + size, from, part);
        size += part;
        from += part;
        n -= part;
        if (size == sizeof buffer)
            make_room();
    }
}

void out_string(const char *string)
{
    out_bytes(string, strlen(string));
}

void out_byte(char byte)
{
    buffer[size++] = byte;
    if (size == sizeof buffer)
        make_room();
}

void out_number(unsigned long long number)
{
    char digits[24], *p = digits + sizeof digits;

    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    out_bytes(p, (size_t)(digits + sizeof digits - p));
}

void out_record_done(void)
{
    record = size;
    torn = false;
    if (!lines_wait)
        out_flush();
}

void out_give_up_record(void)
{
    size = record;
    if (torn)
        out_byte('\n');
    out_record_done();
}
