/*
 * search: see search.h.
 *
 * SPDX-License-Identifier: MIT
 *
 * Addresses that are looked for are kept complemented, in memory and, as far as a compiler
 * goes, in frames: what is left of them must not be found by the next collection.
 */
#include <config.h>

#include "search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "os_look.h"
#include "region.h"

#define MOST_MILLISECONDS 1000u /* that the world is stopped for us */
#define N_REGISTERS (sizeof(jmp_buf) / (sizeof(uintptr_t)))
#define BYTES_PER_CLOCK ((size_t)1 << 20)

struct hunt {
    struct search *search;
    struct os_segment *segments;
    size_t n_segments;
    struct os_threads *threads;
    uintptr_t hidden_last;  /* of all targets, complemented: no word is less ... */
    uintptr_t hidden_first; /* ... or more */
    uintptr_t stack_base;   /* of the calling thread */
    bool is_over;
    uint64_t until; /* milliseconds */
    size_t n_bytes_unclocked;
    struct search_hit hit; /* what is known of all words of a place */
};

/* The target that a word points into; n_targets: none. */
static size_t target_of(const struct search *search, uintptr_t hidden)
{
    size_t low = 0, high = search->n_targets;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (search->targets[middle].hidden >= hidden)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || search->targets[low - 1].hidden - hidden >= search->targets[low - 1].n_bytes)
        return search->n_targets;
    return low - 1;
}

static void note(struct hunt *hunt, uintptr_t hidden, uintptr_t address)
{
    struct search *search = hunt->search;
    struct search_hit hit = hunt->hit;

    hit.target = target_of(search, hidden);
    if (hit.target == search->n_targets)
        return;
    if (hit.place != SEARCH_STACK && hit.place != SEARCH_REGISTER) {
        enum collector_answer answer = collector_follows((void *)~hidden);

        if (answer == COLLECTOR_NO)
            return;
        hit.is_unsure |= answer == COLLECTOR_MAYBE;
    }
    hit.points_to = search->targets[hit.target].hidden - hidden;
    hit.address = address;
    hunt->is_over = !search->found(&hit, search->arg);
}

static void look_at_words(struct hunt *hunt, const uintptr_t *words, size_t n, uintptr_t address)
{
    const uintptr_t from = hunt->hidden_last, span = hunt->hidden_first - from;

    for (size_t i = 0; i < n && !hunt->is_over; i++) {
        uintptr_t hidden = ~*(const volatile uintptr_t *)&words[i];

        if (hidden - from <= span)
            note(hunt, hidden, address == 0 ? 0 : address + i * sizeof *words);
    }
    hunt->n_bytes_unclocked += n * sizeof *words;
    if (hunt->n_bytes_unclocked >= BYTES_PER_CLOCK) {
        hunt->n_bytes_unclocked = 0;
        if (os_milliseconds() > hunt->until)
            hunt->is_over = hunt->search->gave_up = true;
    }
}

/* Whole words between two addresses, in pieces after which the clock is looked at. */
static void look_at(struct hunt *hunt, uintptr_t from, uintptr_t to)
{
    from = (from + sizeof(uintptr_t) - 1) & ~(sizeof(uintptr_t) - 1);
    while (from < to && to - from >= sizeof(uintptr_t) && !hunt->is_over) {
        size_t n_bytes = to - from < BYTES_PER_CLOCK ? to - from : BYTES_PER_CLOCK;

        look_at_words(hunt, (const uintptr_t *)from, n_bytes / sizeof(uintptr_t), from);
        from += n_bytes;
    }
}

static void look_at_own_stack(struct hunt *hunt)
{
    const struct search *search = hunt->search;
    uintptr_t registers[N_REGISTERS];

    hunt->hit = (struct search_hit){ .place = SEARCH_REGISTER, .thread = os_thread() };
    memcpy(registers, search->caller->registers, sizeof registers);
    look_at_words(hunt, registers, sizeof registers / sizeof *registers, 0);
    hunt->hit.place = SEARCH_STACK;
    look_at(hunt, (uintptr_t)search->caller->frame, hunt->stack_base);
}

