/*
 * Many regions at once, and many after each other: what a collection pays for each live
 * region, how much memory a region takes, and what happens at the kernel's limit; a program
 * that maps and drops for ever, how many are mapped meanwhile, and how much of its time is
 * collections.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - Live: one process has 60,000 regions of 4 KiB, each of a place of its own in the
 *     file, in disorder, so that the kernel cannot join them; another process has none.  Their collections alternate; the differences count.  Lines of /proc/self/maps
 *     are the witness for the number.
 *   - Own memory: what malloc has given out (mallinfo2), before and after, and as a witness
 *     what is resident but not a file's; the latter has bdwgc's index and headers in it.
 *   - At the limit: maps 70,000; each either succeeds or fails with ENOMEM.  Then the first
 *     byte of each one that succeeded is read.
 *   - For ever: 200,000 cycles of map + touch + drop of 4 KiB.  The number of regions is
 *     gcmmap's own, lines of /proc/self/maps the witness; both go into a series over time.  A
 *     run with none, one with 10,000 regions live all the time, and one that uses a
 *     finalizer on a handle, without gcmmap, in a host with 100 MB of other live objects.
 *   - Share of collections: bdwgc's own measurement of its full collections.
 */
#include "bench.h"

#include <malloc.h>

#define N_LIVE 60000u
#define N_ATTEMPTS 70000u
#define PAGE ((size_t)4096)
#define MOST_ROUNDS 400u

static const double target_ns = 100, target_bytes = 300, target_share = 0.05;

static volatile unsigned char touched;

static size_t n_map_lines(void)
{
    int fd = open("/proc/self/maps", O_RDONLY);
    static char buffer[1 << 16];
    size_t n = 0;
    ssize_t n_read;

    need(fd >= 0, "/proc/self/maps");
    while ((n_read = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n_read; i++)
            n += buffer[i] == '\n';
    close(fd);
    return n;
}

static double malloced_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double)info.uordblks + (double)info.hblkhd;
}

/*
 * Each at a place of its own in the file; NULL if there is no room for more.  Neighbours in
 * memory must not be neighbours in the file: the kernel would make one mapping of them.
 */
#define FILE_BYTES (2 * PAGE * N_ATTEMPTS)

static size_t nth_place(size_t i)
{
    return i * 7919 % N_ATTEMPTS * 2 * PAGE; /* a prime: all places, in disorder */
}

static __attribute__((noinline)) void *map_nth(int fd, size_t i)
{
    gcmmap_region *region = gcmmap_map(fd, (off_t)nth_place(i), PAGE, GCMMAP_READ);

    return region != NULL ? gcmmap_data(region) : NULL; /* errno stays that of the map */
}

/* ---- live at once --------------------------------------------------------- */

enum what { COLLECT, MAP_LINES, MALLOCED, OWN };

static double timed_collection(void)
{
    double start = now_ns();

    GC_gcollect();
    return now_ns() - start;
}

/* task: how many regions. */
static void obey(const void *task, int commands, int results)
{
    size_t n = *(const size_t *)task;
    int fd = make_sparse_file(FILE_BYTES);
    double malloced, own, result = 0;
    unsigned char what;
    void **slots;

    GC_INIT();
    slots = GC_MALLOC(N_LIVE * sizeof *slots);
    need(slots != NULL, "GC_MALLOC");
    malloced = malloced_bytes();
    own = own_bytes();
    for (size_t i = 0; i < n; i++)
        need((slots[i] = map_nth(fd, i)) != NULL, "gcmmap_map");
    malloced = malloced_bytes() - malloced;
    own = own_bytes() - own;
    while (read(commands, &what, 1) == 1) {
        switch (what) {
        case COLLECT:
            result = timed_collection();
            break;
        case MAP_LINES:
            result = (double)n_map_lines();
            break;
        case MALLOCED:
            result = malloced;
            break;
        case OWN:
            result = own;
            break;
        }
        need(write(results, &result, sizeof result) == sizeof result, "pipe");
    }
    GC_reachable_here(slots);
}

