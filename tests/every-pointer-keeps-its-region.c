/*
 * A region stays mapped, with its bytes, for as long as one pointer into it is in a
 * place that the collector looks at: whichever byte it points to, one past the end
 * included, and whichever place it is in.  Without that pointer it goes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>

#define MOST 24u /* regions at once */
/* May be held by something that only looks like a pointer. */
#define ACCIDENTS (HAS_MANY_ADDRESSES || now.n_bytes < 2 * MiB ? 3u : 6u)
#define KEPT_SEED 7u
#define JUNK_SEED 8u

static const struct {
    size_t n_bytes;
    unsigned n_regions;
} sizes[] = { { 1, MOST },
              { 4095, MOST },
              { 4096, MOST },
              { 4097, MOST },
              { 65536, MOST },
              { MiB, 16 },
              { (HAS_MANY_ADDRESSES ? 40 : 33) * MiB, 9 } };

static struct {
    int fd, junk_fd;
    size_t n_bytes;
    unsigned n_regions;
    uintptr_t hidden[MOST]; /* start of each region */
} now;

/* ---- pointers -------------------------------------------------------------- */

/* Where in its region pointer i points to. */
static size_t place_in_region(unsigned i)
{
    size_t n = now.n_bytes;
    const size_t small[] = { 0, n / 2, n - 1, n };
    const size_t large[] = { 0,        8 * MiB,      16 * MiB - 1, 16 * MiB, 24 * MiB,
                             32 * MiB, 32 * MiB - 1, n - 1,        n };

    return n > 32 * MiB ? large[i % 9] : small[i % 4];
}

/* A new region; all that is left of it is a pointer into it. */
static __attribute__((noinline)) unsigned char *pointer_into_new_region(unsigned i)
{
    gcmmap_region *region = gcmmap_map(now.fd, 0, now.n_bytes, GCMMAP_READ);
    unsigned char *data;

    need(region != NULL, "gcmmap_map");
    data = gcmmap_data(region);
    now.hidden[i] = hide(data);
    return data + place_in_region(i);
}

static __attribute__((noinline)) bool is_kept(unsigned i, const unsigned char *pointer)
{
    const unsigned char *data = pointer - place_in_region(i);

    if (hide(data) == now.hidden[i] && inode_at(data) == inode_of(now.fd) &&
        shows_bytes(data, now.n_bytes, KEPT_SEED, 0))
        return true;
    note("lost: region %u, pointer to byte %zu of %zu", i, place_in_region(i), now.n_bytes);
    return false;
}

/* Takes all addresses that are free, so that whoever lost his shows other bytes. */
static void map_junk(void *arg)
{
    for (unsigned i = 0; i < 2 * now.n_regions; i++)
        need(gcmmap_map(now.junk_fd, 0, now.n_bytes, GCMMAP_READ) != NULL, "junk");
    (void)arg;
}

static void collect_and_map_junk(void)
{
    collect_with_noise();
    apart(map_junk, NULL);
    GC_gcollect();
}

static void count_survivors(void *n_survivors)
{
    unsigned *n = n_survivors;

    *n = 0;
    for (unsigned i = 0; i < now.n_regions; i++)
        *n += inode_at(reveal(now.hidden[i])) == inode_of(now.fd);
}

static void all_go(const char *place)
{
    unsigned n_left;

    collect_thoroughly();
    apart(count_survivors, &n_left);
    ok(n_left <= ACCIDENTS, "%zu bytes, %s: %u of %u regions left without the pointers",
       now.n_bytes, place, n_left, now.n_regions);
}

/* ---- memory ---------------------------------------------------------------- */

static void *static_words[MOST];
static void **words; /* the memory in question */
static void *volatile words_keeper;
static size_t n_words;
static pthread_key_t thread_specific;
static int other_fd; /* of 256 KiB, for pointers to be written to */

static void **words_of(gcmmap_region *region)
{
    need(region != NULL, "region for pointers");
    n_words = gcmmap_size(region) / sizeof *words;
    words_keeper = region;
    return gcmmap_data(region);
}

static void take_static(void)
{
    words = static_words;
    n_words = MOST;
}

static void take_heap(void)
{
    n_words = 1000;
    words = GC_MALLOC(n_words * sizeof *words);
}

/* The thread's variable itself is not looked at, an uncollectable object is. */
static void take_thread_specific(void)
{
    n_words = 100;
    need(pthread_setspecific(thread_specific, GC_MALLOC_UNCOLLECTABLE(n_words * sizeof *words)) ==
             0,
         "pthread_setspecific");
    words = pthread_getspecific(thread_specific);
}

static void take_page(void)
{
    words = words_of(gcmmap_alloc(4096, 0));
}

static void take_region(void)
{
    words = words_of(gcmmap_alloc(100000, 0));
}

static void take_large_region(void)
{
    words = words_of(gcmmap_alloc(40 * MiB, GCMMAP_WRITE));
}

static void take_private_file(void)
{
    words = words_of(gcmmap_map(other_fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE));
}

static void take_unaligned_private_file(void)
{
    words = words_of(gcmmap_map(other_fd, 8, 65536, GCMMAP_WRITE | GCMMAP_PRIVATE));
}

static void take_pointer_free(void)
{
    words = words_of(gcmmap_alloc(65536, GCMMAP_POINTER_FREE));
}

