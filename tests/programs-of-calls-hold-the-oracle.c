/*
 * Bytes, taken as a program of calls to gcmmap and the collector, and of changes to files by
 * others, against a model that knows from gcmmap.h what each call has to do, what each byte of
 * each region must be, which accesses must fault, and which regions must be alive.
 *
 * The programs are the files in tests/programs/corpus (and given as arguments), and random ones.
 * libFuzzer finds others: `make fuzz`.
 *
 * programs-of-calls-survive-shortages is the same with GCMMAP_INJECT: one of 30 calls that the
 * library makes fails; then a call may fail, and has changed nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef GCMMAP_INJECT
#include "failures/invariants.h" /* before others' names */
#endif
#include "programs/slices.h"

#include <dirent.h>

#define ACCIDENTS 8u /* regions that only look as if a pointer held them */
#define RANDOM_PROGRAMS 150
#define RANDOM_BYTES 1500u

/* ---- a step --------------------------------------------------------------------------------------- */

static void call_drop(void)
{
    empty_slot(take(N_SLOTS));
}

static __attribute__((noinline)) void call_collect(void)
{
    switch (take(8)) {
    case 0:
        GC_gcollect();
        break;
    case 1:
        begin();
        (void)gcmmap_collect();
        (void)outcome("gcmmap_collect", true, 0);
        break;
    case 2:
        begin();
        (void)gcmmap_trim();
        (void)outcome("gcmmap_trim", true, 0);
        break;
    case 3:
        (void)GC_collect_a_little();
        break;
    case 4:
        (void)GC_MALLOC_ATOMIC(take_size(FILE_MOST));
        break;
    default:
        for (unsigned i = 0; i < 20; i++)
            need(memset(GC_MALLOC(600), 0x55, 600) != NULL, "GC_MALLOC");
        break;
    }
}

static void call_check(void)
{
    check_everything();
    check_files();
}

static void call_limits(void)
{
    static const size_t limits[] = { 0, 1, 2, 5, 20 };
    unsigned what = take(4);
    gcmmap_budget budget = { .n_regions = limits[take(5)], .bytes = limits[take(5)] * 10 * PAGE };
    gcmmap_pacing pacing = { .n_regions = limits[take(5)], .bytes = limits[take(5)] * 10 * PAGE };
    bool is_bad = what == 3;

    if (is_bad)
        budget.reserved[take(5)] = 1;
    begin();
    if (what != 0)
        (void)outcome("gcmmap_set_budget", gcmmap_set_budget(&budget) == 0, is_bad ? EINVAL : 0, 0);
    else
        (void)outcome("gcmmap_set_pacing", gcmmap_set_pacing(&pacing) == 0, 0, 0);
}

/* What the child of a fork finds: the same, but for what was not to be there. */
static void child_checks(void)
{
    for (unsigned i = 0; i < n_models; i++) {
        struct model *model = &models[i];

        model->is_closed |= (model->flags & GCMMAP_NO_FORK) != 0;
        for (unsigned p = 0; p < IMAGE_PAGES && model->is_used; p++)
            model->pages[p].is_unknown |= model->pages[p].is_wiped;
    }
    check_everything();
    check_files();
    for (unsigned i = 0; i < n_models; i++)
        if (models[i].is_reached) {
            models[i].is_closed = true;
            if (gcmmap_close(handle_of(&models[i])) != 0)
                wrong("a child cannot close model %u", i);
        }
    check_everything();
    _exit(0);
}

static void call_fork(void)
{
    static unsigned in_program;
    int status;
    pid_t child;

    if (in_program == program_number)
        return; /* it is slow */
    in_program = program_number;
    trace("fork");
    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0)
        child_checks();
    while (waitpid(child, &status, 0) != child)
        need(errno == EINTR, "waitpid"); /* libFuzzer has a timer */
    if (status != 0)
        wrong("a forked child ended with status %#x", (unsigned)status);
}

static FILE *nowhere;

static void call_list(void)
{
    begin();
    (void)outcome("gcmmap_list", gcmmap_list(nowhere, take(2)) == 0, 0, 0);
}

static void (*const calls[])(void) = {
    call_map,          call_alloc,     call_share,     call_adopt,      call_store,
    call_store,        call_hand_over, call_copy,      call_wrap,       call_slice_object,
    call_weak,         call_sync,      call_protect,   call_lock,       call_unload,
    call_residency,    call_advise,    call_punch,     call_extend,     call_refresh,
    call_truncate,     call_close,     call_unmap_now, call_write_file, call_cut_file,
    call_replace_file, call_drop,      call_collect,   call_check,      call_limits,
    call_fork,         call_map,       call_bad,       call_slices,     call_drop,
    call_map,          call_alloc,     call_store,     call_any_flags,  call_copy_out,
    call_copy_in,      call_try,       call_snapshot,  call_list,       call_try,
    call_drop
};

/* ---- a program -------------------------------------------------------------------------------------- */

static void begin_program(void)
{
    program_number++;
    n_models = n_files = 0;
    for (unsigned i = 0; i < N_SLOTS; i++)
        empty_slot(i);
    named[0] = make_named(0, 3 * PAGE);
    named[1] = make_named(1, 5000);
    named[2] = make_named(2, 0);
}

static __attribute__((noinline)) void run_steps(void)
{
    while (program.at < program.n) {
        unsigned call = take(256) % (sizeof calls / sizeof *calls);

        trace("call %u", call);
        calls[call]();
    }
    check_everything();
    check_files();
}

