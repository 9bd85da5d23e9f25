/*
 * table: puts together what is known of each region.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os_look.h"

const char *table_name(const struct table_row *row)
{
    return row->info->name != NULL ? row->info->name : row->path;
}

const char *table_state(const struct table_row *row)
{
    static const char *const names[] = { "open", "closing", "closed", "dying" };

    return names[row->info->state];
}

static uintptr_t data_of(const struct region_info *info)
{
    return ~info->hidden_data;
}

/* ---- what is mapped there: both tables are in order of addresses ----------------- */

static bool note_path(const struct os_mapped *mapped, void *arg)
{
    struct table *table = arg;

    while (table->at < table->n && data_of(table->rows[table->at].info) < mapped->from)
        table->at++;
    for (size_t i = table->at; i < table->n; i++) {
        struct table_row *row = &table->rows[i];

        if (data_of(row->info) >= mapped->to)
            break;
        if (row->info->of_file && row->info->name == NULL && row->info->n_page_bytes != 0 &&
            mapped->of_file && row->path == NULL)
            row->path = strdup(mapped->path); /* NULL: it stays unknown */
    }
    return table->at < table->n;
}

/* ---- slices ------------------------------------------------------------------------ */

struct count {
    const struct search_target *targets;
    struct table_row **rows; /* of the targets */
};

static bool count_slice(const struct search_hit *hit, void *arg)
{
    const struct count *count = arg;
    struct table_row *row = count->rows[hit->target];
    size_t head = (size_t)(row->info->hidden_handle - row->info->hidden_data), n = row->pieces.n;

    row->n_slices++;
    if (n > 0) {
        size_t at = hit->points_to > head ? hit->points_to - head : 0;
        size_t piece = row->info->n_bytes == 0 || row->info->by_handle
                           ? 0
                           : (size_t)((double)at * (double)n / (double)row->info->n_bytes);

        row->slices[piece < n ? piece : n - 1]++;
    }
    return true;
}

static int by_handle(const void *left, const void *right)
{
    uintptr_t a = ~(*(struct table_row *const *)left)->info->hidden_handle;
    uintptr_t b = ~(*(struct table_row *const *)right)->info->hidden_handle;

    return (a > b) - (a < b);
}

/* Where that is not possible, or takes too long, it is not known. */
static int find_slices(struct table *table, const struct search_caller *caller)
{
    struct search_target *targets = calloc(table->n + 1, sizeof *targets);
    struct count count = { targets, calloc(table->n + 1, sizeof *count.rows) };
    struct search search = { .targets = targets,
                             .n_targets = table->n,
                             .found = count_slice,
                             .arg = &count,
                             .caller = caller };
    int error = targets == NULL || count.rows == NULL ? ENOMEM : 0;

    if (error == 0) {
        for (size_t i = 0; i < table->n; i++)
            count.rows[i] = &table->rows[i];
        qsort(count.rows, table->n, sizeof *count.rows, by_handle);
        for (size_t i = 0; i < table->n; i++)
            targets[i] = (struct search_target){ count.rows[i]->info->hidden_handle,
                                                 count.rows[i]->info->block_bytes };
        error = search_run(&search);
        table->knows_slices = error == 0 && !search.gave_up;
    }
    free(targets);
    free(count.rows);
    return error == ENOMEM ? error : 0;
}

/* ---- the table --------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
    const struct region_info *a = (*(struct table_row *const *)left)->info;
    const struct region_info *b = (*(struct table_row *const *)right)->info;

    if (a->n_bytes != b->n_bytes)
        return a->n_bytes < b->n_bytes ? 1 : -1;
    return (a->hidden_data < b->hidden_data) - (a->hidden_data > b->hidden_data);
}

static int make_pieces(struct table_row *row, size_t n)
{
    size_t n_pages = row->info->n_page_bytes / os_page_size();
    uint32_t *counts;

    if (n_pages > 0 && n > n_pages)
        n = n_pages;
    row->survey.pieces = &row->pieces;
    if (n == 0)
        return 0;
    counts = calloc(3 * n, sizeof *counts);
    if (counts == NULL)
        return ENOMEM;
    row->pieces = (struct survey_pieces){ n, counts, counts + n };
    row->slices = counts + 2 * n;
    /* cppcheck-suppress memleak; row->pieces has it */
    return 0;
}

static int make_rows(struct table *table, const struct table_wish *wish)
{
    int error = 0;

    table->rows = calloc(table->n + 1, sizeof *table->rows);
    table->order = calloc(table->n + 1, sizeof *table->order);
    if (table->rows == NULL || table->order == NULL)
        return ENOMEM;
    for (size_t i = 0; i < table->n; i++) {
        table->rows[i].info = &table->list.infos[i];
        table->order[i] = &table->rows[i];
    }
    qsort(table->order, table->n, sizeof *table->order, by_size);
    for (size_t i = 0; wish->n_pieces != NULL && error == 0 && i < table->n; i++)
        error = make_pieces((struct table_row *)table->order[i], wish->n_pieces(i));
    return error;
}

int table_begin(struct table *table, const struct table_wish *wish)
{
    int error;

    *table = (struct table){ 0 };
    error = region_begin_list(&table->list);
    table->n = table->list.n;
    if (error == 0)
        error = make_rows(table, wish);
    if (error == 0 && wish->caller != NULL)
        error = find_slices(table, wish->caller);
    if (error != 0) {
        table_end(table);
        return error;
    }
    for (size_t i = 0; i < table->n; i++)
        survey_region(table->rows[i].info, &table->rows[i].survey);
    (void)os_each_mapping(note_path, table);
    return 0;
}

void table_end(struct table *table)
{
    for (size_t i = 0; table->rows != NULL && i < table->n; i++) {
        free(table->rows[i].path);
        free(table->rows[i].pieces.resident);
    }
    free(table->rows);
    free(table->order);
    region_end_list(&table->list);
}