static void run_live(FILE *json, unsigned n_rounds)
{
    static const size_t none = 0, many = N_LIVE;
    struct process without = start_process(obey, &none), with = start_process(obey, &many);
    double differences[MOST_ROUNDS], without_ns[MOST_ROUNDS], with_ns[MOST_ROUNDS];
    double malloced, own, lines, ns;

    for (int i = 0; i < 2; i++) {
        progress("making %u regions", N_LIVE);
        (void)command(&without, COLLECT);
        (void)command(&with, COLLECT);
    }
    for (unsigned i = 0; i < n_rounds; i++) {
        progress("collections with %u regions, %u of %u", N_LIVE, i + 1, n_rounds);
        without_ns[i] = command(&without, COLLECT);
        with_ns[i] = command(&with, COLLECT);
        differences[i] = (with_ns[i] - without_ns[i]) / N_LIVE;
    }
    ns = median(differences, n_rounds);
    malloced = command(&with, MALLOCED) / N_LIVE;
    own = (command(&with, OWN) - command(&without, OWN)) / N_LIVE;
    lines = command(&with, MAP_LINES);
    progress("%s", "");
    printf("\n%u live regions (%.0f lines of /proc/self/maps)\n", N_LIVE, lines);
    printf("  a collection  %.2f ms, without %.2f ms: %.1f ns a region (target %.0f: %s)\n",
           median(with_ns, n_rounds) / 1e6, median(without_ns, n_rounds) / 1e6, ns, target_ns,
           ns <= target_ns ? "met" : "MISSED");
    printf("  own memory    %.1f bytes a region (target %.0f: %s); resident %.1f\n", malloced,
           target_bytes, malloced <= target_bytes ? "met" : "MISSED", own);
    fflush(stdout);
    end_process(&without);
    end_process(&with);
    if (json == NULL)
        return;
    fprintf(json, "\"live\": {\"regions\": %u, \"map_lines\": %.0f, ", N_LIVE, lines);
    fprintf(json, "\"ns_per_region\": %.2f, \"target_ns\": %.0f, ", ns, target_ns);
    fprintf(json, "\"malloc_bytes_per_region\": %.2f, \"target_bytes\": %.0f, ", malloced,
            target_bytes);
    fprintf(json, "\"resident_bytes_per_region\": %.2f, \"met\": %s,\n ", own,
            ns <= target_ns && malloced <= target_bytes ? "true" : "false");
    json_numbers(json, "without_ns", without_ns, n_rounds, 0);
    fputs(",\n ", json);
    json_numbers(json, "with_ns", with_ns, n_rounds, 0);
    fputs("},\n", json);
}

/* ---- at the limit --------------------------------------------------------- */

struct at_limit {
    unsigned n_mapped, n_no_memory, n_other_errors, n_wrong;
    int other_error;
    double map_lines, first_failure_ms;
};

static void fill_up(const void *unused, void *result_data)
{
    struct at_limit *result = result_data;
    int fd = make_sparse_file(FILE_BYTES);
    unsigned char **slots;

    (void)unused;
    GC_INIT();
    slots = GC_MALLOC(N_ATTEMPTS * sizeof *slots);
    need(slots != NULL, "GC_MALLOC");
    for (unsigned i = 0; i < N_ATTEMPTS; i += 100)
        need(pwrite(fd, "x", 1, (off_t)nth_place(i)) == 1, "pwrite");
    memset(result, 0, sizeof *result);
    for (unsigned i = 0; i < N_ATTEMPTS; i++) {
        double start = now_ns();

        slots[i] = map_nth(fd, i);
        if (slots[i] != NULL) {
            result->n_mapped++;
            continue;
        }
        if (result->n_no_memory + result->n_other_errors == 0)
            result->first_failure_ms = (now_ns() - start) / 1e6;
        if (errno == ENOMEM)
            result->n_no_memory++;
        else {
            result->n_other_errors++;
            result->other_error = errno;
        }
        if (result->n_no_memory + result->n_other_errors > 20) /* each of these collects */
            break;
    }
    result->map_lines = (double)n_map_lines();
    for (unsigned i = 0; i < N_ATTEMPTS; i++)
        if (slots[i] != NULL && *slots[i] != (i % 100 == 0 ? 'x' : 0))
            result->n_wrong++;
    GC_reachable_here(slots);
}

