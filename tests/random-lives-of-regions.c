/*
 * Random lives of very many regions, against an oracle that keeps its own account of who
 * points to what: no slice ever loses its memory or shows another's bytes, no addresses
 * are given out while a slice of them is left, and everything dead goes.
 *
 * GCMMAP_STRESS_MAPPINGS sets how many regions to map (default 120,000), or
 * GCMMAP_STRESS_SECONDS for how long, with the counters printed now and again: tests/soak.sh.
 *
 * SPDX-License-Identifier: MIT
 */
#include "live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define N_WORLDS 2        /* one thread each; none sees the other's slices */
#define N_SLOTS 700u      /* slices of a world */
#define MOST_LIVES 1400u  /* regions that the oracle can follow at a time */
#define ACCIDENTS 6u      /* may be held by something that only looks like a pointer ... */
#define ACCIDENTS_NOW 24u /* ... and while all is going on; each may hold a chain of others */

/*
 * The oracle lives in malloc'ed memory and knows addresses only in hidden form.  The
 * slices proper are in memory that the collector looks at: pointers[] of a world, and first
 * words of regions that hold another.
 */
enum nature { GONE, READ_FILE, PRIVATE_FILE, SHARED_FILE, MEMORY, POINTER_FREE_MEMORY };

struct life {
    enum nature nature;
    bool is_closed;
    bool is_dead;     /* nothing of ours points to it; may be mapped for a while yet */
    bool is_reached;  /* scratch */
    unsigned n_slots; /* that point into it */
    uintptr_t hidden; /* start */
    size_t n_bytes;
    size_t offset; /* in its file */
    unsigned file;
    uint64_t own_seed;  /* of what was written to its first and last bytes; 0: nothing */
    struct life *child; /* the region that its first word points into */
    size_t child_offset;
};

struct slot {
    struct life *life; /* NULL: empty */
    size_t offset;     /* of the pointer in the region */
};

#define N_FILES 5u
#define SHARED N_FILES /* index of the file that is written to */
#define OWN_BYTES ((size_t)64)
#define HELD_BYTES (2 * sizeof(void *)) /* of memory that holds another region */

struct world {
    unsigned number;
    uint64_t state, n_own_seeds;
    unsigned char **pointers; /* GC-visible: slot i's slice ... */
    void **keepers;           /* ... and what counts there */
    struct slot slots[N_SLOTS];
    struct life lives[MOST_LIVES];
    int fds[N_FILES + 1];
    unsigned char *shared; /* what the shared file should contain */
    unsigned long n_maps, n_checks, n_wrong, n_overlaps, n_lost, n_errors, n_late, n_closed;
};

/* The third is sparse but for its ends; seeds differ from world to world. */
static const size_t file_sizes[N_FILES + 1] = { 1,
                                                4096,
                                                100000,
                                                HAS_MANY_ADDRESSES ? 3 * MiB : MiB / 2,
                                                (HAS_MANY_ADDRESSES ? 100 : 20) * MiB,
                                                300000 };
#define BIG 4u
#define BIG_STEP (8 * MiB) /* in the big file every so often there are bytes to recognize */

static unsigned long n_maps_wanted; /* of each world */
static time_t began, ends;          /* 0: no end, but n_maps_wanted */

static size_t random_below(struct world *world, size_t limit)
{
    return next_random(&world->state) % limit;
}

static uint64_t file_seed(const struct world *world, unsigned file)
{
    return world->number * 100 + file;
}

/* ---- the oracle's account ------------------------------------------------------- */

static void reach(struct life *life)
{
    while (life != NULL && !life->is_reached) {
        life->is_reached = true;
        life = life->is_closed || life->nature != MEMORY ? NULL : life->child;
    }
}

/* Who died since the last time?  Dead is dead: nobody has a pointer any more. */
static void take_stock(struct world *world)
{
    for (unsigned i = 0; i < MOST_LIVES; i++)
        world->lives[i].is_reached = false;
    for (unsigned i = 0; i < MOST_LIVES; i++)
        if (world->lives[i].n_slots > 0)
            reach(&world->lives[i]);
    for (unsigned i = 0; i < MOST_LIVES; i++)
        world->lives[i].is_dead |= !world->lives[i].is_reached;
}

