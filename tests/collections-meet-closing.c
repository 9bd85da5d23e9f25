/*
 * A collection in the very middle of closing: before the pages go it still sees what the
 * region points to (closing may yet fail), and after that it does not fall over them.  An
 * mmap() of our own in front of the system's makes it come there.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/syscall.h>

#include "mortal.h"

#define N 200u
#define ACCIDENTS 4u
#define SIZE ((size_t)200000)

enum moment { NEVER, INSTEAD, AFTER };

static int fd;
static unsigned char *data;
static enum moment moment;
static unsigned n_hooked, n_lost;

/* INSTEAD: for want of map slots, each time. */
__attribute__((visibility("default"))) void *mmap(void *at, size_t n, int protection, int flags,
                                                  int file, off_t offset)
{
    enum moment now = NEVER;
    void *result;

    if (moment != NEVER && protection == PROT_NONE && (unsigned char *)at <= data &&
        data < (unsigned char *)at + n) {
        now = moment;
        moment = NEVER; /* not for the collection's own */
        n_hooked++;
    }
    if (now == INSTEAD) {
        GC_gcollect();
        GC_gcollect();
        moment = now;
        errno = ENOMEM;
        return MAP_FAILED;
    }
    result = kernel_mmap(at, n, protection, flags, file, offset);
    if (now == AFTER)
        GC_gcollect();
    return result;
}

static void map_it(void *flags)
{
    unsigned f = *(unsigned *)flags;

    data = gcmmap_data(f & GCMMAP_PRIVATE && f & GCMMAP_WRITE ? gcmmap_map(fd, 0, SIZE, f)
                                                              : gcmmap_alloc(SIZE, f));
    need(data != NULL, "region");
}

/* All over it. */
static void fill(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < N; i++) {
        void **object = new_mortal(64);

        object[0] = (void *)(i + 1);
        ((void **)(void *)data)[i * (SIZE / sizeof object - 1) / (N - 1)] = object;
    }
}

static void count_lost(void *unused)
{
    (void)unused;
    n_lost = 0;
    for (size_t i = 0; i < N; i++) {
        void **object = ((void **)(void *)data)[i * (SIZE / sizeof object - 1) / (N - 1)];

        n_lost += object == NULL || object[0] != (void *)(i + 1);
    }
}

static void test(const char *name, unsigned flags, int (*end)(gcmmap_region *))
{
    const char *call = end == gcmmap_close ? "gcmmap_close" : "gcmmap_unmap_now";
    gcmmap_region *volatile handle;
    int result, error;

    begin_round();
    apart(map_it, &flags);
    handle = gcmmap_of(data);
    if (handle == NULL) /* by handle only */
        return;
    apart(fill, NULL);

    n_hooked = 0;
    moment = INSTEAD;
    errno = 0;
    result = end(handle);
    error = errno;
    moment = NEVER;
    ok(result == -1 && error == ENOMEM && n_hooked > 0, "%s, %s() fails: %s", name, call,
       strerror(error));
    apart(count_lost, NULL);
    ok(n_finalized == 0 && n_lost == 0, "nothing is lost (%u finalized)", n_finalized);

    n_hooked = 0;
    moment = AFTER;
    result = end(handle);
    ok(result == 0 && n_hooked == 1, "then it succeeds, with a collection meanwhile");
    moment = NEVER;
    ok_but_for_protection(fault_of_access(data, false) == SIGSEGV || end == gcmmap_unmap_now,
                          "and is closed");
    handle = NULL;
    collect_with_noise();
    collect_thoroughly();
    ok(n_finalized >= N - ACCIDENTS, "now its objects go (%u of %u)", n_finalized, N);
    data = NULL;
}

/* The kernel is not asked for what was written of what cannot be written: all is read. */
static void test_read_as_a_whole(int (*end)(gcmmap_region *))
{
    unsigned flags = GCMMAP_READ | GCMMAP_TRACED;
    gcmmap_region *volatile handle;

    apart(map_it, &flags);
    handle = gcmmap_of(data);
    n_hooked = 0;
    moment = AFTER;
    ok(end(handle) == 0 && n_hooked == 1, "a collection does not read what is gone");
    moment = NEVER;
    data = NULL;
}

int main(void)
{
    GC_INIT();
    fd = make_file(1, SIZE);
    for (int i = 0; i < 2; i++) {
        int (*end)(gcmmap_region *) = i == 0 ? gcmmap_close : gcmmap_unmap_now;

        test("anonymous memory", 0, end);
        test("a private file", GCMMAP_WRITE | GCMMAP_PRIVATE, end);
        test_read_as_a_whole(end);
    }
    return done_testing();
}
