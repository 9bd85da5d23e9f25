/*
 * ecl-gcmmap: what the ECL system gcmmap needs of C: vectors of octets over regions.
 *
 * SPDX-License-Identifier: MIT
 *
 * ECL runs the collector without interior pointers.  So the base, a vector that begins at the
 * handle, which is the start of an object, keeps the region by its pointer to its data.  All
 * others are arrays displaced to it, and those keep what they are displaced to.
 *
 *     slice --displaced to--> base --data--> region
 *
 * The base is what the user gets where the bytes asked for begin with a page.
 *
 * Both have object kinds of their own and are members of their region (members.h): closed
 * arrays have no elements, so that access is out of range and does not fault.  (Arrays that the
 * user displaces to ours are not members.)  ECL does make a condition of a fault, but not for
 * ever: see the module's text.
 *
 * The Lisp side checks types and ranges: numbers that come here are fixnums that are not
 * negative.  Functions return an errno as a fixnum where they do not return what they are for.
 */
#include "calls.h"
#include "members.h"

#include <ecl/ecl.h>

#include <errno.h>
#include <string.h>

#include "gcmmap.h"

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void gcmmap_ecl_set_up(void);
PUBLIC cl_object gcmmap_ecl_map_file(cl_object name, cl_object offset, cl_object size,
                                     cl_object flags);
PUBLIC cl_object gcmmap_ecl_map_fd(cl_object fd, cl_object name, cl_object offset, cl_object size,
                                   cl_object flags);
PUBLIC cl_object gcmmap_ecl_map_memory(cl_object name, cl_object size, cl_object flags);
PUBLIC cl_object gcmmap_ecl_slice(cl_object array, cl_object start, cl_object size);
PUBLIC cl_object gcmmap_ecl_state(cl_object array);
PUBLIC cl_object gcmmap_ecl_copy(cl_object to, cl_object array, cl_object start);
PUBLIC cl_object gcmmap_ecl_close(cl_object array);
PUBLIC cl_object gcmmap_ecl_sync(cl_object array, cl_object flags);
PUBLIC cl_object gcmmap_ecl_store(cl_object array, cl_object start, cl_object from);
PUBLIC cl_object gcmmap_ecl_operate(cl_object array, cl_object operation, cl_object argument);
PUBLIC cl_object gcmmap_ecl_resident(cl_object array);
PUBLIC cl_object gcmmap_ecl_reason(cl_object error);
PUBLIC cl_object gcmmap_ecl_collect(void);
PUBLIC cl_object gcmmap_ecl_statistics(void);

struct cell {
    struct ecl_vector vector;
    struct member member; /* the collector does not look here */
};

struct base {
    struct cell cell;
    cl_object name;
    cl_object link; /* a list of the base, which all slices share: what ECL has arrays name what
                       they are displaced to by.  It writes there for adjustable ones only. */
};

static unsigned base_kind, slice_kind;

static int GC_CALLBACK disclaim_cell(void *object)
{
    return member_disclaim(&((struct cell *)object)->member);
}

static void set_length(struct member *member, size_t n_bytes)
{
    struct cell *cell = (struct cell *)((char *)member - offsetof(struct cell, member));

    cell->vector.dim = cell->vector.fillp = n_bytes;
}

/* NULL: no memory, or the region was closed. */
static void *make_cell(size_t size, unsigned kind, struct members *members, cl_object displaced,
                       uint8_t *data, size_t n_elements)
{
    struct cell *cell = GC_generic_malloc(size, (int)kind);

    if (!cell)
        return NULL;
    cell->vector.t = t_vector;
    cell->vector.elttype = ecl_aet_b8;
    cell->vector.displaced = displaced;
    cell->vector.dim = cell->vector.fillp = cell->member.n_bytes = n_elements;
    cell->vector.self.b8 = data;
    return members_add(members, &cell->member) ? cell : NULL;
}

