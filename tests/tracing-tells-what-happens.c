/*
 * GCMMAP_TRACE and GCMMAP_STATS write what happened, where they say, once each; nothing is
 * written unasked, nor for a program with others' privileges.  The counters are right.
 * Static probes are in the library.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "live.h"

static size_t page;

/* ---- the program that is traced: this one, with an argument ------------------------- */

static __attribute__((noinline)) void map_and_forget(void *arg)
{
    const gcmmap_options options = { .name = "dropped\none" };

    for (int i = 0; i < 50; i++)
        need(gcmmap_alloc_with(2 * page, 0, &options) != NULL, "alloc");
    (void)arg;
}

static __attribute__((noinline)) gcmmap_region *map_one(const char *name, size_t size)
{
    const gcmmap_options options = { .name = name };
    gcmmap_region *region = gcmmap_alloc_with(size, 0, &options);

    need(region != NULL, "alloc");
    return region;
}

static __attribute__((noinline)) int act(const char *directory)
{
    gcmmap_region *closed, *unmapped, *left;
    gcmmap_stats stats;

    closed = map_one("closed one", 5000);
    need(chdir(directory) == 0, "chdir"); /* a path is that of before */
    unmapped = map_one("unmapped one", 6000);
    left = map_one("left one", 3 * page);
    errno = ENXIO;
    need(gcmmap_close(closed) == 0 && gcmmap_close(closed) == 0, "close");
    need(gcmmap_unmap_now(unmapped) == 0, "unmap");
    need(errno == ENXIO, "errno stays as it was");
    apart(map_and_forget, NULL);
    collect_thoroughly();
    gcmmap_get_stats(&stats);
    /* For the parent to compare, through what tracing does not use. */
    printf("%zu %zu %zu %zu %zu %zu\n", stats.n_mapped, stats.n_released, stats.n_revoked,
           stats.n_failed, stats.n_most_live, stats.bytes_mapped / page);
    GC_reachable_here(left);
    GC_reachable_here(closed);
    return 0;
}

/* ---- running it ------------------------------------------------------------------------ */

static char self[4096];
static char output[65536], errors[65536];
static size_t n_mapped, n_released, n_revoked, n_failed, n_most_live, n_pages_mapped;

static void read_all(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "r");
    size_t n = file != NULL ? fread(text, 1, room - 1, file) : 0;

    text[n] = '\0';
    if (file != NULL)
        fclose(file);
    unlink(path);
}

