/*
 * grep-find: fast looks at memory.  Vectors of the compiler's, wide ones where the machine has them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "grep-find.h"

#define WIDTH 32u
#define WORDS (WIDTH / sizeof(uint64_t))

/* Bytes side by side; `loose` may lie anywhere. */
typedef unsigned char bytes __attribute__((vector_size(WIDTH)));
typedef unsigned char loose __attribute__((vector_size(WIDTH), aligned(1), may_alias));
typedef uint64_t words __attribute__((vector_size(WIDTH)));

/* No function takes or returns a vector: with and without AVX2 that is done differently. */
#define LOAD(from) ((bytes) * (const loose *)(const void *)(from))
#define INLINED static inline __attribute__((always_inline))

INLINED bool any(const bytes *mask)
{
    words w = (words)*mask;

    return (w[0] | w[1] | w[2] | w[3]) != 0;
}

/*
 * How common a byte is in text and in programs, 0 to 9, from a look at Debian's /usr; only the
 * order matters.
 */
static unsigned commonness(unsigned char byte)
{
    static const char *const classes[] = { "jqxzJQXZ~^`@#",
                                           "kvwKVWYUHGBF$%&!?+{}[];'|<>\\",
                                           "bgpyDMNLOPRSTIACE\"=*:()0123456789",
                                           "fmucdhl-_./",
                                           "nsroiat,\t",
                                           "e",
                                           " \n" };

    for (unsigned i = 0; i < sizeof classes / sizeof *classes; i++)
        if (byte != 0 && strchr(classes[i], byte) != NULL)
            return i;
    return byte == 0 ? 7 : byte < 0x80 ? 0 : 1;
}

struct needle needle_of(const unsigned char *data, size_t size)
{
    struct needle needle = { .data = data, .size = size };
    size_t rare = 0, next = size > 1;

    for (size_t i = 1; i < size; i++)
        if (commonness(data[i]) < commonness(data[rare]))
            rare = i;
    /* The same byte twice tells less than another one. */
    for (size_t i = 0; i < size; i++) {
        unsigned now = commonness(data[i]) + 4u * (data[i] == data[rare]);

        if (i != rare &&
            (next == rare || now < commonness(data[next]) + 4u * (data[next] == data[rare])))
            next = i;
    }
    needle.first = rare < next ? rare : next;
    needle.second = rare < next ? next : rare;
    return needle;
}

/* The place of the first hit in a word of a mask: its lowest address. */
INLINED unsigned first_of(uint64_t word)
{
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

    return (unsigned)(little ? __builtin_ctzll(word) : __builtin_clzll(word)) / 8;
}

INLINED uint64_t without(uint64_t word, unsigned place)
{
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

    return word & ~(UINT64_C(255) << 8 * (little ? place : 7 - place));
}

/* The first of the places that a mask names at which the needle is. */
INLINED const unsigned char *look(const struct needle *needle, const unsigned char *at,
                                  const bytes *mask)
{
    words w = (words)*mask;

    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = w[i];

        while (word != 0) {
            unsigned place = first_of(word);
            const unsigned char *start = at + 8 * i + place;

            if (memcmp(start, needle->data, needle->size) == 0)
                return start;
            word = without(word, place);
        }
    }
    return NULL;
}

/* Both bytes are compared at 2 * WIDTH places at once; only where both fit, the rest is. */
TARGET_CLONES const unsigned char *find_needle(const struct needle *needle,
                                               const unsigned char *from, const unsigned char *end)
{
    const unsigned char *p = from, *last;
    bytes first, second;

    if ((size_t)(end - from) < needle->size)
        return NULL;
    if (needle->size == 1)
        return memchr(from, needle->data[0], (size_t)(end - from));
    memset(&first, needle->data[needle->first], sizeof first);
    memset(&second, needle->data[needle->second], sizeof second);
    last = end - needle->size; /* the last place where it can begin */
    /* What is read lies in front of `last` + second + 1, so inside of [from, end). */
    for (; (size_t)(last - p) >= 2 * WIDTH; p += 2 * WIDTH) {
        const unsigned char *a = p + needle->first, *b = p + needle->second;
        bytes low = (bytes)(LOAD(a) == first) & (bytes)(LOAD(b) == second);
        bytes high = (bytes)(LOAD(a + WIDTH) == first) & (bytes)(LOAD(b + WIDTH) == second);

        bytes both = low | high;

        if (any(&both)) {
            const unsigned char *found = look(needle, p, &low);

            if (found == NULL)
                found = look(needle, p + WIDTH, &high);
            if (found != NULL)
                return found;
        }
    }
    for (; p <= last; p++)
        if (p[needle->first] == needle->data[needle->first] &&
            memcmp(p, needle->data, needle->size) == 0)
            return p;
    return NULL;
}

TARGET_CLONES size_t count_byte(const unsigned char *from, const unsigned char *end,
                                unsigned char byte)
{
    const unsigned char *p = from;
    size_t n = 0;
    bytes wanted;

    memset(&wanted, byte, sizeof wanted);
    while ((size_t)(end - p) >= WIDTH) {
        size_t rounds = (size_t)(end - p) / WIDTH;
        bytes sums = { 0 };

        /* A sum of a byte holds 255. */
        for (rounds = rounds < 255 ? rounds : 255; rounds > 0; rounds--, p += WIDTH)
            sums -= (bytes)(LOAD(p) == wanted);
        for (unsigned i = 0; i < WORDS; i++) {
            uint64_t word = ((words)sums)[i];
            uint64_t pairs =
                (word & UINT64_C(0x00ff00ff00ff00ff)) + (word >> 8 & UINT64_C(0x00ff00ff00ff00ff));

            n += (size_t)(pairs * UINT64_C(0x0001000100010001) >> 48);
        }
    }
    for (; p < end; p++)
        n += *p == byte;
    return n;
}

/* Length of the character at p, 0 if it is none: RFC 3629. */
static size_t character_at(const unsigned char *p, const unsigned char *end)
{
    unsigned char lead = *p, low = 0x80, high = 0xbf;
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead > 0xf4 || (size_t)(end - p) < size)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    if (lead == 0xed)
        high = 0x9f;
    if (lead == 0xf0)
        low = 0x90;
    if (lead == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < size; i++, low = 0x80, high = 0xbf)
        if (p[i] < low || p[i] > high)
            return 0;
    return size;
}

size_t valid_utf8(const unsigned char *from, const unsigned char *end)
{
    const unsigned char *p = from;

    while (p < end) {
        uint64_t word;
        size_t size;

        while ((size_t)(end - p) >= sizeof word) {
            memcpy(&word, p, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) != 0)
                break;
            p += sizeof word;
        }
        if (p == end)
            break;
        size = character_at(p, end);
        if (size == 0)
            break;
        p += size;
    }
    return (size_t)(p - from);
}
