/*
 * gcmmap_why finds the pointer that keeps a region, of each kind, says where it is, and
 * names hardly anything else; whether or not interior pointers count.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>

#define MOST 200
/* Holders that nobody planted, for each region.  With 32 bits gcmmap_why's argument is on the stack,
   and any word may look like a pointer. */
#define ACCIDENTS (sizeof(void *) > 4 ? 2 : 8)

/* ---- a clock that can be hurried; the library's, too ------------------------------- */

static volatile bool is_hurried;

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    static time_t extra;
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (is_hurried)
        now->tv_sec += extra += 2;
    return result;
}

/* ---- asking ------------------------------------------------------------------------- */

static gcmmap_holder *holders; /* malloc'ed: they keep nothing */
static char (*names)[200];
static size_t n_holders;

static void note_holder(const gcmmap_holder *holder, void *data)
{
    size_t *n = data;

    need(*n < MOST, "no more than asked for");
    names[*n][0] = '\0';
    if (holder->name != NULL)
        snprintf(names[*n], sizeof *names, "%s", holder->name);
    holders[(*n)++] = *holder;
}

static __attribute__((noinline)) ssize_t ask(uintptr_t hidden, size_t most)
{
    ssize_t n;

    n_holders = 0;
    errno = ENXIO;
    n = gcmmap_why(reveal(hidden), most, note_holder, &n_holders);
    need(n < 0 || ((size_t)n == n_holders && errno == ENXIO), "number of holders");
    return n;
}

/* The holder of this kind whose pointer is stored there; NULL: not found. */
static const gcmmap_holder *found(int kind, const volatile void *address)
{
    for (size_t i = 0; i < n_holders; i++)
        if (holders[i].kind == kind &&
            (address == NULL || holders[i].address == (const void *)(uintptr_t)address))
            return &holders[i];
    for (size_t i = 0; i < n_holders; i++)
        note("found: kind %d at %p, byte %td, of %p + %zu, thread %ld %s", holders[i].kind,
             holders[i].address, holders[i].points_to, holders[i].object, holders[i].offset,
             holders[i].thread, names[i]);
    return NULL;
}

static const char *name_of(const gcmmap_holder *holder)
{
    return names[holder - holders];
}

/* Its tables and its markers' stacks hold addresses, and keep nothing. */
static bool is_of_collector(const gcmmap_holder *holder)
{
    char path[64], name[32] = "";
    FILE *file;

    if (holder->kind == GCMMAP_HOLDER_DATA)
        return strstr(name_of(holder), "libgc.so") != NULL &&
               !(holder->flags & GCMMAP_HOLDER_IS_UNSURE);
    if (holder->kind != GCMMAP_HOLDER_STACK)
        return false;
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", holder->thread);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    need(fgets(name, sizeof name, file) != NULL, "comm");
    fclose(file);
    return strncmp(name, "GC-marker", 9) == 0;
}

static bool few_others(size_t n_planted)
{
    size_t n_wrong = 0;

    for (size_t i = 0; i < n_holders; i++)
        n_wrong += is_of_collector(&holders[i]);
    if (n_holders <= n_planted + ACCIDENTS && n_wrong == 0)
        return true;
    (void)found(0, NULL);
    return false;
}

/* ---- what is planted ------------------------------------------------------------------ */

static bool interior;
static size_t page;

/* A pointer that counts in the heap: to any byte, or the handle. */
static void *heap_pointer(gcmmap_region *region)
{
    return interior ? (unsigned char *)gcmmap_data(region) + 123 : (void *)region;
}

static ptrdiff_t heap_byte(void)
{
    return interior ? 123 : 0;
}

static gcmmap_region *new_region(unsigned flags)
{
    gcmmap_region *region = gcmmap_alloc(3 * page, GCMMAP_POINTER_FREE | flags);

    need(region != NULL, "alloc");
    return region;
}

void *global_holder[4]; /* exported, so that dladdr(3) finds it */
static void *static_holder;
static uintptr_t hidden, hidden_keeper; /* what was planted last, and where */

static void plant_data(void *arg)
{
    gcmmap_region *region = new_region(0);

    *(void **)arg = heap_pointer(region);
    hidden = hide(region);
}

