/*
 * A child that a host forks, with bdwgc told to handle it, reads the regions it was born
 * with, maps, drops and collects for itself; its parent's regions are not touched.  Also
 * if another thread was just mapping or releasing at the moment of the fork.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define N_FILES 60u /* regions of the file, read only */
#define N_OWN 20u   /* private writable ones, and anonymous ones */
#define SIZE ((size_t)20000)
#define SEED 11u
#define OWN_SEED 12u
#define CHILD_SEED 13u
#define N_FORKS 60
#define SECONDS_OF_LIFE 60 /* of a child that hangs */
#define ACCIDENTS 4u

static int fd;
static struct {
    const unsigned char *file[N_FILES];
    unsigned char *own[N_OWN];
    void **memory[N_OWN]; /* points to a heap object at its last word */
    void *volatile keepers[N_FILES + 2 * N_OWN];
} held;

static void fill(unsigned char *data, uint64_t seed)
{
    for (size_t i = 0; i < SIZE; i++)
        data[i] = byte_at(seed, i);
}

static void map_all(void *arg)
{
    for (unsigned i = 0; i < N_FILES; i++) {
        held.file[i] = gcmmap_data(gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ));
        held.keepers[i] = keeper_of(held.file[i]);
    }
    for (unsigned i = 0; i < N_OWN; i++) {
        unsigned char *object = GC_MALLOC(SIZE);

        held.own[i] = gcmmap_data(gcmmap_map(fd, 0, SIZE, GCMMAP_WRITE | GCMMAP_PRIVATE));
        held.memory[i] = gcmmap_data(gcmmap_alloc(SIZE, 0));
        need(held.own[i] != NULL && held.memory[i] != NULL && object != NULL, "regions");
        held.keepers[N_FILES + i] = keeper_of(held.own[i]);
        held.keepers[N_FILES + N_OWN + i] = keeper_of(held.memory[i]);
        fill(held.own[i], OWN_SEED);
        fill(object, OWN_SEED);
        held.memory[i][SIZE / sizeof(void *) - 1] = object;
    }
    (void)arg;
}

static bool files_are_right(void)
{
    for (unsigned i = 0; i < N_FILES; i++)
        if (!has_bytes(held.file[i], SIZE - i, SEED, i))
            return false;
    return true;
}

static bool own_are_right(uint64_t seed)
{
    for (unsigned i = 0; i < N_OWN; i++)
        if (!has_bytes(held.own[i], SIZE, seed, 0) ||
            !has_bytes(held.memory[i][SIZE / sizeof(void *) - 1], SIZE, seed, 0))
            return false;
    return true;
}

static void are_all_right(void *result)
{
    *(bool *)result = files_are_right() && own_are_right(OWN_SEED);
}

static void all_is_right(const char *when)
{
    bool is_right;

    collect_with_noise();
    apart(are_all_right, &is_right);
    ok(is_right, "the parent's regions are right %s", when);
}

/* ---- what children do; 0 is success, else which step went wrong ----------------------- */

static void map_and_forget(void *n_wrong)
{
    for (unsigned i = 0; i < 200; i++) {
        gcmmap_region *region = gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ);

        *(unsigned *)n_wrong += region == NULL ||
                                !has_bytes(gcmmap_data(region), SIZE - i, SEED, i) ||
                                gcmmap_size(region) != SIZE - i;
    }
}

static void *map_on_thread(void *n_wrong)
{
    map_and_forget(n_wrong);
    return NULL;
}

static void overwrite_own(void *arg)
{
    for (unsigned i = 0; i < N_OWN; i++) {
        fill(held.own[i], CHILD_SEED);
        fill(held.memory[i][SIZE / sizeof(void *) - 1], CHILD_SEED);
    }
    (void)arg;
}

