/*
 * gcmmap_slice_find_byte() and gcmmap_slice_find() find the first occurrence, whatever the
 * bytes, and look at no byte outside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_ROUNDS 20000u
#define MOST 20u

static gcmmap_slice slice_of(void *data, size_t size)
{
    return (gcmmap_slice){ data, size };
}

#define TEXT(literal) slice_of((char[]){ literal }, sizeof(literal) - 1)

static const gcmmap_slice nothing = { NULL, 0 };

static bool finds_byte(gcmmap_slice slice, unsigned char byte, size_t wanted)
{
    errno = ERFKILL;
    return gcmmap_slice_find_byte(slice, byte) == wanted && errno == ERFKILL;
}

static bool finds(gcmmap_slice slice, gcmmap_slice bytes, size_t wanted)
{
    errno = ERFKILL;
    return gcmmap_slice_find(slice, bytes) == wanted && errno == ERFKILL;
}

static void test_bytes(void)
{
    ok(finds_byte(TEXT("banana"), 'n', 2), "the first of two");
    ok(finds_byte(TEXT("banana"), 'b', 0), "at the start");
    ok(finds_byte(TEXT("ab"), 'b', 1), "at the end");
    ok(finds_byte(TEXT("ab"), 'c', GCMMAP_NOT_FOUND), "a byte that does not occur");
    ok(finds_byte(TEXT("ab"), 0, GCMMAP_NOT_FOUND), "the 0 behind a string is outside");
    ok(finds_byte(TEXT("a\0b\0"), 0, 1), "a 0");
    ok(finds_byte(TEXT("a\0b"), 'b', 2), "behind a 0");
    ok(finds_byte(TEXT("\x7f\xff"), 0xff, 1), "255");
    ok(finds_byte(slice_of((char[]){ "a" }, 0), 'a', GCMMAP_NOT_FOUND), "not in an empty slice");
    ok(finds_byte(nothing, 0, GCMMAP_NOT_FOUND), "nor in {NULL, 0}");
}

static void test_needles(void)
{
    ok(finds(TEXT("banana"), TEXT("ana"), 1), "the first of two that overlap");
    ok(finds(TEXT("banana"), TEXT("nana"), 2), "at the end");
    ok(finds(TEXT("banana"), TEXT("banana"), 0), "all of it");
    ok(finds(TEXT("banana"), TEXT("nab"), GCMMAP_NOT_FOUND), "none");
    ok(finds(TEXT("banana"), TEXT("bananas"), GCMMAP_NOT_FOUND), "more than there is");
    ok(finds(TEXT("a\0b\0c"), TEXT("\0c"), 3), "with zeros");
    ok(finds(TEXT("a\0b\0c"), TEXT("\0b\0d"), GCMMAP_NOT_FOUND), "that differs behind a 0");
    ok(finds(slice_of((char[]){ "abab" }, 3), TEXT("ab"), 0) &&
           finds(slice_of((char[]){ "xxab" }, 3), TEXT("ab"), GCMMAP_NOT_FOUND),
       "not where the last byte is outside");
    ok(finds(TEXT("ab"), nothing, 0) && finds(TEXT("ab"), slice_of((char[]){ "x" }, 0), 0),
       "no bytes are found at 0");
    ok(finds(nothing, nothing, 0), "in {NULL, 0} too");
    ok(finds(nothing, TEXT("a"), GCMMAP_NOT_FOUND) &&
           finds(slice_of((char[]){ "a" }, 0), TEXT("a"), GCMMAP_NOT_FOUND),
       "others are not");
}

/* The same byte by byte. */
static size_t position(gcmmap_slice slice, gcmmap_slice bytes)
{
    for (size_t at = 0; at + bytes.size <= slice.size; at++) {
        size_t n = 0;

        while (n < bytes.size && slice.data[at + n] == bytes.data[n])
            n++;
        if (n == bytes.size)
            return at;
    }
    return GCMMAP_NOT_FOUND;
}

/* In front of memory that cannot be read. */
static void test_random(gcmmap_slice all)
{
    uint64_t state = test_seed();
    unsigned n_wrong = 0, n_found = 0;
    unsigned char bytes[4];

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        size_t size = next_random(&state) % (MOST + 1);
        gcmmap_slice slice = gcmmap_slice_sub(all, all.size - size, all.size);
        gcmmap_slice wanted = slice_of(bytes, next_random(&state) % 5);

        for (size_t at = 0; at < size; at++)
            slice.data[at] = next_random(&state) % 2 ? 0 : 200;
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = next_random(&state) % 2 ? 0 : 200;
        n_wrong += !finds(slice, wanted, position(slice, wanted));
        n_wrong += !finds_byte(slice, bytes[3], position(slice, slice_of(bytes + 3, 1)));
        n_found += position(slice, wanted) != GCMMAP_NOT_FOUND;
    }
    ok(n_wrong == 0, "%u random searches, %u of them found something", N_ROUNDS, n_found);
    ok(n_found > N_ROUNDS / 4 && n_found < N_ROUNDS, "both happened");
}

static void test_region(gcmmap_slice all)
{
    memset(all.data, 0, all.size);
    ok(finds_byte(all, 1, GCMMAP_NOT_FOUND) && finds(all, TEXT("\0\1"), GCMMAP_NOT_FOUND),
       "a whole region without it");
    all.data[all.size - 1] = 1;
    ok(finds_byte(all, 1, all.size - 1) && finds(all, TEXT("\0\1"), all.size - 2),
       "at the region's very end");
    ok(finds(all, all, 0), "in itself");
}

int main(void)
{
    gcmmap_slice all;

    GC_INIT();
    all = gcmmap_bytes(gcmmap_alloc(1 << 20, GCMMAP_POINTER_FREE));
    need(all.data != NULL && fault_of_access(all.data + all.size, false) != 0, "guarded region");
    test_bytes();
    test_needles();
    test_random(all);
    test_region(all);
    return done_testing();
}
