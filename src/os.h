/*
 * os: every system call of the library, and nothing else.
 *
 * SPDX-License-Identifier: MIT
 *
 * Functions return 0 or a positive errno and leave errno itself alone.
 * Addresses and sizes are multiples of os_page_size() unless said otherwise.
 */
#ifndef OS_H
#define OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* The interface promises offsets of 64 bits: see AC_SYS_LARGEFILE. */
_Static_assert(sizeof(off_t) == sizeof(int64_t), "off_t has not 64 bits");

static inline bool os_is_offset(uintmax_t n)
{
    return n <= INT64_MAX;
}

size_t os_page_size(void);

enum os_file_type {
    OS_FILE_REGULAR, /* has a size */
    OS_FILE_DEVICE,  /* may take mappings, has no end */
    OS_FILE_DIRECTORY,
    OS_FILE_STREAM, /* pipe, socket, terminal: never takes a mapping */
};

struct os_file {
    enum os_file_type type;
    off_t size; /* bytes; 0 unless regular */
    dev_t device;
    ino_t inode;
    struct timespec modified, changed; /* contents; contents or what is known about them */
};

/* Never blocks, not even on a FIFO without a writer. */
int os_open(const char *path, bool writable, int *fd);
void os_close(int fd);
int os_describe(int fd, struct os_file *file);

/* A second descriptor, which is not inherited across exec. */
int os_duplicate(int fd, int *duplicate);

/*
 * Makes a regular file as long as `size` at least, with its disk space reserved where
 * the file system can do that; never shorter, whoever else is writing to it.  On failure it is
 * as long as before.  *before, if wanted: how long that was.
 */
int os_grow_file(int fd, off_t size, off_t *before);

int os_cut_file(int fd, off_t size);

/* A new file that lies in memory and has no path.  ENOSYS: there is no such thing. */
int os_open_memfd(const char *name, int *fd);

/* Nobody can change such a file any more, nor its size. */
int os_seal(int fd);

/*
 * A new file without a name whose contents are those from page-aligned `from` on, n_bytes or
 * more, as they are at one moment.  Nothing is copied: both share the disk's blocks until one is
 * written to.  ENOTSUP: the file system cannot do that, or lies on another machine.
 */
int os_clone(int fd, off_t from, size_t n_bytes, int *clone);

/* Whether it can only be read from where it stands, as a pipe. */
bool os_is_stream(int fd);

/* Up to n_bytes from there, or, with -1, what comes next; *n_read is 0 at the end. */
int os_read(int fd, off_t offset, void *to, size_t n_bytes, size_t *n_read);

/* All of them. */
int os_write(int fd, off_t offset, const void *from, size_t n_bytes);

/* What a file of this process may have; one that writes more may get a signal. */
uintmax_t os_most_file_bytes(void);

/* Shared memory of that name; flags: GCMMAP_CREATE ... and access.  *created: it is new. */
int os_open_shm(const char *name, unsigned flags, int *fd, bool *created);
int os_unlink_shm(const char *name);

/* Whether fd was opened for what the access flags need; as mmap(2) would say. */
int os_check_access(int fd, unsigned access);

/* Whether a file that claims size 0 has contents all the same (/proc, /sys). */
bool os_has_hidden_contents(int fd);

/* What pages must be aligned to for GCMMAP_HUGE or GCMMAP_HUGE_ONLY; 0: there are none. */
size_t os_huge_page_size(unsigned flags);

/* What to put somewhere. */
struct os_mapping {
    int fd;           /* -1: anonymous, zeroed */
    off_t offset;     /* of the page in fd */
    unsigned flags;   /* GCMMAP_ ...: access, and how */
    const char *name; /* for anonymous memory, where the system can show it; or NULL */
    bool direct;      /* mapping this file never fails half-way: see os_map() */
    off_t end;        /* the file is made that long if it is shorter, unless mapping fails */
};

/*
 * Replaces the pages of [at, at + n_bytes), which the caller owns, by the
 * mapping.  On failure anything may be there: os_vacate() or os_unmap() comes next.
 */
int os_map(void *at, size_t n_bytes, const struct os_mapping *what);

/* The same, where the kernel likes. */
int os_map_anywhere(size_t n_bytes, const struct os_mapping *what, void **at);

/*
 * Inaccessible pages where the kernel likes; alignment: a power of two, or 0.  The address
 * is `phase` more than a multiple of it.
 */
int os_set_aside(size_t n_bytes, size_t alignment, size_t phase, void **at);

/* Inaccessible pages there; *at is the address then.  EEXIST: there are some pages. */
int os_set_aside_at(void *address, size_t n_bytes, void **at);

/*
 * What is mapped at [at, at + n_bytes), whole pages: access flags, GCMMAP_PRIVATE.  EFAULT: not
 * one mapping; ENOTSUP: the system does not tell.
 */
int os_describe_mapping(const void *at, size_t n_bytes, unsigned *flags, bool *of_file);

