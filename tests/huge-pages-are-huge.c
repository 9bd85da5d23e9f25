/*
 * GCMMAP_HUGE lays memory and files so that the kernel can use huge pages, and asks for them.
 * GCMMAP_HUGE_ONLY gives huge pages that were set aside, or ENOMEM and no trace.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"
#include "smaps.h"

#include <sys/resource.h>

#define HUGE_SIZE (2 * MiB)
#define N_HUGE 16
#define SWITCH "/proc/sys/vm/nr_hugepages"

static size_t pmd_size(void)
{
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
    size_t n = 0;

    if (file != NULL && fscanf(file, "%zu", &n) != 1)
        n = 0;
    if (file != NULL)
        fclose(file);
    return n;
}

static void one_memory(size_t size, unsigned flags, const gcmmap_options *options)
{
    gcmmap_region *region = gcmmap_alloc_with(size, GCMMAP_HUGE | flags, options);
    unsigned char *data = gcmmap_data(region), *again;
    struct mapping mapping;

    need(data != NULL, "memory");
    memset(data, 1, size);
    ok((uintptr_t)data % HUGE_SIZE == 0 && mapping_at(data, &mapping) &&
           strstr(mapping.flags, " hg ") != NULL,
       "%zu bytes, flags %#x: aligned and advised", size, flags);
    note("%zu KiB of huge pages", mapping.anon_huge_kib);
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = gcmmap_alloc_with(size, flags, options);
    again = gcmmap_data(region);
    ok(again != NULL && !has_vm_flag(again, " hg "), "the next one is not");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_transparent(void)
{
    const gcmmap_options room = { .room = 8 * MiB };
    int fd = memfd_create("huge", 0);
    gcmmap_region *region;
    unsigned char *data;
    size_t before, during;

    if (pmd_size() != HUGE_SIZE) {
        ok(true, "transparent huge pages # SKIP not of 2 MiB here");
        return;
    }
    one_memory(2 * MiB, 0, NULL);
    one_memory(3 * MiB + 5, GCMMAP_POINTER_FREE, NULL);
    one_memory(40 * MiB, 0, NULL);
    one_memory(6 * MiB, GCMMAP_BY_HANDLE, NULL);
    one_memory(1 * MiB, GCMMAP_BY_HANDLE, &room);
    need(fd >= 0 && ftruncate(fd, (off_t)(9 * MiB)) == 0, "memfd");
    for (unsigned by_handle = 0; by_handle < 2; by_handle++) {
        region = gcmmap_map(fd, 12345, 6 * MiB,
                            GCMMAP_WRITE | GCMMAP_HUGE | (by_handle ? GCMMAP_BY_HANDLE : 0));
        data = gcmmap_data(region);
        ok(data != NULL && ((uintptr_t)data - 12345) % HUGE_SIZE == 0,
           "address and offset differ by huge pages");
        need(gcmmap_unmap_now(region) == 0, "unmap");
    }
    region = gcmmap_alloc(5000, GCMMAP_HUGE);
    before = stats_now().bytes_live;
    ok(region != NULL && before == 8192, "what is small takes no more than else");
    need(gcmmap_unmap_now(region) == 0, "unmap");

    before = status_kib("VmRSS:");
    region = gcmmap_alloc(8 * MiB, GCMMAP_HUGE | GCMMAP_POPULATE | GCMMAP_POINTER_FREE);
    during = status_kib("VmRSS:");
    ok(region != NULL && during >= before + 7 * 1024, "populated: %zu KiB", during - before);
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- only huge pages ---------------------------------------------------------------- */

static size_t meminfo(const char *field)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[256];
    size_t n = 0;

    need(file != NULL, "/proc/meminfo");
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            n = strtoul(line + strlen(field), NULL, 10);
    fclose(file);
    return n;
}

static size_t n_huge_before;

static bool set_aside(size_t n)
{
    FILE *file = fopen(SWITCH, "w");
    bool written = file != NULL && fprintf(file, "%zu\n", n) > 0;

    if (file != NULL)
        written &= fclose(file) == 0;
    return written && meminfo("HugePages_Total:") >= n;
}

static void test_none(void)
{
    gcmmap_stats before = stats_now(), after;
    unsigned untraced = collector_write_protects() ? GCMMAP_POINTER_FREE : 0;

    errno = 0;
    ok(gcmmap_alloc((meminfo("HugePages_Free:") + 1) * HUGE_SIZE, GCMMAP_HUGE_ONLY | untraced) ==
               NULL &&
           errno == ENOMEM,
       "more huge pages than there are: %s", strerror(ENOMEM));
    after = stats_now();
    ok(after.n_live <= before.n_live && after.n_mapped == before.n_mapped, "no trace of it");
}

static gcmmap_region *kept;
static uintptr_t hidden;
static int fd;

static void store(void *arg)
{
    unsigned *flags = arg;
    void **words;

    kept = gcmmap_alloc(3 * MiB, GCMMAP_HUGE_ONLY | *flags);
    if (kept == NULL)
        return;
    words = gcmmap_data(kept);
    words[3 * MiB / sizeof *words - 1] = gcmmap_data(gcmmap_map(fd, 0, 5000, GCMMAP_READ));
    hidden = hide(words[3 * MiB / sizeof *words - 1]);
}