/* In a directory of its own, which is the current one. */
static bool run(const char *environment, const char *program)
{
    char command[9000];

    snprintf(command, sizeof command, "env -u GCMMAP_TRACE -u GCMMAP_STATS %s '%s' act / >out 2>err",
             environment, program);
    if (system(command) != 0)
        return false;
    read_all("out", output, sizeof output);
    read_all("err", errors, sizeof errors);
    return sscanf(output, "%zu %zu %zu %zu %zu %zu", &n_mapped, &n_released, &n_revoked, &n_failed,
                  &n_most_live, &n_pages_mapped) == 6;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static bool is_traced(const char *text)
{
    size_t n_lines = count(text, "\n");

    if (count(text, "]: map 0x") == n_mapped && count(text, "]: release 0x") == n_released &&
        count(text, "]: close 0x") == 1 && count(text, "]: unmap 0x") == 1 &&
        count(text, "]: collect, number ") >= 4 &&
        n_lines == n_mapped + n_released + 2 + count(text, "]: collect, "))
        return true;
    note("%zu lines; mapped %zu of %zu; released %zu of %zu", n_lines, count(text, "]: map 0x"),
         n_mapped, count(text, "]: release 0x"), n_released);
    return false;
}

static void test_trace(void)
{
    static char text[65536];

    need(run("GCMMAP_TRACE=1", self), "run");
    ok(is_traced(errors), "GCMMAP_TRACE=1: a line for each event, on stderr");
    ok(count(errors, "bytes, closed one, by map_one+0x") == 1 &&
           count(errors, "5000 bytes, closed one, by act+0x") == 1 &&
           count(errors, "bytes, unmapped one") == 2 &&
           count(errors, "dropped?one") >= 50 + n_released - 2,
       "names, sizes and places");
    need(run("GCMMAP_TRACE=trace.log", self), "run");
    read_all("trace.log", text, sizeof text);
    ok(is_traced(text) && errors[0] == '\0', "a path: into that file, wherever we are by then");
    need(run("GCMMAP_TRACE=/no/such/directory/file", self), "run");
    ok(errors[0] == '\0', "a file that cannot be had changes nothing");
}

static void test_stats(void)
{
    char wanted[200];

    need(run("GCMMAP_STATS=2", self), "run");
    snprintf(wanted, sizeof wanted, "]: %zu regions mapped", n_mapped);
    ok(count(errors, "\n") == 2 && count(errors, wanted) == 1 &&
           count(errors, " 1 unmapped at once, 1 closed; 0 could not be mapped") == 1,
       "GCMMAP_STATS: two lines at the end");
    snprintf(wanted, sizeof wanted, ", %zu of them released", n_released);
    ok(count(errors, wanted) == 1, "with the counters");
    ok(n_mapped == 53 && n_released >= 45 && n_released <= 50 && n_revoked == 1 && n_failed == 0 &&
           n_most_live >= 50 && n_most_live <= 53 &&
           n_pages_mapped == 103 + (5000 + page - 1) / page + (6000 + page - 1) / page,
       "which are right");
    need(run("GCMMAP_STATS=s GCMMAP_TRACE=0", self), "run");
    read_all("s", errors, sizeof errors);
    ok(count(errors, "\n") == 2, "into a file");
}

static void test_silence(void)
{
    char command[9000], copy[] = "./setuid-copy";

    need(run("", self), "run");
    ok(errors[0] == '\0', "nothing unasked");
    need(run("GCMMAP_STATS= GCMMAP_TRACE=0", self), "run");
    ok(errors[0] == '\0', "nor for nothing, nor for 0");

    /* The same program, which runs as another user: its libraries must be found without
       LD_LIBRARY_PATH, or it does not run at all. */
    snprintf(command, sizeof command, "cp %s %s && chown 65534 %s && chmod 4755 %s", self, copy,
             copy, copy);
    if (geteuid() != 0 || system(command) != 0 || !run("", copy)) {
        ok(true, "with others' privileges # SKIP cannot be arranged here");
        ok(true, "no file either # SKIP cannot be arranged here");
        return;
    }
    need(chmod(".", 0777) == 0 && run("GCMMAP_TRACE=1 GCMMAP_STATS=1", copy), "run");
    if (getenv("GC_ENABLE_INCREMENTAL") != NULL)
        ok(true, "with others' privileges # SKIP the collector says something");
    else
        ok(errors[0] == '\0', "a program with others' privileges does not listen");
    need(run("GCMMAP_TRACE=t GCMMAP_STATS=t", copy), "run");
    ok(access("t", F_OK) != 0, "nor write into files");
    unlink(copy);
}

static void test_failures(void)
{
    const gcmmap_budget none = { 0 }, little = { .n_regions = 1 };
    size_t n_before = stats_now().n_failed, n_live = stats_now().n_live;
    gcmmap_region *one = gcmmap_alloc(page, 0), *other;

    need(one != NULL && n_live == 0 && gcmmap_set_budget(&little) == 0, "budget");
    other = gcmmap_alloc(page, 0);
    ok(other == NULL && errno == EDQUOT && stats_now().n_failed == n_before + 1,
       "mappings that failed are counted");
    need(gcmmap_set_budget(&none) == 0, "budget");
    ok(stats_now().bytes_charged == page && stats_now().bytes_most_live == page &&
           stats_now().n_most_live == 1,
       "and what costs memory");
    GC_reachable_here(one);
}

static void test_probes(const char *build)
{
    static const char *const names[] = { "map", "close", "unmap", "release", "collect" };
    char command[9000], wanted[64];
    size_t n = 0;

    snprintf(command, sizeof command,
             "f=%s/.libs/libgcmmap.so; test -e $f || exit 1; readelf -n $f >notes 2>/dev/null",
             build);
    if (system(command) != 0) {
        ok(true, "probes # SKIP no shared library, or no readelf");
        return;
    }
    read_all("notes", output, sizeof output);
#ifdef HAVE_SYS_SDT_H
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(wanted, sizeof wanted, "Name: %s\n", names[i]);
        n += count(output, wanted) > 0;
    }
    ok(count(output, "Provider: gcmmap\n") >= 5 && n == 5, "five static probes");
#else
    (void)names, (void)wanted, (void)n;
    ok(true, "probes # SKIP built without sys/sdt.h");
#endif
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/gcmmap-trace-XXXXXX", build[4096], command[64];
    const char *given = getenv("top_builddir");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    page = (size_t)sysconf(_SC_PAGESIZE);
    if (argc == 3 && strcmp(argv[1], "act") == 0)
        return act(argv[2]);
    need(n > 0 && realpath(given != NULL ? given : ".", build) != NULL, "paths");
    need(mkdtemp(directory) != NULL && chdir(directory) == 0, "directory");
    test_trace();
    test_stats();
    test_silence();
    test_failures();
    test_probes(build);
    snprintf(command, sizeof command, "rm -r %s", directory);
    need(system(command) == 0, "rm");
    return done_testing();
}
