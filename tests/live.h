/*
 * live: what the tests of life and death share.  Hidden pointers, noise, witnesses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef LIVE_H
#define LIVE_H

#include "tap.h"

#define MiB ((size_t)1 << 20)

/* An address that the collector does not see; ~ as GC_HIDE_POINTER. */
static inline uintptr_t hide(const void *pointer)
{
    return ~(uintptr_t)pointer;
}

static inline void *reveal(uintptr_t hidden)
{
    return (void *)~hidden;
}

/*
 * Static data with hidden addresses.  With 32 bits the complement of one region's may well be
 * another's, and be taken for a pointer to it.
 */
#define DOES_NOT_COUNT(object) GC_exclude_static_roots(&(object), &(object) + 1)

static inline unsigned long inode_of(int fd)
{
    struct stat status;

    need(fstat(fd, &status) == 0, "fstat");
    return (unsigned long)status.st_ino;
}

/* Inode of the file mapped there; 0: anonymous memory or nothing. */
static inline unsigned long inode_at(const void *address)
{
    char permissions[5];
    unsigned long inode = 0;

    return map_line(address, permissions, &inode) ? inode : 0;
}

/*
 * As has_bytes(), but of what is large only windows: both ends, the middle and around
 * each border of 16 MiB, where one block of the collector's heap meets the next.
 */
static inline bool shows_bytes(const unsigned char *data, size_t n, uint64_t seed, size_t offset)
{
    const size_t window = 256, border = 16 * MiB;

    if (n <= 32768)
        return has_bytes(data, n, seed, offset);
    for (size_t at = border; at + window < n; at += border)
        if (!has_bytes(data + at - window, 2 * window, seed, offset + at - window))
            return false;
    return has_bytes(data, window, seed, offset) &&
           has_bytes(data + n / 2, window, seed, offset + n / 2) &&
           has_bytes(data + n - window, window, seed, offset + n - window);
}

/* Garbage and short-lived structures of all sizes, overwritten to the last byte. */
static __attribute__((noinline, unused)) void make_noise(void)
{
    void **list = NULL;

    for (size_t i = 0; i < 3000; i++) {
        size_t n_bytes = 16 + i % 40 * 8;
        void **object = GC_MALLOC(i % 500 == 0 ? 40000 : n_bytes);

        need(object != NULL, "GC_MALLOC");
        memset(object, 0x55, n_bytes);
        object[0] = i % 100 == 0 ? NULL : list;
        list = object;
    }
}

/* Full collections of the host's and of gcmmap's making. */
static __attribute__((noinline, unused)) void collect_with_noise(void)
{
    make_noise();
    GC_gcollect();
    run_finalizers_if_asked();
    make_noise();
    (void)gcmmap_collect();
    run_finalizers_if_asked();
    make_noise();
    (void)gcmmap_collect();
    run_finalizers_if_asked();
}

#endif
