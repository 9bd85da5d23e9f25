/*
 * tap: what the tests share.  Results as TAP, files, witnesses, deaths.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TAP_H
#define TAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define GC_THREADS
#include <gc/gc.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gcmmap.h"

/* Whether there are addresses enough for many GiB. */
#define HAS_MANY_ADDRESSES (SIZE_MAX > UINT32_MAX)

/* ---- results ------------------------------------------------------------- */

static int tap_n, tap_n_failed;

__attribute__((format(printf, 2, 3))) static inline bool ok(bool passed, const char *format, ...)
{
    va_list arguments;

    printf("%sok %d - ", passed ? "" : "not ", ++tap_n);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    tap_n_failed += !passed;
    return passed;
}

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
    va_list arguments;

    printf("# ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static inline int done_testing(void)
{
    printf("1..%d\n", tap_n);
    return tap_n_failed != 0;
}

static inline void skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

/* For set-up that no test is about. */
static inline void need(bool condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(99);
}

/* A call's result was NULL or -1, and errno is exactly this.  Set errno to 0 before. */
static inline bool gives_errno(intptr_t result, int wanted, const char *what)
{
    int got = errno;
    bool passed = (result == 0 || result == -1) && got == wanted;

    if (!ok(passed, "%s: %s", what, strerror(wanted)))
        note("result %ld, errno %d (%s)", (long)result, got, strerror(got));
    return passed;
}

/* ---- the collector ------------------------------------------------------- */

/* Overwrites what dead frames and registers left behind. */
static __attribute__((noinline, unused)) void scrub(void)
{
    volatile unsigned char wipe[16384];

    for (size_t i = 0; i < sizeof wipe; i++)
        wipe[i] = 0;
}

/* Static data: as nothing reads it after that, compilers would leave memset() out, and stores before. */
static inline void clear_roots(void *data, size_t n_bytes)
{
    memset(data, 0, n_bytes);
    __asm__ volatile("" : : "r"(data) : "memory");
}

/* Calls fn in a frame of its own, of which nothing is left afterwards. */
static __attribute__((noinline, unused)) void apart(void (*fn)(void *), void *arg)
{
    fn(arg);
    scrub();
}

/*
 * GCMMAP_TEST_INTERIOR=0: as a host that switches interior pointers off.  GCMMAP_TEST_DEMAND=1:
 * as one that runs finalizers on demand only.
 */
static inline bool asked_for(const char *name, char value)
{
    const char *given = getenv(name);

    return given != NULL && given[0] == value;
}

static inline bool host_is_on_demand(void)
{
    return asked_for("GCMMAP_TEST_DEMAND", '1');
}

__attribute__((constructor)) static void set_up_host(void)
{
    if (asked_for("GCMMAP_TEST_INTERIOR", '0'))
        GC_set_all_interior_pointers(0);
    GC_set_finalize_on_demand(host_is_on_demand());
}

/* Where a host that runs finalizers on demand does so; others have done it by now. */
static inline void run_finalizers_if_asked(void)
{
    if (host_is_on_demand())
        (void)GC_invoke_finalizers();
}

/*
 * What keeps the region of a pointer when it is stored in the heap or in static data: the
 * pointer, or the handle where interior pointers do not count.
 */
static inline void *keeper_of(const void *pointer)
{
    gcmmap_region *region = GC_get_all_interior_pointers() ? NULL : gcmmap_of(pointer);

    return region != NULL ? (void *)region : (void *)(uintptr_t)pointer;
}

/* A few collections: conservative leftovers and finalizers need more than one. */
static inline void collect_thoroughly(void)
{
    for (int i = 0; i < 4; i++) {
        scrub();
        (void)gcmmap_collect();
        run_finalizers_if_asked();
    }
}

static inline gcmmap_stats stats_now(void)
{
    gcmmap_stats stats;

    gcmmap_get_stats(&stats);
    return stats;
}

#if UINTPTR_MAX == UINT32_MAX
/*
 * With 32 bits bdwgc asks for the lowest addresses there are, and sizes and counters look like
 * pointers to its heap: too much is held by accident.  Where the lowest page is taken already,
 * the kernel goes downwards from the highest.  There the words of random(3)'s first table, which
 * are the same in each process, look like pointers: nobody uses it here, so they are cleared.
 */
__attribute__((constructor)) static void avoid_accidents(void)
{
    static char other_table[128];
    char *table = initstate(1, other_table, sizeof other_table);

    memset(table + sizeof(int), 0, sizeof other_table - sizeof(int));
    (void)mmap((void *)65536, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
               -1, 0);
    (void)memset(other_table, 0, sizeof other_table);
}
#endif

/*
 * Collections are incremental, and bdwgc learns by write protection which pages have changed.  Then
 * the kernel's stores into a traced page fail until it was written to otherwise; a page of its heap
 * becomes accessible when it is touched, whatever it was; faults that are nobody's end in abort(); and
 * it aborts where it gets no map slot.
 */
static inline bool collector_write_protects(void)
{
    return GC_is_incremental_mode() &&
           (GC_incremental_protection_needs() & GC_PROTECTS_POINTER_HEAP) != 0;
}

/* A child that should have died of this signal. */
static inline bool died_of(int signal, int status)
{
    return status == -signal || (status == -SIGABRT && collector_write_protects());
}

/* A check that has no meaning there. */
static inline bool ok_but_for_protection(bool passed, const char *what)
{
    if (!passed && collector_write_protects())
        return ok(true, "%s # SKIP the collector makes pages of its heap accessible", what);
    return ok(passed, "%s", what);
}

/* bdwgc 8.3 added a word here. */
#if GC_VERSION_MAJOR > 8 || (GC_VERSION_MAJOR == 8 && GC_VERSION_MINOR >= 3)
typedef const char *tap_warning;
#else
typedef char *tap_warning;
#endif

/* ---- files ---------------------------------------------------------------- */

/*
 * Byte i of every test file; no two neighbouring pages are alike.  Four of them are no address
 * that avoid_accidents() leaves to a 32-bit heap: files that are traced would keep everything.
 */
static inline unsigned char byte_at(uint64_t seed, size_t i)
{
    uint64_t x = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + i / 8;

    x ^= x >> 31;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 29;
    return (unsigned char)(x >> (i % 8 * 8)) & (HAS_MANY_ADDRESSES ? 0xff : 0x3f);
}

/* An unlinked file of n bytes with byte_at(seed, i), open for reading and writing. */
static inline int make_file(uint64_t seed, size_t n)
{
    char path[] = "/tmp/gcmmap-test-XXXXXX";
    unsigned char *bytes = malloc(n + 1);
    int fd = mkstemp(path);

    need(fd >= 0 && bytes != NULL, "temporary file");
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(seed, i);
    need(pwrite(fd, bytes, n, 0) == (ssize_t)n, "write");
    free(bytes);
    unlink(path);
    return fd;
}

/* The same with a name, which the caller unlinks.  path: room for 32 bytes. */
static inline void make_named_file(char *path, uint64_t seed, size_t n)
{
    unsigned char *bytes = malloc(n + 1);
    int fd;

    strcpy(path, "/tmp/gcmmap-test-XXXXXX");
    fd = mkstemp(path);
    need(fd >= 0 && bytes != NULL, "temporary file");
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(seed, i);
    need(pwrite(fd, bytes, n, 0) == (ssize_t)n, "write");
    free(bytes);
    close(fd);
}

/* Whether [data, data + n) are the bytes of make_file(seed) from offset on. */
static inline bool has_bytes(const void *data, size_t n, uint64_t seed, size_t offset)
{
    for (size_t i = 0; i < n; i++)
        if (((const volatile unsigned char *)data)[i] != byte_at(seed, offset + i))
            return false;
    return true;
}

/* ---- witnesses ------------------------------------------------------------ */

/* Never part of other frames: a buffer that is not in use would be full of old pointers there. */

/* Bytes of the address space that /proc/self/maps shows as mapped from this file. */
static __attribute__((noinline, unused)) size_t bytes_mapped_from(int fd)
{
    struct stat status;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    size_t total = 0;

    need(maps != NULL && fstat(fd, &status) == 0, "/proc/self/maps");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to, inode;
        unsigned major, minor;

        if (sscanf(line, "%lx-%lx %*s %*x %x:%x %lu", &from, &to, &major, &minor, &inode) == 5 &&
            inode == status.st_ino)
            total += to - from;
    }
    fclose(maps);
    return total;
}