static void run_limit(FILE *json)
{
    struct at_limit result = { 0 };
    bool is_met;

    progress("up to the limit of map slots");
    run_in_child(fill_up, NULL, &result, sizeof result);
    progress("%s", "");
    is_met = result.n_mapped >= N_LIVE && result.n_other_errors == 0 && result.n_wrong == 0;
    printf("\nOn the way to %u: %u mapped (%.0f lines), then %s; wrong bytes: %u (%s)\n",
           N_ATTEMPTS, result.n_mapped, result.map_lines,
           result.n_no_memory > 0      ? "ENOMEM"
           : result.n_other_errors > 0 ? strerror(result.other_error)
                                       : "no error",
           result.n_wrong, is_met ? "met" : "MISSED");
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "\"limit\": {\"attempts\": %u, \"mapped\": %u, \"no_memory\": %u, ", N_ATTEMPTS,
            result.n_mapped, result.n_no_memory);
    fprintf(json, "\"other_errors\": %u, \"wrong\": %u, \"map_lines\": %.0f, ",
            result.n_other_errors, result.n_wrong, result.map_lines);
    fprintf(json, "\"first_failure_ms\": %.2f, \"met\": %s},\n", result.first_failure_ms,
            is_met ? "true" : "false");
}

/* ---- for ever ------------------------------------------------------------- */

#define N_SAMPLES 400u
#define N_CYCLES_SHOWN 40000u /* the series; in it, more would be a blur */
#define N_LINE_COUNTS 50u

static const struct program {
    const char *name;
    size_t n_kept;
    bool by_finalizer;
} programs[] = {
    { "gcmmap", 0, false },
    { "gcmmap, 10,000 kept", 10000, false },
    { "finalizer, 100 MB heap", 0, true },
};
#define N_PROGRAMS (sizeof programs / sizeof *programs)

struct endless {
    unsigned n_cycles;
    double ms[N_SAMPLES], n_regions[N_SAMPLES]; /* over the first N_CYCLES_SHOWN */
    double n_lines[N_LINE_COUNTS];              /* evenly, over all cycles */
    double most_lines, errors;
};

struct endless_task {
    const struct program *program;
    unsigned n_cycles;
};

static size_t n_held; /* by handles with a finalizer */

static void GC_CALLBACK unmap_held(void *object, void *unused)
{
    (void)unused;
    munmap(*(void **)object, PAGE);
    n_held--;
}

static __attribute__((noinline)) bool cycle_by_finalizer(int fd)
{
    void **holder = GC_MALLOC(sizeof *holder);
    unsigned char *data = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

    if (holder == NULL || data == MAP_FAILED)
        return false;
    *holder = data;
    GC_REGISTER_FINALIZER_NO_ORDER(holder, unmap_held, NULL, NULL, NULL);
    n_held++;
    touched = *data;
    return true;
}

static __attribute__((noinline)) bool cycle_by_gcmmap(int fd)
{
    const unsigned char *data = gcmmap_data(gcmmap_map(fd, 0, PAGE, GCMMAP_READ));

    if (data == NULL)
        return false;
    touched = *data;
    return true;
}

static double n_regions_now(const struct program *program)
{
    gcmmap_stats stats;

    if (program->by_finalizer)
        return (double)n_held;
    gcmmap_get_stats(&stats);
    return (double)(stats.n_live + stats.n_dying);
}

