/*
 * A slice object in the heap keeps its region, whether or not interior pointers count there,
 * and lets it go; bare pointers into a region do so only where they count.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define N_REGIONS 100u /* of each kind; of large ones fewer */
#define N_LARGE 10u
#define SIZE ((size_t)5000)
#define LARGE (40 * MiB) /* consists of several objects of the collector's */
#define SEED 11

/* How a region lies, and what is kept of it. */
enum kind { IN_HEAP, BY_HANDLE, IN_ROW, N_KINDS };
enum keeper { OBJECT, BARE_POINTER, N_KEEPERS };

static const char *const kind_names[] = { "in the heap", "by handle", "large" };

static unsigned n_of(enum kind kind)
{
    return kind == IN_ROW ? N_LARGE : N_REGIONS;
}

/* What a child saw; shared with it. */
struct sight {
    unsigned n_refused;
    unsigned n_wrong[2]; /* before and after other collections */
    unsigned n_left[N_KINDS][N_KEEPERS];
    unsigned n_mapped; /* of the file, as the kernel sees it */
    unsigned n_left_in_the_end, n_mapped_in_the_end;
};

static struct sight *sight;
static int fd;

/* All are reachable from one static pointer to the start of an object. */
struct node {
    struct node *next;
    const gcmmap_slice_object *object; /* or */
    unsigned char *bare;
    enum kind kind;
    unsigned number;
};

static struct node *nodes;
static gcmmap_weak weak[N_KINDS][N_KEEPERS][N_REGIONS];

/* Where a slice begins: deep in the region, and on no boundary. */
static size_t start_of(enum kind kind, unsigned number)
{
    return (kind == IN_ROW ? 33 * MiB : 1000) + 7 * number;
}

/* For SIZE bytes and what is in front of them. */
static size_t mapped_of_each(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (50 + SIZE + page - 1) / page * page;
}

static gcmmap_region *map(enum kind kind)
{
    if (kind == IN_ROW)
        return gcmmap_alloc(LARGE, GCMMAP_POINTER_FREE);
    return gcmmap_map(fd, 50, SIZE, GCMMAP_READ | (kind == BY_HANDLE ? GCMMAP_BY_HANDLE : 0));
}

static gcmmap_slice slice_of(gcmmap_region *region, enum kind kind, unsigned number)
{
    size_t start = start_of(kind, number);
    gcmmap_slice slice = gcmmap_slice_sub(gcmmap_bytes(region), start, start + 1000);

    for (size_t i = 0; kind == IN_ROW && i < slice.size; i++)
        slice.data[i] = byte_at(SEED, 50 + start + i);
    return slice;
}

static void make(enum kind kind, enum keeper keeper, unsigned number)
{
    struct node *node = GC_MALLOC(sizeof *node);
    gcmmap_region *region = map(kind);
    gcmmap_slice slice = slice_of(region, kind, number);

    need(node != NULL && slice.data != NULL, "region");
    *node = (struct node){ .next = nodes, .kind = kind, .number = number };
    errno = ERFKILL;
    if (keeper == OBJECT)
        node->object = gcmmap_slice_object_new(slice);
    else
        node->bare = slice.data;
    sight->n_refused += (keeper == OBJECT && node->object == NULL) || errno != ERFKILL;
    weak[kind][keeper][number] = gcmmap_weak_of(region);
    nodes = node;
}

static void make_all(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (unsigned i = 0; i < n_of(kind); i++)
            for (enum keeper keeper = 0; keeper < N_KEEPERS; keeper++)
                make(kind, keeper, i);
}

static bool is_right(const struct node *node)
{
    const gcmmap_slice_object *object = node->object;

    return GC_base((void *)object) == object && object->bytes.size == 1000 &&
           object->region == gcmmap_of(object->bytes.data) &&
           (unsigned char *)gcmmap_data(object->region) + start_of(node->kind, node->number) ==
               object->bytes.data &&
           has_bytes(object->bytes.data, 1000, SEED, 50 + start_of(node->kind, node->number));
}

static void check_all(void *arg)
{
    unsigned *n_wrong = arg;

    for (const struct node *node = nodes; node != NULL; node = node->next)
        *n_wrong += node->object != NULL && !is_right(node);
}

static void count(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (enum keeper keeper = 0; keeper < N_KEEPERS; keeper++)
            for (unsigned i = 0; i < n_of(kind); i++)
                sight->n_left[kind][keeper] += gcmmap_weak_get(weak[kind][keeper][i]) != NULL;
}

static void count_in_the_end(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < N_KINDS; kind++)
        for (enum keeper keeper = 0; keeper < N_KEEPERS; keeper++)
            for (unsigned i = 0; i < n_of(kind); i++)
                sight->n_left_in_the_end += gcmmap_weak_get(weak[kind][keeper][i]) != NULL;
}