static size_t count_descriptors(void)
{
    size_t n = 0;

    for (int fd = 3; fd < 128; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Lines of /proc/self/maps that show one of our files. */
static size_t count_mapped_files(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400];
    size_t n = 0;

    need(maps != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, maps))
        n += strstr(line, directory) != NULL || strstr(line, "gcmmap-programs") != NULL;
    fclose(maps);
    return n;
}

/* Everything is forgotten: everything goes. */
static void end_program(size_t n_descriptors)
{
    gcmmap_budget none = { 0 };
    gcmmap_stats stats;
    size_t n_left = 0;

    for (unsigned i = 0; i < N_SLOTS; i++)
        empty_slot(i);
    for (unsigned i = 0; i < n_models; i++)
        models[i].is_used = models[i].is_reached = false;
    for (unsigned i = 0; i < N_NAMES; i++)
        unlink(path_of(i));
    for (unsigned i = 0; i < n_files; i++) {
        close(files[i]->fd);
        free(files[i]);
    }
    if (lost_budget() != NULL)
        wrong("%s", lost_budget());
    (void)gcmmap_set_budget(&none);
    (void)gcmmap_set_pacing(&(gcmmap_pacing){ 0 });
    for (unsigned round = 0; round < 20; round++) {
        if (round > 0) {
            scrub();
            (void)gcmmap_collect();
        }
        if (round > 3)
            make_noise();
        stats = stats_now();
        n_left = stats.n_live + stats.n_closed + stats.n_dying;
        if (n_left == 0 || (round > 2 && n_left <= ACCIDENTS))
            break;
    }
    if (n_left > ACCIDENTS || n_listeners > n_left)
        wrong("%zu regions are left, %u releases were not told", n_left, n_listeners);
    if (count_descriptors() > n_descriptors + n_left)
        wrong("%zu descriptors, wanted %zu", count_descriptors(), n_descriptors);
    /* A region that is protected in parts may have several. */
    if (count_mapped_files() > n_left * IMAGE_PAGES + MAPPINGS_LEFT)
        wrong("%zu regions are left, %zu mappings of files", n_left, count_mapped_files());
}

static int run_program(const char *name, const uint8_t *bytes, size_t n)
{
    size_t n_descriptors = count_descriptors();

    program.bytes = bytes;
    program.n = n;
    program.at = 0;
    program.name = name;
    program.is_traced = getenv("GCMMAP_PROGRAM_TRACE") != NULL;
    prepare_failures(bytes, n);
    begin_program();
    run_steps();
    end_program(n_descriptors);
    return 0;
}

/* From the first such call on the library keeps one. */
static void open_descriptor_of_memory(void)
{
    gcmmap_region *region = gcmmap_alloc(1, GCMMAP_BY_HANDLE);

    need(region != NULL && gcmmap_protect(gcmmap_data(region), 1, 0) == 0 &&
             gcmmap_unmap_now(region) == 0,
         "protected region");
}

static void prepare(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
    open_descriptor_of_memory();
    strcpy(directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/gcmmap-programs-XXXXXX"
                                                    : "/tmp/gcmmap-programs-XXXXXX");
    nowhere = fopen("/dev/null", "we");
    need(mkdtemp(directory) != NULL && nowhere != NULL, "mkdtemp");
}

#ifdef GCMMAP_LIBFUZZER

int LLVMFuzzerInitialize(int *n_arguments, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerInitialize(int *n_arguments, char ***arguments)
{
    (void)n_arguments;
    (void)arguments;
    prepare();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    return run_program("this program", bytes, n);
}

#else

static void run_file(const char *path)
{
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t n;

    need(file != NULL, path);
    n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    run_program(path, bytes, n);
}

static int run_corpus(void)
{
    char path[600];
    const char *source = getenv("top_srcdir");
    int n = 0;
    struct dirent *entry;
    DIR *corpus;

    snprintf(path, sizeof path, "%s/tests/programs/corpus", source != NULL ? source : ".");
    corpus = opendir(path);
    while (corpus != NULL && (entry = readdir(corpus)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/tests/programs/corpus/%.200s",
                 source != NULL ? source : ".", entry->d_name);
        run_file(path);
        n++;
    }
    if (corpus != NULL)
        closedir(corpus);
    return n;
}

static void run_random(uint64_t state)
{
    uint8_t bytes[RANDOM_BYTES];
    char name[40];

    for (int i = 0; i < RANDOM_PROGRAMS; i++) {
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (uint8_t)(next_random(&state) >> 20);
        snprintf(name, sizeof name, "random program %d", i);
        run_program(name, bytes, next_random(&state) % sizeof bytes);
    }
}

int main(int n_arguments, char **arguments)
{
    if (sysconf(_SC_PAGESIZE) != (long)PAGE)
        skip_all("the programs are made for pages of 4 KiB");
    prepare();
    if (GC_is_incremental_mode())
        skip_all("the model does not know write protection by the collector");
    for (int i = 1; i < n_arguments; i++)
        run_file(arguments[i]);
    if (n_arguments == 1) {
        int n = run_corpus();

        ok(n > 0, "%d programs of the corpus", n);
        run_random(test_seed());
        ok(true, "%d random programs", RANDOM_PROGRAMS);
    }
    rmdir(directory);
    return done_testing();
}

#endif
