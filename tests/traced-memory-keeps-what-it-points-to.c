/*
 * What a traced region points to lives for as long as the region is reachable, no
 * longer: regions in circles go, closed ones hold nothing.  Memory called pointer-free
 * and shared memory hold nothing at all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mortal.h"

#define N_REGIONS 8u
#define N_EACH 25u /* objects held by one region */
#define N (N_REGIONS * N_EACH)
/* Regions that something may hold that only looks like a pointer.  bdwgc itself has one
   such place: it remembers the last block that it cut off a larger one. */
#define ACCIDENTS 2u
#define FILE_SIZE ((size_t)300000)
#define LARGE ((HAS_MANY_ADDRESSES ? 50 : 17) * MiB) /* more than one block */

/* ---- witnesses: objects that tell when they die ------------------------------ */

struct witness {
    uint64_t number;
    char text[48];
};

static uintptr_t hidden_links[N]; /* cleared by the collector when their object dies */
static size_t page;

static __attribute__((noinline)) struct witness *new_witness(unsigned i)
{
    struct witness *witness = new_mortal(sizeof *witness);

    witness->number = i * UINT64_C(0x0101010101010101);
    snprintf(witness->text, sizeof witness->text, "witness number %u", i);
    hidden_links[i] = hide(witness);
    need(GC_general_register_disappearing_link((void **)&hidden_links[i], witness) == GC_SUCCESS,
         "disappearing link");
    return witness;
}

static bool is_intact(const struct witness *witness, unsigned i)
{
    char text[48];

    snprintf(text, sizeof text, "witness number %u", i);
    return hide(witness) == hidden_links[i] &&
           witness->number == i * UINT64_C(0x0101010101010101) && strcmp(witness->text, text) == 0;
}

static unsigned count_links(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N; i++)
        n += hidden_links[i] != 0;
    return n;
}

/* ---- memory that holds them ---------------------------------------------------- */

static int fd;                  /* FILE_SIZE bytes, seed 1 */
static void **words[N_REGIONS]; /* the only pointers to the regions, ... */
static size_t held_at;          /* ... this many words behind the start */
static void *volatile keepers[N_REGIONS];
static size_t n_words; /* of each */

static gcmmap_region *page_of_memory(void)
{
    return gcmmap_alloc(4096, 0);
}

static gcmmap_region *memory(void)
{
    return gcmmap_alloc(FILE_SIZE, 0);
}

static gcmmap_region *large_memory(void)
{
    return gcmmap_alloc(LARGE, GCMMAP_WRITE);
}

static gcmmap_region *private_file(void)
{
    return gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE);
}

static gcmmap_region *pointer_free_memory(void)
{
    return gcmmap_alloc(FILE_SIZE, GCMMAP_POINTER_FREE);
}

static gcmmap_region *pointer_free_file(void)
{
    return gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE);
}

static gcmmap_region *shared_file(void)
{
    static int scratch = -1;

    if (scratch < 0)
        scratch = make_file(2, FILE_SIZE);
    return gcmmap_map(scratch, 0, GCMMAP_REST, GCMMAP_WRITE);
}

static gcmmap_region *traced_shared_file(void)
{
    int scratch = make_file(2, FILE_SIZE);
    gcmmap_region *region = gcmmap_map(scratch, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_TRACED);

    close(scratch);
    return region;
}

/* Where to keep object i: from the first word to the last of its region. */
static void **word_of(unsigned i)
{
    return words[i / N_EACH] - held_at + i % N_EACH * (n_words - 1) / (N_EACH - 1);
}

static void take_regions(gcmmap_region *(*make)(void))
{
    for (unsigned i = 0; i < N_REGIONS; i++) {
        gcmmap_region *region = make();

        need(region != NULL, "region");
        words[i] = (void **)gcmmap_data(region) + held_at;
        keepers[i] = keeper_of(words[i]);
        n_words = gcmmap_size(region) / sizeof **words;
    }
}

static void drop_regions(void)
{
    memset(words, 0, sizeof words);
    memset((void *)keepers, 0, sizeof keepers);
}

