/*
 * map: what the public calls that map share with each other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAP_H
#define MAP_H

#include "gcmmap.h"

/* Where the public call that it stands in was made: an address in the caller's code. */
#define MAP_CALLER() __builtin_extract_return_addr(__builtin_return_address(0))

/* gcmmap_map_with(), in the name of a caller.  path: NULL if it is not known. */
int map_file(int fd, const char *path, off_t offset, size_t size, unsigned flags,
             const gcmmap_options *options, const void *caller, gcmmap_region **handle);

#endif
