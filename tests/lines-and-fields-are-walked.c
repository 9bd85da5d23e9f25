/*
 * gcmmap_next_line() and gcmmap_next_field() give every line and every field once, empty ones
 * too, without a copy, and know when there is none left.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_ROUNDS 20000u
#define MOST 12u
#define SEPARATOR 254 /* so that bytes with a sign would fail */

static const gcmmap_slice untouched = { (unsigned char *)"untouched", 9 };

static bool is_untouched(gcmmap_slice slice)
{
    return slice.data == untouched.data && slice.size == untouched.size;
}

typedef int step(gcmmap_slice *rest, gcmmap_slice *part);

static int step_by_line(gcmmap_slice *rest, gcmmap_slice *part)
{
    return gcmmap_next_line(rest, part);
}

static int step_by_field(gcmmap_slice *rest, gcmmap_slice *part)
{
    return gcmmap_next_field(rest, SEPARATOR, part);
}

/*
 * The parts as text, each in brackets; "?" if one of them is not where the one before
 * ended, a separator in between, or if the end is not one.
 */
static const char *walk(gcmmap_slice all, step *next)
{
    static char text[200];
    gcmmap_slice rest = all, part = untouched, last;
    unsigned char *expected = all.data;
    char *to = text;

    errno = ERFKILL;
    while (next(&rest, &part) == 1 && part.data == expected && to < text + 100) {
        *to++ = '[';
        memcpy(to, part.data, part.size);
        to += part.size;
        *to++ = ']';
        expected += part.size + 1;
        part = untouched;
    }
    *to = 0;
    last = rest;
    if (!is_untouched(part) || next(&rest, &part) != 0 || !is_untouched(part) ||
        rest.data != last.data || rest.size != 0 || errno != ERFKILL)
        return "?";
    return text;
}

static gcmmap_slice slice_of(void *data, size_t size)
{
    return (gcmmap_slice){ data, size };
}

#define TEXT(literal) slice_of((char[]){ literal }, sizeof(literal) - 1)

static void test_walk(gcmmap_slice slice, step *next, const char *wanted, const char *what)
{
    const char *got = walk(slice, next);

    if (!ok(strcmp(got, wanted) == 0, "%s", what))
        note("%s, not %s", got, wanted);
}

static void test_lines(void)
{
    gcmmap_slice rest = TEXT("ab\ncd"), line;
    unsigned char *end = rest.data + rest.size;

    test_walk(TEXT("ab\ncd\n"), step_by_line, "[ab][cd]", "two lines");
    test_walk(TEXT("ab\ncd"), step_by_line, "[ab][cd]", "the last one without a newline");
    test_walk(TEXT("\n"), step_by_line, "[]", "an empty line is one");
    test_walk(TEXT("\n\na\n\n"), step_by_line, "[][][a][]", "in front, between and behind");
    test_walk(TEXT(""), step_by_line, "", "an empty slice has none");
    test_walk(slice_of(NULL, 0), step_by_line, "", "nor has {NULL, 0}");
    test_walk(TEXT("a\r\nb\r\n"), step_by_line, "[a\r][b\r]", "carriage returns stay");
    test_walk(slice_of((char[]){ "ab\nc\n" }, 4), step_by_line, "[ab][c]",
              "a newline behind the slice is outside");
    rest = gcmmap_slice_sub(rest, 0, 5);
    need(gcmmap_next_line(&rest, &line) && gcmmap_next_line(&rest, &line), "lines");
    ok(rest.data == end && rest.size == 0, "in the end the rest is the empty slice at the end");
    rest = TEXT("a\0b\nc");
    ok(gcmmap_next_line(&rest, &line) && line.size == 3 && rest.size == 1, "a line with a 0");
}

