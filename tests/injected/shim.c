/*
 * shim: preloaded into a program that uses libgcmmap.so, lets the Nth call fail that the library
 * makes to the system, the C library or the collector.  Calls that others make are left alone.
 *
 *   GCMMAP_INJECT_NTH=n       the first that fails, counted from 1; 0: none
 *   GCMMAP_INJECT_MODE=one    it alone; two: the next one too;
 *                     full    from it on all that take map slots, 300 of them: the table is full
 *   GCMMAP_INJECT_COUNT=file  gets the number of calls, when the program ends
 *
 * Forked children count along with their parent.  See tests/check-injected.sh.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define FULL_FOR 300 /* calls */

static uintptr_t text_from, text_to; /* of the library */
static long nth, n_failing = 1;
static bool is_full_mode;
static pid_t counter; /* the process that writes the number */
static const char *count_path;
static atomic_long *n_calls; /* shared with children */
static atomic_bool is_ready;

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (strstr(info->dlpi_name, "/libgcmmap.so") == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            text_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            text_to = text_from + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("GCMMAP_INJECT_NTH"), *mode = getenv("GCMMAP_INJECT_MODE");

    dl_iterate_phdr(find_text, NULL);
    nth = text != NULL ? atol(text) : 0;
    is_full_mode = mode != NULL && strcmp(mode, "full") == 0;
    if (mode != NULL && strcmp(mode, "two") == 0)
        n_failing = 2;
    count_path = getenv("GCMMAP_INJECT_COUNT");
    counter = getpid();
    n_calls =
        mmap(NULL, sizeof *n_calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (n_calls == MAP_FAILED)
        _exit(98);
    atomic_store(&is_ready, true);
}

__attribute__((destructor)) static void write_count(void)
{
    char text[32] = "";
    int fd, n;

    if (count_path == NULL || getpid() != counter)
        return;
    /* Programs may execute themselves: the largest number counts. */
    fd = open(count_path, O_RDWR | O_CREAT, 0600);
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && atol(text) >= atomic_load(n_calls)) {
        close(fd);
        return;
    }
    n = snprintf(text, sizeof text, "%ld\n", atomic_load(n_calls));
    if (fd < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        _exit(98);
    close(fd);
}

static bool fails(const void *caller, int error, bool takes_slot)
{
    long n;

    if ((uintptr_t)caller < text_from || (uintptr_t)caller >= text_to || !atomic_load(&is_ready))
        return false;
    n = atomic_fetch_add(n_calls, 1) + 1;
    if (nth == 0 || n < nth)
        return false;
    /*
     * Where process_vm_readv(2) is forbidden and there is no pipe either, nobody can read a page
     * that may be gone: HACKING.md says what the marker does then.
     */
    if (n > nth && error == ENFILE)
        return false;
    if (is_full_mode ? !takes_slot || n >= nth + FULL_FOR : n >= nth + n_failing)
        return false;
    errno = is_full_mode ? ENOMEM : error;
    return true;
}

/* The address of the true function; its type is that of the caller. */
#define TRUE_ONE(name)                                                                             \
    ({                                                                                             \
        static _Atomic(void *) known;                                                              \
        void *now = atomic_load(&known);                                                           \
                                                                                                   \
        if (now == NULL)                                                                           \
            atomic_store(&known, now = dlsym(RTLD_NEXT, #name));                                   \
        (__typeof__(&name##_type))now;                                                             \
    })

#define INTERPOSE(name, type, bad, error, takes_slot, parameters, arguments)                       \
    type name##_type parameters;                                                                   \
    __attribute__((visibility("default"))) type name##_ours parameters __asm__(#name);             \
    type name##_ours parameters                                                                    \
    {                                                                                              \
        if (fails(__builtin_return_address(0), error, takes_slot))                                 \
            return bad;                                                                            \
        return TRUE_ONE(name) arguments;                                                           \
    }

#define BAD_POINTER ((void *)-1)

#define MMAP(name)                                                                                 \
    INTERPOSE(name, void *, BAD_POINTER, ENOMEM, true,                                             \
              (void *at, size_t n, int prot, int flags, int fd, off_t offset),                     \
              (at, n, prot, flags, fd, offset))
MMAP(mmap)
MMAP(mmap64)
INTERPOSE(munmap, int, -1, ENOMEM, false, (void *at, size_t n), (at, n))
INTERPOSE(mprotect, int, -1, ENOMEM, true, (void *at, size_t n, int prot), (at, n, prot))
INTERPOSE(mremap, void *, BAD_POINTER, ENOMEM, true,
          (void *from, size_t n, size_t to_n, int flags, void *to), (from, n, to_n, flags, to))
INTERPOSE(madvise, int, -1, EAGAIN, true, (void *at, size_t n, int advice), (at, n, advice))
INTERPOSE(mlock, int, -1, EAGAIN, true, (const void *at, size_t n), (at, n))
INTERPOSE(munlock, int, -1, ENOMEM, true, (const void *at, size_t n), (at, n))
INTERPOSE(msync, int, -1, EIO, false, (void *at, size_t n, int flags), (at, n, flags))
INTERPOSE(mincore, int, -1, EAGAIN, false, (void *at, size_t n, unsigned char *to), (at, n, to))
#define OPEN(name)                                                                                 \
    INTERPOSE(name, int, -1, EMFILE, false, (const char *path, int flags, unsigned mode),          \
              (path, flags, mode))
OPEN(open)
OPEN(open64)
INTERPOSE(read, ssize_t, -1, EIO, false, (int fd, void *to, size_t n), (fd, to, n))
#define PREAD(name)                                                                                \
    INTERPOSE(name, ssize_t, -1, EINTR, false, (int fd, void *to, size_t n, off_t at),             \
              (fd, to, n, at))
PREAD(pread)
PREAD(pread64)
INTERPOSE(write, ssize_t, -1, EINTR, false, (int fd, const void *from, size_t n), (fd, from, n))
#define PWRITE(name)                                                                               \
    INTERPOSE(name, ssize_t, -1, ENOSPC, false, (int fd, const void *from, size_t n, off_t at),    \
              (fd, from, n, at))
PWRITE(pwrite)
PWRITE(pwrite64)
INTERPOSE(pipe, int, -1, ENFILE, false, (int *ends), (ends))
#define FCNTL(name)                                                                                \
    INTERPOSE(name, int, -1, EMFILE, false, (int fd, int command, long argument),                  \
              (fd, command, argument))
FCNTL(fcntl)
FCNTL(fcntl64)
#define FSTAT(name) INTERPOSE(name, int, -1, EIO, false, (int fd, void *status), (fd, status))
FSTAT(fstat)
FSTAT(fstat64)
FSTAT(fstatfs)
FSTAT(fstatfs64)
#define STAT(name)                                                                                 \
    INTERPOSE(name, int, -1, ENOMEM, false, (const char *path, void *status), (path, status))
STAT(stat)
STAT(stat64)
#define FTRUNCATE(name) INTERPOSE(name, int, -1, EIO, false, (int fd, off_t size), (fd, size))
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)
#define FALLOCATE(name)                                                                            \
    INTERPOSE(name, int, -1, ENOSPC, false, (int fd, int mode, off_t from, off_t n),               \
              (fd, mode, from, n))
FALLOCATE(fallocate)
FALLOCATE(fallocate64)
#define LSEEK(name)                                                                                \
    INTERPOSE(name, off_t, -1, EIO, false, (int fd, off_t at, int whence), (fd, at, whence))
LSEEK(lseek)
LSEEK(lseek64)
INTERPOSE(memfd_create, int, -1, EMFILE, false, (const char *name, unsigned flags), (name, flags))
INTERPOSE(shm_open, int, -1, EMFILE, false, (const char *name, int flags, mode_t mode),
          (name, flags, mode))
INTERPOSE(shm_unlink, int, -1, ENOMEM, false, (const char *name), (name))
INTERPOSE(syscall, long, -1, ENOSYS, false,
          (long number, long a, long b, long c, long d, long e, long f), (number, a, b, c, d, e, f))
INTERPOSE(prctl, int, -1, EINVAL, false,
          (int what, unsigned long a, unsigned long b, unsigned long c, void *d),
          (what, a, b, c, d))
INTERPOSE(ioctl, int, -1, EINVAL, false, (int fd, unsigned long what, void *argument),
          (fd, what, argument))
#define FOPEN(name)                                                                                \
    INTERPOSE(name, FILE *, NULL, EMFILE, false, (const char *path, const char *mode), (path, mode))
FOPEN(fopen)
FOPEN(fopen64)
INTERPOSE(open_memstream, FILE *, NULL, ENOMEM, false, (char **text, size_t *n), (text, n))
INTERPOSE(opendir, void *, NULL, EMFILE, false, (const char *path), (path))
#define READDIR(name) INTERPOSE(name, void *, NULL, EIO, false, (void *directory), (directory))
READDIR(readdir)
READDIR(readdir64)
INTERPOSE(readlink, ssize_t, -1, EIO, false, (const char *path, char *to, size_t n), (path, to, n))
INTERPOSE(getcwd, char *, NULL, ENOMEM, false, (char *to, size_t n), (to, n))
INTERPOSE(__getdelim, ssize_t, -1, ENOMEM, false,
          (char **line, size_t *n, int delimiter, FILE *stream), (line, n, delimiter, stream))
INTERPOSE(sysinfo, int, -1, EFAULT, false, (void *info), (info))
#define COPY(name)                                                                                 \
    INTERPOSE(name, ssize_t, -1, EPERM, false,                                                     \
              (pid_t pid, const void *to, unsigned long n_to, const void *from,                    \
               unsigned long n_from, unsigned long flags),                                         \
              (pid, to, n_to, from, n_from, flags))
COPY(process_vm_readv)
COPY(process_vm_writev)
INTERPOSE(strdup, char *, NULL, ENOMEM, false, (const char *text), (text))
INTERPOSE(GC_generic_malloc, void *, NULL, ENOMEM, false, (size_t n, int kind), (n, kind))
INTERPOSE(GC_malloc, void *, NULL, ENOMEM, false, (size_t n), (n))
INTERPOSE(GC_malloc_atomic, void *, NULL, ENOMEM, false, (size_t n), (n))
INTERPOSE(GC_malloc_uncollectable, void *, NULL, ENOMEM, false, (size_t n), (n))

/* dlsym(3) allocates: so the C library's own names for these. */
#define ALLOCATE(name, parameters, arguments)                                                      \
    extern void *__libc_##name parameters;                                                         \
    __attribute__((visibility("default"))) void *name##_ours parameters __asm__(#name);            \
    void *name##_ours parameters                                                                   \
    {                                                                                              \
        return fails(__builtin_return_address(0), ENOMEM, false) ? NULL : __libc_##name arguments; \
    }
ALLOCATE(malloc, (size_t n), (n))
ALLOCATE(calloc, (size_t n, size_t size), (n, size))
ALLOCATE(realloc, (void *old, size_t n), (old, n))
