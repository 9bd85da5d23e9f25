/*
 * guile-gcmmap: what the Guile module (gcmmap) needs of C.  The module's own text says
 * what each procedure does; cells.c draws how a bytevector holds its region.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"
#include "cells.h"
#include "copies.h"
#include "ports.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

/* ---- mapping ------------------------------------------------------------------- */

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

/* ---- slices -------------------------------------------------------------------- */

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

    close_region(who, cell);
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

/* ---- operations on pages ------------------------------------------------------- */

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

static SCM zero_filled(SCM bytevector)
{
    struct cell *cell = need_open_cell("mapping-zero-filled", bytevector);
    size_t n_bytes = gcmmap_zero_filled(handle_of(cell));

    scm_remember_upto_here_1(bytevector);
    return scm_from_size_t(n_bytes);
}

/* ---- counting ------------------------------------------------------------------ */

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

/* ---- setting up ---------------------------------------------------------------- */

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
        { "%ZERO-FILL", GCMMAP_ZERO_FILL },
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

void gcmmap_init_guile(void);

__attribute__((visibility("default"))) void gcmmap_init_guile(void)
{
    set_up_cells();
    set_up_ports();
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
    DEFINE("%zero-filled", 1, 0, zero_filled);
    DEFINE("%mapped-copy", 1, 0, mapped_copy);
    DEFINE("%mapped-store!", 2, 0, mapped_store);
    DEFINE("%collect-mappings", 0, 0, collect_mappings);
    DEFINE("%mapping-statistics", 0, 0, mapping_statistics);
    DEFINE("%open-mapped-port", 2, 0, open_mapped_port);
}
