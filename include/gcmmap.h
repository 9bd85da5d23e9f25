/*
 * gcmmap: mapped memory that the Boehm-Demers-Weiser collector unmaps.
 *
 * SPDX-License-Identifier: MIT
 *
 * For normal use two lines suffice:
 *
 *     gcmmap_region *r = gcmmap_open("words.txt", GCMMAP_READ);
 *     const char *first = gcmmap_data(r);
 *
 * Keep `first`, or any pointer behind it, wherever the collector looks
 * (registers, stacks, static data, heap objects, traced regions) and the file
 * stays mapped.  Forget them all and the collector unmaps it.  There is nothing
 * to free.
 *
 * Vocabulary
 *
 *   region     one mapping and its life.  Its handle is a gcmmap_region *: an
 *              opaque GC-allocated object, which is the very memory that the
 *              mapping lies on.  Hence a handle keeps the slices valid and a
 *              slice keeps the handle valid.
 *   slice      any pointer into a region, one past its end included; or the
 *              two-word value gcmmap_slice.
 *   release    what the collector does with a region that no pointer reaches:
 *              its file and memory go, and its addresses can be used again.
 *   revoke     gcmmap_close(): the file and its memory go now, the addresses
 *              stay reserved, and fault, for as long as a pointer reaches them.
 *
 *      handle                        data                    data + size
 *        |                            |                           |
 *        v                            v                           v
 *        +----------------------------+---------------------------+-----------+
 *        | bytes of the page that     | the bytes asked for       | rest,     |
 *        | come before `offset`       |                           | 1 byte up |
 *        +----------------------------+---------------------------+-----------+
 *        |<------------ one object of the collector's heap (or a row) ------->|
 *
 * What to know first
 *
 *   - The collector sees pointers, not integers, not pointers stored in memory
 *     that it does not scan (malloc, mappings that are not traced), not
 *     pointers held by threads that it does not know.  What holds for objects
 *     of GC_MALLOC holds for slices.
 *   - Where the host switches interior pointers off (GC_set_all_interior_
 *     pointers(0): Guile, ECL), a pointer in the heap, in static data or in a traced
 *     region counts only if it points to the start of an object: keep the handle there
 *     beside the slice, or a gcmmap_slice_object.  Pointers on stacks and in registers
 *     always count.
 *   - The collector is conservative: an integer that looks like a pointer can
 *     keep a region a little longer than needed.  Use gcmmap_close() when the
 *     moment matters.
 *   - Where bdwgc looks for leaks (GC_set_find_leak(1) before the first call of gcmmap,
 *     GC_FIND_LEAK=1), regions are no leaks: forgotten ones go as ever, but only in calls
 *     that map or collect, as there are no finalizers.  A host that sets an event procedure
 *     (GC_set_on_collection_event) has to call the one that was there; else mapping fails
 *     with ENOTSUP in that mode, and what was mapped before is lost to bdwgc, which frees it.
 *   - Reading a shared mapping whose file was truncated ends in SIGBUS, as with
 *     mmap(2); unless you prefer zeros (GCMMAP_ZERO_FILL), a question
 *     (options.truncated), an error (GCMMAP_TRY) or a copy (gcmmap_snapshot()).
 *   - gcmmap_map(), gcmmap_open(), gcmmap_alloc() and gcmmap_collect() may
 *     collect, and finalizers may run inside them, just as inside GC_MALLOC.
 *     Of the others those do of which it is said.
 *
 * Threads: every function may be called from any thread that the collector
 * knows, at the same time.  None may be called from a signal handler, nor while
 * holding the collector's allocation lock (as inside GC_call_with_alloc_lock, a
 * disclaim procedure or a mark procedure).  Finalizers may call them all.
 *
 * Errors: functions that return int return 0, or -1 with errno set (but for those
 * that look at slices, and cannot fail); functions that return a pointer return NULL
 * with errno set.  A call that fails changes nothing.  Calls that succeed leave errno
 * as it was.
 */
#ifndef GCMMAP_H
#define GCMMAP_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#ifdef __GNUC__
#pragma GCC visibility push(default) /* of a library built with hidden symbols */
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define GCMMAP_VERSION_MAJOR 0
#define GCMMAP_VERSION_MINOR 1

/** Handle of a region.  Opaque, GC-allocated, never freed by hand. */
typedef struct gcmmap_region gcmmap_region;

/** A slice as a value.  The pointer in it keeps its region mapped. */
typedef struct {
    unsigned char *data;
    size_t size; /* bytes */
} gcmmap_slice;

/*
 * Access: combine.  At least one of READ, WRITE and EXEC is needed for a file.
 * A file's mapping is shared (stores reach the file, other processes' stores
 * are seen) unless GCMMAP_PRIVATE.
 */
#define GCMMAP_READ 0x1u    /* loads */
#define GCMMAP_WRITE 0x2u   /* stores; includes GCMMAP_READ */
#define GCMMAP_EXEC 0x4u    /* instruction fetches */
#define GCMMAP_PRIVATE 0x8u /* copy-on-write: stores stay in this process */

/*
 * Contents.  Writable private memory (anonymous memory, and a file mapped with
 * WRITE | PRIVATE) is traced: what it points to stays alive for as long as the
 * region itself is reachable, no longer.  Other regions are not.
 *
 * In a traced region a pointer at any address that is a multiple of its size counts, as
 * it would in an object of GC_MALLOC.  A collection reads only those pages that this process
 * has written to: /proc/self/pagemap tells which.  (Where it cannot be read, all that is in
 * memory; or, if there is swap, all.)  So large and sparse regions cost little.
 * With GCMMAP_TRACED on a shared or a read-only mapping it reads all of it, each time (in
 * incremental mode, too, as others may store there), and so brings the whole file into memory.
 * Pages that cannot be read, because of a guard or because the file has been truncated
 * meanwhile, are passed over, and keep nothing.
 *
 * Where collections are incremental, and the region is private and not mapped with
 * GCMMAP_BY_HANDLE, a collection sees the stores that this process's threads make, with
 * gcmmap_copy_in() as well; system calls that store there (read(2)) fail with EFAULT until the
 * page has been stored to.  What comes in other ways (a debugger, /proc/PID/mem, userfaultfd(2),
 * mremap(2) or mmap(2) over a region's pages, which is not for programs to do) counts from the
 * next whole collection on.
 */
#define GCMMAP_POINTER_FREE 0x10u /* never look for pointers in this region */
#define GCMMAP_TRACED                                                                              \
    0x20u /* look for pointers even if it is shared or read-only; it
                                     must be readable, and not pointer-free */

/*
 * What keeps it.
 *
 * Raw pointers are followed into up to GCMMAP_SIZE_MAX bytes, and each GiB of them costs a
 * collection about 0.25 ms.  With GCMMAP_BY_HANDLE only the handle keeps the region:
 * pointers into it do NOT count, and a slice that outlives the last handle faults, or
 * sees what is mapped there next.  So keep the handle beside each slice.
 * In return the region may have any size, and costs what mmap(2) costs.
 */
#define GCMMAP_BY_HANDLE 0x40u

/*
 * When it goes.  Stores to a shared mapping reach the file in the kernel's own time, and
 * what goes wrong then nobody learns.  With GCMMAP_WRITE_BACK the pages are written (as by
 * msync(2), which takes as long as the disk takes) before they are released, and an
 * error reaches gcmmap_options.released.  Only for shared writable mappings of files.
 */
#define GCMMAP_WRITE_BACK 0x80u

/*
 * How it is mapped.  Where the kernel does not do what a flag asks for, the call fails and
 * nothing is mapped, unless the flag is said to be a wish.
 *
 * GCMMAP_POPULATE   Read all pages in before the call returns, as far as that goes (a wish).
 *     In a private writable mapping each becomes a copy at once; in one that is traced all
 *     of them are read by each collection.
 * GCMMAP_HUGE       Transparent huge pages (a wish): a region that is at least as large as a
 *     huge page lies so that the kernel can use them, and the kernel is asked to.  Takes up
 *     to one huge page of addresses more.
 * GCMMAP_HUGE_ONLY  For gcmmap_alloc(): only huge pages, of the kernel's default size,
 *     that the system keeps ready (/proc/sys/vm/nr_hugepages).  They are set aside by the
 *     call.  What is mapped is whole huge pages, and what changes pages (protect, advise,
 *     unload) works on whole ones only.  Where the host collects incrementally by write
 *     protection, now or later, such a region must be GCMMAP_POINTER_FREE or
 *     GCMMAP_BY_HANDLE.  Errors: ENOMEM, not enough huge pages, even after collections;
 *     ENOTSUP, the system has none at all, or the collector could not deal with them;
 *     EINVAL, the region is a file's, or GCMMAP_HUGE is given too.
 * GCMMAP_NORESERVE  Let a private writable mapping of a file be larger than memory and
 *     swap (MAP_NORESERVE).  Anonymous memory always is like that, so that large sparse
 *     regions cost nothing; where the kernel counts strictly (vm.overcommit_memory is 2) it
 *     does so in any case.  With GCMMAP_HUGE_ONLY: set no huge pages aside; a touch for
 *     which there is none is SIGBUS then.
 * GCMMAP_LOCK       Read all pages in and keep them in memory (mlock(2)).  A region with
 *     options.room is locked up to its size.  Errors: EPERM, RLIMIT_MEMLOCK is 0; ENOMEM,
 *     more than RLIMIT_MEMLOCK even after collections; EAGAIN, some page could not be read.
 * GCMMAP_SYNC_DAX   For shared mappings of files on persistent memory: once stored and flushed
 *     from the processor's caches, data is in the file (MAP_SYNC).  Errors: EOPNOTSUP, the
 *     file system or device cannot do that; EINVAL, the mapping is private.
 * GCMMAP_GROWSDOWN  Stack-like growth is refused: ENOTSUP.  Pages that come by themselves could
 *     come where others are mapped.  See gcmmap_options.room.
 * GCMMAP_NO_FORK    Forked children do not get it: in them the region is closed, and their
 *     pointers into it fault.
 * GCMMAP_NO_DUMP    Core dumps leave it out.
 * GCMMAP_SECRET     For gcmmap_alloc(): memory that the kernel itself cannot read on anyone's
 *     behalf (memfd_secret(2)), never swapped or dumped, zeroed when it is released.  Never traced.
 *     A forked child shares it, unless GCMMAP_NO_FORK.  Errors: ENOSYS, the kernel has none or
 *     it is switched off; EAGAIN, more than RLIMIT_MEMLOCK; EINVAL, for files, huge pages
 *     and traced regions.
 */
