/*
 * gcmmap_slice_equal() and gcmmap_slice_compare(): bytes without sign, zeros among them, a
 * slice before those that begin with it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_ROUNDS 20000u

static gcmmap_slice slice_of(void *data, size_t size)
{
    return (gcmmap_slice){ data, size };
}

#define TEXT(literal) slice_of((char[]){ literal }, sizeof(literal) - 1)

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

/* The same byte by byte. */
static int order(gcmmap_slice a, gcmmap_slice b)
{
    for (size_t i = 0; i < a.size || i < b.size; i++) {
        if (i >= a.size)
            return -1;
        if (i >= b.size)
            return 1;
        if (a.data[i] != b.data[i])
            return a.data[i] < b.data[i] ? -1 : 1;
    }
    return 0;
}

static bool compares(gcmmap_slice a, gcmmap_slice b, int wanted)
{
    bool right;

    errno = ERFKILL;
    right = sign(gcmmap_slice_compare(a, b)) == wanted &&
            sign(gcmmap_slice_compare(b, a)) == -wanted &&
            gcmmap_slice_equal(a, b) == (wanted == 0) && gcmmap_slice_equal(b, a) == (wanted == 0);
    return right && errno == ERFKILL;
}

static void test_empty(void)
{
    const gcmmap_slice nothing = { NULL, 0 };
    gcmmap_slice empty = slice_of((char[]){ "x" }, 0);

    ok(compares(nothing, nothing, 0), "{NULL, 0} equals itself");
    ok(compares(nothing, empty, 0), "and every other empty slice");
    ok(compares(nothing, TEXT("\0"), -1), "it comes before a slice of one 0");
    ok(compares(empty, TEXT("a"), -1), "empty slices come first");
}

static void test_few_bytes(void)
{
    ok(compares(TEXT("abc"), TEXT("abc"), 0), "the same bytes in two places");
    ok(compares(TEXT("abc"), TEXT("abd"), -1), "the last byte decides");
    ok(compares(TEXT("ab"), TEXT("abc"), -1), "the shorter one comes first");
    ok(compares(TEXT("b"), TEXT("abc"), 1), "but not if its bytes are greater");
    ok(compares(TEXT("a\0b"), TEXT("a\0c"), -1), "behind a 0 too");
    ok(compares(TEXT("a"), TEXT("a\0"), -1), "a 0 at the end counts");
    ok(compares(TEXT("\x7f"), TEXT("\x80"), -1), "bytes have no sign");
}

/* Of three values, so that many begin alike. */
static void fill(unsigned char *bytes, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char[]){ 0, 1, 255 }[next_random(state) % 3];
}

static void test_random(void)
{
    uint64_t state = test_seed();
    unsigned char bytes[2][8];
    unsigned n_wrong = 0, n_equal = 0;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        gcmmap_slice a = slice_of(bytes[0], next_random(&state) % 6);
        gcmmap_slice b = slice_of(bytes[1], next_random(&state) % 6);

        fill(bytes[0], sizeof bytes[0], &state);
        fill(bytes[1], sizeof bytes[1], &state);
        n_wrong += !compares(a, b, order(a, b));
        n_equal += order(a, b) == 0;
    }
    ok(n_wrong == 0, "%u random pairs, %u of them equal", N_ROUNDS, n_equal);
}

/* Of a size that ends where the next byte cannot be read. */
static void test_region(void)
{
    const size_t size = 1 << 20;
    gcmmap_slice a = gcmmap_bytes(gcmmap_alloc(size, GCMMAP_POINTER_FREE));
    gcmmap_slice b = gcmmap_bytes(gcmmap_alloc(size, GCMMAP_POINTER_FREE));

    need(a.data != NULL && b.data != NULL, "regions");
    ok(compares(a, b, 0), "two regions");
    b.data[size - 1] = 1;
    ok(compares(a, b, -1), "that differ in the last byte");
    ok(compares(gcmmap_slice_sub(a, 1, size), gcmmap_slice_sub(b, 0, size - 1), 0),
       "and are alike elsewhere");
}

int main(void)
{
    GC_INIT();
    test_empty();
    test_few_bytes();
    test_random();
    test_region();
    return done_testing();
}
