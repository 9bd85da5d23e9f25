/*
 * survey: asks the system about pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "survey.h"

#include "os.h"

#define PAGES_PER_QUESTION 4096u
#define RANGES_PER_QUESTION 32u

/* Pages [from, to) of the region's n_pages. */
static void add(const struct survey *survey, uint32_t *counts, size_t n_pages, size_t from,
                size_t to)
{
    const struct survey_pieces *pieces = survey->pieces;

    for (size_t page = from; page < to;) {
        size_t piece = page * pieces->n / n_pages;
        size_t end = survey_pages_before(piece + 1, pieces->n, n_pages);

        if (end > to)
            end = to;
        counts[piece] += (uint32_t)(end - page);
        page = end;
    }
}

static void find_resident(const struct region_pin *pin, struct survey *survey)
{
    size_t page = os_page_size(), n_pages = pin->n_bytes / page;
    unsigned char resident[PAGES_PER_QUESTION];

    for (size_t at = 0; at < n_pages; at += PAGES_PER_QUESTION) {
        size_t n = n_pages - at < PAGES_PER_QUESTION ? n_pages - at : PAGES_PER_QUESTION;

        if (os_residency(pin->pages + at * page, n, resident) != 0)
            return;
        for (size_t i = 0, j; i < n; i = j) {
            for (j = i + 1; j < n && resident[j] == resident[i];)
                j++;
            if (!resident[i])
                continue;
            survey->n_resident += (j - i) * page;
            if (survey->pieces != NULL)
                add(survey, survey->pieces->resident, n_pages, at + i, at + j);
        }
    }
    survey->knows_resident = true;
}

static void find_written(const struct region_pin *pin, struct survey *survey)
{
    uintptr_t start = (uintptr_t)pin->pages, at = start, end = start + pin->n_bytes;
    size_t page = os_page_size();
    struct os_range ranges[RANGES_PER_QUESTION];

    while (at < end) {
        size_t n = os_find_written(&at, end, ranges, RANGES_PER_QUESTION);

        for (size_t i = 0; i < n; i++) {
            survey->n_written += ranges[i].to - ranges[i].from;
            if (survey->pieces != NULL)
                add(survey, survey->pieces->written, pin->n_bytes / page,
                    (ranges[i].from - start) / page, (ranges[i].to - start) / page);
        }
    }
    survey->knows_written = true;
}

void survey_region(const struct region_info *info, struct survey *survey)
{
    struct region_pin pin;

    survey->knows_resident = survey->knows_written = info->n_page_bytes == 0;
    survey->n_resident = survey->n_written = 0;
    if (info->state != REGION_OPEN || !region_pin_listed(info, &pin))
        return;
    find_resident(&pin, survey);
    if (info->charged)
        find_written(&pin, survey);
    region_unpin(&pin);
}
