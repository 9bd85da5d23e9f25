/*
 * grep-walk: files named on the command line, and what lies in directories, by name.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "grep-file.h"
#include "grep-say.h"
#include "grep-walk.h"

/* The directories that we are in: a link to one of them is a loop. */
struct level {
    const struct level *above;
    dev_t device;
    ino_t inode;
};

struct entry {
    const char *name;
    unsigned char type; /* DT_... */
};

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct entry *)left)->name, ((const struct entry *)right)->name);
}

static void visit(struct walk *walk, int directory, const char *name, const char *path,
                  const struct level *level);

static const char *join(const char *path, const char *name)
{
    struct text text = { 0 };

    if (path != NULL) {
        text_add_string(&text, path);
        if (text.size > 0 && path[text.size - 1] != '/')
            text_add(&text, "/", 1);
    }
    text_add_string(&text, name);
    return text.data;
}

/* What may be looked into, in the order of names.  Errors end the list. */
static size_t read_entries(const struct walk *walk, DIR *stream, struct entry **entries)
{
    struct entry *all = NULL;
    size_t n = 0, room = 0;

    for (struct dirent *next; (next = readdir(stream)) != NULL;) {
        bool is_link = next->d_type == DT_LNK;

        if (strcmp(next->d_name, ".") == 0 || strcmp(next->d_name, "..") == 0)
            continue;
        if (next->d_type != DT_REG && next->d_type != DT_DIR && next->d_type != DT_UNKNOWN &&
            !(is_link && walk->options->follow))
            continue;
        all = array_grow(all, n, &room, sizeof *all);
        all[n++] = (struct entry){ new_string(next->d_name, strlen(next->d_name)), next->d_type };
    }
    if (n > 0)
        qsort(all, n, sizeof *all, by_name);
    *entries = all;
    return n;
}

/* fd is closed.  path: NULL for the working directory that nobody named. */
static void walk_directory(struct walk *walk, int fd, const struct stat *status, const char *path,
                           const struct level *above)
{
    const struct level here = { above, status->st_dev, status->st_ino };
    const char *shown = path == NULL ? "." : path;
    bool quiet = walk->options->no_messages;
    struct entry *entries;
    DIR *stream;
    size_t n;

    for (const struct level *level = above; level != NULL; level = level->above)
        if (level->device == here.device && level->inode == here.inode) {
            if (!quiet)
                say("%s: warning: recursive directory loop", shown);
            close(fd);
            return;
        }
    stream = fdopendir(fd);
    if (stream == NULL) {
        say_error(quiet, shown, errno);
        close(fd);
        return;
    }
    errno = 0;
    n = read_entries(walk, stream, &entries);
    if (errno != 0)
        say_error(quiet, shown, errno);
    for (size_t i = 0; i < n; i++)
        if (entries[i].type == DT_DIR ||
            !globs_leave_out(&walk->options->files, entries[i].name, false))
            visit(walk, dirfd(stream), entries[i].name, join(path, entries[i].name), &here);
    closedir(stream);
}

static bool is_output(const struct walk *walk, const struct stat *status)
{
    return walk->has_output && S_ISREG(status->st_mode) && status->st_dev == walk->output_device &&
           status->st_ino == walk->output_inode;
}

/* level: NULL for what stands on the command line. */
static void search_open(struct walk *walk, int fd, const struct stat *status, const char *path,
                        const struct level *level)
{
    if (is_output(walk, status)) {
        errors_seen = true;
        if (!walk->options->no_messages)
            say("%s: input file is also the output", path);
        return;
    }
    walk->selected |= file_search(walk->options, walk->matcher, fd, status, path,
                                  walk->named || (level != NULL && walk->options->names_default));
    if (walk->selected && walk->options->quiet)
        exit(0);
}

static void visit(struct walk *walk, int directory, const char *name, const char *path,
                  const struct level *level)
{
    const struct options *options = walk->options;
    bool given = level == NULL;
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
    struct stat status;
    int fd;

    if (!given)
        flags |= O_NONBLOCK | (options->follow ? 0 : O_NOFOLLOW);
    fd = openat(directory, name, flags);
    if (fd < 0) {
        if (given || errno != ELOOP || options->follow)
            say_error(options->no_messages, path == NULL ? "." : path, errno);
        return;
    }
    if (fstat(fd, &status) != 0) {
        say_error(options->no_messages, path, errno);
        close(fd);
        return;
    }
    if (S_ISDIR(status.st_mode) && options->recursive) {
        if ((path == NULL || !globs_leave_out(&options->directories, name, given)))
            walk_directory(walk, fd, &status, path, level);
        else
            close(fd);
        return;
    }
    if (S_ISDIR(status.st_mode))
        say_error(options->no_messages, path, EISDIR);
    else if (given ? !globs_leave_out(&options->files, name, true) : S_ISREG(status.st_mode))
        search_open(walk, fd, &status, path, level);
    close(fd);
}

void walk_file(struct walk *walk, const char *name)
{
    struct stat status;

    if (name == NULL) {
        visit(walk, AT_FDCWD, ".", NULL, NULL);
    } else if (strcmp(name, "-") != 0) {
        visit(walk, AT_FDCWD, name, name, NULL);
    } else if (fstat(STDIN_FILENO, &status) != 0) {
        say_error(walk->options->no_messages, walk->options->label, errno);
    } else if (S_ISDIR(status.st_mode)) {
        say_error(walk->options->no_messages, walk->options->label, EISDIR);
    } else {
        search_open(walk, STDIN_FILENO, &status, walk->options->label, NULL);
    }
}
