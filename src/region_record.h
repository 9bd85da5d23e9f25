/*
 * region_record: what the files of the region room share with each other, and nobody else.
 *
 * SPDX-License-Identifier: MIT
 *
 * A record is malloc'ed, outside the collector's sight, and read and written under the
 * collector's lock.  The one who owns a transitional state (region.h) may read what
 * the lookup found without it.
 */
#ifndef REGION_RECORD_H
#define REGION_RECORD_H

#include "places.h"
#include <stdatomic.h>

#include "fault.h"
#include "region.h"
#include "release.h"
#include "reservation.h"

enum region_state { MAPPING, LIVE, CLOSING, CLOSED, UNMAPPING, DYING };

/* Who wants to know of a release.  Lies where the collector sees data. */
struct region_listener {
    void *data;
    gcmmap_released released;
    void (*adopted_released)(void *addr, size_t size, void *data); /* instead */
    void *adopted;                                                 /* addr for it */
    char *name; /* its own copy: the region may be gone when it is told */
};

/* What to do when the file has become too short. */
struct region_policy {
    bool is_wanted;
    bool fills;
    atomic_bool is_protected; /* some pages: their access is not as they were mapped */
    atomic_size_t limit;      /* bytes of pages from the start that may be filled with zeros now */
    atomic_size_t n_filled;   /* bytes that were */
    gcmmap_truncated truncated;
    void *data;
};

/* Of regions with room, or a policy, and a file. */
struct region_file {
    struct os_file then; /* as it was when the region was mapped */
    off_t offset;        /* of the region's first page in it */
    int fd;              /* -1: closed, as the region is */
    struct region_policy policy;
};

/* Of regions with room to grow. */
struct region_growth {
    bool resizing;       /* one thread is changing n_bytes, and has pinned it */
    size_t n_bytes_next; /* what it is shrinking to; else n_bytes */
    size_t room;         /* what n_bytes may grow to */
};

struct region {
    struct body body; /* first: a dead body's address is its region's */
    uint64_t id;      /* never used again */
    size_t n_bytes;
    uint32_t head;             /* bytes of the first page in front of the first byte */
    uint32_t page;             /* bytes: its pages are these, or os_page_size() */
    unsigned flags;            /* GCMMAP_ ..., as mapped */
    unsigned n_pins;           /* operations at work on its pages */
    uint16_t n_closers;        /* threads at work in CLOSING ... */
    bool pages_are_gone : 1;   /* ... one of which was successful */
    bool may_be_protected : 1; /* against reading: some pages, once, by an operation */
    bool : 0;                  /* what never changes is read without the lock, too */
    bool traced : 1;
    bool of_file : 1;
    bool charged : 1;   /* private and writable: its pages cost memory */
    bool by_handle : 1; /* lies outside the heap; body.at is the handle's block */
    enum region_state state;
    char *name;            /* malloc'ed, or NULL */
    uint64_t mapped_at;    /* os_milliseconds() */
    off_t offset;          /* of its first byte, in its file */
    struct place *place;   /* shown to signal handlers as long as it can be named */
    const void *mapped_by; /* addresses in code: where the call was made; or NULL */
    const void *closed_by;
    struct parts *parts;              /* GCMMAP_PARTIAL; or NULL */
    struct region_file *file;         /* NULL: its file is not needed any more */
    struct region_growth *growth;     /* NULL: it has a fixed size, or is closed */
    struct region_listener *listener; /* NULL: nobody wants to know, or knows already */
};

/* Under the lock. */
extern gcmmap_stats region_stats;
extern size_t region_bytes_charged; /* of the live */

static inline unsigned char *region_data(const struct region *region)
{
    return region->body.start + region->head;
}

/* Bytes of the pages that hold the first n_bytes. */
static inline size_t region_page_bytes_for(const struct region *region, size_t n_bytes)
{
    size_t page = region->page;

    return n_bytes == 0 ? 0 : (region->head + n_bytes + page - 1) & ~(page - 1);
}