static void test_fields(void)
{
    gcmmap_slice rest = TEXT("a\0b\0"), field;
    unsigned n = 0;

    test_walk(TEXT("a\376bc\376d"), step_by_field, "[a][bc][d]", "two separators, three fields");
    test_walk(TEXT("abc"), step_by_field, "[abc]", "none, one");
    test_walk(TEXT("a\376"), step_by_field, "[a][]", "an empty one behind");
    test_walk(TEXT("\376a"), step_by_field, "[][a]", "in front");
    test_walk(TEXT("\376\376"), step_by_field, "[][][]", "everywhere");
    test_walk(TEXT(""), step_by_field, "[]", "an empty slice is one field");
    test_walk(slice_of(NULL, 0), step_by_field, "", "{NULL, 0} is none");
    test_walk(slice_of((char[]){ "a\376b\376" }, 3), step_by_field, "[a][b]",
              "a separator behind the slice is outside");
    while (gcmmap_next_field(&rest, 0, &field))
        n++;
    ok(n == 3 && rest.data == NULL && rest.size == 0, "0 as separator");
    errno = 0;
    rest = gcmmap_slice_sub(TEXT("a,b"), 2, 9);
    ok(errno == ERANGE && !gcmmap_next_field(&rest, ',', &field),
       "a slice that could not be had has no fields");
}

/* The separators and sizes are counted; walk() sees to it that no byte is passed over. */
static void test_random(gcmmap_slice all)
{
    uint64_t state = test_seed();
    unsigned n_wrong = 0;

    for (unsigned i = 0; i < N_ROUNDS; i++) {
        size_t size = next_random(&state) % (MOST + 1), n_newlines = 0, n_separators = 0;
        gcmmap_slice slice = gcmmap_slice_sub(all, all.size - size, all.size), part;
        size_t n_lines = 0, n_fields = 0, n_in_lines = 0, n_in_fields = 0;

        for (size_t at = 0; at < size; at++) {
            slice.data[at] =
                (unsigned char[]){ '\n', SEPARATOR, 'a', 'b' }[next_random(&state) % 4];
            n_newlines += slice.data[at] == '\n';
            n_separators += slice.data[at] == SEPARATOR;
        }
        n_wrong += walk(slice, step_by_line)[0] == '?' || walk(slice, step_by_field)[0] == '?';
        for (gcmmap_slice rest = slice; n_lines < 99 && gcmmap_next_line(&rest, &part); n_lines++)
            n_in_lines += part.size;
        for (gcmmap_slice rest = slice; n_fields < 99 && step_by_field(&rest, &part); n_fields++)
            n_in_fields += part.size;
        n_wrong += n_lines != n_newlines + (size > 0 && slice.data[size - 1] != '\n');
        n_wrong += n_fields != n_separators + 1;
        n_wrong += n_in_lines != size - n_newlines || n_in_fields != size - n_separators;
    }
    ok(n_wrong == 0, "%u random slices in front of memory that cannot be read", N_ROUNDS);
}

/* As it is used: the fields of the lines of a region. */
static void test_region(void)
{
    gcmmap_slice rest = gcmmap_bytes(gcmmap_alloc(400, 0)), line, field;
    unsigned n_fields = 0, n_lines = 0;

    need(rest.data != NULL, "region");
    for (unsigned i = 0; i < 100; i++)
        memcpy(rest.data + 4 * i, i == 50 ? "\n,,\n" : "a,b\n", 4);
    while (gcmmap_next_line(&rest, &line)) {
        n_lines++;
        while (gcmmap_next_field(&line, ',', &field))
            n_fields++;
    }
    ok(n_lines == 101 && n_fields == 99 * 2 + 1 + 3, "fields of lines: %u, %u", n_fields, n_lines);
}

int main(void)
{
    gcmmap_slice all;

    GC_INIT();
    all = gcmmap_bytes(gcmmap_alloc(1 << 16, GCMMAP_POINTER_FREE));
    need(all.data != NULL && fault_of_access(all.data + all.size, false) != 0, "guarded region");
    test_lines();
    test_fields();
    test_random(all);
    test_region();
    return done_testing();
}