/* The line of /proc/self/maps that holds the address; false: there is none. */
static __attribute__((noinline, unused)) bool map_line(const void *address, char *permissions, unsigned long *inode)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    bool found = false;

    need(maps != NULL, "/proc/self/maps");
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long from, to;

        found = sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu", &from, &to, permissions, inode) == 4 &&
                (uintptr_t)address >= from && (uintptr_t)address < to;
    }
    fclose(maps);
    return found;
}

/* Runs fn on the lines of /proc/self/smaps about the mapping that holds the address. */
static __attribute__((noinline, unused)) bool smaps_of(const void *address, void (*fn)(const char *line, void *arg), void *arg)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[4400];
    bool inside = false, found = false;

    need(smaps != NULL, "/proc/self/smaps");
    while (fgets(line, sizeof line, smaps)) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        else if (inside)
            fn(line, arg);
        found |= inside;
    }
    fclose(smaps);
    return found;
}

static __attribute__((noinline, unused)) size_t count_map_lines(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    for (int c; (c = getc(maps)) != EOF;)
        n += c == '\n';
    fclose(maps);
    return n;
}

/* mmap(2), for tests that have an mmap() of their own. */
static inline void *kernel_mmap(void *at, size_t n_bytes, int protection, int flags, int fd,
                                off_t offset)
{
#ifdef SYS_mmap2
    return (void *)syscall(SYS_mmap2, at, n_bytes, protection, flags, fd, (long)(offset / 4096));
#else
    return (void *)syscall(SYS_mmap, at, n_bytes, protection, flags, fd, offset);
#endif
}

