/*
 * Reading through a slice: the sum of a file of 1 GiB, through gcmmap and through bare mmap.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - One process maps the same file both ways and sums it by turns; each sum through gcmmap
 *     is divided by the mean of the ones through mmap before and after it.
 *   - All pages are in memory and in the page tables before the first round that counts.  The
 *     first pass after each mapping, in which the kernel enters the pages, is measured apart,
 *     each in a process of its own.
 *   - sum_slice() and byte_of_slice() are what the disassembly on the results page shows,
 *     beside the same functions with a bare pointer.
 */
#include "bench.h"

#define FILE_BYTES (1 * GIB)
#define MOST_ROUNDS 500u
#define MOST_TRIES 20u
#define TARGET 1.05 /* 1.0, and what two runs of the same loop may differ by */

/* Not inlined, not static: objdump finds them. */
uint64_t sum_slice(gcmmap_slice slice);
uint64_t sum_pointer(const unsigned char *data, size_t size);
unsigned char byte_of_slice(gcmmap_slice slice, size_t i);
unsigned char byte_of_pointer(const unsigned char *data, size_t size, size_t i);

__attribute__((noinline)) uint64_t sum_slice(gcmmap_slice slice)
{
    uint64_t sum = 0;

    for (size_t i = 0; i + sizeof sum <= slice.size; i += sizeof sum)
        sum += *(const uint64_t *)(const void *)(slice.data + i);
    return sum;
}

__attribute__((noinline)) uint64_t sum_pointer(const unsigned char *data, size_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i + sizeof sum <= size; i += sizeof sum)
        sum += *(const uint64_t *)(const void *)(data + i);
    return sum;
}

__attribute__((noinline)) unsigned char byte_of_slice(gcmmap_slice slice, size_t i)
{
    return slice.data[i];
}

__attribute__((noinline)) unsigned char byte_of_pointer(const unsigned char *data, size_t size,
                                                        size_t i)
{
    (void)size;
    return data[i];
}

/* ---- the file ------------------------------------------------------------- */

static int fd;

static void make_file(size_t n_bytes)
{
    static uint64_t block[MIB / sizeof(uint64_t)];
    uint64_t random = 1;

    fd = make_sparse_file(n_bytes);
    for (size_t done = 0; done < n_bytes; done += sizeof block) {
        for (size_t i = 0; i < sizeof block / sizeof *block; i++)
            block[i] = random = random * 6364136223846793005u + 1442695040888963407u;
        need(write(fd, block, sizeof block) == sizeof block, "write");
    }
}

static gcmmap_slice by_gcmmap(void)
{
    gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

    need(region != NULL, "gcmmap_map");
    return gcmmap_bytes(region);
}

static gcmmap_slice by_mmap(size_t n_bytes)
{
    void *data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);

    need(data != MAP_FAILED, "mmap");
    return (gcmmap_slice){ data, n_bytes };
}

/* ---- measurements --------------------------------------------------------- */

static uint64_t expected;

static double timed_slice(gcmmap_slice slice)
{
    double start = now_ns();

    need(sum_slice(slice) == expected, "the sums differ");
    return now_ns() - start;
}

static double timed_pointer(const unsigned char *data, size_t size)
{
    double start = now_ns();

    need(sum_pointer(data, size) == expected, "the sums differ");
    return now_ns() - start;
}

/* As many measurements of each as were made. */
struct series {
    size_t n;
    double mmap_ns[MOST_ROUNDS], gcmmap_ns[MOST_ROUNDS], ratios[MOST_ROUNDS];
};

static void alternate(size_t n_bytes, double seconds, struct series *series)
{
    gcmmap_slice ours = by_gcmmap(), bare = by_mmap(n_bytes);
    double before, end;

    expected = sum_pointer(bare.data, bare.size);
    (void)timed_slice(ours);
    end = now_ns() + seconds * 1e9;
    before = timed_pointer(bare.data, bare.size);
    for (size_t i = 0; i < MOST_ROUNDS && (i < 5 || now_ns() < end); i++) {
        double ns = timed_slice(ours), after = timed_pointer(bare.data, bare.size);

        progress("sums: round %zu", i + 1);
        series->mmap_ns[i] = after;
        series->gcmmap_ns[i] = ns;
        series->ratios[i] = ns / ((before + after) / 2);
        series->n++;
        before = after;
    }
    progress("%s", "");
}