#define GCMMAP_POPULATE 0x100u
#define GCMMAP_HUGE 0x200u
#define GCMMAP_HUGE_ONLY 0x400u
#define GCMMAP_NORESERVE 0x800u
#define GCMMAP_LOCK 0x1000u
#define GCMMAP_SYNC_DAX 0x2000u
#define GCMMAP_GROWSDOWN 0x4000u
#define GCMMAP_NO_FORK 0x8000u
#define GCMMAP_NO_DUMP 0x10000u
#define GCMMAP_SECRET 0x20000u

/*
 * With GCMMAP_PARTIAL the parts of a large region that no pointer leads into any more are given
 * back to the kernel while others are held: in parts of about 16 MiB, after collections.
 * A pointer into the first part, as the handle is, keeps all of them.  (So where interior
 * pointers do not count only what is on stacks and in registers keeps single parts.)  The
 * addresses stay the region's; who comes back to them by arithmetic (gcmmap_of() and gcmmap_data())
 * finds what is in the file, or zeros in anonymous memory: private stores there are lost.
 * Not for traced regions, and not with GCMMAP_BY_HANDLE.
 */
#define GCMMAP_PARTIAL 0x100000u

/*
 * With GCMMAP_GUARDED a page in front of the region's pages and one behind them fault, whatever
 * is mapped next to it.  Anonymous memory lies so that it ends with its last page:
 *
 *      handle            data                    data + size
 *        v                v                           v
 *        +-------+--------+---------------------------+--+-------+
 *        | guard | unused | the bytes asked for       |  | guard |
 *        +-------+--------+---------------------------+--+-------+
 *
 * data is a multiple of 16 (of the size of pages if size is one), so up to 15 bytes behind the
 * end can be touched: let size be a multiple of 16 if the very first shall fault.  Bytes of files
 * lie in their pages as they do in the file, and regions with options.room begin with
 * a page.  The addresses cost two pages more, no memory, and one or two map slots.
 *
 * Not where the host collects incrementally by write protection (ENOTSUP): bdwgc makes any page
 * of its heap accessible that is touched.  If it begins with that later, guards are lost.  With
 * GCMMAP_BY_HANDLE they stay.
 *
 * Without the flag there are guards where they cost nothing: behind the pages of a writable
 * region that has more than 32 KiB or that is a whole number of pages; none in front.
 */
#define GCMMAP_GUARDED 0x200000u

/*
 * With GCMMAP_ZERO_FILL an access to a page that the file does not have any more, because
 * somebody has made it shorter, is no SIGBUS: in place of the page, and only of those that are
 * touched, comes one of zeros, and the access goes on.  gcmmap_zero_filled() tells.
 *
 *   - Such a page is the file's no more: what is stored there is seen by nobody else, and is
 *     lost.  If the file grows again the page stays as it is, until gcmmap_refresh() or
 *     gcmmap_truncate() take it away, or the region is closed.  It is private memory that no
 *     budget counts, and may cost up to two map slots; where there is none left the access
 *     faults.
 *   - Bytes behind the end of the file in its last page are zeros in any case, and not counted.
 *   - An error of the disk, or no space for a hole that is stored into, ends in SIGBUS as ever.
 *   - System calls and gcmmap_copy_out() get EFAULT, as without the flag.
 *   - The region keeps a descriptor of its own, as one with options.room does; if others close
 *     it the access faults.
 *   - The handler for SIGBUS is installed as for guards, which see.  It runs in the thread that
 *     touches the page, takes some microseconds, and blocks signals meanwhile.
 *
 * options.truncated decides for each page.  Both are for files only: else EINVAL.
 */
#define GCMMAP_ZERO_FILL 0x400000u

/** For the size of gcmmap_map(): everything from the offset to the end. */
#define GCMMAP_REST ((size_t)-1)

/**
 * Largest region, in bytes, that plain pointers can be followed into: 64 GiB
 * (1 GiB where pointers have 32 bits).  Beyond it bdwgc's table of blocks
 * becomes slow: HACKING.md, "Large regions".  See GCMMAP_BY_HANDLE for more.
 */
#if SIZE_MAX > 0xffffffffu
#define GCMMAP_SIZE_MAX ((size_t)1 << 36)
#else
#define GCMMAP_SIZE_MAX ((size_t)1 << 30)
#endif

/**
 * Map a whole file.
 *
 * The region lives as long as the handle or any pointer into its bytes is
 * reachable, and is unmapped by the collector afterwards.  An empty file gives
 * an empty region: its data is not NULL and its size is 0.
 *
 * \param path   file to map; opened and closed again inside the call, and kept
 *               open only with options.room.  The string is copied.
 * \param flags  GCMMAP_READ, or GCMMAP_WRITE | ...; see "Access".
 * \return  the handle, or NULL with errno set and nothing mapped:
 *   EINVAL     flags ask for no access, contradict each other or contain unknown bits;
 *              path is NULL; or path is a device that has no end (give gcmmap_map() a size)
 *   EISDIR     path is a directory
 *   ENODEV     path is something that cannot be mapped: a pipe, or a file
 *              like those of /proc that has contents but no size
 *   ENXIO      path is a socket
 *   EOVERFLOW  the file is larger than GCMMAP_SIZE_MAX, and flags lack GCMMAP_BY_HANDLE
 *   EPERM      GCMMAP_EXEC, and the file system is mounted noexec
 *   ENOMEM     no address space or map slots left, even after collections
 *   EDQUOT     gcmmap_set_budget() allows no more, even after collections
 *   EAGAIN     the file is locked, or mlockall(2) is in force and its limit reached
 *   EACCES, ENOENT, EMFILE ...   from open(2)
 *   ENOTSUP, EOPNOTSUP ...       what a flag asks for cannot be had: "How it is mapped"
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_open(const char *path, unsigned flags);

/**
 * Map part of an open file, or of a device.
 *
 * Neither offset nor size needs any alignment: gcmmap_data() is the address of
 * exactly the byte asked for.  For a regular file the range has to lie inside
 * the file; a range of no bytes gives an empty region.  What a read-only region
 * shows in front of its bytes and behind them is not defined: more of the file,
 * or a fault.  Behind a writable one that ends with a page, the next byte faults.
 *
 * \param fd      open for reading, and for writing too if the mapping is shared
 *                and writable.  It stays the caller's and may be closed at once.
 * \param offset  bytes from the start of the file.
 * \param size    bytes, or GCMMAP_REST: from offset to the end of the file.
 * \param flags   GCMMAP_READ, or GCMMAP_WRITE | ...; see "Access".
 * \return  the handle, or NULL with errno set and nothing mapped:
 *   EBADF      fd is not an open file descriptor, or was opened with O_PATH
 *   EACCES     fd is not open for what flags ask
 *   EINVAL     flags ask for no access, contradict each other or contain unknown bits;
 *              offset is negative; or GCMMAP_REST on a device, which has no end
 *   ENXIO      the range does not lie inside the file
 *   EOVERFLOW  offset + size is not representable, or the size is larger than
 *              GCMMAP_SIZE_MAX and flags lack GCMMAP_BY_HANDLE
 *   EISDIR     fd is a directory
 *   ENODEV     fd is something that cannot be mapped: a pipe, a socket, or a
 *              file like those of /proc that has contents but no size
 *   EPERM      GCMMAP_EXEC and a noexec file system, or a sealed memfd
 *   EAGAIN     the file is locked, or mlockall(2) is in force and its limit reached
 *   ENOTSUP, EOPNOTSUP ...       what a flag asks for cannot be had: "How it is mapped"
 *   ENOMEM     no address space or map slots left, even after collections
 *   EDQUOT     gcmmap_set_budget() allows no more, even after collections
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_map(int fd, int64_t offset, size_t size, unsigned flags);

/**
 * Allocate anonymous memory: private, zeroed, page-aligned, given back to the
 * kernel by the collector.  Pages cost memory only once they are touched.
 *
 * It is traced unless GCMMAP_POINTER_FREE: what it points to stays alive.  If size
 * is a whole number of pages, the byte behind the last one cannot be touched; see
 * GCMMAP_GUARDED for more.
 *
 * \param size   bytes; 0 gives an empty region.
 * \param flags  access; none at all means GCMMAP_WRITE.  GCMMAP_PRIVATE goes
 *               without saying.
 * \return  the handle, or NULL with errno set and nothing mapped:
 *   EINVAL     flags contradict each other or contain unknown bits
 *   ENOTSUP ...  what a flag asks for cannot be had: "How it is mapped"
 *   EOVERFLOW  size is larger than GCMMAP_SIZE_MAX, and flags lack GCMMAP_BY_HANDLE
 *   ENOMEM     no address space or map slots left, even after collections
 *   EDQUOT     gcmmap_set_budget() allows no more, even after collections
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_alloc(size_t size, unsigned flags);

/** Of a region whose pages are gone. */
typedef struct {
    void *data;       /* where its first byte was; not to be read */
    size_t size;      /* bytes */
    const char *name; /* options.name, else the path given to gcmmap_open(), else NULL; valid
                         during the call */
    int error;        /* of GCMMAP_WRITE_BACK: errno of what could not be written, or 0 */
} gcmmap_release;

