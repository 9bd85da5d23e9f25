/*
 * picture: all regions as SVG.
 *
 * SPDX-License-Identifier: MIT
 *
 * The largest regions have a line each, the others a cell in a grid.  Coordinates are tenths of
 * a pixel, so that all numbers are integers, in any locale.
 *
 *     | name            size | bar: from left to right the region's pages      | slices, age |
 *     |                      | ^ above it a tick where a pointer leads          |             |
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "gcmmap.h"
#include "os.h"
#include "table.h"
#include "text.h"

#define WIDTH 12000
#define MARGIN 300

/* The lines of the largest. */
#define N_LINES 40u
#define LINE_HEIGHT 280
#define NAME_X MARGIN
#define SIZE_X 3750 /* right edge */
#define BAR_X 3900
#define BAR_MOST 6000
#define BAR_LEAST 300
#define BAR_HEIGHT 150
#define SAYS_X (WIDTH - MARGIN) /* right edge */
#define LINE_PIECES 150u

/* The grid of the others. */
#define N_CELLS 4000u
#define CELL_COLUMNS 10
#define CELL_WIDTH 1140
#define CELL_HEIGHT 330
#define CELL_BAR_MOST 1040
#define CELL_BAR_LEAST 160
#define CELL_BAR_HEIGHT 90
#define CELL_PIECES 26u

#define TICK 50
#define CELL_TICK 36

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:125px;"
    "fill:#24292f}\n"
    ".title{font-size:230px;font-weight:600}.sub,.says,.axis{fill:#656d76}\n"
    ".axis,.says{font-size:110px}.cell{font-size:88px}.end{text-anchor:end}"
    ".mid{text-anchor:middle}\n"
    ".page{fill:#fff}.grid{stroke:#eaeef2;stroke-width:10}\n"
    ".open{fill:#d8dee4}.gone{fill:none;stroke:#afb8c1;stroke-width:10;stroke-dasharray:40 30}\n"
    ".in{fill:#54aeff}.out{fill:#e16f24}.tick{fill:#1f2328}\n"
    "</style>\n";

/* ---- where things lie --------------------------------------------------------- */

/* log2, in 256ths, straight lines between the powers. */
static unsigned log_of(size_t n)
{
    unsigned log = 0;

    while (n >> log > 1)
        log++;
    return log * 256 + (unsigned)(log >= 8 ? (n >> (log - 8)) - 256 : (n << (8 - log)) - 256);
}

/* Lengths of bars: by the logarithm of the size. */
struct scale {
    unsigned low, high; /* logarithms of sizes */
};

static struct scale scale_of(const struct table *table)
{
    size_t most = table->n > 0 ? table->order[0]->info->n_bytes : 0;
    unsigned low = log_of(os_page_size()), high = log_of(most > 0 ? most : 1);

    return (struct scale){ low, high >= low + 4 * 256 ? high : low + 4 * 256 };
}

static int length_of(const struct scale *scale, size_t n_bytes, int least, int most)
{
    unsigned log = log_of(n_bytes > 0 ? n_bytes : 1);

    if (log <= scale->low)
        return least;
    return least +
           (int)((long)(log - scale->low) * (most - least) / (long)(scale->high - scale->low));
}

/* ---- bars ------------------------------------------------------------------------ */

struct bar {
    int x, y, length, height;
    int tick;
};

static void draw_box(FILE *to, const char *class, int x, int y, int width, int height)
{
    (void)fprintf(to, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", class, x,
                  y, width, height);
}

/* How much of a piece it is: 0 to 4 quarters, rounded up. */
static unsigned quarters_of(const struct table_row *row, uint32_t n_pages, size_t i)
{
    size_t all = row->info->n_page_bytes / os_page_size(), n = row->pieces.n;
    size_t of = survey_pages_before(i + 1, n, all) - survey_pages_before(i, n, all);

    return n_pages >= of ? 4 : (unsigned)(((size_t)n_pages * 4 + of - 1) / of);
}

