/*
 * The collector finds every pointer in memory that was written, however few the pages and
 * wherever they are: at borders, in runs, in huge pages, in a file's private copies, in a
 * child's copies after fork; written by the program or by the kernel.  What was given back
 * holds nothing, and pages that were never written are not brought in.
 *
 * All of it again where the kernel refuses to say which pages were written: see main().
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifdef SYS_pipe
#define PIPE_CALL SYS_pipe
#else
#define PIPE_CALL SYS_pipe2
#endif
#define ASK_SCAN 0xc0606610u /* PAGEMAP_SCAN */

#define MOST 600u
#define ACCIDENTS 3u

static uint64_t chance;
static size_t page;
static bool has_pipes = true;
static size_t much = 600 * MiB;
static size_t some = 50 * MiB;
static bool knows_written = true; /* the collector finds out which pages were written */

/* ---- witnesses --------------------------------------------------------------- */

static uintptr_t round_number;
static unsigned n_made, n_finalized; /* in this round */
static bool finalized[MOST];
static unsigned char *data;            /* the region */
static gcmmap_region *volatile handle; /* if that is what keeps it */
static size_t offsets[MOST];

static void GC_CALLBACK note_finalized(void *object, void *number)
{
    (void)object;
    if ((uintptr_t)number / MOST != round_number)
        return;
    n_finalized++;
    finalized[(uintptr_t)number % MOST] = true;
}

static __attribute__((noinline)) void *new_witness(size_t offset)
{
    uint64_t *witness = GC_MALLOC(sizeof *witness);

    need(witness != NULL && n_made < MOST, "GC_MALLOC");
    *witness = offset;
    GC_REGISTER_FINALIZER_NO_ORDER(witness, note_finalized, (void *)(round_number * MOST + n_made),
                                   NULL, NULL);
    offsets[n_made++] = offset;
    return witness;
}

static __attribute__((noinline)) void put(size_t offset)
{
    *(void **)(void *)(data + offset) = new_witness(offset);
}

static bool all_live(void)
{
    for (unsigned i = 0; i < n_made; i++)
        if (finalized[i] || **(uint64_t **)(void *)(data + offsets[i]) != offsets[i])
            return false;
    return true;
}

static void check_all_live(void *result)
{
    *(bool *)result = all_live();
}

static void begin(void)
{
    data = NULL;
    collect_thoroughly();
    round_number++;
    n_made = n_finalized = 0;
    memset(finalized, 0, sizeof finalized);
}

static size_t count_resident(size_t n_bytes)
{
    unsigned char *resident = malloc(n_bytes / page);
    size_t n = 0;

    need(resident != NULL && mincore(data, n_bytes / page * page, resident) == 0, "mincore");
    for (size_t i = 0; i < n_bytes / page; i++)
        n += resident[i] & 1;
    free(resident);
    return n;
}

static void hold(const char *what)
{
    bool live = false;

    collect_thoroughly();
    collect_with_noise();
    if (n_finalized == 0)
        apart(check_all_live, &live);
    if (!ok(live, "%s: %u objects are held", what, n_made))
        note("%u finalized", n_finalized);
}

static void let_go(const char *what)
{
    static unsigned n_held;

    data = NULL;
    handle = NULL;
    collect_thoroughly();
    if (n_finalized == 0 && ++n_held <= (HAS_MANY_ADDRESSES ? 4 : 12))
        ok(true, "%s # SKIP something that looks like a pointer holds the region", what);
    else
        ok(n_finalized + ACCIDENTS >= n_made, "%s: %u of %u die with the region", what, n_finalized,
           n_made);
}

/* ---- places -------------------------------------------------------------------- */

static void map_memory(void *n_bytes)
{
    data = gcmmap_data(gcmmap_alloc(*(size_t *)n_bytes, 0));
    need(data != NULL, "gcmmap_alloc");
}

static void map_memory_by_handle(void *n_bytes)
{
    handle = gcmmap_alloc(*(size_t *)n_bytes, GCMMAP_BY_HANDLE);
    data = gcmmap_data(handle);
    need(data != NULL, "gcmmap_alloc");
}

static int fd;