static void set_slot(struct world *world, unsigned i, struct life *life, unsigned char *pointer,
                     size_t offset)
{
    if (world->slots[i].life != NULL)
        world->slots[i].life->n_slots--;
    if (life != NULL)
        life->n_slots++;
    world->slots[i] = (struct slot){ life, offset };
    world->pointers[i] = pointer;
    world->keepers[i] = keeper_of(pointer);
}

static void empty_slots_of(struct world *world, const struct life *life)
{
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (world->slots[i].life == life)
            set_slot(world, i, NULL, NULL, 0);
}

/* ---- checks ------------------------------------------------------------------------ */

static void complain(unsigned long *count, const char *what, const struct life *life, size_t offset)
{
    if ((*count)++ < 3)
        note("%s: nature %d, file %u, offset %zu, %zu bytes, at %zu%s", what, (int)life->nature,
             life->file, life->offset, life->n_bytes, offset, life->is_closed ? ", closed" : "");
}

static unsigned char expected(const struct world *world, const struct life *life, size_t at)
{
    if (life->own_seed != 0 && (at < OWN_BYTES || life->n_bytes - at <= OWN_BYTES) &&
        at >= HELD_BYTES)
        return byte_at(life->own_seed, at);
    switch (life->nature) {
    case READ_FILE:
    case PRIVATE_FILE:
        at += life->offset;
        return life->file != BIG || at % BIG_STEP < 4096 ? byte_at(file_seed(world, life->file), at)
                                                         : 0;
    case SHARED_FILE:
        return world->shared[life->offset + at];
    default:
        return 0;
    }
}

/* Some of the bytes behind (and before) a slice. */
static bool shows_right(struct world *world, const struct life *life,
                        const volatile unsigned char *start, size_t from, size_t n)
{
    world->n_checks++;
    for (size_t at = from; at < from + n && at < life->n_bytes; at++)
        if (start[at] != expected(world, life, at) && !(at < HELD_BYTES && life->nature == MEMORY))
            return false;
    return true;
}

static int fd_of(const struct world *world, const struct life *life)
{
    return life->nature >= MEMORY ? -1
                                  : world->fds[life->nature == SHARED_FILE ? SHARED : life->file];
}

/* What the kernel says about the first and last byte; expensive. */
static bool kernel_agrees(const struct world *world, const struct life *life,
                          const unsigned char *start)
{
    int fd = fd_of(world, life);
    unsigned long inode = fd < 0 || life->is_closed || life->n_bytes == 0 ? 0 : inode_of(fd);

    return inode_at(start) == inode &&
           (life->n_bytes == 0 || inode_at(start + life->n_bytes - 1) == inode);
}

static void check_region(struct world *world, const struct life *life, unsigned char *pointer,
                         size_t offset)
{
    unsigned char *start = pointer - offset;
    size_t n = life->n_bytes, middle = n > 0 ? random_below(world, n) : 0;

    if (hide(start) != life->hidden) {
        complain(&world->n_lost, "pointer changed", life, offset);
        return;
    }
    if (random_below(world, 200) == 0 && !kernel_agrees(world, life, start)) {
        complain(&world->n_lost, "not what should be mapped", life, offset);
        return;
    }
    if (life->is_closed || n == 0)
        return;
    if (!shows_right(world, life, start, 0, 80) || !shows_right(world, life, start, middle, 40) ||
        !shows_right(world, life, start, offset > 20 ? offset - 20 : 0, 40) ||
        !shows_right(world, life, start, n > 80 ? n - 80 : 0, 80) ||
        (n > BIG_STEP &&
         !shows_right(world, life, start,
                      (middle / BIG_STEP * BIG_STEP + BIG_STEP - life->offset % BIG_STEP) % n,
                      200)))
        complain(&world->n_wrong, "wrong bytes", life, offset);
}

static __attribute__((noinline)) void check_slot(struct world *world, unsigned i)
{
    const struct life *life = world->slots[i].life;
    unsigned char *pointer = world->pointers[i];
    size_t offset = world->slots[i].offset;

    /* And those that are only reached through memory. */
    for (unsigned depth = 0; life != NULL && depth < 20; depth++) {
        check_region(world, life, pointer, offset);
        if (life->is_closed || life->nature != MEMORY || life->child == NULL)
            break;
        memcpy(&pointer, pointer - offset, sizeof pointer);
        offset = life->child_offset;
        life = life->child;
    }
}

