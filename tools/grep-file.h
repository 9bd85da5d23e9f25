/*
 * grep-file: one file's bytes: mapped, or read where it cannot be mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_FILE_H
#define GREP_FILE_H

#include <sys/stat.h>

#include "grep-match.h"
#include "grep-options.h"

/*
 * Searches an open file, which stays the caller's and may be closed at once.
 *
 * \param name   as it is shown; kept.
 * \param named  whether it is shown in front of each line.
 * \return  whether lines were selected.
 */
bool file_search(const struct options *options, struct matcher *matcher, int fd,
                 const struct stat *status, const char *name, bool named);

#endif
