/*
 * How long a collection takes with a million live slices into a region, against a
 * million pointers to heap objects of about a page; and what the first mapping of a size
 * costs.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - A slice is a plain pointer; all are in one array of the collector's heap, in the order
 *     of their addresses or at random places.  The objects are of 4,064 bytes, without
 *     pointers in them: with bdwgc's own byte, one for each block of 4 KiB.
 *   - One process has the objects and one each region.  In one process all would be
 *     slower: a collection also walks the blocks of what it does not mark, and the heap of
 *     the objects alone is 4 GiB.  The processes wait for commands on a pipe, so that the
 *     timed collections still alternate: objects, region, objects, region ...  Each is
 *     divided by the mean of the ones before and after it.
 *   - bdwgc marks with several threads once the program has started its first thread.  So
 *     all is measured twice, before and after.
 *   - The first mapping of a size makes address space: each of these is measured in a
 *     process of its own, the second mapping, after a release, in the same one.
 */
#include "bench.h"

#include <pthread.h>

#define MOST_POINTERS 1000000u
#define OBJECT_BYTES ((size_t)4064)
#define MOST_ROUNDS 1000u

enum order { IN_ORDER, AT_RANDOM, N_ORDERS };
static const char *const order_names[N_ORDERS] = { "in order", "random" };

static const size_t region_bytes[] = { 1 * GIB, 4 * GIB, 16 * GIB, 64 * GIB };
#define N_REGIONS (sizeof region_bytes / sizeof *region_bytes)
#define N_QUICK_REGIONS 1u

/* The ratio that slices into a region of so many bytes must not exceed, or 0. */
static double target(size_t n_bytes, enum order order)
{
    if (order == IN_ORDER)
        return n_bytes == 1 * GIB ? 0.3 : 0;
    return n_bytes == 1 * GIB ? 0.2 : n_bytes == 16 * GIB ? 1 : n_bytes == 64 * GIB ? 3 : 0;
}

/* How the time depends on the number of slices; MOST_POINTERS are in the main table. */
static const unsigned fewer_pointers[] = { 10000, 30000, 100000, 300000 };
#define N_FEWER (sizeof fewer_pointers / sizeof *fewer_pointers)

/* ---- a process that collects on command ---------------------------------- */

enum command { COLLECT_IN_ORDER = IN_ORDER, COLLECT_AT_RANDOM = AT_RANDOM, START_MARKERS };

static uint64_t random_state = 1; /* the same places each time */

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

static struct task {
    unsigned n_pointers;
    size_t n_bytes; /* of the region; 0: objects of the heap */
} task;

/* Complemented addresses, in memory that the collector does not look at. */
static uintptr_t *hidden[N_ORDERS];

static void shuffle(uintptr_t *values, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = random_below(i);
        uintptr_t value = values[i - 1];

        values[i - 1] = values[j];
        values[j] = value;
    }
}

static int by_address(const void *left, const void *right)
{
    uintptr_t a = ~*(const uintptr_t *)left, b = ~*(const uintptr_t *)right;

    return (a > b) - (a < b);
}

static __attribute__((noinline)) void make_objects(void **slots)
{
    /* Collections while they are made would only cost time, and show nothing. */
    GC_disable();
    (void)GC_expand_hp((size_t)task.n_pointers * 4096);
    for (size_t i = 0; i < task.n_pointers; i++) {
        slots[i] = GC_MALLOC_ATOMIC(OBJECT_BYTES);
        need(slots[i] != NULL, "GC_MALLOC_ATOMIC");
        hidden[IN_ORDER][i] = ~(uintptr_t)slots[i];
    }
    GC_enable();
}

static __attribute__((noinline)) void make_slices(void **slots)
{
    int fd = make_sparse_file(task.n_bytes);
    gcmmap_slice all = gcmmap_bytes(gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ));

    need(all.data != NULL, "gcmmap_map");
    close(fd);
    for (size_t i = 0; i < task.n_pointers; i++) {
        slots[i] = all.data + random_below(task.n_bytes);
        hidden[IN_ORDER][i] = ~(uintptr_t)slots[i];
    }
}

static void *do_nothing(void *arg)
{
    return arg;
}

static double timed_collection(void **slots, enum order order)
{
    double start;

    for (size_t i = 0; i < task.n_pointers; i++)
        slots[i] = (void *)~hidden[order][i];
    start = now_ns();
    GC_gcollect();
    return now_ns() - start;
}

