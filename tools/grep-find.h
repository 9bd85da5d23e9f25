/*
 * grep-find: fast looks at memory.  Vectors of the compiler's, wide ones where the machine has them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_FIND_H
#define GREP_FIND_H

#include <stddef.h>

/* A string to look for, and two of its bytes that are likely to be rare. */
struct needle {
    const unsigned char *data;
    size_t size;          /* 1 at least */
    size_t first, second; /* positions in it, first < second; both 0 for a single byte */
};

/* data stays the caller's. */
struct needle needle_of(const unsigned char *data, size_t size);

/* Where it occurs first in [from, end), or NULL. */
const unsigned char *find_needle(const struct needle *needle, const unsigned char *from,
                                 const unsigned char *end);

/* How often the byte occurs in [from, end). */
size_t count_byte(const unsigned char *from, const unsigned char *end, unsigned char byte);

/* How many bytes from `from` on are whole, valid characters of UTF-8. */
size_t valid_utf8(const unsigned char *from, const unsigned char *end);

#endif
