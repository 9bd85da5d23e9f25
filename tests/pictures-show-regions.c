/*
 * gcmmap_report draws a well-formed picture, whatever regions are called, in which each region
 * is found with its numbers, and its bars are as long as they should be; browsers show it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

static size_t page;
static char *picture;
static size_t n_picture;

static void draw(void)
{
    FILE *to;

    free(picture);
    to = open_memstream(&picture, &n_picture);
    need(to != NULL, "open_memstream");
    errno = ENXIO;
    need(gcmmap_report(to) == 0 && errno == ENXIO && fclose(to) == 0, "report");
}

static size_t count(const char *what)
{
    size_t n = 0;

    for (const char *at = picture; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* The group of the region whose tip begins with this name; NULL: there is none. */
static const char *group_of(const char *name)
{
    char wanted[200];
    const char *at;

    snprintf(wanted, sizeof wanted, "<title>%s\n", name);
    at = strstr(picture, wanted);
    while (at != NULL && at > picture && strncmp(at, "<g class=\"region\"", 17) != 0)
        at--;
    return at;
}

static size_t number_of(const char *group, const char *attribute)
{
    char key[64];
    const char *at;

    snprintf(key, sizeof key, " data-%s=\"", attribute);
    at = strstr(group, key);
    return at != NULL ? (size_t)strtoull(at + strlen(key), NULL, 10) : SIZE_MAX;
}

/* Sum of the widths, and the first x, of this class's boxes in a group. */
static int width_of(const char *group, const char *class, int *first_x)
{
    const char *end = strstr(group, "</g>");
    char key[64];
    int total = 0;

    snprintf(key, sizeof key, "<rect class=\"%s\" ", class);
    *first_x = -1;
    for (const char *at = group; (at = strstr(at, key)) != NULL && at < end; at++) {
        int x, width;

        if (sscanf(at + strlen(key), "x=\"%d\" y=\"%*d\" width=\"%d\"", &x, &width) != 2)
            return -1;
        if (*first_x < 0)
            *first_x = x;
        total += width;
    }
    return total;
}

static bool is_about(int value, int wanted)
{
    if (abs(value - wanted) <= wanted / 50 + 50)
        return true;
    note("%d, not about %d", value, wanted);
    return false;
}

static unsigned char *volatile keep[3000];

static void test_numbers(void)
{
    const gcmmap_options options = { .name = "half written" };
    gcmmap_region *region = gcmmap_alloc_with(100 * page, GCMMAP_POINTER_FREE, &options);
    unsigned char *data = gcmmap_data(region);
    const char *group;
    int length, x, first_x, width;

    need(data != NULL, "alloc");
    memset(data + 50 * page, 1, 50 * page);
    keep[0] = data + 25 * page;
    draw();
    group = group_of("half written");
    ok(group != NULL && number_of(group, "size") == 100 * page &&
           number_of(group, "resident") == 50 * page && number_of(group, "written") == 50 * page &&
           number_of(group, "slices") >= 1,
       "the numbers of a region");
    if (group == NULL)
        return;
    length = width_of(group, "open", &x);
    width = width_of(group, "in", &first_x);
    ok(length > 0 && is_about(width, length / 2) && is_about(first_x, x + length / 2),
       "the bar shows that the second half is in memory");
    width = width_of(group, "out", &first_x);
    ok(is_about(width, length / 2) && is_about(first_x, x + length / 2), "and was written");
    for (first_x = -1; group != NULL && abs(first_x - (x + length / 4)) > length / 50 + 50;) {
        group = strstr(group + 1, "<path class=\"tick\" d=\"M");
        first_x = group != NULL ? atoi(group + 23) : -1;
    }
    ok(group != NULL, "a pointer leads to the end of the first quarter");
    keep[0] = NULL;
    need(gcmmap_close(region) == 0, "close");
    draw();
    group = group_of("half written");
    ok(group != NULL && width_of(group, "gone", &x) == length && width_of(group, "in", &x) == 0,
       "closed: as long as before, and empty");
    GC_reachable_here(region);
}

