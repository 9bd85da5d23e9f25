/*
 * What the documentation of Python's module mmap says of its constructor and methods holds for
 * ours, or for the C library's functions on a region; or the line says in what gcmmap differs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"

#include <dirent.h>

#define SEED 3
#define N_PAGES ((size_t)4)

static size_t page, n_bytes; /* of the file: not whole pages */

static gcmmap_slice text(const char *string)
{
    return (gcmmap_slice){ (unsigned char *)string, strlen(string) };
}

static off_t size_of(int fd)
{
    struct stat status;

    need(fstat(fd, &status) == 0, "fstat");
    return status.st_size;
}

static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;

    need(directory != NULL, "/proc/self/fd");
    while (readdir(directory) != NULL)
        n++;
    closedir(directory);
    return n;
}

/* A file with these words, and a shared writable region of all of it. */
static gcmmap_region *map_words(const char *words, int *fd)
{
    *fd = make_file(SEED, 0);
    need(write(*fd, words, strlen(words)) == (ssize_t)strlen(words), "write");
    return map(*fd, 0, GCMMAP_REST, GCMMAP_WRITE);
}

/* ---- mmap.mmap(fileno, length, flags, prot, access, offset, trackfd) ------------------- */

static void test_length_and_offset(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    int empty = make_file(SEED, 0);

    ok(gcmmap_size(region) == n_bytes, "length 0, here GCMMAP_REST: the current size of the file");
    unmap(region);
    region = map(fd, 0, 0, GCMMAP_READ);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0,
       "unlike Python's, length 0 means no bytes");
    unmap(region);
    region = map(fd, 0, 1000, GCMMAP_READ);
    ok(gcmmap_size(region) == 1000 && size_of(fd) == (off_t)n_bytes,
       "size(): the file can be longer than the map");
    unmap(region);
    region = map(fd, 2 * page, 10, GCMMAP_READ);
    ok(has_bytes(gcmmap_data(region), 10, SEED, 2 * page), "offset: relative to it are all bytes");
    unmap(region);
    region = map(fd, 1001, 10, GCMMAP_READ);
    ok(has_bytes(gcmmap_data(region), 10, SEED, 1001),
       "offset: unlike Python's, no multiple of ALLOCATIONGRANULARITY");
    unmap(region);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, -1, 10, GCMMAP_READ), EINVAL, "offset: negative");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, 0, n_bytes + 1, GCMMAP_READ), ENXIO,
                "length: greater than the file (ValueError)");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(fd, (off_t)n_bytes + 1, GCMMAP_REST, GCMMAP_READ), ENXIO,
                "offset: greater than the file (ValueError)");
    region = map(empty, 0, GCMMAP_REST, GCMMAP_READ);
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0,
       "unlike Python (ValueError), an empty file is an empty region");
    unmap(region);
    close(empty);
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(-1, 0, 10, GCMMAP_READ), EBADF,
                "fileno: unlike Python's, -1 is no file; there is gcmmap_alloc()");
}

