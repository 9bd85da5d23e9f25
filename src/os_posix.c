/*
 * os_posix: the part of os.h that any Unix with mmap can do.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os_extra.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0
#endif
#ifndef MAP_POPULATE
#define MAP_POPULATE 0
#endif
#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

/* Flags that need more than mmap(2). */
#define BEYOND_MMAP                                                                                \
    (GCMMAP_HUGE | GCMMAP_HUGE_ONLY | GCMMAP_SYNC_DAX | GCMMAP_NO_FORK | GCMMAP_NO_DUMP)

/* The error of a call just made; errno goes back to what it was before. */
static int outcome(bool failed, int saved_errno)
{
    int error = failed ? errno : 0;

    errno = saved_errno;
    return error;
}

size_t os_page_size(void)
{
    static size_t size; /* racing threads store the same value */
    size_t known = __atomic_load_n(&size, __ATOMIC_RELAXED);

    if (known == 0) {
        known = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&size, known, __ATOMIC_RELAXED);
    }
    return known;
}

int os_open(const char *path, bool writable, int *fd)
{
    /* O_NONBLOCK: a FIFO without a writer would block us for ever. */
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int saved_errno = errno;

    *fd = open(path, flags);
    return outcome(*fd < 0, saved_errno);
}

void os_close(int fd)
{
    int saved_errno = errno;

    /* Nothing was written through fd, so there is no error to lose. */
    (void)outcome(close(fd) < 0, saved_errno);
}

int os_describe(int fd, struct os_file *file)
{
    struct stat status;
    int saved_errno = errno;
    int error = outcome(fstat(fd, &status) < 0, saved_errno);

    if (error != 0)
        return error;
    file->size = 0;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    file->modified = status.st_mtim;
    file->changed = status.st_ctim;
    if (S_ISREG(status.st_mode)) {
        file->type = OS_FILE_REGULAR;
        file->size = status.st_size;
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        file->type = OS_FILE_DEVICE;
    } else if (S_ISDIR(status.st_mode)) {
        file->type = OS_FILE_DIRECTORY;
    } else {
        file->type = OS_FILE_STREAM;
    }
    return 0;
}

int os_duplicate(int fd, int *duplicate)
{
    int saved_errno = errno;

    *duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* behind the standard streams */
    return outcome(*duplicate < 0, saved_errno);
}

int os_cut_file(int fd, off_t size)
{
    int saved_errno = errno, result;

    do
        result = ftruncate(fd, size);
    while (result != 0 && errno == EINTR);
    return outcome(result != 0, saved_errno);
}

bool os_has_hidden_contents(int fd)
{
    char byte;
    struct os_file file;
    int saved_errno = errno;
    ssize_t n = pread(fd, &byte, 1, 0);
    /* Some of /proc cannot be read from the start; a write-only fd tells nothing. */
    bool has_byte = n > 0 || (n < 0 && errno != EBADF);

    errno = saved_errno;
    /* The second look tells a file of /proc from one that grew just now. */
    return has_byte && os_describe(fd, &file) == 0 && file.type == OS_FILE_REGULAR &&
           file.size == 0;
}

int os_check_access(int fd, unsigned access)
{
    int saved_errno = errno;
    int mode = fcntl(fd, F_GETFL);
    int error = outcome(mode < 0, saved_errno);

    if (error != 0)
        return error;
#ifdef O_PATH
    if (mode & O_PATH)
        return EBADF;
#endif
    mode &= O_ACCMODE;
    if (mode == O_RDWR)
        return 0;
    return mode == O_WRONLY || ((access & GCMMAP_WRITE) && !(access & GCMMAP_PRIVATE)) ? EACCES : 0;
}

static int protection_of(unsigned access)
{
    int protection = PROT_NONE;

    if (access & (GCMMAP_READ | GCMMAP_WRITE))
        protection |= PROT_READ;
    if (access & GCMMAP_WRITE)
        protection |= PROT_WRITE;
    if (access & GCMMAP_EXEC)
        protection |= PROT_EXEC;
    return protection;
}

static int map_fixed(void *at, size_t n_bytes, int protection, int flags, int fd, off_t offset)
{
    int saved_errno = errno;

    return outcome(mmap(at, n_bytes, protection, flags | MAP_FIXED, fd, offset) == MAP_FAILED,
                   saved_errno);
}

/*
 * Kernels before 6.12 unmap the old pages before they ask the driver.  If it then says
 * no, there is a hole in the collector's heap for another thread's mmap to land in.  So
 * ask somewhere else first.
 */
static int try_elsewhere(size_t n_bytes, int protection, int flags, int fd, off_t offset)
{
    int saved_errno = errno;
    void *trial = mmap(NULL, n_bytes, protection, flags, fd, offset);
    int error = outcome(trial == MAP_FAILED, saved_errno);

    if (error == 0)
        (void)munmap(trial, n_bytes);
    return error;
}

