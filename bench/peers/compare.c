/*
 * The cycle of bench/cycle in other languages: map a whole file, touch a byte in the middle
 * through a slice, drop, each with its own usual means and at its own pace.
 *
 * SPDX-License-Identifier: MIT
 *
 * How it is measured
 *
 *   - Every peer is a program `PEER BYTES CYCLES FILE` that for each line on its standard input
 *     makes a round of CYCLES cycles and a forced release of all that is left, and then writes
 *     a line: ns of all, ns without the forced release, regions still mapped.
 *   - All of them run at the same time, but only one at a time has a round; between
 *     any two of them C has one, with mmap + touch + munmap.  Each round is divided by the mean
 *     of the rounds of C before and after it.  The median of these is reported.
 *   - The rounds before the first one that counts warm up pools and compilers.
 *   - Which peers there are is read from a list that build.sh writes.
 */
#include "../bench.h"

#include <limits.h>

#define MOST_PEERS 16u
#define MOST_ROUNDS 100u
#define WARM_UP_ROUNDS 2

static const struct {
    size_t n_bytes;
    unsigned n_cycles;
} sizes[] = {
    { 4 * KIB, 16384 }, { 64 * KIB, 16384 }, { 1 * MIB, 16384 }, { 64 * MIB, 512 }, { 1 * GIB, 64 },
};
#define N_SIZES (sizeof sizes / sizeof *sizes)

struct peer {
    char name[64], version[64], command[PATH_MAX];
    pid_t id;
    FILE *in, *out; /* of the peer */
    bool has_failed;
    size_t n;
    double ns[MOST_ROUNDS], loop_ns[MOST_ROUNDS], ratios[MOST_ROUNDS], loop_ratios[MOST_ROUNDS];
    unsigned long most_left;
};

/* The first is C. */
static struct peer peers[MOST_PEERS];
static size_t n_peers;

static void add_peer(const char *name, const char *version, const char *command)
{
    struct peer *peer = &peers[n_peers++];

    snprintf(peer->name, sizeof peer->name, "%s", name);
    snprintf(peer->version, sizeof peer->version, "%s", version);
    snprintf(peer->command, sizeof peer->command, "%s", command);
}

/* Ours are beside this program. */
static void add_own(const char *self)
{
    static const char *const ways[][2] = { { "C, by hand", "mmap" },
                                           { "gcmmap", "gcmmap" },
                                           { "bdwgc, finalizer", "finalizer" } };
    const char *slash = strrchr(self, '/');
    int n = slash != NULL ? (int)(slash - self) : 1;

    for (size_t i = 0; i < 3; i++) {
        char command[PATH_MAX];

        snprintf(command, sizeof command, "%.*s/cycle %s", n, slash != NULL ? self : ".",
                 ways[i][1]);
        add_peer(ways[i][0], "", command);
    }
}

static void read_list(const char *path)
{
    FILE *list = fopen(path, "r");
    char line[2 * PATH_MAX], name[64], version[64], command[PATH_MAX];

    need(list != NULL, path);
    while (fgets(line, sizeof line, list) != NULL && n_peers < MOST_PEERS)
        if (sscanf(line, "%63[^\t]\t%63[^\t]\t%4095[^\n]", name, version, command) == 3)
            add_peer(name, version, command);
    fclose(list);
}

/* ---- rounds --------------------------------------------------------------- */

