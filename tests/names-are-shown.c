/*
 * gcmmap_options.name reaches the kernel for anonymous memory, in a form that it accepts, for
 * each piece that a region grows by; not for files, and not if there is none.
 *
 * The kernel may have been built without names.  So what is looked at is what we tell it,
 * and, if it has them, /proc/self/smaps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "smaps.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static char told[200];
static unsigned char *told_of;
static size_t n_told;
static bool was_taken;

/* The library's, too. */
__attribute__((visibility("default"))) int prctl(int option, ...)
{
    va_list arguments;
    unsigned long a, b, c, d;
    int result;

    va_start(arguments, option);
    a = va_arg(arguments, unsigned long);
    b = va_arg(arguments, unsigned long);
    c = va_arg(arguments, unsigned long);
    d = va_arg(arguments, unsigned long);
    va_end(arguments);
    result = (int)syscall(SYS_prctl, option, a, b, c, d);
    if (option == PR_SET_VMA) {
        snprintf(told, sizeof told, "%s", (const char *)d);
        told_of = (unsigned char *)b;
        n_told = c;
        was_taken = result == 0;
    }
    return result;
}

static void shows(const char *name, const char *wanted)
{
    const gcmmap_options options = { .name = name, .room = 100000 };
    char copy[300], in_maps[320];
    gcmmap_options of_copy = options;
    gcmmap_region *region;
    struct mapping mapping;
    unsigned char *data;

    snprintf(copy, sizeof copy, "%s", name);
    of_copy.name = copy;
    for (unsigned by_handle = 0; by_handle < 2; by_handle++) {
        snprintf(copy, sizeof copy, "%s", name);
        told[0] = '\0';
        errno = ENXIO;
        region = gcmmap_alloc_with(5000, by_handle ? GCMMAP_BY_HANDLE : 0, &of_copy);
        data = gcmmap_data(region);
        ok(data != NULL && errno == ENXIO && strcmp(told, wanted) == 0 && told_of == data &&
               n_told == 8192,
           "told: %s", wanted);
        memset(copy, '?', sizeof copy - 1); /* it is ours again */
        snprintf(in_maps, sizeof in_maps, "[anon:%s]", wanted);
        ok(!was_taken || (mapping_at(data, &mapping) && strcmp(mapping.name, in_maps) == 0),
           "shown%s", was_taken ? "" : " # SKIP this kernel has no names");
        told[0] = '\0';
        ok(gcmmap_extend(region, 50000) == 0 && strcmp(told, wanted) == 0 && told_of == data + 8192,
           "what it grows by has the name, too");
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
}

int main(void)
{
    const gcmmap_options named = { .name = "file" };
    char long_name[200], cut[80], path[32];
    gcmmap_region *region;

    GC_INIT();
    make_named_file(path, 1, 100);
    shows("cache", "cache");
    shows("words of [today]: \\ $x `y` \n\x7f\xc3\xa4", "words of _today_: _ _x _y_ ____");
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    memset(cut, 'n', sizeof cut);
    cut[sizeof cut - 1] = '\0';
    shows(long_name, cut);
    told[0] = '\0';
    region = gcmmap_open_with(path, GCMMAP_READ, &named);
    ok(region != NULL && told[0] == '\0', "a file keeps its path");
    region = gcmmap_alloc(5000, 0);
    ok(region != NULL && told[0] == '\0', "without a name nothing is told");
    unlink(path);
    return done_testing();
}