/* Whether they have a page in common, that of the byte behind the last included. */
static bool share_a_page(const struct life *a, const struct life *b)
{
    uintptr_t mask = ~(uintptr_t)4095;
    uintptr_t start_of_a = ~a->hidden & mask, end_of_a = (~a->hidden + a->n_bytes) | ~mask;
    uintptr_t start_of_b = ~b->hidden & mask, end_of_b = (~b->hidden + b->n_bytes) | ~mask;

    return start_of_a <= end_of_b && start_of_b <= end_of_a;
}

/* New memory must not lie where a slice still points to. */
static __attribute__((noinline)) void check_overlap(struct world *world, const struct life *new)
{
    for (unsigned i = 0; i < MOST_LIVES; i++) {
        struct life *life = &world->lives[i];

        if (life->nature == GONE || life == new || !share_a_page(life, new))
            continue;
        if (!life->is_dead)
            complain(&world->n_overlaps, "given out while in use", life, 0);
        life->nature = GONE; /* its addresses live again, as another */
    }
}

/* ---- events ----------------------------------------------------------------------- */

static struct life *free_life(struct world *world)
{
    unsigned start = (unsigned)random_below(world, MOST_LIVES);

    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < MOST_LIVES; i++) {
            struct life *life = &world->lives[(start + i) % MOST_LIVES];

            if (life->nature == GONE || (round == 1 && life->is_dead))
                return life;
        }
    return NULL;
}

static void choose_range(struct world *world, struct life *life)
{
    size_t size = life->nature == SHARED_FILE ? file_sizes[SHARED] : file_sizes[life->file];

    switch (random_below(world, 4)) {
    case 0: /* all of it */
        life->offset = 0;
        life->n_bytes = size;
        break;
    case 1: /* a little */
        life->offset = random_below(world, size);
        life->n_bytes = random_below(world, size - life->offset + 1);
        if (life->n_bytes > 20000)
            life->n_bytes = 1 + life->n_bytes % 20000;
        break;
    default:
        life->offset = random_below(world, size + 1);
        life->n_bytes = random_below(world, size - life->offset + 1);
        break;
    }
}

/* The same bytes in other ways, as the size has it. */
static gcmmap_region *map_readable(int fd, const struct life *life)
{
    gcmmap_options options = { .room = life->n_bytes };
    gcmmap_region *region;

    if (life->n_bytes % 4 != 1)
        return gcmmap_map(fd, (off_t)life->offset, life->n_bytes,
                          GCMMAP_READ | (life->n_bytes % 4 == 2 ? GCMMAP_PARTIAL : 0));
    region = gcmmap_map_with(fd, (off_t)life->offset, life->n_bytes / 2, GCMMAP_READ, &options);
    return region != NULL && gcmmap_extend(region, life->n_bytes) == 0 ? region : NULL;
}

static gcmmap_region *allocate(size_t n_bytes, unsigned flags)
{
    void *memory;

    if (n_bytes % 3 != 0 || n_bytes == 0)
        return gcmmap_alloc(n_bytes, flags);
    memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? gcmmap_adopt(memory, n_bytes, flags, NULL, NULL) : NULL;
}

static __attribute__((noinline)) gcmmap_region *map_as(struct world *world, const struct life *life)
{
    int fd = fd_of(world, life);

    switch (life->nature) {
    case READ_FILE:
        return map_readable(fd, life);
    case PRIVATE_FILE:
        return gcmmap_map(fd, (off_t)life->offset, life->n_bytes, GCMMAP_WRITE | GCMMAP_PRIVATE);
    case SHARED_FILE:
        return gcmmap_map(fd, (off_t)life->offset, life->n_bytes, GCMMAP_WRITE);
    case POINTER_FREE_MEMORY:
        return allocate(life->n_bytes, GCMMAP_POINTER_FREE);
    default:
        return allocate(life->n_bytes, 0);
    }
}