/**
 * Called once when a region's pages are gone: at the next point after a collection where the
 * collector runs finalizers, in a call that maps or collects, or inside gcmmap_close()
 * and gcmmap_unmap_now().  No lock is held; it may do anything that a finalizer may.  It is
 * not called for regions that are still mapped when the process ends.  A forked child has
 * its own regions, and calls it for each of those too.
 */
typedef void (*gcmmap_released)(const gcmmap_release *release, void *data);

/* What a gcmmap_truncated may answer. */
#define GCMMAP_TRUNCATED_DEFAULT 0 /* as if it had not been asked: zeros, a guard, or SIGBUS */
#define GCMMAP_TRUNCATED_RETRY 1   /* the file has been made long enough: try the access again */
#define GCMMAP_TRUNCATED_ZEROS 2   /* as GCMMAP_ZERO_FILL */

/**
 * Asked when an access fails because the file ends in front of the page: what now?
 *
 * It runs in a signal handler, in the thread that has made the access, in the midst of whatever
 * that thread was doing: perhaps with locks held, the C library's or the collector's.  So it may do
 * only what signal-safety(7) lists, as write(2), ftruncate(2), stores to atomic variables; and
 * call none of gcmmap's functions, nor the collector's.  It may leave by siglongjmp(3).  It must not
 * touch the page.  Other threads may be asked at the same time, of the same page too.  A page that
 * another thread was just closing may be asked for once more.
 *
 * \param fault  kind is GCMMAP_FAULT_TRUNCATED; valid during the call.
 * \param data   options.data.
 * \return  GCMMAP_TRUNCATED_ ...
 */
struct gcmmap_fault;
typedef int (*gcmmap_truncated)(const struct gcmmap_fault *fault, void *data);

/**
 * What else can be said when mapping.  All zero is the same as no options:
 *
 *     gcmmap_options options = { .room = 1 << 30 };
 */
typedef struct {
    size_t room;                /* bytes of addresses to set aside for the region to grow into,
                           its own included; 0: it cannot grow */
    size_t alignment;           /* bytes: a power of two, for the address of the page that holds the
                           first byte; 0: that of pages */
    gcmmap_released released;   /* called when the region's pages are gone, or NULL */
    void *data;                 /* handed to released and truncated; kept alive by gcmmap until the
                                  pages are gone, so it must not lead to the region */
    void *address;              /* of the page that holds the first byte; NULL: anywhere.  Only
                                  with GCMMAP_BY_HANDLE: on the collector's heap only the
                                  collector can say what is free.  An empty region has none */
    const char *name;           /* what reports call it; copied.  NULL: its path, if there is
                                  one.  /proc/self/maps shows that of anonymous memory, as
                                  [anon:name], if the kernel can: 79 bytes of it, with _
                                  in place of what the kernel does not accept */
    gcmmap_truncated truncated; /* asked when the file has become too short, or NULL */
    size_t reserved[5];         /* zero; for later versions */
} gcmmap_options;

/**
 * As gcmmap_open(), gcmmap_map() and gcmmap_alloc(), with options, which may be NULL.
 * They are read only during the call.
 *
 * \return  the handle, or NULL with errno set and nothing mapped; besides what the plain
 *          calls say:
 *   EINVAL     alignment is not a power of two; address is not a multiple of alignment and
 *              of the size of pages; or something in reserved is not zero
 *   ENOTSUP    address, and flags lack GCMMAP_BY_HANDLE
 *   EEXIST     something is mapped at address, or in the room behind it
 *   EPERM      address is lower than the system allows
 *   ENOMEM     address is higher than addresses go
 *   EOVERFLOW  room or alignment is larger than GCMMAP_SIZE_MAX, and flags lack
 *              GCMMAP_BY_HANDLE
 *   EMFILE     room, truncated or GCMMAP_ZERO_FILL, and the process has as many descriptors as
 *              it may
 * Since: 0.1
 */
gcmmap_region *gcmmap_open_with(const char *path, unsigned flags, const gcmmap_options *options);
gcmmap_region *gcmmap_map_with(int fd, int64_t offset, size_t size, unsigned flags,
                               const gcmmap_options *options);
gcmmap_region *gcmmap_alloc_with(size_t size, unsigned flags, const gcmmap_options *options);

/**
 * Memory without a path that others share: forked children, and those who get the descriptor.
 *
 * \param name     what /proc shows it as; need not be unique.
 * \param size     bytes, zeroed; pages cost memory once they are touched.
 * \param flags    as for gcmmap_map(); no access at all means GCMMAP_WRITE.
 * \param options  or NULL.
 * \param fd       gets a descriptor (close-on-exec), the caller's to pass on and close; NULL:
 *                 none is wanted.
 * \return  the handle, or NULL with errno set and nothing mapped: see gcmmap_map_with(), and
 *   EINVAL     name is NULL or has more than 249 bytes; or GCMMAP_PRIVATE
 *   EMFILE, ENFILE   no descriptors left
 *   ENOSYS     the system has no such memory
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_memfd(const char *name, size_t size, unsigned flags,
                            const gcmmap_options *options, int *fd);

/* For gcmmap_shm(): make it if there is none, with mode 0600; and fail if there is one. */
#define GCMMAP_CREATE 0x40000u
#define GCMMAP_EXCLUSIVE 0x80000u

/**
 * POSIX shared memory, by name: shm_open(3).
 *
 * With GCMMAP_CREATE an object that is shorter than size is made that long, and all of
 * it is set aside at once; others may do the same at the same time.  It stays until
 * gcmmap_shm_unlink(), or the next start of the system.  None is ever made shorter, but
 * with GCMMAP_LOCK or GCMMAP_POPULATE: then it has to be long enough before it is mapped, and
 * when that fails it is made as short again as it was, unless it has been made longer still.
 *
 * \param name   "/", and then a name without another "/".
 * \param size   bytes from its start; or GCMMAP_REST without GCMMAP_CREATE: all of it.
 * \param flags  as for gcmmap_map(), and GCMMAP_CREATE, GCMMAP_EXCLUSIVE.
 * \param options  or NULL.
 * \return  the handle, or NULL with errno set and nothing mapped, made or made longer: see
 *          gcmmap_map_with(), and
 *   EINVAL     name is NULL or no such name; GCMMAP_EXCLUSIVE without GCMMAP_CREATE; or
 *              GCMMAP_REST with it
 *   ENOENT     there is none, and flags lack GCMMAP_CREATE
 *   EEXIST     there is one, and flags have GCMMAP_EXCLUSIVE
 *   EACCES     it is not ours to open like that
 *   ENXIO      it is shorter, and flags lack GCMMAP_CREATE
 *   ENOSPC     no memory for so much
 *   ENAMETOOLONG, EMFILE, ENFILE   from shm_open(3)
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_shm(const char *name, size_t size, unsigned flags,
                          const gcmmap_options *options);

/**
 * Take away the name.  What is mapped stays so, and stays shared.
 *
 * \return  0, or -1 with errno set:
 *   EINVAL   name is NULL or no such name
 *   ENOENT, EACCES, ENAMETOOLONG   from shm_unlink(3)
 * Since: 0.1
 */
int gcmmap_shm_unlink(const char *name);

/* For gcmmap_copying.how. */
#define GCMMAP_COPY_ANYHOW                                                                         \
    0x1u /* a file that others change meanwhile is no error: some bytes are from before */
#define GCMMAP_COPY_TO_MEMORY 0x2u /* never share the disk's blocks, which may fail later */

/** How a snapshot is taken.  All zero is the same as none. */
typedef struct {
    /* Called before anything is copied, after each 256 KiB at most, and at the end; it may do
       anything but leave by longjmp(3) or an exception.  0: go on.  NULL: not wanted. */
    int (*progress)(size_t done, size_t size, void *data); /* size: 0 if nobody knows it yet */
    void *data;                                            /* handed to it */
    unsigned how;                                          /* GCMMAP_COPY_ ... */
    size_t reserved[5];                                    /* zero; for later versions */
} gcmmap_copying;

