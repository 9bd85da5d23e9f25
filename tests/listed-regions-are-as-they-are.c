/*
 * gcmmap_list tells of each region what it is: sizes, offsets, flags, names, states, pages in
 * memory and pages written, who mapped and closed it; as text and as JSON that any reader takes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <locale.h>

static size_t page;
static char *text;
static size_t n_text;

static bool list(unsigned flags)
{
    FILE *to;

    free(text);
    to = open_memstream(&text, &n_text);
    need(to != NULL, "open_memstream");
    errno = ENXIO;
    if (gcmmap_list(to, flags) != 0 || errno != ENXIO)
        return false;
    return fclose(to) == 0;
}

static char object[8192];

/* The object, or the line, about the region whose data is at this address; "": there is none. */
static const char *about(const void *data, bool json)
{
    char key[64];
    const char *at, *start, *end;

    snprintf(key, sizeof key, json ? "\"data\": \"%#lx\"" : "\n%#lx ", (unsigned long)data);
    object[0] = '\0';
    at = strstr(text, key);
    if (at == NULL)
        return object;
    for (start = at; start > text && start[-1] != '\n';)
        start--;
    end = strchr(at + 1, '\n');
    if (end != NULL && (size_t)(end - start) < sizeof object) {
        memcpy(object, start, (size_t)(end - start));
        object[end - start] = '\0';
    }
    return object;
}

static bool says(const char *member, const char *value)
{
    char wanted[2048];

    snprintf(wanted, sizeof wanted, "\"%s\": %s", member, value);
    if (strstr(object, wanted) != NULL)
        return true;
    note("no %s in %s", wanted, object);
    return false;
}

static bool says_number(const char *member, size_t value)
{
    char number[32];

    snprintf(number, sizeof number, "%zu,", value);
    return says(member, number);
}

static size_t number_of(const char *member)
{
    char key[64];
    const char *at;

    snprintf(key, sizeof key, "\"%s\": ", member);
    at = strstr(object, key);
    return at != NULL ? (size_t)strtoull(at + strlen(key), NULL, 10) : SIZE_MAX;
}

static size_t count(const char *of, const char *what)
{
    size_t n = 0;

    for (; (of = strstr(of, what)) != NULL; of++)
        n++;
    return n;
}

/* As the kernel sees it. */
static size_t bytes_resident(const unsigned char *data, size_t n_bytes)
{
    unsigned char *start = (unsigned char *)((uintptr_t)data & ~(page - 1)), resident[256];
    size_t n_pages = ((size_t)(data - start) + n_bytes + page - 1) / page, n = 0;

    need(n_pages <= sizeof resident && mincore(start, n_pages * page, resident) == 0, "mincore");
    for (size_t i = 0; i < n_pages; i++)
        n += resident[i] & 1;
    return n * page;
}

/* Not inlined: the listing names them. */
__attribute__((noinline)) static void test_file(void)
{
    const size_t size = 20 * page + 5;
    int fd = make_file(3, 40 * page);
    char path[80], link[40];
    gcmmap_region *region = gcmmap_map(fd, (off_t)(page + 100), size, GCMMAP_READ);
    unsigned char *data = gcmmap_data(region);
    ssize_t n;

    need(data != NULL, "map");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    need(n > 0, "readlink");
    path[n] = '\0';
    need(list(GCMMAP_LIST_JSON), "list");
    about(data, true);
    ok(says_number("size", size) && says_number("offset", page + 100) &&
           says_number("bytes_mapped", 21 * page) && says("state", "\"open\"") &&
           says("flags", "[\"read\"]") && says("is_traced", "false") && says("room", "null"),
       "a file: size, offset, state, flags");
    ok(says_number("bytes_resident", bytes_resident(data, size)), "its pages in memory");
    ok(says("bytes_written", "null"), "what was written to shared pages nobody knows");
    ok(strstr(object, path) != NULL, "the path is found, though only a descriptor was given");
    ok(says("closed_by", "null") && strstr(object, "\"mapped_by\": \"test_file+0x") != NULL,
       "it was mapped by this program");
    close(fd);
    GC_reachable_here(region);
}

