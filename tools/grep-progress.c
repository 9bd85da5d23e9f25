/*
 * grep-progress: what has been done so far; a line on the terminal when that takes long.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gcmmap.h"
#include "grep-out.h"
#include "grep-progress.h"
#include "grep-say.h"

#define FIRST_SECONDS 0.5 /* shorter runs show nothing */
#define SECONDS 0.1       /* between two looks */
#define BAR 30

struct totals totals;
static uint64_t expected;
static bool wanted, shown;
static double started, last;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void progress_open(uint64_t bytes_expected)
{
    const char *terminal = getenv("TERM");

    expected = bytes_expected;
    wanted = isatty(STDERR_FILENO) == 1 && terminal != NULL && strcmp(terminal, "dumb") != 0;
    started = last = now();
}

static const char *readable(uint64_t bytes, char *text, size_t room)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(text, room, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void show(double time)
{
    char done[32], speed[32], bar[BAR + 1];
    uint64_t bytes = totals.bytes_searched;

    readable(bytes, done, sizeof done);
    readable((uint64_t)((double)bytes / (time - started)), speed, sizeof speed);
    if (expected > 0) {
        double share = (double)bytes / (double)expected;
        size_t n;

        share = share > 1 ? 1 : share;
        n = (size_t)(share * BAR);
        memset(bar, '.', BAR);
        memset(bar, '#', n);
        bar[BAR] = '\0';
        fprintf(stderr, "\r\033[K[%s] %3.0f %%, %s, %s/s", bar, share * 100, done, speed);
    } else {
        fprintf(stderr, "\r\033[K%zu files, %s, %s/s", totals.n_files, done, speed);
    }
    fflush(stderr);
    shown = true;
}

void progress_add(size_t n_bytes)
{
    totals.bytes_searched += n_bytes;
    if (wanted) {
        double time = now();

        if (time - started >= FIRST_SECONDS && time - last >= SECONDS) {
            last = time;
            show(time);
        }
    }
}

void progress_hide(void)
{
    if (!shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    shown = false;
}

/* Overwrites what returned functions left on the stack: pointers into regions, too. */
static __attribute__((noinline)) void scrub_stack(void)
{
    volatile unsigned char wipe[32768];

    for (size_t i = 0; i < sizeof wipe; i++)
        wipe[i] = 0;
}

void stats_print(void)
{
    size_t meanwhile;
    gcmmap_stats stats;
    char text[32];

    out_flush();
    progress_hide();
    gcmmap_get_stats(&stats);
    meanwhile = stats.n_released;
    /* What one collection finds dead may still have held something else. */
    for (int i = 0; i < 4; i++) {
        scrub_stack();
        (void)gcmmap_collect();
    }
    gcmmap_get_stats(&stats);
    fprintf(stderr, "%zu files searched, %zu with matches, %llu lines selected\n", totals.n_files,
            totals.n_matching, (unsigned long long)totals.n_selected);
    fprintf(stderr, "%s mapped, in %zu regions\n", readable(totals.bytes_mapped, text, sizeof text),
            totals.n_mapped);
    fprintf(stderr, "%zu copies made, of %s\n", totals.n_copied,
            readable(totals.bytes_copied, text, sizeof text));
    fprintf(stderr, "%zu regions released by themselves, %zu of them while searching\n",
            stats.n_released, meanwhile);
    fprintf(stderr, "%.3f seconds\n", now() - started);
}
