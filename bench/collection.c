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

#include <getopt.h>
#include <pthread.h>
#include <sys/wait.h>

#define N_POINTERS 1000000u
#define OBJECT_BYTES ((size_t)4064)
#define MOST_ROUNDS 1000u

enum order { IN_ORDER, AT_RANDOM, N_ORDERS };
static const char *const order_names[N_ORDERS] = { "in order", "random" };

static const size_t region_bytes[] = { 1 * GIB, 16 * GIB, 64 * GIB };
#define N_REGIONS (sizeof region_bytes / sizeof *region_bytes)
#define N_USUAL_REGIONS 1u

/* ---- a process that collects on command ---------------------------------- */

enum command { COLLECT_IN_ORDER = IN_ORDER, COLLECT_AT_RANDOM = AT_RANDOM, START_MARKERS, QUIT };

struct process {
    pid_t id;
    int commands, results;
};

static uint64_t random_state = 1; /* the same places each time */

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

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
    (void)GC_expand_hp((size_t)N_POINTERS * 4096);
    for (size_t i = 0; i < N_POINTERS; i++) {
        slots[i] = GC_MALLOC_ATOMIC(OBJECT_BYTES);
        need(slots[i] != NULL, "GC_MALLOC_ATOMIC");
        hidden[IN_ORDER][i] = ~(uintptr_t)slots[i];
    }
    GC_enable();
}

static __attribute__((noinline)) void make_slices(void **slots, size_t n_bytes)
{
    int fd = make_sparse_file(n_bytes);
    gcmmap_slice all = gcmmap_bytes(gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ));

    need(all.data != NULL, "gcmmap_map");
    close(fd);
    for (size_t i = 0; i < N_POINTERS; i++) {
        slots[i] = all.data + random_below(n_bytes);
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

    for (size_t i = 0; i < N_POINTERS; i++)
        slots[i] = (void *)~hidden[order][i];
    start = now_ns();
    GC_gcollect();
    return now_ns() - start;
}

