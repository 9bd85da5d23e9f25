/*
 * GCMMAP_TRACED: a read-only mapping holds what its file points to, private or shared, and
 * memory that cannot be written may be called traced too.  Once the file is truncated the
 * collector passes it over.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N 50u
#define ACCIDENTS 2u
#define FILE_SIZE ((size_t)300000) /* the last page is not full */

static int fd; /* what is written to it is read through the mapping */
static unsigned char *data;

/* From the file's first word to its last: pointers that no memory of ours holds. */
static void write_pointers(void *unused)
{
    size_t n_words = FILE_SIZE / sizeof(void *);

    (void)unused;
    for (size_t i = 0; i < N; i++) {
        void *object = new_mortal(64);
        off_t at = (off_t)(i * (n_words - 1) / (N - 1) * sizeof object);

        need(pwrite(fd, &object, sizeof object, at) == sizeof object, "pwrite");
    }
}

static void map_file(void *flags)
{
    data = gcmmap_data(gcmmap_map(fd, 0, GCMMAP_REST, *(unsigned *)flags));
    need(data != NULL, "gcmmap_map");
}

static void holds_until_truncated(const char *name, unsigned flags)
{
    int fault;

    fd = make_file(1, FILE_SIZE);
    begin_round();
    GC_disable();
    apart(map_file, &flags);
    apart(write_pointers, NULL);
    GC_enable();
    collect_with_noise();
    collect_thoroughly();
    ok(n_finalized == 0, "%s: held are %u objects", name, N);
    need(ftruncate(fd, 1) == 0, "ftruncate");
    collect_thoroughly();
    ok(n_finalized >= N - 1 - ACCIDENTS, "%s: %u died when the file was truncated", name,
       n_finalized);
    fault = fault_of_access(data + 200000, false);
    ok(fault == SIGBUS, "%s: it is still mapped", name);
    data = NULL;
    collect_thoroughly();
    close(fd);
}

static void need_not_hold(const char *name, unsigned flags)
{
    fd = make_file(1, FILE_SIZE);
    begin_round();
    apart(map_file, &flags);
    apart(write_pointers, NULL);
    collect_thoroughly();
    ok(n_finalized >= N - ACCIDENTS, "%s: of %u objects %u died", name, N, n_finalized);
    ok(gcmmap_of(data) != NULL, "%s: the region itself is still there", name);
    data = NULL;
    collect_thoroughly();
    close(fd);
}

int main(void)
{
    gcmmap_region *region;

    GC_INIT();
    holds_until_truncated("shared, read-only", GCMMAP_READ | GCMMAP_TRACED);
    holds_until_truncated("shared, writable", GCMMAP_WRITE | GCMMAP_TRACED);
    holds_until_truncated("private, read-only", GCMMAP_READ | GCMMAP_PRIVATE | GCMMAP_TRACED);
    need_not_hold("shared, read-only, not called traced", GCMMAP_READ);
    need_not_hold("private, read-only, not called traced", GCMMAP_READ | GCMMAP_PRIVATE);
    need_not_hold("shared, writable, not called traced", GCMMAP_WRITE);
    region = gcmmap_alloc(FILE_SIZE, GCMMAP_READ | GCMMAP_TRACED);
    collect_thoroughly();
    ok(region != NULL && gcmmap_size(region) == FILE_SIZE && stats_now().bytes_traced >= FILE_SIZE,
       "memory that is never written may be called traced");
    return done_testing();
}
