/*
 * guile-gcmmap: what the Guile module (gcmmap) needs of C.  The module's own text says
 * what each procedure does; here is how a bytevector holds its region.
 *
 * SPDX-License-Identifier: MIT
 *
 * Guile runs the collector without interior pointers, so a bytevector's pointer to its
 * contents holds nothing.  It has a word for the object that its contents belong to, and
 * there we keep the way to the handle, which is the start of an object:
 *
 *     bytevector                      pair        pointer object
 *     +----------------------+      +------+      +----------+
 *     | type, immutable?     |      | car -+----->| tag      |
 *     | length               |      | name |      | handle --+---> region
 *     | contents ------------+---+  +------+      +----------+     |  |
 *     | parent --------------+---|----^                            |  |
 *     | member               |   +------------------------------------+ bytes
 *     +----------------------+
 *
 * Our bytevectors have an object kind of their own.  Its descriptor names the parent as the
 * only pointer: looking at the contents would be in vain and would have bdwgc black-list
 * pages.  They are members of their region (members.h): closed bytevectors have no bytes, so
 * that any access is out of range and none faults.
 */
#include "calls.h"
#include "members.h"

#include <libguile.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "gcmmap.h"

struct cell {
    /* As Guile has it. */
    scm_t_bits type;
    size_t length;
    unsigned char *contents;
    SCM parent;
    struct member member;
};

_Static_assert(SCM_BYTEVECTOR_HEADER_SIZE == 4, "bytevectors of Guile have four words");
_Static_assert(offsetof(struct cell, member) == 4 * sizeof(scm_t_bits), "ours come after");

static unsigned cell_kind;
static SCM closed_key;
static scm_t_port_type *port_type;

/* ---- errors ---------------------------------------------------------------- */

static _Noreturn void system_error(const char *who, SCM what, int error)
{
    scm_syserror_msg(who, "~A: ~S", scm_list_2(scm_from_locale_string(reason_for(error)), what),
                     error);
}

static _Noreturn void closed_error(const char *who, const struct cell *cell)
{
    scm_error(closed_key, who, "the mapping of ~S was closed", scm_list_1(SCM_CDR(cell->parent)),
              SCM_BOOL_F);
}

/* ---- bytevectors and their regions ------------------------------------------ */

static int GC_CALLBACK disclaim_cell(void *object)
{
    return member_disclaim(&((struct cell *)object)->member);
}

static void set_length(struct member *member, size_t n_bytes)
{
    ((struct cell *)((char *)member - offsetof(struct cell, member)))->length = n_bytes;
}

/* A bytevector, or SCM_BOOL_F if the region was closed. */
static SCM make_cell(struct members *members, SCM parent, unsigned char *data, size_t n_bytes,
                     scm_t_bits type)
{
    struct cell *cell = GC_generic_malloc(sizeof *cell, (int)cell_kind);

    if (!cell)
        system_error("map-file", SCM_CDR(parent), ENOMEM);
    cell->type = type;
    cell->length = cell->member.n_bytes = n_bytes;
    cell->contents = data;
    cell->parent = parent;
    if (!members_add(members, &cell->member))
        return SCM_BOOL_F;
    scm_remember_upto_here_1(parent);
    return SCM_PACK_POINTER(cell);
}

static bool is_cell(SCM bytevector)
{
    void *object = (void *)SCM_UNPACK(bytevector);

    return GC_base(object) == object && GC_get_kind_and_size(object, NULL) == (int)cell_kind;
}

/* The bytevector of ours that this one is, or is a slice of by Guile's own means. */
static struct cell *find_cell(SCM bytevector)
{
    while (scm_is_bytevector(bytevector)) {
        if (is_cell(bytevector))
            return (struct cell *)SCM_UNPACK(bytevector);
        if (SCM_BYTEVECTOR_CONTIGUOUS_P(bytevector))
            return NULL;
        bytevector = SCM_BYTEVECTOR_PARENT(bytevector);
    }
    return NULL;
}

static struct cell *need_cell(const char *who, SCM bytevector)
{
    struct cell *cell = find_cell(bytevector);