static void write_own(struct world *world, struct life *life, unsigned char *data)
{
    life->own_seed = (world->number + 1) * UINT64_C(1000000000) + world->n_own_seeds++;
    for (size_t at = HELD_BYTES; at < life->n_bytes; at++) {
        if (at == OWN_BYTES && life->n_bytes > 2 * OWN_BYTES)
            at = life->n_bytes - OWN_BYTES;
        data[at] = byte_at(life->own_seed, at);
    }
}

static __attribute__((noinline)) void map_one(struct world *world, unsigned slot)
{
    struct life life = { .nature = READ_FILE };
    struct life *place;
    gcmmap_region *region;
    unsigned char *data;
    uint64_t what = random_below(world, 100);
    size_t offset;

    life.nature = what < 50   ? READ_FILE
                  : what < 65 ? PRIVATE_FILE
                  : what < 75 ? SHARED_FILE
                  : what < 92 ? MEMORY
                              : POINTER_FREE_MEMORY;
    life.file = (unsigned)random_below(world, 400);
    life.file = life.file == 0 ? BIG : life.file % BIG;
    choose_range(world, &life);
    if (life.nature >= MEMORY)
        life.offset = 0;
    region = map_as(world, &life);
    world->n_maps++;
    if (region == NULL || gcmmap_size(region) != life.n_bytes) {
        complain(&world->n_errors, strerror(errno), &life, 0);
        return;
    }
    data = gcmmap_data(region);
    life.hidden = hide(data);
    take_stock(world);
    place = free_life(world);
    if (place == NULL) {
        complain(&world->n_errors, "oracle full", &life, 0);
        return;
    }
    *place = life;
    check_overlap(world, place);
    if ((life.nature == PRIVATE_FILE || life.nature >= MEMORY) && random_below(world, 2) == 0)
        write_own(world, place, data);
    /* Any place in it, one past the end included. */
    offset = random_below(world, 3) == 0 ? life.n_bytes : random_below(world, life.n_bytes + 1);
    set_slot(world, slot, place, data + offset, offset);
    check_slot(world, slot);
}

static void copy_slice(struct world *world, unsigned from, unsigned to)
{
    struct life *life = world->slots[from].life;
    size_t offset = random_below(world, life->n_bytes + 1);

    set_slot(world, to, life, world->pointers[from] - world->slots[from].offset + offset, offset);
}

/* Slot `to`'s slice moves into memory that slot `from` points to: nothing else may hold it. */
static void hand_over(struct world *world, unsigned holder, unsigned slot)
{
    struct life *life = world->slots[holder].life;

    void *held[] = { world->pointers[slot], world->keepers[slot] };

    if (life->nature != MEMORY || life->is_closed || life->n_bytes < sizeof held)
        return;
    memcpy(world->pointers[holder] - world->slots[holder].offset, held, sizeof held);
    life->child = world->slots[slot].life;
    life->child_offset = world->slots[slot].offset;
    set_slot(world, slot, NULL, NULL, 0);
}

static void write_shared(struct world *world, unsigned slot)
{
    struct life *life = world->slots[slot].life;
    unsigned char *start = world->pointers[slot] - world->slots[slot].offset;
    size_t at;

    if (life->nature != SHARED_FILE || life->is_closed || life->n_bytes == 0)
        return;
    at = random_below(world, life->n_bytes);
    start[at] = world->shared[life->offset + at] = (unsigned char)random_below(world, 256);
}

/* The access as it was mapped. */
static unsigned access_of(const struct life *life)
{
    return life->nature == READ_FILE ? GCMMAP_READ : GCMMAP_WRITE;
}

static int operate(const struct life *life, uint64_t what, unsigned char *p, size_t n)
{
    switch (what) {
    case 0:
        return gcmmap_sync(p, n, GCMMAP_ASYNC);
    case 1:
        return gcmmap_advise(p, n, GCMMAP_ADVISE_RANDOM);
    case 2:
        return gcmmap_prefetch(p, n);
    case 3:
        return gcmmap_unload(p, n);
    case 4:
        return gcmmap_lock(p, n) != 0 ? -1 : gcmmap_unlock(p, n);
    case 5:
        return gcmmap_residency(p, n, NULL, 0, NULL);
    case 6: /* its contents are traced all the same, until the next time */
        return gcmmap_protect(p, n, 0) != 0 ? -1 : ((void)gcmmap_collect(), 0);
    default:
        return gcmmap_protect(p, n, access_of(life));
    }
}

