/*
 * grep-say: messages on stderr.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"

bool errors_seen;

__attribute__((format(printf, 1, 0))) static void say_arguments(const char *format,
                                                                va_list arguments)
{
    progress_hide();
    fputs(PROGRAM ": ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void say(const char *format, ...)
{
    va_list arguments;

    out_flush();
    va_start(arguments, format);
    say_arguments(format, arguments);
    va_end(arguments);
}

/* Writes nothing to stdout: that may be what failed. */
void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_arguments(format, arguments);
    va_end(arguments);
    exit(2);
}

void say_error(bool quiet, const char *name, int error)
{
    errors_seen = true;
    if (!quiet)
        say("%s: %s", name, strerror(error));
}