struct first_task {
    bool by_gcmmap;
    size_t n_bytes;
};

static void first_pass(const void *task_data, void *result)
{
    const struct first_task *task = task_data;
    gcmmap_slice slice;

    GC_INIT();
    slice = task->by_gcmmap ? by_gcmmap() : by_mmap(task->n_bytes);
    *(double *)result =
        task->by_gcmmap ? timed_slice(slice) : timed_pointer(slice.data, slice.size);
}

static void first_passes(size_t n_bytes, unsigned n_tries, struct series *series)
{
    for (unsigned i = 0; i < n_tries; i++) {
        struct first_task bare = { false, n_bytes }, ours = { true, n_bytes };

        progress("first passes, %u of %u", i + 1, n_tries);
        run_in_child(first_pass, &bare, &series->mmap_ns[i], sizeof(double));
        run_in_child(first_pass, &ours, &series->gcmmap_ns[i], sizeof(double));
        series->ratios[i] = series->gcmmap_ns[i] / series->mmap_ns[i];
        series->n++;
    }
    progress("%s", "");
}

static void report(FILE *json, const char *name, const struct series *series, size_t n_bytes,
                   bool has_target)
{
    double ratio = median(series->ratios, series->n);
    double bare = median(series->mmap_ns, series->n), ours = median(series->gcmmap_ns, series->n);

    printf("%-12s %10.2f %10.2f %8.2f %8.2f  %6.3f  %5.3f .. %5.3f %6zu  %s\n", name, bare / 1e6,
           ours / 1e6, (double)n_bytes / bare, (double)n_bytes / ours, ratio,
           percentile(series->ratios, series->n, 0.1), percentile(series->ratios, series->n, 0.9),
           series->n,
           !has_target       ? ""
           : ratio <= TARGET ? "met"
                             : "MISSED");
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "\"%s\": {\"mmap_ms\": %.3f, \"gcmmap_ms\": %.3f, \"ratio\": %.4f, ", name,
            bare / 1e6, ours / 1e6, ratio);
    if (has_target)
        fprintf(json, "\"target\": %.2f, \"met\": %s, ", TARGET,
                ratio <= TARGET ? "true" : "false");
    fprintf(json, "\"ratio_p10\": %.4f, \"ratio_p90\": %.4f,\n ",
            percentile(series->ratios, series->n, 0.1), percentile(series->ratios, series->n, 0.9));
    json_numbers(json, "round_mmap_ns", series->mmap_ns, series->n, 0);
    fputs(", ", json);
    json_numbers(json, "round_gcmmap_ns", series->gcmmap_ns, series->n, 0);
    fputs("},\n", json);
}

static const char usage[] = "Usage: read [OPTION]... [RESULT.json]\n"
                            "Sums a file of 1 GiB through a slice and through bare mmap.\n\n"
                            "  --quick      256 MiB, a second\n"
                            "  --note=TEXT  goes into the JSON file\n"
                            "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    static struct series sums, firsts;
    size_t n_bytes = options.is_quick ? FILE_BYTES / 4 : FILE_BYTES;
    char name[32];
    FILE *json;

    printf("The sum of a file of %s\n", size_name(n_bytes, name));
    print_machine(&machine);
    progress("writing the file");
    make_file(n_bytes);
    GC_INIT();
    json = json_begin(options.path, "read", options.note, &machine);
    alternate(n_bytes, options.is_quick ? 1 : 15, &sums);
    first_passes(n_bytes, options.is_quick ? 3 : 9, &firsts);
    printf("\n%-12s %10s %10s %8s %8s  %6s  %-14s %6s\n", "", "mmap ms", "gcmmap ms", "GB/s",
           "GB/s", "ratio", "p10 .. p90", "rounds");
    report(json, "sum", &sums, n_bytes, true);
    report(json, "first_pass", &firsts, n_bytes, false);
    if (json != NULL) {
        fprintf(json, "\"size\": %zu\n", n_bytes);
        json_end(json, options.path);
    }
    return 0;
}
