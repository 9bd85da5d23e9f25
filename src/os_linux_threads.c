/*
 * os_linux_threads: what lies where pointers may be: static data, stacks of other threads.
 *
 * SPDX-License-Identifier: MIT
 *
 * Nothing that is called with the world stopped allocates or takes a lock of the C library's:
 * a stopped thread may hold it.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os_look.h"

/* ---- static data ----------------------------------------------------------- */

struct segments {
    struct os_segment *segments;
    size_t n, n_room;
    int error;
};

static void add_segment(struct segments *all, uintptr_t from, uintptr_t to, const char *name)
{
    struct os_segment *segment;

    if (from >= to)
        return;
    if (all->n == all->n_room) {
        size_t n_room = all->n_room * 2 + 16;
        struct os_segment *larger = realloc(all->segments, n_room * sizeof *larger);

        if (larger == NULL) {
            all->error = ENOMEM;
            return;
        }
        all->segments = larger;
        all->n_room = n_room;
    }
    segment = &all->segments[all->n++];
    *segment = (struct os_segment){ .from = from, .to = to };
    (void)snprintf(segment->name, sizeof segment->name, "%s", name);
}

static int add_object(struct dl_phdr_info *info, size_t n_bytes, void *arg)
{
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    uintptr_t relro_from = 0, relro_to = 0;

    (void)n_bytes;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
            relro_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            relro_to = relro_from + info->dlpi_phdr[i].p_memsz;
        }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        uintptr_t to = from + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_W))
            continue;
        if (relro_from <= from && relro_to > from)
            from = relro_to;
        add_segment(arg, from, to, name);
    }
    return 0;
}

int os_list_segments(struct os_segment **segments, size_t *n)
{
    struct segments all = { 0 };

    (void)dl_iterate_phdr(add_object, &all);
    if (all.error != 0) {
        free(all.segments);
        return all.error;
    }
    *segments = all.segments;
    *n = all.n;
    return 0;
}

/* ---- stacks ------------------------------------------------------------------ */

struct os_threads {
    long *threads;
    size_t n;
    struct stretch {
        uintptr_t from, to;
    } * stretches; /* writable memory that is no file's */
    size_t n_stretches;
    int error;
};

long os_thread(void)
{
    return syscall(SYS_gettid);
}

/* Room for one more, of sizes that double. */
static void *make_room(void *table, size_t n, size_t n_bytes_each)
{
    return (n & (n - 1)) == 0 ? realloc(table, (n == 0 ? 1 : 2 * n) * n_bytes_each) : table;
}

static bool add_stretch(const struct os_mapped *mapped, void *arg)
{
    struct os_threads *threads = arg;
    struct stretch *table;

    if (mapped->of_file || !(mapped->flags & GCMMAP_WRITE) || !(mapped->flags & GCMMAP_PRIVATE))
        return true;
    table = make_room(threads->stretches, threads->n_stretches, sizeof *table);
    if (table == NULL) {
        threads->error = ENOMEM;
        return false;
    }
    threads->stretches = table;
    table[threads->n_stretches++] = (struct stretch){ mapped->from, mapped->to };
    return true;
}

/*
 * Whether it may hold something.  The collector's own helpers keep what they have seen on their
 * stacks, and nothing by it.
 */
static int look_at_thread(long thread, bool *is_holder)
{
    char path[64], name[32] = "";
    FILE *file;
    int error;

    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/comm", thread);
    file = fopen(path, "re");
    error = file == NULL ? os_error_of_proc(errno) : 0;
    if (error == ENOTSUP) /* it has ended */
        error = 0;
    if (file != NULL) {
        if (fgets(name, sizeof name, file) == NULL)
            name[0] = '\0';
        (void)fclose(file);
    }
    *is_holder = file != NULL && strncmp(name, "GC-marker", 9) != 0;
    return error;
}