static void obey(const void *wanted, int commands, int results)
{
    void **slots;
    unsigned char command;
    double result;
    pthread_t thread;

    task = *(const struct task *)wanted;
    GC_INIT();
    slots = GC_MALLOC(task.n_pointers * sizeof *slots);
    need(slots != NULL, "GC_MALLOC");
    for (int order = 0; order < N_ORDERS; order++) {
        hidden[order] = malloc(task.n_pointers * sizeof *hidden[order]);
        need(hidden[order] != NULL, "malloc");
    }
    if (task.n_bytes == 0)
        make_objects(slots);
    else
        make_slices(slots);
    qsort(hidden[IN_ORDER], task.n_pointers, sizeof *hidden[IN_ORDER], by_address);
    memcpy(hidden[AT_RANDOM], hidden[IN_ORDER], task.n_pointers * sizeof *hidden[IN_ORDER]);
    shuffle(hidden[AT_RANDOM], task.n_pointers);
    while (read(commands, &command, 1) == 1) {
        result = 0;
        if (command != START_MARKERS)
            result = timed_collection(slots, (enum order)command);
        else
            need(pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
                     pthread_join(thread, NULL) == 0,
                 "thread");
        need(write(results, &result, sizeof result) == sizeof result, "pipe");
    }
    GC_reachable_here(slots);
}

/* ---- collections --------------------------------------------------------- */

struct series {
    size_t n;
    double objects_ns[MOST_ROUNDS], slices_ns[MOST_ROUNDS], ratios[MOST_ROUNDS];
};

static void alternate(const struct process *objects, const struct process *slices, enum order order,
                      double seconds, struct series *series)
{
    double before, end;

    series->n = 0;
    (void)command(objects, (unsigned char)order); /* warm-up */
    (void)command(slices, (unsigned char)order);
    before = command(objects, (unsigned char)order);
    end = now_ns() + seconds * 1e9;
    do {
        double slices_ns = command(slices, (unsigned char)order);
        double after = command(objects, (unsigned char)order);

        series->objects_ns[series->n] = after;
        series->slices_ns[series->n] = slices_ns;
        series->ratios[series->n++] = slices_ns / ((before + after) / 2);
        before = after;
    } while (series->n < MOST_ROUNDS && (series->n < 3 || now_ns() < end));
}

/* One line, and one object of JSON. */
static void report_collections(FILE *json, const struct task *of, enum order order, bool parallel,
                               const struct series *series)
{
    static FILE *last_json;
    double objects = median(series->objects_ns, series->n) / 1e6;
    double slices = median(series->slices_ns, series->n) / 1e6;
    double ratio = median(series->ratios, series->n);
    double p10 = percentile(series->ratios, series->n, 0.1);
    double p90 = percentile(series->ratios, series->n, 0.9);
    double limit = of->n_pointers == MOST_POINTERS ? target(of->n_bytes, order) : 0;
    char name[32], target_text[24] = "";

    if (limit > 0)
        snprintf(target_text, sizeof target_text, "%.1f %s", limit,
                 ratio <= limit ? "met" : "MISSED");
    printf("%8s %8u  %-8s  %-8s %9.2f %9.2f  %6.3f  %6.3f .. %-6.3f %6zu  %s\n",
           size_name(of->n_bytes, name), of->n_pointers, order_names[order],
           parallel ? "several" : "one", objects, slices, ratio, p10, p90, series->n, target_text);
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "%s{\"size\": %zu, \"pointers\": %u, \"order\": \"%s\", ",
            last_json == json ? ",\n" : "", of->n_bytes, of->n_pointers, order_names[order]);
    last_json = json;
    fprintf(json, "\"parallel_marking\": %s, ", parallel ? "true" : "false");
    fprintf(json, "\"objects_ms\": %.3f, \"slices_ms\": %.3f, \"ratio\": %.4f, ", objects, slices,
            ratio);
    if (limit > 0)
        fprintf(json, "\"target\": %.2f, \"met\": %s, ", limit, ratio <= limit ? "true" : "false");
    fprintf(json, "\"ratio_p10\": %.4f, \"ratio_p90\": %.4f,\n ", p10, p90);
    json_numbers(json, "objects_ns", series->objects_ns, series->n, 0);
    fputs(",\n ", json);
    json_numbers(json, "slices_ns", series->slices_ns, series->n, 0);
    putc('}', json);
}

static struct series series;

static void run_collections(FILE *json, size_t n_regions, double seconds)
{
    static const struct task all_objects = { MOST_POINTERS, 0 };
    static struct task tasks[N_REGIONS];
    struct process objects, slices[N_REGIONS];

    progress("making a million objects");
    objects = start_process(obey, &all_objects);
    for (size_t i = 0; i < n_regions; i++) {
        tasks[i] = (struct task){ MOST_POINTERS, region_bytes[i] };
        slices[i] = start_process(obey, &tasks[i]);
    }
    for (int parallel = 0; parallel <= 1; parallel++) {
        for (size_t i = 0; i < n_regions; i++)
            for (int order = 0; order < N_ORDERS; order++) {
                progress("collections, %s", order_names[order]);
                alternate(&objects, &slices[i], (enum order)order, seconds, &series);
                progress("%s", "");
                report_collections(json, &tasks[i], (enum order)order, parallel, &series);
            }
        (void)command(&objects, START_MARKERS);
        for (size_t i = 0; i < n_regions; i++)
            (void)command(&slices[i], START_MARKERS);
    }
    end_process(&objects);
    for (size_t i = 0; i < n_regions; i++)
        end_process(&slices[i]);
}

