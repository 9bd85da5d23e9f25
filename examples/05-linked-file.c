/*
 * 05-linked-file: a file whose records are linked by offsets, used through pointers.
 *
 *     ./05-linked-file FILE
 *
 * Writes a list of records all over FILE, then maps the file privately and follows the list.  A
 * link is made a pointer, in place, when it is first followed: so the structure points into
 * itself, only the pages with such links become copies, and the file stays as it is.
 * Records get a name as well, an object of the collector's heap, which lives as long as they do.
 * When the last pointer to a record is gone, so are the mapping, its copies and the names.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gc/gc.h>

#include "gcmmap.h"

#define FILE_SIZE ((size_t)8 << 20)
#define N_RECORDS 100u
#define STRIDE 61u /* records are that many places apart, modulo N_RECORDS */
#define N_MAPPINGS 10

struct record {
    union {
        uint64_t offset; /* in the file: odd, of the next record; 1: there is none */
        struct record *pointer;
    } next;
    union {
        uint64_t number;  /* in the file: odd */
        const char *name; /* given to it */
    } is;
};

static off_t place(unsigned i)
{
    return (off_t)(i % N_RECORDS * (FILE_SIZE / N_RECORDS) & ~(size_t)15);
}

static bool write_file(int fd)
{
    if (ftruncate(fd, (off_t)FILE_SIZE) != 0)
        return false;
    for (unsigned i = 0, at = 0; i < N_RECORDS; i++, at += STRIDE) {
        bool is_last = i == N_RECORDS - 1;
        struct record record = { { .offset = is_last ? 1 : (uint64_t)place(at + STRIDE) | 1 },
                                 { .number = i * 2 + 1 } };

        if (pwrite(fd, &record, sizeof record, place(at)) != (ssize_t)sizeof record)
            return false;
    }
    return true;
}

/* Pointers are even, so each link tells what it is. */
static struct record *next_of(struct record *record)
{
    uint64_t offset = record->next.offset;

    if (offset & 1) {
        char *start = gcmmap_data(gcmmap_of(record));

        record->next.pointer = offset == 1 ? NULL : (void *)(start + (offset & ~1ull));
    }
    return record->next.pointer;
}

static const char *name_of(struct record *record)
{
    uint64_t number = record->is.number;
    char name[32];

    if (number & 1) {
        snprintf(name, sizeof name, "record %u", (unsigned)(number / 2));
        record->is.name = GC_STRDUP(name);
    }
    return record->is.name;
}

static __attribute__((noinline)) unsigned count(struct record *first)
{
    unsigned n = 0;
    char name[32];

    for (struct record *at = first; at != NULL; at = next_of(at), n++) {
        snprintf(name, sizeof name, "record %u", n);
        if (name_of(at) == NULL || strcmp(name_of(at), name) != 0)
            break;
    }
    return n;
}

/* Of each mapping only the second record is kept. */
static __attribute__((noinline)) bool map_all(int fd, struct record **records)
{
    for (unsigned i = 0; i < N_MAPPINGS; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);

        if (region == NULL || count(gcmmap_data(region)) != N_RECORDS)
            return false;
        records[i] = next_of(gcmmap_data(region));
    }
    return true;
}

/* They were given their names before; the collector has been at work since. */
static __attribute__((noinline)) bool all_there(struct record **records)
{
    bool there = true;

    for (unsigned i = 0; i < N_MAPPINGS; i++) {
        unsigned n = 1;
        char name[32];

        for (struct record *at = records[i]; at != NULL; at = at->next.pointer, n++) {
            snprintf(name, sizeof name, "record %u", n);
            there &= strcmp(at->is.name, name) == 0;
        }
        there &= n == N_RECORDS;
    }
    return there;
}

static size_t n_mapped(void)
{
    gcmmap_stats stats;

    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 10000; j++) /* so that lost objects would be overwritten */
            memset(GC_MALLOC(32), 0x55, 32);
        (void)gcmmap_collect();
    }
    gcmmap_get_stats(&stats);
    return stats.n_live;
}

int main(int argc, char **argv)
{
    static struct record *records[N_MAPPINGS]; /* static: the collector sees them */
    int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;

    GC_INIT();
    if (fd < 0 || !write_file(fd) || !map_all(fd, records)) {
        fputs("usage: 05-linked-file FILE, which must not exist\n", stderr);
        return 1;
    }
    close(fd);
    if (n_mapped() != N_MAPPINGS || !all_there(records))
        return puts("BROKEN: something is missing"), 1;
    printf("%u mappings, %u records in each: links, records and names are kept by one\n",
           N_MAPPINGS, N_RECORDS);
    memset(records, 0, sizeof records);
    if (n_mapped() > 2)
        return puts("BROKEN: the file is still mapped"), 1;
    puts("forgotten: the file is unmapped");
    return 0;
}
