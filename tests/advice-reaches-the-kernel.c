/*
 * gcmmap_advise() gives the kernel each advice that there is, for the pages around the bytes
 * and no others, and refuses what is none and what would tear holes into a child's heap.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <limits.h>

#define N_PAGES ((size_t)6)

static size_t page;

/* Whether the kernel knows it; our numbers are its numbers where this test runs. */
static bool kernel_knows(int advice)
{
    return madvise((void *)page, 0, advice) == 0;
}

static void find_flag(const char *line, void *arg)
{
    const char *flag = *(const char **)arg;

    if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag) != NULL)
        *(const char **)arg = NULL;
}

/* Whether the page's mapping has one of the letter pairs of VmFlags: proc(5). */
static bool has_flag(const unsigned char *address, const char *flag)
{
    const char *wanted = flag;

    need(smaps_of(address, find_flag, &wanted), "mapping");
    return wanted == NULL;
}

/* An advice that the kernel keeps a flag for, and one that takes it back. */
static void test_flag(int set, int unset, const char *flag, const char *name)
{
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);
    int result;

    need(data != NULL, "region");
    errno = 4711;
    result = gcmmap_advise(data + 3 * page - 1, 2, set);
    if (result != 0 && errno == EINVAL && madvise(data, page, set) != 0) {
        ok(true, "%s # SKIP this kernel has none", name);
        need(gcmmap_unmap_now(region) == 0, "unmap");
        return;
    }
    ok(result == 0 && errno == 4711, "%s", name);
    ok(!has_flag(data + page, flag) && has_flag(data + 2 * page, flag) &&
           has_flag(data + 3 * page, flag) && !has_flag(data + 4 * page, flag),
       "the kernel has it for two pages (%s)", flag);
    ok(gcmmap_advise(data + 2 * page, 1, unset) == 0 && !has_flag(data + 2 * page, flag) &&
           has_flag(data + 3 * page, flag),
       "until it is taken back");
    need(gcmmap_close(region) == 0, "close");
    ok(!has_flag(data + 3 * page, flag), "or the region is closed");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

static void test_unknown(void)
{
    static const int unknown[] = { -1, 5, 6, 7, 26, 27, 50, 99, 104, 105, 9999, INT_MAX, INT_MIN };
    gcmmap_region *region = gcmmap_alloc(page, 0);
    unsigned char *data = gcmmap_data(region);
    bool right = true;

    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        for (size_t size = 0; size < 2; size++) {
            errno = 0;
            right &= gcmmap_advise(data, size, unknown[i]) == -1 && errno == EINVAL;
        }
    ok(right, "9999 and others are no advice");
}

/* ---- what loses contents ------------------------------------------------------------ */

/* Which pages show zero in their middle. */
static const char *zeros(const unsigned char *start)
{
    static char letters[N_PAGES + 1];

    for (size_t i = 0; i < N_PAGES; i++)
        letters[i] = start[i * page + page / 2] == 0 ? '0' : '1';
    return letters;
}

static unsigned char *filled(gcmmap_region *region)
{
    unsigned char *data = gcmmap_data(region);

    need(data != NULL, "region");
    memset(data, 0xFF, N_PAGES * page);
    return data;
}

static void test_dontneed(int advice)
{
    unsigned char *memory = filled(gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE));
    int fd = make_file(1, N_PAGES * page);
    unsigned char *private_file =
        filled(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE | GCMMAP_PRIVATE));
    unsigned char *shared = filled(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE));

    if (!kernel_knows(advice)) {
        ok(true, "advice %d # SKIP this kernel has none", advice);
        return;
    }
    ok(gcmmap_advise(memory + 2 * page - 1, 2, advice) == 0 && strcmp(zeros(memory), "100111") == 0,
       "memory is zero then, in whole pages (%s)", zeros(memory));
    memset(shared, 0, page);
    ok(gcmmap_advise(private_file, 1, advice) == 0 && private_file[page - 1] == 0 &&
           private_file[page] == 0xFF,
       "a private file shows what the file has");
    ok(gcmmap_advise(shared, N_PAGES * page, advice) == 0 && strcmp(zeros(shared), "011111") == 0,
       "a shared mapping loses nothing");
    need(gcmmap_lock(memory + 4 * page, 1) == 0, "lock");
    errno = 0;
    if (advice == GCMMAP_ADVISE_DONTNEED)
        gives_errno(gcmmap_advise(memory + 4 * page, 1, advice), EINVAL, "not if they are locked");
    else
        ok(gcmmap_advise(memory + 4 * page, 1, advice) == 0 && strcmp(zeros(memory), "100101") == 0,
           "even if they are locked");
    close(fd);
}

