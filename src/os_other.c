/*
 * os_other: in place of os_linux where the system tells nothing about pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>

#include "os.h"

int os_written_pages(const void *at, size_t n_pages, bool *written)
{
    (void)at, (void)n_pages, (void)written;
    return ENOTSUP;
}
