/*
 * fault_text: what happened to which byte of what, and whose code it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "fault_text.h"

#include "os_signal.h"

static const char *verb_of(const gcmmap_fault *fault)
{
    if (fault->is_write < 0)
        return " cannot be accessed: ";
    return fault->is_write ? " cannot be stored into: " : " cannot be read: ";
}

static const char *reason_of(int kind)
{
    switch (kind) {
    case GCMMAP_FAULT_TRUNCATED:
        return "the file has been truncated";
    case GCMMAP_FAULT_IO:
        return "no page can be had for it (an error of the disk, no space on it, no memory)";
    case GCMMAP_FAULT_FILE:
        return "the file has been truncated, or there is an error of the disk";
    case GCMMAP_FAULT_CLOSED:
        return "the region has been closed";
    default:
        return "the page is protected against that";
    }
}

static void add_reason(struct message *message, const gcmmap_fault *fault)
{
    bool is_before = fault->offset < 0;

    if (fault->kind == GCMMAP_FAULT_OUTSIDE) {
        message_add(message, "it is ");
        message_add_number(message, is_before ? -(uintmax_t)fault->offset
                                              : (uintmax_t)fault->offset - fault->size + 1);
        message_add(message, is_before ? " in front of the first" : " behind the last");
        return;
    }
    message_add(message, reason_of(fault->kind));
    if (fault->kind == GCMMAP_FAULT_TRUNCATED && fault->file_size >= 0) {
        message_add(message, " to ");
        message_add_number(message, (uintmax_t)fault->file_size);
        message_add(message, " bytes, and this is byte ");
        message_add_number(message, (uintmax_t)fault->file_offset);
        message_add(message, " of it");
    }
}

void fault_add_text(struct message *message, const gcmmap_fault *fault)
{
    message_add(message, fault->name[0] != '\0' ? fault->name : "memory without a name");
    message_add(message, fault->offset < 0 ? ": byte -" : ": byte ");
    message_add_number(message,
                       fault->offset < 0 ? -(uintmax_t)fault->offset : (uintmax_t)fault->offset);
    message_add(message, " of ");
    message_add_number(message, fault->size);
    message_add(message, verb_of(fault));
    add_reason(message, fault);
}

void fault_add_code(struct message *message, const void *address, bool is_return, bool wants_line)
{
    /* The call is what comes before, and may be the last of its line. */
    uintptr_t code = (uintptr_t)address - is_return;
    char path[512], line[512] = "";
    uintptr_t place;

    if (!os_find_code(code, path, sizeof path, &place)) {
        message_add_address(message, code);
        return;
    }
    if (wants_line)
        os_find_line(path, place, line, sizeof line);
    message_add(message, line[0] != '\0' ? line : path);
    message_add(message, line[0] != '\0' ? " (" : " (addr2line -fpe ");
    message_add(message, path);
    message_add(message, " ");
    message_add_address(message, place);
    message_add(message, ")");
}