static cl_object make_slice(struct base *base, uint8_t *data, size_t n_elements)
{
    struct cell *slice =
        make_cell(sizeof *slice, slice_kind, base->cell.member.of, base->link, data, n_elements);

    return slice ? (cl_object)slice : ECL_NIL;
}

/* The bit of a word in a descriptor's bitmap: the highest bit is the first word. */
static GC_word bit_of(size_t offset)
{
    return (GC_word)1 << (8 * sizeof(GC_word) - 1 - offset / sizeof(GC_word));
}

void gcmmap_ecl_set_up(void)
{
    GC_word displaced = bit_of(offsetof(struct cell, vector.displaced));
    GC_word all = displaced | bit_of(offsetof(struct cell, vector.self)) |
                  bit_of(offsetof(struct base, name)) | bit_of(offsetof(struct base, link));

    if (base_kind)
        return;
    slice_kind = GC_new_kind(GC_new_free_list(), displaced | GC_DS_BITMAP, 0, 1);
    base_kind = GC_new_kind(GC_new_free_list(), all | GC_DS_BITMAP, 0, 1);
    GC_register_disclaim_proc((int)slice_kind, disclaim_cell, 0);
    GC_register_disclaim_proc((int)base_kind, disclaim_cell, 0);
}

static bool has_kind(cl_object array, unsigned kind)
{
    return GC_base(array) == array && GC_get_kind_and_size(array, NULL) == (int)kind;
}

/* What an array is displaced to, or NIL. */
static cl_object displaced_to(cl_object array)
{
    bool is_array = ecl_t_of(array) == t_vector || ecl_t_of(array) == t_array;

    if (!is_array || Null(array->array.displaced))
        return ECL_NIL;
    return ECL_CONS_CAR(array->array.displaced);
}

/* The array of ours that this one is, or is displaced to. */
static struct cell *find_cell(cl_object array)
{
    for (; !Null(array); array = displaced_to(array))
        if (has_kind(array, slice_kind) || has_kind(array, base_kind))
            return (struct cell *)array;
    return NULL;
}

static struct base *base_of(struct cell *cell)
{
    if (has_kind((cl_object)cell, base_kind))
        return (struct base *)cell;
    return (struct base *)ECL_CONS_CAR(cell->vector.displaced);
}

static cl_object array_over(gcmmap_region *region, cl_object name, int error)
{
    struct members *members;
    struct base *base;
    size_t n_before, n_bytes;
    cl_object slice;

    if (!region)
        return ecl_make_fixnum(error);
    n_before = (size_t)((char *)gcmmap_data(region) - (char *)region);
    n_bytes = gcmmap_size(region);
    members = members_new();
    if (!members)
        return ecl_make_fixnum(ENOMEM);
    base =
        make_cell(sizeof *base, base_kind, members, ECL_NIL, (uint8_t *)region, n_before + n_bytes);
    if (!base)
        return ecl_make_fixnum(ENOMEM);
    base->name = name;
    base->link = ecl_list1((cl_object)base);
    if (n_before == 0)
        return (cl_object)base;
    slice = make_slice(base, (uint8_t *)region + n_before, n_bytes);
    return Null(slice) ? ecl_make_fixnum(ENOMEM) : slice;
}

static size_t size_or_rest(cl_object size)
{
    return Null(size) ? GCMMAP_REST : (size_t)ecl_fixnum(size);
}

/* UTF-8, malloc'ed; NULL if there is no memory or the name holds a 0. */
static char *file_name_of(cl_object string)
{
    cl_index n = (cl_index)ecl_length(string);
    char *name = malloc(4 * n + 1), *end = name;

    for (cl_index i = 0; name && i < n; i++) {
        unsigned c = (unsigned)ecl_char(string, i);

        if (c == 0) {
            free(name);
            return NULL;
        }
        if (c < 0x80) {
            *end++ = (char)c;
        } else if (c < 0x800) {
            *end++ = (char)(0xc0 | c >> 6);
            *end++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            *end++ = (char)(0xe0 | c >> 12);
            *end++ = (char)(0x80 | (c >> 6 & 0x3f));
            *end++ = (char)(0x80 | (c & 0x3f));
        } else {
            *end++ = (char)(0xf0 | c >> 18);
            *end++ = (char)(0x80 | (c >> 12 & 0x3f));
            *end++ = (char)(0x80 | (c >> 6 & 0x3f));
            *end++ = (char)(0x80 | (c & 0x3f));
        }
    }
    if (name)
        *end = '\0';
    return name;
}

