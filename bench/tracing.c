/*
 * tracing: what a collection pays for looking for pointers in memory, by where it is.
 *
 * The same pointers, each to an object of 16 bytes of its own, lie in regions of gcmmap, in
 * arrays of the collector's heap, and in mappings registered with GC_add_roots(), which is the
 * usual way.  Each case runs in a process of its own.  Time per collection is the median of
 * some, less that of the same program without the memory; over bytes written, and over bytes
 * reserved.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <getopt.h>
#include <sys/wait.h>

#define MOST_RUNS 64u

enum way { NONE, HEAP, GCMMAP, BY_HANDLE, GC_ROOTS };
static const char *const way_names[] = { "none", "heap arrays", "gcmmap", "by handle",
                                         "GC_add_roots" };

enum layout { ANONYMOUS, PRIVATE_FILE };

/* n_pieces pieces of memory; of each, the first n_written bytes of each of n_spots stretches
   that it is divided into hold pointers: every n-th word. */
struct task {
    const char *name;
    enum layout layout;
    size_t n_pieces, n_reserved, n_spots, n_written, every;
    bool is_read; /* all of it, before */
};

struct result {
    double ms[MOST_RUNS];
    size_t n_runs;
    double resident_before, resident_after; /* MiB, around the collections */
};

static unsigned n_runs = 15;

/* ---- one case, in its own process ------------------------------------------ */

static double resident_mib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident;
    int n = file != NULL ? fscanf(file, "%lu %lu", &total, &resident) : 0;

    if (file != NULL)
        fclose(file);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) / (double)MIB : -1;
}

static void write_pointers(void **to, size_t n_bytes, size_t every)
{
    for (size_t i = 0; i < n_bytes / sizeof *to; i++)
        to[i] = i % every == 0 ? GC_MALLOC(16) : (void *)(i * 2 + 1);
}

static void write_to_piece(char *piece, const struct task *task)
{
    size_t stride = task->n_reserved / task->n_spots;

    for (size_t i = 0; i < task->n_spots; i++)
        write_pointers((void **)(piece + i * stride), task->n_written, task->every);
}

static void read_pages(const char *piece, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i += 4 * KIB)
        (void)*(const volatile char *)(piece + i);
}

/* The handle is all that has to be kept. */
static char *map_piece(enum way way, const struct task *task, int fd, gcmmap_region **handle)
{
    unsigned flags = way == BY_HANDLE ? GCMMAP_BY_HANDLE : 0;
    int anonymous = fd < 0 ? MAP_ANONYMOUS | MAP_NORESERVE : 0;
    char *piece;

    if (way != GC_ROOTS) {
        *handle = fd < 0
                      ? gcmmap_alloc(task->n_reserved, flags)
                      : gcmmap_map(fd, 0, task->n_reserved, GCMMAP_WRITE | GCMMAP_PRIVATE | flags);
        need(*handle != NULL, "gcmmap");
        piece = gcmmap_data(*handle);
    } else {
        piece =
            mmap(NULL, task->n_reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | anonymous, fd, 0);
        need(piece != MAP_FAILED, "mmap");
        GC_add_roots(piece, piece + task->n_reserved);
    }
    return piece;
}

static void collect_and_measure(struct result *result)
{
    GC_gcollect();
    GC_gcollect();
    result->resident_before = resident_mib();
    for (result->n_runs = 0; result->n_runs < n_runs; result->n_runs++) {
        double begin = now_ns();

        GC_gcollect();
        result->ms[result->n_runs] = (now_ns() - begin) / 1e6;
    }
    result->resident_after = resident_mib();
}

static struct result run(enum way way, const struct task *task)
{
    int fd = way != NONE && way != HEAP && task->layout == PRIVATE_FILE
                 ? make_sparse_file(task->n_reserved)
                 : -1;
    struct result result = { .n_runs = 0 };
    void **pieces; /* heap arrays, or handles */

    GC_INIT();
    GC_set_free_space_divisor(1);
    GC_disable(); /* not while we fill */
    pieces = GC_MALLOC((task->n_pieces + 1) * sizeof *pieces);
    need(pieces != NULL, "GC_MALLOC");
    for (size_t i = 0; way != NONE && i < task->n_pieces; i++) {
        if (way == HEAP) {
            size_t n_bytes = task->n_written * task->n_spots;

            pieces[i] = GC_MALLOC(n_bytes);
            need(pieces[i] != NULL, "GC_MALLOC");
            write_pointers(pieces[i], n_bytes, task->every);
        } else {
            char *piece = map_piece(way, task, fd, (gcmmap_region **)&pieces[i]);

            if (task->is_read)
                read_pages(piece, task->n_reserved);
            write_to_piece(piece, task);
        }
    }
    GC_enable();
    collect_and_measure(&result);
    GC_reachable_here(pieces);
    return result;
}

static struct result run_apart(enum way way, const struct task *task)
{
    struct result result = { .n_runs = 0 };
    int ends[2], status;
    pid_t child;

    progress("%s: %s", task->name, way_names[way]);
    need(pipe(ends) == 0, "pipe");
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        result = run(way, task);
        need(write(ends[1], &result, sizeof result) == (ssize_t)sizeof result, "write");
        _exit(0);
    }
    close(ends[1]);
    need(read(ends[0], &result, sizeof result) == (ssize_t)sizeof result, "a case failed");
    close(ends[0]);
    need(waitpid(child, &status, 0) == child, "waitpid");
    return result;
}

/* ---- report ------------------------------------------------------------------ */

static FILE *json;
static unsigned n_in_json;

