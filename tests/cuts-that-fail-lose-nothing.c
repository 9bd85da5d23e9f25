/*
 * gcmmap_truncate() takes pages away before it cuts the file.  If the file cannot be cut they come back, and
 * what a traced region holds in them was kept meanwhile, whatever collections came in between.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N 40u

static bool fails;
static unsigned n_collected;

__attribute__((visibility("default"))) int ftruncate(int fd, off_t size)
{
    if (!fails)
        return (int)syscall(SYS_ftruncate, fd, (long)size);
    n_collected++;
    scrub();
    GC_gcollect();
    errno = EIO;
    return -1;
}

static gcmmap_region *regions[N];
static size_t page;

static void map_all(void *arg)
{
    gcmmap_options options = { .room = 4 * page };

    (void)arg;
    for (unsigned i = 0; i < N; i++) {
        int fd = make_file(0, 0);
        void *object = new_mortal(64), **words;

        need(ftruncate(fd, (off_t)(4 * page)) == 0, "file");
        regions[i] = gcmmap_map_with(fd, 0, 4 * page, GCMMAP_WRITE | GCMMAP_TRACED, &options);
        need(regions[i] != NULL, "gcmmap_map_with");
        words = gcmmap_data(regions[i]);
        words[3 * page / sizeof *words + i] = object;
        close(fd);
    }
}

static void truncate_all(void *arg)
{
    unsigned *n_right = arg;

    fails = true;
    for (unsigned i = 0; i < N; i++) {
        errno = 0;
        *n_right += gcmmap_truncate(regions[i], page) == -1 && errno == EIO &&
                    gcmmap_size(regions[i]) == 4 * page;
    }
    fails = false;
}

int main(void)
{
    unsigned n_right = 0;

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    apart(map_all, NULL);
    apart(truncate_all, &n_right);
    ok(n_right == N && n_collected >= N, "%u of %u calls fail, and change no size", n_right, N);
    collect_thoroughly();
    ok(n_finalized == 0, "of %u objects in the pages that came back %u are lost", N, n_finalized);
    return done_testing();
}