/*
 * The file that is mapped at an address, and where in it that is.  ENOENT: there is none, or it
 * is not found at its path any more; path and offset are filled in if they are known, else
 * "" and -1.  Async-signal-safe.
 */
int os_find_file(const void *at, struct os_file *file, off_t *offset, char *path, size_t room);

/* What may be done there: GCMMAP_READ ...  Async-signal-safe. */
int os_find_access(const void *at, unsigned *access);

/*
 * Moves pages that are one mapping to `to`, in place of what is there, which the caller owns.
 * On failure they stay, and anything may be at `to`, as with os_map().
 */
int os_move(void *to, void *from, size_t n_bytes);

/* The end of what the last three gave. */
int os_unmap(void *at, size_t n_bytes);

/* Replaces the pages by inaccessible ones that cost no memory. */
int os_vacate(void *at, size_t n_bytes);

/* Replaces the pages by ordinary zeroed read-write memory. */
int os_restore(void *at, size_t n_bytes);

/* Replaces mapped pages by zeroed ones; access: GCMMAP_READ ...  Async-signal-safe. */
int os_map_zeros(void *at, size_t n_bytes, unsigned access);

/*
 * On pages that are mapped.  All of them stay so; an operation that fails may have been done
 * on some of the pages.
 */
int os_sync(void *at, size_t n_bytes, unsigned flags);     /* GCMMAP_SYNC ... */
int os_protect(void *at, size_t n_bytes, unsigned access); /* GCMMAP_READ ...; 0: none */
int os_lock(void *at, size_t n_bytes);
int os_unlock(void *at, size_t n_bytes);

/* GCMMAP_ADVISE_ ...; EINVAL: the kernel does not know it; ENOTSUP: the system has no advice. */
int os_advise(void *at, size_t n_bytes, int advice);

/*
 * Drops what can be had again; a shared mapping's pages from this process in any case.
 * EBUSY: locked, or of a kind that cannot be dropped; ENOTSUP: the system cannot do it.
 */
int os_unload(void *at, size_t n_bytes, bool shared);

/* Whether each page is in memory: 1 or 0.  ENOTSUP: the system does not tell. */
int os_residency(void *at, size_t n_pages, unsigned char *resident);

/*
 * Steers the kernel, which places a mapping in the highest gap that it fits in: opens a
 * gap of about n_bytes above all that will be mapped until os_close_gap().  Small
 * mappings made meanwhile go there, and so not between the large ones.  NULL: no gap.
 */
void *os_open_gap(size_t n_bytes);

/* The same with a page right below an address: what is mapped next does not end there. */
void *os_open_gap_below(void *address);
void os_close_gap(void *gap);

/* Pages next to each other. */
struct os_range {
    uintptr_t from, to;
    bool may_fault; /* reading them may (they are swapped out, or only look like that) */
};

/*
 * Those of the private pages [*from, to) that hold anything written by this process; all of
 * them where the system does not tell.  Returns the number of ranges, the first n_most > 0 in
 * order, and in *from how far it looked: to the end if there are fewer.  Brings nothing into
 * memory, allocates nothing: runs while the world is stopped.
 */
size_t os_find_written(uintptr_t *from, uintptr_t to, struct os_range *ranges, size_t n_most);

/*
 * The world is stopped, or runs again: in between many will call os_find_written(), and no
 * thread can close, or take for its own, what the system needs to be asked.
 */
void os_world_is_stopped(bool stopped);

/*
 * Copies n_bytes <= 4096 of our own memory, which may not be readable.  EFAULT: it was not;
 * ENOTSUP: there is no way to find out just now.  Async-signal-safe.
 */
int os_peek(void *to, const void *from, size_t n_bytes);

/*
 * Copies our own memory, as far as it is accessible and the system can: how many bytes.  `in`:
 * it is `to` that may not be accessible, else `from`.
 */
size_t os_copy(void *to, const void *from, size_t n_bytes, bool in);

/*
 * n_bytes <= 4096, on any system.  EFAULT: one side was not accessible, and some bytes may
 * have been copied; EIO: the pipe's own trouble; EMFILE ...: there is no descriptor just now.
 * Async-signal-safe.
 */
int os_copy_through_pipe(void *to, const void *from, size_t n_bytes);

/*
 * The same for memory that is protected against reading; async-signal-safe, too.  It needs a
 * descriptor, which is kept from the first "begin" on: EMFILE, ENFILE, ENOMEM: not now; ENOTSUP:
 * the system does not let anybody read there.  The last: in a forked child, before all else.
 */
int os_begin_peeking_protected(void);
int os_peek_protected(void *to, const void *from, size_t n_bytes);
void os_peek_protected_in_child(void);

/* Bytes of writable static data of all loaded objects; about, and found out once. */
size_t os_static_data_bytes(void);

/* Calls fn in the child of each fork, before it runs anything else. */
int os_on_fork_in_child(void (*fn)(void));

void os_yield(void);

#endif
