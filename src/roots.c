/*
 * roots: scanning.
 *
 * SPDX-License-Identifier: MIT
 */
#include "roots.h"

#include "collector.h"
#include "os.h"

/* Asking about so few pages costs more than reading them (about 2 us for the question). */
#define FEW_PAGES 4u

/* On the marker's stack: one question covers 2 MiB. */
#define PAGES_PER_QUESTION 512u

static void scan_written(struct collector_marker *marker, const unsigned char *from,
                         size_t n_pages, const bool *written)
{
    size_t page = os_page_size();

    for (size_t i = 0; i < n_pages; i++)
        if (written[i])
            collector_mark_words(marker, from + i * page, from + (i + 1) * page);
}

void roots_scan(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                bool of_file)
{
    size_t page = os_page_size();
    size_t n_pages = n_bytes / page;

    /* Pages of a file are always asked about: the file may have been truncated. */
    if (n_pages <= FEW_PAGES && !of_file) {
        collector_mark_words(marker, from, from + n_bytes);
        return;
    }
    while (n_pages > 0) {
        bool written[PAGES_PER_QUESTION];
        size_t n = n_pages < PAGES_PER_QUESTION ? n_pages : PAGES_PER_QUESTION;

        if (os_written_pages(from, n, written) == 0)
            scan_written(marker, from, n, written);
        else
            collector_mark_words(marker, from, from + n * page);
        from += n * page;
        n_pages -= n;
    }
}
