/*
 * What only pages that nobody may read point to stays alive when the process has no descriptor left:
 * the collector's own is kept since they were protected, or protecting them is refused.  Forked children
 * read their own pages; hosts that close, or reuse, what they do not know lose nothing but that descriptor.
 *
 * Linked with the library's objects: a child that the C library knows nothing of cannot collect.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#include "os.h"

#define N 50u   /* regions */
#define PAGES 4 /* of each; an object for each page */
#define MARK ((uintptr_t)0x5EED)
#define SECONDS_OF_LIFE 60 /* of a child that hangs */

static size_t page;
static struct {
    void **data[N]; /* in sight of the collector */
    void *volatile keepers[N];
} held;
static void **expected; /* complements of the objects; zeroed when one goes.  malloc'ed */

static void **word(unsigned i, unsigned nth)
{
    return &held.data[i][(nth * page + page / 2) / sizeof(void *)];
}

static bool protect(unsigned access)
{
    bool right = true;

    for (unsigned i = 0; i < N; i++)
        right &= gcmmap_protect(held.data[i], PAGES * page, access) == 0;
    return right;
}

static void store_objects(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N; i++)
        for (unsigned nth = 0; nth < PAGES; nth++) {
            uintptr_t *object = GC_MALLOC_ATOMIC(64);
            void **link = &expected[i * PAGES + nth];

            need(object != NULL, "GC_MALLOC_ATOMIC");
            object[0] = MARK + i * PAGES + nth;
            *word(i, nth) = object;
            (void)GC_unregister_disappearing_link(link);
            *link = (void *)hide(object);
            (void)GC_general_register_disappearing_link(link, object);
        }
}

static void map_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N; i++) {
        /* Others' pages the collector protects itself, in that mode. */
        bool by_handle = i % 5 == 0 || collector_write_protects();

        held.data[i] = gcmmap_data(gcmmap_alloc(PAGES * page, by_handle ? GCMMAP_BY_HANDLE : 0));
        need(held.data[i] != NULL, "region");
        held.keepers[i] = gcmmap_of(held.data[i]);
    }
}

static void count_lost(void *arg)
{
    unsigned *n_lost = arg;

    for (unsigned i = 0; i < N; i++)
        for (unsigned nth = 0; nth < PAGES; nth++) {
            const uintptr_t *object = *word(i, nth);

            *n_lost += expected[i * PAGES + nth] != (void *)hide(object) ||
                       object[0] != MARK + i * PAGES + nth;
        }
}

/* The pages are protected; afterwards they can be written to. */
static unsigned lost_by_collecting(void)
{
    unsigned n_lost = 0;

    collect_with_noise();
    need(protect(GCMMAP_WRITE), "protect");
    apart(count_lost, &n_lost);
    return n_lost;
}

/* ---- descriptors ------------------------------------------------------------------- */

static int used[64];
static size_t n_used;

static void use_up(void)
{
    int fd;

    while (n_used < sizeof used / sizeof *used && (fd = open("/dev/null", O_RDONLY)) >= 0)
        used[n_used++] = fd;
    need(errno == EMFILE, "all descriptors");
}

static void give_back(size_t n)
{
    while (n-- > 0 && n_used > 0)
        close(used[--n_used]);
}

/* The one that shows a process's memory, or -1; n: how many there are. */
static int find_memory(unsigned *n)
{
    int found = -1;

    *n = 0;
    for (int fd = 0; fd < 64; fd++) {
        char link[32], path[64] = "";

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, path, sizeof path - 1) > 4 &&
            strcmp(path + strlen(path) - 4, "/mem") == 0) {
            found = fd;
            ++*n;
        }
    }
    return found;
}

/* ---- tests --------------------------------------------------------------------------- */

static void test_refusal(void)
{
    gcmmap_region *plain = gcmmap_alloc(page, GCMMAP_POINTER_FREE);
    unsigned n_lost = 0, n_refused = 0;

    need(plain != NULL, "region");
    use_up();
    for (unsigned i = 0; i < N; i++) {
        errno = 0;
        n_refused += gcmmap_protect(held.data[i], page, 0) == -1 && errno == EMFILE &&
                     fault_of_access(held.data[i], true) == 0;
    }
    ok(n_refused == N, "no descriptor to read them: EMFILE, and nothing is protected");
    ok(gcmmap_protect(held.data[0], page, GCMMAP_READ) == 0 &&
           gcmmap_protect(held.data[0], page, GCMMAP_WRITE) == 0 &&
           gcmmap_protect(gcmmap_data(plain), page, 0) == 0,
       "pages that may be read, or hold no pointers, need none");
    collect_with_noise();
    apart(count_lost, &n_lost);
    ok(n_lost == 0, "nothing is lost (%u)", n_lost);
    need(gcmmap_unmap_now(plain) == 0, "unmap");
}