static void map_file(void *n_bytes)
{
    data = gcmmap_data(gcmmap_map(fd, 0, *(size_t *)n_bytes, GCMMAP_WRITE | GCMMAP_PRIVATE));
    need(data != NULL, "gcmmap_map");
}

static void put_at_borders(void *n_bytes)
{
    size_t n = *(size_t *)n_bytes;

    put(0);
    for (size_t at = page; at < n && n_made + 3 < 60; at += page) {
        put(at - sizeof(void *));
        put(at);
    }
    put(n - sizeof(void *));
}

static void put_here_and_there(void *n_bytes)
{
    for (unsigned i = 0; i < 150; i++) {
        size_t at = next_random(&chance) % (*(size_t *)n_bytes / sizeof(void *)) * sizeof(void *);

        if (*(void **)(void *)(data + at) == NULL)
            put(at);
    }
}

/* Runs of up to 200 pages without a pointer but in the first and the last word. */
static void put_in_runs(void *n_bytes)
{
    size_t n = *(size_t *)n_bytes, at = 0, length;

    for (; n_made < 150; at += length + page * (1 + next_random(&chance) % 20)) {
        length = page * (1 + next_random(&chance) % 200);
        if (at + length > n)
            break;
        for (size_t i = 0; i < length; i += page)
            data[at + i + 100] = 1;
        put(at);
        put(at + length - sizeof(void *));
    }
}

static void read_all(size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i += page)
        (void)*(volatile unsigned char *)(data + i);
}

static void hold_in(const char *what, void (*map)(void *), void (*fill)(void *), size_t n_bytes,
                    bool is_read_before)
{
    size_t n_before;
    bool looks;

    begin();
    apart(map, &n_bytes);
    if (is_read_before)
        read_all(n_bytes);
    GC_disable();
    apart(fill, &n_bytes);
    GC_enable();
    looks = knows_written && !is_read_before && map != map_file; /* a file's: in its cache */
    n_before = looks ? count_resident(n_bytes) : 0;
    hold(what);
    if (looks)
        ok(count_resident(n_bytes) == n_before, "%s: %zu pages are resident, as before", what,
           n_before);
    let_go(what);
}

static void anywhere(void)
{
    hold_in("at page borders", map_memory, put_at_borders, 3 * page + 16, false);
    hold_in("at page borders of a page", map_memory, put_at_borders, page, false);
    hold_in("at page borders of 17 pages", map_memory, put_at_borders, 17 * page, false);
    hold_in("here and there", map_memory, put_here_and_there, 200 * page, false);
    hold_in("here and there in much memory", map_memory, put_here_and_there, much, false);
    hold_in("in runs", map_memory, put_in_runs, some, false);
    hold_in("in runs between zero pages", map_memory, put_in_runs, some, true);
    hold_in("by handle", map_memory_by_handle, put_here_and_there, much, false);
    fd = make_file(3, 1);
    need(ftruncate(fd, (off_t)some) == 0, "ftruncate");
    hold_in("here and there in a file", map_file, put_here_and_there, some, false);
    hold_in("in runs in a file", map_file, put_in_runs, some, false);
    hold_in("in runs in a file that is in memory", map_file, put_in_runs, some, true);
    close(fd);
}

/* ---- what the kernel does with pages ---------------------------------------------- */

#define N_PAGES 100u
#define N_MORE 20u /* not written by the parent */

static void put_one_each(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_PAGES; i++)
        put(i * page + i * 8 % page);
}

static void fill_pages(void)
{
    size_t n_bytes = (N_PAGES + N_MORE) * page;

    begin();
    apart(map_memory, &n_bytes);
    GC_disable();
    apart(put_one_each, NULL);
    GC_enable();
}

static void given_back(void)
{
    unsigned n_wrong = 0, n_left = 0;

    fill_pages();
    need(madvise(data + 10 * page, 50 * page, MADV_DONTNEED) == 0, "MADV_DONTNEED");
    collect_thoroughly();
    for (unsigned i = 0; i < N_PAGES; i++)
        if (i < 10 || i >= 60)
            n_wrong += finalized[i];
        else
            n_left += !finalized[i];
    ok(n_wrong == 0 && n_left <= ACCIDENTS, "MADV_DONTNEED: %u of 50 objects live, %u others died",
       n_left, n_wrong);
    begin();
    apart(map_memory, &(size_t){ N_PAGES * page });
    memset(data, 1, N_PAGES * page);
    need(madvise(data, N_PAGES * page, MADV_FREE) == 0, "MADV_FREE");
    GC_disable();
    apart(put_one_each, NULL);
    GC_enable();
    hold("written again after MADV_FREE");
    let_go("written again after MADV_FREE");
}