/* Fewer objects need a heap that never held more. */
static void run_fewer(FILE *json, double seconds)
{
    for (size_t i = 0; i < N_FEWER; i++) {
        struct task few_objects = { fewer_pointers[i], 0 };
        struct task few_slices = { fewer_pointers[i], 1 * GIB };
        struct process objects = start_process(obey, &few_objects);
        struct process slices = start_process(obey, &few_slices);

        progress("%u slices", fewer_pointers[i]);
        alternate(&objects, &slices, AT_RANDOM, seconds, &series);
        progress("%s", "");
        report_collections(json, &few_slices, AT_RANDOM, false, &series);
        end_process(&objects);
        end_process(&slices);
    }
}

/* ---- first and second time ----------------------------------------------- */

#define MOST_TRIES 20u

/* What a mapping takes: time, and memory of the process's own (bdwgc's index, mostly). */
struct price {
    double first_ns, next_ns, first_bytes, next_bytes;
};

static __attribute__((noinline)) double timed_map(int fd, double *bytes)
{
    double before = own_bytes(), start = now_ns(), end;
    gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

    end = now_ns();
    need(region != NULL, "gcmmap_map");
    *bytes = own_bytes() - before;
    return end - start;
}

static void map_twice(const void *n_bytes, void *result)
{
    int fd = make_sparse_file(*(const size_t *)n_bytes);
    struct price *price = result;

    GC_INIT();
    price->first_ns = timed_map(fd, &price->first_bytes);
    (void)release_all();
    price->next_ns = timed_map(fd, &price->next_bytes);
}

static void run_first_times(FILE *json, size_t n_regions, unsigned n_tries)
{
    printf("\nFirst mapping of a size, and the next one: us; own memory it takes: bytes a page\n"
           "%8s %11s %11s %13s %11s %11s %6s\n",
           "region", "first", "next", "first per GiB", "first bytes", "next bytes", "tries");
    for (size_t i = 0; i < n_regions; i++) {
        double first[MOST_TRIES], next[MOST_TRIES], first_bytes[MOST_TRIES];
        double next_bytes[MOST_TRIES], n_pages = (double)region_bytes[i] / 4096;
        char name[32];

        for (unsigned k = 0; k < n_tries; k++) {
            struct price price;

            progress("first mappings, %u of %u", k + 1, n_tries);
            run_in_child(map_twice, &region_bytes[i], &price, sizeof price);
            first[k] = price.first_ns;
            next[k] = price.next_ns;
            first_bytes[k] = price.first_bytes / n_pages;
            next_bytes[k] = price.next_bytes / n_pages;
        }
        progress("%s", "");
        printf("%8s %11.1f %11.1f %13.1f %11.3f %11.3f %6u\n", size_name(region_bytes[i], name),
               median(first, n_tries) / 1e3, median(next, n_tries) / 1e3,
               median(first, n_tries) / 1e3 / ((double)region_bytes[i] / (double)GIB),
               median(first_bytes, n_tries), median(next_bytes, n_tries), n_tries);
        fflush(stdout);
        if (json == NULL)
            continue;
        fprintf(json, "%s{\"size\": %zu, \"first_us\": %.2f, \"next_us\": %.2f, ",
                i > 0 ? ",\n" : "", region_bytes[i], median(first, n_tries) / 1e3,
                median(next, n_tries) / 1e3);
        fprintf(json, "\"first_bytes_per_page\": %.4f, \"next_bytes_per_page\": %.4f, ",
                median(first_bytes, n_tries), median(next_bytes, n_tries));
        json_numbers(json, "first_ns", first, n_tries, 0);
        fputs(", ", json);
        json_numbers(json, "next_ns", next, n_tries, 0);
        putc('}', json);
    }
}

/* ---- main ---------------------------------------------------------------- */

static const char usage[] =
    "Usage: collection [OPTION]... [RESULT.json]\n"
    "Times collections with many live slices, and first mappings.\n\n"
    "  --quick      a second for each row instead of 4; only a region of 1 GiB\n"
    "  --note=TEXT  goes into the JSON file\n"
    "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    size_t n_regions = options.is_quick ? N_QUICK_REGIONS : N_REGIONS;
    double seconds = options.is_quick ? 1 : 4;
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Collections with live slices; first mappings\n");
    print_machine(&machine);
    json = json_begin(options.path, "collection", options.note, &machine);
    if (json != NULL)
        fprintf(json, "\"object_bytes\": %zu,\n\"collections\": [\n", OBJECT_BYTES);
    printf("\nOne collection with live slices, against as many objects of %zu bytes: ms\n",
           OBJECT_BYTES);
    printf("%8s %8s  %-8s  %-8s %9s %9s  %6s  %-16s %6s  %s\n", "region", "slices", "places",
           "markers", "objects", "slices", "ratio", "   p10 .. p90", "rounds", "target");
    run_fewer(json, seconds);
    run_collections(json, n_regions, seconds);
    if (json != NULL)
        fputs("\n],\n\"first_mappings\": [\n", json);
    run_first_times(json, n_regions, options.is_quick ? 3 : 9);
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, options.path);
    }
    return 0;
}
