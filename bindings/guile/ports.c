/*
 * ports: see ports.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "ports.h"

#include <errno.h>

#include "cells.h"
#include "copies.h"

static scm_t_port_type *port_type;

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

SCM open_mapped_port(SCM bytevector, SCM mode)
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

void set_up_ports(void)
{
    static char port_name[] = "mapped-port";

    if (port_type)
        return;
    port_type = scm_make_port_type(port_name, port_read, port_write);
    scm_set_port_seek(port_type, port_seek);
    scm_set_port_get_natural_buffer_sizes(port_type, port_buffer_sizes);
}
