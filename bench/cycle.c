/*
 * Map a whole open file, touch one byte in the middle, drop: gcmmap, which releases by
 * itself, against mmap + touch + munmap.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - In one process many short rounds alternate: mmap, gcmmap, mmap, gcmmap, mmap ...
 *     Each round of gcmmap is divided by the mean of the rounds of mmap before and after
 *     it, so that a machine that speeds up or slows down cancels out.  The ratio reported
 *     is the median of these, with the 10th and 90th percentile.
 *   - A round maps and drops often enough that gcmmap's own collections happen inside, and
 *     ends with a forced release of all that is left, inside the time.
 *   - Rounds before the first one that counts fill the pools: this is the steady state.
 *   - Each combination of size and load is a process of its own, so that none measures
 *     the heap that another one left behind, and "alone" really has one thread.  (bdwgc
 *     starts its marker threads with the program's first thread.)
 *   - One that takes 20 s longer than it should is given up; what it has measured up to
 *     then is shown, its target is missed.
 */
#include "bench.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum load { ALONE, BUSY, BOTH, N_LOADS };

static const char *const load_names[N_LOADS] = { "alone", "busy", "both" };
static const char *const load_texts[N_LOADS] = {
    "one thread",
    "a second thread is busy (spins on another CPU)",
    "two threads map at once",
};

/* How large, and how many cycles a round has; the latter so that at least two own
   collections happen in it (PACE_REGIONS and PACE_BYTES in src/region.c). */
static const struct {
    size_t n_bytes;
    unsigned n_cycles;
} sizes[] = {
    { 4 * KIB, 4096 }, { 64 * KIB, 4096 }, { 1 * MIB, 4096 }, { 64 * MIB, 512 }, { 1 * GIB, 64 },
};
#define N_SIZES (sizeof sizes / sizeof *sizes)

/* The ratio to mmap + munmap that gcmmap must not exceed.  As cheap as doing it by hand. */
static const double targets[N_LOADS][N_SIZES] = {
    [ALONE] = { 1.0, 1.0, 1.0, 1.15, 1.15 },
    [BUSY] = { 0.6, 0.6, 0.6, 0.6, 0.6 },
    [BOTH] = { 0.8, 0.8, 0.8, 0.8, 0.8 },
};

/* ---- contenders ---------------------------------------------------------- */

static volatile unsigned char touched;

static void touch(const unsigned char *byte)
{
    touched = *(const volatile unsigned char *)byte;
}

static void mmap_cycles(int fd, size_t n_bytes, unsigned n)
{
    while (n-- > 0) {
        unsigned char *data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);

        need(data != MAP_FAILED, "mmap");
        touch(data + n_bytes / 2);
        munmap(data, n_bytes);
    }
}

static gcmmap_slice middle_of(const gcmmap_region *region)
{
    gcmmap_slice all = gcmmap_bytes(region);

    return gcmmap_slice_sub(all, all.size / 2, all.size / 2 + 1);
}

static void gcmmap_cycles(int fd, size_t n_bytes, unsigned n)
{
    (void)n_bytes;
    while (n-- > 0) {
        gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

        need(region != NULL, "gcmmap_map");
        touch(middle_of(region).data);
    }
}

static void unmap_now_cycles(int fd, size_t n_bytes, unsigned n)
{
    (void)n_bytes;
    while (n-- > 0) {
        gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ);

        need(region != NULL, "gcmmap_map");
        touch(middle_of(region).data);
        need(gcmmap_unmap_now(region) == 0, "gcmmap_unmap_now");
    }
}

/*
 * What one does without gcmmap: an object with a finalizer that unmaps.  The slice has to
 * carry the object along.  Collects as often as gcmmap does.
 */
struct holder {
    unsigned char *data;
    size_t n_bytes;
};

struct carrying_slice {
    struct holder *holder;
    unsigned char *data;
    size_t n_bytes;
};

static atomic_size_t n_held, n_made;

static void GC_CALLBACK unmap_held(void *object, void *data)
{
    struct holder *holder = object;

    (void)data;
    munmap(holder->data, holder->n_bytes);
    atomic_fetch_sub(&n_held, 1);
}