static sigjmp_buf fault_jump;
static volatile int fault_signal;
static void *volatile fault_address;

static inline void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    fault_signal = signal;
    fault_address = info->si_addr;
    siglongjmp(fault_jump, 1);
}

/* What looks like a fault there, and is none if the code says so. */
static inline void send_to_self(int signal, int code, void *address)
{
    siginfo_t info = { .si_signo = signal, .si_code = code };

    info.si_addr = address;
    need(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, &info) == 0,
         "rt_tgsigqueueinfo");
}

/* The signal that reading (or writing) one byte ends in; 0: none. */
static inline int fault_of_access(void *address, bool write)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, segv, bus;

    sigaction(SIGSEGV, &action, &segv);
    sigaction(SIGBUS, &action, &bus);
    fault_signal = 0;
    if (sigsetjmp(fault_jump, 1) == 0) {
        volatile unsigned char *byte = address;
        unsigned char value = *byte;

        if (write)
            *byte = value;
    }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return fault_signal;
}

/* The first store to a page may have to be the collector's affair. */
static inline bool can_store(void *address)
{
    volatile unsigned char *byte = address;

    if (!collector_write_protects())
        return fault_of_access(address, true) == 0;
    *byte = *byte; /* or it ends here */
    return true;
}

/* Where it was, and what registers held then: static data, in the collector's sight. */
static inline void forget_fault(void)
{
    fault_address = NULL;
    memset(&fault_jump, 0, sizeof fault_jump);
}

/* Runs fn in a child; its exit status, or minus the signal it died of. */
static inline int run_in_child(int (*fn)(void *), void *arg)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        _exit(fn(arg));
    need(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct quiet_run {
    int (*fn)(void *);
    void *arg;
    int output;
};

static inline int run_quiet_run(void *arg)
{
    struct quiet_run *run = arg;
    int status;

    need(dup2(run->output, STDOUT_FILENO) >= 0, "dup2");
    tap_n = tap_n_failed = 0;
    status = run->fn(run->arg);
    fflush(stdout);
    return status != 0 || tap_n_failed > 0;
}

/* Checks of a process of its own, as one: what went wrong there is shown. */
static __attribute__((noinline, unused)) bool all_ok(int (*fn)(void *), void *arg, const char *what)
{
    char path[] = "/tmp/gcmmap-test-XXXXXX", line[400];
    struct quiet_run run = { fn, arg, mkstemp(path) };
    FILE *output;
    bool passed;
    int status;

    need(run.output >= 0, "temporary file");
    unlink(path);
    status = run_in_child(run_quiet_run, &run);
    passed = ok(status == 0, "%s", what);
    output = fdopen(run.output, "r");
    need(output != NULL, "temporary file");
    rewind(output);
    while (!passed && fgets(line, sizeof line, output))
        if (strncmp(line, "ok ", 3) != 0)
            printf("# %s", line);
    if (!passed)
        note("status %d", status);
    fclose(output);
    return passed;
}

/* ---- chance ---------------------------------------------------------------- */

/* xorshift64; a state of 0 is not allowed. */
static inline size_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)*state;
}

/* From the environment (GCMMAP_TEST_SEED) or fixed; printed. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("GCMMAP_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20261122;

    note("seed %llu (set GCMMAP_TEST_SEED for another)", (unsigned long long)seed);
    return seed ? seed : 1;
}

#endif