static void test_shortage(void)
{
    unsigned n, n_lost;
    int fd;

    give_back(1);
    ok(protect(0), "one is enough for all");
    fd = find_memory(&n);
    ok(n == 1 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "it is not passed on to other programs");
    ok(open("/dev/null", O_RDONLY) < 0 && errno == EMFILE, "and was the last");
    n_lost = lost_by_collecting();
    ok(n_lost == 0, "what the pages point to stays alive (%u lost)", n_lost);
    need(protect(0), "protect");
    n_lost = lost_by_collecting();
    ok(find_memory(&n) == fd && n == 1 && n_lost == 0, "the same descriptor serves again");
}

/* Objects of before the fork, then its own on the same pages. */
static int collect_in_child(void *arg)
{
    unsigned n, n_lost = lost_by_collecting();

    (void)arg;
    alarm(SECONDS_OF_LIFE);
    if (n_lost != 0)
        return 1;
    apart(store_objects, NULL);
    if (!protect(0))
        return 2;
    if (find_memory(&n) < 0 || n != 1)
        return 3;
    return lost_by_collecting() != 0 ? 4 : 0;
}

static int fork_again(void *arg)
{
    if (!protect(0))
        return 5;
    return run_in_child(collect_in_child, arg);
}

static void test_children(void)
{
    int status;

    need(protect(0), "protect");
    status = run_in_child(collect_in_child, NULL);
    ok(status == 0, "nor is anything lost in a child without descriptors (%d)", status);
    status = run_in_child(fork_again, NULL);
    ok(status == 0, "nor in a child's child (%d)", status);
    ok(lost_by_collecting() == 0, "nor in the parent");
}

/* Not by fork(): no handler has run, the descriptor is still the parent's. */
static void test_bare_child(void)
{
    uintptr_t *own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t seen = 0;
    int status = 0;
    long child;

    need(own != MAP_FAILED, "mmap");
    own[1] = 1;
    child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    need(child >= 0, "clone");
    if (child == 0) {
        own[1] = 2;
        if (mprotect(own, page, PROT_NONE) != 0 ||
            os_peek_protected(&seen, own + 1, sizeof seen) != 0)
            _exit(3);
        _exit((int)seen);
    }
    need(waitpid((pid_t)child, &status, 0) == child && munmap(own, page) == 0, "waitpid");
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 2, "a child of clone(2) reads its own (%#x)",
       (unsigned)status);
}

/* Its number is another file's, in which to read is of no use. */
static void test_reuse(int other, const char *name)
{
    unsigned n, n_lost;
    int fd = find_memory(&n), status;

    need(other >= 0, name);
    need(protect(0) && fd >= 0 && dup2(other, fd) == fd, "protect");
    close(other);
    give_back(4);
    status = run_in_child(collect_in_child, NULL);
    ok(status == 0, "%s in its place: a child sees that (%d)", name, status);
    n_lost = lost_by_collecting();
    ok(n_lost == 0, "%s in its place: the collector sees that (%u lost)", name, n_lost);
    need(protect(0), "protect");
    use_up();
    n_lost = lost_by_collecting();
    ok(find_memory(&n) != fd && n == 1 && n_lost == 0, "the next call has a new one (%u lost)",
       n_lost);
    ok(fcntl(fd, F_GETFD) >= 0, "the other file stays open");
    close(fd);
    give_back(1);
}

static int zeros(void)
{
    int fd = make_file(1, 0);

    need(ftruncate(fd, (off_t)1 << 47) == 0 || ftruncate(fd, (off_t)1 << 40) == 0, "file");
    return fd;
}

int main(void)
{
    struct rlimit limit = { sizeof used / sizeof *used, sizeof used / sizeof *used };

    alarm(5 * SECONDS_OF_LIFE);
    GC_set_handle_fork(1);
    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    expected = calloc(N * PAGES, sizeof *expected);
    need(expected != NULL && setrlimit(RLIMIT_NOFILE, &limit) == 0, "limit");
    apart(map_all, NULL);
    apart(store_objects, NULL);
    test_refusal();
    test_shortage();
    test_children();
    give_back(4);
    test_bare_child();
    test_reuse(open("/dev/null", O_RDONLY), "/dev/null");
    test_reuse(eventfd(0, 0), "an event");
    test_reuse(zeros(), "a file");
    return done_testing();
}