static bool is_well_formed(void)
{
    char path[] = "/tmp/gcmmap-picture-XXXXXX.svg", command[200];
    int fd = mkstemps(path, 4), status;

    need(fd >= 0 && write(fd, picture, n_picture) == (ssize_t)n_picture, "file");
    close(fd);
    if (system("command -v xmllint >/dev/null") == 0)
        snprintf(command, sizeof command, "xmllint --noout %s", path);
    else
        snprintf(command, sizeof command,
                 "python3 -c 'import xml.dom.minidom as m; m.parse(\"%s\")'", path);
    status = system(command);
    unlink(path);
    return status == 0;
}

static bool can_check_xml(void)
{
    return system("command -v xmllint >/dev/null") == 0 ||
           system("python3 -c 'import xml.dom.minidom' 2>/dev/null") == 0;
}

static void map_many(void *arg)
{
    size_t n = *(size_t *)arg;
    char name[64];
    const gcmmap_options options = { .name = name };

    for (size_t i = 0; i < n; i++) {
        gcmmap_region *region;

        snprintf(name, sizeof name, "/data/<%zu>&\"'\xff\x01\xef\xbf\xbf\xc3\xa4]]>", i);
        region = gcmmap_alloc_with(i * 97 + 1, i % 3 == 0 ? GCMMAP_BY_HANDLE : 0, &options);
        need(region != NULL, "alloc");
        keep[i] = (unsigned char *)region;
        if (i % 5 == 0)
            memset(gcmmap_data(region), 1, i * 97 + 1);
        if (i % 11 == 0)
            need(gcmmap_close(region) == 0, "close");
    }
}

static void test_many(size_t n)
{
    size_t n_before;

    draw();
    n_before = count("<g class=\"region\"");
    apart(map_many, &n);
    draw();
    ok(count("<g class=\"region\"") == n_before + n, "%zu regions", n);
    if (can_check_xml())
        ok(is_well_formed(), "well-formed, whatever they are called");
    else
        ok(true, "well-formed # SKIP neither xmllint nor python3");
    for (size_t i = 0; i < n; i++)
        keep[i] = NULL;
    collect_thoroughly();
}

static void test_browser(void)
{
    char directory[] = "/tmp/gcmmap-picture-XXXXXX", path[64], command[600];
    unsigned char head[24] = { 0 };
    size_t n = 60;
    FILE *file;

    if (system("command -v chromium >/dev/null") != 0) {
        ok(true, "a browser shows it # SKIP no chromium");
        return;
    }
    apart(map_many, &n);
    draw();
    need(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/picture.svg", directory);
    file = fopen(path, "w");
    need(file != NULL && fwrite(picture, 1, n_picture, file) == n_picture && fclose(file) == 0,
         "file");
    snprintf(command, sizeof command,
             "timeout 60 chromium --headless --no-sandbox --disable-gpu --window-size=1200,900 "
             "--user-data-dir=%s/profile --screenshot=%s/picture.png file://%s >/dev/null 2>&1",
             directory, directory, path);
    if (system(command) != 0) {
        ok(true, "a browser shows it # SKIP chromium does not run here");
    } else {
        long n_bytes;

        snprintf(path, sizeof path, "%s/picture.png", directory);
        file = fopen(path, "r");
        need(file != NULL && fread(head, 1, sizeof head, file) == sizeof head &&
                 fseek(file, 0, SEEK_END) == 0,
             "screenshot");
        n_bytes = ftell(file);
        fclose(file);
        ok(memcmp(head, "\x89PNG", 4) == 0 && head[18] == 0x04 && head[19] == 0xb0 &&
               n_bytes > 20000, /* a white page, or an error's, is smaller */
           "a browser shows it (%ld bytes)", n_bytes);
    }
    snprintf(command, sizeof command, "rm -r %s", directory);
    need(system(command) == 0, "rm");
}

int main(void)
{
    FILE *full = fopen("/dev/full", "w");

    page = (size_t)sysconf(_SC_PAGESIZE);
    test_numbers();
    test_many(3);
    test_many(40);
    test_many(1000);
    test_browser();
    errno = 0;
    gives_errno(gcmmap_report(NULL), EINVAL, "no stream");
    if (full != NULL) {
        errno = 0;
        gives_errno(gcmmap_report(full), ENOSPC, "a full disk");
        fclose(full);
    }
    return done_testing();
}