static void finalizer_cycles(int fd, size_t n_bytes, unsigned n)
{
    size_t pace = 16 * GIB / n_bytes < 1024 ? 16 * GIB / n_bytes : 1024;

    while (n-- > 0) {
        struct holder *holder = GC_MALLOC(sizeof *holder);
        struct carrying_slice *slice = GC_MALLOC(sizeof *slice);

        need(holder != NULL && slice != NULL, "GC_MALLOC");
        holder->data = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
        need(holder->data != MAP_FAILED, "mmap");
        holder->n_bytes = n_bytes;
        GC_REGISTER_FINALIZER_NO_ORDER(holder, unmap_held, NULL, NULL, NULL);
        atomic_fetch_add(&n_held, 1);
        *slice = (struct carrying_slice){ holder, holder->data + n_bytes / 2, 1 };
        touch(slice->data);
        if (atomic_fetch_add(&n_made, 1) % pace == pace - 1)
            GC_gcollect();
    }
}

static size_t finalize_all(void)
{
    static size_t n_left; /* as in release_all() */

    for (int i = 0; i < 4 && n_held > n_left; i++) {
        scrub();
        GC_gcollect();
        (void)GC_invoke_finalizers();
    }
    n_left = n_held;
    return n_left;
}

static const struct contender {
    const char *name;
    void (*cycles)(int fd, size_t n_bytes, unsigned n);
    size_t (*settle)(void); /* the final forced release: how many are left; or NULL */
} contenders[] = {
    { "mmap", mmap_cycles, NULL }, /* the one to compare with: first */
    { "gcmmap", gcmmap_cycles, release_all },
    { "unmap-now", unmap_now_cycles, NULL },
    { "finalizer", finalizer_cycles, finalize_all },
};
#define N_CONTENDERS (sizeof contenders / sizeof *contenders)
#define N_USUAL_CONTENDERS 2u

/* ---- one cell: a size under a load --------------------------------------- */

#define MOST_ROUNDS 2000u
#define WARM_UP_ROUNDS 2

struct series {
    size_t n;
    double ns[MOST_ROUNDS];        /* a cycle's share of its round */
    double settle_ns[MOST_ROUNDS]; /* of this, the final release */
    double base_ns[MOST_ROUNDS];   /* mean of the rounds of mmap before and after */
    size_t n_own_collections, n_collections;
    size_t most_left;
};

/* Memory that the cell's process shares with its parent. */
struct cell {
    enum load load;
    size_t i_size;
    unsigned n_cycles; /* of each thread in a round */
    bool was_given_up;
    struct series series[N_CONTENDERS];
};

