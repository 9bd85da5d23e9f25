/*
 * Where bdwgc looks for leaks, it prints no region and frees none: forgotten ones go as ever,
 * files stay as they are, and what the host leaks is told as ever.  Where the host keeps us from
 * seeing to that, mapping is refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_REGIONS 64
#define SIZE ((size_t)10000)
#define LARGE (40 * MiB)
#define LEAK 12345

static int fd, sparse, messages;
static void **kept; /* heap object: the only pointers to regions */
static bool all_right = true;

static bool messages_have(const char *text)
{
    static char all[65536];
    ssize_t n = pread(messages, all, sizeof all - 1, 0);

    all[n > 0 ? n : 0] = '\0';
    return strstr(all, text) != NULL;
}

static void map_and_forget(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_WRITE);

        all_right &= region != NULL && has_bytes(gcmmap_data(region), SIZE, 1, 0);
    }
    all_right &= gcmmap_map(sparse, 0, LARGE, GCMMAP_READ) != NULL;
    all_right &= gcmmap_alloc(3 * MiB, 0) != NULL;
}

static void map_and_keep(void *arg)
{
    (void)arg;
    kept = GC_MALLOC(5 * sizeof *kept);
    kept[0] = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | GCMMAP_WRITE);
    kept[1] = gcmmap_map(sparse, 0, LARGE, GCMMAP_READ);
    kept[2] = gcmmap_alloc(SIZE, 0);
    kept[3] = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    need(kept[0] != NULL && kept[1] != NULL && kept[2] != NULL && kept[3] != NULL, "map");
    kept[4] = gcmmap_data(kept[3]);
    *(void **)gcmmap_data(kept[2]) = GC_STRDUP("held by a traced region");
    gcmmap_close(kept[3]);
}

static void leak(void *arg)
{
    memset(GC_MALLOC_ATOMIC(LEAK), 'x', LEAK);
    (void)arg;
}

/* Objects of all sizes: they would lie on whatever bdwgc takes for free. */
static void fill(void *arg)
{
    (void)arg;
    for (size_t n_bytes = 5000; n_bytes < 80 * MiB; n_bytes += n_bytes / 2)
        for (int i = 0; i < (n_bytes < 100000 ? 100 : 2); i++) {
            void *object = GC_MALLOC_ATOMIC(n_bytes);

            memset(object, 0x55, n_bytes < MiB ? n_bytes : MiB);
            GC_FREE(object);
        }
}

static bool file_is_unharmed(void)
{
    unsigned char bytes[SIZE];

    return pread(fd, bytes, SIZE, 0) == (ssize_t)SIZE && has_bytes(bytes, SIZE, 1, 0);
}

static void GC_CALLBACK ignore_event(GC_EventType event)
{
    (void)event;
}

static void start(void)
{
    GC_set_find_leak(1);
    GC_INIT();
    messages = make_file(0, 0);
    need(dup2(messages, STDERR_FILENO) >= 0, "dup2");
}

static int host_keeps_events(void *arg)
{
    GC_on_collection_event_proc ours;
    gcmmap_region *region;
    int error;

    (void)arg;
    start();
    (void)gcmmap_collect();
    ours = GC_get_on_collection_event();
    GC_set_on_collection_event(ignore_event);
    GC_gcollect();
    errno = 0;
    region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    error = errno;
    GC_set_on_collection_event(ours);
    if (region != NULL || error != ENOTSUP)
        return 1;
    return gcmmap_map(fd, 0, SIZE, GCMMAP_READ) != NULL ? 0 : 2;
}

int main(void)
{
    size_t left;

    fd = make_file(1, SIZE);
    sparse = make_file(0, 0);
    need(ftruncate(sparse, (off_t)LARGE) == 0, "ftruncate");
    ok(run_in_child(host_keeps_events, NULL) == 0,
       "mapping is refused while the host's event procedure hides collections from us");
    start();

    apart(map_and_forget, NULL);
    ok(all_right, "%d regions are mapped", N_REGIONS + 2);
    apart(map_and_keep, NULL);
    for (int i = 0; i < 3; i++) {
        GC_gcollect();
        collect_thoroughly();
    }
    left = bytes_mapped_from(fd) / SIZE;
    ok(left <= 1 + 2, "forgotten ones go (%zu of the file are left, 1 is in use)", left);
    ok(bytes_mapped_from(sparse) <= 2 * LARGE, "large ones too, or one is held by accident");
    ok(!messages_have("leaked"), "nothing is reported as leaked");
    apart(fill, NULL);
    ok(file_is_unharmed(), "no object lies on a file");
    ok(has_bytes(gcmmap_data(kept[0]), SIZE, 1, 0), "what is in use shows the file");
    ok(strcmp(*(char **)gcmmap_data(kept[2]), "held by a traced region") == 0,
       "what a traced region points to is no leak");
    ok(fault_of_access(kept[4], false) == SIGSEGV, "closed ones fault");

    apart(leak, NULL);
    GC_gcollect();
    (void)GC_MALLOC(16); /* prints what was found */
    GC_gcollect();
    ok(messages_have("leaked"), "the host's leaks are reported");
    apart(map_and_forget, NULL);
    ok(all_right && file_is_unharmed(), "and all goes on");
    kept = NULL;
    collect_thoroughly();
    (void)gcmmap_trim();
    apart(fill, NULL);
    ok(file_is_unharmed(), "also when the addresses have been given back");
    return done_testing();
}
