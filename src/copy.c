/*
 * copy: bytes out of regions and into them, without a fault whatever became of the pages.
 *
 * SPDX-License-Identifier: MIT
 *
 * The kernel copies, and says so where it cannot.  A region is pinned for a piece at a
 * time, so that closing need not wait for a slow disk longer than that.
 */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "gcmmap.h"
#include "os.h"
#include "region.h"

#define BYTES_PER_PIN ((size_t)1 << 20)
#define BYTES_PER_STEP ((size_t)4096) /* no page is smaller */

struct copy {
    unsigned char *ours;   /* in the region */
    unsigned char *theirs; /* the caller's */
    size_t n_bytes;
    bool in;
};

static struct copy rest_of(const struct copy *copy, size_t n_done)
{
    if (n_done == 0)
        return *copy; /* C has no NULL + 0 */
    return (struct copy){ copy->ours + n_done, copy->theirs + n_done, copy->n_bytes - n_done,
                          copy->in };
}

/* Up to the next page of the region. */
static size_t step_bytes(const struct copy *copy)
{
    size_t n_bytes = BYTES_PER_STEP - ((uintptr_t)copy->ours & (BYTES_PER_STEP - 1));

    return n_bytes < copy->n_bytes ? n_bytes : copy->n_bytes;
}

/*
 * Incremental collection: the collector has protected the page against its first store,
 * which must be ours, as the kernel's would be refused.  clang makes a mere read of adding
 * or or-ing nothing.
 */
static bool lift_protection(const struct region_pin *pin, unsigned char *at)
{
    unsigned char byte;

    if (!region_is_protected_by_collector(pin) || !(pin->flags & GCMMAP_WRITE) ||
        os_peek(&byte, at, 1) != 0)
        return false;
    while (!__atomic_compare_exchange_n((volatile unsigned char *)at, &byte, byte, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return true;
}

static int copy_through_pipe(void *to, const void *from, size_t n_bytes)
{
    int error = os_copy_through_pipe(to, from, n_bytes);

    return error == EIO ? EFAULT : error; /* the pipe's own trouble: cannot be read this way */
}

/* Where the fast way ends: to see whether it is the region's page that it ends at. */
static int copy_step(const struct region_pin *pin, const struct copy *copy, size_t n_bytes)
{
    unsigned char bytes[BYTES_PER_STEP];
    int error;

    if (copy->in) {
        memcpy(bytes, copy->theirs, n_bytes);
        error = copy_through_pipe(copy->ours, bytes, n_bytes);
        if (error == EFAULT && lift_protection(pin, copy->ours))
            error = copy_through_pipe(copy->ours, bytes, n_bytes);
        return error;
    }
    error = copy_through_pipe(bytes, copy->ours, n_bytes);
    if (error == 0)
        memcpy(copy->theirs, bytes, n_bytes);
    return error;
}

static size_t copy_pinned(const struct region_pin *pin, const struct copy *copy, int *error)
{
    size_t n_done = 0;

    *error = 0;
    while (n_done < copy->n_bytes && *error == 0) {
        struct copy rest = rest_of(copy, n_done);
        size_t n = rest.in ? os_copy(rest.ours, rest.theirs, rest.n_bytes, true)
                           : os_copy(rest.theirs, rest.ours, rest.n_bytes, false);

        if (n == 0) {
            n = step_bytes(&rest);
            *error = copy_step(pin, &rest, n);
        }
        n_done += *error == 0 ? n : 0;
    }
    return n_done;
}

static ssize_t copy_all(const struct copy *copy)
{
    size_t n_done = 0;
    int error = 0;

    do {
        struct copy piece = rest_of(copy, n_done);
        struct region_pin pin;

        error = region_pin(piece.ours, piece.n_bytes, &pin);
        if (error != 0)
            break;
        if (piece.n_bytes > BYTES_PER_PIN)
            piece.n_bytes = BYTES_PER_PIN;
        n_done += copy_pinned(&pin, &piece, &error);
        region_unpin(&pin);
    } while (error == 0 && n_done < copy->n_bytes);
    if (error == 0 || n_done > 0)
        return (ssize_t)n_done;
    errno = error;
    return -1;
}

ssize_t gcmmap_copy_out(void *to, const void *p, size_t size)
{
    struct copy copy = { (unsigned char *)p, to, size, false };

    return copy_all(&copy);
}

ssize_t gcmmap_copy_in(void *p, const void *from, size_t size)
{
    struct copy copy = { p, (unsigned char *)from, size, true };

    return copy_all(&copy);
}
