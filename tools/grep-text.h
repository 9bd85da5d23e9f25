/*
 * grep-text: bytes that grow, in memory of the collector's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_TEXT_H
#define GREP_TEXT_H

#include <stddef.h>

/* All zero: empty.  Never freed by hand. */
struct text {
    char *data;
    size_t size, room; /* bytes */
};

void text_add(struct text *text, const char *data, size_t size);
void text_add_string(struct text *text, const char *string);

/* As GC_MALLOC and GC_MALLOC_ATOMIC; without memory they end the program, status 2. */
void *new_object(size_t size);
void *new_bytes(size_t size);

/* An array of n items of `item` bytes with room for one more; n grows by that. */
void *array_grow(void *array, size_t n, size_t *room, size_t item);

char *new_string(const char *data, size_t size);

#endif
