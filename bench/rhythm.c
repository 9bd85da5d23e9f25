/*
 * What a mapping does to a program's own collections: how often it collects, and how large
 * its heap gets, with nothing mapped and with up to 64 GiB.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - The program allocates 2 GB of objects of 64 bytes and keeps 40 MB of them at random,
 *     once with objects that are scanned for pointers, and once with ones that are not.
 *   - Each case is a process of its own; the cases take turns.  Collections are counted by
 *     bdwgc.  The heap is bdwgc's at the end, with what it has given back to the kernel for
 *     the moment, less what gcmmap has reserved of it.
 *   - bdwgc's own rhythm depends on chance: how large the heap is that is used up before it
 *     collects, is settled while it grows, in steps of a third.  So each case is run with the heap
 *     expanded by 0 to 23 MiB before it begins, with nothing mapped as well, and the means
 *     of these rounds are compared.
 *   - "nothing" calls gcmmap never; "once" maps and releases a file before it begins: what
 *     is left of gcmmap in a program that has nothing mapped.  The time of "once" is divided
 *     by that of "nothing" in the same round.
 */
#include "bench.h"

static const size_t early_mib[] = { 0, 2, 5, 11, 23 };

#define OBJECT_BYTES ((size_t)64)
#define ALLOCATED_BYTES (2 * GIB)
#define N_LIVE (40 * MIB / OBJECT_BYTES)
#define MOST_ROUNDS (sizeof early_mib / sizeof *early_mib)
#define TOLERANCE 0.15

enum contents { SCANNED, ATOMIC, N_CONTENTS };
static const char *const contents_names[N_CONTENTS] = { "scanned", "pointer-free" };

enum use { NOTHING, ONCE, MAPPED };

static const struct mapping {
    const char *name;
    enum use use;
    size_t n_bytes;
    bool is_in_quick;
} mappings[] = {
    { "nothing", NOTHING, 0, true },      { "once", ONCE, 0, true },
    { "1 GiB", MAPPED, 1 * GIB, false },  { "4 GiB", MAPPED, 4 * GIB, false },
    { "16 GiB", MAPPED, 16 * GIB, true }, { "64 GiB", MAPPED, 64 * GIB, false },
};
#define N_MAPPINGS (sizeof mappings / sizeof *mappings)

/* ---- one case, in its own process ----------------------------------------- */

struct task {
    const struct mapping *mapping;
    enum contents contents;
    size_t n_early_bytes;
};

struct result {
    double n_collections, heap_mib, reserved_mib, seconds;
};

static __attribute__((noinline)) gcmmap_region *map_file(size_t n_bytes)
{
    int fd = make_sparse_file(n_bytes);
    gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

    need(region != NULL, "gcmmap_map");
    close(fd);
    return region;
}

static void allocate(void **live, enum contents contents)
{
    uint64_t random = 1;

    /* one byte less: bdwgc adds one to each object */
    for (size_t i = 0; i < ALLOCATED_BYTES / OBJECT_BYTES; i++) {
        void *object =
            contents == ATOMIC ? GC_MALLOC_ATOMIC(OBJECT_BYTES - 1) : GC_MALLOC(OBJECT_BYTES - 1);

        need(object != NULL, "GC_MALLOC");
        random = random * 6364136223846793005u + 1442695040888963407u;
        live[(random >> 33) % N_LIVE] = object;
    }
}

static void run(const void *task_data, void *result_data)
{
    const struct task *task = task_data;
    const struct mapping *mapping = task->mapping;
    struct result *result = result_data;
    gcmmap_region *volatile region = NULL;
    gcmmap_stats stats = { 0 };
    size_t first_collection;
    void **live;
    double start;

    GC_INIT();
    live = GC_MALLOC(N_LIVE * sizeof *live);
    need(live != NULL, "GC_MALLOC");
    if (task->n_early_bytes > 0)
        need(GC_expand_hp(task->n_early_bytes), "GC_expand_hp");
    if (mapping->use == ONCE) {
        need(gcmmap_unmap_now(map_file(1 * MIB)) == 0, "gcmmap_unmap_now");
        (void)gcmmap_trim();
    } else if (mapping->use == MAPPED) {
        region = map_file(mapping->n_bytes);
    }
    first_collection = GC_get_gc_no();
    start = now_ns();
    allocate(live, task->contents);
    result->seconds = (now_ns() - start) / 1e9;
    result->n_collections = (double)(GC_get_gc_no() - first_collection);
    if (mapping->use >= ONCE)
        gcmmap_get_stats(&stats);
    result->reserved_mib = (double)stats.bytes_reserved / (double)MIB;
    result->heap_mib =
        (double)(GC_get_heap_size() + GC_get_unmapped_bytes()) / (double)MIB - result->reserved_mib;
    GC_reachable_here(live);
    (void)region;
}

/* ---- report --------------------------------------------------------------- */

struct series {
    size_t n;
    double n_collections[MOST_ROUNDS], heap_mib[MOST_ROUNDS], reserved_mib[MOST_ROUNDS];
    double seconds[MOST_ROUNDS];
};

