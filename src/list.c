/*
 * list: all regions, for people and for programs.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gcmmap.h"
#include "os_look.h"
#include "region.h"
#include "survey.h"
#include "text.h"

static const struct {
    unsigned flag;
    const char *name;
} flag_names[] = {
    { GCMMAP_READ, "read" },
    { GCMMAP_WRITE, "write" },
    { GCMMAP_EXEC, "exec" },
    { GCMMAP_PRIVATE, "private" },
    { GCMMAP_POINTER_FREE, "pointer_free" },
    { GCMMAP_TRACED, "traced" },
    { GCMMAP_BY_HANDLE, "by_handle" },
    { GCMMAP_WRITE_BACK, "write_back" },
    { GCMMAP_POPULATE, "populate" },
    { GCMMAP_HUGE, "huge" },
    { GCMMAP_HUGE_ONLY, "huge_only" },
    { GCMMAP_NORESERVE, "noreserve" },
    { GCMMAP_LOCK, "lock" },
    { GCMMAP_SYNC_DAX, "sync_dax" },
    { GCMMAP_NO_FORK, "no_fork" },
    { GCMMAP_NO_DUMP, "no_dump" },
    { GCMMAP_SECRET, "secret" },
    { GCMMAP_PARTIAL, "partial" },
    { GCMMAP_GUARDED, "guarded" },
    { GCMMAP_GUARDED, "guarded" },
};

static const char *const state_names[] = { "open", "closing", "closed", "dying" };

/* A row of the listing: what is known of a region. */
struct row {
    const struct region_info *info;
    struct survey survey;
    char *path; /* of what the system says is mapped there; or NULL */
};

/* Naming a place in the program takes a while, and most regions are mapped at a few. */
struct place {
    const void *address;
    char name[512];
};

static const char *name_of_place(struct place *place, const void *address)
{
    if (place->address != address)
        os_name_address(address, place->name, sizeof place->name);
    place->address = address;
    return place->name;
}

struct table {
    struct region_list list;
    struct row *rows;
    struct place mapped_by, closed_by; /* of the last row */
    size_t at;                         /* where the walk through the system's table is */
};

static const char *name_of(const struct row *row)
{
    return row->info->name != NULL ? row->info->name : row->path;
}

static uintptr_t data_of(const struct region_info *info)
{
    return ~info->hidden_data;
}

/* ---- what is mapped there: both tables are in order of addresses ----------------- */

static bool note_path(const struct os_mapped *mapped, void *arg)
{
    struct table *table = arg;

    while (table->at < table->list.n && data_of(table->rows[table->at].info) < mapped->from)
        table->at++;
    for (size_t i = table->at; i < table->list.n; i++) {
        struct row *row = &table->rows[i];

        if (data_of(row->info) >= mapped->to)
            break;
        if (row->info->of_file && row->info->name == NULL && row->info->n_page_bytes != 0 &&
            mapped->of_file && row->path == NULL)
            row->path = strdup(mapped->path); /* NULL: it stays unknown */
    }
    return table->at < table->list.n;
}

static void end_table(struct table *table)
{
    for (size_t i = 0; table->rows != NULL && i < table->list.n; i++)
        free(table->rows[i].path);
    free(table->rows);
    region_end_list(&table->list);
}

static int begin_table(struct table *table)
{
    int error = region_begin_list(&table->list);

    table->at = 0;
    table->rows = NULL;
    table->mapped_by.address = table->closed_by.address = NULL;
    if (error == 0) {
        table->rows = calloc(table->list.n + 1, sizeof *table->rows);
        if (table->rows == NULL)
            error = ENOMEM;
    }
    if (error != 0) {
        end_table(table);
        return error;
    }
    for (size_t i = 0; i < table->list.n; i++) {
        table->rows[i].info = &table->list.infos[i];
        survey_region(table->rows[i].info, &table->rows[i].survey);
    }
    (void)os_each_mapping(note_path, table);
    return 0;
}

/* ---- for people -------------------------------------------------------------------- */

static struct text_size known_size(bool is_known, size_t n_bytes)
{
    return is_known ? text_size(n_bytes) : (struct text_size){ "-" };
}

static void write_place(FILE *to, const char *what, struct place *place, const void *address)
{
    if (address == NULL)
        return;
    (void)fprintf(to, ", %s ", what);
    text_write_plain(to, name_of_place(place, address));
}