    if (!cell)
        scm_wrong_type_arg_msg(who, 1, bytevector, "mapped bytevector");
    return cell;
}

static struct cell *need_open_cell(const char *who, SCM bytevector)
{
    struct cell *cell = need_cell(who, bytevector);

    if (cell->member.of->closed)
        closed_error(who, cell);
    return cell;
}

static gcmmap_region *handle_of(const struct cell *cell)
{
    return scm_to_pointer(SCM_CAR(cell->parent));
}

static SCM bytevector_of(const char *who, gcmmap_region *region, SCM name, unsigned flags)
{
    SCM parent, bytevector;
    struct members *members;
    scm_t_bits marks = SCM_ARRAY_ELEMENT_TYPE_VU8;

    if (!region)
        system_error(who, name, errno);
    parent = scm_cons(scm_from_pointer(region, NULL), name);
    members = members_new();
    if (!members)
        system_error(who, name, ENOMEM);
    if (!(flags & GCMMAP_WRITE))
        marks |= SCM_F_BYTEVECTOR_IMMUTABLE;
    bytevector = make_cell(members, parent, gcmmap_data(region), gcmmap_size(region),
                           scm_tc7_bytevector | marks << 7);
    scm_remember_upto_here_1(parent);
    return bytevector;
}

/* ---- mapping ------------------------------------------------------------------ */

/* scm_to_size_t() of Guile 3.0.8 crashes on what it should refuse. */
static size_t number_from(const char *who, int position, SCM number, size_t most)
{
    if (!scm_is_exact_integer(number))
        scm_wrong_type_arg_msg(who, position, number, "exact integer");
    if (!scm_is_unsigned_integer(number, 0, most))
        scm_out_of_range_pos(who, number, scm_from_int(position));
    return scm_to_size_t(number);
}

/* No object is larger than SSIZE_MAX. */
static size_t size_from(const char *who, int position, SCM size)
{
    return number_from(who, position, size, SSIZE_MAX);
}

/* #f is "to the end of the file". */
static size_t size_or_rest(const char *who, int position, SCM size)
{
    return scm_is_false(size) ? GCMMAP_REST : size_from(who, position, size);
}

static SCM map_fd(SCM fd, SCM offset, SCM size, SCM flags, SCM name, SCM who)
{
    SCM bytevector;
    char *caller = scm_to_utf8_string(scm_symbol_to_string(who));

    scm_dynwind_begin(0);
    scm_dynwind_free(caller);
    unsigned wanted = scm_to_uint(flags);
    off_t start = (off_t)size_from(caller, 2, offset);
    size_t n_bytes = size_or_rest(caller, 3, size);
    gcmmap_region *region =
        gcmmap_map((int)number_from(caller, 1, fd, INT_MAX), start, n_bytes, wanted);
    bytevector = bytevector_of(caller, region, name, wanted);
    scm_dynwind_end();
    return bytevector;
}

static SCM map_path(SCM path, SCM offset, SCM size, SCM flags)
{
    static const char who[] = "map-file";
    SCM bytevector;

    SCM_ASSERT_TYPE(scm_is_string(path), path, 1, who, "string");
    unsigned wanted = scm_to_uint(flags);
    off_t start = (off_t)size_from(who, 2, offset);
    size_t n_bytes = size_or_rest(who, 3, size);

    scm_dynwind_begin(0);
    char *name = scm_to_locale_string(path);
    scm_dynwind_free(name);
    bool whole = start == 0 && n_bytes == GCMMAP_REST;
    gcmmap_region *region =
        whole ? gcmmap_open(name, wanted) : map_part(name, start, n_bytes, wanted);
    bytevector = bytevector_of(who, region, path, wanted);
    scm_dynwind_end();
    return bytevector;
}

static SCM map_memory(SCM size, SCM flags)
{
    static const char who[] = "map-memory";
    unsigned wanted = scm_to_uint(flags);
    size_t n_bytes = size_from(who, 1, size);

    return bytevector_of(who, gcmmap_alloc(n_bytes, wanted),
                         scm_from_utf8_string("anonymous memory"), wanted);
}