static double report(enum way way, const struct task *task, double ms_none)
{
    struct result result = run_apart(way, task);
    double ms = median(result.ms, result.n_runs) - ms_none;
    double best = percentile(result.ms, result.n_runs, 0) - ms_none;
    size_t n_written = task->n_pieces * task->n_spots * task->n_written;

    printf("  %-14s %10.2f ms   best %10.2f ms", way_names[way], ms, best);
    if (way == GCMMAP || way == BY_HANDLE)
        printf("   resident %.0f -> %.0f MiB", result.resident_before, result.resident_after);
    putchar('\n');
    fflush(stdout);
    if (json != NULL) {
        fprintf(json, "%s{", n_in_json++ > 0 ? ",\n" : "");
        json_string(json, "task", task->name);
        fputs(", ", json);
        json_string(json, "way", way_names[way]);
        fprintf(json, ", \"pieces\": %zu, \"reserved\": %zu, \"written\": %zu, \"none_ms\": %.4f, ",
                task->n_pieces, task->n_pieces * task->n_reserved, n_written, ms_none);
        json_numbers(json, "ms", result.ms, result.n_runs, 4);
        fprintf(json, ", \"resident_mib\": [%.1f, %.1f]}", result.resident_before,
                result.resident_after);
    }
    return ms;
}

/* with_roots: reads all that is reserved, which takes its time. */
static void compare(const struct task *task, bool with_roots)
{
    struct result none = run_apart(NONE, task);
    double ms_none = median(none.ms, none.n_runs), heap, ours, by_handle;
    char reserved[32], written[32];

    printf("%s: %zu times %s reserved, %s written (an empty heap: %.2f ms)\n", task->name,
           task->n_pieces, size_name(task->n_reserved, reserved),
           size_name(task->n_spots * task->n_written, written), ms_none);
    heap = report(HEAP, task, ms_none);
    ours = report(GCMMAP, task, ms_none);
    by_handle = report(BY_HANDLE, task, ms_none);
    if (with_roots)
        (void)report(GC_ROOTS, task, ms_none);
    printf("  of heap arrays: gcmmap %.2f, by handle %.2f\n", ours / heap, by_handle / heap);
}

static const struct option options[] = {
    { "quick", no_argument, NULL, 'q' },      { "all", no_argument, NULL, 'a' },
    { "large", no_argument, NULL, 'l' },      { "seconds", required_argument, NULL, 's' },
    { "note", required_argument, NULL, 'n' }, { "only", required_argument, NULL, 'o' },
    { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 }
};

static void usage(void)
{
    puts("usage: tracing [--quick] [--only=TASK] [--note=TEXT] [RESULTS.json]\n"
         "  --quick      smaller, fewer collections\n"
         "  --only       target, file, stacks, dense, written or reserved\n"
         "  --note       kept with the results\n"
         "  --seconds, --all, --large   are for the other benchmarks");
    exit(0);
}

static bool is_wanted(const char *only, const char *name)
{
    return only == NULL || strcmp(only, name) == 0;
}

int main(int argc, char **argv)
{
    const char *note = "", *only = NULL, *path;
    struct machine machine;
    bool quick = false;

    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h' || c == '?')
            usage();
        quick |= c == 'q';
        note = c == 'n' ? optarg : note;
        only = c == 'o' ? optarg : only;
    }
    path = optind < argc ? argv[optind] : NULL;
    if (quick)
        n_runs = 5;
    machine = this_machine();
    print_machine(&machine);
    json = json_begin(path, "tracing", note, &machine);
    if (json != NULL)
        fputs("\"cases\": [\n", json);
    if (is_wanted(only, "target")) {
        compare(&(struct task){ "dense", ANONYMOUS, 1, 64 * GIB, 1, 64 * MIB, 1, false }, false);
        compare(&(struct task){ "few pointers", ANONYMOUS, 1, 64 * GIB, 1, 64 * MIB, 16, false },
                false);
        compare(&(struct task){ "scattered", ANONYMOUS, 1, 64 * GIB, 1024, 64 * KIB, 1, false },
                false);
    }
    if (is_wanted(only, "file")) {
        compare(&(struct task){ "file", PRIVATE_FILE, 1, GIB, 100, 4 * KIB, 1, false }, true);
        compare(&(struct task){ "file, read before", PRIVATE_FILE, 1, GIB, 100, 4 * KIB, 1, true },
                false);
    }
    if (is_wanted(only, "stacks")) {
        size_t n = quick ? 1000 : 10000;

        compare(&(struct task){ "stacks", ANONYMOUS, n, 256 * KIB, 1, 8 * KIB, 1, false }, false);
        compare(&(struct task){ "stacks, few pointers", ANONYMOUS, n, 256 * KIB, 1, 8 * KIB, 16,
                                false },
                false);
        compare(&(struct task){ "2,000 stacks", ANONYMOUS, 2000, 256 * KIB, 1, 8 * KIB, 16, false },
                true);
    }
    if (is_wanted(only, "dense"))
        compare(&(struct task){ "dense", ANONYMOUS, 1, quick ? 128 * MIB : GIB, 1,
                                quick ? 128 * MIB : GIB, 1, false },
                true);
    for (size_t n = MIB; is_wanted(only, "written") && n <= (quick ? 16 : 256) * MIB; n *= 4)
        compare(&(struct task){ "written", ANONYMOUS, 1, GIB, 1, n, 4, false }, true);
    for (size_t n = 64 * MIB; is_wanted(only, "reserved") && n <= 64 * GIB; n *= 4)
        compare(&(struct task){ "reserved", ANONYMOUS, 1, n, 1, 16 * MIB, 4, false },
                n <= (quick ? 1 : 4) * GIB);
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, path);
    }
    return 0;
}
