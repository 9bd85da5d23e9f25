/*
 * GCMMAP_BY_HANDLE: mappings of any size at the price of a bare mmap.  Map 1 TiB, touch a
 * byte in the middle, drop.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured: as bench/cycle does, in one process, short rounds by turns; each round of
 * gcmmap is divided by the mean of the rounds of mmap before and after it.  Released by
 * the collector, the final forced release included; and by gcmmap_unmap_now().
 */
#include "bench.h"

#define N_CYCLES 512u
#define MOST_ROUNDS 1000u
#define WARM_UP_ROUNDS 3

static const size_t sizes[] = { 1 * GIB, 64 * GIB, 1024 * GIB };
#define N_SIZES (sizeof sizes / sizeof *sizes)

static volatile unsigned char touched;

static void mmap_cycles(int fd, size_t n_bytes)
{
    for (unsigned i = 0; i < N_CYCLES; i++) {
        unsigned char *data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);

        need(data != MAP_FAILED, "mmap");
        touched = data[n_bytes / 2];
        munmap(data, n_bytes);
    }
}

static gcmmap_region *map_and_touch(int fd, size_t n_bytes)
{
    gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ | GCMMAP_BY_HANDLE);

    need(region != NULL, "gcmmap_map");
    touched = ((volatile unsigned char *)gcmmap_data(region))[n_bytes / 2];
    return region;
}

static __attribute__((noinline)) void gcmmap_cycles(int fd, size_t n_bytes)
{
    for (unsigned i = 0; i < N_CYCLES; i++)
        (void)map_and_touch(fd, n_bytes);
}

static void released_cycles(int fd, size_t n_bytes)
{
    gcmmap_cycles(fd, n_bytes);
    (void)release_all();
}

static void unmap_now_cycles(int fd, size_t n_bytes)
{
    for (unsigned i = 0; i < N_CYCLES; i++)
        need(gcmmap_unmap_now(map_and_touch(fd, n_bytes)) == 0, "gcmmap_unmap_now");
}

enum way { MMAP, RELEASED, UNMAP_NOW, N_WAYS };
static const char *const way_names[N_WAYS] = { "mmap", "gcmmap", "unmap-now" };
static void (*const ways[N_WAYS])(int fd, size_t n_bytes) = { mmap_cycles, released_cycles,
                                                              unmap_now_cycles };

struct task {
    size_t n_bytes;
    double seconds;
};

struct result {
    size_t n;
    double ns[N_WAYS][MOST_ROUNDS], ratios[N_WAYS][MOST_ROUNDS];
};

static double run_round(enum way way, int fd, size_t n_bytes)
{
    double start = now_ns();

    ways[way](fd, n_bytes);
    return (now_ns() - start) / N_CYCLES;
}

static void run(const void *task_data, void *result_data)
{
    const struct task *task = task_data;
    struct result *result = result_data;
    int fd = make_sparse_file(task->n_bytes);
    double before, end;

    GC_INIT();
    for (int i = 0; i < WARM_UP_ROUNDS; i++)
        for (int way = 0; way < N_WAYS; way++)
            (void)run_round((enum way)way, fd, task->n_bytes);
    end = now_ns() + task->seconds * 1e9;
    before = run_round(MMAP, fd, task->n_bytes);
    for (size_t i = 0; i < MOST_ROUNDS && (i < 3 || now_ns() < end); i++) {
        for (int way = RELEASED; way < N_WAYS; way++) {
            double ns = run_round((enum way)way, fd, task->n_bytes);
            double after = run_round(MMAP, fd, task->n_bytes);

            result->ns[way][i] = ns;
            result->ratios[way][i] = ns / ((before + after) / 2);
            before = after;
        }
        result->ns[MMAP][i] = before;
        result->ratios[MMAP][i] = 1;
        result->n++;
    }
}

static const char usage[] = "Usage: handle [OPTION]... [RESULT.json]\n"
                            "Map up to 1 TiB with GCMMAP_BY_HANDLE, touch a byte, drop.\n\n"
                            "  --quick      half a second for each size instead of 5\n"
                            "  --note=TEXT  goes into the JSON file\n"
                            "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    static struct result result;
    bool is_first = true;
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Map by handle, touch a byte, drop: ns for each\n");
    print_machine(&machine);
    json = json_begin(options.path, "handle", options.note, &machine);
    if (json != NULL)
        fputs("\"cells\": [\n", json);
    printf("\n%9s  %-10s %10s %6s  %-14s %6s\n", "size", "", "ns", "ratio", "p10 .. p90", "rounds");
    for (size_t i = 0; i < N_SIZES; i++) {
        struct task task = { sizes[i], options.is_quick ? 0.5 : 5 };
        char name[32];

        progress("by handle, %zu of %zu sizes", i + 1, N_SIZES);
        memset(&result, 0, sizeof result);
        run_in_child(run, &task, &result, sizeof result);
        progress("%s", "");
        for (int way = 0; way < N_WAYS; way++) {
            double ns = median(result.ns[way], result.n);
            double ratio = median(result.ratios[way], result.n);
            double p10 = percentile(result.ratios[way], result.n, 0.1);
            double p90 = percentile(result.ratios[way], result.n, 0.9);

            printf("%9s  %-10s %10.0f %6.2f  %5.2f .. %-5.2f %6zu\n", size_name(sizes[i], name),
                   way_names[way], ns, ratio, p10, p90, result.n);
            if (json == NULL)
                continue;
            fprintf(json, "%s{\"size\": %zu, \"name\": \"%s\", \"ns\": %.1f, \"ratio\": %.4f, ",
                    is_first ? "" : ",\n", sizes[i], way_names[way], ns, ratio);
            fprintf(json, "\"ratio_p10\": %.4f, \"ratio_p90\": %.4f,\n ", p10, p90);
            json_numbers(json, "round_ns", result.ns[way], result.n, 1);
            putc('}', json);
            is_first = false;
        }
        fflush(stdout);
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, options.path);
    }
    return 0;
}