/* ---- slices ------------------------------------------------------------------- */

static SCM mapped_slice(SCM bytevector, SCM offset, SCM size)
{
    static const char who[] = "mapped-slice";
    struct cell *cell = need_open_cell(who, bytevector);
    size_t n_whole = SCM_BYTEVECTOR_LENGTH(bytevector);
    size_t start = size_from(who, 2, offset);
    size_t n_bytes;
    SCM slice;

    n_bytes = SCM_UNBNDP(size) || scm_is_false(size) ? 0 : size_from(who, 3, size);
    if (start > n_whole || n_bytes > n_whole - start) {
        need_open_cell(who, bytevector); /* closed just now: not the range is wrong */
        scm_out_of_range_pos(who, start > n_whole ? offset : size,
                             scm_from_int(start > n_whole ? 2 : 3));
    }
    if (SCM_UNBNDP(size) || scm_is_false(size))
        n_bytes = n_whole - start;
    slice = make_cell(cell->member.of, cell->parent,
                      (unsigned char *)SCM_BYTEVECTOR_CONTENTS(bytevector) + start, n_bytes,
                      cell->type);
    if (scm_is_false(slice))
        closed_error(who, cell);
    scm_remember_upto_here_1(bytevector);
    return slice;
}

/* ---- closing and asking -------------------------------------------------------- */

static SCM close_mapping(SCM bytevector)
{
    static const char who[] = "close-mapping";
    struct cell *cell = need_cell(who, bytevector);

    /* First no bytevector has bytes, then there are none. */
    members_close(cell->member.of, set_length);
    if (gcmmap_close(handle_of(cell)) != 0) {
        int error = errno;

        members_reopen(cell->member.of, set_length);
        system_error(who, SCM_CDR(cell->parent), error);
    }
    scm_remember_upto_here_1(bytevector);
    return SCM_UNSPECIFIED;
}

static SCM is_mapped(SCM object)
{
    return scm_from_bool(find_cell(object) != NULL);
}

static SCM is_open(SCM bytevector)
{
    return scm_from_bool(!need_cell("mapping-open?", bytevector)->member.of->closed);
}

static SCM mapping_name(SCM bytevector)
{
    return SCM_CDR(need_cell("mapping-name", bytevector)->parent);
}

static SCM sync_mapping(SCM bytevector, SCM flags)
{
    static const char who[] = "sync-mapping";
    struct cell *cell = need_open_cell(who, bytevector);
    unsigned wanted = (unsigned)number_from(who, 2, flags, INT_MAX);

    if (gcmmap_sync(SCM_BYTEVECTOR_CONTENTS(bytevector), SCM_BYTEVECTOR_LENGTH(bytevector),
                    wanted) != 0) {
        if (errno == EBADF) /* closed just now */
            closed_error(who, cell);
        system_error(who, SCM_CDR(cell->parent), errno);
    }
    scm_remember_upto_here_1(bytevector);
    return SCM_UNSPECIFIED;
}

/* ---- operations on pages -------------------------------------------------------- */

static SCM operate(SCM who_symbol, SCM bytevector, SCM operation, SCM argument)
{
    char who[32];

    who[scm_to_locale_stringbuf(scm_symbol_to_string(who_symbol), who, sizeof who - 1)] = '\0';
    struct cell *cell = need_open_cell(who, bytevector);
    void *p = SCM_BYTEVECTOR_CONTENTS(bytevector);
    size_t n_bytes = SCM_BYTEVECTOR_LENGTH(bytevector);
    int number = (int)number_from(who, 2, argument, INT_MAX);
    int result = operate_on(p, n_bytes, (enum operation)scm_to_int(operation), number);

    if (result != 0 && errno == EBADF) /* closed just now */
        closed_error(who, cell);
    if (result != 0)
        system_error(who, SCM_CDR(cell->parent), errno);
    scm_remember_upto_here_1(bytevector);
    return SCM_UNSPECIFIED;
}

