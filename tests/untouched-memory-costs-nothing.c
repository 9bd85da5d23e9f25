/*
 * Anonymous memory costs memory only once it is touched: neither allocating a GiB nor
 * collecting makes the process larger.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tap.h"

#include <sys/resource.h>

#define GiB ((size_t)1 << 30)
#define MiB ((size_t)1 << 20)

static size_t peak_bytes(void)
{
    struct rusage usage;

    need(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (size_t)usage.ru_maxrss * 1024;
}

int main(void)
{
    unsigned char *memory;
    size_t before;

    GC_INIT();
    before = peak_bytes();
    memory = gcmmap_data(gcmmap_alloc(GiB, 0));
    need(memory != NULL, "gcmmap_alloc");
    collect_thoroughly();
    ok(peak_bytes() < before + 100 * MiB, "a GiB, traced: %zu MiB at most",
       (peak_bytes() - before) / MiB);
    memory[GiB / 2] = 1;
    collect_thoroughly();
    ok(peak_bytes() < before + 100 * MiB, "with one page of it written: %zu MiB at most",
       (peak_bytes() - before) / MiB);
    ok(memory[0] == 0 && memory[GiB / 2] == 1 && memory[GiB - 1] == 0, "its contents are right");
    return done_testing();
}