static void start_peer(struct peer *peer, size_t n_bytes, unsigned n_cycles, const char *file)
{
    int in[2], out[2];

    need(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
    fflush(NULL);
    peer->id = fork();
    need(peer->id >= 0, "fork");
    if (peer->id == 0) {
        char command[PATH_MAX + 256];

        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        snprintf(command, sizeof command, "exec %s %zu %u %s", peer->command, n_bytes, n_cycles,
                 file);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    peer->in = fdopen(in[1], "w");
    peer->out = fdopen(out[0], "r");
    need(peer->in != NULL && peer->out != NULL, "fdopen");
    peer->has_failed = false;
    peer->n = 0;
    peer->most_left = 0;
}

static void end_peer(struct peer *peer)
{
    fclose(peer->in);
    (void)waitpid(peer->id, NULL, 0);
    fclose(peer->out);
}

struct round {
    double ns, loop_ns;
    unsigned long n_left;
};

/* A peer that dies is left out from then on. */
static struct round run_round(struct peer *peer)
{
    struct round round = { 0 };
    char line[256];

    if (peer->has_failed)
        return round;
    if (fputc('\n', peer->in) == EOF || fflush(peer->in) != 0 ||
        fgets(line, sizeof line, peer->out) == NULL ||
        sscanf(line, "%lf %lf %lu", &round.ns, &round.loop_ns, &round.n_left) != 3) {
        fprintf(stderr, "peers: %s failed\n", peer->name);
        peer->has_failed = true;
    }
    return round;
}

static void note(struct peer *peer, const struct round *round, double base_ns)
{
    size_t i = peer->n;

    if (peer->has_failed || i == MOST_ROUNDS)
        return;
    peer->n++;
    peer->ns[i] = round->ns;
    peer->loop_ns[i] = round->loop_ns;
    peer->ratios[i] = round->ns / base_ns;
    peer->loop_ratios[i] = round->loop_ns / base_ns;
    if (round->n_left > peer->most_left)
        peer->most_left = round->n_left;
}

static void run_size(size_t n_bytes, unsigned n_cycles, const char *file, unsigned n_rounds)
{
    struct round base, after;
    char name[32];

    for (size_t i = 0; i < n_peers; i++)
        start_peer(&peers[i], n_bytes, n_cycles, file);
    for (int k = 0; k < WARM_UP_ROUNDS; k++)
        for (size_t i = 0; i < n_peers; i++) {
            progress("%s: warming up %s", size_name(n_bytes, name), peers[i].name);
            (void)run_round(&peers[i]);
        }
    base = run_round(&peers[0]);
    for (unsigned k = 0; k < n_rounds; k++)
        for (size_t i = 1; i < n_peers; i++) {
            struct round round;

            progress("%s: round %u of %u, %s", size_name(n_bytes, name), k + 1, n_rounds,
                     peers[i].name);
            round = run_round(&peers[i]);
            after = run_round(&peers[0]);
            need(!peers[0].has_failed, "C, by hand");
            note(&peers[i], &round, (base.ns + after.ns) / 2);
            note(&peers[0], &after, after.ns);
            base = after;
        }
    progress("%s", "");
    for (size_t i = 0; i < n_peers; i++)
        end_peer(&peers[i]);
}

/* ---- results -------------------------------------------------------------- */

static void report(FILE *json, const struct peer *peer, size_t n_bytes, unsigned n_cycles)
{
    static bool has_begun;
    double ns = median(peer->ns, peer->n) / n_cycles;
    double loop_ns = median(peer->loop_ns, peer->n) / n_cycles;
    double ratio = median(peer->ratios, peer->n);
    double loop_ratio = median(peer->loop_ratios, peer->n);
    double p10 = percentile(peer->ratios, peer->n, 0.1);
    double p90 = percentile(peer->ratios, peer->n, 0.9);
    char name[32];

    if (peer->n == 0)
        return;
    printf("%8s  %-17s %-9s %9.0f %9.0f %6.2f %6.2f  %5.2f .. %-6.2f %5zu %5lu\n",
           size_name(n_bytes, name), peer->name, peer->version, ns, loop_ns, ratio, loop_ratio, p10,
           p90, peer->n, peer->most_left);
    fflush(stdout);
    if (json == NULL)
        return;
    fprintf(json, "%s{\"size\": %zu, \"cycles_per_round\": %u, ", has_begun ? ",\n" : "", n_bytes,
            n_cycles);
    has_begun = true;
    json_string(json, "name", peer->name);
    fputs(", ", json);
    json_string(json, "version", peer->version);
    fprintf(json, ", \"ns\": %.1f, \"loop_ns\": %.1f, \"ratio\": %.4f, \"loop_ratio\": %.4f, ", ns,
            loop_ns, ratio, loop_ratio);
    fprintf(json, "\"ratio_p10\": %.4f, \"ratio_p90\": %.4f, \"most_left\": %lu,\n ", p10, p90,
            peer->most_left);
    json_numbers(json, "round_ns", peer->ns, peer->n, 0);
    fputs(", ", json);
    json_numbers(json, "round_ratio", peer->ratios, peer->n, 4);
    putc('}', json);
}

static const char usage[] =
    "Usage: compare [OPTION]... LIST [RESULT.json]\n"
    "Compares the cycle of map, touch and drop in the languages that build.sh has listed.\n\n"
    "  --quick      one round each instead of 7\n"
    "  --note=TEXT  goes into the JSON file\n"
    "  --only, --seconds, --all, --large   are for the other benchmarks\n";

int main(int argc, char **argv)
{
    struct machine machine = this_machine();
    struct options options = read_common_options(argc, argv, usage);
    const char *path;
    FILE *json;

    if (options.path == NULL) {
        fputs(usage, stderr);
        return 1;
    }
    path = optind + 1 < argc ? argv[optind + 1] : NULL;
    add_own(argv[0]);
    read_list(options.path);
    close(make_sparse_file(1)); /* finds out where files can be */
    printf("Map a file, touch a byte, drop, in several languages: ns for each\n");
    print_machine(&machine);
    printf("\n%8s  %-17s %-9s %9s %9s %6s %6s  %-15s %5s %5s\n", "size", "", "version", "ns",
           "no force", "ratio", "ratio", "p10 .. p90", "n", "left");
    json = json_begin(path, "peers", options.note, &machine);
    if (json != NULL)
        fputs("\"cells\": [\n", json);
    for (size_t i = 0; i < N_SIZES; i++) {
        char file[64];
        int fd;

        snprintf(file, sizeof file, "%s/gcmmap-peers-XXXXXX", files_are_in);
        fd = mkstemp(file);
        need(fd >= 0 && ftruncate(fd, (off_t)sizes[i].n_bytes) == 0, file);
        close(fd);
        run_size(sizes[i].n_bytes, sizes[i].n_cycles, file, options.is_quick ? 1 : 7);
        (void)unlink(file);
        for (size_t k = 0; k < n_peers; k++)
            report(json, &peers[k], sizes[i].n_bytes, sizes[i].n_cycles);
    }
    printf("\nratio: to C by hand; the second one without the forced release at a round's end.\n");
    if (json != NULL) {
        fputs("\n]\n", json);
        json_end(json, path);
    }
    return 0;
}