static int flags_of(const struct os_mapping *what)
{
    bool is_shared = !(what->flags & GCMMAP_PRIVATE) || (what->flags & GCMMAP_SECRET);
    int flags = is_shared ? MAP_SHARED : MAP_PRIVATE;

    if (what->fd < 0)
        flags |= MAP_ANONYMOUS;
    /* Huge pages that are not set aside end in SIGBUS. */
    if ((what->fd < 0 && !(what->flags & GCMMAP_HUGE_ONLY)) || (what->flags & GCMMAP_NORESERVE))
        flags |= MAP_NORESERVE;
    return os_extra_flags(what->flags, flags);
}

/*
 * Pages first, then the file: what they show can be taken back, and what was done to a file
 * cannot so well.  But pages that are read in at once have to be there.
 */
static bool file_comes_first(const struct os_mapping *what)
{
    return (what->flags & (GCMMAP_LOCK | GCMMAP_POPULATE)) != 0;
}

static int grow_first(const struct os_mapping *what, off_t *before)
{
    *before = what->end;
    return what->end != 0 && file_comes_first(what) ? os_grow_file(what->fd, what->end, before) : 0;
}

/* Unless others have written behind it meanwhile. */
static void take_back(const struct os_mapping *what, off_t before)
{
    struct os_file now;

    if (before < what->end && os_describe(what->fd, &now) == 0 && now.size == what->end)
        (void)os_cut_file(what->fd, before);
}

/* What most mappings do without, and without its system calls. */
static int finish(void *at, size_t n_bytes, const struct os_mapping *what)
{
    bool is_named = what->name != NULL && what->fd < 0;
    int error = (what->flags & BEYOND_MMAP) || is_named ? os_extra_finish(at, n_bytes, what) : 0;

    if (error == 0 && (what->flags & GCMMAP_LOCK))
        error = os_lock(at, n_bytes);
    if (error == 0 && what->end != 0 && !file_comes_first(what))
        error = os_grow_file(what->fd, what->end, NULL);
    return error;
}

/* Asks the driver, or a file system about what it need not be able to do. */
static bool may_fail_halfway(const struct os_mapping *what)
{
    return (what->fd >= 0 && !what->direct) ||
           (what->flags & (GCMMAP_SYNC_DAX | GCMMAP_HUGE_ONLY)) != 0;
}

/* Secret memory is a file to the kernel, which needs no descriptor once it is mapped. */
static bool is_secret(const struct os_mapping *what)
{
    return what->fd < 0 && (what->flags & GCMMAP_SECRET) != 0;
}

static int map_secret(size_t n_bytes, const struct os_mapping *what, bool anywhere, void **at)
{
    struct os_mapping file = *what;
    int error = os_extra_open_secret(n_bytes, &file.fd);

    if (error != 0)
        return error;
    error = anywhere ? os_map_anywhere(n_bytes, &file, at) : os_map(*at, n_bytes, &file);
    os_close(file.fd);
    return error;
}

static int map_here(void *at, size_t n_bytes, const struct os_mapping *what)
{
    int protection = protection_of(what->flags), flags = flags_of(what);
    int error = 0;

    if (may_fail_halfway(what))
        error = try_elsewhere(n_bytes, protection, flags & ~MAP_POPULATE, what->fd, what->offset);
    if (error != 0)
        return error;
    error = map_fixed(at, n_bytes, protection, flags, what->fd, what->offset);
    return error == 0 ? finish(at, n_bytes, what) : error;
}

int os_map(void *at, size_t n_bytes, const struct os_mapping *what)
{
    off_t before;
    int error;

    if (is_secret(what))
        return map_secret(n_bytes, what, false, &at);
    error = grow_first(what, &before);
    if (error == 0)
        error = map_here(at, n_bytes, what);
    if (error != 0)
        take_back(what, before);
    return error;
}

static int map_somewhere(size_t n_bytes, const struct os_mapping *what, void **at)
{
    int saved_errno = errno, error;
    void *start =
        mmap(NULL, n_bytes, protection_of(what->flags), flags_of(what), what->fd, what->offset);

    error = outcome(start == MAP_FAILED, saved_errno);
    if (error != 0)
        return error;
    error = finish(start, n_bytes, what);
    if (error == 0)
        *at = start;
    else
        (void)os_unmap(start, n_bytes);
    return error;
}

int os_map_anywhere(size_t n_bytes, const struct os_mapping *what, void **at)
{
    off_t before;
    int error;

    if (is_secret(what))
        return map_secret(n_bytes, what, true, at);
    error = grow_first(what, &before);
    if (error == 0)
        error = map_somewhere(n_bytes, what, at);
    if (error != 0)
        take_back(what, before);
    return error;
}