/* Runs of pieces that are as full as each other, as boxes of that opacity. */
static void draw_pages(FILE *to, const struct table_row *row, const uint32_t *counts,
                       const char *class, const struct bar *bar)
{
    size_t n = row->pieces.n;

    for (size_t i = 0, j; i < n; i = j) {
        unsigned quarters = quarters_of(row, counts[i], i);
        int from = (int)(i * (size_t)bar->length / n), to_x;

        for (j = i + 1; j < n && quarters_of(row, counts[j], j) == quarters;)
            j++;
        to_x = (int)(j * (size_t)bar->length / n);
        if (quarters == 0 || to_x <= from)
            continue;
        (void)fprintf(to,
                      "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                      "opacity=\".%u\"/>",
                      class, bar->x + from, bar->y, to_x - from, bar->height,
                      quarters == 4 ? 99 : 25 + quarters * 15);
    }
}

/* Those that would lie upon each other are one. */
static void draw_ticks(FILE *to, const struct table_row *row, const struct bar *bar)
{
    size_t n = row->pieces.n;
    int last = bar->x - bar->tick;

    for (size_t i = 0; i < n; i++) {
        int x = bar->x + (int)((2 * i + 1) * (size_t)bar->length / (2 * n));

        if (row->slices[i] == 0 || x < last + bar->tick * 3 / 4)
            continue;
        (void)fprintf(to, "<path class=\"tick\" d=\"M%d %dl-%d -%dh%dz\"/>", x, bar->y - 5,
                      bar->tick / 2, bar->tick, bar->tick);
        last = x;
    }
}

static void draw_bar(FILE *to, const struct table_row *row, const struct bar *bar)
{
    const struct bar low = { bar->x, bar->y + bar->height * 3 / 5, bar->length,
                             bar->height - bar->height * 3 / 5, 0 };
    bool is_there = row->info->n_page_bytes != 0;

    draw_box(to, is_there ? "open" : "gone", bar->x, bar->y, bar->length, bar->height);
    if (is_there && row->pieces.n > 0) {
        draw_pages(to, row, row->pieces.resident, "in", bar);
        draw_pages(to, row, row->pieces.written, "out", &low);
    }
    if (row->pieces.n > 0)
        draw_ticks(to, row, bar);
}

/* ---- words ------------------------------------------------------------------------ */

static const char *name_of(const struct table_row *row)
{
    const char *name = table_name(row);

    return name != NULL ? name : row->info->of_file ? "(a file)" : "(memory)";
}