/*
 * ECL's interrupts, which may leave a function for good, wait until gcmmap is done, as they do
 * for the collector itself.
 */
cl_object gcmmap_ecl_map_file(cl_object name, cl_object offset, cl_object size, cl_object flags)
{
    size_t n_bytes = size_or_rest(size);
    off_t start = (off_t)ecl_fixnum(offset);
    unsigned wanted = (unsigned)ecl_fixnum(flags);
    bool whole = start == 0 && n_bytes == GCMMAP_REST;
    gcmmap_region *region = NULL;
    int error = ENOENT;
    cl_object array;
    char *path;

    ecl_disable_interrupts();
    path = file_name_of(name);
    if (path) {
        region = whole ? gcmmap_open(path, wanted) : map_part(path, start, n_bytes, wanted);
        error = errno;
        free(path);
    }
    array = array_over(region, name, error);
    ecl_enable_interrupts();
    return array;
}

cl_object gcmmap_ecl_map_fd(cl_object fd, cl_object name, cl_object offset, cl_object size,
                            cl_object flags)
{
    gcmmap_region *region;
    cl_object array;

    ecl_disable_interrupts();
    region = gcmmap_map((int)ecl_fixnum(fd), (off_t)ecl_fixnum(offset), size_or_rest(size),
                        (unsigned)ecl_fixnum(flags));
    array = array_over(region, name, errno);
    ecl_enable_interrupts();
    return array;
}

cl_object gcmmap_ecl_map_memory(cl_object name, cl_object size, cl_object flags)
{
    gcmmap_region *region;
    cl_object array;

    ecl_disable_interrupts();
    region = gcmmap_alloc((size_t)ecl_fixnum(size), (unsigned)ecl_fixnum(flags));
    array = array_over(region, name, errno);
    ecl_enable_interrupts();
    return array;
}

/* The range lies inside the array; NIL: the region was closed. */
cl_object gcmmap_ecl_slice(cl_object array, cl_object start, cl_object size)
{
    cl_object slice;

    ecl_disable_interrupts();
    slice = make_slice(base_of(find_cell(array)), array->vector.self.b8 + ecl_fixnum(start),
                       (size_t)ecl_fixnum(size));
    ecl_enable_interrupts();
    return slice;
}

/* (name . closed?); NIL: not an array of ours or displaced to one. */
cl_object gcmmap_ecl_state(cl_object array)
{
    struct cell *cell = find_cell(array);

    if (!cell)
        return ECL_NIL;
    return CONS(base_of(cell)->name, cell->member.of->closed ? ECL_T : ECL_NIL);
}

struct copy {
    uint8_t *to;
    const uint8_t *from;
    size_t n_bytes;
    const uint8_t *mapped; /* one of the two */
};

#define BYTES_AT_ONCE 4096u

/* Nothing of ECL's is interrupted in here.  By pages, to tell the first that is gone. */
static void copy_bytes(void *argument)
{
    const struct copy *copy = argument;
    const uint8_t *mapped = copy->mapped;
    size_t done = 0;

    while (done < copy->n_bytes) {
        size_t left = copy->n_bytes - done;
        size_t n = BYTES_AT_ONCE - ((uintptr_t)(mapped + done) & (BYTES_AT_ONCE - 1));

        n = n < left ? n : left;
        memcpy(copy->to + done, copy->from + done, n);
        done += n;
    }
}