static SCM resident_pages(SCM bytevector)
{
    static const char who[] = "mapping-resident-pages";
    struct cell *cell = need_open_cell(who, bytevector);
    size_t n_resident = 0;

    if (gcmmap_residency(SCM_BYTEVECTOR_CONTENTS(bytevector), SCM_BYTEVECTOR_LENGTH(bytevector),
                         NULL, 0, &n_resident) != 0)
        system_error(who, SCM_CDR(cell->parent), errno);
    scm_remember_upto_here_1(bytevector);
    return scm_from_size_t(n_resident);
}

/* ---- bytes that may be gone ------------------------------------------------------ */

static void touch(void *byte)
{
    (void)*(volatile unsigned char *)byte;
}

/* The byte at p could not be copied, or not be stored into. */
static _Noreturn void lost_error(const char *who, struct cell *cell, void *p, int error)
{
    gcmmap_fault fault;
    char text[512];

    if (error == EBADF)
        closed_error(who, cell);
    /* Read under a guard to be told what is the matter. */
    if (error != EFAULT || gcmmap_try(touch, p, &fault) == 0)
        system_error(who, SCM_CDR(cell->parent), error);
    gcmmap_fault_text(&fault, text, sizeof text);
    scm_syserror_msg(who, "~A", scm_list_1(scm_from_locale_string(text)), error);
}

static void copy_out(const char *who, struct cell *cell, void *to, unsigned char *p, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = gcmmap_copy_out((char *)to + done, p + done, n_bytes - done);

        if (n < 0)
            lost_error(who, cell, p + done, errno);
        done += (size_t)n;
    }
}

static void copy_in(const char *who, struct cell *cell, unsigned char *p, void *from,
                    size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = gcmmap_copy_in(p + done, (char *)from + done, n_bytes - done);

        if (n < 0)
            lost_error(who, cell, p + done, errno);
        done += (size_t)n;
    }
}

static SCM mapped_copy(SCM bytevector)
{
    static const char who[] = "mapped-copy";
    struct cell *cell = need_open_cell(who, bytevector);
    size_t n_bytes = SCM_BYTEVECTOR_LENGTH(bytevector);
    SCM copy = scm_c_make_bytevector(n_bytes);

    copy_out(who, cell, SCM_BYTEVECTOR_CONTENTS(copy),
             (unsigned char *)SCM_BYTEVECTOR_CONTENTS(bytevector), n_bytes);
    scm_remember_upto_here_2(bytevector, copy);
    return copy;
}

/* All of source goes into the bytevector, which is as long: a slice that the caller made. */
static SCM mapped_store(SCM bytevector, SCM source)
{
    static const char who[] = "mapped-store!";
    struct cell *cell = need_open_cell(who, bytevector);
    size_t n_bytes;

    SCM_ASSERT_TYPE(scm_is_bytevector(source), source, 3, who, "bytevector");
    if (!SCM_MUTABLE_BYTEVECTOR_P(bytevector))
        scm_wrong_type_arg_msg(who, 1, bytevector, "writable mapped bytevector");
    n_bytes = SCM_BYTEVECTOR_LENGTH(source);
    if (n_bytes > SCM_BYTEVECTOR_LENGTH(bytevector)) {
        need_open_cell(who, bytevector); /* closed just now */
        scm_out_of_range_pos(who, source, scm_from_int(3));
    }
    copy_in(who, cell, (unsigned char *)SCM_BYTEVECTOR_CONTENTS(bytevector),
            SCM_BYTEVECTOR_CONTENTS(source), n_bytes);
    scm_remember_upto_here_2(bytevector, source);
    return SCM_UNSPECIFIED;
}

static SCM collect_mappings(void)
{
    return scm_from_size_t(gcmmap_collect());
}

static SCM count(const char *name, size_t n, SCM rest)
{
    return scm_acons(scm_from_utf8_symbol(name), scm_from_size_t(n), rest);
}