static void add_thread(struct os_threads *threads, long thread)
{
    bool is_holder;
    long *table;

    if (thread <= 0 || thread == os_thread())
        return;
    threads->error = look_at_thread(thread, &is_holder);
    if (threads->error != 0 || !is_holder)
        return;
    table = make_room(threads->threads, threads->n, sizeof *table);
    if (table == NULL) {
        threads->error = ENOMEM;
        return;
    }
    threads->threads = table;
    table[threads->n++] = thread;
}

/* Those that a reader who gave up half-way has not seen might be the ones that hold something. */
static int read_threads(struct os_threads *threads, DIR *directory)
{
    const struct dirent *entry;

    while (threads->error == 0) {
        errno = 0;
        entry = readdir(directory);
        if (entry == NULL)
            return errno == 0 || errno == ENOMEM ? errno : EIO;
        add_thread(threads, strtol(entry->d_name, NULL, 10));
    }
    return threads->error;
}

int os_list_threads(struct os_threads **result)
{
    int saved_errno = errno;
    struct os_threads *threads = calloc(1, sizeof *threads);
    DIR *directory = threads != NULL ? opendir("/proc/self/task") : NULL;
    int error;

    *result = threads;
    if (threads == NULL)
        return ENOMEM;
    if (directory == NULL) {
        threads->error = os_error_of_proc(errno);
    } else {
        threads->error = read_threads(threads, directory);
        (void)closedir(directory);
    }
    if (threads->error == 0) {
        error = os_each_mapping(add_stretch, threads);
        if (threads->error == 0)
            threads->error = error;
    }
    error = threads->error;
    if (error != 0) {
        os_end_threads(threads);
        *result = NULL;
    }
    errno = saved_errno;
    return error;
}

void os_end_threads(struct os_threads *threads)
{
    if (threads == NULL)
        return;
    free(threads->threads);
    free(threads->stretches);
    free(threads);
}

/* "/proc/self/task/N/syscall", without stdio, which may have locks. */
static int open_syscall(long thread)
{
    char digits[24], path[64] = "/proc/self/task/";
    size_t n_digits = 0, at = strlen(path);

    for (; thread > 0 && n_digits < sizeof digits; thread /= 10)
        digits[n_digits++] = (char)('0' + thread % 10);
    while (n_digits > 0)
        path[at++] = digits[--n_digits];
    memcpy(path + at, "/syscall", sizeof "/syscall");
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* "number arguments ... sp pc", or "running": proc_pid_syscall(5). */
static bool read_syscall(long thread, char *text, size_t n_bytes)
{
    int fd = open_syscall(thread);
    ssize_t n = fd >= 0 ? read(fd, text, n_bytes - 1) : -1;

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* A thread that the collector has stopped may still be on its way to where it waits. */
static bool find_sp(long thread, uintptr_t *sp, bool *is_suspended)
{
    const struct timespec moment = { 0, 200000 };
    char text[256], *space;

    for (int i = 0; i < 50; i++) {
        if (!read_syscall(thread, text, sizeof text))
            return false;
        if (text[0] != 'r')
            break;
        (void)nanosleep(&moment, NULL);
    }
    *is_suspended = strtol(text, NULL, 10) == SYS_rt_sigsuspend;
    space = strrchr(text, ' ');
    if (text[0] == 'r' || space == NULL)
        return false;
    *space = '\0';
    space = strrchr(text, ' ');
    if (space == NULL)
        return false;
    *sp = strtoul(space, NULL, 16);
    return true;
}

static bool find_stretch(const struct os_threads *threads, struct os_stack *stack)
{
    for (size_t i = 0; i < threads->n_stretches; i++)
        if (stack->from >= threads->stretches[i].from && stack->from < threads->stretches[i].to) {
            stack->to = threads->stretches[i].to;
            return true;
        }
    return false;
}

bool os_next_stack(const struct os_threads *threads, size_t *i, struct os_stack *stack)
{
    int saved_errno = errno;
    bool found = false;

    while (!found && *i < threads->n) {
        stack->thread = threads->threads[(*i)++];
        found = find_sp(stack->thread, &stack->from, &stack->is_suspended) &&
                find_stretch(threads, stack);
    }
    errno = saved_errno;
    return found;
}
