/*
 * range: operations on some bytes of a region.  Checks arguments, sets errno.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each holds the region's pages with a pin while the kernel works on them.
 */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gcmmap.h"
#include "os.h"
#include "region.h"

/* On the stack: mincore(2) stores there, which it could not into write-protected memory. */
#define PAGES_PER_QUESTION ((size_t)1024)

/* At least one page is pinned. */
typedef int operation(const struct region_pin *pin, void *arg);

static int once(const void *p, size_t size, operation *operate, void *arg)
{
    struct region_pin pin;
    int error = region_pin(p, size, &pin);

    if (error != 0)
        return error;
    if (pin.pages != NULL)
        error = operate(&pin, arg);
    region_unpin(&pin);
    return error;
}

/*
 * On shortage collects, as mapping does; without the pin, since a finalizer may close this
 * very region, and would wait for us.
 */
static int on_pages_of(const void *p, size_t size, operation *operate, void *arg)
{
    int saved_errno = errno;
    int error = once(p, size, operate, arg);

    for (int n_collections = 0; error == ENOMEM && n_collections < 2; n_collections++) {
        (void)region_collect();
        error = once(p, size, operate, arg);
    }
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int sync_pages(const struct region_pin *pin, void *flags)
{
    return os_sync(pin->pages, pin->n_bytes, *(unsigned *)flags);
}

int gcmmap_sync(const void *p, size_t size, unsigned flags)
{
    const unsigned both = GCMMAP_SYNC | GCMMAP_ASYNC;

    if (flags == 0 || (flags & both) == both || (flags & ~(both | GCMMAP_INVALIDATE)) != 0)
        return fail(EINVAL);
    return on_pages_of(p, size, sync_pages, &flags);
}

static int protect_pages(const struct region_pin *pin, void *access)
{
    int error = region_begin_protect(pin, *(unsigned *)access);

    if (error == 0)
        error = os_protect(pin->pages, pin->n_bytes, *(unsigned *)access);
    /* A page that was filled with zeros just now may have got the access of before. */
    if (error == 0 && region_waited_for_filling(pin))
        error = os_protect(pin->pages, pin->n_bytes, *(unsigned *)access);
    return error;
}

int gcmmap_protect(const void *p, size_t size, unsigned access)
{
    if (access & ~(GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC))
        return fail(EINVAL);
    return on_pages_of(p, size, protect_pages, &access);
}

static int check_advice(int advice)
{
    /* A hole in the child would be anybody's; here the region, and the collector, own it. */
    if (advice == GCMMAP_ADVISE_DONTFORK || advice == GCMMAP_ADVISE_DOFORK)
        return ENOTSUP;
    return (advice >= GCMMAP_ADVISE_NORMAL && advice <= GCMMAP_ADVISE_DONTNEED) ||
                   (advice >= GCMMAP_ADVISE_FREE && advice <= GCMMAP_ADVISE_COLLAPSE) ||
                   (advice >= GCMMAP_ADVISE_HWPOISON && advice <= GCMMAP_ADVISE_GUARD_REMOVE)
               ? 0
               : EINVAL;
}

static int advise_pages(const struct region_pin *pin, void *arg)
{
    int advice = *(int *)arg;

    /* The kernel would do it if only the descriptor was open for writing. */
    if (advice == GCMMAP_ADVISE_REMOVE &&
        (pin->flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) != GCMMAP_WRITE)
        return EACCES;
    if (advice == GCMMAP_ADVISE_GUARD_INSTALL || advice == GCMMAP_ADVISE_HWPOISON)
        region_expect_faults(pin);
    return os_advise(pin->pages, pin->n_bytes, advice);
}

int gcmmap_advise(const void *p, size_t size, int advice)
{
    int error = check_advice(advice);

    return error != 0 ? fail(error) : on_pages_of(p, size, advise_pages, &advice);
}

int gcmmap_prefetch(const void *p, size_t size)
{
    return gcmmap_advise(p, size, GCMMAP_ADVISE_WILLNEED);
}

static int unload_pages(const struct region_pin *pin, void *arg)
{
    (void)arg;
    return os_unload(pin->pages, pin->n_bytes, !(pin->flags & GCMMAP_PRIVATE));
}

int gcmmap_unload(const void *p, size_t size)
{
    return on_pages_of(p, size, unload_pages, NULL);
}

static int lock_pages(const struct region_pin *pin, void *arg)
{
    (void)arg;
    return os_lock(pin->pages, pin->n_bytes);
}

int gcmmap_lock(const void *p, size_t size)
{
    return on_pages_of(p, size, lock_pages, NULL);
}

static int unlock_pages(const struct region_pin *pin, void *arg)
{
    (void)arg;
    return os_unlock(pin->pages, pin->n_bytes);
}

int gcmmap_unlock(const void *p, size_t size)
{
    return on_pages_of(p, size, unlock_pages, NULL);
}

struct residency {
    uintptr_t from, to;   /* the bytes */
    unsigned char *pages; /* NULL: not wanted */
    size_t n_pages;       /* that there is room for */
    size_t n_resident;
};

static int ask_residency(const struct region_pin *pin, void *arg)
{
    struct residency *residency = arg;
    /* Not the pinned ones: those are larger where all are huge, and the answer is not. */
    size_t page = os_page_size();
    size_t n_before = (residency->from - (uintptr_t)pin->pages) / page;
    unsigned char *start = pin->pages + n_before * page;
    size_t n_pages = (residency->to - (uintptr_t)start + page - 1) / page;
    unsigned char resident[PAGES_PER_QUESTION];
    int error = residency->pages != NULL && residency->n_pages < n_pages ? ERANGE : 0;

    residency->n_resident = 0;
    for (size_t done = 0, n; error == 0 && done < n_pages; done += n) {
        n = n_pages - done < sizeof resident ? n_pages - done : sizeof resident;
        error = os_residency(start + done * page, n, resident);
        for (size_t i = 0; error == 0 && i < n; i++)
            residency->n_resident += resident[i];
        if (error == 0 && residency->pages != NULL)
            memcpy(residency->pages + done, resident, n);
    }
    return error;
}

int gcmmap_residency(const void *p, size_t size, unsigned char *pages, size_t n_pages,
                     size_t *n_resident)
{
    struct residency residency = { (uintptr_t)p, (uintptr_t)p + size, pages, n_pages, 0 };
    int result = on_pages_of(p, size, ask_residency, &residency);

    if (result == 0 && n_resident != NULL)
        *n_resident = residency.n_resident;
    return result;
}