static SCM mapping_statistics(void)
{
    gcmmap_stats stats;
    SCM list = SCM_EOL;

    gcmmap_get_stats(&stats);
    list = count("bytes-reserved", stats.bytes_reserved, list);
    list = count("bytes-live", stats.bytes_live, list);
    list = count("released", stats.n_released, list);
    list = count("mapped", stats.n_mapped, list);
    list = count("dying", stats.n_dying, list);
    list = count("closed", stats.n_closed, list);
    return count("live", stats.n_live, list);
}

/* ---- ports ---------------------------------------------------------------------- */

struct stream {
    SCM bytevector;
    size_t at;
};

static struct stream *stream_of(SCM port)
{
    return (struct stream *)SCM_STREAM(port);
}

/* Bytes that are left; throws if the region was closed. */
static size_t room_of(const struct stream *stream, const char *who)
{
    size_t n_bytes = SCM_BYTEVECTOR_LENGTH(stream->bytevector);

    need_open_cell(who, stream->bytevector);
    return stream->at < n_bytes ? n_bytes - stream->at : 0;
}

static unsigned char *place_of(const struct stream *stream)
{
    return (unsigned char *)SCM_BYTEVECTOR_CONTENTS(stream->bytevector) + stream->at;
}

static size_t port_read(SCM port, SCM buffer, size_t start, size_t n_bytes)
{
    struct stream *stream = stream_of(port);
    size_t room = room_of(stream, "mapped-port");

    if (n_bytes > room)
        n_bytes = room;
    copy_out("mapped-port", find_cell(stream->bytevector), SCM_BYTEVECTOR_CONTENTS(buffer) + start,
             place_of(stream), n_bytes);
    stream->at += n_bytes;
    return n_bytes;
}

static size_t port_write(SCM port, SCM buffer, size_t start, size_t n_bytes)
{
    struct stream *stream = stream_of(port);
    size_t room = room_of(stream, "mapped-port");

    if (n_bytes > 0 && room == 0)
        system_error("mapped-port", port, ENOSPC);
    if (n_bytes > room)
        n_bytes = room;
    copy_in("mapped-port", find_cell(stream->bytevector), place_of(stream),
            SCM_BYTEVECTOR_CONTENTS(buffer) + start, n_bytes);
    stream->at += n_bytes;
    return n_bytes;
}

static scm_t_off port_seek(SCM port, scm_t_off offset, int whence)
{
    struct stream *stream = stream_of(port);
    scm_t_off base = 0, at;

    need_open_cell("seek", stream->bytevector);
    if (whence == SEEK_CUR)
        base = (scm_t_off)stream->at;
    else if (whence == SEEK_END)
        base = (scm_t_off)SCM_BYTEVECTOR_LENGTH(stream->bytevector);
    if (__builtin_add_overflow(base, offset, &at) || at < 0 ||
        (size_t)at > SCM_BYTEVECTOR_LENGTH(stream->bytevector))
        scm_out_of_range("seek", scm_from_int64(offset));
    stream->at = (size_t)at;
    return at;
}

static void port_buffer_sizes(SCM port, size_t *read_size, size_t *write_size)
{
    (void)port;
    *read_size = *write_size = 8192;
}

static SCM open_mapped_port(SCM bytevector, SCM mode)
{
    static const char who[] = "open-mapped-port";
    struct stream *stream;
    unsigned long bits;
    char text[4] = "";

    need_open_cell(who, bytevector);
    SCM_ASSERT_TYPE(scm_is_string(mode), mode, 2, who, "string");
    scm_to_locale_stringbuf(mode, text, sizeof text - 1);
    bits = (unsigned long)scm_mode_bits(text);
    if (!(bits & (SCM_RDNG | SCM_WRTNG)))
        scm_misc_error(who, "mode is not r, w or r+: ~S", scm_list_1(mode));
    if ((bits & SCM_WRTNG) && !SCM_MUTABLE_BYTEVECTOR_P(bytevector))
        scm_wrong_type_arg_msg(who, 1, bytevector, "writable mapped bytevector");
    stream = scm_gc_malloc(sizeof *stream, "mapped port");
    stream->bytevector = bytevector;
    stream->at = 0;
    return scm_c_make_port(port_type, bits, (scm_t_bits)stream);
}

/* ---- setting up ------------------------------------------------------------------- */

