/*
 * The only region of a program goes, too, whatever its size: nothing of the collector's own
 * points to it.  Each in a process of its own, with addresses of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_PROCESSES 6u
#define ACCIDENTS 1u

static const size_t sizes[] = { 4096,     100000,    1u << 20,  3u << 20,
                                10395104, 13u << 20, 20u << 20, 100u << 20 };

static int fd;

static void map_and_touch(void *arg)
{
    const volatile char *data = gcmmap_data(gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_READ));

    *(bool *)arg = data != NULL && data[0] == 0;
}

/* Status: 0, it goes; 1, it does not; 2, something else went wrong. */
static int live_and_die(size_t size)
{
    bool is_right = false;

    GC_INIT();
    fd = make_file(0, 0);
    if (ftruncate(fd, (off_t)size) != 0)
        return 2;
    apart(map_and_touch, &is_right);
    collect_thoroughly();
    return !is_right ? 2 : bytes_mapped_from(fd) != 0;
}

static int run_again(void *size)
{
    char argument[32];

    snprintf(argument, sizeof argument, "%zu", *(const size_t *)size);
    execl("/proc/self/exe", "single-regions-go", argument, (char *)NULL);
    return 3;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return live_and_die(strtoul(argv[1], NULL, 10));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        unsigned n_left = 0, n_wrong = 0;

        for (unsigned j = 0; j < N_PROCESSES; j++) {
            int status = run_in_child(run_again, &size);

            n_left += status == 1;
            n_wrong += status != 0 && status != 1;
        }
        ok(n_wrong == 0 && n_left <= ACCIDENTS, "%zu bytes: left in %u of %u processes", size,
           n_left, N_PROCESSES);
    }
    return done_testing();
}
