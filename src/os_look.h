/*
 * os_look: what the rooms that look at the process ask of the system.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OS_LOOK_H
#define OS_LOOK_H

#include <errno.h>

#include "os.h"

/* Since some moment in the past; to a few milliseconds, and cheap. */
uint64_t os_milliseconds(void);

/* One line of the system's table of mappings. */
struct os_mapped {
    uintptr_t from, to;
    unsigned flags; /* GCMMAP_ ...: access, GCMMAP_PRIVATE */
    bool of_file;
    const char *path; /* or "" */
};

/* ENOTSUP: the system does not tell.  Else it is short of what is needed to ask. */
static inline int os_error_of_proc(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM ? error : ENOTSUP;
}

/*
 * In the order of addresses.  Stops where fn returns false.  ENOTSUP: the system does not tell;
 * EMFILE, ENFILE, ENOMEM, EIO: it cannot just now, and some may have been told.
 */
int os_each_mapping(bool (*fn)(const struct os_mapped *mapped, void *arg), void *arg);

/* Writable static data of a loaded object, without what becomes read-only at its start. */
struct os_segment {
    uintptr_t from, to;
    char name[64]; /* of the object's file; the end of it */
};

/* Loader's lock is taken: not with the world stopped.  malloc'ed; ENOMEM, ENOTSUP. */
int os_list_segments(struct os_segment **segments, size_t *n);

/*
 * Threads other than the caller.  To be listed before the world is stopped, and looked at one by
 * one while it is.
 */
struct os_threads;
int os_list_threads(struct os_threads **threads);
void os_end_threads(struct os_threads *threads);

struct os_stack {
    long thread;       /* the kernel's number */
    uintptr_t from;    /* where its frames end ... */
    uintptr_t to;      /* ... and the pages they lie in */
    bool is_suspended; /* it waits for a signal, as those do that the collector stopped */
};

/* The next one; false: there are no more.  *i begins with 0.  Those not to be found are left out. */
bool os_next_stack(const struct os_threads *threads, size_t *i, struct os_stack *stack);

/* The caller's number. */
long os_thread(void);

/* What the environment says; NULL too for programs that run with others' privileges. */
const char *os_environment(const char *variable);

/* malloc'ed: the same file after the program has changed its directory. */
char *os_absolute_path(const char *path);

/* Appends to a file, which is made if there is none; NULL: to stderr. */
void os_append(const char *path, const char *text, size_t n_bytes);

/* The kernel's number of this process. */
long os_process(void);

/* "function+0x12 (program)", as far as is known; at least the address. */
void os_name_address(const void *address, char *text, size_t n_bytes);

#endif
