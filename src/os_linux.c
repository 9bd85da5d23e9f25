/*
 * os_linux: what only Linux tells about a process's pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
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
        ssize_t got =
            pread(fd, entries, n * sizeof *entries, (first + (off_t)done) * (off_t)sizeof *entries);

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

int os_residency(void *at, size_t n_pages, unsigned char *resident)
{
    int saved_errno = errno;
    int error = mincore(at, n_pages * os_page_size(), resident) != 0 ? errno : 0;

    errno = saved_errno;
    for (size_t i = 0; error == 0 && i < n_pages; i++)
        resident[i] &= 1; /* the other bits are not defined */
    return error;
}

static int add_writable_segments(struct dl_phdr_info *info, size_t n_bytes, void *total)
{
    (void)n_bytes;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_W))
            *(size_t *)total += info->dlpi_phdr[i].p_memsz;
    return 0;
}

size_t os_static_data_bytes(void)
{
    static size_t bytes; /* racing threads store the same value, or nearly */
    size_t known = __atomic_load_n(&bytes, __ATOMIC_RELAXED);

    if (known == 0) {
        (void)dl_iterate_phdr(add_writable_segments, &known);
        __atomic_store_n(&bytes, known, __ATOMIC_RELAXED);
    }
    return known;
}

int os_peek(void *to, const void *from, size_t n_bytes)
{
    int saved_errno = errno;
    struct iovec local = { to, n_bytes }, remote = { (void *)from, n_bytes };
    bool all = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n_bytes;

    errno = saved_errno;
    return all ? 0 : EFAULT;
}

static int reserve_space(int fd, int mode, off_t from, off_t n_bytes)
{
    int result;

    do
        result = fallocate(fd, mode, from, n_bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

int os_grow_file(int fd, off_t size)
{
    int saved_errno = errno;
    struct os_file file;
    int error = os_describe(fd, &file);

    if (error != 0 || file.size >= size)
        return error;
    /* First the space, which can be refused half-way; then the length, which needs none. */
    error = reserve_space(fd, FALLOC_FL_KEEP_SIZE, file.size, size - file.size);
    if (error == 0)
        error = reserve_space(fd, 0, file.size, size - file.size);
    else if (error == EOPNOTSUPP)
        error = ftruncate(fd, size) != 0 ? errno : 0;
    errno = saved_errno;
    return error;
}