static void test_data(void)
{
    const gcmmap_holder *holder;
    char symbol[64];

    apart(plant_data, &global_holder[2]);
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_DATA, &global_holder[2]);
    ok(holder != NULL && few_others(1) && holder->points_to == heap_byte() &&
           !(holder->flags & GCMMAP_HOLDER_IS_HANDLE) == interior &&
           !(holder->flags & GCMMAP_HOLDER_IS_UNSURE),
       "static data");
    snprintf(symbol, sizeof symbol, "global_holder+%#zx (", 2 * sizeof *global_holder);
    ok(holder != NULL && strncmp(name_of(holder), symbol, strlen(symbol)) == 0, "by its symbol: %s",
       holder != NULL ? name_of(holder) : "");
    global_holder[2] = NULL;
    apart(plant_data, &static_holder);
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_DATA, &static_holder);
    ok(holder != NULL && few_others(1) && strstr(name_of(holder), "static_holder+0") != NULL,
       "by the symbol of a static variable: %s", holder != NULL ? name_of(holder) : "");
    static_holder = NULL;
}

static void plant_object(void *arg)
{
    bool uncollectable = *(bool *)arg;
    gcmmap_region *region = new_region(0);
    void **object = uncollectable ? GC_MALLOC_UNCOLLECTABLE(48) : GC_MALLOC(48);

    object[4] = heap_pointer(region);
    hidden = hide(region);
    hidden_keeper = hide(object);
    global_holder[0] = object;
}

static void test_object(bool uncollectable)
{
    const gcmmap_holder *holder;
    void **object;

    apart(plant_object, &uncollectable);
    ask(hidden, MOST);
    object = reveal(hidden_keeper);
    holder = found(GCMMAP_HOLDER_OBJECT, &object[4]);
    ok(holder != NULL && few_others(1) && holder->object == object &&
           holder->offset == 4 * sizeof *object && holder->size == GC_size(object) &&
           holder->points_to == heap_byte() && !(holder->flags & GCMMAP_HOLDER_IS_UNSURE),
       "%s object, kind %d", uncollectable ? "an uncollectable" : "a heap",
       holder != NULL ? holder->object_kind : -1);
    object[4] = NULL;
    if (uncollectable)
        GC_FREE(object);
    global_holder[0] = NULL;
}

static void plant_many(void *arg)
{
    gcmmap_region *region = new_region(0);
    void **list = NULL;

    (void)arg;
    for (int i = 0; i < 150; i++) {
        void **object = GC_MALLOC(24);

        object[0] = list;
        object[1] = heap_pointer(region);
        list = object;
    }
    global_holder[0] = list;
    hidden = hide(region);
}

/* Else a stray pointer to one of them shows them all as holders of what is mapped there next. */
static void clear_many(void *arg)
{
    void **list = global_holder[0];

    (void)arg;
    while (list != NULL) {
        void **next = list[0];

        list[0] = list[1] = NULL;
        list = next;
    }
    global_holder[0] = NULL;
}

static void test_many(void)
{
    ssize_t n;

    apart(plant_many, NULL);
    n = ask(hidden, MOST);
    ok(n >= 150 && n <= 150 + ACCIDENTS, "150 objects: %zd found", n);
    ok(ask(hidden, 10) == 10 && n_holders == 10, "no more than asked for");
    ok(ask(hidden, 0) == 0, "none");
    apart(clear_many, NULL);
}

static void plant_region(void *arg)
{
    const gcmmap_options options = { .name = "keeper" };
    gcmmap_region *region = new_region(0), *keeper = gcmmap_alloc_with(40 * page, 0, &options);
    void **words = gcmmap_data(keeper);

    (void)arg;
    words[7 * page / sizeof *words + 3] = heap_pointer(region);
    hidden = hide(region);
    hidden_keeper = hide(words);
    global_holder[0] = keeper;
}

static void test_region(void)
{
    const gcmmap_holder *holder;
    unsigned char *data;

    apart(plant_region, NULL);
    ask(hidden, MOST);
    data = reveal(hidden_keeper);
    holder = found(GCMMAP_HOLDER_REGION, data + 7 * page + 3 * sizeof(void *));
    ok(holder != NULL && few_others(1) && holder->object == data && holder->size == 40 * page &&
           holder->offset == 7 * page + 3 * sizeof(void *) &&
           strcmp(name_of(holder), "keeper") == 0,
       "a traced region");
    global_holder[0] = NULL;
}

/* What markers have on their stacks are objects with contents. */
static void plant_traced(void *arg)
{
    uintptr_t *all = arg;
    void **list = NULL;

    for (size_t i = 0; i < 40; i++) {
        void **object = GC_MALLOC(32);
        gcmmap_region *region = gcmmap_alloc(2 * page, 0);
        void **words = gcmmap_data(region);

        object[0] = list;
        words[5] = object;
        words[6] = GC_MALLOC(5000);
        list = gcmmap_data(region);
        all[i] = hide(region);
    }
    global_holder[0] = list;
    hidden = all[20];
}

