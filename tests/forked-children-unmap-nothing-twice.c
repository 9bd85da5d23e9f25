/*
 * A fork in the midst of gcmmap_unmap_now(), after the kernel has given the addresses of a region
 * by handle to somebody else: the child leaves alone what is there.
 *
 * Linked with --wrap=munmap, so that somebody else is quick enough each time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

int __real_munmap(void *at, size_t n_bytes);
int __wrap_munmap(void *at, size_t n_bytes);

static bool is_armed;
static int child_says;

static bool is_there(const volatile unsigned char *at, size_t n_bytes)
{
    char permissions[5];
    unsigned long inode;

    return map_line((const void *)at, permissions, &inode) && permissions[0] == 'r' &&
           at[0] == 0x77 && at[n_bytes - 1] == 0x77;
}

static int look(void *at, size_t n_bytes)
{
    gcmmap_region *region;

    if (!is_there(at, n_bytes))
        return 1;
    region = gcmmap_alloc(100000, GCMMAP_BY_HANDLE);
    collect_with_noise();
    return is_there(at, n_bytes) && region != NULL && gcmmap_unmap_now(region) == 0 ? 0 : 2;
}

static void take_and_fork(void *at, size_t n_bytes)
{
    void *taken =
        mmap(at, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int status = 0;
    pid_t child;

    need(taken == at, "mmap");
    memset(at, 0x77, n_bytes);
    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        _exit(look(at, n_bytes));
    need(waitpid(child, &status, 0) == child, "waitpid");
    child_says = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    __real_munmap(at, n_bytes);
}

int __wrap_munmap(void *at, size_t n_bytes)
{
    int result = __real_munmap(at, n_bytes);

    if (is_armed && result == 0) {
        is_armed = false;
        take_and_fork(at, n_bytes);
    }
    return result;
}

static void test(unsigned flags)
{
    gcmmap_region *region;

    region = gcmmap_alloc(50000, flags | GCMMAP_BY_HANDLE);
    need(region != NULL, "region");
    child_says = 99;
    is_armed = true;
    need(gcmmap_unmap_now(region) == 0 && !is_armed, "unmap");
    ok(child_says == 0, "flags %#x: what others have mapped there stays (%d)", flags, child_says);
}

int main(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
    test(0);
    test(GCMMAP_POINTER_FREE);
    test(GCMMAP_POINTER_FREE | GCMMAP_GUARDED);
    test(GCMMAP_POINTER_FREE | GCMMAP_NO_FORK);
    return done_testing();
}
