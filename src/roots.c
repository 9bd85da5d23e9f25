/*
 * roots: scanning.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "roots.h"

#include <stdint.h>

#include "collector.h"
#include "os.h"

/* Asking about so few pages costs more than reading them (about 2 us for the question). */
#define FEW_PAGES 4u

/* On the marker's stack: one question covers 2 MiB of 4 KiB pages. */
#define PAGES_PER_QUESTION 512u

/* On the marker's stack: divides every page size. */
#define BYTES_PER_COPY 4096u

static void scan_copy(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                      unsigned pages)
{
    uintptr_t words[BYTES_PER_COPY / sizeof(uintptr_t)];

    for (; n_bytes > 0; n_bytes -= sizeof words, from += sizeof words) {
        int error = os_peek(words, from, sizeof words);

        if (error != 0 && (pages & ROOTS_PROTECTED))
            error = os_peek_protected(words, from, sizeof words);
        if (error == 0)
            collector_mark_words(marker, words, (unsigned char *)words + sizeof words);
    }
}

static void scan(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                 unsigned pages)
{
    if (pages & ROOTS_MAY_FAULT)
        scan_copy(marker, from, n_bytes, pages);
    else
        collector_mark_words(marker, from, from + n_bytes);
}

void roots_scan(struct collector_marker *marker, const unsigned char *from, size_t n_bytes,
                unsigned pages)
{
    size_t page = os_page_size();
    size_t n_pages = n_bytes / page;

    if (n_pages <= FEW_PAGES || !(pages & ROOTS_PRIVATE)) {
        scan(marker, from, n_bytes, pages);
        return;
    }
    while (n_pages > 0) {
        bool written[PAGES_PER_QUESTION];
        size_t n = n_pages < PAGES_PER_QUESTION ? n_pages : PAGES_PER_QUESTION;
        bool told = os_written_pages(from, n, written) == 0;

        for (size_t i = 0; i < n; i++, from += page)
            if (!told || written[i])
                scan(marker, from, page, pages);
        n_pages -= n;
    }
}
