/*
 * GCMMAP_SECRET: we can read it, and the kernel on another's behalf cannot; it goes when
 * it is closed or dropped; what lies there next is not secret.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "smaps.h"

#include <sys/uio.h>

#define SIZE ((size_t)50000)

static bool kernel_reads(const void *from)
{
    char byte;
    struct iovec local = { &byte, 1 }, remote = { (void *)(uintptr_t)from, 1 };

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static size_t n_secret(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, maps))
        n += strstr(line, "secretmem") != NULL;
    fclose(maps);
    return n;
}

static void drop_some(void *arg)
{
    for (int i = 0; i < 20; i++)
        need(gcmmap_alloc(SIZE, GCMMAP_SECRET | (i % 2 ? GCMMAP_BY_HANDLE : 0)) != NULL, "secret");
    (void)arg;
}

static int read_closed(void *arg)
{
    return fault_of_access(arg, false) == SIGSEGV ? 0 : 1;
}

int main(void)
{
    gcmmap_region *region;
    unsigned char *data;

    GC_set_handle_fork(1);
    GC_INIT();
    errno = 0;
    region = gcmmap_alloc(SIZE, GCMMAP_SECRET);
    if (region == NULL && errno == ENOSYS)
        skip_all("this kernel has no secret memory");
    need(region != NULL, "secret memory");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    for (unsigned by_handle = 0; by_handle < 2; by_handle++) {
        unsigned flags = GCMMAP_NO_FORK | (by_handle ? GCMMAP_BY_HANDLE : 0);

        region = gcmmap_alloc(SIZE, GCMMAP_SECRET | flags);
        data = gcmmap_data(region);
        need(data != NULL, "secret memory");
        memset(data, 0x5a, SIZE);
        ok(data[SIZE - 1] == 0x5a && n_secret() == 1 && has_vm_flag(data, " dd ") &&
               has_vm_flag(data, " lo "),
           "we write and read it; it is locked and not dumped");
        ok(!kernel_reads(data), "the kernel cannot read it for others");
        collect_with_noise();
        ok(data[0] == 0x5a, "a collection lets it alone");
        ok(run_in_child(read_closed, data) == 0, "a child has not got it");
        ok(gcmmap_close(region) == 0 && n_secret() == 0 && fault_of_access(data, false) == SIGSEGV,
           "closed: it is gone");
        need(gcmmap_unmap_now(region) == 0, "unmap");
        region = gcmmap_alloc(SIZE, GCMMAP_POINTER_FREE | (flags & GCMMAP_BY_HANDLE));
        data = gcmmap_data(region);
        ok(data[0] == 0 && (data[0] = 1) && kernel_reads(data), "the next one is ordinary memory");
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
    apart(drop_some, NULL);
    collect_thoroughly();
    ok(n_secret() <= 2, "dropped ones go: %zu of 20 are left", n_secret());
    return done_testing();
}
