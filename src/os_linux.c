/*
 * os_linux: what only Linux tells about a process's pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
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

/* ---- which pages were written --------------------------------------------- */

/*
 * Documentation/admin-guide/mm/pagemap.rst.  A page of a private mapping stops being the
 * file's when it is written to; one that was only read is the file's, or the zero page.
 */
#define PAGEMAP_FILE_OR_SHARED (UINT64_C(1) << 61) /* of an entry of the file */
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

#define SCAN_FILE (UINT64_C(1) << 2) /* categories of the ioctl */
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_SWAPPED (UINT64_C(1) << 4)
#define SCAN_ZERO_PAGE (UINT64_C(1) << 5)

/* From <linux/fs.h> of Linux 6.7; older headers do not have them. */
struct scan_result {
    uint64_t start, end, categories;
};
struct scan_question {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define ASK_SCAN _IOWR('f', 16, struct scan_question)

#define RANGES_PER_CALL 32u
#define ENTRIES_PER_CALL 512u

/*
 * While the world is stopped the file stays open.  Else it is opened for each question: it
 * shows the address space of the process that opened it, not of a child, and a host may
 * close all descriptors that it finds.
 */
static atomic_bool world_is_stopped;
static atomic_int kept_fd = -1;

void os_world_is_stopped(bool stopped)
{
    int saved_errno = errno;
    int fd = atomic_exchange(&kept_fd, -1);

    if (fd >= 0)
        (void)close(fd);
    atomic_store(&world_is_stopped, stopped);
    errno = saved_errno;
}

static int open_pagemap(void)
{
    int fd = atomic_load(&kept_fd), none = -1;

    if (fd >= 0)
        return fd;
    fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && atomic_load(&world_is_stopped) &&
        !atomic_compare_exchange_strong(&kept_fd, &none, fd)) {
        (void)close(fd); /* another marker was quicker */
        fd = none;
    }
    return fd;
}

static void close_pagemap(int fd)
{
    if (fd >= 0 && fd != atomic_load(&kept_fd))
        (void)close(fd);
}

/* What is being found. */
struct finding {
    uintptr_t at, to; /* where to go on looking */
    struct os_range *ranges;
    size_t n_most, n;
};

/* False: no room. */
static bool add(struct finding *finding, uintptr_t from, uintptr_t to, bool may_fault)
{
    struct os_range *last = finding->n > 0 ? &finding->ranges[finding->n - 1] : NULL;

    if (last != NULL && last->to == from && last->may_fault == may_fault) {
        last->to = to;
        return true;
    }
    if (finding->n == finding->n_most)
        return false;
    /* NOLINTNEXTLINE: the first is not merged with anything */
    finding->ranges[finding->n++] = (struct os_range){ from, to, may_fault };
    return true;
}

/* One call finds them in any stretch of sparse memory.  Linux 6.7. */
static bool ask_scan(struct finding *finding, int fd)
{
    struct scan_result results[RANGES_PER_CALL];

    while (finding->at < finding->to && finding->n < finding->n_most) {
        size_t room = finding->n_most - finding->n;
        struct scan_question question = {
            .size = sizeof question,
            .start = finding->at,
            .end = finding->to,
            .vec = (uintptr_t)results,
            .vec_len = room < RANGES_PER_CALL ? room : RANGES_PER_CALL,
            .category_mask = SCAN_FILE | SCAN_ZERO_PAGE,
            .category_inverted = SCAN_FILE | SCAN_ZERO_PAGE,
            .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
            .return_mask = SCAN_SWAPPED,
        };
        int n = ioctl(fd, ASK_SCAN, &question);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || question.walk_end <= finding->at)
            return false;
        for (int i = 0; i < n; i++)
            (void)add(finding, (uintptr_t)results[i].start, (uintptr_t)results[i].end,
                      (results[i].categories & SCAN_SWAPPED) != 0);
        finding->at = (uintptr_t)question.walk_end;
    }
    return true;
}