static void test_free(void)
{
    unsigned char *memory = filled(gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE));
    int fd = make_file(1, N_PAGES * page);
    void *file = gcmmap_data(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE | GCMMAP_PRIVATE));
    bool right = true;

    ok(gcmmap_advise(memory + page, 1, GCMMAP_ADVISE_FREE) == 0, "memory can be freed");
    for (size_t i = 0; i < page; i++)
        right &= memory[page + i] == 0xFF || memory[page + i] == 0;
    ok(right && memory[0] == 0xFF && memory[2 * page] == 0xFF, "it is as it was, or zero");
    errno = 0;
    gives_errno(gcmmap_advise(file, 1, GCMMAP_ADVISE_FREE), EINVAL, "a file cannot");
    close(fd);
}

static int read_hole(void *arg)
{
    unsigned char bytes[3];

    if (pread(*(int *)arg, bytes, 3, (off_t)(2 * page - 1)) != 3)
        return 1;
    return bytes[0] == 0xFF && bytes[1] == 0 && bytes[2] == 0 ? 0 : 2;
}

static void test_remove(void)
{
    int fd = make_file(1, N_PAGES * page);
    unsigned char *shared = filled(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE));
    unsigned char *memory = gcmmap_data(gcmmap_alloc(page, GCMMAP_POINTER_FREE));
    void *readable = gcmmap_data(gcmmap_map(fd, 0, page, GCMMAP_READ));
    int result = gcmmap_advise(shared + 2 * page + 5, 1, GCMMAP_ADVISE_REMOVE);

    if (result != 0 && errno == EOPNOTSUPP) {
        ok(true, "holes in files # SKIP this file system has none");
    } else {
        ok(result == 0 && strcmp(zeros(shared), "110111") == 0, "a page is punched out");
        ok(run_in_child(read_hole, &fd) == 0, "of the file");
    }
    errno = 0;
    errno = 0;
    gives_errno(gcmmap_advise(readable, 1, GCMMAP_ADVISE_REMOVE), EACCES,
                "not through a region that is only read");
    errno = 0;
    gives_errno(gcmmap_advise(memory, 1, GCMMAP_ADVISE_REMOVE), EACCES, "nor through memory");
    close(fd);
}

/* ---- forks ------------------------------------------------------------------------- */

static int sees_memory(void *arg)
{
    const unsigned char *memory = arg;

    return strcmp(zeros(memory), "111111") != 0;
}

static int sees_wiped(void *arg)
{
    const unsigned char *memory = arg;

    if (strcmp(zeros(memory), "100111") != 0)
        return 1;
    collect_thoroughly();
    return strcmp(zeros(memory), "100111") != 0;
}