static void test_access(int fd)
{
    int readable = open_again(fd, O_RDONLY);
    gcmmap_region *read = map(fd, 0, GCMMAP_REST, GCMMAP_READ);
    gcmmap_region *write = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    gcmmap_region *copy = map(readable, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
    unsigned char *data = gcmmap_data(write);

    ok(has_bytes(gcmmap_data(read), n_bytes, SEED, 0) && has_bytes(data, n_bytes, SEED, 0) &&
           has_bytes(gcmmap_data(copy), n_bytes, SEED, 0),
       "access: the initial values of all three are the file's");
    ok(fault_of_access(gcmmap_data(read), true) == SIGSEGV,
       "ACCESS_READ: storing is an error (SIGSEGV, TypeError in Python)");
    data[0] = 97;
    memcpy(data + 1, "slice", 5);
    ok(memcmp(data, "aslice", 6) == 0 && file_has(fd, 0, "aslice"),
       "ACCESS_WRITE: assignment affects memory and file");
    memcpy(gcmmap_data(copy), "copied", 6);
    ok(memcmp(gcmmap_data(copy), "copied", 6) == 0 && file_has(fd, 0, "aslice"),
       "ACCESS_COPY: assignment affects memory but not the file");
    errno = 0;
    gives_errno((intptr_t)gcmmap_map(readable, 0, GCMMAP_REST, GCMMAP_WRITE), EACCES,
                "ACCESS_WRITE: of a file that is open for reading");
    unmap(read);
    unmap(write);
    unmap(copy);
    close(readable);
}

static int store(void *data)
{
    memcpy(data, "child", 5);
    return 0;
}

static int see_words(void *data)
{
    return memcmp(data, "Hello world!", 12) != 0;
}

static void test_processes(int fd)
{
    gcmmap_region *shared = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    gcmmap_region *private = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
    gcmmap_region *memory = gcmmap_alloc(13, 0), *common = gcmmap_memfd("words", 13, 0, NULL, NULL);

    need(memory != NULL && common != NULL, "memory");
    need(run_in_child(store, (unsigned char *)gcmmap_data(private) + 100) == 0, "child");
    ok(has_bytes((unsigned char *)gcmmap_data(private) + 100, 5, SEED, 100) &&
           has_bytes((unsigned char *)gcmmap_data(shared) + 100, 5, SEED, 100),
       "MAP_PRIVATE: changes are private to the process");
    need(run_in_child(store, (unsigned char *)gcmmap_data(shared) + 100) == 0, "child");
    ok(memcmp((unsigned char *)gcmmap_data(shared) + 100, "child", 5) == 0,
       "MAP_SHARED: shared with all others that map the file");
    memcpy(gcmmap_data(memory), "Hello world!", 12);
    ok(run_in_child(see_words, gcmmap_data(memory)) == 0, "anonymous: a child reads it");
    need(run_in_child(store, gcmmap_data(memory)) == 0, "child");
    ok(memcmp(gcmmap_data(memory), "Hello", 5) == 0,
       "anonymous: unlike Python's, it is private: a child's stores are not seen");
    need(run_in_child(store, gcmmap_data(common)) == 0, "child");
    ok(memcmp(gcmmap_data(common), "child", 5) == 0, "anonymous: gcmmap_memfd() is shared");
    unmap(shared);
    unmap(private);
    unmap(memory);
    unmap(common);
}

static void test_descriptors(int fd)
{
    gcmmap_options options = { .room = 2 * n_bytes };
    unsigned before = count_descriptors();
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_READ), *growing;

    ok(count_descriptors() == before, "trackfd: here never, the descriptor is not duplicated");
    growing = gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_READ, &options);
    ok(growing != NULL && count_descriptors() == before + 1,
       "trackfd: except for what is to be resized");
    unmap(region);
    unmap(growing);
    ok(count_descriptors() == before, "trackfd: until it is unmapped");
}

/* ---- close, closed -------------------------------------------------------------------- */

static void test_close(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);

    ok(gcmmap_close(region) == 0 && bytes_mapped_from(fd) == 0,
       "close(): unlike Python (BufferError), with slices left too");
    ok(fault_of_access(data, false) == SIGSEGV, "close(): which fault then");
    ok(fcntl(fd, F_GETFD) >= 0, "close(): it does not close the file");
    errno = 0;
    gives_errno((intptr_t)gcmmap_data(region), EBADF, "closed: the region says so");
    errno = 0;
    gives_errno(gcmmap_sync(data, 1, GCMMAP_SYNC), EBADF, "close(): later flush() (ValueError)");
    errno = 0;
    gives_errno(gcmmap_extend(region, n_bytes), EBADF, "close(): later resize() (ValueError)");
    ok(gcmmap_size(region) == 0 && gcmmap_bytes(region).data == NULL,
       "close(): later size(), and no bytes are left to read");
    ok(gcmmap_close(region) == 0, "close(): twice is no error");
}

/* ---- obj[i], obj[i:j], find, rfind, readline --------------------------------------------- */

/* What Python's rfind() is, from ours. */
static size_t find_last(gcmmap_slice slice, gcmmap_slice wanted)
{
    size_t found = GCMMAP_NOT_FOUND, from = 0, at;

    while ((at = gcmmap_slice_find(gcmmap_slice_sub(slice, from, slice.size), wanted)) !=
           GCMMAP_NOT_FOUND) {
        found = from + at;
        from = found + 1;
    }
    return found;
}

