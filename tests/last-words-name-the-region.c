/*
 * With gcmmap_report_faults() a process that dies of a fault of a region says which, why, and
 * whose code it was, and dies of the same signal.  Without it, of other faults, and where a
 * guard or a handler of the program's own catches them, it says nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#define SIZE ((size_t)81920)

static size_t page;
static volatile unsigned char sink;

struct scene {
    const char *what;
    unsigned reports;
    char kind;           /* t: truncated, u: and unlinked, c: closed, ... */
    int signal;          /* 0: it lives */
    const char *says[4]; /* in this order, PATH is the file's; none: nothing at all */
};

static char path[32];

static __attribute__((noinline)) gcmmap_region *map_it(void)
{
    gcmmap_region *region = gcmmap_open(path, GCMMAP_READ);

    need(region != NULL, "region");
    return region;
}

static __attribute__((noinline)) void close_it(gcmmap_region *region)
{
    need(gcmmap_close(region) == 0, "close");
}

static void leave(int number)
{
    (void)number;
    _exit(0);
}

static __attribute__((noinline)) void touch_it(volatile unsigned char *at, bool write)
{
    if (write)
        *at = 1;
    else
        sink = *at;
}

static int play(void *arg)
{
    const struct scene *scene = arg;
    gcmmap_region *region = map_it();
    unsigned char *data = gcmmap_data(region);
    gcmmap_guard guard;

    if (scene->kind == 'h') /* a handler */
        signal(SIGSEGV, leave);
    if (scene->reports != 0 && gcmmap_report_faults(scene->reports) != 0)
        return 1;
    switch (scene->kind) {
    case 'u':
    case 't':
        if (scene->kind == 'u')
            unlink(path);
        need(truncate(path, 100) == 0 || scene->kind == 'u', "truncate");
        if (scene->kind == 'u') {
            int fd = make_file(1, SIZE);

            region = gcmmap_map(fd, 0, SIZE, GCMMAP_READ);
            data = gcmmap_data(region);
            need(data != NULL && ftruncate(fd, 0) == 0, "region");
        }
        touch_it(data + 20480, false);
        break;
    case 'h':
    case 'c':
        close_it(region);
        touch_it(data + 5, false);
        break;
    case 'w':
        touch_it(data + 7, true);
        break;
    case 'a': {
        gcmmap_options options = { .name = "anon" };

        region = gcmmap_alloc_with(10 * page, GCMMAP_POINTER_FREE, &options);
        touch_it((unsigned char *)gcmmap_data(region) + 10 * page + 9, true);
        break;
    }
    case 'g': /* a guard */
        close_it(region);
        if (GCMMAP_TRY(guard))
            touch_it(data, false);
        break;
    case 's': /* sent */
        close_it(region);
        send_to_self(scene->signal, SI_QUEUE, data);
        break;
    case 'f': /* foreign */
        touch_it(mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), false);
        break;
    case '0': /* no more */
        need(gcmmap_report_faults(0) == 0, "no more");
        close_it(region);
        touch_it(data, false);
        break;
    }
    return 0;
}

