/*
 * grep-out: stdout, with a buffer of its own.  A guard may end in the midst of any call.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_OUT_H
#define GREP_OUT_H

#include <stddef.h>

/* Writing that fails ends the program, status 2; that of a pipe nobody reads, by SIGPIPE. */
void out_bytes(const void *data, size_t size);
void out_string(const char *string);
void out_byte(char byte);
void out_number(unsigned long long number);
void out_flush(void);

/* A record is whole from here on: shown at once if lines are not to wait (or on a terminal). */
void out_record_done(void);

/* What came after the last whole record goes, if it has not been written; else a newline ends it. */
void out_give_up_record(void);

void out_open(int lines_at_once);

#endif