static void test_forks(void)
{
    gcmmap_region *region = gcmmap_alloc(N_PAGES * page, 0);
    unsigned char *memory = filled(region);

    errno = 0;
    gives_errno(gcmmap_advise(memory, N_PAGES * page, GCMMAP_ADVISE_DONTFORK), ENOTSUP,
                "keeping pages from a child");
    errno = 0;
    gives_errno(gcmmap_advise(memory, 0, GCMMAP_ADVISE_DOFORK), ENOTSUP, "or not");
    ok(run_in_child(sees_memory, memory) == 0, "a child has them");
    ok(gcmmap_advise(memory + page, page + 1, GCMMAP_ADVISE_WIPEONFORK) == 0 &&
           run_in_child(sees_wiped, memory) == 0 && sees_memory(memory) == 0,
       "wiped ones are wiped in the child only");
    ok(gcmmap_advise(memory, N_PAGES * page, GCMMAP_ADVISE_KEEPONFORK) == 0 &&
           run_in_child(sees_memory, memory) == 0,
       "until that is taken back");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- what changes nothing to be seen ----------------------------------------------- */

static void test_harmless(void)
{
    static const int advices[] = { GCMMAP_ADVISE_NORMAL,        GCMMAP_ADVISE_WILLNEED,
                                   GCMMAP_ADVISE_COLD,          GCMMAP_ADVISE_PAGEOUT,
                                   GCMMAP_ADVISE_POPULATE_READ, GCMMAP_ADVISE_POPULATE_WRITE };
    int fd = make_file(1, N_PAGES * page);
    gcmmap_region *regions[] = { gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE),
                                 gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE | GCMMAP_PRIVATE),
                                 gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE) };

    for (size_t j = 0; j < 3; j++)
        (void)filled(regions[j]);
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        bool right = true;

        for (size_t j = 0; j < 3; j++) {
            unsigned char *data = gcmmap_data(regions[j]);

            errno = 0;
            if (gcmmap_advise(data + 1, 3 * page, advices[i]) != 0)
                right &= errno == EINVAL && !kernel_knows(advices[i]);
            right &= strcmp(zeros(data), "111111") == 0;
        }
        ok(right, "advice %d changes no contents", advices[i]);
    }
    close(fd);
}

static void test_populate(int advice)
{
    unsigned char *data = gcmmap_data(gcmmap_alloc(N_PAGES * page, GCMMAP_POINTER_FREE));
    unsigned char pages[N_PAGES] = { 0 };
    int fd = make_file(1, N_PAGES * page);

    need(data != NULL, "region");
    if (!kernel_knows(advice)) {
        ok(true, "advice %d # SKIP this kernel has none", advice);
        return;
    }
    need(madvise(data, N_PAGES * page, MADV_NOHUGEPAGE) == 0, "madvise");
    ok(gcmmap_advise(data + 2 * page - 1, 2, advice) == 0 &&
           mincore(data, N_PAGES * page, pages) == 0 && !pages[0] && (pages[1] & 1) &&
           (pages[2] & 1) && !pages[3],
       "advice %d brings in two pages", advice);
    need(gcmmap_protect(data + 3 * page, 1, 0) == 0, "protect");
    errno = 0;
    gives_errno(gcmmap_advise(data, N_PAGES * page, advice), EINVAL, "none that nobody may read");
    data = gcmmap_data(gcmmap_map(fd, 0, N_PAGES * page, GCMMAP_WRITE));
    need(data != NULL && ftruncate(fd, (off_t)page) == 0, "truncated file");
    errno = 0;
    gives_errno(gcmmap_advise(data, N_PAGES * page, advice), EFAULT, "none behind a file's end");
    close(fd);
}

