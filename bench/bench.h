/*
 * bench: what the benchmark programs share.  Clock, statistics, files, machine, JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define GC_THREADS
#include <gc/gc.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gcmmap.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static inline void need(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static inline double now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Only for eyes: one line on a terminal, rewritten each time; "" wipes it. */
__attribute__((format(printf, 1, 2))) static inline void progress(const char *format, ...)
{
    va_list arguments;

    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
}

/* ---- statistics ---------------------------------------------------------- */

static inline int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The value that a share of all are not above: 0.5 is the median.  0 for no values. */
static inline double percentile(const double *values, size_t n, double share)
{
    double *sorted, result, place;
    size_t below;

    if (n == 0)
        return 0;
    sorted = malloc(n * sizeof *sorted);
    need(sorted != NULL, "malloc");
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    place = share * (double)(n - 1);
    below = (size_t)place;
    result = sorted[below];
    if (below + 1 < n) /* between two: in proportion */
        result += (place - (double)below) * (sorted[below + 1] - sorted[below]);
    free(sorted);
    return result;
}

static inline double median(const double *values, size_t n)
{
    return percentile(values, n, 0.5);
}

/* 4 KiB, 64 MiB ...; room for 32 bytes. */
static inline const char *size_name(size_t n_bytes, char *name)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned unit = 0;

    for (; unit < 4 && n_bytes % 1024 == 0 && n_bytes != 0; unit++)
        n_bytes /= 1024;
    snprintf(name, 32, "%zu %s", n_bytes, units[unit]);
    return name;
}

/* ---- files --------------------------------------------------------------- */

static const char *files_are_in = "/dev/shm";

/* A file of n bytes that occupies none, without a name: gone when the process is. */
static inline int make_sparse_file(size_t n_bytes)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/gcmmap-bench-XXXXXX", files_are_in);
    fd = mkstemp(path);
    if (fd < 0 && strcmp(files_are_in, "/tmp") != 0) {
        fprintf(stderr, "bench: no files in %s (%s): /tmp has to do\n", files_are_in,
                strerror(errno));
        files_are_in = "/tmp";
        return make_sparse_file(n_bytes);
    }
    need(fd >= 0 && unlink(path) == 0, path);
    need(ftruncate(fd, (off_t)n_bytes) == 0, "sparse file");
    return fd;
}

/* ---- memory --------------------------------------------------------------- */

/* What of this process is resident, and not a file's. */
static inline double own_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident, shared;

    need(file != NULL && fscanf(file, "%lu %lu %lu", &total, &resident, &shared) == 3, "statm");
    fclose(file);
    return (double)(resident - shared) * (double)sysconf(_SC_PAGESIZE);
}

/* ---- dropping ------------------------------------------------------------ */

/* Overwrites what dead frames left behind, which the collector would take for slices. */
static __attribute__((noinline)) void scrub(void)
{
    volatile unsigned char wipe[4096];

    for (size_t i = 0; i < sizeof wipe; i++)
        wipe[i] = 0;
}

/*
 * The final forced release: collects until none is left.  Returns how many are held by
 * accident all the same; the next call does not try in vain to get rid of these, so that
 * in the steady state one collection is enough.  (bdwgc remembers in a static variable
 * where its latest piece of heap ended, which often is where a region begins.)
 */
static inline size_t release_all(void)
{
    static size_t n_held;
    gcmmap_stats stats;

    for (int i = 0; i < 4; i++) {
        scrub();
        (void)gcmmap_collect();
        gcmmap_get_stats(&stats);
        if (stats.n_live + stats.n_dying <= n_held)
            break;
    }
    n_held = stats.n_live + stats.n_dying;
    return n_held;
}

/* ---- a case in a process of its own --------------------------------------- */

#define GIVE_UP_S 200u

/* Runs job(task, result) in a child that knows nothing of what others left behind. */
static inline void run_in_child(void (*job)(const void *task, void *result), const void *task,
                                void *result, size_t n_bytes)
{
    int ends[2], status = -1;
    size_t n_read = 0;
    pid_t child;

    need(pipe(ends) == 0, "pipe");
    fflush(NULL);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        alarm(GIVE_UP_S);
        job(task, result);
        for (size_t n_written = 0; n_written < n_bytes;) {
            ssize_t n = write(ends[1], (char *)result + n_written, n_bytes - n_written);

            need(n > 0, "pipe");
            n_written += (size_t)n;
        }
        _exit(0);
    }
    close(ends[1]);
    while (n_read < n_bytes) {
        ssize_t n = read(ends[0], (char *)result + n_read, n_bytes - n_read);

        need(n > 0, "a case gave no result");
        n_read += (size_t)n;
    }
    close(ends[0]);
    need(waitpid(child, &status, 0) == child && status == 0, "a case failed");
}

/* ---- a process that obeys commands ----------------------------------------- */

/*
 * What has to be measured by turns in separate processes: each waits for commands of one
 * byte on a pipe, answers each with one double, and ends when there are no more.
 */
struct process {
    pid_t id;
    int commands, results;
};

