/*
 * Mapping large files, often, makes bdwgc print nothing; nor is the host's procedure for
 * being out of memory called when only a mapping cannot be had.  What the host does itself
 * is warned about as ever, through the procedures that the host has set.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <sys/resource.h>

#define MOST ((HAS_MANY_ADDRESSES ? 1024 : 200) * MiB)
#define FREE_HEAP ((HAS_MANY_ADDRESSES ? 512 : 128) * MiB)
#define N_DECOYS (FREE_HEAP / MiB)

static int messages; /* what was standard error */
static int sparse;   /* 1 GiB of nothing */

static size_t message_bytes(void)
{
    struct stat status;

    need(fstat(messages, &status) == 0, "fstat");
    return (size_t)status.st_size;
}

static void show_messages(void)
{
    char text[400];
    ssize_t n = pread(messages, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = '|';
    note("%s", text);
}

/*
 * Integers that look like pointers to free heap, one for each MiB of it: there is no clean
 * place for a large object, which is what bdwgc warns about.
 */
static void *decoys[N_DECOYS];

static void spoil_free_heap(void *arg)
{
    char *heap = GC_MALLOC_ATOMIC(FREE_HEAP);

    (void)arg;
    need(heap != NULL, "GC_MALLOC_ATOMIC");
    GC_FREE(heap);
    for (size_t i = 0; i < N_DECOYS; i++)
        decoys[i] = heap + i * MiB + 5000;
}

static void *large_host_object(void)
{
    return GC_MALLOC(64 * MiB);
}

static void map_much(void *n_failed)
{
    const size_t sizes[] = { 600000, 3 * MiB, 13 * MiB, 40 * MiB, MOST / 3, MOST };
    const unsigned n_small = HAS_MANY_ADDRESSES ? 60 : 20, n_large = HAS_MANY_ADDRESSES ? 8 : 1;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned j = 0; j < (sizes[i] < 20 * MiB ? n_small : n_large); j++) {
            *(unsigned *)n_failed += gcmmap_map(sparse, 0, sizes[i], GCMMAP_READ) == NULL;
            *(unsigned *)n_failed +=
                sizes[i] < 99 * MiB && j < 4 && gcmmap_alloc(sizes[i] / 2, 0) == NULL;
        }
}

static void mapping_prints_nothing(void)
{
    unsigned n_failed = 0;
    size_t n_before = message_bytes();

    apart(map_much, &n_failed);
    collect_thoroughly();
    apart(map_much, &n_failed);
    ok(n_failed == 0, "many regions up to %zu MiB are mapped", MOST / MiB);
    if (!ok(message_bytes() == n_before, "and nothing is printed"))
        show_messages();
}

static void host_is_warned(void)
{
    size_t n_before = message_bytes();

    /* Once more: what regions have left behind are clean places. */
    for (unsigned i = 0; i < 20 && message_bytes() == n_before; i++) {
        apart(spoil_free_heap, NULL);
        collect_with_noise();
        for (unsigned j = 0; j < 10 && message_bytes() == n_before; j++)
            need(large_host_object() != NULL, "GC_MALLOC");
    }
    ok(message_bytes() > n_before, "the host's own large objects are warned about");
}

/* ---- the host's own procedures -------------------------------------------------------- */

static unsigned n_warnings, n_shortages;
static size_t size_in_shortage;

static void GC_CALLBACK count_warning(tap_warning format, GC_word arg)
{
    (void)format, (void)arg;
    n_warnings++;
}

static void *GC_CALLBACK count_shortage(size_t n_bytes)
{
    n_shortages++;
    size_in_shortage = n_bytes;
    return NULL;
}

static bool are_the_hosts(void)
{
    return GC_get_warn_proc() == count_warning && GC_get_oom_fn() == count_shortage;
}

static void procedures_stay_the_hosts(void)
{
    unsigned n_failed = 0;

    GC_set_warn_proc(count_warning);
    GC_set_oom_fn(count_shortage);
    apart(map_much, &n_failed);
    ok(n_failed == 0 && n_warnings == 0 && n_shortages == 0,
       "the host's procedures are not called while mapping");
    ok(are_the_hosts(), "and are in place afterwards");
    for (unsigned i = 0; i < 50 && n_warnings == 0; i++)
        need(large_host_object() != NULL, "GC_MALLOC");
    /* Whether there is cause to warn is up to the black list. */
    ok(true, "they are called for what the host does%s", n_warnings > 0 ? "" : " # SKIP no cause");
    n_warnings = 0;
}

static size_t address_space_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long n_pages = 0;

    need(file != NULL && fscanf(file, "%lu", &n_pages) == 1, "/proc/self/statm");
    fclose(file);
    return n_pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct rlimit limit;

static void limit_address_space(void)
{
    struct rlimit tight;

    need(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
    tight = limit;
    tight.rlim_cur = address_space_in_use() + 200 * MiB;
    need(setrlimit(RLIMIT_AS, &tight) == 0, "setrlimit");
}

static void lift_limit(void)
{
    need(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

/* More than can be free in the heap by now. */
#define TOO_MUCH (HAS_MANY_ADDRESSES ? GCMMAP_SIZE_MAX / 3 : GCMMAP_SIZE_MAX)

static unsigned n_finalized;

static void GC_CALLBACK ask_too_much(void *object, void *data)
{
    (void)object, (void)data;
    n_finalized++;
    (void)GC_MALLOC(TOO_MUCH);
}

static void forget_object(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        GC_REGISTER_FINALIZER_NO_ORDER(GC_MALLOC(16), ask_too_much, NULL, NULL, NULL);
}

static void shortage_is_told_to_who_caused_it(void)
{
    gcmmap_region *region;

    limit_address_space();
    errno = 0;
    region = gcmmap_alloc(TOO_MUCH, 0);
    gives_errno((intptr_t)region, ENOMEM, "a region larger than the address space left");
    ok(n_shortages == 0 && n_warnings == 0, "the host's procedures are not called for that");
    ok(are_the_hosts(), "and are in place afterwards");
    ok(GC_MALLOC(TOO_MUCH) == NULL && n_shortages > 0 && size_in_shortage >= TOO_MUCH,
       "they are called when the host itself runs out of memory");

    /* The host's finalizers may run inside a call that maps. */
    n_shortages = 0;
    GC_set_finalize_on_demand(1);
    apart(forget_object, NULL);
    collect_thoroughly();
    GC_set_finalize_on_demand(0);
    errno = 0;
    region = gcmmap_alloc(TOO_MUCH, 0);
    gives_errno((intptr_t)region, ENOMEM, "once more");
    ok(n_finalized > 0 && n_shortages == n_finalized,
       "also in the host's finalizers that run meanwhile: %u of %u", n_shortages, n_finalized);
    ok(are_the_hosts(), "and are in place afterwards");
    lift_limit();
    ok(gcmmap_alloc(TOO_MUCH / 16, GCMMAP_POINTER_FREE) != NULL,
       "with more address space it works");
}

int main(void)
{
    need(setenv("GC_LARGE_ALLOC_WARN_INTERVAL", "1", 1) == 0, "setenv"); /* each single one */
    messages = make_file(0, 0);
    sparse = make_file(0, 0);
    need(ftruncate(sparse, (off_t)(1024 * MiB)) == 0, "ftruncate");
    need(dup2(messages, STDERR_FILENO) == STDERR_FILENO, "dup2");
    GC_INIT();
    apart(spoil_free_heap, NULL);
    collect_with_noise();
    mapping_prints_nothing();
    host_is_warned();
    procedures_stay_the_hosts();
    shortage_is_told_to_who_caused_it();
    return done_testing();
}
