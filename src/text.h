/*
 * text: pieces of text that reports are made of.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "4.0 KiB": at most 11 bytes and a 0. */
struct text_size {
    char text[16];
};
struct text_size text_size(size_t n_bytes);

/* "12 s", "3 h", of milliseconds. */
struct text_size text_age(uint64_t milliseconds);

/* A string of any bytes, in quotes, valid whatever is in it; NULL: null. */
void text_write_json(FILE *to, const char *string);

/* The same for the text and the attributes of XML, without quotes. */
void text_write_xml(FILE *to, const char *string);

/* For a line on a terminal: control characters as ?. */
void text_write_plain(FILE *to, const char *string);

/* 0, or the errno of what could not be written. */
int text_finish(FILE *to);

#endif