/* Memory that lies next to a stack may be one mapping with it; the heap at least is known. */
static uintptr_t end_of_stack(const struct os_stack *stack)
{
    size_t page = os_page_size();
    uintptr_t end = (stack->from & ~(page - 1)) + page;

    while (end < stack->to && !collector_owns((void *)end))
        end += page;
    return end < stack->to ? end : stack->to;
}

static void look_at_other_stacks(struct hunt *hunt)
{
    struct os_stack stack;
    size_t i = 0;

    while (!hunt->is_over && os_next_stack(hunt->threads, &i, &stack)) {
        hunt->hit = (struct search_hit){ .place = SEARCH_STACK,
                                         .thread = stack.thread,
                                         .is_unsure = !stack.is_suspended };
        look_at(hunt, stack.from, end_of_stack(&stack));
    }
}

static void look_at_data(struct hunt *hunt)
{
    for (size_t i = 0; i < hunt->n_segments && !hunt->is_over; i++) {
        const struct os_segment *segment = &hunt->segments[i];

        /* The program itself has no name. */
        if (segment->name[0] != '\0' && !collector_scans_libraries())
            continue;
        /* Most of the collector's own tables it passes over, and does not tell which. */
        hunt->hit = (struct search_hit){ .place = SEARCH_DATA,
                                         .is_unsure = strncmp(segment->name, "libgc.so", 8) == 0 };
        look_at(hunt, segment->from, segment->to);
    }
}

static void look_at_contents(const struct region_contents *contents, void *arg)
{
    struct hunt *hunt = arg;

    hunt->hit = (struct search_hit){ .place = SEARCH_REGION,
                                     .hidden_base = ~(uintptr_t)contents->data,
                                     .n_bytes = contents->n_bytes };
    look_at_words(hunt, contents->words, contents->n_words, contents->address);
}

static void look_at_object(const struct collector_object *object, void *arg)
{
    struct hunt *hunt = arg;

    if (hunt->is_over)
        return;
    if (object->is_ours) {
        region_visit_block(object->start, look_at_contents, hunt);
        return;
    }
    hunt->hit = (struct search_hit){ .place = SEARCH_OBJECT,
                                     .hidden_base = ~(uintptr_t)object->start,
                                     .n_bytes = object->n_bytes,
                                     .object_kind = object->kind,
                                     .is_unsure = !object->is_simple };
    look_at(hunt, (uintptr_t)object->start, (uintptr_t)object->start + object->n_bytes);
}

static void look_at_all(void *arg)
{
    struct hunt *hunt = arg;

    hunt->until = os_milliseconds() + MOST_MILLISECONDS;
    look_at_own_stack(hunt);
    look_at_other_stacks(hunt);
    look_at_data(hunt);
    if (!hunt->is_over)
        collector_each_object(look_at_object, hunt);
}

int search_run(struct search *search)
{
    struct hunt hunt = { .search = search };
    const struct search_target *targets = search->targets;
    int error = os_list_segments(&hunt.segments, &hunt.n_segments);

    search->gave_up = false;
    if (search->n_targets == 0)
        error = 0;
    else if (error == 0)
        error = os_list_threads(&hunt.threads);
    if (error == 0 && search->n_targets > 0) {
        const struct search_target *last = &targets[search->n_targets - 1];

        hunt.hidden_first = targets[0].hidden;
        hunt.hidden_last = last->hidden - (last->n_bytes - 1);
        hunt.stack_base = (uintptr_t)collector_stack_base();
        if (!collector_look(look_at_all, &hunt))
            error = ENOTSUP;
    }
    os_end_threads(hunt.threads);
    free(hunt.segments);
    collector_clean_stack();
    return error;
}