/* n_bytes: of the region; 0: objects of the heap. */
static void obey(size_t n_bytes, int commands, int results)
{
    void **slots;
    unsigned char command;
    double result;
    pthread_t thread;

    GC_INIT();
    slots = GC_MALLOC(N_POINTERS * sizeof *slots);
    need(slots != NULL, "GC_MALLOC");
    for (int order = 0; order < N_ORDERS; order++) {
        hidden[order] = malloc(N_POINTERS * sizeof *hidden[order]);
        need(hidden[order] != NULL, "malloc");
    }
    if (n_bytes == 0)
        make_objects(slots);
    else
        make_slices(slots, n_bytes);
    qsort(hidden[IN_ORDER], N_POINTERS, sizeof *hidden[IN_ORDER], by_address);
    memcpy(hidden[AT_RANDOM], hidden[IN_ORDER], N_POINTERS * sizeof *hidden[IN_ORDER]);
    shuffle(hidden[AT_RANDOM], N_POINTERS);
    while (read(commands, &command, 1) == 1 && command != QUIT) {
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

static struct process start_process(size_t n_bytes)
{
    struct process process;
    int commands[2], results[2];

    need(pipe(commands) == 0 && pipe(results) == 0, "pipe");
    fflush(NULL);
    process.id = fork();
    need(process.id >= 0, "fork");
    if (process.id == 0) {
        close(commands[1]); /* a parent that dies ends us */
        close(results[0]);
        obey(n_bytes, commands[0], results[1]);
        _exit(0);
    }
    close(commands[0]);
    close(results[1]);
    process.commands = commands[1];
    process.results = results[0];
    return process;
}

static double command(const struct process *process, enum command what)
{
    unsigned char byte = (unsigned char)what;
    double result;

    need(write(process->commands, &byte, 1) == 1, "pipe");
    need(read(process->results, &result, sizeof result) == sizeof result,
         "a process gave no result");
    return result;
}

static void end_process(const struct process *process)
{
    unsigned char byte = QUIT;

    need(write(process->commands, &byte, 1) == 1, "pipe");
    (void)waitpid(process->id, NULL, 0);
    close(process->commands);
    close(process->results);
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
    (void)command(objects, (enum command)order); /* warm-up */
    (void)command(slices, (enum command)order);
    before = command(objects, (enum command)order);
    end = now_ns() + seconds * 1e9;
    do {
        double slices_ns = command(slices, (enum command)order);
        double after = command(objects, (enum command)order);

        series->objects_ns[series->n] = after;
        series->slices_ns[series->n] = slices_ns;
        series->ratios[series->n++] = slices_ns / ((before + after) / 2);
        before = after;
    } while (series->n < MOST_ROUNDS && (series->n < 3 || now_ns() < end));
}

static void report_collections(FILE *json, size_t n_bytes, enum order order, bool parallel,
                               const struct series *series, bool is_first)
{
    double objects = median(series->objects_ns, series->n) / 1e6;
    double slices = median(series->slices_ns, series->n) / 1e6;
    double ratio = median(series->ratios, series->n);
    double p10 = percentile(series->ratios, series->n, 0.1);
    double p90 = percentile(series->ratios, series->n, 0.9);
    char name[32];

    printf("%8s  %-8s  %-8s %11.2f %11.2f  %6.2f  %6.2f .. %-6.2f %6zu\n", size_name(n_bytes, name),
           order_names[order], parallel ? "several" : "one", objects, slices, ratio, p10, p90,
           series->n);
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "%s{\"size\": %zu, \"order\": \"%s\", \"parallel_marking\": %s, ",
            is_first ? "" : ",\n", n_bytes, order_names[order], parallel ? "true" : "false");
    fprintf(json, "\"objects_ms\": %.3f, \"slices_ms\": %.3f, \"ratio\": %.4f, ", objects, slices,
            ratio);
    fprintf(json, "\"ratio_p10\": %.4f, \"ratio_p90\": %.4f,\n ", p10, p90);
    json_numbers(json, "objects_ns", series->objects_ns, series->n, 0);
    fputs(",\n ", json);
    json_numbers(json, "slices_ns", series->slices_ns, series->n, 0);
    putc('}', json);
}

static void run_collections(FILE *json, size_t n_regions, double seconds)
{
    static struct series series;
    struct process objects, slices[N_REGIONS];
    bool is_first = true;

    progress("making a million objects");
    objects = start_process(0);
    for (size_t i = 0; i < n_regions; i++)
        slices[i] = start_process(region_bytes[i]);
    progress("%s", "");
    printf("\nOne collection with %u live slices, against as many objects of %zu bytes: ms\n",
           N_POINTERS, OBJECT_BYTES);
    printf("%8s  %-8s  %-8s %11s %11s  %6s  %-16s %6s\n", "region", "places", "markers", "objects",
           "slices", "ratio", "   p10 .. p90", "rounds");
    for (int parallel = 0; parallel <= 1; parallel++) {
        for (size_t i = 0; i < n_regions; i++)
            for (int order = 0; order < N_ORDERS; order++) {
                progress("collections, %s", order_names[order]);
                alternate(&objects, &slices[i], (enum order)order, seconds, &series);
                progress("%s", "");
                report_collections(json, region_bytes[i], (enum order)order, parallel, &series,
                                   is_first);
                is_first = false;
            }
        (void)command(&objects, START_MARKERS);
        for (size_t i = 0; i < n_regions; i++)
            (void)command(&slices[i], START_MARKERS);
    }
    end_process(&objects);
    for (size_t i = 0; i < n_regions; i++)
        end_process(&slices[i]);
}

/* ---- first and second time ----------------------------------------------- */

#define MOST_TRIES 20u

static __attribute__((noinline)) double timed_map(int fd)
{
    double start = now_ns();
    gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    double end = now_ns();

    need(region != NULL, "gcmmap_map");
    return end - start;
}

static void map_twice(size_t n_bytes, double *ns)
{
    int results[2];
    pid_t child;

    need(pipe(results) == 0, "pipe");
    fflush(NULL);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        int fd = make_sparse_file(n_bytes);

        GC_INIT();
        ns[0] = timed_map(fd);
        (void)release_all();
        ns[1] = timed_map(fd);
        need(write(results[1], ns, 2 * sizeof *ns) == 2 * sizeof *ns, "pipe");
        _exit(0);
    }
    close(results[1]);
    need(read(results[0], ns, 2 * sizeof *ns) == 2 * sizeof *ns, "no result");
    close(results[0]);
    (void)waitpid(child, NULL, 0);
}