/**
 * A stable copy of a file's bytes, as a region: whatever others do to the file, then or later,
 * the region stays what it is, and does not fault.  So what has been checked there can be used.
 *
 * The copy is private to this process and takes memory, but for 256 KiB of zeros and more.  Where
 * the file system can share blocks between files (btrfs, XFS, bcachefs, ZFS on this machine),
 * 1 MiB and more are not copied but cloned: that takes no memory and little time, after what was
 * stored last has been written to disk.  Such pages are read from the disk when they are touched,
 * so a disk that fails ends in SIGBUS: see GCMMAP_COPY_TO_MEMORY.
 *
 * A clone shows the file as it was at one moment.  While bytes are copied others may change some
 * of them.  If the file's size or one of its times tells of that, copying begins again, up to
 * twice.  What the times do not tell goes unnoticed: stores into shared mappings, and before
 * Linux 6.13 a second change within the same 10 ms.  So who may write to the file can make
 * the region show bytes that were never in it together; but nobody can change them any more.
 *
 * Anything that can be read will do, if it can be mapped or not: files like those of /proc, and
 * what a pipe, a socket or a device gives until it ends, or up to size.  What was read from a
 * stream is gone from there, also if the call fails.  They have no size or times to tell of
 * changes.
 *
 * \param fd       open for reading.  It stays the caller's, and where it was.
 * \param offset   bytes from the start of the file; 0 for a stream.
 * \param size     bytes, or GCMMAP_REST: up to the end.
 * \param flags    as for gcmmap_map(); no access at all means GCMMAP_READ, and GCMMAP_PRIVATE goes
 *                 without saying: with GCMMAP_WRITE this process can change the region, alone.
 * \param options  or NULL; without room.
 * \param copying  or NULL.
 * \return  the handle, or NULL with errno set and nothing mapped: see gcmmap_map_with(), and
 *   ECANCELED  copying->progress said so
 *   EBUSY      others kept changing the file: three times in a row
 *   ENXIO      the range does not lie inside the file, or the stream ended before
 *   ESPIPE     offset is not 0, and fd is a stream
 *   EAGAIN     fd is O_NONBLOCK, and has nothing for us now
 *   EINVAL     options->room; something in copying->how or ->reserved that is not defined;
 *              GCMMAP_HUGE_ONLY, GCMMAP_SECRET, GCMMAP_SYNC_DAX or GCMMAP_WRITE_BACK; or
 *              GCMMAP_REST on a device
 *   EIO ...    from read(2)
 *   ENOMEM     no memory for the copy
 * Threads: any that the collector knows.  Takes as long as reading takes.  May collect and run
 *          finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_snapshot(int fd, int64_t offset, size_t size, unsigned flags,
                               const gcmmap_options *options, const gcmmap_copying *copying);

/**
 * Take over a mapping that someone else has made: with mmap(2), shmat(2), a driver's library.
 *
 * Its pages move to addresses that the collector follows pointers into, and gcmmap_data()
 * tells where; what they hold, and what they are mapped from, stays.  The old addresses are free
 * for others from then on: pointers to them are the caller's matter.  With GCMMAP_BY_HANDLE
 * the pages stay where they are.  The region is traced if its memory is private and writable, as
 * any other.
 *
 * \param addr      of its first page; the whole range has to be one mapping, as a line of
 *                  /proc/self/maps shows it, or a part of one.
 * \param size      bytes; whole pages are taken.
 * \param flags     GCMMAP_TRACED or GCMMAP_POINTER_FREE, GCMMAP_BY_HANDLE; access flags
 *                  need not be given, and if they are the mapping must allow it.
 * \param released  called as gcmmap_options.released is, with addr and size as given here,
 *                  and data; or NULL.  It must not unmap anything: that is done.
 * \param data      handed to released; kept alive until then, so it must not lead to the region.
 * \return  the handle, or NULL with errno set and the mapping where it was:
 *   EINVAL     addr is not the address of a page, size is 0, flags contradict each other or
 *              contain others; or some of it is in the collector's heap or in a region
 *   EFAULT     not all of it is mapped, or it is more than one mapping
 *   EACCES     the mapping does not allow what flags say
 *   EOVERFLOW  size is larger than GCMMAP_SIZE_MAX, and flags lack GCMMAP_BY_HANDLE
 *   ENOMEM, EDQUOT  as for gcmmap_map()
 *   EMFILE, ENFILE   no descriptor left to look at /proc/self/maps
 *   ENOTSUP    the system cannot move pages (only Linux can) or has no /proc, or the collector
 *              could not deal with them
 * Threads: any that the collector knows.  No other thread may use the mapping meanwhile, or
 *          map and unmap parts of it.  May collect and run finalizers.
 * Since:   0.1
 */
gcmmap_region *gcmmap_adopt(void *addr, size_t size, unsigned flags,
                            void (*released)(void *addr, size_t size, void *data), void *data);

/**
 * Address of the first byte asked for.  Store it, or any address up to one past
 * the end, anywhere the collector looks: it keeps the region.
 *
 * \return  the address, or NULL with errno set:
 *   EBADF   the region was closed
 *   EINVAL  not a handle
 * Since: 0.1
 */
void *gcmmap_data(const gcmmap_region *region);

/**
 * How many bytes of a region's pages are zeros in place of what a file lacks that has become
 * too short: see GCMMAP_ZERO_FILL.  Whole pages; all that ever were, in the life of the region.
 *
 * \return  the number; 0 also if this is not a handle, with errno set to EINVAL then.
 * Since: 0.1
 */
size_t gcmmap_zero_filled(const gcmmap_region *region);

/**
 * Number of bytes asked for; 0 if the region is empty or was closed or if this
 * is not a handle (errno as for gcmmap_data()).
 * Since: 0.1
 */
size_t gcmmap_size(const gcmmap_region *region);

/**
 * Data and size at once; {NULL, 0} where gcmmap_data() gives NULL.
 * Since: 0.1
 */
gcmmap_slice gcmmap_bytes(const gcmmap_region *region);

/**
 * The region that a pointer belongs to.
 *
 * \param pointer  anything at all: an address inside a region, one past its end,
 *                 a handle, or a pointer that has nothing to do with gcmmap.
 * \return  the handle, closed regions included; NULL if the pointer belongs to
 *          no region.  errno stays as it was.
 * Since: 0.1
 */
gcmmap_region *gcmmap_of(const void *pointer);

/** A weak reference: it names a region and does not keep it.  Copy it as you like. */
typedef struct {
    uintptr_t hidden; /* not an address */
    uint64_t id;      /* 0: no region */
} gcmmap_weak;

/**
 * A weak reference to a region.
 *
 * \return  it; one that is never found again, with errno set:
 *   EINVAL  not a handle
 * Since: 0.1
 */
gcmmap_weak gcmmap_weak_of(const gcmmap_region *region);

/**
 * The region that a weak reference names, closed regions included.
 *
 * A region is gone from here before its pages go, and from then on for ever: addresses are
 * used again, names are not.  If a collection is under way the answer keeps the region.
 *
 * \return  the handle, or NULL: the region is gone.  errno stays as it was.
 * Since: 0.1
 */
gcmmap_region *gcmmap_weak_get(gcmmap_weak weak);

/**
 * Bytes [from, to) of a slice, as a slice of the same memory.  No copy is made,
 * and no limit overflows: only from <= to <= slice.size is accepted.
 *
 * \return  the sub-slice; its data is never NULL, even if it is empty, unless
 *          slice.data is.  {NULL, 0} with errno set:
 *   ERANGE  the range does not lie inside the slice
 * Threads: any, the collector's or not.
 * Since:   0.1
 */
gcmmap_slice gcmmap_slice_sub(gcmmap_slice slice, size_t from, size_t to);

/**
 * Some bytes of a region as a slice: from any pointer into it, checked.
 *
 * \param p     the first of the bytes; it keeps its region as long as it is used, but see
 *              GCMMAP_BY_HANDLE.
 * \param size  how many; with 0, p may be one past the region's end.
 * \return  {p, size}; or {NULL, 0} with errno set:
 *   EINVAL  p is in no region
 *   EBADF   the region was closed
 *   ERANGE  not all of the bytes are in the region
 * Threads: any that the collector knows.
 * Since:   0.1
 */
gcmmap_slice gcmmap_slice_of(const void *p, size_t size);

/*
 * Slices: looking at their bytes.
 *
 * These read memory and nothing else: no lock, no collector, errno stays as it was.  Any
 * slice will do, of a region or not, and {NULL, 0}, which is empty.  Any byte may occur in
 * one, 0 included.  Reading a slice of a closed region or of a truncated file faults here
 * as it does anywhere.
 *
 * Threads: any, the collector's or not.
 * Since:   0.1
 */

/** Where a search found nothing. */
#define GCMMAP_NOT_FOUND ((size_t)-1)

/** 1 if both have the same size and the same bytes, else 0. */
int gcmmap_slice_equal(gcmmap_slice a, gcmmap_slice b);

/**
 * Which comes first: as memcmp(3), bytes without sign; the shorter one if the other begins
 * with it.
 *
 * \return  less than, equal to or greater than 0, as a is to b.
 */
int gcmmap_slice_compare(gcmmap_slice a, gcmmap_slice b);

/** Position of the first such byte in the slice, or GCMMAP_NOT_FOUND. */
size_t gcmmap_slice_find_byte(gcmmap_slice slice, unsigned char byte);

/**
 * Position at which the bytes of `wanted` first occur in the slice, or GCMMAP_NOT_FOUND.
 * No bytes at all occur at 0, in an empty slice too.
 */
size_t gcmmap_slice_find(gcmmap_slice slice, gcmmap_slice wanted);

/**
 * Walk through the lines of a slice:
 *
 *     gcmmap_slice rest = gcmmap_bytes(region), line;
 *     while (gcmmap_next_line(&rest, &line))
 *         ...
 *
 * A line ends with '\n', which is not part of it; the last one may lack that.  So "" has
 * no line, "\n" an empty one, "a\nb" and "a\nb\n" two.  Lines that end with "\r\n" keep
 * their '\r'.  No copy is made, line.data is never NULL.
 *
 * \param rest  what has not been walked through; becomes what is behind the line, in the
 *              end the empty slice behind the last one.
 * \param line  the line; not `rest` itself.
 * \return  1; or 0 if there was no line left, and nothing was changed.
 */
int gcmmap_next_line(gcmmap_slice *rest, gcmmap_slice *line);

/**
 * Walk through the fields of a slice, as through its lines; but a separator stands between
 * two fields: n of them make n + 1 fields, of which any may be empty.  So "" has one
 * field, an empty one, and "a," two.
 *
 * That a field, if only an empty one, is left is said by rest->data: it is NULL when the
 * last field has been taken, and only then.  Hence {NULL, 0}, which is what a call that fails
 * gives for a slice, has no field.
 *
 * \param rest   what has not been walked through; becomes what is behind the separator,
 *               or {NULL, 0} behind the last field.
 * \param field  the field; not `rest` itself.  Its data is never NULL.
 * \return  1; or 0 if there was no field left, and nothing was changed.
 */
int gcmmap_next_field(gcmmap_slice *rest, unsigned char separator, gcmmap_slice *field);

/**
 * A slice as an object of the collector's, which keeps what it is a slice of.
 *
 * For hosts where pointers into the middle of an object do not count in the heap, and for
 * GCMMAP_BY_HANDLE: wherever a pointer to the object's start counts, the object keeps its
 * region, by the handle, and so its bytes.
 */
typedef struct {
    gcmmap_slice bytes;
    gcmmap_region *region; /* the handle */
} gcmmap_slice_object;