static bool add_entries(struct finding *finding, const uint64_t *entries, size_t n)
{
    size_t page = os_page_size();

    for (size_t i = 0; i < n; i++, finding->at += page) {
        bool present = (entries[i] & PAGEMAP_PRESENT) != 0;

        if ((!present && !(entries[i] & PAGEMAP_SWAPPED)) || (entries[i] & PAGEMAP_FILE_OR_SHARED))
            continue;
        if (!add(finding, finding->at, finding->at + page, !present))
            return false;
    }
    return true;
}

static bool read_entries(struct finding *finding, int fd)
{
    uint64_t entries[ENTRIES_PER_CALL];

    while (finding->at < finding->to) {
        size_t first = finding->at / os_page_size();
        size_t n = (finding->to - finding->at) / os_page_size();
        ssize_t got =
            pread(fd, entries, (n < ENTRIES_PER_CALL ? n : ENTRIES_PER_CALL) * 8, (off_t)first * 8);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 8)
            return false;
        if (!add_entries(finding, entries, (size_t)got / 8))
            break;
    }
    return true;
}

/* Memory that is not resident has been swapped out or was never written: no swap, no doubt. */
static bool look_for_resident(struct finding *finding)
{
    unsigned char resident[ENTRIES_PER_CALL];
    size_t page = os_page_size();
    struct sysinfo info;

    if (sysinfo(&info) != 0 || info.totalswap != 0)
        return false;
    while (finding->at < finding->to) {
        size_t n = (finding->to - finding->at) / page;

        n = n < ENTRIES_PER_CALL ? n : ENTRIES_PER_CALL;
        if (mincore((void *)finding->at, n * page, resident) != 0)
            return false;
        for (size_t i = 0; i < n; i++, finding->at += page)
            if ((resident[i] & 1) && !add(finding, finding->at, finding->at + page, false))
                return true;
    }
    return true;
}

size_t os_find_written(uintptr_t *from, uintptr_t to, struct os_range *ranges, size_t n_most)
{
    struct finding finding = { *from, to, ranges, n_most, 0 };
    int saved_errno = errno, fd = open_pagemap();
    bool found = fd >= 0 && (ask_scan(&finding, fd) || read_entries(&finding, fd));

    /* Each goes on where the one before gave up. */
    if (!found && !look_for_resident(&finding) && add(&finding, finding.at, to, false))
        finding.at = to;
    close_pagemap(fd);
    *from = finding.at;
    errno = saved_errno;
    return finding.n;
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
    int saved_errno = errno, error;
    struct iovec local = { to, n_bytes }, remote = { (void *)from, n_bytes };
    bool all = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n_bytes;
    bool is_unreadable = !all && errno == EFAULT;

    errno = saved_errno;
    if (all || is_unreadable)
        return all ? 0 : EFAULT;
    /* Containers may forbid that call. */
    error = os_copy_through_pipe(to, from, n_bytes);
    return error == 0 || error == EFAULT ? error : ENOTSUP;
}

size_t os_copy(void *to, const void *from, size_t n_bytes, bool in)
{
    int saved_errno = errno;
    struct iovec target = { to, n_bytes }, source = { (void *)from, n_bytes };
    ssize_t n = in ? process_vm_writev(getpid(), &source, 1, &target, 1, 0)
                   : process_vm_readv(getpid(), &target, 1, &source, 1, 0);

    errno = saved_errno;
    return n > 0 ? (size_t)n : 0;
}

static int reserve_space(int fd, int mode, off_t from, off_t n_bytes)
{
    int result;

    do
        result = fallocate(fd, mode, from, n_bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

int os_grow_file(int fd, off_t size, off_t *before)
{
    int saved_errno = errno;
    struct os_file file;
    int error = os_describe(fd, &file);

    if (before != NULL)
        *before = error == 0 ? file.size : size;
    if (error != 0 || file.size >= size)
        return error;
    /* First the space, which can be refused half-way; then the length, which needs none. */
    error = reserve_space(fd, FALLOC_FL_KEEP_SIZE, file.size, size - file.size);
    if (error == 0)
        error = reserve_space(fd, 0, file.size, size - file.size);
    if (error == EOPNOTSUPP)
        error = os_cut_file(fd, size);
    errno = saved_errno;
    return error;
}
