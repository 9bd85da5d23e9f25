/*
 * os_linux_extra: what Linux can do for a mapping beyond POSIX.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os_extra.h"

/* Of the kernel's interface, in case the C library is older. */
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* The kernel's ANON_VMA_NAME_MAX_LEN. */
#define NAME_BYTES 80u

int os_extra_flags(unsigned flags, int mmap_flags)
{
    if (flags & GCMMAP_SYNC_DAX)
        mmap_flags = (mmap_flags & ~MAP_SHARED) | MAP_SHARED_VALIDATE | MAP_SYNC;
    if (flags & GCMMAP_HUGE_ONLY)
        mmap_flags |= MAP_HUGETLB;
    /* Huge pages have to be asked for first: see populate_huge(). */
    if ((flags & GCMMAP_POPULATE) && !(flags & GCMMAP_HUGE))
        mmap_flags |= MAP_POPULATE;
    return mmap_flags;
}

static int advise(void *at, size_t n_bytes, int advice)
{
    int saved_errno = errno;
    int error = madvise(at, n_bytes, advice) != 0 ? errno : 0;

    errno = saved_errno;
    return error == EAGAIN ? ENOMEM : error; /* what madvise(2) says of kernel memory */
}

/* As MAP_POPULATE: as far as it goes.  Kernels before 5.14 do not know it. */
static void populate_huge(void *at, size_t n_bytes, unsigned flags)
{
    bool copies = (flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == (GCMMAP_WRITE | GCMMAP_PRIVATE);

    (void)advise(at, n_bytes, copies ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

/* Printable, without what has a meaning in /proc/self/maps: prctl(2). */
static bool is_of_name(char c)
{
    return c > 0x1f && c < 0x7f && strchr("\\`$[]", c) == NULL;
}

/* A kernel that cannot show names is no error. */
static void show_name(void *at, size_t n_bytes, const char *name)
{
    char shown[NAME_BYTES];
    int saved_errno = errno;
    size_t i;

    for (i = 0; i < NAME_BYTES - 1 && name[i] != '\0'; i++)
        shown[i] = is_of_name(name[i]) ? name[i] : '_';
    shown[i] = '\0';
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, n_bytes, shown);
    errno = saved_errno;
}

int os_extra_finish(void *at, size_t n_bytes, const struct os_mapping *what)
{
    int error = 0;

    if (what->flags & GCMMAP_HUGE) {
        (void)advise(at, n_bytes, MADV_HUGEPAGE); /* a wish */
        if (what->flags & GCMMAP_POPULATE)
            populate_huge(at, n_bytes, what->flags);
    }
    if (what->name != NULL && what->fd < 0)
        show_name(at, n_bytes, what->name);
    if (what->flags & GCMMAP_NO_FORK)
        error = advise(at, n_bytes, MADV_DONTFORK);
    if (error == 0 && (what->flags & GCMMAP_NO_DUMP))
        error = advise(at, n_bytes, MADV_DONTDUMP);
    return error;
}

/* The number behind `name` in a small text file of the kernel's; 0: there is none. */
static size_t read_number(const char *path, const char *name)
{
    char text[4096];
    int saved_errno = errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *at;

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, name);
    n = at == NULL ? 0 : (ssize_t)strtoul(at + strlen(name), NULL, 10);
    errno = saved_errno;
    return (size_t)n;
}

static size_t find_huge_page_size(unsigned flags)
{
    size_t n_bytes = flags & GCMMAP_HUGE_ONLY
                         ? read_number("/proc/meminfo", "Hugepagesize:") * 1024
                         : read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "");

    return (n_bytes & (n_bytes - 1)) != 0 || n_bytes < os_page_size() ? 1 : n_bytes;
}

size_t os_huge_page_size(unsigned flags)
{
    static size_t sizes[2]; /* racing threads store the same value */
    size_t *size = &sizes[(flags & GCMMAP_HUGE_ONLY) != 0];
    size_t known = __atomic_load_n(size, __ATOMIC_RELAXED);

    if (known == 0) {
        known = find_huge_page_size(flags);
        if (known > 1) /* else it may be for want of a descriptor */
            __atomic_store_n(size, known, __ATOMIC_RELAXED);
    }
    return known > 1 ? known : 0;
}

int os_extra_open_secret(size_t n_bytes, int *fd)
{
    int saved_errno = errno, error = ENOSYS;

#ifdef SYS_memfd_secret
    *fd = (int)syscall(SYS_memfd_secret, (unsigned)O_CLOEXEC);
    error = *fd < 0 ? errno : 0;
#endif
    errno = saved_errno;
    if (error != 0)
        return error;
    error = os_cut_file(*fd, (off_t)n_bytes);
    if (error != 0)
        os_close(*fd);
    return error;
}

int os_open_memfd(const char *name, int *fd)
{
    int saved_errno = errno, error;

    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    error = *fd < 0 ? errno : 0;
    errno = saved_errno;
    return error;
}

int os_seal(int fd)
{
    int saved_errno = errno;
    int error = fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
                    ? errno
                    : 0;

    errno = saved_errno;
    return error;
}

/* File systems of this machine's own disks that share blocks; others are asked over a net. */
static bool may_share_blocks(int fd)
{
    static const unsigned long magic[] = {
        0x58465342, /* XFS */
        0x9123683e, /* btrfs */
        0xca451a4e, /* bcachefs */
        0x2fc12fc1, /* ZFS */
    };
    struct statfs status;

    if (fstatfs(fd, &status) != 0)
        return false;
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if ((unsigned long)status.f_type == magic[i])
            return true;
    return false;
}

/* The directory that it is in, or was. */
static bool find_directory(int fd, char *path, size_t room)
{
    char link[64], *slash;
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, room - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

/* Whole blocks, or all up to the end. */
static int share_blocks(int to, int fd, off_t from, size_t n_bytes)
{
    struct file_clone_range range = { .src_fd = fd, .src_offset = (uint64_t)from };
    struct stat status;
    uint64_t block, end;

    if (fstat(fd, &status) != 0)
        return errno;
    block = (uint64_t)status.st_blksize;
    end = ((uint64_t)from + n_bytes + block - 1) / block * block;
    if (end < (uint64_t)status.st_size)
        range.src_length = end - (uint64_t)from;
    return ioctl(to, FICLONERANGE, &range) != 0 ? errno : 0;
}

int os_clone(int fd, off_t from, size_t n_bytes, int *clone)
{
    char directory[PATH_MAX];
    int saved_errno = errno, error = ENOTSUP;

    if (may_share_blocks(fd) && find_directory(fd, directory, sizeof directory)) {
        /* Nobody may open it, or give it a name. */
        *clone = open(directory, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0);
        if (*clone >= 0) {
            error = share_blocks(*clone, fd, from, n_bytes);
            if (error != 0)
                (void)close(*clone);
        }
    }
    errno = saved_errno;
    return error == 0 ? 0 : ENOTSUP;
}

int os_move(void *to, void *from, size_t n_bytes)
{
    int saved_errno = errno;
    bool moved = mremap(from, n_bytes, n_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED;
    int error = moved ? 0 : errno;

    errno = saved_errno;
    return error;
}
