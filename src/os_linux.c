/*
 * os_linux: what only Linux tells about a process's pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "os.h"

/* Bits of a /proc/self/pagemap entry: Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_FILE_OR_SHARED (UINT64_C(1) << 61)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

#define ENTRIES_PER_READ 512

static bool is_written(uint64_t entry)
{
    /* A page of a private mapping stops being the file's when it is written. */
    return (entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0 &&
           (entry & PAGEMAP_FILE_OR_SHARED) == 0;
}

int os_written_pages(const void *at, size_t n_pages, bool *written)
{
    int saved_errno = errno;
    uint64_t entries[ENTRIES_PER_READ];
    off_t first = (off_t)((uintptr_t)at / os_page_size());
    /*
     * Opened afresh: the file shows the address space of the process that
     * opened it, not of a child, and a host may close all descriptors it sees.
     */
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? ENOTSUP : 0;

    for (size_t done = 0; error == 0 && done < n_pages;) {
        size_t n = n_pages - done < ENTRIES_PER_READ ? n_pages - done : ENTRIES_PER_READ;
        ssize_t got = pread(fd, entries, n * sizeof *entries,
                            (first + (off_t)done) * (off_t)sizeof *entries);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < (ssize_t)sizeof *entries) {
            error = ENOTSUP;
            break;
        }
        n = (size_t)got / sizeof *entries;
        for (size_t i = 0; i < n; i++)
            written[done + i] = is_written(entries[i]);
        done += n;
    }
    if (fd >= 0)
        (void)close(fd);
    errno = saved_errno;
    return error;
}
