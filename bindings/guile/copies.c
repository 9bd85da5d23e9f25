/*
 * copies: see copies.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "copies.h"

#include <errno.h>

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

void copy_out(const char *who, struct cell *cell, void *to, unsigned char *p, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = gcmmap_copy_out((char *)to + done, p + done, n_bytes - done);

        if (n < 0)
            lost_error(who, cell, p + done, errno);
        done += (size_t)n;
    }
}

void copy_in(const char *who, struct cell *cell, unsigned char *p, void *from, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = gcmmap_copy_in(p + done, (char *)from + done, n_bytes - done);

        if (n < 0)
            lost_error(who, cell, p + done, errno);
        done += (size_t)n;
    }
}

SCM mapped_copy(SCM bytevector)
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
SCM mapped_store(SCM bytevector, SCM source)
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