static int use_and_drop(void *arg)
{
    bool is_right;
    unsigned n_wrong = 0;
    pthread_t thread;

    (void)arg;
    (void)alarm(SECONDS_OF_LIFE);
    apart(are_all_right, &is_right);
    if (!is_right)
        return 1;
    apart(overwrite_own, NULL);
    apart(map_and_forget, &n_wrong);
    collect_with_noise();
    if (n_wrong != 0)
        return 2;
    if (!files_are_right() || !own_are_right(CHILD_SEED))
        return 3;
    if (bytes_mapped_from(fd) < (N_FILES + N_OWN) * SIZE)
        return 4;
    memset(&held, 0, sizeof held);
    collect_thoroughly();
    if (bytes_mapped_from(fd) > ACCIDENTS * 2 * SIZE)
        return 5;
    if (pthread_create(&thread, NULL, map_on_thread, &n_wrong) != 0 ||
        pthread_join(thread, NULL) != 0 || n_wrong != 0)
        return 6;
    collect_thoroughly();
    return bytes_mapped_from(fd) > ACCIDENTS * 2 * SIZE ? 7 : 0;
}

static int close_all(void *arg)
{
    (void)arg;
    (void)alarm(SECONDS_OF_LIFE);
    for (unsigned i = 0; i < N_FILES; i++)
        if ((i % 2 ? gcmmap_close : gcmmap_unmap_now)(gcmmap_of(held.file[i])) != 0)
            return 1;
    for (unsigned i = 0; i < N_OWN; i++)
        if (gcmmap_close(gcmmap_of(held.own[i])) != 0 ||
            gcmmap_unmap_now(gcmmap_of(held.memory[i])) != 0)
            return 2;
    return bytes_mapped_from(fd) != 0 ? 3 : 0;
}

static int have_a_child(void *arg)
{
    int status;

    (void)alarm(SECONDS_OF_LIFE);
    status = run_in_child(use_and_drop, arg);
    if (status != 0)
        return 10 + (status < 0 ? 99 : status);
    return use_and_drop(arg);
}

static void child_succeeds(int (*life)(void *), const char *what)
{
    int status = run_in_child(life, NULL);

    if (!ok(status == 0, "%s", what))
        note("status %d", status);
}

/* ---- a fork at any moment --------------------------------------------------------------- */

static atomic_bool stop;
static atomic_uint n_rounds, n_wrong_elsewhere;

static void map_a_few(void *arg)
{
    for (unsigned i = 0; i < 40; i++) {
        gcmmap_region *region = gcmmap_map(fd, (off_t)i, SIZE - i, GCMMAP_READ);

        if (region == NULL || !has_bytes(gcmmap_data(region), 500, SEED, i))
            atomic_fetch_add(&n_wrong_elsewhere, 1);
        if (i % 8 == 0)
            (void)gcmmap_close(region);
        if (i % 8 == 1)
            (void)gcmmap_unmap_now(region);
    }
    (void)arg;
}

static void *map_and_drain(void *arg)
{
    while (!atomic_load(&stop)) {
        apart(map_a_few, NULL);
        (void)gcmmap_collect();
        atomic_fetch_add(&n_rounds, 1);
    }
    return arg;
}

/* Not everything goes here: what the other thread was doing is not finished. */
static int use(void *arg)
{
    bool is_right;
    unsigned n_wrong = 0;

    (void)arg;
    (void)alarm(SECONDS_OF_LIFE);
    apart(are_all_right, &is_right);
    if (!is_right)
        return 1;
    apart(map_and_forget, &n_wrong);
    if (n_wrong != 0)
        return 2;
    collect_thoroughly();
    if (!files_are_right() || !own_are_right(OWN_SEED))
        return 3;
    return bytes_mapped_from(fd) > (N_FILES + N_OWN + 60) * 2 * SIZE ? 4 : 0;
}

static void forks_at_any_moment(void)
{
    pthread_t threads[2];
    int n_failed = 0;

    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, map_and_drain, NULL) == 0, "thread");
    while (atomic_load(&n_rounds) == 0)
        (void)sched_yield();
    for (int i = 0; i < N_FORKS; i++) {
        int status = run_in_child(use, NULL);

        if (status != 0 && n_failed++ == 0)
            note("child %d: status %d", i, status);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ok(n_failed == 0, "%d children of a parent whose threads map and release: %d failed", N_FORKS,
       n_failed);
    ok(atomic_load(&n_wrong_elsewhere) == 0, "its threads had %u rounds and saw nothing wrong",
       atomic_load(&n_rounds));
}