static void huge_pages(void)
{
    size_t n_bytes = 20 * MiB;

    begin();
    apart(map_memory, &n_bytes);
    if (madvise(data, n_bytes, MADV_HUGEPAGE) != 0)
        note("no huge pages here");
    GC_disable();
    apart(put_here_and_there, &n_bytes);
    GC_enable();
    hold("in huge pages");
    /* Part of one goes: the rest is mapped in small ones. */
    for (unsigned i = 0; i < n_made; i++)
        if (offsets[i] >= 5 * MiB && offsets[i] < 7 * MiB)
            offsets[i--] = offsets[--n_made];
    need(madvise(data + 5 * MiB, 2 * MiB, MADV_DONTNEED) == 0, "MADV_DONTNEED");
    n_finalized = 0;
    memset(finalized, 0, sizeof finalized);
    collect_thoroughly();
    memset(finalized, 0, sizeof finalized);
    ok(all_live(), "in huge pages: those outside the part given back are intact");
    data = NULL;
}

static void guards(void)
{
    fill_pages();
    if (madvise(data + 20 * page, 2 * page, MADV_GUARD_INSTALL) != 0) {
        ok(true, "guard pages # SKIP this kernel has none");
        return;
    }
    if (!knows_written || !has_pipes) {
        ok(true, "guard pages # SKIP nobody tells where they are");
        return;
    }
    collect_thoroughly();
    ok(n_finalized <= 2 && n_finalized + ACCIDENTS >= 2,
       "guard pages are passed over, and hold nothing");
    data = NULL;
}

static void kernel_writes(void)
{
    int ends[2];

    if (!has_pipes) {
        ok(true, "read(2) # SKIP no pipes");
        return;
    }
    if (collector_write_protects()) {
        ok(true, "read(2) # SKIP the collector write-protects its heap");
        return;
    }
    begin();
    need(pipe(ends) == 0, "pipe");
    apart(map_memory, &(size_t){ 300 * page });
    GC_disable();
    for (unsigned i = 0; i < 60; i++) {
        size_t at = i * 5 * page - (i > 0 ? sizeof(void *) : 0);
        void *witness = new_witness(at);

        need(write(ends[1], &witness, sizeof witness) == sizeof witness &&
                 read(ends[0], data + at, sizeof witness) == sizeof witness,
             "pipe");
    }
    GC_enable();
    close(ends[0]);
    close(ends[1]);
    hold("stored by read(2)");
    let_go("stored by read(2)");
}

/* Half of the pages stay the parent's, half become copies; the parent goes on by itself. */
static int in_child(void *unused)
{
    (void)unused;
    GC_disable();
    for (unsigned i = 0; i < N_PAGES; i += 2) {
        n_made = i;
        put(i * page + i * 8 % page);
    }
    n_made = N_PAGES;
    for (unsigned i = N_PAGES; i < N_PAGES + N_MORE; i++)
        put(i * page); /* numbers of their own: none of the parent's has died */
    GC_enable();
    scrub();
    collect_thoroughly();
    for (unsigned i = 1; i < N_PAGES; i += 2)
        if (finalized[i])
            return 1;
    for (unsigned i = N_PAGES; i < N_PAGES + N_MORE; i++)
        if (finalized[i])
            return 3;
    memset(finalized, 0, sizeof finalized); /* those it replaced died */
    return all_live() ? 0 : 2;
}

static void forks(void)
{
    fill_pages();
    ok(run_in_child(in_child, NULL) == 0,
       "in a child: what its own pages, its copies and the shared pages hold");
    hold("after fork");
    let_go("after fork");
}

/* ---- nests ------------------------------------------------------------------------- */

#define N_NESTED 150u
#define NESTED_BYTES ((size_t)100000)