/* NIL, or what is wrong: (kind offset file-size text). */
static cl_object guarded_copy(struct copy *copy)
{
    gcmmap_fault fault;
    char text[512];
    int result;

    ecl_disable_interrupts();
    result = gcmmap_try(copy_bytes, copy, &fault);
    ecl_enable_interrupts();
    if (result == 0)
        return ECL_NIL;
    gcmmap_fault_text(&fault, text, sizeof text);
    return cl_list(4, ecl_make_fixnum(fault.kind), ecl_make_fixnum((cl_fixnum)fault.offset),
                   ecl_make_fixnum((cl_fixnum)fault.file_size),
                   ecl_make_simple_base_string(text, -1));
}

/* Fills a vector of octets. */
cl_object gcmmap_ecl_copy(cl_object to, cl_object array, cl_object start)
{
    const uint8_t *from = array->vector.self.b8 + ecl_fixnum(start);
    struct copy copy = { to->vector.self.b8, from, to->vector.dim, from };

    return guarded_copy(&copy);
}

/* Stores all of a vector of octets, for which there is room. */
cl_object gcmmap_ecl_store(cl_object array, cl_object start, cl_object from)
{
    uint8_t *to = array->vector.self.b8 + ecl_fixnum(start);
    struct copy copy = { to, from->vector.self.b8, from->vector.fillp, to };

    return guarded_copy(&copy);
}

cl_object gcmmap_ecl_close(cl_object array)
{
    struct cell *base = &base_of(find_cell(array))->cell;
    int error = 0;

    ecl_disable_interrupts();
    /* First no array has elements, then there are none. */
    members_close(base->member.of, set_length);
    if (gcmmap_close((gcmmap_region *)base->vector.self.b8) != 0) {
        error = errno;
        members_reopen(base->member.of, set_length);
    }
    ecl_enable_interrupts();
    return ecl_make_fixnum(error);
}

cl_object gcmmap_ecl_sync(cl_object array, cl_object flags)
{
    int error = 0;

    ecl_disable_interrupts();
    if (gcmmap_sync(array->vector.self.b8, array->vector.dim, (unsigned)ecl_fixnum(flags)) != 0)
        error = errno;
    ecl_enable_interrupts();
    return ecl_make_fixnum(error);
}

cl_object gcmmap_ecl_operate(cl_object array, cl_object operation, cl_object argument)
{
    int error = 0;

    ecl_disable_interrupts();
    if (operate_on(array->vector.self.b8, array->vector.dim, (enum operation)ecl_fixnum(operation),
                   (int)ecl_fixnum(argument)) != 0)
        error = errno;
    ecl_enable_interrupts();
    return ecl_make_fixnum(error);
}

/* Or an errno, negative. */
cl_object gcmmap_ecl_resident(cl_object array)
{
    size_t n_resident = 0;
    cl_fixnum result;

    ecl_disable_interrupts();
    if (gcmmap_residency(array->vector.self.b8, array->vector.dim, NULL, 0, &n_resident) == 0)
        result = (cl_fixnum)n_resident;
    else
        result = -errno;
    ecl_enable_interrupts();
    return ecl_make_fixnum(result);
}

cl_object gcmmap_ecl_reason(cl_object error)
{
    return ecl_make_simple_base_string(reason_for((int)ecl_fixnum(error)), -1);
}

cl_object gcmmap_ecl_collect(void)
{
    size_t n_released;

    ecl_disable_interrupts();
    n_released = gcmmap_collect();
    ecl_enable_interrupts();
    return ecl_make_fixnum((cl_fixnum)n_released);
}

cl_object gcmmap_ecl_statistics(void)
{
    gcmmap_stats stats;

    gcmmap_get_stats(&stats);
    return cl_list(
        6, ecl_make_fixnum((cl_fixnum)stats.n_live), ecl_make_fixnum((cl_fixnum)stats.n_closed),
        ecl_make_fixnum((cl_fixnum)stats.n_dying), ecl_make_fixnum((cl_fixnum)stats.n_mapped),
        ecl_make_fixnum((cl_fixnum)stats.n_released), ecl_make_fixnum((cl_fixnum)stats.bytes_live));
}