/* Something that changes no contents, to some of the bytes. */
static __attribute__((noinline)) void operate_on(struct world *world, unsigned slot)
{
    struct life *life = world->slots[slot].life;
    unsigned char *start = world->pointers[slot] - world->slots[slot].offset;
    size_t from = random_below(world, life->n_bytes + 1);
    size_t n =
        random_below(world, (life->n_bytes - from < 30000 ? life->n_bytes - from : 30000) + 1);
    uint64_t what = random_below(world, 8);
    int result, wanted = life->is_closed ? EBADF : 0;

    /* One collection for each would take too long. */
    if (what == 6 && random_below(world, 50) != 0)
        what = 7;
    if (what >= 6 && !life->is_closed && n > 0 && life->nature != POINTER_FREE_MEMORY &&
        collector_write_protects() && (life->nature == MEMORY || life->nature == PRIVATE_FILE))
        wanted = ENOTSUP;
    errno = 0;
    result = operate(life, what, start + from, n);
    if (result != (wanted == 0 ? 0 : -1) || errno != wanted)
        complain(&world->n_errors, strerror(errno), life, (size_t)what);
    if (what == 6 && result == 0 && gcmmap_protect(start + from, n, access_of(life)) != 0)
        complain(&world->n_errors, "gcmmap_protect", life, from);
}

static __attribute__((noinline)) void close_one(struct world *world, unsigned slot)
{
    struct life *life = world->slots[slot].life;

    if (gcmmap_close(gcmmap_of(world->pointers[slot])) != 0)
        complain(&world->n_errors, "gcmmap_close", life, 0);
    life->is_closed = true;
    life->child = NULL;
    world->n_closed++;
}

static bool is_a_child(const struct world *world, const struct life *life)
{
    for (unsigned i = 0; i < MOST_LIVES; i++)
        if (world->lives[i].child == life && !world->lives[i].is_dead)
            return true;
    return false;
}

static __attribute__((noinline)) void unmap_one(struct world *world, unsigned slot)
{
    struct life *life = world->slots[slot].life;
    gcmmap_region *region = gcmmap_of(world->pointers[slot]);

    take_stock(world);
    if (is_a_child(world, life))
        return; /* a slice is left */
    empty_slots_of(world, life);
    life->nature = GONE;
    if (gcmmap_unmap_now(region) != 0)
        complain(&world->n_errors, "gcmmap_unmap_now", life, 0);
}

static void one_event(struct world *world)
{
    unsigned slot = (unsigned)random_below(world, N_SLOTS);
    unsigned other = (unsigned)random_below(world, N_SLOTS);
    uint64_t what = random_below(world, 1000);

    if (world->slots[slot].life == NULL || what < 350)
        map_one(world, slot);
    else if (what < 500)
        check_slot(world, slot);
    else if (what < 560)
        copy_slice(world, slot, other);
    else if (what < 640 && world->slots[other].life != NULL && slot != other)
        hand_over(world, slot, other);
    else if (what < 720)
        write_shared(world, slot);
    else if (what < 760)
        close_one(world, slot);
    else if (what < 820)
        unmap_one(world, slot);
    else if (what < 850)
        operate_on(world, slot);
    else if (what < 996)
        set_slot(world, slot, NULL, NULL, 0);
    else if (what < 998)
        GC_gcollect();
    else if (what < 999)
        (void)gcmmap_collect();
    else
        make_noise();
}

/* ---- do the dead go? -------------------------------------------------------------- */

struct map {
    uintptr_t hidden_start, hidden_end;
    unsigned long inode;
};

/* Those of files. */
static struct map *read_maps(size_t *n)
{
    size_t room = 1024;
    struct map *maps = malloc(room * sizeof *maps);
    FILE *file = fopen("/proc/self/maps", "r");
    char line[4400];