static void test_traced(void)
{
    static uintptr_t all[40];
    size_t n_wrong = 0;

    apart(plant_traced, all);
    for (size_t i = 0; i < 40; i += 4) {
        ask(all[i], MOST);
        n_wrong += n_holders == 0 || !few_others(1);
    }
    ok(n_wrong == 0, "of traced regions");
    global_holder[0] = NULL;
}

/* ---- threads ------------------------------------------------------------------------- */

static sem_t is_planted, may_go;
static volatile long thread_number;

static __attribute__((noinline)) void hold_on_stack(void)
{
    void *volatile place[4] = { NULL, NULL, (char *)gcmmap_data(new_region(0)) + 77, NULL };

    hidden = hide(gcmmap_of(place[2]));
    hidden_keeper = hide((void *)(uintptr_t)&place[2]);
    thread_number = syscall(SYS_gettid);
    sem_post(&is_planted);
    while (sem_wait(&may_go) != 0)
        ;
    place[2] = NULL;
}

static void *run_thread(void *arg)
{
    (void)arg;
    hold_on_stack();
    return NULL;
}

static void *block(void *arg)
{
    sem_post(&is_planted);
    while (sem_wait(&may_go) != 0)
        ;
    return arg;
}

static void *run_blocked(void *arg)
{
    void *volatile place[2] = { NULL, (char *)gcmmap_data(new_region(0)) + 77 };

    (void)arg;
    hidden = hide(gcmmap_of(place[1]));
    hidden_keeper = hide((void *)(uintptr_t)&place[1]);
    thread_number = syscall(SYS_gettid);
    GC_do_blocking(block, NULL);
    return place[0];
}

static void test_thread(void *(*run)(void *), bool is_sure, const char *what)
{
    const gcmmap_holder *holder;
    pthread_t thread;

    need(pthread_create(&thread, NULL, run, NULL) == 0, "thread");
    while (sem_wait(&is_planted) != 0)
        ;
    scrub();
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_STACK, reveal(hidden_keeper));
    /* Of a thread's own registers there are several copies on its stack. */
    ok(holder != NULL && few_others(8) && holder->thread == thread_number &&
           holder->points_to == 77 && !(holder->flags & GCMMAP_HOLDER_IS_UNSURE) == is_sure,
       "%s", what);
    sem_post(&may_go);
    pthread_join(thread, NULL);
}

/* Those that the collector does not know. */
#undef pthread_create
#undef pthread_join

static void *run_unknown(void *arg)
{
    void *volatile place[2] = { NULL, (char *)reveal(hidden) + 5 };

    thread_number = syscall(SYS_gettid);
    sem_post(&is_planted);
    while (sem_wait(&may_go) != 0)
        ;
    return place[0] != NULL ? NULL : arg;
}

static void test_unknown_thread(void)
{
    const gcmmap_holder *holder = NULL;
    pthread_t thread;
    size_t n_sure = 0;

    apart(plant_data, &static_holder);
    need(pthread_create(&thread, NULL, run_unknown, NULL) == 0, "thread");
    while (sem_wait(&is_planted) != 0)
        ;
    ask(hidden, MOST);
    for (size_t i = 0; i < n_holders; i++) {
        if (holders[i].kind != GCMMAP_HOLDER_STACK || holders[i].thread != thread_number)
            continue;
        holder = &holders[i];
        n_sure += !(holder->flags & GCMMAP_HOLDER_IS_UNSURE);
    }
    ok(holder != NULL && n_sure == 0, "of a thread that the collector does not know, unsure");
    sem_post(&may_go);
    pthread_join(thread, NULL);
    static_holder = NULL;
}

static __attribute__((noinline)) void test_own_stack(void)
{
    void *volatile place[3] = { NULL, (char *)gcmmap_data(new_region(0)) + 9, NULL };
    const gcmmap_holder *holder;

    hidden = hide(gcmmap_of(place[1]));
    hidden_keeper =
        hide((void *)(uintptr_t)&place[1]); /* clang: what is told to nobody, nobody returns */
    scrub();
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_STACK, reveal(hidden_keeper));
    ok(holder != NULL && few_others(2) && holder->thread == syscall(SYS_gettid) &&
           holder->points_to == 9,
       "this thread's stack");
    need(place[1] != NULL, "in use up to here");
}

#ifdef __x86_64__
static void ask_for_static_holder(void)
{
    n_holders = 0;
    (void)gcmmap_why(static_holder, MOST, note_holder, &n_holders);
}
#endif