static void test_search(void)
{
    int fd;
    gcmmap_region *region = map_words("one two one two\nthree\n", &fd);
    gcmmap_slice all = gcmmap_bytes(region), rest = all, line;
    const unsigned char *last = memrchr(all.data, 'o', all.size);

    ok(gcmmap_slice_find(all, text("two")) == 4, "find(sub): the lowest index");
    ok(gcmmap_slice_find(all, text("four")) == GCMMAP_NOT_FOUND,
       "find(sub): GCMMAP_NOT_FOUND, where Python has -1");
    ok(gcmmap_slice_find(gcmmap_slice_sub(all, 5, all.size), text("two")) == 12 - 5,
       "find(sub, start): in a sub-slice, counted from its start");
    ok(gcmmap_slice_find(gcmmap_slice_sub(all, 5, 14), text("two")) == GCMMAP_NOT_FOUND &&
           gcmmap_slice_find(gcmmap_slice_sub(all, 5, 15), text("two")) == 7,
       "find(sub, start, end): no further than its end");
    ok(gcmmap_slice_find(all, text("")) == 0, "find(b''): at the start");
    ok(find_last(all, text("two")) == 12 && find_last(all, text("four")) == GCMMAP_NOT_FOUND,
       "rfind(sub): gcmmap_slice_find() again and again");
    ok(last == all.data + 14, "rfind(byte): memrchr(3)");
    errno = 0;
    ok(gcmmap_slice_sub(all, 0, all.size + 1).data == NULL && errno == ERANGE,
       "obj[i:j]: unlike Python's, an end behind the end is an error");
    ok(gcmmap_next_line(&rest, &line) && gcmmap_slice_equal(line, text("one two one two")),
       "readline(): up to the next newline, which unlike Python's is not part of it");
    ok(gcmmap_next_line(&rest, &line) && gcmmap_slice_equal(line, text("three")) &&
           rest.data == all.data + all.size,
       "readline(): the position is behind what was read");
    ok(!gcmmap_next_line(&rest, &line), "readline(): and then there is none (b'')");
    unmap(region);
    close(fd);
}

/* ---- seek, tell, read, read_byte, write, write_byte, move -------------------------------- */

static void test_position(void)
{
    int fd;
    gcmmap_region *region = map_words("Hello Python!\n", &fd);
    FILE *file = fmemopen(gcmmap_data(region), gcmmap_size(region), "r+");
    char got[16] = "";

    need(file != NULL, "fmemopen");
    setbuf(file, NULL);
    ok(fgets(got, sizeof got, file) && strcmp(got, "Hello Python!\n") == 0,
       "readline(): and fgets(3), as fmemopen(3) makes a region a stdio file");
    ok(fseek(file, 6, SEEK_SET) == 0 && ftell(file) == 6, "seek(), tell()");
    ok(fseek(file, -2, SEEK_CUR) == 0 && ftell(file) == 4 && getc(file) == 'o' && ftell(file) == 5,
       "seek(pos, SEEK_CUR); read_byte() advances by 1");
    ok(fseek(file, -3, SEEK_END) == 0 && fread(got, 1, 9, file) == 3 && memcmp(got, "n!\n", 3) == 0,
       "seek(pos, SEEK_END); read(n): up to n bytes");
    rewind(file);
    ok(fwrite("HELLO", 1, 5, file) == 5 && putc('-', file) == '-' && ftell(file) == 6 &&
           file_has(fd, 0, "HELLO-Python!\n"),
       "write(), write_byte(): into memory and file, at the position");
    ok(fseek(file, -2, SEEK_END) == 0 && fwrite("12345", 1, 5, file) < 5,
       "write(): more than there is room for is an error");
    fclose(file);
    unmap(region);
    close(fd);
}

static void test_move(void)
{
    int fd;
    gcmmap_region *region = map_words("abcdefgh", &fd);
    unsigned char *data = gcmmap_data(region);

    memmove(data + 2, data, 4);
    ok(file_has(fd, 0, "ababcdgh"), "move(dest, src, count): memmove(3), overlapping too");
    ok(gcmmap_slice_of(data + 2, 7).data == NULL && gcmmap_slice_of(data + 2, 6).data == data + 2,
       "move(): gcmmap_slice_of() says whether a range is inside");
    unmap(region);
    close(fd);
}

/* ---- flush, madvise ---------------------------------------------------------------------- */