    *n = 0;
    need(maps != NULL && file != NULL, "/proc/self/maps");
    while (fgets(line, sizeof line, file)) {
        unsigned long from, to, inode;

        if (sscanf(line, "%lx-%lx %*s %*x %*s %lu", &from, &to, &inode) != 3 || inode == 0)
            continue;
        if (*n == room) {
            room *= 2;
            maps = realloc(maps, room * sizeof *maps);
            need(maps != NULL, "realloc");
        }
        maps[(*n)++] = (struct map){ ~(uintptr_t)from, ~(uintptr_t)to, inode };
    }
    fclose(file);
    return maps;
}

/* Hidden addresses fall as addresses rise. */
static bool is_mapped(const struct map *maps, size_t n, uintptr_t hidden, unsigned long inode)
{
    for (size_t i = 0; i < n; i++)
        if (maps[i].inode == inode && hidden <= maps[i].hidden_start && hidden > maps[i].hidden_end)
            return true;
    return false;
}

/* Dead regions with a file that are still there. */
static unsigned count_late(struct world *world)
{
    size_t n_maps;
    struct map *maps = read_maps(&n_maps);
    unsigned n = 0;

    take_stock(world);
    for (unsigned i = 0; i < MOST_LIVES; i++) {
        const struct life *life = &world->lives[i];
        int fd = life->nature == GONE ? -1 : fd_of(world, life);

        if (life->is_dead && !life->is_closed && life->n_bytes > 0 && fd >= 0)
            n += is_mapped(maps, n_maps, life->hidden, inode_of(fd));
    }
    free(maps);
    return n;
}

static void check_everything(struct world *world)
{
    for (unsigned i = 0; i < N_SLOTS; i++)
        if (world->slots[i].life != NULL)
            check_slot(world, i);
}

static void live(void *arg)
{
    struct world *world = arg;

    for (unsigned i = 0; i < 200; i++)
        one_event(world);
}

static bool is_over(const struct world *world)
{
    return ends != 0 ? time(NULL) >= ends : world->n_maps >= n_maps_wanted;
}

static void print_counters(void)
{
    gcmmap_stats stats = stats_now();

    note("counters %ld %zu %zu %zu %zu %zu %zu", (long)(time(NULL) - began), stats.n_mapped,
         stats.n_live, stats.n_closed, stats.n_dying, stats.n_pooled, stats.bytes_reserved / 1024);
}

static void *live_through(void *arg)
{
    struct world *world = arg;

    for (unsigned long n = 0; !is_over(world); n++) {
        apart(live, world);
        if (n % 64 == 63) {
            unsigned n_late;

            check_everything(world);
            collect_thoroughly();
            /* The other world's thread may be in the middle of a release. */
            for (int i = 0; (n_late = count_late(world)) > ACCIDENTS_NOW && i < 10; i++)
                collect_thoroughly();
            if (n_late > world->n_late)
                world->n_late = n_late;
            if (ends != 0 && world->number == 0)
                print_counters();
        }
    }
    check_everything(world);
    return NULL;
}

/* ---- beginning and end --------------------------------------------------------------- */

static int make_big_file(uint64_t seed)
{
    int fd = make_file(seed, 0);

    need(ftruncate(fd, (off_t)file_sizes[BIG]) == 0, "ftruncate");
    for (size_t at = 0; at < file_sizes[BIG]; at += BIG_STEP) {
        unsigned char bytes[4096];
        size_t n = file_sizes[BIG] - at < sizeof bytes ? file_sizes[BIG] - at : sizeof bytes;

        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(seed, at + i);
        need(pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n, "write");
    }
    return fd;
}

static struct world *new_world(unsigned number, uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);

    need(world != NULL, "calloc");
    world->number = number;
    world->state = seed;
    world->pointers = GC_MALLOC_UNCOLLECTABLE(N_SLOTS * sizeof *world->pointers);
    world->keepers = GC_MALLOC_UNCOLLECTABLE(N_SLOTS * sizeof *world->keepers);
    world->shared = calloc(1, file_sizes[SHARED]);
    need(world->pointers != NULL && world->keepers != NULL && world->shared != NULL, "memory");
    for (unsigned i = 0; i <= N_FILES; i++) {
        world->fds[i] = i == BIG      ? make_big_file(file_seed(world, i))
                        : i == SHARED ? make_file(0, 0)
                                      : make_file(file_seed(world, i), file_sizes[i]);
    }
    need(ftruncate(world->fds[SHARED], (off_t)file_sizes[SHARED]) == 0, "ftruncate");
    return world;
}