static __attribute__((noinline)) void test_register(void)
{
#ifdef __x86_64__
    const gcmmap_holder *holder;

    apart(plant_data, &static_holder);
    /* In no register but r14, which functions keep for their callers, and not on the stack. */
    __asm__ volatile("movq %%rsp, %%r12\n\t"
                     "subq $128, %%rsp\n\t" /* the red zone */
                     "andq $-16, %%rsp\n\t"
                     "movq %0, %%r14\n\t"
                     "notq %%r14\n\t"
                     "callq *%1\n\t"
                     "xorl %%r14d, %%r14d\n\t"
                     "movq %%r12, %%rsp"
                     :
                     : "r"(hidden), "r"(ask_for_static_holder)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r14",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory",
                       "cc");
    holder = found(GCMMAP_HOLDER_REGISTER, NULL);
    ok(holder != NULL && holder->thread == syscall(SYS_gettid) && holder->address == NULL,
       "a register");
    static_holder = NULL;
#else
    ok(true, "a register # SKIP assembler of another machine");
#endif
}

/* ---- other regions --------------------------------------------------------------------- */

static void plant_by_handle(void *arg)
{
    gcmmap_region *region = new_region(GCMMAP_BY_HANDLE);

    (void)arg;
    static_holder = region;
    global_holder[1] = (char *)gcmmap_data(region) + 50; /* which does not count */
    hidden = hide(region);
}

static void test_by_handle(void)
{
    const gcmmap_holder *holder;

    apart(plant_by_handle, NULL);
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_DATA, &static_holder);
    ok(holder != NULL && few_others(1) && (holder->flags & GCMMAP_HOLDER_IS_HANDLE) &&
           holder->points_to == 0,
       "by handle: the handle");
    for (size_t i = 0; i < n_holders; i++)
        holder = holders[i].address == &global_holder[1] ? NULL : holder;
    ok(holder != NULL, "pointers into its bytes do not count");
    static_holder = global_holder[1] = NULL;
}

static void plant_row(void *arg)
{
    gcmmap_region *region = gcmmap_alloc(100 * MiB, GCMMAP_POINTER_FREE);
    char *data = gcmmap_data(region);

    (void)arg;
    need(data != NULL, "100 MiB");
    static_holder = interior ? data + 77 * MiB : (char *)region;
    global_holder[1] = data + 100 * MiB; /* one past the end */
    hidden = hide(region);
}

static void test_row(void)
{
    const gcmmap_holder *holder;

    apart(plant_row, NULL);
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_DATA, &static_holder);
    ok(holder != NULL && few_others(2) &&
           holder->points_to == (interior ? (ptrdiff_t)(77 * MiB) : 0),
       "of a large region");
    if (interior)
        ok(found(GCMMAP_HOLDER_DATA, &global_holder[1]) != NULL, "one past its end, too");
    static_holder = global_holder[1] = NULL;
}

static void test_closed(void)
{
    const gcmmap_holder *holder;

    apart(plant_data, &static_holder);
    need(gcmmap_close(reveal(hidden)) == 0, "close");
    scrub();
    ask(hidden, MOST);
    holder = found(GCMMAP_HOLDER_DATA, &static_holder);
    ok(holder != NULL && few_others(1), "who keeps the addresses of a closed one");
    static_holder = NULL;
}

/* ---- no holders -------------------------------------------------------------------------- */

static void plant_nothing(void *arg)
{
    gcmmap_region *region = new_region(0);
    void **atomic = GC_MALLOC_ATOMIC(64), **interior_one = GC_MALLOC(64), **heap = malloc(64);

    (void)arg;
    need(heap != NULL, "malloc");
    atomic[1] = heap[1] = gcmmap_data(region);
    if (!interior)
        interior_one[1] = (char *)gcmmap_data(region) + 1024;
    global_holder[0] = atomic;
    global_holder[1] = interior_one;
    global_holder[3] = gcmmap_data(region);
    hidden = hide(region);
    hidden_keeper = hide(heap);
}

static void test_nothing(void)
{
    apart(plant_nothing, NULL);
    ask(hidden, MOST);
    ok(found(GCMMAP_HOLDER_DATA, &global_holder[3]) != NULL && few_others(1),
       "pointer-free objects and malloc'ed memory keep nothing%s",
       interior ? "" : ", nor do interior pointers in the heap");
    for (size_t i = 0; i < n_holders; i++)
        need(holders[i].object == NULL, "no object was found");
    free(reveal(hidden_keeper));
    global_holder[0] = global_holder[1] = global_holder[3] = NULL;
}

