/*
 * What is left of idle mappings: memory and the collector's heap before anything is mapped,
 * while it is, after all of it has been dropped, and after gcmmap_trim().
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - The program has 40 MB of objects of its own.  Then it maps 2,000 files of 1 MiB and one
 *     of 8 GiB, and reads a byte of each; drops them all and collects; and trims.
 *   - "own" is what is resident and not a file's: the kernel's word.  The heap is what
 *     GC_get_heap_size() says: without the addresses whose memory bdwgc has given back
 *     (unmapped).
 *   - bdwgc never makes its index of blocks smaller: 8 bytes for each 4 KiB that were ever
 *     heap.  So much of the own memory stays; it serves whatever bdwgc uses the addresses for next.
 */
#include "bench.h"

#define N_SMALL 2000u
#define SMALL_BYTES (1 * MIB)
#define LARGE_BYTES (8 * GIB)
#define OBJECT_BYTES ((size_t)1024)
#define N_OBJECTS (40 * MIB / OBJECT_BYTES)

#define TOLERANCE 1.05

enum moment { BEFORE, MAPPED, DROPPED, TRIMMED, N_MOMENTS };
static const char *const moment_names[N_MOMENTS] = { "before", "mapped", "dropped", "trimmed" };

struct state {
    double resident_mib, own_mib, heap_mib, free_mib, unmapped_mib, reserved_mib, regions;
};

static double mib(size_t n_bytes)
{
    return (double)n_bytes / (double)MIB;
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident;

    need(file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2, "statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void look(struct state *state)
{
    gcmmap_stats stats;

    gcmmap_get_stats(&stats);
    *state = (struct state){
        .resident_mib = resident_bytes() / (double)MIB,
        .own_mib = own_bytes() / (double)MIB,
        .heap_mib = mib(GC_get_heap_size()),
        .free_mib = mib(GC_get_free_bytes()),
        .unmapped_mib = mib(GC_get_unmapped_bytes()),
        .reserved_mib = mib(stats.bytes_reserved),
        .regions = (double)(stats.n_live + stats.n_dying),
    };
}

static __attribute__((noinline)) void map_and_read(void **slots)
{
    int small = make_sparse_file(SMALL_BYTES), large = make_sparse_file(LARGE_BYTES);

    for (unsigned i = 0; i <= N_SMALL; i++) {
        gcmmap_region *region =
            gcmmap_map(i < N_SMALL ? small : large, 0, GCMMAP_REST, GCMMAP_READ);

        need(region != NULL, "gcmmap_map");
        slots[i] = gcmmap_data(region);
        (void)*(volatile unsigned char *)slots[i];
    }
    close(small);
    close(large);
}

static void run(const void *unused, void *result)
{
    struct state *states = result;
    void **objects, **slots;

    (void)unused;
    GC_INIT();
    objects = GC_MALLOC(N_OBJECTS * sizeof *objects);
    slots = GC_MALLOC((N_SMALL + 1) * sizeof *slots);
    need(objects != NULL && slots != NULL, "GC_MALLOC");
    for (size_t i = 0; i < N_OBJECTS; i++) {
        objects[i] = GC_MALLOC(OBJECT_BYTES - 1);
        need(objects[i] != NULL, "GC_MALLOC");
    }
    GC_gcollect();
    look(&states[BEFORE]);
    map_and_read(slots);
    look(&states[MAPPED]);
    memset(slots, 0, (N_SMALL + 1) * sizeof *slots);
    (void)release_all();
    (void)release_all();
    look(&states[DROPPED]);
    (void)gcmmap_trim();
    /* bdwgc gives pages back only after some collections. */
    for (int i = 0; i < 10; i++)
        GC_gcollect();
    look(&states[TRIMMED]);
    GC_reachable_here(objects);
}

static const char usage[] =
    "Usage: trim [OPTION]... [RESULT.json]\n"
    "Memory and heap before, with and after mappings, and after gcmmap_trim().\n\n"
    "  --note=TEXT  goes into the JSON file\n"
    "  --quick, --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    struct state states[N_MOMENTS];
    bool is_heap_back, is_memory_back;
    double index_mib;
    FILE *json;

    close(make_sparse_file(1)); /* finds out where files can be */
    printf("%u files of 1 MiB and one of 8 GiB, mapped, dropped, trimmed: MiB\n", N_SMALL);
    print_machine(&machine);
    run_in_child(run, NULL, states, sizeof states);
    json = json_begin(options.path, "trim", options.note, &machine);
    if (json != NULL)
        fputs("\"moments\": [\n", json);
    printf("\n%-9s %8s %8s %9s %9s %9s %9s %8s\n", "", "resident", "own", "heap", "free",
           "unmapped", "reserved", "regions");
    for (int i = 0; i < N_MOMENTS; i++) {
        const struct state *state = &states[i];

        printf("%-9s %8.1f %8.1f %9.1f %9.1f %9.1f %9.1f %8.0f\n", moment_names[i],
               state->resident_mib, state->own_mib, state->heap_mib, state->free_mib,
               state->unmapped_mib, state->reserved_mib, state->regions);
        if (json == NULL)
            continue;
        fprintf(json, "%s{\"moment\": \"%s\", \"resident_mib\": %.2f, \"own_mib\": %.2f, ",
                i > 0 ? ",\n" : "", moment_names[i], state->resident_mib, state->own_mib);
        fprintf(json, "\"heap_mib\": %.2f, \"free_mib\": %.2f, \"unmapped_mib\": %.2f, ",
                state->heap_mib, state->free_mib, state->unmapped_mib);
        fprintf(json, "\"reserved_mib\": %.2f, \"regions\": %.0f}", state->reserved_mib,
                state->regions);
    }
    is_heap_back = states[TRIMMED].heap_mib <= TOLERANCE * states[BEFORE].heap_mib;
    is_memory_back = states[TRIMMED].own_mib <= TOLERANCE * states[BEFORE].own_mib;
    index_mib = states[MAPPED].reserved_mib / 4096 * 8;
    printf("\nThe heap is back to what it was: %s.  Own memory: %s (index of blocks: %.1f).\n",
           is_heap_back ? "met" : "MISSED", is_memory_back ? "met" : "MISSED", index_mib);
    if (json != NULL) {
        fprintf(json, "\n],\n\"heap_met\": %s, \"memory_met\": %s, \"index_mib\": %.2f\n",
                is_heap_back ? "true" : "false", is_memory_back ? "true" : "false", index_mib);
        json_end(json, options.path);
    }
    return 0;
}