static void **keep_some(const struct program *program, int fd)
{
    size_t n = program->by_finalizer ? 100 * MIB / KIB : program->n_kept;
    void **kept = GC_MALLOC((n + 1) * sizeof *kept);

    need(kept != NULL, "GC_MALLOC");
    for (size_t i = 0; i < n; i++) {
        kept[i] = program->by_finalizer ? GC_MALLOC(KIB - 1) : map_nth(fd, i);
        need(kept[i] != NULL, "a kept one");
    }
    return kept;
}

static void map_for_ever(const void *task_data, void *result_data)
{
    const struct endless_task *task = task_data;
    struct endless *result = result_data;
    unsigned n_shown = task->n_cycles < N_CYCLES_SHOWN ? task->n_cycles : N_CYCLES_SHOWN;
    unsigned every = n_shown / N_SAMPLES, lines_every = task->n_cycles / N_LINE_COUNTS;
    int fd = make_sparse_file(FILE_BYTES);
    double start, paused = 0;
    void **kept;

    GC_INIT();
    memset(result, 0, sizeof *result);
    kept = keep_some(task->program, fd);
    start = now_ns();
    for (unsigned i = 0; i < task->n_cycles; i++) {
        if (!(task->program->by_finalizer ? cycle_by_finalizer(fd) : cycle_by_gcmmap(fd)))
            result->errors++;
        if (i % every == 0 && i / every < N_SAMPLES) {
            result->ms[i / every] = (now_ns() - start - paused) / 1e6;
            result->n_regions[i / every] = n_regions_now(task->program);
        }
        if (i % lines_every == lines_every - 1 && i / lines_every < N_LINE_COUNTS) {
            double pause_start = now_ns(), n = (double)n_map_lines();

            result->n_lines[i / lines_every] = n;
            result->most_lines = n > result->most_lines ? n : result->most_lines;
            paused += now_ns() - pause_start;
        }
    }
    GC_reachable_here(kept);
}

static void run_endless(FILE *json, unsigned n_cycles)
{
    static struct endless result;

    printf("\n%u cycles of map + touch + drop, 4 KiB: regions at once, lines of /proc/self/maps\n",
           n_cycles);
    printf("  %-24s %12s %12s %8s\n", "", "most regions", "most lines", "failures");
    if (json != NULL)
        fprintf(json, "\"endless_cycles\": %u,\n\"endless\": [\n", n_cycles);
    for (size_t i = 0; i < N_PROGRAMS; i++) {
        struct endless_task task = { &programs[i], n_cycles };

        progress("%u cycles: %s", n_cycles, programs[i].name);
        run_in_child(map_for_ever, &task, &result, sizeof result);
        progress("%s", "");
        printf("  %-24s %12.0f %12.0f %8.0f\n", programs[i].name,
               percentile(result.n_regions, N_SAMPLES, 1), result.most_lines, result.errors);
        fflush(stdout);
        if (json == NULL)
            continue;
        fprintf(json, "%s{", i > 0 ? ",\n" : "");
        json_string(json, "name", programs[i].name);
        fprintf(json, ", \"most_regions\": %.0f, \"most_lines\": %.0f, \"failures\": %.0f,\n ",
                percentile(result.n_regions, N_SAMPLES, 1), result.most_lines, result.errors);
        json_numbers(json, "ms", result.ms, N_SAMPLES, 3);
        fputs(",\n ", json);
        json_numbers(json, "regions", result.n_regions, N_SAMPLES, 0);
        fputs(",\n ", json);
        json_numbers(json, "lines", result.n_lines, N_LINE_COUNTS, 0);
        putc('}', json);
    }
    if (json != NULL)
        fputs("\n],\n", json);
}

/* ---- the share of collections --------------------------------------------- */

static const size_t sizes[] = { 4 * KIB, 64 * KIB, 1 * MIB, 64 * MIB, 1 * GIB };
#define N_SIZES (sizeof sizes / sizeof *sizes)