/**
 * A new slice object.  Parts of its bytes are plain slices; what outlives the object needs
 * an object of its own.
 *
 * \param bytes  of one open region, checked as by gcmmap_slice_of().  For GCMMAP_BY_HANDLE
 *               the caller holds the handle until the call returns.
 * \return  the object, GC-allocated, never freed by hand; or NULL with errno set:
 *   EINVAL  bytes.data is in no region
 *   EBADF   the region was closed.  (If it is closed later the object stays, and its bytes
 *           fault as other slices do.)
 *   ERANGE  not all of the bytes are in the region
 *   ENOMEM  no memory, even after a collection
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
const gcmmap_slice_object *gcmmap_slice_object_new(gcmmap_slice bytes);

/*
 * Operations on some bytes of a region.
 *
 * They may be any bytes of one region, in any thread's hands, without any alignment.  The
 * kernel knows only whole pages, so each operation is done on all pages that hold one of
 * the bytes; what that means to their neighbours is said with each.  These can be bytes of
 * the region that were not meant, or of the file in front of the region and behind it.
 *
 * All of them have in common
 *
 * \param p     the first of the bytes.
 * \param size  how many; with 0, p may be one past the region's end, nothing is done,
 *              and the call succeeds.
 * \return  0, or -1 with errno set:
 *   EINVAL  p is in no region
 *   EBADF   the region was closed
 *   ERANGE  not all of the bytes are in the region; nothing is done to those that are
 *
 * and what is said with each.  Any thread may call them at any time.  One that meets
 * gcmmap_close() comes before it, and then closing waits for it, or after it, and then it
 * fails: none can bring back pages that are gone.  When the kernel is short of
 * memory or map slots (ENOMEM) they collect and try again, as gcmmap_map() does, so
 * finalizers may run inside them.  They last until the region is closed or released; what
 * is mapped there later knows nothing of them.
 */

#define GCMMAP_SYNC 0x1u       /* write now and wait for it */
#define GCMMAP_ASYNC 0x2u      /* have it written soon; Linux does so anyway */
#define GCMMAP_INVALIDATE 0x4u /* have other mappings of the file read it afresh */

/**
 * Write what was stored into a shared mapping to its file.
 *
 * Neighbours: what was stored into the pages' other bytes is written too.
 * Other processes see stores into shared mappings at once; this is for the disk.
 * Nothing is written, and the call succeeds, where mappings are private or anonymous.
 *
 * \param flags  GCMMAP_SYNC or GCMMAP_ASYNC, and GCMMAP_INVALIDATE, which may also be alone.
 * \return  0, or -1 with errno set: see "Operations", and
 *   EINVAL  flags are not that
 *   EBUSY   GCMMAP_INVALIDATE, and some of the pages are locked
 *   EIO, ENOSPC, EDQUOT ...  from the file system: not all was written, and the
 *           kernel may not try again
 * Threads: any that the collector knows.  gcmmap_close() waits as long as the disk takes.
 * Since:   0.1
 */
int gcmmap_sync(const void *p, size_t size, unsigned flags);

/**
 * Change what may be done with the pages; until the next call for them.
 *
 * Neighbours: all bytes of the pages change access, the region's first and last page as
 * well as those of any bytes in the middle.  To make some bytes inaccessible without
 * others, let them begin and end with a page.
 * It does not change what is traced: that is decided when mapping.  What lies in pages
 * of a traced region that nobody may read keeps alive what it points to, as before.  The
 * collector reads it through a descriptor of /proc/self/mem: opened (close-on-exec) by the first
 * call that makes such pages, kept for all others, opened anew in forked children.  In a program
 * that closes descriptors that are not its own, and in a child that may not open that file (no
 * /proc in a chroot, PR_SET_DUMPABLE), each collection tries to open it; where it cannot, for
 * want of a descriptor say, what only such pages point to is lost.
 *
 * \param access  GCMMAP_READ, GCMMAP_WRITE (which includes READ), GCMMAP_EXEC, combined;
 *                0: any access ends in SIGSEGV.
 * \return  0, or -1 with errno set: see "Operations", and
 *   EINVAL   access has other bits
 *   EACCES   GCMMAP_WRITE on a shared mapping of a file that was not open for writing;
 *            GCMMAP_EXEC on a noexec file system
 *   ENOTSUP  the region is traced, not mapped by handle, and the collector finds out by write
 *            protection which pages change (incremental mode; it would undo this); or access is
 *            not to read, and the system (no /proc) does not let the collector read protected
 *            pages
 *   EMFILE, ENFILE   the region is traced, access is not to read, and there is no descriptor left to
 *            keep: see above
 *   ENOMEM   no map slots left, even after collections.  If earlier calls gave
 *            parts of these bytes different access, some of the first ones may be changed;
 *            otherwise none
 * Threads: any that the collector knows.  May collect.
 * Since:   0.1
 */
int gcmmap_protect(const void *p, size_t size, unsigned access);

/** Advice; the numbers are those of Linux on most architectures, and never change. */
enum {
    /* How they will be read. */
    GCMMAP_ADVISE_NORMAL = 0,
    GCMMAP_ADVISE_RANDOM = 1,         /* do not read ahead */
    GCMMAP_ADVISE_SEQUENTIAL = 2,     /* read far ahead, drop what was read */
    GCMMAP_ADVISE_WILLNEED = 3,       /* begin to read them in; see gcmmap_prefetch() */
    GCMMAP_ADVISE_COLD = 20,          /* drop these first when memory is short */
    GCMMAP_ADVISE_PAGEOUT = 21,       /* drop them now if that loses nothing; see gcmmap_unload() */
    GCMMAP_ADVISE_POPULATE_READ = 22, /* read them in now, and wait */
    GCMMAP_ADVISE_POPULATE_WRITE = 23, /* the same as if to store into each page: memory is
                                          taken, and nothing changed */

    /* LOSES CONTENTS, of the neighbours in the same pages too.  What was stored
       into private memory is lost: it reads as zeros, or as the file.  Pointers in it keep
       nothing any more.  Of shared mappings nothing is lost by these. */
    GCMMAP_ADVISE_DONTNEED = 4,
    GCMMAP_ADVISE_DONTNEED_LOCKED = 24, /* of locked pages too */
    GCMMAP_ADVISE_FREE = 8, /* only anonymous memory; when memory is short, or never: until then,
                               or until the page is stored into, any look may show either */

    /* LOSES CONTENTS of the file, for everybody who maps or reads it: a hole
       of zeros.  Whole pages, so bytes of the file go that are not even in the region. */
    GCMMAP_ADVISE_REMOVE = 9,

    /* Refused with ENOTSUP.  A child without these pages would have holes in its collector's
       heap, and other mappings would come to lie there.  See GCMMAP_NO_FORK. */
    GCMMAP_ADVISE_DONTFORK = 10,
    GCMMAP_ADVISE_DOFORK = 11,

    GCMMAP_ADVISE_WIPEONFORK = 18, /* private anonymous memory: a child finds zeros, and objects
                                      that only it pointed to are not kept there */
    GCMMAP_ADVISE_KEEPONFORK = 19, /* the end of that */

    GCMMAP_ADVISE_MERGEABLE = 12,   /* private memory: may share equal pages with others, who can
                                       find out by the time that a store takes */
    GCMMAP_ADVISE_UNMERGEABLE = 13, /* the end of that */
    GCMMAP_ADVISE_HUGEPAGE = 14,    /* worth huge pages: whole ones, so memory is taken that was
                                       not touched, and a traced region is read there */
    GCMMAP_ADVISE_NOHUGEPAGE = 15,
    GCMMAP_ADVISE_COLLAPSE = 25, /* make huge pages of them now */
    GCMMAP_ADVISE_DONTDUMP = 16, /* not in core dumps */
    GCMMAP_ADVISE_DODUMP = 17,   /* the end of that */

    /* Any access ends in SIGSEGV; LOSES CONTENTS of private memory, and what is there keeps
       nothing.  Costs no map slots.  Not for locked pages. */
    GCMMAP_ADVISE_GUARD_INSTALL = 102,
    GCMMAP_ADVISE_GUARD_REMOVE = 103, /* pages without contents in place of guards */

    /* For tests of the kernel, by the superuser.  They take the memory itself out of use, until
       the machine is started again. */
    GCMMAP_ADVISE_HWPOISON = 100, /* LOSES CONTENTS: each access ends in SIGBUS */
    GCMMAP_ADVISE_SOFT_OFFLINE = 101
};

/**
 * Tell the kernel what to do with the pages, as madvise(2).
 *
 * Neighbours: the advice is given for all bytes in the same pages; that matters where it
 * says LOSES CONTENTS above.
 *
 * \param advice  GCMMAP_ADVISE_ ...
 * \return  0, or -1 with errno set: see "Operations", and
 *   EINVAL   advice is none of these; or the kernel does not know it, or not for
 *            this kind of mapping, for this access or for locked pages
 *   ENOTSUP  GCMMAP_ADVISE_DONTFORK and _DOFORK; or the system has no madvise()
 *   EACCES   GCMMAP_ADVISE_REMOVE on a region that is private or was not mapped with
 *            GCMMAP_WRITE
 *   EPERM    the process lacks the privilege
 *   EFAULT, EHWPOISON, EIO  GCMMAP_ADVISE_POPULATE_...: some pages cannot be had
 *   ENOMEM   no memory or map slots left, even after collections
 *   EAGAIN, EBUSY  the kernel could not just now
 *           Some of the pages may have been treated by then.
 * Threads: any that the collector knows.  May collect.
 * Since:   0.1
 */
int gcmmap_advise(const void *p, size_t size, int advice);

/**
 * Begin to read the pages in, from the file or from swap, and do not wait for it.
 *
 * Neighbours: nothing that they would notice.  The kernel may read in fewer.
 *
 * \return  0, or -1 with errno set: see "Operations", and
 *   ENOTSUP  the system has no madvise()
 * Threads: any that the collector knows.
 * Since:   0.1
 */