/* ---- a fork in the middle of a release ------------------------------------------------------ */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_armed, is_waiting, may_go;
} release = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false };

static __thread bool is_releasing;

/* The library's, too.  The first page that the releasing thread takes away has to wait. */
__attribute__((visibility("default"))) void *mmap(void *at, size_t n_bytes, int protection,
                                                  int flags, int file, off_t offset)
{
    if (is_releasing && protection == PROT_NONE && (flags & MAP_FIXED)) {
        pthread_mutex_lock(&release.lock);
        if (release.is_armed) {
            release.is_armed = false;
            release.is_waiting = true;
            pthread_cond_broadcast(&release.changed);
            while (!release.may_go)
                pthread_cond_wait(&release.changed, &release.lock);
        }
        pthread_mutex_unlock(&release.lock);
    }
    return kernel_mmap(at, n_bytes, protection, flags, file, offset);
}

static void *release_slowly(void *arg)
{
    release.is_armed = is_releasing = true;
    (void)gcmmap_collect();
    is_releasing = false;
    return arg;
}

static int finish_release(void *arg)
{
    gcmmap_stats stats;

    (void)arg;
    (void)alarm(SECONDS_OF_LIFE);
    collect_thoroughly();
    stats = stats_now();
    if (bytes_mapped_from(fd) > ACCIDENTS * 2 * SIZE)
        return 1;
    return stats.n_live + stats.n_dying > ACCIDENTS ? 2 : 0;
}

/* What another thread has in hands counts as found dead, too. */
static atomic_bool has_returned;
static size_t bytes_at_return;

static void *collect_meanwhile(void *arg)
{
    (void)gcmmap_collect();
    bytes_at_return = bytes_mapped_from(fd);
    atomic_store(&has_returned, true);
    return arg;
}

static void children_finish_what_was_begun(void)
{
    unsigned n_wrong = 0;
    pthread_t thread, other;

    GC_disable();
    apart(map_and_forget, &n_wrong);
    GC_enable();
    need(n_wrong == 0, "gcmmap_map");
    need(pthread_create(&thread, NULL, release_slowly, NULL) == 0, "thread");
    pthread_mutex_lock(&release.lock);
    while (!release.is_waiting)
        pthread_cond_wait(&release.changed, &release.lock);
    pthread_mutex_unlock(&release.lock);
    child_succeeds(finish_release, "a child finishes the release that it was forked in");
    need(pthread_create(&other, NULL, collect_meanwhile, NULL) == 0, "thread");
    for (int i = 0; i < 5000 && !atomic_load(&has_returned); i++)
        (void)sched_yield(); /* it has every chance to return too early */
    pthread_mutex_lock(&release.lock);
    release.may_go = true;
    pthread_cond_broadcast(&release.changed);
    pthread_mutex_unlock(&release.lock);
    pthread_join(thread, NULL);
    pthread_join(other, NULL);
    ok(bytes_at_return <= ACCIDENTS * 2 * SIZE,
       "gcmmap_collect() does not return before another thread's release is over");
    collect_thoroughly();
    ok(bytes_mapped_from(fd) <= ACCIDENTS * 2 * SIZE, "and so does its parent");
}

int main(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
    fd = make_file(SEED, SIZE);
    apart(map_all, NULL);
    all_is_right("before");
    child_succeeds(use_and_drop, "a child reads, writes its copies, maps, drops and collects");
    all_is_right("after that");
    child_succeeds(close_all, "a child closes all regions it was born with");
    all_is_right("after that");
    child_succeeds(have_a_child, "a child has a child");
    all_is_right("after that");
    forks_at_any_moment();
    all_is_right("after that");
    memset(&held, 0, sizeof held);
    collect_thoroughly();
    ok(bytes_mapped_from(fd) <= ACCIDENTS * 2 * SIZE, "in the end the parent's go too");
    children_finish_what_was_begun();
    return done_testing();
}