static void fill(void *arg)
{
    take_regions(*(gcmmap_region * (**)(void)) arg);
    for (unsigned i = 0; i < N; i++)
        *word_of(i) = new_witness(i);
}

static void check_intact(void *all_intact)
{
    *(bool *)all_intact = true;
    for (unsigned i = 0; i < N; i++)
        *(bool *)all_intact &= is_intact(*word_of(i), i);
}

static void close_regions(void *all_closed)
{
    *(bool *)all_closed = true;
    for (unsigned i = 0; i < N_REGIONS; i++)
        *(bool *)all_closed &= gcmmap_close(gcmmap_of(words[i])) == 0;
}

static void all_die(const char *name, const char *when)
{
    collect_thoroughly();
    ok(n_finalized >= N - ACCIDENTS * N_EACH && count_links() <= ACCIDENTS * N_EACH,
       "%s: %u of %u objects died %s", name, n_finalized, N, when);
}

static size_t n_live_before;

static void begin(void)
{
    collect_thoroughly();
    n_live_before = stats_now().n_live;
    begin_round();
    for (unsigned i = 0; i < N; i++) {
        (void)GC_unregister_disappearing_link((void **)&hidden_links[i]);
        hidden_links[i] = 0;
    }
}

static void regions_go(const char *name)
{
    size_t n_left;

    drop_regions();
    collect_thoroughly();
    n_left = stats_now().n_live + stats_now().n_closed;
    ok(n_left <= n_live_before + ACCIDENTS, "%s: %zu of %u regions are left", name, n_left,
       N_REGIONS);
}

static void holds(const char *name, gcmmap_region *(*make)(void), bool in_the_end_closed)
{
    bool all_intact, all_closed;

    begin();
    apart(fill, &make);
    collect_with_noise();
    make_noise();
    collect_thoroughly();
    apart(check_intact, &all_intact);
    if (!ok(n_finalized == 0 && count_links() == N && all_intact, "%s: held are %u objects", name,
            N))
        note("%u finalized, %u links left, %s", n_finalized, count_links(),
             all_intact ? "all intact" : "not all intact");
    if (in_the_end_closed) {
        apart(close_regions, &all_closed);
        ok(all_closed, "%s can be closed", name);
        all_die(name, "although the addresses are still held");
        regions_go(name);
    } else {
        drop_regions();
        all_die(name, "with the regions");
        regions_go(name);
    }
}

static void count_known(void *n_known)
{
    *(unsigned *)n_known = 0;
    for (unsigned i = 0; i < N_REGIONS; i++)
        *(unsigned *)n_known += gcmmap_of(words[i]) != NULL;
}

static void does_not_hold(const char *name, gcmmap_region *(*make)(void))
{
    unsigned n_known;

    begin();
    apart(fill, &make);
    all_die(name, "at once, for nothing looks into the regions");
    apart(count_known, &n_known);
    ok(n_known == N_REGIONS, "%s: the regions themselves are still there", name);
    regions_go(name);
}

/* ---- the kernel writes the pointers ----------------------------------------------- */

static void receive(void *arg)
{
    int ends[2];

    (void)arg;
    need(pipe(ends) == 0, "pipe");
    take_regions(memory);
    for (unsigned i = 0; i < N; i++) {
        void *witness = new_witness(i);

        need(write(ends[1], &witness, sizeof witness) == sizeof witness, "write");
        need(read(ends[0], word_of(i), sizeof witness) == sizeof witness, "read");
    }
    close(ends[0]);
    close(ends[1]);
}

static void holds_what_was_read(void)
{
    bool all_intact;

    if (collector_write_protects()) {
        ok(true, "read(2) into a region # SKIP the collector write-protects its heap");
        return;
    }
    begin();
    apart(receive, NULL);
    collect_with_noise();
    collect_thoroughly();
    apart(check_intact, &all_intact);
    ok(n_finalized == 0 && count_links() == N && all_intact, "what read(2) stored is held");
    drop_regions();
    all_die("what read(2) stored", "with the regions");
    regions_go("what read(2) stored");
}

/* ---- circles and chains ------------------------------------------------------------- */

#define N_CIRCLES 40u
#define N_LINKS 40u

