/*
 * The only region of a program goes, too, whatever its size: nothing of the collector's own
 * points to it.  Each in a process of its own, with addresses of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#define N_PROCESSES 6u
#define ACCIDENTS 1u

/* Memory that is got from the system in several pieces. */
#define SOME_PIECES (sizeof(size_t) > 4 ? (size_t)2100 << 20 : (size_t)150 << 20)
#define MANY_PIECES (sizeof(size_t) > 4 ? SOME_PIECES * 8 : (size_t)200 << 20)

static const size_t sizes[] = { 4096,       100000,      1u << 20,   3u << 20,
                                10395104,   13u << 20,   15u << 20,  20u << 20,
                                100u << 20, SOME_PIECES, MANY_PIECES };

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
    /* The next memory that the collector gets: too large for gaps, so right below ours. */
    if (getenv("GC_INITIAL_HEAP_SIZE") == NULL)
        need(GC_expand_hp(5u << 20) == 1, "GC_expand_hp");
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

static void live_and_die_with_heap(const char *heap, unsigned n_processes)
{
    if (heap != NULL)
        need(setenv("GC_INITIAL_HEAP_SIZE", heap, 1) == 0, "setenv");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        unsigned n_left = 0, n_wrong = 0;

        /* With 32 bits there is hardly a long stretch of clean addresses, so no row.  Then a region
           takes all of a block, and what the collector gets next may end where it begins. */
        if (!HAS_MANY_ADDRESSES && size > (heap == NULL ? 16u << 20 : 100u << 20)) {
            ok(true, "%zu bytes # SKIP too few addresses", size);
            continue;
        }

        for (unsigned j = 0; j < n_processes; j++) {
            int status = run_in_child(run_again, &size);

            n_left += status == 1;
            n_wrong += status != 0 && status != 1;
        }
        ok(n_wrong == 0 && n_left <= ACCIDENTS, "%zu bytes, heap of %s: left in %u of %u processes",
           size, heap != NULL ? heap : "nothing", n_left, n_processes);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return live_and_die(strtoul(argv[1], NULL, 10));
    live_and_die_with_heap(NULL, N_PROCESSES);
    live_and_die_with_heap("64M", N_PROCESSES / 2); /* which need not grow */
    return done_testing();
}
