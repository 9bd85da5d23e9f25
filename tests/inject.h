/*
 * inject: lets the Nth call to one function of the system's or the collector's fail, of those
 * that the library makes.  Programs are linked with the library's objects and the linker's
 * --wrap option for each: see INJECT_LDFLAGS in local.mk.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef INJECT_H
#define INJECT_H

#include "live.h"

#include <dirent.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>

/* clang-format off */
#define INJECTABLE(X) \
    X(mmap) X(munmap) X(mprotect) X(mremap) X(madvise) X(mlock) X(munlock) X(msync) \
    X(mincore) X(open) X(read) X(pread) X(write) X(pwrite) X(pipe) X(fcntl) X(fstat) \
    X(fstatfs) X(ftruncate) X(fallocate) X(lseek) X(memfd_create) X(shm_open) X(shm_unlink) \
    X(syscall) X(prctl) X(ioctl) X(fopen) X(opendir) X(readdir) X(getline) X(stat) X(readlink) X(process_vm_readv) \
    X(process_vm_writev) X(malloc) X(calloc) X(realloc) X(strdup) X(GC_generic_malloc) \
    X(GC_malloc) X(GC_malloc_atomic) X(GC_malloc_uncollectable)
/* clang-format on */

enum injectable {
    NO_FUNCTION,
#define X(function) AT_##function,
    INJECTABLE(X)
#undef X
        N_INJECTABLE,
    MAP_SLOTS = N_INJECTABLE /* any that takes slots of the kernel's table of mappings */
};

static const char *const injectable_names[] __attribute__((unused)) = { "nothing",
#define X(function) #function,
                                                                        INJECTABLE(X)
#undef X
                                                                            "map slots" };

/* What is to fail. */
static struct {
    enum injectable function;
    int error;
    int nth;                  /* from 1 on; 0: none */
    bool always;              /* and all that follow */
    enum injectable standing; /* fails all the time, beside that */
    uint64_t chance;          /* instead, if it is not 0: any, now and then */
} injection;

static atomic_bool is_armed;
static atomic_int n_calls[N_INJECTABLE + 1], n_injected; /* since it was armed */
static atomic_bool was_called[N_INJECTABLE];             /* ever, while it was armed */

static inline void arm(enum injectable function, int error, int nth, bool always)
{
    injection.function = function;
    injection.error = error;
    injection.nth = nth;
    injection.always = always;
    for (int i = 0; i <= N_INJECTABLE; i++)
        atomic_store(&n_calls[i], 0);
    atomic_store(&n_injected, 0);
    atomic_store(&is_armed, true);
}

static inline void disarm(void)
{
    atomic_store(&is_armed, false);
}

/* What each may plausibly say; the last is 0. */
static const int *errors_of(enum injectable function)
{
    static const int memory[] = { ENOMEM, 0 }, pages[] = { ENOMEM, EAGAIN, 0 };
    static const int advice[] = { ENOMEM, EINVAL, EAGAIN, 0 }, disk[] = { EIO, EINTR, 0 };
    static const int disk_failure[] = { EIO, 0 };
    static const int space[] = { EOPNOTSUPP, ENOSPC, EINTR, 0 }, none[] = { ENOSYS, EMFILE, 0 };
    static const int descriptors[] = { EMFILE, ENFILE, 0 };
    static const int file[] = { EMFILE, ENOMEM, 0 }, copy[] = { EPERM, EFAULT, 0 };
    static const int transfer[] = { EINTR, EIO, 0 };

    switch (function) {
    case AT_mmap:
    case AT_mlock:
    case AT_mincore:
        return pages;
    case AT_madvise:
    case AT_ioctl:
    case AT_prctl:
        return advice;
    case AT_ftruncate:
        return disk;
    case AT_msync:
    case AT_fstat:
    case AT_fstatfs:
    case AT_lseek:
    case AT_readlink:
    case AT_readdir:
        return disk_failure;
    case AT_fallocate:
        return space;
    case AT_memfd_create:
    case AT_syscall:
        return none;
    case AT_open:
    case AT_fcntl:
    case AT_shm_open:
    case AT_fopen:
    case AT_opendir:
    case AT_stat:
        return file;
    case AT_pipe:
        return descriptors;
    case AT_process_vm_readv:
    case AT_process_vm_writev:
        return copy;
    case AT_read:
    case AT_pread:
    case AT_write:
    case AT_pwrite:
        return transfer;
    default:
        return memory;
    }
}