static void write_line(FILE *to, struct table *table, const struct row *row)
{
    const struct region_info *info = row->info;
    const struct survey *survey = &row->survey;
    char access[] = { info->flags & (GCMMAP_READ | GCMMAP_WRITE) ? 'r' : '-',
                      info->flags & GCMMAP_WRITE ? 'w' : '-',
                      info->flags & GCMMAP_EXEC ? 'x' : '-',
                      info->flags & GCMMAP_PRIVATE ? 'p' : 's',
                      info->traced ? 't' : '-',
                      info->by_handle ? 'h' : '-',
                      '\0' };

    (void)fprintf(to, "%#-14lx %10s  %-7s  %s %9s %10s %10s  ", (unsigned long)data_of(info),
                  text_size(info->n_bytes).text, state_names[info->state], access,
                  text_age(info->age).text,
                  known_size(survey->knows_resident, survey->n_resident).text,
                  known_size(survey->knows_written, survey->n_written).text);
    if (name_of(row) != NULL)
        text_write_plain(to, name_of(row));
    else
        (void)fputs(info->of_file ? "(a file)" : "(memory)", to);
    if (info->of_file)
        (void)fprintf(to, "+%lld", (long long)info->offset);
    write_place(to, "mapped by", &table->mapped_by, info->mapped_by);
    write_place(to, "closed by", &table->closed_by, info->closed_by);
    (void)putc('\n', to);
}

static void write_text(FILE *to, struct table *table)
{
    (void)fprintf(to, "%-14s %10s  %-7s  %s %9s %10s %10s  %s\n", "data", "size", "state", "access",
                  "age", "resident", "written", "what and where");
    for (size_t i = 0; i < table->list.n; i++)
        write_line(to, table, &table->rows[i]);
}

/* ---- for programs ------------------------------------------------------------------- */

static void write_number(FILE *to, const char *member, bool is_known, size_t n)
{
    if (is_known)
        (void)fprintf(to, ", \"%s\": %zu", member, n);
    else
        (void)fprintf(to, ", \"%s\": null", member);
}

static void write_place_member(FILE *to, const char *member, struct place *place,
                               const void *address)
{
    (void)fprintf(to, ", \"%s\": ", member);
    text_write_json(to, address != NULL ? name_of_place(place, address) : NULL);
}

static void write_object(FILE *to, struct table *table, const struct row *row)
{
    const struct region_info *info = row->info;
    const struct survey *survey = &row->survey;
    const char *separator = "";

    (void)fprintf(to, "{\"handle\": \"%#lx\", \"data\": \"%#lx\", \"size\": %zu",
                  (unsigned long)~info->hidden_handle, (unsigned long)data_of(info), info->n_bytes);
    (void)fprintf(to, ", \"state\": \"%s\", \"flags\": [", state_names[info->state]);
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (info->flags & flag_names[i].flag) {
            (void)fprintf(to, "%s\"%s\"", separator, flag_names[i].name);
            separator = ", ";
        }
    (void)fprintf(to, "], \"is_traced\": %s, \"age\": %llu.%03u", info->traced ? "true" : "false",
                  (unsigned long long)(info->age / 1000),
                  (unsigned)(info->age % 1000)); /* a point in any locale */
    write_number(to, "bytes_mapped", true, info->n_page_bytes);
    write_number(to, "bytes_resident", survey->knows_resident, survey->n_resident);
    write_number(to, "bytes_written", survey->knows_written, survey->n_written);
    write_number(to, "room", info->room != 0, info->room);
    write_number(to, "offset", info->of_file, (size_t)info->offset);
    (void)fputs(", \"name\": ", to);
    text_write_json(to, name_of(row));
    write_place_member(to, "mapped_by", &table->mapped_by, info->mapped_by);
    write_place_member(to, "closed_by", &table->closed_by, info->closed_by);
    (void)putc('}', to);
}

static void write_json(FILE *to, struct table *table)
{
    (void)putc('[', to);
    for (size_t i = 0; i < table->list.n; i++) {
        (void)fputs(i == 0 ? "\n" : ",\n", to);
        write_object(to, table, &table->rows[i]);
    }
    (void)fputs("\n]\n", to);
}

int gcmmap_list(FILE *to, unsigned flags)
{
    int saved_errno = errno, error = EINVAL;
    struct table table;

    if (to != NULL && (flags & ~GCMMAP_LIST_JSON) == 0)
        error = begin_table(&table);
    if (error == 0) {
        if (flags & GCMMAP_LIST_JSON)
            write_json(to, &table);
        else
            write_text(to, &table);
        end_table(&table);
        error = text_finish(to);
    }
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}