static int live(void *arg)
{
    GC_set_all_interior_pointers(*(int *)arg);
    GC_INIT();
    need(GC_get_all_interior_pointers() == *(int *)arg, "mode");
    apart(make_all, NULL);
    collect_thoroughly();
    apart(check_all, &sight->n_wrong[0]);
    apart(count, NULL);
    sight->n_mapped = (unsigned)(bytes_mapped_from(fd) / mapped_of_each());
    collect_with_noise();
    apart(check_all, &sight->n_wrong[1]);
    nodes = NULL;
    collect_thoroughly();
    apart(count_in_the_end, NULL);
    sight->n_mapped_in_the_end = (unsigned)(bytes_mapped_from(fd) / mapped_of_each());
    return 0;
}

/* Some that a forgotten word keeps are allowed for. */
static void judge(enum kind kind, bool bare_counts)
{
    unsigned n = n_of(kind), few = kind == IN_ROW ? 2 : 5;
    unsigned n_bare = sight->n_left[kind][BARE_POINTER];

    ok(sight->n_left[kind][OBJECT] == n, "%s: all %u stay for their objects", kind_names[kind], n);
    if (bare_counts)
        ok(n_bare == n, "%s: bare pointers keep theirs", kind_names[kind]);
    else
        ok(n_bare <= few, "%s: bare pointers do not (%u left)", kind_names[kind], n_bare);
}

static void test_life(int interior)
{
    unsigned n_mapped;

    memset(sight, 0, sizeof *sight);
    note("interior pointers %s", interior ? "count" : "do not count");
    ok(run_in_child(live, &interior) == 0, "a program with slice objects");
    ok(sight->n_refused == 0, "can make them, and errno stays as it was");
    ok(sight->n_wrong[0] == 0 && sight->n_wrong[1] == 0, "they show their bytes in each cycle");
    judge(IN_HEAP, interior);
    judge(BY_HANDLE, false);
    judge(IN_ROW, interior);
    n_mapped = sight->n_left[IN_HEAP][OBJECT] + sight->n_left[IN_HEAP][BARE_POINTER] +
               sight->n_left[BY_HANDLE][OBJECT] + sight->n_left[BY_HANDLE][BARE_POINTER];
    ok(sight->n_mapped == n_mapped, "the kernel sees %u of the file's mappings, we %u",
       sight->n_mapped, n_mapped);
    ok(sight->n_left_in_the_end <= 8 && sight->n_mapped_in_the_end <= 8,
       "without objects they go (%u left, %u mapped)", sight->n_left_in_the_end,
       sight->n_mapped_in_the_end);
}

/* ---- errors ------------------------------------------------------------------------------ */

static bool refuses(unsigned char *data, size_t size, int error)
{
    errno = 0;
    return gcmmap_slice_object_new((gcmmap_slice){ data, size }) == NULL && errno == error;
}

static void test_errors(unsigned flags)
{
    gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ | flags);
    gcmmap_slice bytes = gcmmap_bytes(region);
    const gcmmap_slice_object *object = gcmmap_slice_object_new(bytes);
    unsigned char local;

    need(object != NULL, "object");
    ok(refuses(NULL, 0, EINVAL) && refuses(&local, 1, EINVAL) && refuses(GC_MALLOC(100), 1, EINVAL),
       "not of a region: EINVAL");
    ok(refuses(bytes.data, SIZE + 1, ERANGE) && refuses(bytes.data + 1, SIZE_MAX, ERANGE),
       "beyond its end: ERANGE");
    need(gcmmap_close(region) == 0, "close");
    ok(refuses(bytes.data, SIZE, EBADF) && refuses(bytes.data, 0, EBADF), "closed: EBADF");
    ok(object->region == region && object->bytes.data == bytes.data &&
           fault_of_access(object->bytes.data, false) == SIGSEGV,
       "an object that was made before stays, and its bytes fault");
}

static unsigned n_shortages;

static void *GC_CALLBACK count_shortage(size_t n_bytes)
{
    (void)n_bytes;
    n_shortages++;
    return NULL;
}

static void test_shortage(void)
{
    gcmmap_region *region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
    gcmmap_slice bytes = gcmmap_bytes(region);
    void **full = NULL;
    unsigned n_before;

    need(gcmmap_slice_object_new(bytes) != NULL, "object");
    GC_set_warn_proc(GC_ignore_warn_proc);
    GC_set_oom_fn(count_shortage);
    GC_set_max_heap_size(GC_get_heap_size() + MiB);
    for (void **more; (more = GC_MALLOC(sizeof(gcmmap_slice_object))) != NULL; full = more)
        *more = full;
    n_before = n_shortages;
    ok(n_before > 0 && refuses(bytes.data, SIZE, ENOMEM), "a full heap: ENOMEM");
    ok(n_shortages == n_before, "and the host's procedure for that is not called");
    GC_reachable_here(full);
    full = NULL;
    GC_set_max_heap_size(0);
    GC_gcollect();
    ok(gcmmap_slice_object_new(bytes) != NULL, "with memory it works again");
    GC_reachable_here(region);
}

int main(void)
{
    fd = make_file(SEED, 50 + SIZE);
    sight = mmap(NULL, sizeof *sight, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(sight != MAP_FAILED, "shared memory");
    test_life(0);
    test_life(1);
    GC_INIT(); /* not before: the children choose the mode */
    test_errors(0);
    test_errors(GCMMAP_BY_HANDLE);
    test_shortage();
    return done_testing();
}
