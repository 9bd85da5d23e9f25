/*
 * region_shrunk: what a region's policy does where its file has become too short.
 *
 * SPDX-License-Identifier: MIT
 *
 * In the handler a page of zeros takes the place of the one that the file does not have any more.
 * It must never come to lie where others take pages away:
 *
 *      handler                          one who closes or shrinks, or finds it dead
 *        enters places                    lowers `limit`, or hides the place
 *        looks at `limit`                 waits until nobody is in places
 *        maps the page                    takes the pages away
 *        leaves places
 *
 * So either the handler sees the limit, or the page is there before the others go on, and
 * goes with the rest.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "collector.h"
#include "fault.h"
#include "os_signal.h"
#include "places.h"
#include "region_record.h"

/* Two threads may miss the same page: the second must not take away what the first stores. */
static atomic_flag is_filling = ATOMIC_FLAG_INIT;

void region_begin_policy(struct region *region, const struct region_request *request)
{
    struct region_policy *policy = &region->file->policy;

    policy->is_wanted = true;
    policy->fills = (request->mapping.flags & GCMMAP_ZERO_FILL) != 0;
    policy->truncated = request->truncated;
    policy->data = request->data;
    fault_catch();
}

void region_limit_filling(struct region *region, size_t n_bytes)
{
    struct region_policy *policy = region_policy(region);

    if (policy != NULL)
        atomic_store(&policy->limit, n_bytes);
}

void region_stop_filling(struct region *region, size_t n_bytes)
{
    region_limit_filling(region, n_bytes);
    if (region_policy(region) != NULL)
        places_wait();
}

bool region_waited_for_filling(const struct region_pin *pin)
{
    bool has_policy = region_policy(pin->region) != NULL;

    if (has_policy)
        places_wait();
    return has_policy;
}

void region_expect_protection(const struct region *region)
{
    struct region_policy *policy = region_policy(region);

    if (policy != NULL)
        atomic_store(&policy->is_protected, true);
}

void region_policies_after_fork_in_child(void)
{
    atomic_flag_clear(&is_filling);
}

struct question {
    const gcmmap_region *handle;
    size_t n_filled;
    bool found;
};

static void *read_n_filled(void *arg)
{
    struct question *question = arg;
    const struct region *region = region_with(question->handle);

    question->found = region != NULL;
    if (region != NULL && region_policy(region) != NULL)
        question->n_filled = atomic_load(&region_policy(region)->n_filled);
    return NULL;
}

int region_zero_filled(const gcmmap_region *handle, size_t *n_bytes)
{
    struct question question = { .handle = handle };

    region_start();
    collector_locked(read_n_filled, &question);
    *n_bytes = question.n_filled;
    return question.found ? 0 : EINVAL;
}

/* ---- in the signal handler ------------------------------------------------------------- */

static unsigned char *page_at(const struct region *region, uintptr_t address)
{
    return (unsigned char *)(address & ~(uintptr_t)(region->page - 1));
}

static bool may_fill(const struct region *region, uintptr_t address)
{
    const struct region_policy *policy = region_policy(region);

    return policy != NULL && address >= (uintptr_t)region->body.start &&
           address - (uintptr_t)region->body.start < atomic_load(&policy->limit);
}

static bool is_there(const struct region *region, uintptr_t address)
{
    char byte = 0;

    return os_peek(&byte, page_at(region, address), 1) == 0;
}

static off_t file_offset(const struct region *region, uintptr_t address)
{
    return region->file->offset + (off_t)(address - (uintptr_t)region->body.start);
}

/* Whether the file ends in front of the page; false also if nobody knows. */
static bool is_behind_end(const struct region *region, uintptr_t address, struct os_file *now)
{
    return region_look_at(region->file, now) == 0 &&
           file_offset(region, (uintptr_t)page_at(region, address)) >= now->size;
}

static unsigned access_at(const struct region *region, const struct os_fault *fault)
{
    unsigned access;

    if (!atomic_load(&region->file->policy.is_protected))
        return region_map_flags(region);
    if (os_find_access((void *)fault->address, &access) == 0)
        return access;
    return fault->is_write ? GCMMAP_READ | GCMMAP_WRITE : GCMMAP_READ;
}

static bool fill(struct region *region, const struct os_fault *fault)
{
    unsigned char *page = page_at(region, fault->address);

    if (os_map_zeros(page, region->page, access_at(region, fault)) != 0)
        return false;
    atomic_fetch_add(&region->file->policy.n_filled, region->page);
    return true;
}

/* Signals are blocked: who waits here is not waited for by the one who fills. */
static bool fill_once(struct region *region, const struct os_fault *fault)
{
    bool filled;

    while (atomic_flag_test_and_set(&is_filling))
        os_yield();
    filled = is_there(region, fault->address) || fill(region, fault);
    atomic_flag_clear(&is_filling);
    return filled;
}

bool region_fill(void *user, const struct os_fault *fault)
{
    struct os_file file;

    return may_fill(user, fault->address) && is_behind_end(user, fault->address, &file) &&
           fill_once(user, fault);
}

enum fault_verdict region_judge(void *user, const struct os_fault *fault,
                                struct fault_question *question)
{
    const struct region *region = user;
    struct os_file file;

    if (!may_fill(region, fault->address))
        return FAULT_IS_OTHERS;
    if (!is_behind_end(region, fault->address, &file))
        /* It may have grown again since.  A store may fail where a load does not. */
        return fault->is_write == 0 && is_there(region, fault->address) ? FAULT_IS_OVER
                                                                        : FAULT_IS_OTHERS;
    if (region->file->policy.truncated == NULL)
        return fill_once(user, fault) ? FAULT_IS_OVER : FAULT_IS_OTHERS;
    question->ask = region->file->policy.truncated;
    question->data = region->file->policy.data;
    question->may_fill = region->file->policy.fills;
    question->fault.kind = GCMMAP_FAULT_TRUNCATED;
    question->fault.file_size = file.size;
    return FAULT_IS_A_QUESTION;
}
