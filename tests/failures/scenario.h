/*
 * scenario: one public call, what is prepared for it, and what must be true afterwards.  See
 * every-failure-is-told-and-undone.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SCENARIO_H
#define SCENARIO_H

/* First: others have names that are global ones here. */
#include "invariants.h"

#include "../inject.h"

#include <pthread.h>
#include <semaphore.h>

#define N_BYTES ((size_t)5 * 4096 + 100) /* of the file */
#define SEED 5
#define ROOM ((size_t)16 * 4096)
#define N_LARGE (MiB + 5000) /* of the large file */

static char path[48], large_path[48], shm_name[40];
static int fd = -1, large_fd = -1;
static gcmmap_region *region;             /* a root */
static const gcmmap_slice_object *object; /* another */
static unsigned char *mapped;             /* by others, to be adopted */
static int n_told;
static size_t n_others; /* bytes of the file that others have mapped: held by accident */
static FILE *nowhere;

struct scenario {
    const char *name;
    void (*prepare)(void);    /* or NULL */
    bool (*call)(void);       /* true: success */
    bool (*is_right)(void);   /* after success */
    int errors[8];            /* that gcmmap.h names */
    bool changes_some;        /* a call that fails may, it says, have been done in part */
    bool others_die;          /* and the call may release them */
    bool (*stays)(void);      /* or NULL: after failure, besides what is the same for all */
    enum injectable standing; /* fails all the time, beside what fails */
    enum injectable tells[4]; /* when one of them fails, so does the call */
    enum injectable retries;  /* for want of memory, and only once: the call makes up for it */
    int retried_too;          /* another errno of it that means that */
};

static bool always_right(void)
{
    return true;
}

static unsigned char *data(void)
{
    return gcmmap_data(region);
}

static bool shows(size_t n, size_t offset)
{
    gcmmap_slice bytes = gcmmap_bytes(region);

    return bytes.data != NULL && bytes.size == n && has_bytes(bytes.data, n, SEED, offset);
}

static bool shows_all(void)
{
    return shows(N_BYTES, 0);
}

static void cut_file(size_t size)
{
    need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
}

static void reset_file(void)
{
    unsigned char bytes[N_BYTES];

    for (size_t i = 0; i < N_BYTES; i++)
        bytes[i] = byte_at(SEED, i);
    cut_file(N_BYTES);
    need(pwrite(fd, bytes, N_BYTES, 0) == (ssize_t)N_BYTES, "pwrite");
}

/* ---- what is prepared ---------------------------------------------------------------------- */

static void map_shared(void)
{
    region = gcmmap_map_with(fd, 100, N_BYTES - 100, GCMMAP_WRITE,
                             &(gcmmap_options){ .room = ROOM, .name = "shared" });
}

static void map_locked(void)
{
    region = gcmmap_map_with(fd, 100, N_BYTES - 100, GCMMAP_WRITE | GCMMAP_LOCK,
                             &(gcmmap_options){ .room = ROOM });
}

static void map_read_only(void)
{
    region = gcmmap_map_with(fd, 0, 5000, GCMMAP_READ, &(gcmmap_options){ .room = ROOM });
}

static void map_private(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_PRIVATE);
}

static void map_write_back(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_WRITE_BACK,
                             &(gcmmap_options){ .room = ROOM });
}

static void map_zero_filled(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_WRITE_BACK | GCMMAP_ZERO_FILL,
                             &(gcmmap_options){ .room = ROOM });
}

static void map_memory(void)
{
    region = gcmmap_alloc_with(N_BYTES, 0, &(gcmmap_options){ .room = ROOM });
    if (region != NULL)
        memset(gcmmap_data(region), 7, N_BYTES);
}

static void map_by_handle(void)
{
    region = gcmmap_map(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_BY_HANDLE);
}

static void map_by_handle_with_room(void)
{
    region = gcmmap_map_with(fd, 0, N_BYTES, GCMMAP_WRITE | GCMMAP_BY_HANDLE | GCMMAP_GUARDED,
                             &(gcmmap_options){ .room = ROOM });
}

static void map_foreign(void)
{
    mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    need(mapped != MAP_FAILED, "mmap");
}

static void map_foreign_shared(void)
{
    mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(mapped != MAP_FAILED, "mmap");
}

/* What the pools have is used first. */
static void empty_pools(void)
{
    (void)gcmmap_trim();
}

/* ---- many that are dropped -------------------------------------------------------------------- */

#define N_DEAD 40

static void on_release(const gcmmap_release *release, void *data)
{
    (void)release;
    (void)data;
    n_told++;
}

static __attribute__((noinline)) void map_many(void *arg)
{
    const gcmmap_options options = { .released = on_release };

    (void)arg;
    for (int i = 0; i < N_DEAD; i++)
        need(gcmmap_map_with(fd, 0, N_BYTES,
                             (i % 2 == 0 ? GCMMAP_READ : GCMMAP_WRITE) |
                                 (i % 8 == 0 ? GCMMAP_BY_HANDLE : 0) |
                                 (i % 8 == 1 ? GCMMAP_WRITE_BACK : 0),
                             i % 4 == 0 ? &options : NULL) != NULL,
             "gcmmap_map");
}

static void drop_many(void)
{
    apart(map_many, NULL);
}

static bool finalizers_disturb;

/* What finalizers do to errno is not what a call does to it. */
static void on_death(void *object_of_host, void *data)
{
    (void)object_of_host;
    (void)data;
    if (finalizers_disturb)
        errno = EDOM;
}

static __attribute__((noinline)) void make_objects(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_DEAD; i++)
        GC_register_finalizer(GC_malloc(64), on_death, NULL, NULL, NULL);
}

static void drop_objects(void)
{
    apart(make_objects, NULL);
    scrub();
    finalizers_disturb = true;
}

/* They are found dead, and not released yet. */
static void let_many_die(void)
{
    drop_many();
    scrub();
    GC_gcollect();
}

#endif
