/*
 * region_find: from handles and pointers to regions.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>

#include "collector.h"
#include "os.h"
#include "outside.h"
#include "region_record.h"
#include "registry.h"

struct region *region_with(const gcmmap_region *handle)
{
    const struct reservation *reservation = handle != NULL ? registry_find(handle) : NULL;

    if (reservation == NULL || reservation_block(reservation) != (const void *)handle)
        return NULL;
    return region_named(reservation->user);
}

static gcmmap_region *handle_of(const struct region *region)
{
    return reservation_block(region->body.at);
}

/* Whether the pointer lies in the region or one past, or is its handle. */
static bool is_of(const struct region *region, const unsigned char *pointer)
{
    return pointer == (unsigned char *)handle_of(region) ||
           (pointer >= region_data(region) && pointer <= region_data(region) + region->n_bytes);
}

/* Lock held.  The named region of which the pointer is. */
static struct region *find(const unsigned char *pointer)
{
    const void *block = collector_block_of(pointer);
    const struct reservation *reservation = block != NULL ? registry_find(block) : NULL;
    struct region *region = region_named(reservation != NULL ? reservation->user : NULL);

    /* Where a region outside the heap ends, a block may begin. */
    if (region == NULL || !is_of(region, pointer))
        region = region_named(outside_find(pointer));
    return region != NULL && is_of(region, pointer) ? region : NULL;
}

struct bytes_call {
    const gcmmap_region *handle;
    gcmmap_slice bytes;
    int error;
};

static void *bytes_locked(void *arg)
{
    struct bytes_call *call = arg;
    const struct region *region = region_with(call->handle);

    if (region == NULL)
        call->error = EINVAL;
    else if (region->state != LIVE)
        call->error = EBADF;
    else
        call->bytes = (gcmmap_slice){ region_data(region), region->n_bytes };
    return NULL;
}

int region_bytes(const gcmmap_region *handle, gcmmap_slice *bytes)
{
    struct bytes_call call = { .handle = handle };

    region_start();
    collector_locked(bytes_locked, &call);
    *bytes = call.bytes;
    return call.error;
}

static void *find_locked(void *arg)
{
    const struct region *region = find(arg);

    return region != NULL ? handle_of(region) : NULL;
}

gcmmap_region *region_of(const void *pointer)
{
    region_start();
    return collector_locked(find_locked, (void *)pointer);
}

/* ---- weak references --------------------------------------------------------- */

static void *weaken_locked(void *arg)
{
    gcmmap_weak *weak = arg;
    const struct region *region = region_with((void *)weak->hidden);

    weak->hidden = ~weak->hidden;
    weak->id = region != NULL ? region->id : 0;
    return NULL;
}

int region_weaken(const gcmmap_region *handle, gcmmap_weak *weak)
{
    region_start();
    weak->hidden = (uintptr_t)handle;
    collector_locked(weaken_locked, weak);
    collector_keep(handle);
    return weak->id != 0 ? 0 : EINVAL;
}

static void *strengthen_locked(void *arg)
{
    const gcmmap_weak *weak = arg;
    struct region *region = region_with((void *)~weak->hidden);

    return region != NULL && region->id == weak->id ? handle_of(region) : NULL;
}

gcmmap_region *region_strengthen(const gcmmap_weak *weak)
{
    region_start();
    return weak->id != 0 ? collector_locked(strengthen_locked, (void *)weak) : NULL;
}

/* ---- pins ---------------------------------------------------------------------- */

struct pin_call {
    const unsigned char *data;
    size_t n_bytes;
    struct region_pin *pin;
    int error;
};

static int pin(struct region *region, const struct pin_call *call)
{
    size_t at, first, end, page;

    if (region == NULL)
        return EINVAL;
    if (region->state != LIVE)
        return EBADF;
    if (region->growth != NULL && region->growth->n_bytes_next < region->n_bytes)
        return EAGAIN;
    at = (size_t)(call->data - region_data(region)); /* huge for a handle in front of the data */
    if (at > region->n_bytes || call->n_bytes > region->n_bytes - at)
        return ERANGE;
    page = region->page;
    first = (region->head + at) & ~(page - 1);
    end = (region->head + at + call->n_bytes + page - 1) & ~(page - 1);
    *call->pin = (struct region_pin){ .flags = region->flags,
                                      .of_file = region->of_file,
                                      .traced = region->traced,
                                      .handle = handle_of(region),
                                      .region = region };
    if (call->n_bytes > 0) {
        call->pin->pages = region->body.start + first;
        call->pin->n_bytes = end - first;
    }
    region->n_pins++;
    return 0;
}

static void *pin_locked(void *arg)
{
    struct pin_call *call = arg;

    call->error = pin(find(call->data), call);
    return NULL;
}

int region_pin(const void *data, size_t n_bytes, struct region_pin *result)
{
    struct pin_call call = { .data = data, .n_bytes = n_bytes, .pin = result };

    region_start();
    for (;;) {
        collector_locked(pin_locked, &call);
        if (call.error != EAGAIN) /* it is shrinking, and waits for those at work there */
            return call.error;
        os_yield();
    }
}

static void *unpin_locked(void *arg)
{
    ((struct region *)arg)->n_pins--;
    return NULL;
}

void region_unpin(struct region_pin *pin)
{
    collector_locked(unpin_locked, pin->region);
    collector_keep(pin->handle);
}

static void *set_may_be_protected(void *arg)
{
    ((struct region *)arg)->may_be_protected = true;
    return NULL;
}

/* No collection is marking: it would hold the lock. */
void region_expect_faults(const struct region_pin *pin)
{
    collector_locked(set_may_be_protected, pin->region);
}

bool region_is_protected_by_collector(const struct region_pin *pin)
{
    return region_is_watched(pin->region);
}

int region_begin_protect(const struct region_pin *pin, unsigned access)
{
    bool readable = (access & (GCMMAP_READ | GCMMAP_WRITE)) != 0;
    int error;

    region_expect_protection(pin->region);
    if (!pin->traced)
        return 0;
    if (region_is_protected_by_collector(pin))
        return ENOTSUP;
    if (readable)
        return 0;
    error = os_begin_peeking_protected();
    if (error == 0)
        region_expect_faults(pin);
    return error;
}
