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
#include "table.h"
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
    { GCMMAP_ZERO_FILL, "zero_fill" },
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

/* Places in the program, of the last row. */
struct places {
    struct place mapped_by, closed_by;
};

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

static void write_line(FILE *to, struct places *places, const struct table *table,
                       const struct table_row *row)
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

    (void)fprintf(to, "%#-14lx %10s  %-7s  %s %9s %10s %10s  ", (unsigned long)~info->hidden_data,
                  text_size(info->n_bytes).text, table_state(row), access, text_age(info->age).text,
                  known_size(survey->knows_resident, survey->n_resident).text,
                  known_size(survey->knows_written, survey->n_written).text);
    if (table->knows_slices)
        (void)fprintf(to, "%7zu  ", row->n_slices);
    if (table_name(row) != NULL)
        text_write_plain(to, table_name(row));
    else
        (void)fputs(info->of_file ? "(a file)" : "(memory)", to);
    if (info->of_file)
        (void)fprintf(to, "+%lld", (long long)info->offset);
    write_place(to, "mapped by", &places->mapped_by, info->mapped_by);
    write_place(to, "closed by", &places->closed_by, info->closed_by);
    (void)putc('\n', to);
}

static void write_text(FILE *to, const struct table *table)
{
    struct places places = { 0 };

    (void)fprintf(to, "%-14s %10s  %-7s  %s %9s %10s %10s  %s%s\n", "data", "size", "state",
                  "access", "age", "resident", "written", table->knows_slices ? " slices  " : "",
                  "what and where");
    for (size_t i = 0; i < table->n; i++)
        write_line(to, &places, table, &table->rows[i]);
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

static void write_object(FILE *to, struct places *places, const struct table *table,
                         const struct table_row *row)
{
    const struct region_info *info = row->info;
    const struct survey *survey = &row->survey;
    const char *separator = "";

    (void)fprintf(to, "{\"handle\": \"%#lx\", \"data\": \"%#lx\", \"size\": %zu",
                  (unsigned long)~info->hidden_handle, (unsigned long)~info->hidden_data,
                  info->n_bytes);
    (void)fprintf(to, ", \"state\": \"%s\", \"flags\": [", table_state(row));
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
    write_number(to, "slices", table->knows_slices, row->n_slices);
    write_number(to, "room", info->room != 0, info->room);
    if (info->of_file) /* may be more than a size_t holds */
        (void)fprintf(to, ", \"offset\": %lld", (long long)info->offset);
    else
        (void)fputs(", \"offset\": null", to);
    (void)fputs(", \"name\": ", to);
    text_write_json(to, table_name(row));
    write_place_member(to, "mapped_by", &places->mapped_by, info->mapped_by);
    write_place_member(to, "closed_by", &places->closed_by, info->closed_by);
    (void)putc('}', to);
}

static void write_json(FILE *to, const struct table *table)
{
    struct places places = { 0 };

    (void)putc('[', to);
    for (size_t i = 0; i < table->n; i++) {
        (void)fputs(i == 0 ? "\n" : ",\n", to);
        write_object(to, &places, table, &table->rows[i]);
    }
    (void)fputs("\n]\n", to);
}

struct list_call {
    FILE *to;
    unsigned flags;
    struct search_caller caller;
};

static SEARCH_IN_FRAME_OF_ITS_OWN int list(const struct list_call *call)
{
    FILE *to = call->to;
    unsigned flags = call->flags;
    const struct table_wish wish = { .caller = flags & GCMMAP_LIST_SLICES ? &call->caller : NULL };
    int saved_errno = errno, error = EINVAL;
    struct table table;

    if (to != NULL && (flags & ~(GCMMAP_LIST_JSON | GCMMAP_LIST_SLICES)) == 0)
        error = table_begin(&table, &wish);
    if (error == 0) {
        if (flags & GCMMAP_LIST_JSON)
            write_json(to, &table);
        else
            write_text(to, &table);
        table_end(&table);
        error = text_finish(to);
    }
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}

int gcmmap_list(FILE *to, unsigned flags)
{
    struct list_call call;

    call.to = to;
    call.flags = flags;
    SEARCH_LOOK_AT_CALLER(call.caller, NULL);
    return list(&call);
}
