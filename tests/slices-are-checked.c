/*
 * gcmmap_slice_sub() accepts from <= to <= size and nothing else, whatever the numbers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#include <pthread.h>
#undef pthread_create /* the plain one: a thread that the collector does not know */
#undef pthread_join

#define SIZE ((size_t)40)
#define ERRNO_BEFORE ERFKILL

/* The same by counting, without arithmetic that could overflow. */
static bool is_inside(size_t size, size_t from, size_t to)
{
    size_t at = 0;

    while (at != from && at != size)
        at++;
    if (at != from)
        return false;
    while (at != to && at != size)
        at++;
    return at == to;
}

/* A slice of at most some 1,000 bytes: result and errno are what they should be. */
static bool is_right(gcmmap_slice slice, size_t from, size_t to)
{
    gcmmap_slice sub;

    errno = ERRNO_BEFORE;
    sub = gcmmap_slice_sub(slice, from, to);
    if (!is_inside(slice.size, from, to))
        return errno == ERANGE && sub.data == NULL && sub.size == 0;
    return errno == ERRNO_BEFORE && sub.size == to - from &&
           sub.data == (slice.data ? slice.data + from : NULL);
}

static bool all_borders_are_right(gcmmap_slice slice)
{
    static const size_t far[] = { SIZE_MAX,         SIZE_MAX - 1,
                                  SIZE_MAX - SIZE,  SIZE_MAX - SIZE + 1,
                                  SIZE_MAX / 2,     SIZE_MAX / 2 + 1,
                                  SIZE_MAX / 2 + 2, (size_t)UINT32_MAX };
    size_t numbers[SIZE + 3 + sizeof far / sizeof *far], n = 0;
    bool right = true;

    while (n < SIZE + 3)
        numbers[n] = n, n++;
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        numbers[n++] = far[i];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            right &= is_right(slice, numbers[i], numbers[j]);
    return right;
}

/* Something near a border of a slice of n bytes, or near that of size_t. */
static size_t random_number(uint64_t *state, size_t n)
{
    size_t near = (size_t)(next_random(state) % 8);

    switch (next_random(state) % 5) {
    case 0:
        return near;
    case 1:
        return n + near - 4;
    case 2:
        return SIZE_MAX - n - near + 4;
    case 3:
        return (size_t)next_random(state);
    default:
        return (size_t)(next_random(state) % (n + 1));
    }
}

static void test_random(gcmmap_slice all)
{
    uint64_t state = test_seed();
    size_t n_inside = 0, n_wrong = 0, n_not_composed = 0;

    for (int i = 0; i < 200000; i++) {
        size_t n = (size_t)(next_random(&state) % 65);
        gcmmap_slice slice = { all.data, n };
        size_t a = random_number(&state, n), b = random_number(&state, n);
        gcmmap_slice sub;

        n_wrong += !is_right(slice, a, b);
        if (!is_inside(n, a, b))
            continue;
        n_inside++;
        /* A part of the part is the part of the whole. */
        sub = gcmmap_slice_sub(slice, a, b);
        for (size_t from = 0; from <= sub.size; from += 1 + sub.size / 3) {
            gcmmap_slice once = gcmmap_slice_sub(slice, a + from, b);
            gcmmap_slice twice = gcmmap_slice_sub(sub, from, sub.size);

            n_not_composed += once.data != twice.data || once.size != twice.size;
        }
    }
    ok(n_wrong == 0, "200,000 random ranges (%zu inside, %zu wrong)", n_inside, n_wrong);
    ok(n_inside > 1000 && n_not_composed == 0, "a part of a part is a part of the whole");
}

static void *foreign_thread(void *arg)
{
    gcmmap_slice *slice = arg;

    *slice = gcmmap_slice_sub(*slice, 3, 10);
    return NULL;
}

int main(void)
{
    gcmmap_region *region;
    gcmmap_slice all, slice, sub;
    pthread_t thread;

    GC_INIT();
    region = gcmmap_alloc(4096, 0);
    need(region != NULL, "region");
    all = gcmmap_bytes(region);
    slice = gcmmap_slice_sub(all, 100, 100 + SIZE);

    ok(is_right(slice, 0, SIZE), "the whole slice");
    ok(is_right(slice, 0, 0) && is_right(slice, SIZE / 2, SIZE / 2) && is_right(slice, SIZE, SIZE),
       "empty slices at the start, inside and at the end");
    ok(gcmmap_slice_sub(slice, SIZE, SIZE).data == slice.data + SIZE,
       "whose data is never NULL, but their place");
    ok(is_right(slice, SIZE - 1, SIZE) && is_right(slice, 0, 1), "the first and the last byte");
    errno = 0;
    sub = gcmmap_slice_sub(slice, 0, SIZE + 1);
    ok(sub.data == NULL && sub.size == 0 && errno == ERANGE, "one byte too far: ERANGE");
    errno = 0;
    sub = gcmmap_slice_sub(slice, 2, 1);
    ok(sub.data == NULL && sub.size == 0 && errno == ERANGE, "from > to: ERANGE");
    ok(is_right(slice, SIZE, SIZE - 1) && is_right(slice, SIZE + 1, SIZE + 1),
       "and around the end");
    ok(is_right(slice, SIZE_MAX, 0) && is_right(slice, SIZE_MAX, SIZE_MAX) &&
           is_right(slice, 1, SIZE_MAX) && is_right(slice, SIZE_MAX - 1, 1),
       "SIZE_MAX does not wrap");
    ok(all_borders_are_right(slice), "every pair of numbers around the borders");
    ok(all_borders_are_right((gcmmap_slice){ slice.data, 0 }), "the same for an empty slice");
    ok(all_borders_are_right((gcmmap_slice){ NULL, 0 }), "the same for {NULL, 0}");
    test_random(all);

    all.data[107] = 42;
    sub = gcmmap_slice_sub(slice, 7, 8);
    ok(sub.size == 1 && sub.data[0] == 42, "no copy is made");

    sub = slice;
    need(pthread_create(&thread, NULL, foreign_thread, &sub) == 0 &&
             pthread_join(thread, NULL) == 0,
         "thread");
    ok(sub.data == slice.data + 3 && sub.size == 7, "in a thread that the collector does not know");
    need(gcmmap_of(all.data) == region, "region");
    return done_testing();
}
