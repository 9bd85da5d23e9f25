/*
 * trace: tells of what happens to regions, if the user has asked for it.
 *
 * SPDX-License-Identifier: MIT
 *
 * By the environment (GCMMAP_TRACE, GCMMAP_STATS), a line for each event; and by static
 * probes, which are one no-op each for debuggers and tracers to find: doc/tracing-programs.md.
 * All with the lock not held.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gcmmap.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#ifdef __clang__ /* it is the header's macros that it complains of */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#if __has_warning("-Wc23-extensions")
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif
#endif
#define TRACE_PROBE1(name, a) DTRACE_PROBE1(gcmmap, name, a)
#define TRACE_PROBE4(name, a, b, c, d) DTRACE_PROBE4(gcmmap, name, a, b, c, d)
#else
#define TRACE_PROBE1(name, a) ((void)(a))
#define TRACE_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

/* Once. */
void trace_start(void (*stats)(gcmmap_stats *stats));

struct trace_event {
    const char *what;
    const void *data;
    size_t n_bytes;
    const char *name;   /* or NULL */
    const void *caller; /* who called us, or NULL */
};

extern atomic_bool trace_is_on;
void trace_write(const struct trace_event *event);
void trace_write_collection(unsigned long cycle);

static inline bool trace_wants(void)
{
    return __builtin_expect(atomic_load_explicit(&trace_is_on, memory_order_relaxed), 0);
}

/* A probe, and a line if one is wanted. */
#define TRACE_EVENT(name, data, n_bytes, flags, text, caller)                                      \
    do {                                                                                           \
        TRACE_PROBE4(name, data, n_bytes, flags, text);                                            \
        if (trace_wants())                                                                         \
            trace_write(&(struct trace_event){ #name, data, n_bytes, text, caller });              \
    } while (0)

#endif
