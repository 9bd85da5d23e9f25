/*
 * A fault in words: each kind, what was to be done to which byte of what; and whose code it was, as
 * addr2line(1) takes it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <inttypes.h>

#include "fault_text.h"

static const struct {
    gcmmap_fault fault;
    const char *text;
} told[] = {
    { { .kind = GCMMAP_FAULT_CLOSED, .is_write = 1, .offset = 3, .size = 9, .name = "x" },
      "x: byte 3 of 9 cannot be stored into: the region has been closed" },
    { { .kind = GCMMAP_FAULT_CLOSED, .is_write = 0, .offset = 0, .size = 9 },
      "memory without a name: byte 0 of 9 cannot be read: the region has been closed" },
    { { .kind = GCMMAP_FAULT_PROTECTED, .is_write = -1, .offset = 3, .size = 9, .name = "x" },
      "x: byte 3 of 9 cannot be accessed: the page is protected against that" },
    { { .kind = GCMMAP_FAULT_TRUNCATED,
        .offset = 8192,
        .size = 9000,
        .name = "x",
        .file_offset = 8292,
        .file_size = 17 },
      "x: byte 8192 of 9000 cannot be read: the file has been truncated to 17 bytes, and this is "
      "byte 8292 of it" },
    { { .kind = GCMMAP_FAULT_TRUNCATED,
        .offset = 1,
        .size = 2,
        .name = "x",
        .file_offset = 1,
        .file_size = 0 },
      "x: byte 1 of 2 cannot be read: the file has been truncated to 0 bytes, and this is byte 1 "
      "of it" },
    { { .kind = GCMMAP_FAULT_TRUNCATED,
        .offset = 1,
        .size = 2,
        .name = "x",
        .file_offset = -1,
        .file_size = -1 },
      "x: byte 1 of 2 cannot be read: the file has been truncated" },
    { { .kind = GCMMAP_FAULT_IO, .offset = 1, .size = 2, .name = "x", .file_size = 100 },
      "x: byte 1 of 2 cannot be read: no page can be had for it (an error of the disk, no space on "
      "it, no memory)" },
    { { .kind = GCMMAP_FAULT_FILE, .offset = 1, .size = 2, .name = "x", .file_size = -1 },
      "x: byte 1 of 2 cannot be read: the file has been truncated, or there is an error of the "
      "disk" },
    { { .kind = GCMMAP_FAULT_OUTSIDE, .offset = -1, .size = 9, .name = "x" },
      "x: byte -1 of 9 cannot be read: it is 1 in front of the first" },
    { { .kind = GCMMAP_FAULT_OUTSIDE, .offset = 9, .size = 9, .name = "x" },
      "x: byte 9 of 9 cannot be read: it is 1 behind the last" },
    { { .kind = GCMMAP_FAULT_OUTSIDE, .offset = 12, .size = 9, .name = "x" },
      "x: byte 12 of 9 cannot be read: it is 4 behind the last" },
};

static void test_texts(void)
{
    char text[300];

    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        size_t n = gcmmap_fault_text(&told[i].fault, text, sizeof text);

        if (!ok(n == strlen(told[i].text) && strcmp(text, told[i].text) == 0, "%s", told[i].text))
            note("%s", text);
    }
}

static void test_limits(void)
{
    gcmmap_fault fault = { .kind = GCMMAP_FAULT_OUTSIDE, .offset = -PTRDIFF_MAX - 1, .size = 9 };
    char text[200], cut[10] = "", wanted[200];
    size_t n = strlen(told[0].text);

    memset(cut + 6, 'z', 3);
    ok(gcmmap_fault_text(&told[0].fault, cut, 6) == n && strcmp(cut, "x: by") == 0 &&
           cut[6] == 'z' && gcmmap_fault_text(&told[0].fault, NULL, 0) == n,
       "with less room");
    snprintf(
        wanted, sizeof wanted,
        "memory without a name: byte -%ju of 9 cannot be read: it is %ju in front of the first",
        (uintmax_t)PTRDIFF_MAX + 1, (uintmax_t)PTRDIFF_MAX + 1);
    (void)gcmmap_fault_text(&fault, text, sizeof text);
    ok(strcmp(text, wanted) == 0, "the lowest offset there is");
}

/* ---- code -------------------------------------------------------------------------------- */

static const char *said_of(const void *code, bool is_return, bool wants_line)
{
    static char text[2000];
    struct message message = { text, sizeof text, 0 };

    memset(text, 0, sizeof text);
    fault_add_code(&message, code, is_return, wants_line);
    return text;
}

static void test_no_code(void)
{
    char byte, wanted[40];

    snprintf(wanted, sizeof wanted, "0x%jx", (uintmax_t)(uintptr_t)&byte);
    ok(strcmp(said_of(&byte, false, true), wanted) == 0, "code that is in no file: its address");
    snprintf(wanted, sizeof wanted, "0x%jx", (uintmax_t)(uintptr_t)&byte - 1);
    ok(strcmp(said_of(&byte, true, false), wanted) == 0, "of a call, what it returns to less one");
}

/* What addr2line(1) answers. */
static bool answers(const char *command, const char *wanted)
{
    FILE *output = popen(command, "r");
    char line[2000] = "";
    bool found;

    need(output != NULL, "popen");
    found = fgets(line, sizeof line, output) != NULL && strstr(line, wanted) != NULL;
    (void)pclose(output);
    return found;
}

static void test_code(void)
{
    char path[1000] = "", wanted[2100], command[2100];
    const char *said;
    uintmax_t place, of_return;
    size_t n;

    need(readlink("/proc/self/exe", path, sizeof path - 1) > 0, "/proc/self/exe");
    snprintf(wanted, sizeof wanted, "%s (addr2line -fpe %s 0x", path, path);
    n = strlen(wanted);
    said = said_of((void *)(uintptr_t)test_limits, false, false);
    ok(strncmp(said, wanted, n) == 0 && said[strlen(said) - 1] == ')', "code: %s", said);
    place = strtoumax(said + n, NULL, 16);
    snprintf(command, sizeof command, "%.*s", (int)(strlen(said) - strlen(path) - 3),
             said + strlen(path) + 2);
    said = said_of((void *)(uintptr_t)test_limits, true, false);
    of_return = strtoumax(said + n, NULL, 16);
    ok(strncmp(said, wanted, n) == 0 && of_return == place - 1, "a call: the byte before");
    if (system("addr2line -e /proc/self/exe 0 > /dev/null 2>&1") != 0) {
        ok(true, "lines # SKIP no addr2line");
        return;
    }
    ok(answers(command, "test_limits at "), "that command says which function: %s", command);
    said = said_of((void *)(uintptr_t)test_limits, false, true);
    snprintf(wanted, sizeof wanted, " (%s 0x%jx)", path, place);
    ok(strncmp(said, "test_limits at ", 15) == 0 && strstr(said, "told-in-words.c:") != NULL &&
           strcmp(said + strlen(said) - strlen(wanted), wanted) == 0,
       "with lines: %s", said);
}

int main(void)
{
    test_texts();
    test_limits();
    test_no_code();
    test_code();
    return done_testing();
}