int os_set_aside(size_t n_bytes, size_t alignment, size_t phase, void **at)
{
    int saved_errno = errno;
    size_t page = os_page_size(), n_extra = alignment > page ? alignment - page : 0, n_before;
    char *start = n_extra > SIZE_MAX - n_bytes
                      ? MAP_FAILED
                      : mmap(NULL, n_bytes + n_extra, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved_errno;
    if (start == MAP_FAILED)
        return ENOMEM;
    n_before = n_extra == 0 ? 0 : (phase - (uintptr_t)start) & (alignment - 1);
    if (n_before != 0)
        (void)munmap(start, n_before);
    if (n_before != n_extra)
        (void)munmap(start + n_before + n_bytes, n_extra - n_before);
    *at = start + n_before;
    errno = saved_errno;
    return 0;
}

int os_set_aside_at(void *address, size_t n_bytes, void **at)
{
    int saved_errno = errno;
    /* Kernels that do not know MAP_FIXED_NOREPLACE take the address as a wish. */
    void *start = mmap(address, n_bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    int error = outcome(start == MAP_FAILED, saved_errno);

    if (error == 0 && start != address) {
        (void)munmap(start, n_bytes);
        error = EEXIST;
    }
    if (error == 0)
        *at = start;
    return error;
}

/*
 * A mapping of one page that only takes up a slot of the kernel's table.  When the table is
 * full, even calls that would empty it are refused; then this one goes.  Shared, because
 * the kernel joins neighbouring private ones.
 */
static _Atomic(void *) spare_slot;

static void keep_spare_slot(void)
{
    void *slot, *none = NULL;

    if (atomic_load_explicit(&spare_slot, memory_order_relaxed) != NULL)
        return;
    slot = mmap(NULL, os_page_size(), PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slot != MAP_FAILED && !atomic_compare_exchange_strong(&spare_slot, &none, slot))
        (void)munmap(slot, os_page_size());
}

static bool give_up_spare_slot(void)
{
    void *slot = atomic_exchange(&spare_slot, NULL);

    return slot != NULL && munmap(slot, os_page_size()) == 0;
}

int os_vacate(void *at, size_t n_bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    int saved_errno = errno;
    int error = map_fixed(at, n_bytes, PROT_NONE, flags, -1, 0);

    if (error == ENOMEM && give_up_spare_slot())
        error = map_fixed(at, n_bytes, PROT_NONE, flags, -1, 0);
    if (error == 0)
        keep_spare_slot();
    errno = saved_errno;
    return error;
}

int os_unmap(void *at, size_t n_bytes)
{
    int saved_errno = errno;
    int error = outcome(munmap(at, n_bytes) != 0, saved_errno);

    if (error == ENOMEM && give_up_spare_slot())
        error = outcome(munmap(at, n_bytes) != 0, saved_errno);
    return error;
}

int os_restore(void *at, size_t n_bytes)
{
    return map_fixed(at, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int os_map_zeros(void *at, size_t n_bytes, unsigned access)
{
    int protection = protection_of(access), flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    int error = map_fixed(at, n_bytes, protection, flags, -1, 0);

    if (error == ENOMEM && give_up_spare_slot())
        error = map_fixed(at, n_bytes, protection, flags, -1, 0);
    return error;
}

/* ---- operations on pages that are mapped ---------------------------------------- */

int os_sync(void *at, size_t n_bytes, unsigned flags)
{
    int saved_errno = errno;
    int how = flags & GCMMAP_SYNC ? MS_SYNC : MS_ASYNC;

    if (flags & GCMMAP_INVALIDATE)
        how |= MS_INVALIDATE;
    return outcome(msync(at, n_bytes, how) != 0, saved_errno);
}

int os_protect(void *at, size_t n_bytes, unsigned access)
{
    int protection = protection_of(access), saved_errno = errno;
    int error = outcome(mprotect(at, n_bytes, protection) != 0, saved_errno);

    if (error == ENOMEM && give_up_spare_slot())
        error = outcome(mprotect(at, n_bytes, protection) != 0, saved_errno);
    return error;
}

int os_lock(void *at, size_t n_bytes)
{
    int saved_errno = errno;

    return outcome(mlock(at, n_bytes) != 0, saved_errno);
}

int os_unlock(void *at, size_t n_bytes)
{
    int saved_errno = errno;
    int error = outcome(munlock(at, n_bytes) != 0, saved_errno);

    if (error == ENOMEM && give_up_spare_slot())
        error = outcome(munlock(at, n_bytes) != 0, saved_errno);
    return error;
}

/* --------------------------------------------------------------------------------- */

void *os_open_gap(size_t n_bytes)
{
    size_t page = os_page_size();
    int saved_errno = errno;
    char *gap;

    n_bytes = (n_bytes + page - 1) & ~(page - 1);
    gap = mmap(NULL, n_bytes + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved_errno;
    if (gap == MAP_FAILED)
        return NULL;
    /* The lowest page stays: it is what keeps large mappings below. */
    (void)munmap(gap + page, n_bytes);
    return gap;
}

void *os_open_gap_below(void *address)
{
    size_t page = os_page_size();
    int saved_errno = errno;
    char *wanted = (char *)address - page;
    void *gap = mmap(wanted, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (gap != MAP_FAILED && gap != wanted) {
        (void)munmap(gap, page);
        gap = MAP_FAILED;
    }
    errno = saved_errno;
    return gap == MAP_FAILED ? NULL : gap;
}

void os_close_gap(void *gap)
{
    if (gap != NULL)
        (void)munmap(gap, os_page_size());
}

int os_on_fork_in_child(void (*fn)(void))
{
    return pthread_atfork(NULL, NULL, fn);
}

void os_yield(void)
{
    (void)sched_yield();
}
