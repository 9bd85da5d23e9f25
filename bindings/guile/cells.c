/*
 * cells: bytevectors of Guile's that hold their region.
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
#include "cells.h"
#include "calls.h"

#include <errno.h>

_Static_assert(SCM_BYTEVECTOR_HEADER_SIZE == 4, "bytevectors of Guile have four words");
_Static_assert(offsetof(struct cell, member) == 4 * sizeof(scm_t_bits), "ours come after");

static unsigned cell_kind;
static SCM closed_key;

_Noreturn void system_error(const char *who, SCM what, int error)
{
    scm_syserror_msg(who, "~A: ~S", scm_list_2(scm_from_locale_string(reason_for(error)), what),
                     error);
}

_Noreturn void closed_error(const char *who, const struct cell *cell)
{
    scm_error(closed_key, who, "the mapping of ~S was closed", scm_list_1(SCM_CDR(cell->parent)),
              SCM_BOOL_F);
}

static int GC_CALLBACK disclaim_cell(void *object)
{
    return member_disclaim(&((struct cell *)object)->member);
}

static void set_length(struct member *member, size_t n_bytes)
{
    ((struct cell *)((char *)member - offsetof(struct cell, member)))->length = n_bytes;
}

/* A bytevector, or SCM_BOOL_F if the region was closed. */
SCM make_cell(struct members *members, SCM parent, unsigned char *data, size_t n_bytes,
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
struct cell *find_cell(SCM bytevector)
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

struct cell *need_cell(const char *who, SCM bytevector)
{
    struct cell *cell = find_cell(bytevector);

    if (!cell)
        scm_wrong_type_arg_msg(who, 1, bytevector, "mapped bytevector");
    return cell;
}

struct cell *need_open_cell(const char *who, SCM bytevector)
{
    struct cell *cell = need_cell(who, bytevector);

    if (cell->member.of->closed)
        closed_error(who, cell);
    return cell;
}

gcmmap_region *handle_of(const struct cell *cell)
{
    return scm_to_pointer(SCM_CAR(cell->parent));
}

SCM bytevector_of(const char *who, gcmmap_region *region, SCM name, unsigned flags)
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

void close_region(const char *who, const struct cell *cell)
{
    /* First no bytevector has bytes, then there are none. */
    members_close(cell->member.of, set_length);
    if (gcmmap_close(handle_of(cell)) != 0) {
        int error = errno;

        members_reopen(cell->member.of, set_length);
        system_error(who, SCM_CDR(cell->parent), error);
    }
}

/* Only the fourth word is a pointer: the descriptor's highest bit is the first word. */
static void make_kind(void)
{
    GC_word parent_only = (GC_word)1 << (8 * sizeof(GC_word) - 4);

    cell_kind = GC_new_kind(GC_new_free_list(), parent_only | GC_DS_BITMAP, 0, 1);
    GC_register_disclaim_proc((int)cell_kind, disclaim_cell, 0);
}

void set_up_cells(void)
{
    if (cell_kind)
        return;
    make_kind();
    closed_key = scm_from_utf8_symbol("mapping-closed");
    scm_gc_protect_object(closed_key);
}
