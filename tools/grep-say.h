/*
 * grep-say: messages on stderr.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_SAY_H
#define GREP_SAY_H

#include <stdbool.h>

#define PROGRAM "gcmmap-grep"

/* Says it, with the program's name in front, after what was written to stdout by then. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says it, and ends the program with status 2. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something went wrong with a file: says so unless `quiet`; the status will be 2. */
void say_error(bool quiet, const char *name, int error);
extern bool errors_seen;

#endif