static void test_memory(void)
{
    const gcmmap_options options = { .name = "a \"name\"\n\\ <\xff\xc3\xa4>", .room = 100 * page };
    gcmmap_region *region = gcmmap_alloc_with(50 * page, 0, &options);
    gcmmap_region *handle = gcmmap_alloc(3 * page, GCMMAP_BY_HANDLE | GCMMAP_POINTER_FREE);
    gcmmap_region *empty = gcmmap_alloc(0, 0);
    volatile unsigned char *data = gcmmap_data(region);

    need(data != NULL && handle != NULL && empty != NULL, "alloc");
    data[0] = data[7 * page] = data[8 * page + 1] = data[49 * page] = 1;
    (void)data[20 * page];
    need(list(GCMMAP_LIST_JSON), "list");
    about((void *)data, true);
    ok(says_number("bytes_written", 4 * page), "memory: what was written to");
    ok(number_of("bytes_resident") == bytes_resident((void *)data, 50 * page), "what is in memory");
    ok(says_number("room", 100 * page) && says("offset", "null") && says("is_traced", "true"),
       "room to grow, and that it is traced");
    ok(says("name", "\"a \\\"name\\\"\\u000a\\\\ <\xef\xbf\xbd\xc3\xa4>\""),
       "a name of any bytes is written so that readers take it");
    about(gcmmap_data(handle), true);
    ok(says("flags", "[\"read\", \"write\", \"private\", \"pointer_free\", \"by_handle\"]") &&
           says_number("bytes_resident", 0) && says_number("bytes_written", 0),
       "one by handle: untouched");
    about(gcmmap_data(empty), true);
    ok(says_number("size", 0) && says_number("bytes_mapped", 0), "an empty one");

    need(list(0), "list");
    about((void *)data, false);
    ok(strstr(object, "open     rw-pt-") != NULL && strstr(object, "200 KiB") != NULL &&
           strstr(object, "16.0 KiB") != NULL && strstr(object, "a \"name\"?\\ <") != NULL,
       "the same for people%s", page == 4096 ? "" : " # SKIP pages of another size");
    ok(strstr(about(gcmmap_data(handle), false), " rw-p-h ") != NULL, "by handle: h");
    GC_reachable_here(region);
    GC_reachable_here(handle);
    GC_reachable_here(empty);
}

__attribute__((noinline)) static void test_states(void)
{
    gcmmap_region *region = gcmmap_alloc(5 * page, 0);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "alloc");
    memset(data, 1, 5 * page);
    need(gcmmap_close(region) == 0 && list(GCMMAP_LIST_JSON), "close, list");
    about(data, true);
    ok(says("state", "\"closed\"") && says_number("size", 5 * page) &&
           says_number("bytes_mapped", 0) && says_number("bytes_resident", 0) &&
           strstr(object, "\"closed_by\": \"test_states+0x") != NULL,
       "closed: nothing is mapped, and who closed it");
    need(list(0), "list");
    ok(strstr(about(data, false), ", closed by test_states+0x") != NULL, "for people, too");
    need(gcmmap_unmap_now(region) == 0 && list(GCMMAP_LIST_JSON), "unmap, list");
    ok(about(data, true)[0] == '\0', "what is gone is not there");
}

static gcmmap_region *many[500];

static void map_many(void *arg)
{
    char name[300];
    const gcmmap_options options = { .name = name };

    (void)arg;
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < 500; i++) {
        snprintf(name + 280, 20, "%zu", i);
        many[i] = gcmmap_alloc_with(page, GCMMAP_POINTER_FREE, &options);
        need(many[i] != NULL, "alloc");
    }
}

static void test_many(void)
{
    size_t n_before, n_names = 0;
    const char *last = "";

    need(list(GCMMAP_LIST_JSON), "list");
    n_before = count(text, "\"handle\"");
    apart(map_many, NULL);
    need(list(GCMMAP_LIST_JSON), "list");
    for (size_t i = 0; i < 500; i++) {
        char name[24];

        snprintf(name, sizeof name, "n%zu\"", i);
        n_names += count(text, name);
    }
    ok(count(text, "\"handle\"") == n_before + 500 && n_names == 500, "500 more, and all names");
    for (const char *at = text; (at = strstr(at, "\"data\": \"")) != NULL; at++) {
        if (strcmp(last, "") != 0 && strtoull(at + 9, NULL, 16) < strtoull(last + 9, NULL, 16))
            n_names = 0;
        last = at;
    }
    ok(n_names != 0, "in the order of addresses");
    clear_roots(many, sizeof many);
    collect_thoroughly();
    need(list(GCMMAP_LIST_JSON), "list");
    ok(count(text, "\"handle\"") <= n_before + 25, "listing keeps nothing (%td)",
       (ptrdiff_t)(count(text, "\"handle\"") - n_before));
}

