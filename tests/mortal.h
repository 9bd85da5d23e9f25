/*
 * mortal: objects whose deaths are counted, by the round they were made in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MORTAL_H
#define MORTAL_H

#include "live.h"

static unsigned n_finalized; /* of this round; others were held by accident till now */
static uintptr_t round_number;

static inline void begin_round(void)
{
    n_finalized = 0;
    round_number++;
}

static void GC_CALLBACK count_finalized(void *object, void *round)
{
    (void)object;
    n_finalized += (uintptr_t)round == round_number;
}

static __attribute__((noinline, unused)) void *new_mortal(size_t n_bytes)
{
    void *object = GC_MALLOC(n_bytes);

    need(object != NULL, "GC_MALLOC");
    GC_REGISTER_FINALIZER_NO_ORDER(object, count_finalized, (void *)round_number, NULL, NULL);
    return object;
}

/* Some collections, in small steps where the host collects so. */
static __attribute__((unused)) void collect_as_bdwgc_does(void)
{
    GC_word first = GC_get_gc_no();

    for (int i = 0; i < 100 && GC_get_gc_no() < first + 4; i++) {
        make_noise();
        while (GC_collect_a_little())
            continue;
        run_finalizers_if_asked();
    }
}

#endif