/* More regions within each other than can be under way at once; each knows the next alone. */
static void nest(void *unused)
{
    void **hole = (void **)(void *)data;

    (void)unused;
    for (unsigned i = 0; i < N_NESTED; i++) {
        void **inner = gcmmap_data(gcmmap_alloc(NESTED_BYTES, 0));

        need(inner != NULL, "gcmmap_alloc");
        *hole = inner;
        for (size_t j = 0; j < NESTED_BYTES / sizeof *inner; j++)
            inner[j] = (void *)(j << 1 | 1);
        inner[NESTED_BYTES / sizeof *inner - 1] = new_witness(i);
        hole = inner + 6000;
        *hole = NULL;
    }
}

static void follow_nest(void *result)
{
    void **inner = (void **)(void *)data;

    for (unsigned i = 0; i < N_NESTED; i++) {
        inner = *(void **)(i == 0 ? inner : inner + 6000);
        *(bool *)result &= *(uint64_t *)inner[NESTED_BYTES / sizeof *inner - 1] == i;
    }
}

/* How many of them outlive it. */
static unsigned survivors_of_nest(void)
{
    bool right = true;

    begin();
    apart(map_memory, &page);
    GC_disable();
    apart(nest, NULL);
    GC_enable();
    collect_with_noise();
    collect_thoroughly();
    if (ok(n_finalized == 0, "regions in regions: %u objects are held", n_made))
        apart(follow_nest, &right);
    ok(right, "regions in regions: they are right");
    data = NULL;
    collect_thoroughly();
    return n_made - n_finalized;
}

/* What holds one of them by accident holds all that are further in. */
static void nests(void)
{
    unsigned n_left = survivors_of_nest();

    for (int i = 0; i < 3 && n_left > ACCIDENTS; i++)
        n_left = survivors_of_nest();
    ok(n_left <= ACCIDENTS, "regions in regions: they die together, %u are left", n_left);
}

/* ---- kernels that tell less ---------------------------------------------------------- */

static const char *const refusals[] = { "PAGEMAP_SCAN", "pagemap", "mincore", "process_vm_readv",
                                        "pipes" };

#define REFUSE(number, error)                                                                      \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1),                                           \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* 1: the ioctl is not there; 2: nor can the file be read; 3: nor is there mincore(2).
   4: files' pages cannot be copied directly; 5: nor through pipes. */
static bool refuse(unsigned how_much)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        REFUSE(how_much <= 3 ? ASK_SCAN : 0, ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        REFUSE(how_much == 2 || how_much == 3 ? SYS_pread64 : ~0u, EPERM),
        REFUSE(how_much == 3 ? SYS_mincore : ~0u, ENOSYS),
        REFUSE(how_much >= 4 ? SYS_process_vm_readv : ~0u, EPERM),
        REFUSE(how_much == 5 ? SYS_pipe2 : ~0u, EMFILE),
        REFUSE(how_much == 5 ? PIPE_CALL : ~0u, EMFILE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void run_again(const char *self, unsigned how_much)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        char number[] = { (char)('0' + how_much), '\0' };

        execl(self, self, number, (char *)NULL);
        _exit(99);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        ok(true, "without %s # SKIP no seccomp here", refusals[how_much - 1]);
    else
        ok(status == 0, "all of it again without %s", refusals[how_much - 1]);
}

static void all(void)
{
    GC_INIT();
    anywhere();
    given_back();
    huge_pages();
    guards();
    kernel_writes();
    forks();
    nests();
}

int main(int argc, char **argv)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    GC_set_handle_fork(1);
    if (argc > 1) {
        unsigned how_much = (unsigned)atoi(argv[1]);

        chance = 20261123;
        knows_written = how_much < 2 || how_much > 3;
        has_pipes = how_much < 5;
        much = some = 20 * MiB;
        if (!refuse(how_much))
            return 77;

        need(freopen("/dev/null", "w", stdout) != NULL, "/dev/null");
        all();
        return tap_n_failed != 0;
    }
    chance = test_seed();
    all();
    for (unsigned how_much = 1; how_much <= 5; how_much++)
        run_again(argv[0], how_much);
    return done_testing();
}
