/*
 * os_look: what the rooms that look at the process ask of the system.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OS_LOOK_H
#define OS_LOOK_H

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

/*
 * In the order of addresses.  ENOTSUP: the system does not tell.  Stops where fn returns
 * false.
 */
int os_each_mapping(bool (*fn)(const struct os_mapped *mapped, void *arg), void *arg);

/* "function+0x12 (program)", as far as is known; at least the address. */
void os_name_address(const void *address, char *text, size_t n_bytes);

#endif