#define ONE_OF 30 /* calls fails, by chance */

static bool fails_by_chance(enum injectable function)
{
    const int *errors = errors_of(function);
    unsigned n_errors = 0;

    /*
     * What cannot be unmapped, unlinked or looked at is left over; and to read protected pages
     * the collector needs to open and read a file, others a pipe where process_vm_readv() fails.
     */
    if (function == AT_munmap || function == AT_shm_unlink || function == AT_fstat ||
        function == AT_open || function == AT_pread || function == AT_pipe || function == AT_read ||
        function == AT_write || next_random(&injection.chance) % ONE_OF != 0)
        return false;
    while (errors[n_errors] != 0)
        n_errors++;
    atomic_fetch_add(&n_injected, 1);
    /* EFAULT means that the collector cannot read a page, so it need not. */
    errno =
        function == AT_process_vm_readv ? EPERM : errors[next_random(&injection.chance) % n_errors];
    return true;
}

static bool takes_map_slots(enum injectable function)
{
    return function == AT_mmap || function == AT_mprotect || function == AT_mremap ||
           function == AT_madvise || function == AT_mlock || function == AT_munlock;
}

static bool fails(enum injectable function)
{
    int n;

    if (!atomic_load(&is_armed))
        return false;
    atomic_store(&was_called[function], true);
    if (injection.chance != 0)
        return fails_by_chance(function);
    n = atomic_fetch_add(&n_calls[function], 1) + 1;
    if (function == injection.standing && function != NO_FUNCTION) {
        errno = *errors_of(function);
        return true;
    }
    if (injection.function == MAP_SLOTS && takes_map_slots(function)) {
        function = MAP_SLOTS;
        n = atomic_fetch_add(&n_calls[function], 1) + 1;
    }
    if (function != injection.function || injection.nth == 0 || n < injection.nth ||
        (n > injection.nth && !injection.always &&
         (function != MAP_SLOTS || n > injection.nth + 1)))
        return false;
    atomic_fetch_add(&n_injected, 1);
    errno = injection.error;
    return true;
}

/* ---- the functions; the linker calls the true ones __real_... --------------------------------- */

