/*
 * os_linux_maps: what is mapped at an address, for those who may be in a signal handler.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gcmmap.h"
#include "os.h"
#include "os_signal.h"

/* /proc/self/maps, a character at a time. */
struct reader {
    int fd;
    size_t at, n;
    int c; /* -1: the end */
    char bytes[256];
};

static void step(struct reader *reader)
{
    ssize_t n;

    if (reader->at == reader->n) {
        do
            n = read(reader->fd, reader->bytes, sizeof reader->bytes);
        while (n < 0 && errno == EINTR);
        reader->at = 0;
        reader->n = n > 0 ? (size_t)n : 0;
    }
    reader->c = reader->at < reader->n ? (unsigned char)reader->bytes[reader->at++] : -1;
}

static int digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* And one character behind it. */
static uintmax_t read_number(struct reader *reader, int base)
{
    uintmax_t number = 0;

    for (; digit(reader->c) < base; step(reader))
        number = number * (unsigned)base + (unsigned)digit(reader->c);
    step(reader);
    return number;
}

static void skip_to(struct reader *reader, char c)
{
    while (reader->c >= 0 && reader->c != c)
        step(reader);
}

/* "start-end rwxp offset major:minor inode   path\n": proc_pid_maps(5). */
struct line {
    uintmax_t start, end, offset, inode;
    unsigned access; /* GCMMAP_READ ... */
};

/* Up to the path; the one before has been read up to its end.  False: there is none. */
static bool next_line(struct reader *reader, struct line *line)
{
    step(reader);
    line->start = read_number(reader, 16);
    line->end = read_number(reader, 16);
    line->access = 0;
    for (; reader->c >= 0 && reader->c != ' '; step(reader))
        line->access |= reader->c == 'r'   ? GCMMAP_READ
                        : reader->c == 'w' ? GCMMAP_WRITE
                        : reader->c == 'x' ? GCMMAP_EXEC
                                           : 0;
    step(reader);
    line->offset = read_number(reader, 16);
    skip_to(reader, ' ');
    step(reader);
    line->inode = read_number(reader, 10);
    while (reader->c == ' ')
        step(reader);
    return reader->c >= 0;
}

/* False: it is too long, and cut off. */
static bool read_path(struct reader *reader, char *path, size_t room)
{
    size_t n = 0;

    for (; reader->c >= 0 && reader->c != '\n' && n + 1 < room; step(reader))
        path[n++] = (char)reader->c;
    path[n] = '\0';
    return n + 1 < room;
}

/* Up to the path, too. */
static bool find_line(struct reader *reader, uintptr_t at, struct line *line)
{
    do {
        skip_to(reader, '\n');
        if (!next_line(reader, line))
            return false;
    } while (at >= line->end);
    return at >= line->start;
}

static int find_file(struct reader *reader, uintptr_t at, struct os_file *file, off_t *offset,
                     char *path, size_t room)
{
    struct stat status;
    struct line line;

    if (!find_line(reader, at, &line) || line.inode == 0)
        return ENOENT;
    *offset = (off_t)(line.offset + (at - line.start));
    if (!read_path(reader, path, room) || stat(path, &status) != 0 || status.st_ino != line.inode)
        return ENOENT;
    *file = (struct os_file){ .type = S_ISREG(status.st_mode) ? OS_FILE_REGULAR : OS_FILE_DEVICE,
                              .size = status.st_size,
                              .device = status.st_dev,
                              .inode = status.st_ino };
    return 0;
}

int os_find_file(const void *at, struct os_file *file, off_t *offset, char *path, size_t room)
{
    struct reader reader = { .fd = -1, .c = '\n' };
    int saved_errno = errno, error = ENOENT;

    path[0] = '\0';
    *offset = -1;
    reader.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (reader.fd >= 0) {
        error = find_file(&reader, (uintptr_t)at, file, offset, path, room);
        (void)close(reader.fd);
    }
    errno = saved_errno;
    return error;
}

int os_find_access(const void *at, unsigned *access)
{
    struct reader reader = { .fd = -1, .c = '\n' };
    struct line line = { 0 };
    int saved_errno = errno, error = ENOENT;

    reader.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (reader.fd >= 0) {
        error = find_line(&reader, (uintptr_t)at, &line) ? 0 : ENOENT;
        (void)close(reader.fd);
    }
    if (error == 0)
        *access = line.access;
    errno = saved_errno;
    return error;
}

/* ---- code ----------------------------------------------------------------------------- */

/*
 * From an offset in a file to the address that the file's symbols count from; the file's
 * headers are at `header`, in memory.
 */
static uintptr_t place_of(uintptr_t header, uintptr_t offset)
{
    ElfW(Ehdr) file;
    ElfW(Phdr) segment;

    if (header == 0 || os_peek(&file, (void *)header, sizeof file) != 0 ||
        memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_phentsize != sizeof segment)
        return offset;
    for (unsigned i = 0; i < file.e_phnum; i++) {
        uintptr_t at = header + file.e_phoff + i * sizeof segment;

        if (os_peek(&segment, (void *)at, sizeof segment) == 0 && segment.p_type == PT_LOAD &&
            offset >= segment.p_offset && offset - segment.p_offset < segment.p_filesz)
            return segment.p_vaddr + (offset - segment.p_offset);
    }
    return offset;
}

bool os_find_code(uintptr_t address, char *path, size_t room, uintptr_t *place)
{
    struct reader reader = { .fd = -1 };
    struct line line;
    uintmax_t header = 0, inode = 0; /* of the file whose first page was seen last */
    int saved_errno = errno;
    bool found = false;

    reader.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (reader.fd >= 0 && next_line(&reader, &line) && line.start <= address) {
        if (line.offset == 0) {
            header = line.start;
            inode = line.inode;
        }
        found = address < line.end && line.inode != 0 && read_path(&reader, path, room);
        if (found) {
            *place = place_of(inode == line.inode ? (uintptr_t)header : 0,
                              (uintptr_t)(line.offset + (address - line.start)));
            break;
        }
        skip_to(&reader, '\n');
    }
    if (reader.fd >= 0)
        (void)close(reader.fd);
    errno = saved_errno;
    return found;
}
