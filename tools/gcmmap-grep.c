/*
 * gcmmap-grep: searches many files at once, mapped and not copied.
 *
 *     gcmmap-grep [OPTION]... PATTERNS [FILE]...
 *
 * Each file is a region of gcmmap's.  Nobody unmaps it: when the last slice of it is forgotten,
 * the collector does.  With --sort and the like the slices are all that is kept of a file; its
 * descriptor was closed as soon as it was mapped.
 *
 *       gcmmap-grep (main)   options
 *            |
 *          walk              which files
 *            |
 *          file              mapped, or read; windows       guard
 *            |
 *         search             which lines                    progress
 *        /   |   \
 *    keep    |   match       pattern, find
 *        \   |
 *         print              json, out
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gc/gc.h>

#include "grep-keep.h"
#include "grep-match.h"
#include "grep-options.h"
#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"
#include "grep-walk.h"

/* A directory that is being walked through keeps a descriptor open. */
static void allow_deep_trees(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Bytes of all files, or 0 if that is not known before they are opened. */
static uint64_t bytes_of(char **names, int n)
{
    uint64_t sum = 0;

    for (int i = 0; i < n; i++) {
        struct stat status;

        if (stat(names[i], &status) != 0 || !S_ISREG(status.st_mode))
            return 0;
        sum += (uint64_t)status.st_size;
    }
    return sum;
}

/* Whether stdout is a file that could be searched by mistake. */
static void note_output(struct walk *walk)
{
    const struct options *options = walk->options;
    struct stat status;

    if (options->quiet || options->files_with || options->files_without || options->count ||
        options->max_count <= 1 || fstat(STDOUT_FILENO, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    walk->has_output = true;
    walk->output_device = status.st_dev;
    walk->output_inode = status.st_ino;
}

/* Apart from main(), so that nothing of it is left on the stack when stats_print() collects. */
static __attribute__((noinline)) void search_all(struct walk *walk, char **names, int n)
{
    if (n == 0)
        walk_file(walk, walk->options->recursive ? NULL : "-");
    for (int i = 0; i < n; i++)
        walk_file(walk, names[i]);
    if (options_keep(walk->options))
        keep_end(walk->matcher);
}

int main(int argc, char **argv)
{
    struct options options;
    struct pattern pattern;
    struct walk walk = { 0 };
    int n_files;

    GC_INIT();
    setlocale(LC_ALL, "");
    options = options_of(argc, argv);
    n_files = argc - optind;
    out_open(options.lines_at_once);
    progress_open(bytes_of(argv + optind, n_files));
    allow_deep_trees();
    keep_open(&options);

    pattern = pattern_of(&options.patterns, &options.pattern);
    walk.options = &options;
    walk.matcher = matcher_new(&pattern, &options.pattern, options.eol);
    walk.named = options.names_default ? n_files > 1 : options.names;
    if (options.names_default && (options.unique || options.top > 0))
        options.names_default = walk.named = false;
    note_output(&walk);
    search_all(&walk, argv + optind, n_files);
    progress_hide();
    out_flush();
    if (options.stats)
        stats_print();
    return errors_seen ? 2 : walk.selected ? 0 : 1;
}