/* Guile takes procedures as void *, which ISO C allows by way of an integer only. */
#define DEFINE(name, n_needed, n_optional, procedure)                                              \
    scm_c_define_gsubr(name, n_needed, n_optional, 0, (void *)(uintptr_t)(procedure))

static void define_numbers(void)
{
    static const struct {
        const char *name;
        unsigned value;
    } numbers[] = {
        { "%READ", GCMMAP_READ },
        { "%WRITE", GCMMAP_WRITE },
        { "%EXEC", GCMMAP_EXEC },
        { "%PRIVATE", GCMMAP_PRIVATE },
        { "%POINTER-FREE", GCMMAP_POINTER_FREE },
        { "%TRACED", GCMMAP_TRACED },
        { "%BY-HANDLE", GCMMAP_BY_HANDLE },
        { "%SYNC", GCMMAP_SYNC },
        { "%ASYNC", GCMMAP_ASYNC },
        { "%INVALIDATE", GCMMAP_INVALIDATE },
        { "%ADVISE", ADVISE },
        { "%PROTECT", PROTECT },
        { "%PREFETCH", PREFETCH },
        { "%UNLOAD", UNLOAD },
        { "%LOCK", LOCK },
        { "%UNLOCK", UNLOCK },
        { "PROT_NONE", PROT_NONE },
        { "PROT_READ", PROT_READ },
        { "PROT_WRITE", PROT_WRITE },
        { "PROT_EXEC", PROT_EXEC },
        { "MAP_ANON", MAP_ANONYMOUS },
        { "MAP_ANONYMOUS", MAP_ANONYMOUS },
        { "MAP_PRIVATE", MAP_PRIVATE },
        { "MAP_SHARED", MAP_SHARED },
        { "MS_ASYNC", MS_ASYNC },
        { "MS_SYNC", MS_SYNC },
        { "MS_INVALIDATE", MS_INVALIDATE },
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        scm_c_define(numbers[i].name, scm_from_uint(numbers[i].value));
}

/* Only the fourth word is a pointer: the descriptor's highest bit is the first word. */
static void make_kind(void)
{
    GC_word parent_only = (GC_word)1 << (8 * sizeof(GC_word) - 4);

    cell_kind = GC_new_kind(GC_new_free_list(), parent_only | GC_DS_BITMAP, 0, 1);
    GC_register_disclaim_proc((int)cell_kind, disclaim_cell, 0);
}

void gcmmap_init_guile(void);

__attribute__((visibility("default"))) void gcmmap_init_guile(void)
{
    if (!port_type) {
        make_kind();
        closed_key = scm_from_utf8_symbol("mapping-closed");
        static char port_name[] = "mapped-port";

        port_type = scm_make_port_type(port_name, port_read, port_write);
        scm_set_port_seek(port_type, port_seek);
        scm_set_port_get_natural_buffer_sizes(port_type, port_buffer_sizes);
        scm_gc_protect_object(closed_key);
    }
    define_numbers();
    DEFINE("%map-fd", 6, 0, map_fd);
    DEFINE("%map-path", 4, 0, map_path);
    DEFINE("%map-memory", 2, 0, map_memory);
    DEFINE("%mapped-slice", 2, 1, mapped_slice);
    DEFINE("%close-mapping", 1, 0, close_mapping);
    DEFINE("%mapped-bytevector?", 1, 0, is_mapped);
    DEFINE("%mapping-open?", 1, 0, is_open);
    DEFINE("%mapping-name", 1, 0, mapping_name);
    DEFINE("%sync-mapping", 2, 0, sync_mapping);
    DEFINE("%operate", 4, 0, operate);
    DEFINE("%resident-pages", 1, 0, resident_pages);
    DEFINE("%mapped-copy", 1, 0, mapped_copy);
    DEFINE("%mapped-store!", 2, 0, mapped_store);
    DEFINE("%collect-mappings", 0, 0, collect_mappings);
    DEFINE("%mapping-statistics", 0, 0, mapping_statistics);
    DEFINE("%open-mapped-port", 2, 0, open_mapped_port);
}