static void run_first_times(FILE *json, size_t n_regions, unsigned n_tries)
{
    printf("\nFirst mapping of a size, and the next one: us\n%8s %11s %11s %13s %6s\n", "region",
           "first", "next", "first per GiB", "tries");
    for (size_t i = 0; i < n_regions; i++) {
        double first[MOST_TRIES], next[MOST_TRIES], ns[2];
        char name[32];

        for (unsigned k = 0; k < n_tries; k++) {
            progress("first mappings, %u of %u", k + 1, n_tries);
            map_twice(region_bytes[i], ns);
            first[k] = ns[0];
            next[k] = ns[1];
        }
        progress("%s", "");
        printf("%8s %11.1f %11.1f %13.1f %6u\n", size_name(region_bytes[i], name),
               median(first, n_tries) / 1e3, median(next, n_tries) / 1e3,
               median(first, n_tries) / 1e3 / ((double)region_bytes[i] / (double)GIB), n_tries);
        fflush(stdout);
        if (json == NULL)
            continue;
        fprintf(json, "%s{\"size\": %zu, \"first_us\": %.2f, \"next_us\": %.2f, ",
                i > 0 ? ",\n" : "", region_bytes[i], median(first, n_tries) / 1e3,
                median(next, n_tries) / 1e3);
        json_numbers(json, "first_ns", first, n_tries, 0);
        fputs(", ", json);
        json_numbers(json, "next_ns", next, n_tries, 0);
        putc('}', json);
    }
}

/* ---- main ---------------------------------------------------------------- */

static void usage(void)
{
    printf("Usage: collection [OPTION]... [RESULT.json]\n"
           "Times collections with many live slices, and first mappings.\n\n"
           "  --quick      a second for each row instead of 4\n"
           "  --seconds=S  S seconds for each row\n"
           "  --large      regions of 16 and 64 GiB too\n"
           "  --note=TEXT  goes into the JSON file\n"
           "  --all        nothing here: for the other benchmark\n");
}

static const struct option long_options[] = {
    { "quick", no_argument, NULL, 'q' },
    { "seconds", required_argument, NULL, 's' },
    { "large", no_argument, NULL, 'L' },
    { "note", required_argument, NULL, 'n' },
    { "all", no_argument, NULL, 'a' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    const char *note = "", *path;
    size_t n_regions = N_USUAL_REGIONS;
    unsigned n_tries = 9;
    double seconds = 4;
    FILE *json;

    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (option) {
        case 'q':
            seconds = 1;
            n_tries = 3;
            break;
        case 's':
            seconds = strtod(optarg, NULL);
            break;
        case 'L':
            n_regions = N_REGIONS;
            break;
        case 'n':
            note = optarg;
            break;
        case 'a':
            break;
        default:
            usage();
            return option != 'h';
        }
    }
    path = optind < argc ? argv[optind] : NULL;
    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Collections with live slices; first mappings\n");
    print_machine(&machine);
    json = json_begin(path, "collection", note, &machine);
    if (json != NULL)
        fprintf(json, "\"n_pointers\": %u,\n\"object_bytes\": %zu,\n\"collections\": [\n",
                N_POINTERS, OBJECT_BYTES);
    run_collections(json, n_regions, seconds);
    if (json != NULL)
        fputs("\n],\n\"first_mappings\": [\n", json);
    run_first_times(json, n_regions, n_tries);
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, path);
    }
    return 0;
}