static void test_collapse(void)
{
    gcmmap_region *region = gcmmap_alloc(4 * MiB, GCMMAP_POINTER_FREE);
    unsigned char *data = gcmmap_data(region);
    bool right = true;

    need(data != NULL, "region");
    for (size_t at = 0; at < 4 * MiB; at += page)
        data[at] = (unsigned char)(1 + at / page % 255);
    errno = 0;
    if (gcmmap_advise(data, 4 * MiB, GCMMAP_ADVISE_COLLAPSE) != 0)
        right = errno == EINVAL || errno == EAGAIN || errno == EBUSY || errno == ENOMEM;
    note("collapse: %s", strerror(errno));
    for (size_t at = 0; at < 4 * MiB; at += page)
        right &= data[at] == (unsigned char)(1 + at / page % 255);
    ok(right, "huge pages have what the small ones had");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* ---- guards and bad memory ---------------------------------------------------------- */

static void test_guards(size_t n_pages)
{
    gcmmap_region *region = gcmmap_alloc(n_pages * page, 0); /* traced */
    unsigned char *data = gcmmap_data(region);
    void **object;

    need(data != NULL, "region");
    if (!kernel_knows(GCMMAP_ADVISE_GUARD_INSTALL)) {
        ok(true, "guards # SKIP this kernel has none");
        return;
    }
    for (size_t i = 0; i < n_pages; i++)
        memset(data + i * page, 0xFF, page);
    object = GC_MALLOC(64);
    memset(object, 0x33, 64);
    ((void **)(void *)(data + 2 * page))[0] = object;
    object = NULL;
    ok(gcmmap_advise(data + page, 1, GCMMAP_ADVISE_GUARD_INSTALL) == 0 &&
           fault_of_access(data + page - 1, false) == 0 &&
           fault_of_access(data + page, false) == SIGSEGV &&
           fault_of_access(data + 2 * page - 1, true) == SIGSEGV &&
           fault_of_access(data + 2 * page, true) == 0,
       "a guard faults");
    collect_with_noise();
    collect_with_noise();
    object = ((void **)(void *)(data + 2 * page))[0];
    ok(((unsigned char *)object)[63] == 0x33,
       "collections pass it over, not what comes behind it (%zu pages)", n_pages);
    ok(gcmmap_advise(data + page, 1, GCMMAP_ADVISE_GUARD_REMOVE) == 0 && data[page] == 0 &&
           data[page - 1] == 0xFF,
       "in its place come zeros");
    need(gcmmap_advise(data, 1, GCMMAP_ADVISE_GUARD_INSTALL) == 0, "guard");
    need(gcmmap_unmap_now(region) == 0, "unmap");
    region = gcmmap_alloc(n_pages * page, 0);
    ok(can_store(gcmmap_data(region)), "with the region it goes");
    need(gcmmap_unmap_now(region) == 0, "unmap");
}

/* Never as the superuser: it would cost the machine memory. */
static int poison(void *arg)
{
    static const int advices[] = { GCMMAP_ADVISE_HWPOISON, GCMMAP_ADVISE_SOFT_OFFLINE };
    unsigned char *data = gcmmap_data(gcmmap_alloc(page, GCMMAP_POINTER_FREE));

    (void)arg;
    if (data == NULL || (geteuid() == 0 && setuid(65534) != 0))
        return 1;
    data[0] = 1;
    for (int i = 0; i < 2; i++) {
        errno = 0;
        if (gcmmap_advise(data, 1, advices[i]) != -1 || (errno != EPERM && errno != EINVAL))
            return 2 + i;
    }
    collect_thoroughly();
    return data[0] == 1 ? 0 : 4;
}

int main(void)
{
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    test_flag(GCMMAP_ADVISE_RANDOM, GCMMAP_ADVISE_NORMAL, " rr", "random access");
    test_flag(GCMMAP_ADVISE_SEQUENTIAL, GCMMAP_ADVISE_NORMAL, " sr", "sequential access");
    test_flag(GCMMAP_ADVISE_DONTDUMP, GCMMAP_ADVISE_DODUMP, " dd", "no core dump");
    test_flag(GCMMAP_ADVISE_WIPEONFORK, GCMMAP_ADVISE_KEEPONFORK, " wf", "wiped in a child");
    test_flag(GCMMAP_ADVISE_MERGEABLE, GCMMAP_ADVISE_UNMERGEABLE, " mg", "mergeable");
    test_flag(GCMMAP_ADVISE_HUGEPAGE, GCMMAP_ADVISE_NOHUGEPAGE, " hg", "huge pages");
    test_flag(GCMMAP_ADVISE_NOHUGEPAGE, GCMMAP_ADVISE_HUGEPAGE, " nh", "no huge pages");
    test_unknown();
    test_dontneed(GCMMAP_ADVISE_DONTNEED);
    test_dontneed(GCMMAP_ADVISE_DONTNEED_LOCKED);
    test_free();
    test_remove();
    if (!collector_write_protects())
        test_forks();
    test_harmless();
    test_populate(GCMMAP_ADVISE_POPULATE_READ);
    test_populate(GCMMAP_ADVISE_POPULATE_WRITE);
    test_collapse();
    test_guards(3);
    test_guards(50);
    ok(run_in_child(poison, NULL) == 0, "memory is not poisoned without privileges");
    return done_testing();
}
