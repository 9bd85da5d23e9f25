/*
 * grep-walk: files named on the command line, and what lies in directories, by name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_WALK_H
#define GREP_WALK_H

#include <sys/types.h>

#include "grep-match.h"
#include "grep-options.h"

struct walk {
    const struct options *options;
    struct matcher *matcher;
    bool named;      /* names are shown of files of the command line */
    bool selected;   /* something was */
    bool has_output; /* stdout is a regular file ... */
    dev_t output_device;
    ino_t output_inode; /* ... this one, and is not searched */
};

/* A file of the command line; "-" is stdin.  NULL: all in the working directory. */
void walk_file(struct walk *walk, const char *name);

#endif
