/*
 * However many pointers a region holds, and however many regions there are: the marker never
 * pushes more than its stack has room for, after which it would have to begin again.  bdwgc
 * tells, in its log.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_SMALL 20000u /* regions; each takes two of the kernel's map slots */

static void **words;
static gcmmap_region *volatile handle;

static void fill(void *n_bytes)
{
    for (size_t i = 0; i < *(size_t *)n_bytes / sizeof *words; i++) {
        words[i] = GC_MALLOC(sizeof *words);
        need(words[i] != NULL, "GC_MALLOC");
    }
}

static void collect_dense(size_t n_bytes, unsigned flags)
{
    handle = gcmmap_alloc(n_bytes, flags);
    words = gcmmap_data(handle);
    need(words != NULL, "gcmmap_alloc");
    GC_disable();
    apart(fill, &n_bytes);
    GC_enable();
    GC_gcollect();
    words = NULL;
    handle = NULL;
    (void)gcmmap_collect();
}

static void fill_with_regions(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_SMALL; i++) {
        void **inner = gcmmap_data(gcmmap_alloc(2 * 4096, 0));

        need(inner != NULL, "gcmmap_alloc");
        inner[600] = GC_MALLOC(sizeof *inner);
        words[i] = inner;
    }
}

static void collect_many(void)
{
    words = gcmmap_data(gcmmap_alloc(N_SMALL * sizeof *words, 0));
    need(words != NULL, "gcmmap_alloc");
    GC_disable();
    apart(fill_with_regions, NULL);
    GC_enable();
    GC_gcollect();
    need(stats_now().n_live > N_SMALL, "regions died");
    words = NULL;
}

static int work(void)
{
    GC_INIT();
    collect_dense(MiB, 0);
    collect_dense(20 * MiB, 0);
    collect_dense(4 * MiB, GCMMAP_BY_HANDLE);
    (void)gcmmap_alloc((size_t)1 << (sizeof(size_t) > 4 ? 33 : 29), 0); /* 512 blocks, or 32 */
    collect_many();
    return 0;
}

static unsigned count_lines(const char *path, const char *text)
{
    FILE *file = fopen(path, "r");
    char line[1000];
    unsigned n = 0;

    need(file != NULL, path);
    while (fgets(line, sizeof line, file))
        n += strstr(line, text) != NULL;
    fclose(file);
    return n;
}

static void check(const char *self, const char *n_markers)
{
    char path[] = "/tmp/gcmmap-test-XXXXXX";
    int log = mkstemp(path), status = 0;
    pid_t child;

    need(log >= 0, "temporary file");
    close(log);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        setenv("GC_PRINT_STATS", "1", 1);
        setenv("GC_LOG_FILE", path, 1);
        setenv("GC_MARKERS", n_markers, 1);
        execl(self, self, "work", (char *)NULL);
        _exit(99);
    }
    need(waitpid(child, &status, 0) == child && status == 0, "the child failed");
    if (count_lines(path, "marking took") == 0)
        ok(true, "mark stack # SKIP this collector keeps no log");
    else
        ok(count_lines(path, "Mark stack overflow") + count_lines(path, "No room to copy") == 0,
           "the mark stack of %s markers never overflows", n_markers);
    unlink(path);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return work();
    check(argv[0], "1");
    check(argv[0], "3");
    return done_testing();
}