#define WRAP_AS(symbol, type, function, bad, parameters, arguments)                                \
    type __real_##symbol parameters;                                                               \
    type __wrap_##symbol parameters;                                                               \
    type __wrap_##symbol parameters                                                                \
    {                                                                                              \
        return fails(AT_##function) ? bad : __real_##symbol arguments;                             \
    }
#define WRAP(type, function, bad, parameters, arguments)                                           \
    WRAP_AS(function, type, function, bad, parameters, arguments)

/* The linker sees the names that the C library's headers give to functions with offsets. */
#if defined __GLIBC__ && defined _FILE_OFFSET_BITS && _FILE_OFFSET_BITS == 64
#define WRAP_WITH_OFFSET(type, function, bad, parameters, arguments)                               \
    WRAP_AS(function##64, type, function, bad, parameters, arguments)
#else
#define WRAP_WITH_OFFSET WRAP
#endif

WRAP_WITH_OFFSET(void *, mmap, MAP_FAILED,
                 (void *at, size_t n, int prot, int flags, int fd, off_t offset),
                 (at, n, prot, flags, fd, offset))
WRAP(int, munmap, -1, (void *at, size_t n), (at, n))
WRAP(int, mprotect, -1, (void *at, size_t n, int prot), (at, n, prot))
WRAP(void *, mremap, MAP_FAILED, (void *from, size_t n, size_t to_n, int flags, void *to),
     (from, n, to_n, flags, to))
WRAP(int, madvise, -1, (void *at, size_t n, int advice), (at, n, advice))
WRAP(int, mlock, -1, (const void *at, size_t n), (at, n))
WRAP(int, munlock, -1, (const void *at, size_t n), (at, n))
WRAP(int, msync, -1, (void *at, size_t n, int flags), (at, n, flags))
WRAP(int, mincore, -1, (void *at, size_t n, unsigned char *pages), (at, n, pages))
WRAP_WITH_OFFSET(int, open, -1, (const char *path, int flags, unsigned mode), (path, flags, mode))
WRAP(ssize_t, read, -1, (int fd, void *to, size_t n), (fd, to, n))
WRAP_WITH_OFFSET(ssize_t, pread, -1, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
WRAP(ssize_t, write, -1, (int fd, const void *from, size_t n), (fd, from, n))
WRAP_WITH_OFFSET(ssize_t, pwrite, -1, (int fd, const void *from, size_t n, off_t at),
                 (fd, from, n, at))
WRAP_WITH_OFFSET(off_t, lseek, -1, (int fd, off_t at, int whence), (fd, at, whence))
/* glibc's headers may call it by the second name. */
WRAP(ssize_t, getline, -1, (char **line, size_t *n, FILE *stream), (line, n, stream))
#ifdef __GLIBC__
WRAP_AS(__getdelim, ssize_t, getline, -1, (char **line, size_t *n, int end, FILE *stream),
        (line, n, end, stream))
#endif
WRAP_WITH_OFFSET(int, stat, -1, (const char *path, struct stat *status), (path, status))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP_WITH_OFFSET(struct dirent *, readdir, NULL, (DIR * directory), (directory))
WRAP(ssize_t, readlink, -1, (const char *path, char *to, size_t n), (path, to, n))
WRAP(void *, realloc, NULL, (void *old, size_t n), (old, n))
WRAP(int, pipe, -1, (int ends[2]), (ends))
WRAP_WITH_OFFSET(int, fcntl, -1, (int fd, int command, long argument), (fd, command, argument))
WRAP_WITH_OFFSET(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP_WITH_OFFSET(int, ftruncate, -1, (int fd, off_t size), (fd, size))
WRAP_WITH_OFFSET(int, fallocate, -1, (int fd, int mode, off_t from, off_t n), (fd, mode, from, n))
WRAP(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
WRAP(int, shm_open, -1, (const char *name, int flags, mode_t mode), (name, flags, mode))
WRAP(int, shm_unlink, -1, (const char *name), (name))
WRAP(long, syscall, -1, (long number, long a, long b, long c, long d, long e, long f),
     (number, a, b, c, d, e, f))
WRAP(int, prctl, -1, (int what, unsigned long a, unsigned long b, unsigned long c, void *d),
     (what, a, b, c, d))
WRAP_WITH_OFFSET(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(ssize_t, process_vm_readv, -1,
     (pid_t pid, const struct iovec *to, unsigned long n_to, const struct iovec *from,
      unsigned long n_from, unsigned long flags),
     (pid, to, n_to, from, n_from, flags))
WRAP(ssize_t, process_vm_writev, -1,
     (pid_t pid, const struct iovec *from, unsigned long n_from, const struct iovec *to,
      unsigned long n_to, unsigned long flags),
     (pid, from, n_from, to, n_to, flags))
WRAP(void *, malloc, NULL, (size_t n), (n))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(char *, strdup, NULL, (const char *text), (text))
WRAP(void *, GC_generic_malloc, NULL, (size_t n, int kind), (n, kind))
WRAP(void *, GC_malloc, NULL, (size_t n), (n))
WRAP(void *, GC_malloc_atomic, NULL, (size_t n), (n))
WRAP(void *, GC_malloc_uncollectable, NULL, (size_t n), (n))

/*
 * While it pretends to, the file system shares blocks between files, as XFS does: so what goes
 * wrong there can be tried on any.
 */
static bool pretends_to_clone;

static inline int pretend_xfs(struct statfs *status)
{
    if (pretends_to_clone)
        status->f_type = 0x58465342;
    return 0;
}

static inline bool clone_by_copying(int to, unsigned long what, const void *argument)
{
    const struct file_clone_range *range = argument;
    off_t from;

    if (!pretends_to_clone || what != FICLONERANGE)
        return false;
    from = (off_t)range->src_offset;
    while (sendfile(to, (int)range->src_fd, &from, MiB) > 0)
        ;
    return true;
}

WRAP_WITH_OFFSET(int, fstatfs, -1, (int fd, struct statfs *status),
                 (fd, status) == 0 ? pretend_xfs(status) : -1)

int __real_ioctl(int fd, unsigned long what, void *argument);
int __wrap_ioctl(int fd, unsigned long what, void *argument);
int __wrap_ioctl(int fd, unsigned long what, void *argument)
{
    if (fails(AT_ioctl))
        return -1;
    return clone_by_copying(fd, what, argument) ? 0 : __real_ioctl(fd, what, argument);
}

#endif
