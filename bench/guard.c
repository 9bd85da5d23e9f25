/*
 * Guards: what entering and leaving one costs, and what a fault does; copies that cannot
 * fault, beside memcpy(3) and pread(2).
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured: short rounds of each by turns; the median of the rounds.
 */
#include "bench.h"

#define TARGET_NS 50
#define N_ROUNDS 101u
#define COPY_BYTES ((size_t)64)
#define LARGE_BYTES MIB

static gcmmap_region *region;
static unsigned char *data, *closed, *buffer;
static int fd;
static volatile unsigned char sink;

static void nothing(void *arg)
{
    (void)arg;
}

/* Each does it n times. */

static void touch(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sink = *(volatile unsigned char *)data;
}

static void guard(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++) {
        gcmmap_guard guard;

        if (GCMMAP_TRY(guard)) {
            sink = *(volatile unsigned char *)data;
            gcmmap_guard_leave(&guard);
        }
    }
}

static void callback(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)gcmmap_try(nothing, data, NULL);
}

static void fault(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++) {
        gcmmap_guard guard;

        if (GCMMAP_TRY(guard))
            sink = *(volatile unsigned char *)closed;
    }
}

static void copy_by_memcpy(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(buffer, data, COPY_BYTES);
        sink = *(volatile unsigned char *)buffer;
    }
}

static void copy_by_pread(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(pread(fd, buffer, COPY_BYTES, 0) == COPY_BYTES, "pread");
}

static void copy_out(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(gcmmap_copy_out(buffer, data, COPY_BYTES) == COPY_BYTES, "gcmmap_copy_out");
}

static void large_by_memcpy(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(buffer, data, LARGE_BYTES);
        sink = *(volatile unsigned char *)buffer;
    }
}

static void large_by_pread(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(pread(fd, buffer, LARGE_BYTES, 0) == (ssize_t)LARGE_BYTES, "pread");
}

static void large_copy_out(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(gcmmap_copy_out(buffer, data, LARGE_BYTES) == (ssize_t)LARGE_BYTES, "gcmmap_copy_out");
}

static const struct {
    const char *name;
    void (*fn)(unsigned n);
    unsigned n;
} ways[] = {
    { "a byte, no guard", touch, 10000 },
    { "a byte in GCMMAP_TRY", guard, 10000 },
    { "gcmmap_try, empty", callback, 10000 },
    { "a fault, caught", fault, 200 },
    { "64 bytes, memcpy", copy_by_memcpy, 10000 },
    { "64 bytes, pread", copy_by_pread, 1000 },
    { "64 bytes, gcmmap_copy_out", copy_out, 1000 },
    { "1 MiB, memcpy", large_by_memcpy, 4 },
    { "1 MiB, pread", large_by_pread, 4 },
    { "1 MiB, gcmmap_copy_out", large_copy_out, 4 },
};
#define N_WAYS (sizeof ways / sizeof *ways)

static void run(const void *n_rounds, void *result)
{
    double(*ns)[N_ROUNDS] = result;
    gcmmap_region *gone;

    GC_INIT();
    fd = make_sparse_file(LARGE_BYTES);
    region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    gone = gcmmap_alloc(4096, GCMMAP_POINTER_FREE);
    data = gcmmap_data(region);
    closed = gcmmap_data(gone);
    buffer = malloc(LARGE_BYTES);
    need(data != NULL && closed != NULL && buffer != NULL && gcmmap_close(gone) == 0, "region");
    for (unsigned i = 0; i < *(const unsigned *)n_rounds; i++)
        for (unsigned way = 0; way < N_WAYS; way++) {
            double start = now_ns();

            ways[way].fn(ways[way].n);
            ns[way][i] = (now_ns() - start) / ways[way].n;
        }
}

static const char usage[] = "Usage: guard [OPTION]... [RESULT.json]\n"
                            "What guards cost, and copies that cannot fault.\n\n"
                            "  --quick      fewer rounds\n"
                            "  --note=TEXT  goes into the JSON file\n"
                            "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    unsigned n_rounds = options.is_quick ? 11 : N_ROUNDS;
    static double ns[N_WAYS][N_ROUNDS];
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Guards and copies: ns, median of %u rounds\n", n_rounds);
    print_machine(&machine);
    run_in_child(run, &n_rounds, ns, sizeof ns);
    json = json_begin(options.path, "guard", options.note, &machine);
    if (json != NULL)
        fputs("\"ways\": [\n", json);
    for (unsigned way = 0; way < N_WAYS; way++) {
        bool has_target = ways[way].fn == guard || ways[way].fn == callback;
        double value = median(ns[way], n_rounds), low = percentile(ns[way], n_rounds, 0.05),
               high = percentile(ns[way], n_rounds, 0.95);

        printf("%-28s %10.1f  (%.1f to %.1f)%s\n", ways[way].name, value, low, high,
               !has_target          ? ""
               : value <= TARGET_NS ? "  met"
                                    : "  MISSED");
        if (json == NULL)
            continue;
        fprintf(json,
                "%s{\"way\": \"%s\", \"ns\": %.2f, \"low\": %.2f, \"high\": %.2f, \"met\": %s}",
                way > 0 ? ",\n" : "", ways[way].name, value, low, high,
                !has_target          ? "null"
                : value <= TARGET_NS ? "true"
                                     : "false");
    }
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, options.path);
    }
    return 0;
}