/* By reading, not by mapping. */
static bool file_is_right(const struct world *world, unsigned file)
{
    size_t n = file_sizes[file];
    unsigned char *bytes = malloc(n);
    bool is_right;

    need(bytes != NULL && pread(world->fds[file], bytes, n, 0) == (ssize_t)n, "pread");
    is_right = file != SHARED || memcmp(bytes, world->shared, n) == 0;
    for (size_t i = 0; i < n && is_right && file != SHARED; i++)
        is_right = bytes[i] ==
                   (file != BIG || i % BIG_STEP < 4096 ? byte_at(file_seed(world, file), i) : 0);
    free(bytes);
    return is_right;
}

static void report(struct world *world)
{
    bool files_are_right = true;

    ok(world->n_wrong == 0, "world %u: %lu looks at slices, %lu saw wrong bytes", world->number,
       world->n_checks, world->n_wrong);
    ok(world->n_lost == 0, "world %u: %lu slices lost their memory", world->number, world->n_lost);
    ok(world->n_overlaps == 0, "world %u: of %lu maps, %lu lie on addresses in use", world->number,
       world->n_maps, world->n_overlaps);
    ok(world->n_errors == 0, "world %u: %lu calls failed", world->number, world->n_errors);
    ok(world->n_late <= ACCIDENTS_NOW,
       "world %u: the dead go within a few collections, but for %lu at worst", world->number,
       world->n_late);
    for (unsigned i = 0; i <= N_FILES; i++)
        files_are_right &= file_is_right(world, i);
    ok(files_are_right, "world %u: the files have what was written to them, no more",
       world->number);
}

static size_t bytes_left(const struct world *world)
{
    size_t n = 0;

    for (unsigned i = 0; i <= N_FILES; i++)
        if (i != BIG)
            n += bytes_mapped_from(world->fds[i]);
    return n;
}

static struct world *worlds[N_WORLDS];

static void run(void *arg)
{
    pthread_t threads[N_WORLDS];

    (void)arg;
    for (unsigned i = 1; i < N_WORLDS; i++)
        need(pthread_create(&threads[i], NULL, live_through, worlds[i]) == 0, "thread");
    (void)live_through(worlds[0]);
    for (unsigned i = 1; i < N_WORLDS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    uint64_t seed = test_seed();
    const char *wanted = getenv("GCMMAP_STRESS_MAPPINGS");
    const char *seconds = getenv("GCMMAP_STRESS_SECONDS");
    unsigned long n_maps = 0;
    gcmmap_stats stats;
    size_t n_left, n_bytes = 0;

    n_maps_wanted = (wanted ? strtoul(wanted, NULL, 0) : 120000) / N_WORLDS;
    began = time(NULL);
    ends = seconds != NULL ? began + strtol(seconds, NULL, 0) : 0;
    GC_INIT();
    for (unsigned i = 0; i < N_WORLDS; i++)
        worlds[i] = new_world(i, next_random(&seed));
    apart(run, NULL);
    for (unsigned i = 0; i < N_WORLDS; i++) {
        n_maps += worlds[i]->n_maps;
        memset(worlds[i]->pointers, 0, N_SLOTS * sizeof *worlds[i]->pointers);
        memset(worlds[i]->keepers, 0, N_SLOTS * sizeof *worlds[i]->keepers);
        report(worlds[i]);
    }
    collect_thoroughly();
    stats = stats_now();
    n_left = stats.n_live + stats.n_closed + stats.n_dying;
    for (unsigned i = 0; i < N_WORLDS; i++)
        n_bytes += bytes_left(worlds[i]);
    ok(n_left <= ACCIDENTS, "without slices %zu regions are left", n_left);
    ok(n_bytes <= ACCIDENTS * 4 * MiB, "and %zu bytes of the files are mapped", n_bytes);
    ok(stats.n_mapped == n_maps && n_maps == n_left + stats.n_released + stats.n_unmapped_now,
       "the counters add up: %zu mapped, %zu released, %zu unmapped now, %zu collections of ours",
       stats.n_mapped, stats.n_released, stats.n_unmapped_now, stats.n_collections);
    return done_testing();
}