/* What the child says, and how it ends. */
static int listen_to(struct scene *scene, char *said, size_t room)
{
    int ends[2], result, saved = dup(STDERR_FILENO);
    size_t n = 0;
    ssize_t got;

    need(pipe(ends) == 0 && saved >= 0, "pipe");
    need(fcntl(ends[1], F_SETPIPE_SZ, 65536) > 0, "pipe");
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    result = run_in_child(play, scene);
    dup2(saved, STDERR_FILENO);
    close(saved);
    while (n + 1 < room && (got = read(ends[0], said + n, room - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(ends[0]);
    return result;
}

static bool says_all(const char *said, const char *const *wanted)
{
    if (wanted[0] == NULL)
        return *said == '\0';
    for (int i = 0; i < 4 && wanted[i] != NULL; i++) {
        const char *found = strstr(said, strcmp(wanted[i], "PATH") == 0 ? path : wanted[i]);

        if (found == NULL)
            return false;
        said = found + 1;
    }
    return true;
}

static size_t count_lines(const char *said)
{
    size_t n = 0;

    for (; *said != '\0'; said++)
        n += *said == '\n';
    return n;
}

static void test(struct scene *scene)
{
    char said[8192];
    int fd = open(path, O_RDWR | O_CREAT, 0600), result;

    need(fd >= 0 && ftruncate(fd, (off_t)SIZE) == 0, path);
    close(fd);
    result = listen_to(scene, said, sizeof said);
    if (!ok(result == -scene->signal && says_all(said, scene->says) &&
                (scene->says[0] == NULL || count_lines(said) == 3 + (scene->kind == 'c')),
            "%s", scene->what))
        note("result %d, and it said: %s", result, said);
}

/* Again, with the environment changed.  A file of which the end goes. */
static int again(void)
{
    struct scene scene = { .kind = 't' };
    int result;

    make_named_file(path, 1, SIZE);
    result = play(&scene);
    unlink(path);
    return result;
}

static void test_environment(char **arguments, bool incremental)
{
    char said[8192] = "", *found;
    int ends[2], status;
    ssize_t n;
    pid_t child;

    need(pipe(ends) == 0, "pipe");
    fflush(stdout);
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        setenv("GCMMAP_REPORT_FAULTS", "1", 1);
        if (incremental) {
            setenv("GC_ENABLE_INCREMENTAL", "1", 1);
            setenv("GC_USE_GETWRITEWATCH", "0", 1);
        }
        execl("/proc/self/exe", arguments[0], "again", (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    n = read(ends[0], said, sizeof said - 1);
    waitpid(child, &status, 0);
    found = strstr(said, "/tmp/gcmmap-test-");
    ok(n > 0 && WIFSIGNALED(status) && (WTERMSIG(status) == SIGBUS || incremental) &&
           found != NULL && strstr(found, ": byte 20480 of ") != NULL,
       "GCMMAP_REPORT_FAULTS=1 in the environment%s", incremental ? ", incremental" : "");
    if (found != NULL) {
        found[strlen("/tmp/gcmmap-test-XXXXXX")] = '\0';
        unlink(found);
    }
    close(ends[0]);
}

static void test_bits(void)
{
    errno = 0;
    gives_errno(gcmmap_report_faults(4), EINVAL, "unknown bits");
}

int main(int n_arguments, char **arguments)
{
    struct scene scenes[] = {
        { "a truncated file",
          1,
          't',
          SIGBUS,
          { "gcmmap: SIGBUS at 0x", "PATH", ": byte 20480 of 81920 cannot be ",
            ": the file has been truncated to 100 bytes, and this is byte 20480 of it\n" } },
        { "one that is unlinked",
          1,
          'u',
          SIGBUS,
          { "gcmmap: SIGBUS at 0x", ": byte 20480 of ",
            "truncated, or there is an error of the disk\n", "  mapped by /" } },
        { "a closed region",
          1,
          'c',
          SIGSEGV,
          { "gcmmap: SIGSEGV at 0x", ": the region has been closed\n", "  mapped by /",
            "  closed by /" } },
        { "a store into what is to be read",
          1,
          'w',
          SIGSEGV,
          { "gcmmap: SIGSEGV at 0x", "PATH", ": byte 7 of 81920 ",
            ": the page is protected against that\n" } },
        { "an overrun",
          1,
          'a',
          SIGSEGV,
          { "gcmmap: SIGSEGV at 0x", "anon: byte ", ": it is 10 behind the last\n",
            "  accessed by /" } },
        { "a guard catches it", 1, 'g', 0, { NULL } },
        { "so does a handler", 1, 'h', 0, { NULL } },
        { "an address that is no region's", 1, 'f', SIGSEGV, { NULL } },
        { "a signal that was sent", 1, 's', SIGSEGV, { NULL } },
        { "a SIGBUS that was sent", 1, 's', SIGBUS, { NULL } },
        { "not asked to", 0, 'c', SIGSEGV, { NULL } },
        { "not asked to any more", 1, '0', SIGSEGV, { NULL } },
        { "source lines",
          3,
          'c',
          SIGSEGV,
          { "  accessed by touch_it at last-words", "  mapped by map_it at last-words",
            "  closed by close_it at last-words", " (/" } },
    };

    GC_INIT();
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (n_arguments > 1)
        return again();
    unsetenv("GCMMAP_REPORT_FAULTS");
    if (collector_write_protects()) { /* which has a say in how it ends */
        test_bits();
        test_environment(arguments, true);
        return done_testing();
    }
    make_named_file(path, 1, SIZE);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        if ((scenes[i].reports & GCMMAP_REPORT_LINES) &&
            system("addr2line -e /proc/self/exe 0 > /dev/null 2>&1") != 0)
            ok(true, "%s # SKIP no addr2line", scenes[i].what);
        else
            test(&scenes[i]);
    unlink(path);
    test_bits();
    test_environment(arguments, false);
    test_environment(arguments, true);
    return done_testing();
}