/* Affinity is for the loads only: "alone" goes where the kernel likes. */
static void pin_to(unsigned nth)
{
    cpu_set_t allowed, one;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

static struct {
    atomic_bool has_begun, is_over;
    pthread_barrier_t begin, end; /* of a round */
    const struct contender *contender;
    int fd;
    size_t n_bytes;
    unsigned n_cycles;
} team;

static __attribute__((noinline)) void run_cycles(void)
{
    team.contender->cycles(team.fd, team.n_bytes, team.n_cycles);
}

static void *spin(void *arg)
{
    pin_to(1);
    atomic_store(&team.has_begun, true);
    while (!atomic_load_explicit(&team.is_over, memory_order_relaxed))
        ;
    return arg;
}

static void *map_along(void *arg)
{
    pin_to(1);
    atomic_store(&team.has_begun, true);
    for (;;) {
        pthread_barrier_wait(&team.begin);
        if (atomic_load(&team.is_over))
            return arg;
        run_cycles();
        scrub();
        pthread_barrier_wait(&team.end);
    }
}

static pthread_t start_load(enum load load)
{
    pthread_t thread = pthread_self();

    if (load == ALONE)
        return thread;
    pthread_barrier_init(&team.begin, NULL, 2);
    pthread_barrier_init(&team.end, NULL, 2);
    need(pthread_create(&thread, NULL, load == BUSY ? spin : map_along, NULL) == 0, "thread");
    while (!atomic_load(&team.has_begun))
        sched_yield();
    pin_to(0); /* only now: threads inherit it, bdwgc's markers too */
    return thread;
}

static void stop_load(enum load load, pthread_t thread)
{
    if (load == ALONE)
        return;
    atomic_store(&team.is_over, true);
    if (load == BOTH)
        pthread_barrier_wait(&team.begin);
    pthread_join(thread, NULL);
}

struct round {
    double ns, settle_ns;
    size_t n_own_collections, n_collections, n_left;
};

static struct round run_round(const struct contender *contender, enum load load)
{
    struct round round = { 0 };
    gcmmap_stats before, after;
    size_t first_collection = GC_get_gc_no();
    double start, settle_start, end;

    team.contender = contender;
    gcmmap_get_stats(&before);
    if (load == BOTH)
        pthread_barrier_wait(&team.begin);
    start = now_ns();
    run_cycles();
    if (load == BOTH)
        pthread_barrier_wait(&team.end);
    settle_start = now_ns();
    if (contender->settle != NULL)
        round.n_left = contender->settle();
    end = now_ns();
    gcmmap_get_stats(&after);
    round.ns = (end - start) / team.n_cycles;
    round.settle_ns = (end - settle_start) / team.n_cycles;
    round.n_own_collections = after.n_collections - before.n_collections;
    round.n_collections = GC_get_gc_no() - first_collection;
    return round;
}

static void note_round(struct series *series, const struct round *round, double base_ns)
{
    size_t i = series->n++;

    series->ns[i] = round->ns;
    series->settle_ns[i] = round->settle_ns;
    series->base_ns[i] = base_ns;
    series->n_own_collections += round->n_own_collections;
    series->n_collections += round->n_collections;
    if (round->n_left > series->most_left)
        series->most_left = round->n_left;
}

/* In the cell's process. */
static void run_cell(struct cell *cell, const bool *is_wanted, double seconds)
{
    struct round base = { 0 }, base_after = { 0 };
    pthread_t thread;
    double end;

    GC_INIT();
    team.n_bytes = sizes[cell->i_size].n_bytes;
    team.n_cycles = cell->n_cycles;
    team.fd = make_sparse_file(team.n_bytes);
    thread = start_load(cell->load);
    for (int i = 0; i < WARM_UP_ROUNDS; i++)
        for (size_t c = 0; c < N_CONTENDERS; c++)
            if (is_wanted[c])
                base = run_round(&contenders[c], cell->load);
    end = now_ns() + seconds * 1e9;
    if (is_wanted[0])
        base = run_round(&contenders[0], cell->load);
    while (now_ns() < end && cell->series[0].n < MOST_ROUNDS) {
        for (size_t c = 1; c < N_CONTENDERS; c++) {
            struct round round;

            if (!is_wanted[c] || cell->series[c].n == MOST_ROUNDS)
                continue;
            round = run_round(&contenders[c], cell->load);
            if (is_wanted[0])
                base_after = run_round(&contenders[0], cell->load);
            note_round(&cell->series[c], &round, (base.ns + base_after.ns) / 2);
            base = base_after;
        }
        note_round(&cell->series[0], &base, base.ns);
    }
    stop_load(cell->load, thread);
}

/* ---- results ------------------------------------------------------------- */

struct summary {
    double ns, settle_ns, ratio, ratio_p10, ratio_p90;
    double ratios[MOST_ROUNDS];
};

static void summarize(const struct series *series, struct summary *summary)
{
    for (size_t i = 0; i < series->n; i++)
        summary->ratios[i] = series->base_ns[i] > 0 ? series->ns[i] / series->base_ns[i] : 0;
    summary->ns = median(series->ns, series->n);
    summary->settle_ns = median(series->settle_ns, series->n);
    summary->ratio = median(summary->ratios, series->n);
    summary->ratio_p10 = percentile(summary->ratios, series->n, 0.1);
    summary->ratio_p90 = percentile(summary->ratios, series->n, 0.9);
}

static bool has_target(size_t contender)
{
    return contender == 1;
}

static bool is_met(const struct cell *cell, double ratio)
{
    return !cell->was_given_up && ratio > 0 && ratio <= targets[cell->load][cell->i_size];
}

static const char *verdict(const struct cell *cell, size_t contender, double ratio)
{
    if (!has_target(contender))
        return "";
    return is_met(cell, ratio) ? "met" : "MISSED";
}

static void print_head(enum load load)
{
    printf("\n%s\n%8s %9s  %-10s %9s %9s  %5s  %-14s %6s %-6s %6s %6s %5s\n", load_texts[load],
           "size", "mmap ns", "", "ns", "release", "ratio", "p10 .. p90", "target", "", "rounds",
           "GCs", "left");
}

static void print_cell(const struct cell *cell, const bool *is_wanted)
{
    double base_ns = median(cell->series[0].ns, cell->series[0].n);
    char name[32];

    size_name(sizes[cell->i_size].n_bytes, name);
    if (cell->was_given_up)
        printf("%8s  given up: took 20 s longer than it should\n", name);
    for (size_t c = 1; c < N_CONTENDERS; c++) {
        const struct series *series = &cell->series[c];
        struct summary summary;
        double target = targets[cell->load][cell->i_size];
        char target_text[16] = "";

        if (!is_wanted[c] || series->n == 0)
            continue;
        summarize(series, &summary);
        if (has_target(c))
            snprintf(target_text, sizeof target_text, "%.2f", target);
        printf("%8s %9.0f  %-10s %9.0f %9.0f  %5.2f  %5.2f .. %-5.2f %6s %-6s %6zu %6.1f %5zu\n",
               name, base_ns, contenders[c].name, summary.ns, summary.settle_ns, summary.ratio,
               summary.ratio_p10, summary.ratio_p90, target_text, verdict(cell, c, summary.ratio),
               series->n, (double)series->n_collections / (double)series->n, series->most_left);
    }
    fflush(stdout);
}

static void json_cell(FILE *out, const struct cell *cell, const bool *is_wanted, bool is_first)
{
    const char *separator = "";

    fprintf(out,
            "%s{\"load\": \"%s\", \"size\": %zu, \"cycles_per_round\": %u, \"threads\": %d, "
            "\"given_up\": %s,",
            is_first ? "" : ",\n", load_names[cell->load], sizes[cell->i_size].n_bytes,
            cell->n_cycles, cell->load == BOTH ? 2 : 1, cell->was_given_up ? "true" : "false");
    fputs("\n \"contenders\": [", out);
    for (size_t c = 0; c < N_CONTENDERS; c++) {
        const struct series *series = &cell->series[c];
        struct summary summary;

        if (!is_wanted[c] || series->n == 0)
            continue;
        summarize(series, &summary);
        fprintf(out, "%s\n  {\"name\": \"%s\", \"ns\": %.1f, ", separator, contenders[c].name,
                summary.ns);
        if (c > 0)
            fprintf(out, "\"ratio\": %.4f, \"ratio_p10\": %.4f, \"ratio_p90\": %.4f, ",
                    summary.ratio, summary.ratio_p10, summary.ratio_p90);
        if (has_target(c))
            fprintf(out, "\"target\": %.3f, \"met\": %s, ", targets[cell->load][cell->i_size],
                    is_met(cell, summary.ratio) ? "true" : "false");
        fprintf(out, "\"release_ns\": %.1f, \"collections_per_round\": %.2f, ", summary.settle_ns,
                (double)series->n_collections / (double)series->n);
        fprintf(out, "\"own_collections_per_round\": %.2f, \"most_left\": %zu,\n   ",
                (double)series->n_own_collections / (double)series->n, series->most_left);
        json_numbers(out, "round_ns", series->ns, series->n, 1);
        if (c > 0) {
            fputs(",\n   ", out);
            json_numbers(out, "round_release_ns", series->settle_ns, series->n, 1);
            fputs(",\n   ", out);
            json_numbers(out, "round_ratio", summary.ratios, series->n, 4);
        }
        putc('}', out);
        separator = ",";
    }
    fputs("]}", out);
}

/* ---- main ---------------------------------------------------------------- */

static void usage(void)
{
    printf("Usage: cycle [OPTION]... [RESULT.json]\n"
           "Compares map + touch + drop with mmap + touch + munmap.\n\n"
           "  --quick        half a second for each row instead of 6\n"
           "  --seconds=S    S seconds for each row\n"
           "  --all          also unmap-now (gcmmap_unmap_now()) and finalizer (an object of\n"
           "                 the collector with a finalizer that unmaps)\n"
           "  --only=NAME    nothing but this one, for a profiler: mmap, gcmmap ...\n"
           "  --load=NAME    only under this load: alone, busy (a second thread spins) or\n"
           "                 both (two threads map)\n"
           "  --size=BYTES   only this one of the sizes\n"
           "  --cycles=N     so many in each round\n"
           "  --note=TEXT    goes into the JSON file\n");
}

static const struct option long_options[] = {
    { "quick", no_argument, NULL, 'q' },        { "seconds", required_argument, NULL, 's' },
    { "all", no_argument, NULL, 'a' },          { "only", required_argument, NULL, 'o' },
    { "load", required_argument, NULL, 'l' },   { "size", required_argument, NULL, 'b' },
    { "cycles", required_argument, NULL, 'c' }, { "note", required_argument, NULL, 'n' },
    { "large", no_argument, NULL, 'L' }, /* collection's: both get the same flags */
    { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
};

struct settings {
    bool is_wanted[N_CONTENDERS];
    double seconds;
    const char *load, *note, *path;
    size_t n_bytes;
    unsigned n_cycles;
};

static void read_options(int argc, char **argv, struct settings *settings)
{
    for (size_t c = 0; c < N_CONTENDERS; c++)
        settings->is_wanted[c] = c < N_USUAL_CONTENDERS;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (option) {
        case 'q':
            settings->seconds = 0.5;
            break;
        case 's':
            settings->seconds = strtod(optarg, NULL);
            break;
        case 'a':
            memset(settings->is_wanted, true, sizeof settings->is_wanted);
            break;
        case 'o':
            for (size_t c = 0; c < N_CONTENDERS; c++)
                settings->is_wanted[c] = strcmp(optarg, contenders[c].name) == 0;
            break;
        case 'l':
            settings->load = optarg;
            break;
        case 'b':
            settings->n_bytes = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            settings->n_cycles = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 'n':
            settings->note = optarg;
            break;
        case 'L':
            break;
        default:
            usage();
            exit(option != 'h');
        }
    }
    settings->path = optind < argc ? argv[optind] : NULL;
}

/* A process of its own; see above. */
static void run_apart(struct cell *cell, const struct settings *settings)
{
    int status = -1;
    pid_t child;

    fflush(NULL);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        alarm((unsigned)settings->seconds + 20);
        run_cell(cell, settings->is_wanted, settings->seconds);
        _exit(0);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        cell->was_given_up = true;
    } else if (status != 0) {
        fprintf(stderr, "bench: the process for %s, size %zu ended with status %#x\n",
                load_names[cell->load], sizes[cell->i_size].n_bytes, (unsigned)status);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct settings settings = { .seconds = 6, .note = "" };
    struct machine machine = this_machine();
    struct cell *cell;
    size_t n_cells = 0, n_met = 0, n_targets = 0;
    FILE *json;

    read_options(argc, argv, &settings);
    close(make_sparse_file(1)); /* finds out where files can be */
    cell = mmap(NULL, sizeof *cell, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(cell != MAP_FAILED, "shared memory");
    json = json_begin(settings.path, "cycle", settings.note, &machine);
    if (json != NULL)
        fprintf(json, "\"seconds_per_cell\": %g,\n\"cells\": [\n", settings.seconds);
    printf("Map a file, touch a byte, drop: ns for each, forced release of the last included\n");
    print_machine(&machine);
    for (enum load load = ALONE; load < N_LOADS; load++) {
        if (settings.load != NULL && strcmp(settings.load, load_names[load]) != 0)
            continue;
        if (load != ALONE && machine.n_cpus < 2) {
            printf("\n%s: needs a second CPU\n", load_texts[load]);
            continue;
        }
        print_head(load);
        for (size_t i = 0; i < N_SIZES; i++) {
            if (settings.n_bytes != 0 && settings.n_bytes != sizes[i].n_bytes)
                continue;
            memset(cell, 0, sizeof *cell);
            cell->load = load;
            cell->i_size = i;
            cell->n_cycles = settings.n_cycles != 0 ? settings.n_cycles : sizes[i].n_cycles;
            progress("%s, %zu of %zu sizes", load_texts[load], i + 1, N_SIZES);
            run_apart(cell, &settings);
            progress("%s", "");
            print_cell(cell, settings.is_wanted);
            if (json != NULL)
                json_cell(json, cell, settings.is_wanted, n_cells == 0);
            for (size_t c = 0; c < N_CONTENDERS; c++)
                if (has_target(c) && settings.is_wanted[c] && settings.is_wanted[0]) {
                    struct summary summary;

                    summarize(&cell->series[c], &summary);
                    n_targets++;
                    n_met += is_met(cell, summary.ratio);
                }
            n_cells++;
        }
    }
    printf(
        "\n%zu of %zu targets met.  ratio: median of the rounds', to mmap + munmap; release: the\n"
        "final forced one's share of ns; GCs: collections in a round; left: most regions that\n"
        "were held by accident after a round.\n",
        n_met, n_targets);
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, settings.path);
    }
    return 0;
}