static void take_shared_file(void)
{
    words = words_of(gcmmap_map(other_fd, 0, GCMMAP_REST, GCMMAP_WRITE));
}

static void take_pointer_free_file(void)
{
    words = words_of(
        gcmmap_map(other_fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE));
}

static const struct memory {
    const char *name;
    void (*take)(void);
    bool keeps;
} memories[] = {
    { "pointer in static data", take_static, true },
    { "pointer in a heap object", take_heap, true },
    { "pointer in thread-specific memory", take_thread_specific, true },
    { "pointer in a traced page", take_page, true },
    { "pointer in a traced region", take_region, true },
    { "pointer in a traced region of 40 MiB", take_large_region, true },
    { "pointer in a private writable file mapping", take_private_file, true },
    { "pointer in an unaligned private file mapping", take_unaligned_private_file, true },
    { "pointer in memory called pointer-free", take_pointer_free, false },
    { "pointer in a shared mapping", take_shared_file, false },
    { "pointer in a file mapping called pointer-free", take_pointer_free_file, false },
};

/* From the first word to the last. */
static size_t word_of(unsigned i)
{
    return i == 0 ? 0 : i * (n_words - 1) / (now.n_regions - 1);
}

static void fill(void *arg)
{
    for (unsigned i = 0; i < now.n_regions; i++)
        words[word_of(i)] = keeper_of(pointer_into_new_region(i));
    (void)arg;
}

static void check_all(void *arg)
{
    bool *all_kept = arg;

    *all_kept = true;
    for (unsigned i = 0; i < now.n_regions; i++) {
        unsigned char *pointer = (unsigned char *)reveal(now.hidden[i]) + place_in_region(i);

        *all_kept &= is_kept(i, pointer) && words[word_of(i)] == keeper_of(pointer);
    }
}

static void check_memory(const struct memory *memory)
{
    bool all_kept;

    memory->take();
    apart(fill, NULL);
    if (memory->keeps) {
        collect_and_map_junk();
        apart(check_all, &all_kept);
        ok(all_kept, "%zu bytes, %s: kept", now.n_bytes, memory->name);
        memset(words, 0, n_words * sizeof *words);
    }
    all_go(memory->name);
    if (words == pthread_getspecific(thread_specific))
        GC_FREE(words);
    pthread_setspecific(thread_specific, NULL);
    words = NULL;
    words_keeper = NULL;
}

/* ---- stacks and registers --------------------------------------------------- */

/* One pointer in each frame, across the call of the next. */
static __attribute__((noinline)) bool hold(unsigned i, void (*meanwhile)(void))
{
    unsigned char *pointer;
    bool is_right;

    if (i == now.n_regions) {
        meanwhile();
        return true;
    }
    pointer = pointer_into_new_region(i);
    is_right = hold(i + 1, meanwhile);
    return is_kept(i, pointer) && is_right;
}

static void hold_in_frames(void *all_kept)
{
    *(bool *)all_kept = hold(0, collect_and_map_junk);
}

static void check_frames(void)
{
    bool all_kept;

    apart(hold_in_frames, &all_kept);
    ok(all_kept, "%zu bytes, pointer in a local variable: kept", now.n_bytes);
    all_go("pointer in a local variable");
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_holding, may_go;
} other = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false };

static void wait_blocked(void)
{
    pthread_mutex_lock(&other.lock);
    other.is_holding = true;
    pthread_cond_broadcast(&other.changed);
    while (!other.may_go)
        pthread_cond_wait(&other.changed, &other.lock);
    pthread_mutex_unlock(&other.lock);
}

static void *hold_and_wait(void *all_kept)
{
    *(bool *)all_kept = hold(0, wait_blocked);
    return NULL;
}

static void check_other_thread(void)
{
    bool all_kept = false;
    pthread_t thread;

    other.is_holding = other.may_go = false;
    need(pthread_create(&thread, NULL, hold_and_wait, &all_kept) == 0, "thread");
    pthread_mutex_lock(&other.lock);
    while (!other.is_holding)
        pthread_cond_wait(&other.changed, &other.lock);
    pthread_mutex_unlock(&other.lock);
    collect_and_map_junk();
    pthread_mutex_lock(&other.lock);
    other.may_go = true;
    pthread_cond_broadcast(&other.changed);
    pthread_mutex_unlock(&other.lock);
    pthread_join(thread, NULL);
    ok(all_kept, "%zu bytes, pointer on the stack of a blocked thread: kept", now.n_bytes);
    all_go("pointer on the stack of a thread that ended");
}

int main(void)
{
    GC_INIT();
    DOES_NOT_COUNT(now);
    other_fd = make_file(0, 0); /* nothing in it that may look like a pointer */
    need(ftruncate(other_fd, 262144) == 0, "ftruncate");
    need(pthread_key_create(&thread_specific, NULL) == 0, "pthread_key_create");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        now.n_bytes = sizes[i].n_bytes;
        now.n_regions = sizes[i].n_regions;
        now.fd = make_file(KEPT_SEED, now.n_bytes);
        now.junk_fd = make_file(JUNK_SEED, now.n_bytes);
        for (size_t j = 0; j < sizeof memories / sizeof *memories; j++)
            check_memory(&memories[j]);
        check_frames();
        check_other_thread();
        close(now.fd);
        close(now.junk_fd);
    }
    return done_testing();
}