int gcmmap_prefetch(const void *p, size_t size);

/**
 * Drop the pages from memory without losing anything: they are read in again when needed.
 *
 * Neighbours: dropped with them.  Pages of a shared mapping leave this process; they leave
 * the kernel's cache, too, if nobody else has them mapped and the process owns the file or
 * may write to it; what was stored is written to the file before.  What was stored into
 * private memory goes to swap, or stays where it is if there is none.  So success says that
 * what could be dropped was; gcmmap_residency() says what that is.
 *
 * \return  0, or -1 with errno set: see "Operations", and
 *   EBUSY    some of the pages are locked, or of a kind (device, hugetlbfs) that cannot be
 *            dropped; others may have been
 *   ENOTSUP  the system cannot do it: Linux before 5.4 for private memory
 * Threads: any that the collector knows.
 * Since:   0.1
 */
int gcmmap_unload(const void *p, size_t size);

/**
 * Read the pages in and keep them in memory, never swapped, until gcmmap_unlock().
 *
 * Neighbours: bytes in the same pages are locked with them.  Locks do not add up: a page
 * locked twice is unlocked by one gcmmap_unlock().  A forked child has none.
 *
 * \return  0, or -1 with errno set: see "Operations", and
 *   ENOMEM  more than RLIMIT_MEMLOCK allows, even after collections; or some of the
 *           pages cannot be read in: they lie behind the end of a truncated file, or
 *           nothing may access them
 *   EAGAIN  some of the pages could not be read in
 *   EPERM   RLIMIT_MEMLOCK is 0
 *          Unless the limit was in the way, pages of the range may be locked or not then;
 *          gcmmap_unlock() makes sure of it.
 * Threads: any that the collector knows.  May collect.
 * Since:   0.1
 */
int gcmmap_lock(const void *p, size_t size);

/**
 * Let pages be swapped again.  Of pages that are not locked nothing is changed.
 *
 * Neighbours: a page is unlocked for all bytes in it, whoever locked them.
 *
 * \return  0, or -1 with errno set: see "Operations", and
 *   ENOMEM  no map slots left, even after collections: it takes up to two to unlock
 *           the middle of what was locked
 * Threads: any that the collector knows.  May collect.
 * Since:   0.1
 */
int gcmmap_unlock(const void *p, size_t size);

/**
 * Which pages are in memory at this moment.
 *
 * Of a file: in the kernel's cache, whoever brought them there; all of them seem to be if
 * the process neither owns the file nor may write to it.  Of private memory that was written
 * to: not swapped out; never written to: not there.  Nothing is read in by asking.
 *
 * \param pages       one byte for each page that holds one of the bytes: 1 if it is in
 *                    memory, else 0.  At most size / page size + 2 of them.  NULL: only
 *                    the number is wanted, and n_pages does not matter.
 * \param n_pages     how many bytes there is room for.
 * \param n_resident  the number of pages that are in memory; may be NULL.
 * \return  0, or -1 with errno set: see "Operations", and
 *   ERANGE   n_pages is too small, too; nothing is stored then
 *   EAGAIN   the kernel is short of memory
 *   ENOTSUP  the system does not tell
 * Threads: any that the collector knows.
 * Since:   0.1
 */
int gcmmap_residency(const void *p, size_t size, unsigned char *pages, size_t n_pages,
                     size_t *n_resident);

/*
 * Copying without a fault.
 *
 * Whatever has become of the pages (the file was truncated, the disk fails, the access was
 * taken away, the region is being closed by another thread) these end with an error instead of
 * a signal.  No signal handler is involved: the kernel copies.  A copy of a few bytes costs
 * about 1 us, three times what pread(2) costs.
 *
 * A byte that cannot be copied ends the copy.  What has been copied before it is counted, as
 * read(2) does, and calling again for the rest gives the error.
 *
 * \return  how many bytes were copied, or -1 with errno set and none copied:
 *   EINVAL  p is in no region
 *   EBADF   the region was closed
 *   ERANGE  not all of the bytes are in the region
 *   EFAULT  the page cannot be read, or written to.  (Some bytes in front of the one that
 *           cannot may have been written, if they are in the same page.)
 *   EMFILE, ENFILE  the system forbids process_vm_readv(2), and there is no descriptor for
 *           another way
 * Threads: any that the collector knows.  gcmmap_close() waits for 1 MiB at most.
 * Since:   0.1
 */

/**
 * Copy bytes out of a region.
 *
 * \param to    memory of the caller's, writable.
 * \param p     the first of the bytes; it keeps its region during the call, but see
 *              GCMMAP_BY_HANDLE.
 * \param size  how many; with 0, p may be one past the region's end.
 */
ssize_t gcmmap_copy_out(void *to, const void *p, size_t size);

/**
 * Copy bytes into a region; never into pages that are protected against stores.
 *
 * \param p     where the first of the bytes goes, as above.
 * \param from  memory of the caller's, readable.
 */
ssize_t gcmmap_copy_in(void *p, const void *from, size_t size);

/*
 * Guards: an error in place of SIGBUS or SIGSEGV.
 *
 *     gcmmap_guard guard;
 *
 *     if (GCMMAP_TRY(guard)) {
 *         sum = add(data, size);
 *         gcmmap_guard_leave(&guard);
 *     } else {
 *         complain(guard.fault.name, guard.fault.offset, guard.fault.kind);
 *     }
 *
 * An access of this thread that fails between GCMMAP_TRY and gcmmap_guard_leave() leads to
 * `else`, if it is to the addresses of a region, open or closed, and the guard is left.  Faults
 * at other addresses, and other threads', go where they went before.  Guards nest: the
 * innermost catches.  Entering one costs less than 50 ns, leaving it almost nothing.
 *
 *   - It is a longjmp(3): local variables that were changed since GCMMAP_TRY have to be
 *     volatile to be used in `else`.  What was interrupted is not finished: hold no locks in a
 *     guard, allocate nothing, call no stdio on a region's bytes, or what they leave half-done
 *     stays so.  In C++ no destructor in between is run.  Rounding mode and the like become
 *     those of a signal handler.
 *   - Every way out of the block leads by gcmmap_guard_leave(), or by that of a guard around
 *     it; in C++ the end of the guard's life is enough, so exceptions are safe.  Where a
 *     longjmp(3) or exception leaves C code with it still entered, the next fault of a region
 *     in this thread leads to a frame that may be gone.
 *   - System calls are no accesses: read(2) into pages that cannot be written to gives EFAULT.
 *   - What runs inside the collector is no matter of the thread that happens to be in it: its
 *     faults, and those of gcmmap_options.released, are not caught.
 *   - The handler for both signals is installed when a guard is first entered.  It passes on what
 *     is not for it.  A handler that others install later has to do the same; the
 *     collector's (incremental collection) may come before or after.  Where collections are
 *     incremental by write protection, pages of closed traced regions become readable
 *     instead of faulting, so there is nothing to catch.
 *   - The handler runs on the stack of sigaltstack(2), if the thread has one.  While it is at work
 *     other signals wait, and pthread_cancel(3) does: a handler of theirs may leave a guard by
 *     siglongjmp(3), by the rules above.
 */

/** What was the matter. */
enum {
    GCMMAP_FAULT_TRUNCATED = 1, /* the file ends in front of the page */
    GCMMAP_FAULT_IO = 2,        /* the page could not be had: an error of the disk, no space on
                                   it for a hole that is stored into, no huge page, broken memory */
    GCMMAP_FAULT_FILE = 3,      /* one of these: the file cannot be looked at any more */
    GCMMAP_FAULT_CLOSED = 4,    /* the region was closed */
    GCMMAP_FAULT_PROTECTED = 5, /* the access is not allowed: by the flags it was mapped with, by
                                   gcmmap_protect(), or there is a guard page */
    GCMMAP_FAULT_OUTSIDE = 6    /* in front of the region's bytes, or behind them */
};

typedef struct gcmmap_fault {
    int kind;              /* GCMMAP_FAULT_ ... */
    int signal;            /* SIGBUS or SIGSEGV */
    int is_write;          /* 1: a store; 0: a load; -1: the processor does not tell */
    void *address;         /* that was accessed */
    gcmmap_region *region; /* the handle */
    ptrdiff_t offset;      /* of the address from the region's first byte */
    size_t size;           /* of the region, or what it was before it was closed */
    int64_t file_offset;   /* of the address in the file; -1: not known */
    int64_t file_size;     /* when the fault was looked at; -1: not known */
    const void *mapped_by; /* return address of the call that mapped it */
    const void *closed_by; /* of the one that closed it; NULL: none */
    char name[256];        /* options.name, or the path that was given, or what the system
                               says; the end of it; "" if there is none */
    size_t reserved[6];
} gcmmap_fault;

typedef struct gcmmap_guard gcmmap_guard;

/** On the stack of one function.  Only `fault` is the user's to read. */
struct gcmmap_guard {
    gcmmap_fault fault;
    jmp_buf jump;
    gcmmap_guard *outer;
    uintptr_t check;
#ifdef __cplusplus
    inline ~gcmmap_guard();
#endif
};

/** True when it is entered; false, and `guard` left, when an access has failed.  For `if`. */
#define GCMMAP_TRY(guard)                                                                          \
    (setjmp((guard).jump) == 0 ? gcmmap_guard_enter(&(guard)) : gcmmap_guard_caught(&(guard)))

/** Not to be called but by GCMMAP_TRY.  Since: 0.1 */
int gcmmap_guard_enter(gcmmap_guard *guard);
int gcmmap_guard_caught(gcmmap_guard *guard);

/**
 * Leave a guard, and those entered inside it.  If it is not entered nothing is done.
 *
 * Threads: the one that entered it.
 * Since:   0.1
 */
void gcmmap_guard_leave(gcmmap_guard *guard);