struct share_task {
    size_t n_bytes;
    double seconds;
};

struct share {
    double share, n_cycles, n_collections, n_own_collections;
};

static __attribute__((noinline)) void cycle_of_all(int fd, size_t n_bytes)
{
    const unsigned char *data = gcmmap_data(gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ));

    need(data != NULL, "gcmmap_map");
    touched = data[n_bytes / 2];
}

static void measure_share(const void *task_data, void *result_data)
{
    const struct share_task *task = task_data;
    struct share *result = result_data;
    int fd = make_sparse_file(task->n_bytes);
    gcmmap_stats before, after;
    double start, end, collecting_ms;
    size_t n_collections;

    GC_INIT();
    for (unsigned i = 0; i < (task->n_bytes > MIB ? 1000 : 10000); i++)
        cycle_of_all(fd, task->n_bytes);
    (void)release_all();
    GC_start_performance_measurement();
    gcmmap_get_stats(&before);
    n_collections = GC_get_gc_no();
    collecting_ms = (double)GC_get_full_gc_total_time();
    start = now_ns();
    end = start + task->seconds * 1e9;
    result->n_cycles = 0;
    while (now_ns() < end)
        for (int i = 0; i < 64; i++, result->n_cycles++)
            cycle_of_all(fd, task->n_bytes);
    end = now_ns();
    collecting_ms = (double)GC_get_full_gc_total_time() - collecting_ms;
    gcmmap_get_stats(&after);
    result->share = collecting_ms * 1e6 / (end - start);
    result->n_collections = (double)(GC_get_gc_no() - n_collections);
    result->n_own_collections = (double)(after.n_collections - before.n_collections);
}

static void run_shares(FILE *json, double seconds)
{
    printf("\nOf a program that only maps and drops, the time spent in collections\n"
           "  %8s %8s %12s %12s\n",
           "size", "share", "collections", "cycles/each");
    if (json != NULL)
        fputs("\"shares\": [\n", json);
    for (size_t i = 0; i < N_SIZES; i++) {
        struct share_task task = { sizes[i], seconds };
        struct share result;
        char name[32];

        progress("share of collections, %zu of %zu", i + 1, N_SIZES);
        run_in_child(measure_share, &task, &result, sizeof result);
        progress("%s", "");
        printf("  %8s %7.1f%% %12.0f %12.0f  (target %.0f%%: %s)\n", size_name(sizes[i], name),
               100 * result.share, result.n_collections,
               result.n_cycles / (result.n_collections > 0 ? result.n_collections : 1),
               100 * target_share, result.share <= target_share ? "met" : "MISSED");
        fflush(stdout);
        if (json == NULL)
            continue;
        fprintf(json, "%s{\"size\": %zu, \"share\": %.5f, \"cycles\": %.0f, ", i > 0 ? ",\n" : "",
                sizes[i], result.share, result.n_cycles);
        fprintf(json, "\"collections\": %.0f, \"own_collections\": %.0f, ", result.n_collections,
                result.n_own_collections);
        fprintf(json, "\"target\": %.3f, \"met\": %s}", target_share,
                result.share <= target_share ? "true" : "false");
    }
    if (json != NULL)
        fputs("\n]\n", json);
}

static const char usage[] = "Usage: many [OPTION]... [RESULT.json]\n"
                            "Many regions at once, and many after each other.\n\n"
                            "  --quick      fewer rounds\n"
                            "  --note=TEXT  goes into the JSON file\n"
                            "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Many regions\n");
    print_machine(&machine);
    json = json_begin(options.path, "many", options.note, &machine);
    run_live(json, options.is_quick ? 15 : 101);
    run_limit(json);
    run_endless(json, options.is_quick ? 50000 : 200000);
    run_shares(json, options.is_quick ? 1 : 5);
    if (json != NULL)
        json_end(json, options.path);
    return 0;
}