static void test_flags(void)
{
    int fd = make_file(4, 3 * page);
    gcmmap_region *file = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_ZERO_FILL);
    gcmmap_region *memory = gcmmap_alloc(page, (collector_write_protects() ? 0 : GCMMAP_GUARDED) |
                                                   GCMMAP_NO_FORK | GCMMAP_POINTER_FREE);

    need(file != NULL && memory != NULL && list(GCMMAP_LIST_JSON), "map, list");
    about(gcmmap_data(file), true);
    ok(says("flags", "[\"read\", \"zero_fill\"]"), "flags of a file");
    about(gcmmap_data(memory), true);
    ok(strstr(object, collector_write_protects()
                          ? "\"pointer_free\", \"no_fork\"]"
                          : "\"pointer_free\", \"no_fork\", \"guarded\"]") != NULL,
       "flags of memory");
    close(fd);
    GC_reachable_here(file);
    GC_reachable_here(memory);
}

static char *volatile slices[5];

static void map_with_slices(void *arg)
{
    char *data = gcmmap_data(gcmmap_alloc(page, 0));

    need(data != NULL, "alloc");
    for (size_t i = 0; i < 5; i++)
        slices[i] = keeper_of(data + 100 * i + 1);
    *(uintptr_t *)arg = hide(data);
}

static void test_slices(void)
{
    uintptr_t hidden;
    size_t n;

    apart(map_with_slices, &hidden);
    need(list(GCMMAP_LIST_JSON), "list");
    about(reveal(hidden), true);
    ok(says("slices", "null"), "slices are not looked for unasked");
    need(list(GCMMAP_LIST_JSON | GCMMAP_LIST_SLICES), "list");
    about(reveal(hidden), true);
    n = number_of("slices");
    ok(n >= 5 && n <= 8, "5 slices (%zu found)", n);
    need(list(GCMMAP_LIST_SLICES), "list");
    ok(strstr(text, " slices  what and where\n") != NULL, "for people: a column more");
    GC_disable();
    ok(list(GCMMAP_LIST_JSON | GCMMAP_LIST_SLICES) && *about(reveal(hidden), true) != '\0' &&
           says("slices", "null"),
       "where no collection may be made they are not known");
    GC_enable();
    memset((void *)slices, 0, sizeof slices);
}

/* Another's judgement of what we write. */
static void test_readers(void)
{
    FILE *reader;

    if (system("python3 -c 'import json' 2>/dev/null") != 0) {
        ok(true, "read by others # SKIP no python3");
        return;
    }
    reader = popen("python3 -c 'import json, sys\n"
                   "for r in json.load(sys.stdin.buffer): r[\"size\"] + r[\"age\"]'",
                   "w");
    need(reader != NULL && list(GCMMAP_LIST_JSON), "python3");
    fwrite(text, 1, n_text, reader);
    ok(pclose(reader) == 0, "python3 reads it");
}

static void test_refusals(void)
{
    FILE *full = fopen("/dev/full", "w"), *file = tmpfile();

    need(file != NULL, "tmpfile");
    errno = 0;
    gives_errno(gcmmap_list(NULL, 0), EINVAL, "no stream");
    errno = 0;
    gives_errno(gcmmap_list(file, 0x80000000u), EINVAL, "unknown flags");
    ok(ftell(file) == 0, "nothing was written");
    if (full != NULL) {
        errno = 0;
        gives_errno(gcmmap_list(full, GCMMAP_LIST_JSON), ENOSPC, "a full disk");
        fclose(full);
    }
    fclose(file);
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where numbers have commas, if it is there */
    test_file();
    test_memory();
    test_states();
    test_many();
    test_flags();
    test_slices();
    test_readers();
    test_refusals();
    return done_testing();
}