static void **new_private_file(void)
{
    gcmmap_region *region = private_file();

    need(region != NULL, "gcmmap_map");
    return gcmmap_data(region);
}

static void point_to_themselves(void *arg)
{
    for (unsigned i = 0; i < N_CIRCLES; i++) {
        void **data = new_private_file();

        data[100] = keeper_of(data + 5000);
    }
    (void)arg;
}

/* What keeps a region by handle is nowhere but in the region itself. */
static void hold_their_own_handles(void *arg)
{
    for (unsigned i = 0; i < N_CIRCLES; i++) {
        unsigned by_handle = i % 2 == 0 ? GCMMAP_BY_HANDLE : 0;
        gcmmap_region *region =
            gcmmap_map(fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE | by_handle);
        gcmmap_region **data = gcmmap_data(region);

        need(data != NULL, "gcmmap_map");
        data[5000] = region;
    }
    (void)arg;
}

static void point_in_circles(void *arg)
{
    for (unsigned i = 0; i < N_CIRCLES / 4; i++) {
        void **a = new_private_file(), **b = new_private_file(), **c = new_private_file();
        void **object = GC_MALLOC(4 * sizeof *object);

        a[0] = keeper_of(b);
        b[20000] = keeper_of((char *)c + FILE_SIZE);
        c[30000] = object;
        object[3] = keeper_of(a + 7);
    }
    (void)arg;
}

static int large_fd;

static void point_in_large_circles(void *arg)
{
    for (unsigned i = 0; i < 4; i++) {
        void **a = gcmmap_data(gcmmap_map(large_fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE));
        void **b = gcmmap_data(gcmmap_map(large_fd, 0, GCMMAP_REST, GCMMAP_WRITE | GCMMAP_PRIVATE));

        need(a != NULL && b != NULL, "gcmmap_map");
        a[(LARGE - MiB) / sizeof *a] = keeper_of(b + LARGE / 3 / sizeof *b);
        b[0] = keeper_of(a + LARGE / 2 / sizeof *a);
        a[17] = a;
    }
    (void)arg;
}

/* As apart(), and nothing dies meanwhile. */
static void apart_at_once(void (*fn)(void *))
{
    GC_disable();
    apart(fn, NULL);
    GC_enable();
}

static void circles_go(void)
{
    large_fd = make_file(3, 1);
    need(ftruncate(large_fd, LARGE) == 0, "ftruncate");
    apart_at_once(point_to_themselves);
    ok(bytes_mapped_from(fd) >= N_CIRCLES * FILE_SIZE, "%u regions point to themselves", N_CIRCLES);
    collect_thoroughly();
    ok(bytes_mapped_from(fd) / FILE_SIZE <= ACCIDENTS, "they are released");
    apart_at_once(hold_their_own_handles);
    ok(bytes_mapped_from(fd) >= N_CIRCLES * FILE_SIZE, "%u regions hold their own handles",
       N_CIRCLES);
    collect_thoroughly();
    ok(bytes_mapped_from(fd) / FILE_SIZE <= ACCIDENTS, "they are released");
    apart_at_once(point_in_circles);
    ok(bytes_mapped_from(fd) >= N_CIRCLES / 4 * 3 * FILE_SIZE, "circles of regions and objects");
    collect_thoroughly();
    ok(bytes_mapped_from(fd) / FILE_SIZE <= 3 * ACCIDENTS, "they are released");
    apart_at_once(point_in_large_circles);
    ok(bytes_mapped_from(large_fd) >= 8 * LARGE, "circles of large regions");
    collect_thoroughly();
    ok(bytes_mapped_from(large_fd) / LARGE <= 2, "they are released");
}

/* words[0] -> file -> object -> memory -> ... */
static void make_chain(void *arg)
{
    void **last = words[0] = GC_MALLOC(2 * sizeof **words);

    (void)arg;
    for (unsigned i = 0; i < N_LINKS; i++) {
        void **file = new_private_file(), **object = GC_MALLOC(4 * sizeof *object);
        void **memory_data = gcmmap_data(gcmmap_alloc(20000, 0));

        last[0] = file;
        last[1] = keeper_of(file);
        file[30000] = object;
        object[0] = memory_data + 9; /* interior pointers all along */
        object[1] = new_witness(i);
        object[2] = keeper_of(memory_data + 9);
        last = memory_data + 11;
    }
    *last = NULL;
}

