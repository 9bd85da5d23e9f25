/*
 * region_fault: what there is to say of an access that failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <signal.h>
#include <string.h>

#include "collector.h"
#include "fault.h"
#include "os_look.h"
#include "region_record.h"

/* ---- in the signal handler: no lock, so nothing that can be freed or moved ------------- */

static bool is_collectors(const void *user, int signal)
{
    const struct region *region = user;

    return signal == SIGSEGV && region_is_watched(region);
}

static int kind_of(const struct region *region, const gcmmap_fault *fault)
{
    if (region->state != LIVE && region->state != MAPPING)
        return GCMMAP_FAULT_CLOSED;
    if (fault->offset < 0 || (size_t)fault->offset >= region->n_bytes)
        return GCMMAP_FAULT_OUTSIDE;
    if (fault->signal != SIGBUS)
        return GCMMAP_FAULT_PROTECTED;
    return region->of_file ? GCMMAP_FAULT_FILE : GCMMAP_FAULT_IO;
}

/* The end of it, which tells more than its beginning. */
static void copy_end(char *to, size_t room, const char *from)
{
    size_t n = from != NULL ? strlen(from) : 0;

    if (n >= room)
        from += n - (room - 1);
    n = n < room ? n : room - 1;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

static void describe(const void *user, gcmmap_fault *fault)
{
    const struct region *region = user;

    fault->region = reservation_block(region->body.at);
    fault->offset = (ptrdiff_t)((uintptr_t)fault->address - (uintptr_t)region_data(region));
    fault->size = region->n_bytes;
    fault->file_offset = region->of_file ? region->offset + fault->offset : -1;
    fault->file_size = -1;
    fault->mapped_by = region->mapped_by;
    fault->closed_by = region->closed_by;
    copy_end(fault->name, sizeof fault->name, region->name);
    memset(fault->reserved, 0, sizeof fault->reserved);
    fault->kind = kind_of(region, fault);
}

void region_show(struct region *region)
{
    const struct reservation *at = region->body.at;
    size_t n_before = region->body.is_guarded ? os_page_size() : 0;

    if (region->by_handle)
        places_show(region->place, region->body.start - n_before, n_before + region->body.n_outside,
                    region);
    else
        places_show(region->place, reservation_start(at), at->n_bytes, region);
}

void region_hide(struct region *region)
{
    places_hide(region->place);
    places_put(region->place);
    region->place = NULL;
}

/* ---- afterwards --------------------------------------------------------------------------- */

/* From the descriptor that some regions keep. */
static bool look_at_descriptor(gcmmap_fault *fault, struct os_file *now)
{
    struct region_pin pin;
    const struct region_file *file;
    bool found = false;

    if (region_pin(fault->address, 0, &pin) != 0)
        return false;
    file = pin.region->file;
    if (file != NULL) {
        found = region_look_at(file, now) == 0;
        fault->file_offset =
            file->offset + (off_t)((uintptr_t)fault->address - (uintptr_t)pin.region->body.start);
    }
    region_unpin(&pin);
    return found;
}

static void decide(gcmmap_fault *fault, const struct os_file *file)
{
    off_t page = (off_t)os_page_size();

    fault->file_size = file->size;
    fault->kind =
        fault->file_offset / page * page >= file->size ? GCMMAP_FAULT_TRUNCATED : GCMMAP_FAULT_IO;
}

/* Async-signal-safe. */
static void look_at_path(gcmmap_fault *fault)
{
    struct os_file file;
    char path[1024];
    off_t offset;
    int error;

    if (fault->kind != GCMMAP_FAULT_FILE)
        return;
    error = os_find_file(fault->address, &file, &offset, path, sizeof path);
    if (offset >= 0)
        fault->file_offset = offset;
    if (fault->name[0] == '\0')
        copy_end(fault->name, sizeof fault->name, path);
    if (error == 0)
        decide(fault, &file);
}

void region_look_at_file(gcmmap_fault *fault)
{
    struct os_file file;

    if (fault->kind == GCMMAP_FAULT_FILE && look_at_descriptor(fault, &file))
        decide(fault, &file);
    else
        look_at_path(fault);
}

void region_catch_faults(void)
{
    static const struct fault_hooks hooks = { .is_collectors = is_collectors,
                                              .describe = describe,
                                              .look_at_file = look_at_path,
                                              .judge = region_judge,
                                              .fill = region_fill };
    const char *what = os_environment("GCMMAP_REPORT_FAULTS");

    fault_start(&hooks);
    if (what != NULL && (what[0] == '1' || what[0] == '2') && what[1] == '\0')
        fault_report(what[0] == '1' ? GCMMAP_REPORT_FAULTS
                                    : GCMMAP_REPORT_FAULTS | GCMMAP_REPORT_LINES);
}
