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

#include "gcmmap.h"
#include "os.h"

/* Younger than some C libraries, and the same on all architectures. */
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_GUARD_REMOVE
#define MADV_GUARD_REMOVE 103
#endif

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

/* Our numbers are those of most architectures, not of all. */
static const struct {
    int ours, kernels;
} advices[] = {
    { GCMMAP_ADVISE_NORMAL, MADV_NORMAL },
    { GCMMAP_ADVISE_RANDOM, MADV_RANDOM },
    { GCMMAP_ADVISE_SEQUENTIAL, MADV_SEQUENTIAL },
    { GCMMAP_ADVISE_WILLNEED, MADV_WILLNEED },
    { GCMMAP_ADVISE_DONTNEED, MADV_DONTNEED },
    { GCMMAP_ADVISE_FREE, MADV_FREE },
    { GCMMAP_ADVISE_REMOVE, MADV_REMOVE },
    { GCMMAP_ADVISE_MERGEABLE, MADV_MERGEABLE },
    { GCMMAP_ADVISE_UNMERGEABLE, MADV_UNMERGEABLE },
    { GCMMAP_ADVISE_HUGEPAGE, MADV_HUGEPAGE },
    { GCMMAP_ADVISE_NOHUGEPAGE, MADV_NOHUGEPAGE },
    { GCMMAP_ADVISE_DONTDUMP, MADV_DONTDUMP },
    { GCMMAP_ADVISE_DODUMP, MADV_DODUMP },
    { GCMMAP_ADVISE_WIPEONFORK, MADV_WIPEONFORK },
    { GCMMAP_ADVISE_KEEPONFORK, MADV_KEEPONFORK },
    { GCMMAP_ADVISE_COLD, MADV_COLD },
    { GCMMAP_ADVISE_PAGEOUT, MADV_PAGEOUT },
    { GCMMAP_ADVISE_POPULATE_READ, MADV_POPULATE_READ },
    { GCMMAP_ADVISE_POPULATE_WRITE, MADV_POPULATE_WRITE },
    { GCMMAP_ADVISE_DONTNEED_LOCKED, MADV_DONTNEED_LOCKED },
    { GCMMAP_ADVISE_COLLAPSE, MADV_COLLAPSE },
    { GCMMAP_ADVISE_HWPOISON, MADV_HWPOISON },
    { GCMMAP_ADVISE_SOFT_OFFLINE, MADV_SOFT_OFFLINE },
    { GCMMAP_ADVISE_GUARD_INSTALL, MADV_GUARD_INSTALL },
    { GCMMAP_ADVISE_GUARD_REMOVE, MADV_GUARD_REMOVE },
};

static int advise(void *at, size_t n_bytes, int number)
{
    int saved_errno = errno;
    int error = madvise(at, n_bytes, number) != 0 ? errno : 0;

    errno = saved_errno;
    return error;
}

int os_advise(void *at, size_t n_bytes, int advice)
{
    size_t i = 0;
    int error;

    while (i < sizeof advices / sizeof *advices && advices[i].ours != advice)
        i++;
    if (i == sizeof advices / sizeof *advices)
        return EINVAL;
    error = advise(at, n_bytes, advices[i].kernels);
    /* Kernels without swap: anonymous memory cannot be read in, nor has it to be. */
    return error == EBADF && advice == GCMMAP_ADVISE_WILLNEED ? 0 : error;
}

int os_unload(void *at, size_t n_bytes, bool shared)
{
    int error = advise(at, n_bytes, MADV_PAGEOUT);

    /* Any advice that the kernel knows is good for no pages at all. */
    if (error == EINVAL && advise(at, 0, MADV_PAGEOUT) != 0)
        error = shared ? 0 : ENOTSUP;
    /* Pages that others use were left alone. */
    if (error == 0 && shared)
        error = advise(at, n_bytes, MADV_DONTNEED);
    return error == EINVAL ? EBUSY : error;
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

/* As debuggers do.  Opened afresh: see os_written_pages(). */
int os_peek_protected(void *to, const void *from, size_t n_bytes)
{
    int saved_errno = errno;
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    bool all = fd >= 0 && pread(fd, to, n_bytes, (off_t)(uintptr_t)from) == (ssize_t)n_bytes;

    if (fd >= 0)
        (void)close(fd);
    errno = saved_errno;
    return all ? 0 : EFAULT;
}

bool os_peeks_protected(void)
{
    void *page;
    char byte;
    bool peeks;

    if (os_set_aside(os_page_size(), 0, 0, &page) != 0)
        return false;
    peeks = os_peek_protected(&byte, page, 1) == 0;
    (void)os_unmap(page, os_page_size());
    return peeks;
}