static void test_flush(int fd)
{
    gcmmap_region *region = map(fd, 0, GCMMAP_REST, GCMMAP_WRITE);
    unsigned char *data = gcmmap_data(region);

    memcpy(data + 10, "whole", 5);
    ok(gcmmap_sync(data, n_bytes, GCMMAP_SYNC) == 0 && file_has(fd, 10, "whole"), "flush()");
    memcpy(data + page, "page", 4);
    ok(gcmmap_sync(data + page, page, GCMMAP_SYNC) == 0 && file_has(fd, page, "page"),
       "flush(offset, size)");
    memcpy(data + page + 77, "any", 3);
    ok(gcmmap_sync(data + page + 77, 3, GCMMAP_SYNC) == 0 && file_has(fd, page + 77, "any"),
       "flush(offset, size): unlike Python's, the offset need not be a page's");
    errno = 0;
    gives_errno(gcmmap_sync(data + page, n_bytes, GCMMAP_SYNC), ERANGE,
                "flush(offset, size): outside (ValueError)");
    ok(gcmmap_advise(data, n_bytes, GCMMAP_ADVISE_RANDOM) == 0, "madvise(option)");
    ok(gcmmap_advise(data + page, n_bytes - page, GCMMAP_ADVISE_WILLNEED) == 0,
       "madvise(option, start)");
    ok(gcmmap_advise(data + 5, 10, GCMMAP_ADVISE_SEQUENTIAL) == 0,
       "madvise(option, start, length): unlike Python's, start need not be a page's");
    errno = 0;
    gives_errno(gcmmap_advise(data, n_bytes, 9999), EINVAL, "madvise(9999) (OSError)");
    errno = 0;
    gives_errno(gcmmap_advise(data + n_bytes + 1, 1, GCMMAP_ADVISE_RANDOM), EINVAL,
                "madvise(option, start): start is out of bounds (ValueError)");
    unmap(region);
}

/* ---- resize ---------------------------------------------------------------------------- */

static void test_resize(int fd)
{
    gcmmap_options options = { .room = 8 * page };
    gcmmap_region *region = gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_WRITE, &options);
    gcmmap_region *copy =
        gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE, &options);
    gcmmap_region *readable = gcmmap_map_with(fd, 0, GCMMAP_REST, GCMMAP_READ, &options);
    unsigned char *data = gcmmap_data(region);

    need(data != NULL && copy != NULL && readable != NULL, "map");
    errno = 0;
    gives_errno(gcmmap_extend(copy, n_bytes + page), ENXIO,
                "resize(): larger, with ACCESS_COPY (TypeError)");
    errno = 0;
    gives_errno(gcmmap_extend(readable, n_bytes + page), ENXIO,
                "resize(): larger, with ACCESS_READ (TypeError)");
    ok(gcmmap_extend(region, n_bytes + page) == 0 && gcmmap_size(region) == n_bytes + page &&
           size_of(fd) == (off_t)(n_bytes + page) && data[n_bytes] == 0,
       "resize(): the map and the file");
    ok(gcmmap_data(region) == data && has_bytes(data, n_bytes, SEED, 0),
       "resize(): unlike Python (BufferError), with slices left, which stay valid");
    memcpy(data + n_bytes + 7, "new", 3);
    ok(file_has(fd, n_bytes + 7, "new"),
       "resize(): what is stored into the new bytes is the file's");
    ok(gcmmap_truncate(readable, page) == 0 && size_of(fd) == (off_t)(n_bytes + page),
       "resize(): smaller, with ACCESS_READ the file stays, unlike Python (TypeError)");
    ok(gcmmap_truncate(region, 100) == 0 && gcmmap_size(region) == 100 && size_of(fd) == 100 &&
           has_bytes(data, 100, SEED, 0),
       "resize(): smaller, the map and the file");
    ok(fault_of_access(data + page, false) == SIGSEGV, "resize(): slices behind the end fault");
    errno = 0;
    gives_errno(gcmmap_extend(region, 8 * page + 1), ERANGE,
                "resize(): unlike Python's, not beyond what was set aside");
    unmap(region);
    unmap(copy);
    unmap(readable);
}

static void run(void (*test)(int))
{
    int fd = make_file(SEED, n_bytes);

    test(fd);
    close(fd);
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    n_bytes = N_PAGES * page - 100;
    run(test_length_and_offset);
    run(test_access);
    run(test_processes);
    run(test_descriptors);
    run(test_close);
    test_search();
    test_position();
    test_move();
    run(test_flush);
    run(test_resize);
    return done_testing();
}