static void note(struct series *series, const struct result *result)
{
    size_t i = series->n++;

    series->n_collections[i] = result->n_collections;
    series->heap_mib[i] = result->heap_mib;
    series->reserved_mib[i] = result->reserved_mib;
    series->seconds[i] = result->seconds;
}

/* Round by round, as the machine may slow down in between. */
static double time_ratio(const struct series *series, const struct series *nothing)
{
    double ratios[MOST_ROUNDS];

    for (size_t i = 0; i < series->n; i++)
        ratios[i] = series->seconds[i] / nothing->seconds[i];
    return median(ratios, series->n);
}

static double mean(const double *numbers, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += numbers[i];
    return sum / (double)n;
}

static bool is_within(double ratio)
{
    return ratio >= 1 - TOLERANCE && ratio <= 1 + TOLERANCE;
}

static void report(FILE *json, const struct task *task, const struct series *series,
                   const struct series *nothing, bool is_first)
{
    double n_collections = mean(series->n_collections, series->n);
    double heap = mean(series->heap_mib, series->n);
    double rhythm = n_collections / mean(nothing->n_collections, nothing->n);
    double growth = heap / mean(nothing->heap_mib, nothing->n);
    double least = percentile(series->n_collections, series->n, 0);
    double most = percentile(series->n_collections, series->n, 1);
    double slowness = time_ratio(series, nothing);
    bool is_met = is_within(rhythm) && is_within(growth);
    const char *verdict = is_met ? "met" : "MISSED";

    printf("%-13s %-8s %6.0f (%3.0f .. %3.0f) %6.2f %10.1f %6.2f %9.2f %6.2f  %s\n",
           contents_names[task->contents], task->mapping->name, n_collections, least, most, rhythm,
           heap, growth, median(series->seconds, series->n), slowness,
           task->mapping->use < ONCE ? "" : verdict);
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "%s{\"contents\": \"%s\", \"mapped\": \"%s\", \"size\": %zu, ",
            is_first ? "" : ",\n", contents_names[task->contents], task->mapping->name,
            task->mapping->n_bytes);
    fprintf(json, "\"collections\": %.0f, \"collections_ratio\": %.4f, ", n_collections, rhythm);
    fprintf(json, "\"least\": %.0f, \"most\": %.0f, ", least, most);
    fprintf(json, "\"heap_mib\": %.2f, \"heap_ratio\": %.4f, \"reserved_mib\": %.1f, ", heap,
            growth, median(series->reserved_mib, series->n));
    fprintf(json, "\"seconds\": %.3f, \"time_ratio\": %.4f, \"met\": %s,\n ",
            median(series->seconds, series->n), slowness, is_met ? "true" : "false");
    json_numbers(json, "round_collections", series->n_collections, series->n, 0);
    fputs(", ", json);
    json_numbers(json, "round_heap_mib", series->heap_mib, series->n, 2);
    fputs(", ", json);
    json_numbers(json, "round_seconds", series->seconds, series->n, 3);
    putc('}', json);
}

static const char usage[] = "Usage: rhythm [OPTION]... [RESULT.json]\n"
                            "Counts a program's collections with nothing mapped and with much.\n\n"
                            "  --quick      3 rounds instead of 5, fewer sizes\n"
                            "  --note=TEXT  goes into the JSON file\n"
                            "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    static struct series series[N_CONTENTS][N_MAPPINGS];
    unsigned n_rounds = options.is_quick ? 3 : MOST_ROUNDS;
    bool is_first = true;
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("A program's own rhythm: allocates 2 GB, 40 MB live\n");
    print_machine(&machine);
    json = json_begin(options.path, "rhythm", options.note, &machine);
    for (unsigned round = 0; round < n_rounds; round++)
        for (int contents = 0; contents < N_CONTENTS; contents++)
            for (size_t i = 0; i < N_MAPPINGS; i++) {
                struct task task = { &mappings[i], (enum contents)contents,
                                     early_mib[round] * MIB };
                struct result result = { 0 };

                if (options.is_quick && !mappings[i].is_in_quick)
                    continue;
                progress("round %u of %u: %s, %s", round + 1, n_rounds, contents_names[contents],
                         mappings[i].name);
                run_in_child(run, &task, &result, sizeof result);
                note(&series[contents][i], &result);
            }
    progress("%s", "");
    printf("\n%-13s %-8s %6s %12s %6s %10s %6s %9s %6s\n", "objects", "mapped", "GCs", "", "ratio",
           "heap MiB", "ratio", "seconds", "ratio");
    if (json != NULL)
        fprintf(json, "\"tolerance\": %.2f,\n\"cases\": [\n", TOLERANCE);
    for (int contents = 0; contents < N_CONTENTS; contents++)
        for (size_t i = 0; i < N_MAPPINGS; i++) {
            struct task task = { &mappings[i], (enum contents)contents, 0 };

            if (series[contents][i].n == 0)
                continue;
            report(json, &task, &series[contents][i], &series[contents][0], is_first);
            is_first = false;
        }
    printf("\nMeans of %u rounds, each with another size of the early heap.  heap: bdwgc's, less\n"
           "what gcmmap has reserved.  ratio: to nothing mapped.\n",
           n_rounds);
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, options.path);
    }
    return 0;
}