static void follow_chain(void *arg)
{
    void **at = words[0][0];

    *(bool *)arg = true;
    for (unsigned i = 0; i < N_LINKS; i++) {
        void **object = at[30000];

        *(bool *)arg &= shows_bytes((unsigned char *)at, FILE_SIZE / 2, 1, 0);
        *(bool *)arg &= is_intact(object[1], i);
        at = (void **)object[0] + 2;
        at = *at;
    }
    *(bool *)arg &= at == NULL;
}

static unsigned n_more(size_t bytes_before)
{
    size_t now = bytes_mapped_from(fd);

    return now > bytes_before ? (unsigned)((now - bytes_before) / FILE_SIZE) : 0;
}

/* How many of its objects and regions outlive its first link. */
static unsigned survivors_of_chain(void)
{
    size_t before = bytes_mapped_from(fd);
    bool is_right = false;

    begin();
    apart(make_chain, NULL);
    collect_with_noise();
    collect_thoroughly();
    if (ok(n_finalized == 0 && count_links() == N_LINKS, "a chain of %u regions and objects lives",
           N_LINKS))
        apart(follow_chain, &is_right);
    else
        note("%u finalized, %u links left", n_finalized, count_links());
    ok(is_right, "all of it is right");
    drop_regions();
    collect_thoroughly();
    return N_LINKS - n_finalized + n_more(before);
}

/* What holds one of them by accident holds all that are behind it. */
static void chains_hold(void)
{
    unsigned n_left = survivors_of_chain();

    for (int i = 0; i < 3 && n_left > 2 * ACCIDENTS; i++)
        n_left = survivors_of_chain();
    ok(n_left <= 2 * ACCIDENTS, "they go with the first link, %u are left", n_left);
}

/* ---- cost ------------------------------------------------------------------------------ */

static size_t count_resident(unsigned char *data, size_t n_bytes)
{
    unsigned char *resident = malloc(n_bytes / page);
    size_t n = 0;

    need(resident != NULL && mincore(data, n_bytes, resident) == 0, "mincore");
    for (size_t i = 0; i < n_bytes / page; i++)
        n += resident[i] & 1;
    free(resident);
    return n;
}

static void looking_costs_nothing(void)
{
    unsigned char *data = gcmmap_data(gcmmap_alloc(64 * MiB, 0));

    need(data != NULL, "gcmmap_alloc");
    for (size_t at = 0; at < 64 * MiB; at += 16 * MiB)
        data[at] = 1;
    collect_thoroughly();
    ok(count_resident(data, 64 * MiB) < 4 * 512 + 1,
       "pages that were never touched are not brought in by the search for pointers");
}

int main(void)
{
    GC_INIT();
    DOES_NOT_COUNT(hidden_links);
    page = (size_t)sysconf(_SC_PAGESIZE);
    fd = make_file(1, FILE_SIZE);
    holds("pages of memory", page_of_memory, false);
    holds("memory", memory, false);
    holds("large memory", large_memory, false);
    holds("private writable files", private_file, false);
    held_at = LARGE / sizeof **words;
    holds("large memory, pointers past its end", large_memory, false);
    held_at = LARGE / 5 * 2 / sizeof **words;
    holds("large memory, pointers to its middle", large_memory, false);
    held_at = 0;
    holds("pages of memory to be closed", page_of_memory, true);
    holds("memory to be closed", memory, true);
    holds("large memory to be closed", large_memory, true);
    holds("private writable files to be closed", private_file, true);
    holds("shared files called traced", traced_shared_file, false);
    holds("shared files called traced, to be closed", traced_shared_file, true);
    does_not_hold("memory called pointer-free", pointer_free_memory);
    does_not_hold("private files called pointer-free", pointer_free_file);
    does_not_hold("shared files", shared_file);
    holds_what_was_read();
    circles_go();
    chains_hold();
    looking_costs_nothing();
    return done_testing();
}
