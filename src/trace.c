/*
 * trace: lines on stderr or at the end of a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os_look.h"
#include "text.h"

/* Where lines go. */
struct destination {
    bool is_wanted;
    char *path; /* NULL: stderr */
};

static struct destination lines, summary;
static void (*get_stats)(gcmmap_stats *stats);

atomic_bool trace_is_on;

static struct destination destination_of(const char *variable)
{
    const char *value = os_environment(variable);

    if (value == NULL || *value == '\0' || strcmp(value, "0") == 0)
        return (struct destination){ false, NULL };
    if (strcmp(value, "1") == 0 || strcmp(value, "2") == 0)
        return (struct destination){ true, NULL };
    return (struct destination){ true, os_absolute_path(value) };
}

/* A line, or some, in one piece. */
struct output {
    FILE *stream;
    char *text;
    size_t n_bytes;
};

static bool begin(struct output *output)
{
    *output = (struct output){ 0 };
    output->stream = open_memstream(&output->text, &output->n_bytes);
    if (output->stream == NULL)
        return false;
    (void)fprintf(output->stream, "gcmmap[%ld]: ", os_process());
    return true;
}

/* The file is opened for each: a host may close descriptors that it does not know. */
static void end(struct output *output, const struct destination *to)
{
    (void)putc('\n', output->stream);
    if (fclose(output->stream) == 0)
        os_append(to->path, output->text, output->n_bytes);
    free(output->text);
}

void trace_write(const struct trace_event *event)
{
    int saved_errno = errno;
    struct output output;
    char place[512];

    if (begin(&output)) {
        (void)fprintf(output.stream, "%s %#lx, %zu bytes", event->what, (unsigned long)event->data,
                      event->n_bytes);
        if (event->name != NULL) {
            (void)fputs(", ", output.stream);
            text_write_plain(output.stream, event->name);
        }
        if (event->caller != NULL) {
            os_name_address(event->caller, place, sizeof place);
            (void)fputs(", by ", output.stream);
            text_write_plain(output.stream, place);
        }
        end(&output, &lines);
    }
    errno = saved_errno;
}

void trace_write_collection(unsigned long cycle)
{
    int saved_errno = errno;
    struct output output;

    if (begin(&output)) {
        (void)fprintf(output.stream, "collect, number %lu", cycle);
        end(&output, &lines);
    }
    errno = saved_errno;
}

static void write_summary(void)
{
    struct output output;
    gcmmap_stats stats;

    get_stats(&stats);
    if (!begin(&output))
        return;
    (void)fprintf(output.stream,
                  "%zu regions mapped (%s), %zu of them released by the collector, %zu unmapped "
                  "at once, %zu closed; %zu could not be mapped\n",
                  stats.n_mapped, text_size(stats.bytes_mapped).text, stats.n_released,
                  stats.n_unmapped_now, stats.n_revoked, stats.n_failed);
    (void)fprintf(output.stream,
                  "gcmmap[%ld]: %zu open (%s), at most %zu (%s); %zu closed, %zu dying; %s of "
                  "addresses reserved, %zu collections asked for",
                  os_process(), stats.n_live, text_size(stats.bytes_live).text, stats.n_most_live,
                  text_size(stats.bytes_most_live).text, stats.n_closed, stats.n_dying,
                  text_size(stats.bytes_reserved).text, stats.n_collections);
    end(&output, &summary);
}

void trace_start(void (*stats)(gcmmap_stats *stats))
{
    int saved_errno = errno;

    lines = destination_of("GCMMAP_TRACE");
    summary = destination_of("GCMMAP_STATS");
    get_stats = stats;
    if (summary.is_wanted)
        (void)atexit(write_summary);
    atomic_store(&trace_is_on, lines.is_wanted);
    errno = saved_errno;
}
