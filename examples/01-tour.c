/*
 * 01-tour: the three promises on a real file, each with a witness.
 *
 *     ./01-tour [FILE]
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define DEFAULT_FILE "/usr/share/common-licenses/GPL-3" /* on every Debian */
#define FALLBACK_FILE "/proc/self/exe"                  /* on every Linux */

/* The heap object of the tour: all that is kept of a mapping. */
struct bookmark {
    const char *word;
    size_t length;
};

static struct bookmark *bookmark;
static int n_broken;

static void verdict(bool kept, const char *what)
{
    printf("   %s %s\n", kept ? "ok:" : "BROKEN:", what);
    n_broken += !kept;
}

/*
 * The line of /proc/self/maps that an address lies in; NULL: none.  Addresses are
 * handed round complemented, so that no copy of them looks like a pointer; noinline,
 * so that the compiler does not work out the real one in a frame that lives on.
 */
static __attribute__((noinline)) const char *map_line(uintptr_t hidden)
{
    static char line[4400];
    uintptr_t address = ~hidden;
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from, to;
    bool found = false;

    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL)
        found = sscanf(line, "%lx-%lx", &from, &to) == 2 && address >= from && address < to;
    if (maps != NULL)
        fclose(maps);
    return found ? line : NULL;
}

/* Whether a line of /proc/self/maps is of a file; "00:00 0" is of none. */
static bool is_of_file(const char *line)
{
    return line != NULL && strstr(line, " 00:00 0") == NULL;
}

static void show(uintptr_t hidden)
{
    const char *line = map_line(hidden);

    printf("   /proc/self/maps: %s", line != NULL ? line : "(nothing there)\n");
}

static __attribute__((noinline)) void print_text(const char *text, size_t length)
{
    printf("   \"");
    for (size_t i = 0; i < length; i++)
        putchar(text[i] >= ' ' && text[i] <= '~' ? text[i] : '.');
    printf("\"\n");
}

/*
 * Finished calls leave pointers on the stack, and later ones have holes in their frames, for
 * padding, through which a conservative collector sees them.  So steps that handle pointers
 * run further down, and what they leave there is overwritten.
 */
static __attribute__((noinline)) uintptr_t further_down(uintptr_t (*step)(uintptr_t), uintptr_t arg)
{
    volatile char distance[8192];
    uintptr_t result;

    distance[0] = 0;
    result = step(arg);
    distance[sizeof distance - 1] = 0;
    return result;
}

static __attribute__((noinline)) void forget_old_frames(void)
{
    volatile char wipe[32768];

    for (size_t i = 0; i < sizeof wipe; i++)
        wipe[i] = 0;
}

static void collect(void)
{
    /* More than once: a conservative collector may be misled by an old register. */
    for (int i = 0; i < 3; i++) {
        forget_old_frames();
        (void)gcmmap_collect();
    }
}

/* Leaves nothing behind but the bookmark.  Returns its address, complemented. */
static uintptr_t map_and_bookmark(uintptr_t path_given)
{
    const char *path = (const char *)path_given;
    gcmmap_region *region = gcmmap_open(path, GCMMAP_READ);
    gcmmap_slice all;

    if (region == NULL) {
        fprintf(stderr, "01-tour: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    all = gcmmap_bytes(region);
    if (all.size == 0) {
        printf("   The file is empty, and so is its region.  Try one with contents.\n");
        exit(0);
    }
    bookmark = GC_MALLOC(sizeof *bookmark);
    bookmark->length = all.size < 60 ? all.size : 60;
    bookmark->word = (const char *)all.data + (all.size - bookmark->length) / 2;
    printf("   %zu bytes at %p, a slice of %zu at %p\n", all.size, (void *)all.data,
           bookmark->length, (const void *)bookmark->word);
    show(~(uintptr_t)bookmark->word);
    verdict(is_of_file(map_line(~(uintptr_t)bookmark->word)),
            "the slice is the file's own page: no copy was made");
    return ~(uintptr_t)bookmark->word;
}

static uintptr_t held_while_seen(uintptr_t hidden)
{
    collect();
    show(hidden);
    verdict(is_of_file(map_line(hidden)), "still mapped");
    print_text(bookmark->word, bookmark->length);
    return 0;
}

static void gone_when_not(uintptr_t hidden)
{
    bookmark = NULL;
    collect();
    show(hidden);
    verdict(!is_of_file(map_line(hidden)), "the file is unmapped");
}

static int read_in_child(const volatile char *address)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        (void)*address;
        _exit(0);
    }
    (void)waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static __attribute__((noinline)) void clear_end(const char *path)
{
    gcmmap_region *region = gcmmap_open(path, GCMMAP_READ);
    const char *stale = gcmmap_data(region);
    int signal;

    if (gcmmap_close(region) != 0)
        perror("gcmmap_close");
    verdict(gcmmap_data(region) == NULL && errno == EBADF,
            "asking the handle gives an error: EBADF, closed");
    show(~(uintptr_t)stale);
    verdict(!is_of_file(map_line(~(uintptr_t)stale)), "the file was released at once");
    fflush(stdout);
    signal = read_in_child(stale);
    printf("   a child that reads the stale slice: %s\n", signal ? strsignal(signal) : "lived");
    verdict(signal == SIGSEGV, "a clear end, and never another file's bytes");
}

int main(int argc, char **argv)
{
    const char *path = argc > 1                          ? argv[1]
                       : access(DEFAULT_FILE, R_OK) == 0 ? DEFAULT_FILE
                                                         : FALLBACK_FILE;
    uintptr_t hidden;

    GC_INIT();
    printf("1. Native.  Map %s and put one pointer into it in a heap object.\n", path);
    fflush(stdout);
    hidden = further_down(map_and_bookmark, (uintptr_t)path);
    printf("2. Held while seen.  Drop everything but that pointer; collect.\n");
    (void)further_down(held_while_seen, hidden);
    printf("3. Gone when not.  Drop the pointer too; collect.\n");
    gone_when_not(hidden);
    printf("4. A clear word.  Map again, keep a slice, close the region.\n");
    clear_end(path);
    puts(n_broken == 0 ? "All promises kept." : "A promise was broken.");
    return n_broken != 0;
}