static void one_huge(unsigned flags)
{
    static size_t n_late; /* held by accident when this was called before */
    size_t n_free = meminfo("HugePages_Free:") - meminfo("HugePages_Rsvd:"), n_now;
    struct mapping mapping;
    unsigned char *data;

    apart(store, &flags);
    if (kept == NULL && errno == ENOTSUP && collector_write_protects()) {
        ok(true, "huge pages, flags %#x # SKIP not in this mode", flags);
        return;
    }
    data = gcmmap_data(kept);
    need(data != NULL, "huge pages");
    ok(mapping_at(data, &mapping) && strstr(mapping.flags, " ht ") != NULL &&
           mapping.page_kib * 1024 == HUGE_SIZE && (uintptr_t)data % HUGE_SIZE == 0 &&
           mapping.to - mapping.from == 2 * HUGE_SIZE && gcmmap_size(kept) == 3 * MiB,
       "two huge pages for 3 MiB, flags %#x", flags);
    ok(stats_now().bytes_live >= 2 * HUGE_SIZE, "counted whole");
    collect_with_noise();
    ok(has_bytes(reveal(hidden), 5000, 1, 0) && inode_at(reveal(hidden)) == inode_of(fd),
       "what they point to stays");
    n_now = meminfo("HugePages_Free:") - meminfo("HugePages_Rsvd:");
    ok(n_now == n_free - 2 || n_now == n_free - 2 + n_late, "two are taken");
    n_free = n_now + 2;
    ok(gcmmap_close(kept) == 0 && meminfo("HugePages_Free:") == n_free &&
           fault_of_access(data, false) == SIGSEGV,
       "closed: they are back");
    kept = NULL;
    apart(store, &flags);
    need(kept != NULL && gcmmap_unmap_now(kept) == 0, "again");
    ok(meminfo("HugePages_Free:") - meminfo("HugePages_Rsvd:") == n_free, "unmapped: back");
    apart(store, &flags);
    kept = NULL;
    for (int i = 0; i < 5 && meminfo("HugePages_Free:") != n_free; i++)
        collect_thoroughly();
    ok(meminfo("HugePages_Free:") >= n_free - 2, "dropped: %zu of %zu are free",
       meminfo("HugePages_Free:"), n_free);
    n_late = n_free - (meminfo("HugePages_Free:") - meminfo("HugePages_Rsvd:"));
}

static void test_only(void)
{
    unsigned char resident = 0;
    gcmmap_region *region;
    unsigned char *data;

    if (meminfo("Hugepagesize:") * 1024 != HUGE_SIZE) {
        ok(true, "set-aside huge pages # SKIP not of 2 MiB here");
        return;
    }
    test_none();
    if (meminfo("HugePages_Free:") < N_HUGE && !set_aside(n_huge_before + N_HUGE)) {
        ok(true, "set-aside huge pages # SKIP cannot be had");
        return;
    }
    one_huge(0);
    one_huge(GCMMAP_BY_HANDLE);
    region = gcmmap_alloc(100, GCMMAP_HUGE_ONLY | GCMMAP_POINTER_FREE);
    data = gcmmap_data(region);
    ok(data != NULL && data[0] == 0 && fault_of_access(data + HUGE_SIZE, false) == SIGSEGV,
       "a page for 100 bytes, and the guard behind it");
    ok(gcmmap_protect(data + 99, 1, GCMMAP_READ) == 0 &&
           fault_of_access(data + HUGE_SIZE - 1, true) == SIGSEGV &&
           gcmmap_protect(data + 99, 1, GCMMAP_WRITE) == 0 &&
           fault_of_access(data + HUGE_SIZE - 1, true) == 0,
       "one byte is protected with the whole page");
    ok(gcmmap_lock(data + 50, 1) == 0 && gcmmap_unlock(data + 50, 1) == 0 &&
           gcmmap_advise(data + 50, 1, GCMMAP_ADVISE_DONTDUMP) == 0,
       "and locked, and advised about");
    ok(gcmmap_residency(data + 50, 50, &resident, 1, NULL) == 0 && resident == 1,
       "asking for its residency takes no more room than else");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region =
        gcmmap_alloc(0, GCMMAP_HUGE_ONLY | (collector_write_protects() ? GCMMAP_POINTER_FREE : 0));
    ok(gcmmap_data(region) != NULL && gcmmap_size(region) == 0, "none for an empty region");
    test_none();
}

/* Before anybody else has asked. */
static int ask_without_descriptors(void *arg)
{
    struct rlimit limit, none;
    bool is_refused;

    need(gcmmap_alloc(1, 0) != NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0, "start");
    none = (struct rlimit){ 0, limit.rlim_max };
    need(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
    is_refused = gcmmap_alloc(1, GCMMAP_HUGE_ONLY | GCMMAP_POINTER_FREE) == NULL;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    (void)arg;
    return is_refused && (gcmmap_alloc(1, GCMMAP_HUGE_ONLY | GCMMAP_POINTER_FREE) != NULL ||
                          errno == ENOMEM)
               ? 0
               : 1;
}

static void a_shortage_is_forgotten(void)
{
    if (meminfo("Hugepagesize:") == 0)
        ok(true, "a shortage of descriptors is forgotten # SKIP no huge pages here");
    else
        ok(run_in_child(ask_without_descriptors, NULL) == 0,
           "a shortage of descriptors is forgotten");
}

static int test_all(void *arg)
{
    (void)arg;
    GC_INIT();
    fd = make_file(1, 5000);
    a_shortage_is_forgotten();
    test_transparent();
    test_only();
    (void)done_testing();
    (void)fflush(stdout);
    return tap_n_failed != 0;
}

/* The whole system's setting is put back, whatever becomes of the tests. */
int main(void)
{
    int status;

    n_huge_before = meminfo("HugePages_Total:");
    status = run_in_child(test_all, NULL);
    if (meminfo("HugePages_Total:") != n_huge_before)
        (void)set_aside(n_huge_before);
    return status < 0 ? 1 : status;
}