static inline struct process
start_process(void (*obey)(const void *task, int commands, int results), const void *task)
{
    struct process process;
    int commands[2], results[2];

    need(pipe2(commands, O_CLOEXEC) == 0 && pipe2(results, O_CLOEXEC) == 0, "pipe");
    fflush(NULL);
    process.id = fork();
    need(process.id >= 0, "fork");
    if (process.id == 0) {
        /* Closes what older siblings are commanded through, too, so that they end in time. */
        for (int fd = 3; fd < 64; fd++)
            if (fd != commands[0] && fd != results[1])
                close(fd);
        obey(task, commands[0], results[1]);
        _exit(0);
    }
    close(commands[0]);
    close(results[1]);
    process.commands = commands[1];
    process.results = results[0];
    return process;
}

static inline double command(const struct process *process, unsigned char what)
{
    double result;

    need(write(process->commands, &what, 1) == 1, "pipe");
    need(read(process->results, &result, sizeof result) == sizeof result,
         "a process gave no result");
    return result;
}

static inline void end_process(const struct process *process)
{
    close(process->commands);
    (void)waitpid(process->id, NULL, 0);
    close(process->results);
}

/* ---- options -------------------------------------------------------------- */

/* Those that `make bench` gives to all programs; none has to heed them all. */
struct options {
    bool is_quick;
    const char *only, *note, *path;
};

static inline struct options read_common_options(int argc, char **argv, const char *usage)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },      { "all", no_argument, NULL, 'a' },
        { "large", no_argument, NULL, 'l' },      { "seconds", required_argument, NULL, 's' },
        { "note", required_argument, NULL, 'n' }, { "only", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 }
    };
    struct options options = { .note = "" };

    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'h' || option == '?') {
            fputs(usage, option == 'h' ? stdout : stderr);
            exit(option != 'h');
        }
        options.is_quick |= option == 'q';
        options.note = option == 'n' ? optarg : options.note;
        options.only = option == 'o' ? optarg : options.only;
    }
    options.path = optind < argc ? argv[optind] : NULL;
    return options;
}

/* ---- the machine --------------------------------------------------------- */

struct machine {
    char cpu[128], kernel[160], date[32];
    long n_cpus;
    double load; /* of others, when the run began: noise */
    unsigned gc_version;
};

static inline struct machine this_machine(void)
{
    struct machine machine = { .cpu = "unknown",
                               .n_cpus = sysconf(_SC_NPROCESSORS_ONLN),
                               .gc_version = GC_get_version() };
    FILE *info = fopen("/proc/cpuinfo", "r");
    time_t now = time(NULL);
    struct utsname name;
    struct tm utc;
    char line[512];

    while (info != NULL && fgets(line, sizeof line, info) != NULL)
        if (sscanf(line, "model name : %127[^\n]", machine.cpu) == 1)
            break;
    if (info != NULL)
        fclose(info);
    if (uname(&name) == 0)
        snprintf(machine.kernel, sizeof machine.kernel, "%.32s %.64s %.32s", name.sysname,
                 name.release, name.machine);
    if (gmtime_r(&now, &utc) != NULL)
        strftime(machine.date, sizeof machine.date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (getloadavg(&machine.load, 1) != 1)
        machine.load = -1;
    return machine;
}

static inline void print_machine(const struct machine *machine)
{
    printf("%s, %ld CPUs, %s, libgc %u.%u.%u, compiler %s, %s\n", machine->cpu, machine->n_cpus,
           machine->kernel, machine->gc_version >> 16, machine->gc_version >> 8 & 255,
           machine->gc_version & 255, __VERSION__, machine->date);
    if (machine->load > 0.5)
        printf("The load was %.2f before this began: other programs disturb these figures.\n",
               machine->load);
}

/* ---- JSON ---------------------------------------------------------------- */

static inline void json_string(FILE *out, const char *name, const char *value)
{
    fprintf(out, "\"%s\": \"", name);
    for (; *value != '\0'; value++)
        if ((unsigned char)*value >= ' ' && *value != '"' && *value != '\\')
            putc(*value, out);
    putc('"', out);
}

static inline void json_numbers(FILE *out, const char *name, const double *values, size_t n,
                                int n_digits)
{
    fprintf(out, "\"%s\": [", name);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%.*f", i > 0 ? "," : "", n_digits, values[i]);
    putc(']', out);
}

/* Opens the file, or nothing for NULL, and writes all up to the results. */
static inline FILE *json_begin(const char *path, const char *benchmark, const char *note,
                               const struct machine *machine)
{
    FILE *out = path != NULL ? fopen(path, "w") : NULL;

    if (path == NULL)
        return NULL;
    need(out != NULL, path);
    fprintf(out, "{\n\"benchmark\": \"%s\",\n", benchmark);
    json_string(out, "note", note);
    fputs(",\n\"machine\": {", out);
    json_string(out, "cpu", machine->cpu);
    fprintf(out, ", \"cpus\": %ld, ", machine->n_cpus);
    json_string(out, "kernel", machine->kernel);
    fprintf(out, ", \"libgc\": \"%u.%u.%u\", ", machine->gc_version >> 16,
            machine->gc_version >> 8 & 255, machine->gc_version & 255);
    json_string(out, "compiler", __VERSION__);
    fprintf(out, ", \"gcmmap\": \"%d.%d\", ", GCMMAP_VERSION_MAJOR, GCMMAP_VERSION_MINOR);
    json_string(out, "files", files_are_in);
    fprintf(out, ", \"load\": %.2f, ", machine->load);
    json_string(out, "date", machine->date);
    fputs("},\n", out);
    return out;
}

static inline void json_end(FILE *out, const char *path)
{
    fputs("}\n", out);
    need(fclose(out) == 0, path);
}

#endif
