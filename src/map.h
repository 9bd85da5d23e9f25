/*
 * map: what the public calls that map share with each other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAP_H
#define MAP_H

#include "gcmmap.h"
#include "os.h"

/* Where the public call that it stands in was made: an address in the caller's code. */
#define MAP_CALLER() __builtin_extract_return_addr(__builtin_return_address(0))

/* gcmmap_map_with(), in the name of a caller.  path: NULL if it is not known. */
int map_file(int fd, const char *path, off_t offset, size_t size, unsigned flags,
             const gcmmap_options *options, const void *caller, gcmmap_region **handle);

/* All of an open object, which is made size bytes long if it is shorter, unless that fails. */
int map_object(int fd, size_t size, unsigned flags, const gcmmap_options *options,
               const void *caller, gcmmap_region **handle);

/* gcmmap_alloc_with(), in the name of a caller. */
int map_memory(size_t size, unsigned flags, const gcmmap_options *options, const void *caller,
               gcmmap_region **handle);

/* What is wrong with them whatever is mapped; 0: nothing. */
int map_check(unsigned flags, const gcmmap_options *options);

/* What is wrong with them before there is an object. */
int map_check_object(size_t size, unsigned flags, const gcmmap_options *options);

/* What a region may have. */
size_t map_most_bytes(unsigned flags);

/* What is wrong with a range, of a file without an end and of one with.  Resolves GCMMAP_REST. */
int map_check_device_range(off_t offset, size_t size);
int map_check_file_range(const struct os_file *file, off_t offset, size_t *size);

#endif