#ifdef __cplusplus
inline gcmmap_guard::~gcmmap_guard()
{
    gcmmap_guard_leave(this);
}
#endif

/**
 * The same without setjmp, for other languages: calls fn(arg) in a guard.
 *
 * \param fault  is told what it was; may be NULL.
 * \return  0 if fn returned; or -1 with errno set, *fault filled in, and fn interrupted:
 *   EFAULT  an access of fn to a region failed
 * Threads: any; the collector need not know it unless a fault is caught.
 * Since:   0.1
 */
int gcmmap_try(void (*fn)(void *arg), void *arg, gcmmap_fault *fault);

/**
 * A fault in words, in one line, as
 *
 *     words.txt: byte 20480 of 81920 cannot be read: the file has been truncated to 100 bytes, ...
 *
 * \param text  gets it, or as much as there is room for, with a 0 at its end.
 * \param size  of text; 0: only the length is wanted.
 * \return  the length, without the 0.
 * Threads: any.  Async-signal-safe.
 * Since:   0.1
 */
size_t gcmmap_fault_text(const gcmmap_fault *fault, char *text, size_t size);

#define GCMMAP_REPORT_FAULTS 0x1u
#define GCMMAP_REPORT_LINES 0x2u

/**
 * Last words: before the process dies of a fault of a region that no guard catches, say on
 * the standard error stream which region and which byte of it, what has happened, and which
 * code accessed, mapped and closed it.  Then it dies as it would have died, of the same signal.
 *
 * Nothing is said of other faults, nor where the program has a handler of its own for them.
 * Where collections are incremental by write protection the collector has one, which ends the
 * process by SIGABRT, or lets it go on where a closed region lies in its heap: said it is there, too.
 *
 * \param what  0: no more; GCMMAP_REPORT_FAULTS; with GCMMAP_REPORT_LINES functions and source
 *              lines too, where /usr/bin/addr2line finds any, which is run then.  The variable
 *              GCMMAP_REPORT_FAULTS=1, or 2, in the environment does the same from the
 *              first call that maps on.
 * \return  0, or -1 with errno set:
 *   EINVAL  what has other bits
 * Threads: any.
 * Since:   0.1
 */
int gcmmap_report_faults(unsigned what);

/*
 * Changing size.
 *
 * A region mapped with options.room can grow in place to as many bytes, or to its size at
 * first if that was more, and shrink.  It never moves: slices stay what they are.
 *
 *      data           + size (changes)               + room (fixed)
 *        v              v                              v
 *        +--------------+------------------------------+
 *        | the region   | addresses set aside: fault   |
 *        +--------------+------------------------------+
 *
 * A region of a file keeps a descriptor of its own, close-on-exec, a duplicate of the one
 * it was mapped with, until it is closed or released.  A host that closes descriptors it
 * does not know (as closefrom(3)) takes the region's ability to change size, no more: ESTALE.
 *
 * All three calls
 *
 * \return  0, or -1 with errno set and nothing changed:
 *   EINVAL   not a handle
 *   EBADF    the region was closed
 *   ENOTSUP  it was mapped without options.room: its size is fixed
 *   ESTALE   the region's descriptor was closed by others
 *   ENOMEM   no memory or map slots, even after collections
 *
 * and what is said with each.  Any thread that the collector knows may call them at any
 * time; in each region one change is made after the other, and gcmmap_close() waits for the
 * one under way.  They may collect, when the kernel is short of memory.  What was set for
 * pages by gcmmap_lock() and the like does not hold for those that are added.
 */

/**
 * Grow a region in place, to `size` bytes at least.  One that has as many stays as it is.
 *
 * Anonymous memory: the new pages are zero.  A file: the next bytes of it.  If the region
 * is shared and writable and the file ends before them, the file grows to hold them: its new
 * bytes are zero, and their disk space is reserved, so that a full disk is an error
 * here and not a SIGBUS later (where the file system cannot reserve, as NFS before 4.2, the
 * file gets holes).  Of other regions the bytes have to be there.  In a page that a private
 * mapping has written to, new bytes are those of the private copy.
 *
 * \param size  bytes from gcmmap_data() on.
 * \return  0, or -1 with errno set: see "Changing size", and
 *   ERANGE  size is more than the room
 *   ENXIO   the file ends before them, and the region is not shared and writable
 *   ENOSPC, EDQUOT  no space left for the file
 *   EFBIG   more than a file can have, or (with SIGXFSZ) than RLIMIT_FSIZE allows
 *   EPERM   the file is a memfd sealed against growing or writing
 *   EAGAIN  mlockall(2) is in force and its limit reached
 *   EIO ... from the file system
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
int gcmmap_extend(gcmmap_region *region, size_t size);

/**
 * Let a region end where its file ends now, as `tail -f` needs: it grows by what others
 * have appended, up to its room; or it shrinks, if they have cut off some of its bytes, as by
 * gcmmap_truncate() except that the file is left alone.  gcmmap_size() tells.  If nothing
 * has changed nothing is done, at the price of one system call.
 *
 * Between the file's being cut and this call, slices of the lost pages end in SIGBUS.
 *
 * \return  0, or -1 with errno set: see "Changing size", and
 *   EINVAL  anonymous memory, or a device: these have no end
 *   EAGAIN  mlockall(2) is in force and its limit reached
 *   EIO, ENOSPC ...  the region shrinks, is GCMMAP_WRITE_BACK, and msync(2) said so
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
int gcmmap_refresh(gcmmap_region *region);

/**
 * Shrink a region to its first `size` bytes.  It may grow again later.
 *
 * Slices behind the new end are revoked, page by page: whole pages behind it fault
 * (SIGSEGV) until the region grows over them again, and give their memory back.  The rest of
 * the last page stays accessible, and anonymous or private bytes in it are seen again, as
 * they were left, when the region grows.
 *
 * If the region is shared and writable, and the file ends where it does or before, then the
 * file is cut to the new size too.  A file that goes on behind the region is left alone: this
 * never removes a byte that the region does not show.  (One that another process appends at
 * this very moment it may.)
 *
 * \param size  bytes from gcmmap_data() on.
 * \return  0, or -1 with errno set: see "Changing size", and
 *   ERANGE  size is more than the region has
 *   EAGAIN  mlockall(2) is in force and its limit reached
 *   EPERM   the file is a memfd sealed against shrinking or writing, or append-only
 *   EIO, ENOSPC ...  from the file system; or the region is GCMMAP_WRITE_BACK, the file
 *           is not cut, and msync(2) said so
 * Threads: any that the collector knows.  May collect and run finalizers.
 * Since:   0.1
 */
int gcmmap_truncate(gcmmap_region *region, size_t size);

/**
 * Revoke a region: its file and memory are released before the call returns.
 *
 * Slices that are left fault on access (SIGSEGV) and never show anything else:
 * their addresses stay reserved until the collector finds none of them.  What
 * was written to a shared mapping reaches the file in the kernel's own time, as
 * with munmap(2); before the call returns if the region is GCMMAP_WRITE_BACK.
 * Closing a closed region does nothing and succeeds.
 *
 * \return  0, or -1 with errno set and nothing changed:
 *   EINVAL  not a handle
 *   ENOMEM  the kernel has no map slot left to put guard pages there, and
 *           collections did not free any; the region stays open
 *   EAGAIN  mlockall(2) is in force and its limit reached; the region stays open
 *   EIO, ENOSPC ...  GCMMAP_WRITE_BACK, and msync(2) said so; the region stays open
 *           (the kernel tells of an error once, so a second call may succeed)
 * Threads: any; two closing at once both succeed.  May collect, if the kernel
 *          is short of map slots.  Waits for operations on the region that other
 *          threads have begun.
 * Since:   0.1
 */
int gcmmap_close(gcmmap_region *region);

/**
 * Unmap now, without a collection: the caller promises that no slice is left.
 *
 * As gcmmap_close(), but the addresses can be handed out again at once, so this
 * is free() for a region: neither the handle nor any slice may be used after it.
 * For programs that know the moment and want mapping without any collection.
 *
 * \return  0, or -1 with errno set and nothing changed:
 *   EINVAL  not a handle (which is what a handle becomes here)
 *   EBUSY   another thread is closing this region right now
 *   ENOMEM, EAGAIN, EIO, ENOSPC ...  as for gcmmap_close()
 * Threads: any.  May collect, if the kernel is short of map slots.
 * Since:   0.1
 */
int gcmmap_unmap_now(gcmmap_region *region);

/**
 * Run a full collection and release every region that it finds dead.
 *
 * Finalizers that the collector has queued may run first, as in GC_gcollect().
 * A slice in a dead object with a finalizer needs one more call.
 *
 * \return  number of regions released.
 * Threads: any that the collector knows.  Collects, runs finalizers.
 * Since:   0.1
 */
size_t gcmmap_collect(void);

/**
 * Give the addresses that no region lies on back to the collector's heap.
 *
 * gcmmap keeps them for the next mappings, which are cheaper for it; they cost no memory
 * but bdwgc's index, 8 bytes for each 4 KiB.  After eight collections in which nothing was
 * mapped it does this by itself, where the host runs finalizers and more is kept than
 * regions lie on.
 *
 * \return  bytes of address space given back.
 * Threads: any that the collector knows.
 * Since:   0.1
 */
size_t gcmmap_trim(void);

/**
 * What regions may hold altogether, open ones and dead ones that are still mapped.  0: no
 * limit of ours.  Bytes count whole pages.
 */
typedef struct {
    size_t n_regions;
    size_t bytes;         /* mapped */
    size_t bytes_charged; /* of these, private and writable: they may cost memory */
    size_t reserved[5];   /* zero; for later versions */
} gcmmap_budget;

/**
 * Limits what can be mapped.  A call that maps or extends and would exceed the budget collects
 * first, and then fails with EDQUOT.  What is mapped already stays.
 *
 * \return  0, or -1 with errno set and nothing changed:
 *   EINVAL  budget is NULL, or something in reserved is not zero
 * Threads: any.
 * Since:   0.1
 */