static bool is_start(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* Its end, which tells more of a path, and at most so many characters. */
static void write_end_of(FILE *to, const char *name, size_t most)
{
    size_t n = 0;

    for (const char *c = name; *c != '\0'; c++)
        n += is_start(*c);
    if (n > most)
        (void)fputs("\xe2\x80\xa6", to); /* an ellipsis */
    for (; n > most; n--)
        for (name++; !is_start(*name);)
            name++;
    text_write_xml(to, name);
}

static void write_known(FILE *to, const char *what, bool is_known, size_t n_bytes)
{
    (void)fprintf(to, "\n%s: %s", what, is_known ? text_size(n_bytes).text : "not known");
}

/* What is shown when the mouse is over it. */
static void write_tip(FILE *to, const struct table *table, const struct table_row *row)
{
    const struct region_info *info = row->info;

    (void)fputs("<title>", to);
    text_write_xml(to, name_of(row));
    (void)fprintf(to, "\n%s at %#lx, %s, mapped %s ago", text_size(info->n_bytes).text,
                  (unsigned long)~info->hidden_data, table_state(row), text_age(info->age).text);
    write_known(to, "in memory", row->survey.knows_resident, row->survey.n_resident);
    write_known(to, "written", row->survey.knows_written, row->survey.n_written);
    if (table->knows_slices)
        (void)fprintf(to, "\npointers to it: %zu", row->n_slices);
    (void)fputs("</title>", to);
}

static void begin_region(FILE *to, const struct table *table, const struct table_row *row)
{
    (void)fprintf(to,
                  "<g class=\"region\" data-size=\"%zu\" data-resident=\"%zu\" "
                  "data-written=\"%zu\" data-slices=\"%zu\">",
                  row->info->n_bytes, row->survey.n_resident, row->survey.n_written, row->n_slices);
    write_tip(to, table, row);
}

/* ---- parts of the picture ----------------------------------------------------------- */

struct totals {
    size_t n_open, n_closed, n_dying, n_mapped, n_resident, n_written, n_slices;
};

static struct totals totals_of(const struct table *table)
{
    struct totals totals = { 0 };

    for (size_t i = 0; i < table->n; i++) {
        const struct table_row *row = &table->rows[i];

        totals.n_open += row->info->state == REGION_OPEN || row->info->state == REGION_CLOSING;
        totals.n_closed += row->info->state == REGION_CLOSED;
        totals.n_dying += row->info->state == REGION_DYING;
        totals.n_mapped += row->info->n_page_bytes;
        totals.n_resident += row->survey.n_resident;
        totals.n_written += row->survey.n_written;
        totals.n_slices += row->n_slices;
    }
    return totals;
}

static void draw_head(FILE *to, const struct table *table, const struct totals *totals)
{
    (void)fprintf(to, "<text class=\"title\" x=\"%d\" y=\"480\">%zu %s, %s mapped</text>\n", MARGIN,
                  table->n, table->n == 1 ? "region" : "regions", text_size(totals->n_mapped).text);
    (void)fprintf(to,
                  "<text class=\"sub\" x=\"%d\" y=\"740\">%s in memory, %s written here, "
                  "%zu open, %zu closed, %zu dying",
                  MARGIN, text_size(totals->n_resident).text, text_size(totals->n_written).text,
                  totals->n_open, totals->n_closed, totals->n_dying);
    if (table->knows_slices)
        (void)fprintf(to, ", %zu pointers to them", totals->n_slices);
    (void)fputs("</text>\n", to);
}

static int draw_word(FILE *to, int x, int y, int width, const char *word)
{
    (void)fprintf(to, "<text class=\"says\" x=\"%d\" y=\"%d\">%s</text>", x + 330, y, word);
    return x + width;
}

static void draw_legend(FILE *to, const struct table *table, int y)
{
    int x = MARGIN, top = y - 95;

    draw_box(to, "open", x, top, 260, 110);
    x = draw_word(to, x, y, 1250, "mapped only");
    draw_box(to, "in", x, top, 260, 110);
    x = draw_word(to, x, y, 1150, "in memory");
    draw_box(to, "in", x, top, 260, 110);
    draw_box(to, "out", x, top + 66, 260, 44);
    x = draw_word(to, x, y, 1850, "written by this process");
    draw_box(to, "gone", x, top, 260, 110);
    x = draw_word(to, x, y, 1950, "closed, addresses kept");
    if (table->knows_slices) {
        (void)fprintf(to, "<path class=\"tick\" d=\"M%d %dl-35 -70h70z\"/>", x + 230, y - 10);
        (void)draw_word(to, x, y, 1350, "a pointer leads there");
    }
    (void)fprintf(to,
                  "<text class=\"says end\" x=\"%d\" y=\"%d\">length of a bar: logarithm of the "
                  "size</text>\n",
                  SAYS_X, y);
}

/* Sizes above the bars: every fourth power of two. */
static void draw_axis(FILE *to, const struct scale *scale, int y, int height)
{
    for (unsigned log = 0; log < sizeof(size_t) * 8; log += 4) {
        size_t size = (size_t)1 << log;
        int x = BAR_X + length_of(scale, size, BAR_LEAST, BAR_MOST);

        if (log * 256 < scale->low || log * 256 > scale->high)
            continue;
        (void)fprintf(to,
                      "<path class=\"grid\" d=\"M%d %dv%d\"/>"
                      "<text class=\"axis mid\" x=\"%d\" y=\"%d\">%s</text>\n",
                      x, y + 40, height, x, y, text_size(size).text);
    }
}

static void draw_line(FILE *to, const struct table *table, const struct table_row *row,
                      const struct scale *scale, int y)
{
    const struct region_info *info = row->info;
    const struct bar bar = { BAR_X, y, length_of(scale, info->n_bytes, BAR_LEAST, BAR_MOST),
                             BAR_HEIGHT, TICK };

    begin_region(to, table, row);
    (void)fprintf(to, "<text x=\"%d\" y=\"%d\">", NAME_X, y + 120);
    write_end_of(to, name_of(row), 38);
    (void)fprintf(to, "</text><text class=\"end\" x=\"%d\" y=\"%d\">%s</text>", SIZE_X, y + 120,
                  text_size(info->n_bytes).text);
    draw_bar(to, row, &bar);
    (void)fprintf(to, "<text class=\"says end\" x=\"%d\" y=\"%d\">", SAYS_X, y + 115);
    if (info->state != REGION_OPEN)
        (void)fprintf(to, "%s, ", table_state(row));
    if (table->knows_slices)
        (void)fprintf(to, "%zu %s, ", row->n_slices, row->n_slices == 1 ? "pointer" : "pointers");
    (void)fprintf(to, "%s old</text></g>\n", text_age(info->age).text);
}

static void draw_cell(FILE *to, const struct table *table, const struct table_row *row,
                      const struct scale *scale, int x, int y)
{
    int length = length_of(scale, row->info->n_bytes, CELL_BAR_LEAST, CELL_BAR_MOST);
    const struct bar bar = { x, y + 160, length, CELL_BAR_HEIGHT, CELL_TICK };
    const char *name = name_of(row), *slash = strrchr(name, '/');

    begin_region(to, table, row);
    (void)fprintf(to, "<text class=\"cell\" x=\"%d\" y=\"%d\">", x, y + 65);
    write_end_of(to, slash != NULL ? slash + 1 : name, 19);
    (void)fputs("</text>", to);
    draw_bar(to, row, &bar);
    (void)fputs("</g>\n", to);
}

static size_t n_pieces(size_t rank)
{
    return rank < N_LINES ? LINE_PIECES : rank < N_LINES + N_CELLS ? CELL_PIECES : 0;
}

static void draw_rest(FILE *to, const struct table *table, size_t from, int y)
{
    size_t n_bytes = 0, n_resident = 0;

    for (size_t i = from; i < table->n; i++) {
        n_bytes += table->order[i]->info->n_page_bytes;
        n_resident += table->order[i]->survey.n_resident;
    }
    (void)fprintf(to,
                  "<text class=\"sub\" x=\"%d\" y=\"%d\">and %zu smaller ones: %s, %s in "
                  "memory</text>\n",
                  MARGIN, y, table->n - from, text_size(n_bytes).text, text_size(n_resident).text);
}

static void draw(FILE *to, const struct table *table)
{
    const struct totals totals = totals_of(table);
    const struct scale scale = scale_of(table);
    size_t n_lines = table->n < N_LINES ? table->n : N_LINES, n_cells = table->n - n_lines;
    size_t n_shown = n_cells < N_CELLS ? n_cells : N_CELLS;
    int top = 1500, lines_end = top + (int)n_lines * LINE_HEIGHT;
    int n_rows = (int)((n_shown + CELL_COLUMNS - 1) / CELL_COLUMNS);
    int cells = lines_end + 450, end = n_shown > 0 ? cells + n_rows * CELL_HEIGHT : lines_end;
    int height = end + (n_cells > n_shown ? 650 : 300);

    (void)fprintf(to,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\">\n%s",
                  WIDTH / 10, height / 10, WIDTH, height, style);
    draw_box(to, "page", 0, 0, WIDTH, height);
    draw_head(to, table, &totals);
    draw_legend(to, table, 1020);
    if (n_lines > 0)
        draw_axis(to, &scale, top - 140, lines_end - top + 100);
    for (size_t i = 0; i < n_lines; i++)
        draw_line(to, table, table->order[i], &scale, top + (int)i * LINE_HEIGHT + 60);
    if (n_shown > 0)
        (void)fprintf(to,
                      "<text class=\"sub\" x=\"%d\" y=\"%d\">%zu smaller ones, by size</text>\n",
                      MARGIN, lines_end + 300, n_shown);
    for (size_t i = 0; i < n_shown; i++)
        draw_cell(to, table, table->order[n_lines + i], &scale,
                  MARGIN + (int)(i % CELL_COLUMNS) * CELL_WIDTH,
                  cells + (int)(i / CELL_COLUMNS) * CELL_HEIGHT);
    if (n_cells > n_shown)
        draw_rest(to, table, n_lines + n_shown, end + 350);
    (void)fputs("</svg>\n", to);
}

struct report_call {
    FILE *to;
    struct search_caller caller;
};

static SEARCH_IN_FRAME_OF_ITS_OWN int report(const struct report_call *call)
{
    const struct table_wish wish = { &call->caller, n_pieces };
    FILE *to = call->to;
    int saved_errno = errno, error = EINVAL;
    struct table table;

    if (to != NULL)
        error = table_begin(&table, &wish);
    if (error == 0) {
        draw(to, &table);
        table_end(&table);
        error = text_finish(to);
    }
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}

int gcmmap_report(FILE *to)
{
    struct report_call call;

    call.to = to;
    SEARCH_LOOK_AT_CALLER(call.caller, NULL);
    return report(&call);
}