static void test_asking_keeps_nothing(void)
{
    enum { N = 40 };
    static gcmmap_weak weak[N];
    size_t n_left = 0;

    for (int i = 0; i < N; i++) {
        apart(plant_data, &static_holder);
        weak[i] = gcmmap_weak_of(reveal(hidden));
        if (i % 4 == 0)
            ask(hidden, MOST);
        static_holder = NULL;
    }
    collect_thoroughly();
    for (int i = 0; i < N; i++)
        n_left += gcmmap_weak_get(weak[i]) != NULL;
    ok(n_left <= 4, "asking keeps nothing (%zu of %d left)", n_left, N);
}

/* ---- limits, refusals, text ----------------------------------------------------------------- */

static void GC_CALLBACK ignore_event(GC_EventType event)
{
    (void)event;
}

static void test_limits(void)
{
    GC_on_collection_event_proc events;

    apart(plant_many, NULL);
    static_holder = GC_MALLOC(4 * MiB);
    is_hurried = true;
    errno = 0;
    gives_errno(ask(hidden, MOST), ETIMEDOUT, "a search that takes too long ends");
    is_hurried = false;
    GC_disable();
    errno = 0;
    gives_errno(ask(hidden, MOST), ENOTSUP, "no collections, no answer");
    GC_enable();
    events = GC_get_on_collection_event();
    GC_set_on_collection_event(ignore_event);
    errno = 0;
    gives_errno(ask(hidden, MOST), ENOTSUP, "somebody else gets the events");
    GC_set_on_collection_event(events);
    ok(ask(hidden, MOST) >= 150, "and not any more");
    errno = 0;
    gives_errno(gcmmap_why(&page, 1, note_holder, &n_holders), EINVAL, "not of a region");
    errno = 0;
    gives_errno(gcmmap_why(reveal(hidden), 1, NULL, NULL), EINVAL, "nobody to tell");
    errno = 0;
    gives_errno(gcmmap_why(reveal(hidden), SIZE_MAX, note_holder, &n_holders), EINVAL, "too many");
    errno = 0;
    gives_errno(gcmmap_print_why(NULL, reveal(hidden)), EINVAL, "no stream");
    static_holder = global_holder[0] = NULL;
}

static void test_text(void)
{
    static char *text;
    size_t n_text;
    FILE *to = open_memstream(&text, &n_text);

    apart(plant_data, &static_holder);
    need(to != NULL, "open_memstream");
    errno = ENXIO;
    ok(gcmmap_print_why(to, reveal(hidden)) == 0 && errno == ENXIO && fclose(to) == 0, "as text");
    ok(strstr(text, " bytes is kept by\n") != NULL && strstr(text, "static data at 0x") != NULL &&
           strstr(text, interior ? "by a pointer to byte 123\n" : "by the handle\n") != NULL,
       "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
    static_holder = NULL;
}

static int *counts; /* tap's, that parent and child share */

static int all(void *arg)
{
    interior = *(bool *)arg;
    GC_set_all_interior_pointers(interior);
    GC_INIT();
    GC_allow_register_threads();
    need(GC_get_all_interior_pointers() == (int)interior, "mode");
    note("interior pointers %s", interior ? "count" : "do not count");
    test_data();
    test_object(false);
    test_object(true);
    test_many();
    test_region();
    test_traced();
    test_own_stack();
    test_register();
    test_thread(run_thread, true, "another thread's stack");
    test_thread(run_blocked, false, "a thread in GC_do_blocking(): unsure");
    test_unknown_thread();
    test_by_handle();
    test_row();
    test_closed();
    test_nothing();
    test_asking_keeps_nothing();
    test_limits();
    test_text();
    counts[0] = tap_n;
    counts[1] = tap_n_failed;
    return 0;
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    holders = malloc(MOST * sizeof *holders);
    names = malloc(MOST * sizeof *names);
    need(setenv("GC_MARKERS", "3", 1) == 0, "setenv");
    need(holders != NULL && names != NULL && sem_init(&is_planted, 0, 0) == 0 &&
             sem_init(&may_go, 0, 0) == 0,
         "set-up");
    counts = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(counts != MAP_FAILED, "shared memory");
    for (int mode = 0; mode < 2; mode++) {
        bool count = mode == 0;
        int status = run_in_child(all, &count);

        tap_n = counts[0];
        tap_n_failed = counts[1];
        ok(status == 0, "that was interior pointers %s (%d)", count ? "on" : "off", status);
    }
    return done_testing();
}