/* Bytes of the pages that were asked for. */
static inline size_t region_page_bytes(const struct region *region)
{
    return region_page_bytes_for(region, region->n_bytes);
}

/* NULL: none. */
static inline struct region_policy *region_policy(const struct region *region)
{
    return region->file != NULL && region->file->policy.is_wanted ? &region->file->policy : NULL;
}

/* What a user can name: neither found dead nor being unmapped; else NULL. */
static inline struct region *region_named(struct region *region)
{
    return region == NULL || region->state == UNMAPPING || region->state == DYING ? NULL : region;
}

/* Lock held.  The named region with this handle, whatever the pointer is; else NULL. */
struct region *region_with(const gcmmap_region *handle);

/*
 * Lock held.  From now on signal handlers find it; or do not, for ever.  In between it may be
 * hidden for a while, by places_hide().
 */
void region_show(struct region *region);
void region_hide(struct region *region);

/* Lock held.  Counts it in or out, with sign 1 or -1. */
void region_count_live(const struct region *region, ptrdiff_t sign);

/*
 * Whether pointers may come into it that an incremental collection, which looks for changed pages
 * of its heap, does not notice: from other mappings of the same pages, or as they lie elsewhere.
 */
bool region_changes_unseen(const struct region *region);

/* Whether the collector sees by write protection which of its pages change.  Signal handlers too. */
bool region_is_watched(const struct region *region);
/* With what GCMMAP_ flags its pages are to be mapped. */
unsigned region_map_flags(const struct region *region);

/*
 * Its own descriptor of a file, at creation; closed when its pages are gone, lock not held;
 * NULL: nothing.  What is to be known of it now: ESTALE, others have closed it.
 */
int region_keep_file(struct region *region, int fd, off_t offset);
int region_look_at(const struct region_file *file, struct os_file *now);
void region_close_file(struct region_file *file);

/*
 * Policies.  At creation; how many bytes from the start may be filled with zeros, when pages have
 * come; and before they go, lock not held: nobody is filling what is behind when it returns.
 */
void region_begin_policy(struct region *region, const struct region_request *request);
void region_limit_filling(struct region *region, size_t n_bytes);
void region_stop_filling(struct region *region, size_t n_bytes);
/* Before the access to pages changes. */
void region_expect_protection(const struct region *region);
void region_policies_after_fork_in_child(void);

/* In the signal handler: see fault.h. */
enum fault_verdict region_judge(void *region, const struct os_fault *fault,
                                struct fault_question *question);
bool region_fill(void *region, const struct os_fault *fault);

/* In a forked child: undoes or finishes what another thread of the parent had begun. */
void region_finish_resizing_in_child(struct region *region);

/* Lock not held.  Before all else. */
void region_start(void);

/* Lock not held.  Releases what is dead; the second collects first. */
void region_drain(void);
void region_collect_and_drain(void);

/* Lock not held.  The record of a region that is gone, or never was. */
void region_free_record(struct region *region);

/*
 * GCMMAP_PARTIAL.  To be called at creation; inside a collection, for a region that is alive;
 * by whoever drains; and, with the lock held, when the record is to go.
 */
int region_prepare_parts(struct region *region, size_t n_bytes);
void region_note_parts(struct region *region);
void region_drop_parts(void);
void region_forget_parts(struct region *region);

/*
 * Lock not held.  Whether there is room for so much more: 0, or EDQUOT.  It is set apart until
 * region_budget_end(); *more becomes what has been, nothing where there is no limit.
 * Collects nothing.
 */
int region_budget_begin(struct region_budget *more);
void region_budget_end(const struct region_budget *more);
void region_budget_after_fork_in_child(void);

/* What is to be told when a region's pages are gone. */
struct region_news {
    struct region_listener *listener;
    gcmmap_release release;
};

/* Its pages are gone, and nobody else has the region in hands, or the lock is held. */
struct region_news region_take_news(struct region *region);

/* Lock not held. */
void region_free_listener(struct region_listener *listener);
void region_tell(const struct region_news *news);

/* In a forked child: closes what other threads of the parent were closing. */
void region_finish_closing_in_child(void);

#endif