int gcmmap_set_budget(const gcmmap_budget *budget);

/** The budget in force; all zero at the start.  Since: 0.1 */
void gcmmap_get_budget(gcmmap_budget *budget);

/**
 * When mapping collects by itself: as soon as one of these has been reached since the last
 * collection, whoever made it, but not before live_percent of what is live then has been
 * mapped anew.  0 stands for the default.
 */
typedef struct {
    size_t n_regions;     /* default 1,024: more do not make mapping cheaper */
    size_t bytes;         /* of addresses of the collector's heap; default 4 GiB (32 bits: 256 MiB):
                             each GiB costs a collection about 0.25 ms */
    size_t bytes_charged; /* private and writable; default 256 MiB */
    size_t live_percent;  /* default 50 */
    size_t reserved[4];   /* zero; for later versions */
} gcmmap_pacing;

/**
 * Sets the pacing.
 *
 * \return  0, or -1 with errno set and nothing changed:
 *   EINVAL  pacing is NULL, or something in reserved is not zero
 * Threads: any.
 * Since:   0.1
 */
int gcmmap_set_pacing(const gcmmap_pacing *pacing);

/** The pacing in force, defaults filled in.  Since: 0.1 */
void gcmmap_get_pacing(gcmmap_pacing *pacing);

/** Counters of this process.  Bytes count whole pages. */
typedef struct {
    size_t n_live;          /* open regions */
    size_t n_closed;        /* revoked, addresses not yet free */
    size_t n_dying;         /* found dead, still mapped until the next finalization point */
    size_t n_pooled;        /* reservations ready for reuse */
    size_t n_mapped;        /* regions mapped since the start */
    size_t n_released;      /* regions released by the collector since the start */
    size_t n_unmapped_now;  /* regions given back by gcmmap_unmap_now() */
    size_t bytes_live;      /* mapped by open regions */
    size_t bytes_traced;    /* of these, in regions whose contents are traced */
    size_t bytes_dying;     /* mapped by dying regions */
    size_t bytes_reserved;  /* of the collector's heap: regions, pool, slack */
    size_t n_collections;   /* collections that gcmmap itself asked for */
    size_t n_revoked;       /* regions closed by gcmmap_close() since the start */
    size_t n_failed;        /* mappings that failed with ENOMEM or EDQUOT, after collections */
    size_t n_most_live;     /* open at once, the most there ever were ... */
    size_t bytes_most_live; /* ... and bytes */
    size_t bytes_mapped;    /* by all regions since the start, as they were mapped */
    size_t bytes_charged;   /* of bytes_live, private and writable: they may cost memory */
    size_t reserved[6];     /* zero; for later versions */
} gcmmap_stats;

/**
 * Fill in the counters.  Cheap: no system call, nothing is walked.
 * Since: 0.1
 */
void gcmmap_get_stats(gcmmap_stats *stats);

/*
 * The environment.  Of programs that run with others' privileges it is ignored.
 *
 *   GCMMAP_STATS  When the program ends, two lines with the counters.
 *   GCMMAP_TRACE  A line whenever a region is mapped, closed, unmapped or released, and for each
 *                 collection that gcmmap asks for: address, size, name, and where in the program.
 *
 * "1": on stderr; a path: appended to that file; "0", or nothing: not at all.  Read once, by the
 * first call of gcmmap.
 */

/*
 * Looking at regions.
 *
 * What is written goes to a stream of the caller's.  No lock is held meanwhile; the regions
 * are those of one moment, and what is said of their pages is a little younger.
 */
#define GCMMAP_LIST_JSON 0x1u   /* for programs; else for people */
#define GCMMAP_LIST_SLICES 0x2u /* collect, and count the pointers into each, as gcmmap_why() */

/**
 * List all regions, open, closed and dying, in the order of their addresses.
 *
 * A line for each, with a heading: address, size, state, access (rwx as in /proc/self/maps, s
 * or p: shared or private; t: traced; h: by handle), age, how much of it is in memory
 * and how much was written by this process (only of private memory is that known), where in
 * which file it begins or what it is called, and where in the program it was mapped and closed.
 *
 * As JSON: an array with one object for each region.  "handle", "data": addresses, as strings.
 * "size", "bytes_mapped", "bytes_resident", "bytes_written", "room", "offset": bytes.
 * "slices": pointers that were found, the handle among them.
 * "state": "open", "closing", "closed" or "dying".  "flags": names, as mapped.  "age":
 * seconds.  "name": options.name, or the path.  "mapped_by", "closed_by": places in the program.
 * What is not known is null.  Later versions may add members.
 *
 * \param to     open for writing, and flushed.
 * \param flags  0, or GCMMAP_LIST_JSON and GCMMAP_LIST_SLICES.
 * \return  0, or -1 with errno set:
 *   EINVAL  to is NULL, or flags has other bits; nothing is written
 *   ENOMEM  no memory for the table; nothing is written
 *   EIO, ENOSPC, EPIPE ...  from the stream
 * Threads: any that the collector knows.  Collects only with GCMMAP_LIST_SLICES.
 * Since:   0.1
 */
int gcmmap_list(FILE *to, unsigned flags);

/**
 * Draw all regions, as a picture (SVG) that any browser shows.
 *
 * Each region is a bar: which of its pages are in memory, which this process has written, where
 * pointers lead.  The 40 largest have a line of their own, the next 4,000 are small.  Pointers
 * are looked for as by gcmmap_why(), and left out where that is not possible.
 *
 * \param to  open for writing, and flushed.
 * \return  0, or -1 with errno set:
 *   EINVAL  to is NULL
 *   ENOMEM  no memory; nothing is written
 *   EIO, ENOSPC, EPIPE ...  from the stream
 * Threads: any that the collector knows.  Collects, runs finalizers.
 * Since:   0.1
 */
int gcmmap_report(FILE *to);

/*
 * Why is this still mapped?
 *
 * A collection tells what is reached, not from where.  These run two, and at the end of the
 * second look at all that the collector looks at, while other threads are stopped: so
 * they are for finding leaks, not for each request.
 */
enum {
    GCMMAP_HOLDER_REGISTER = 1, /* a register of this thread, as the call was made */
    GCMMAP_HOLDER_STACK = 2,  /* a thread's stack (its registers are there too, as it is stopped) */
    GCMMAP_HOLDER_DATA = 3,   /* static data of the program or of a library */
    GCMMAP_HOLDER_OBJECT = 4, /* an object of the collector's heap */
    GCMMAP_HOLDER_REGION = 5  /* the contents of a traced region */
};

#define GCMMAP_HOLDER_IS_HANDLE 0x1u /* the pointer is the handle, or to the same byte */
/* It may not count: the object's kind may have words that are not looked at; the thread was not
   stopped, as the collector does not know it, or it is in GC_do_blocking(); the static data is
   libgc's own; or the pointer is tagged, where interior pointers do not count. */
#define GCMMAP_HOLDER_IS_UNSURE 0x2u

/** A pointer that keeps a region. */
typedef struct {
    int kind;            /* GCMMAP_HOLDER_... */
    unsigned flags;      /* GCMMAP_HOLDER_IS_... */
    void *address;       /* where it is stored; NULL: in a register */
    ptrdiff_t points_to; /* byte of the region: the pointer - gcmmap_data(), so negative for a
                            handle in front of it; 0 with GCMMAP_BY_HANDLE */
    void *object;        /* OBJECT: its start; REGION: gcmmap_data() of it; else NULL */
    size_t size;         /* of that, bytes; */
    size_t offset;       /* of the pointer in it */
    int object_kind;     /* OBJECT: bdwgc's number */
    long thread;         /* REGISTER, STACK: the kernel's number of the thread */
    const char *name;    /* DATA: "symbol+offset (file)" or "file+offset"; REGION: its name or
                            NULL.  Valid during the call */
} gcmmap_holder;

/**
 * Who keeps a region, or the addresses of a closed one.
 *
 * The caller's own frame counts too, and if only the argument keeps the region it may be
 * gone when the call returns.  Not found are roots that bdwgc does not tell of: those that were
 * added with GC_add_roots() or pushed by the host's own procedure.  Pointers that are stored or
 * moved between the two collections may be missed.  In the worst case (a large heap) other
 * threads are stopped a second longer than a collection takes.
 *
 * \param pointer  any pointer into the region, one past its end, or the handle.
 * \param most     the search ends with so many holders.
 * \param found    called for each of them, after the search: no lock is held, and it may do
 *                 what it likes.
 * \return  how many; or -1 with errno set:
 *   EINVAL     pointer is in no region; or found is NULL, or most is too large
 *   ENOMEM     no memory for so many
 *   EMFILE, ENFILE   no descriptor left to look at threads
 *   EIO        the system stopped telling of them half-way
 *   ENOTSUP    the host has switched collections off, or gets the collector's events (GC_set_on_
 *              collection_event()) instead of gcmmap; or the system does not tell of threads
 *   ETIMEDOUT  the search took too long.  What was found until then has been told
 * Threads: any that the collector knows.  Collects, runs finalizers.
 * Since:   0.1
 */
ssize_t gcmmap_why(const void *pointer, size_t most,
                   void (*found)(const gcmmap_holder *holder, void *data), void *data);

/**
 * The same as text, a line for each of the first 100 holders.
 *
 * \return  0, or -1 with errno set:
 *   EINVAL   to is NULL, or pointer is in no region
 *   ENOMEM, EMFILE, ENFILE, EIO, ENOTSUP  as for gcmmap_why()
 *   EIO, ENOSPC, EPIPE ...  from the stream
 * Threads: any that the collector knows.  Collects, runs finalizers.
 * Since:   0.1
 */
int gcmmap_print_why(FILE *to, const void *pointer);

#ifdef __cplusplus
}
#endif
#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#endif
