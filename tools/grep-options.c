/*
 * grep-options: what the command line asks for.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "grep-options.h"
#include "grep-say.h"

static const char help[] =
    "Usage: " PROGRAM " [OPTION]... PATTERNS [FILE]...\n"
    "Search files for lines that match, without copying them.  PATTERNS are regular expressions\n"
    "of PCRE2, one a line.  FILE - is stdin; none: the working directory with -r, else stdin.\n"
    "\n"
    "Patterns\n"
    "  -e PATTERNS, -f FILE      these; or one a line from the file\n"
    "  -F   they are strings             -P   expressions of PCRE2 (as without -P)\n"
    "  -i   upper and lower case alike   -w   only whole words   -x   only whole lines\n"
    "\n"
    "What is selected\n"
    "  -v   lines that do not match      -m N   N lines of each file at most\n"
    "  -z   lines end with a zero byte   -a, -I, --binary-files=binary|text|without-match\n"
    "\n"
    "What is shown\n"
    "  -n   line numbers    -b   byte offsets    -H, -h   file names, or none\n"
    "  -c   numbers of lines    -l, -L   names of files with or without matches\n"
    "  -o   only what matches   -q   nothing     -s   no messages on files\n"
    "  -A N, -B N, -C N   N lines after, before, around    -Z   a zero byte behind names\n"
    "  --color[=always|never|auto]   --label=NAME of stdin   --line-buffered\n"
    "  --json    one object a line\n"
    "  --stats   in the end, on stderr: bytes mapped, copies made, regions released\n"
    "\n"
    "Kept, without a copy, while all files are searched; and put out in the end\n"
    "  --sort    in the order of their bytes\n"
    "  --unique  each text once; with -c how often it was found, too\n"
    "  --top=N   the N texts that were found most often, and how often\n"
    "\n"
    "Which files\n"
    "  -r   directories and all in them, by name   -R   and behind symbolic links\n"
    "  --include=GLOB, --exclude=GLOB, --exclude-dir=GLOB\n"
    "\n"
    "Exit status: 0, lines were selected; 1, none; 2, an error (but with -q, 0 if any was).\n";

_Noreturn static void usage(void)
{
    fputs("Usage: " PROGRAM " [OPTION]... PATTERNS [FILE]...\nTry '" PROGRAM " --help' for more.\n",
          stderr);
    exit(2);
}

static uint64_t number(const char *text, const char *what)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        give_up("%s: invalid %s", text, what);
    return errno == ERANGE ? UINT64_MAX : value;
}

/* Lines of context: no address is further away. */
static size_t context(const char *text)
{
    uint64_t value = number(text, "context length argument");

    return value > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)value;
}

static void add_patterns(struct options *options, const char *data, size_t size)
{
    if (options->has_patterns)
        text_add(&options->patterns, "\n", 1);
    text_add(&options->patterns, data, size);
    options->has_patterns = true;
}

static void read_patterns(struct options *options, const char *name)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    struct text lines = { 0 };
    char part[4096];
    size_t n;

    if (file == NULL)
        give_up("%s: %s", name, strerror(errno));
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        text_add(&lines, part, n);
    if (ferror(file))
        give_up("%s: %s", name, strerror(errno));
    if (file != stdin)
        fclose(file);
    /* An empty file has no pattern, not even an empty one. */
    if (lines.size > 0)
        add_patterns(options, lines.data,
                     lines.size - (size_t)(lines.data[lines.size - 1] == '\n'));
}

static void add_glob(struct globs *globs, const char *pattern, bool include)
{
    globs->all = array_grow(globs->all, globs->n, &globs->room, sizeof *globs->all);
    globs->all[globs->n++] = (struct glob){ pattern, include };
}

static bool glob_matches(const char *pattern, const char *name, bool command_line)
{
    if (fnmatch(pattern, name, 0) == 0)
        return true;
    for (const char *p = name; command_line && *p != '\0'; p++)
        if (*p == '/' && p[1] != '/' && p[1] != '\0' && fnmatch(pattern, p + 1, 0) == 0)
            return true;
    return false;
}

bool globs_leave_out(const struct globs *globs, const char *name, bool command_line)
{
    bool left_out = globs->n > 0 && globs->all[0].include;

    for (size_t i = 0; i < globs->n; i++)
        if (glob_matches(globs->all[i].pattern, name, command_line))
            left_out = !globs->all[i].include;
    return left_out;
}

static bool wants_color(const char *when)
{
    const char *terminal = getenv("TERM");

    if (when != NULL &&
        (strcmp(when, "always") == 0 || strcmp(when, "yes") == 0 || strcmp(when, "force") == 0))
        return true;
    if (when != NULL &&
        (strcmp(when, "never") == 0 || strcmp(when, "no") == 0 || strcmp(when, "none") == 0))
        return false;
    if (when != NULL && strcmp(when, "auto") != 0 && strcmp(when, "tty") != 0 &&
        strcmp(when, "if-tty") != 0)
        give_up("%s: --color is always, never or auto", when);
    return isatty(STDOUT_FILENO) == 1 && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static enum binary binary_of(const char *text)
{
    if (strcmp(text, "binary") == 0)
        return BINARY_MESSAGE;
    if (strcmp(text, "text") == 0)
        return BINARY_TEXT;
    if (strcmp(text, "without-match") != 0)
        give_up("%s: --binary-files is binary, text or without-match", text);
    return BINARY_SKIPPED;
}

enum {
    BINARY_FILES = 256,
    COLOR,
    EXCLUDE,
    EXCLUDE_DIRECTORY,
    HELP,
    INCLUDE,
    JSON,
    LABEL,
    LINE_BUFFERED,
    NO_IGNORE_CASE,
    SORT,
    STATS,
    TOP,
    UNIQUE
};

static const struct option long_options[] = {
    { "after-context", required_argument, NULL, 'A' },
    { "before-context", required_argument, NULL, 'B' },
    { "binary-files", required_argument, NULL, BINARY_FILES },
    { "byte-offset", no_argument, NULL, 'b' },
    { "color", optional_argument, NULL, COLOR },
    { "colour", optional_argument, NULL, COLOR },
    { "context", required_argument, NULL, 'C' },
    { "count", no_argument, NULL, 'c' },
    { "dereference-recursive", no_argument, NULL, 'R' },
    { "exclude", required_argument, NULL, EXCLUDE },
    { "exclude-dir", required_argument, NULL, EXCLUDE_DIRECTORY },
    { "file", required_argument, NULL, 'f' },
    { "files-with-matches", no_argument, NULL, 'l' },
    { "files-without-match", no_argument, NULL, 'L' },
    { "fixed-strings", no_argument, NULL, 'F' },
    { "help", no_argument, NULL, HELP },
    { "ignore-case", no_argument, NULL, 'i' },
    { "include", required_argument, NULL, INCLUDE },
    { "invert-match", no_argument, NULL, 'v' },
    { "json", no_argument, NULL, JSON },
    { "label", required_argument, NULL, LABEL },
    { "line-buffered", no_argument, NULL, LINE_BUFFERED },
    { "line-number", no_argument, NULL, 'n' },
    { "line-regexp", no_argument, NULL, 'x' },
    { "max-count", required_argument, NULL, 'm' },
    { "no-filename", no_argument, NULL, 'h' },
    { "no-ignore-case", no_argument, NULL, NO_IGNORE_CASE },
    { "no-messages", no_argument, NULL, 's' },
    { "null", no_argument, NULL, 'Z' },
    { "null-data", no_argument, NULL, 'z' },
    { "only-matching", no_argument, NULL, 'o' },
    { "perl-regexp", no_argument, NULL, 'P' },
    { "quiet", no_argument, NULL, 'q' },
    { "recursive", no_argument, NULL, 'r' },
    { "regexp", required_argument, NULL, 'e' },
    { "silent", no_argument, NULL, 'q' },
    { "sort", no_argument, NULL, SORT },
    { "stats", no_argument, NULL, STATS },
    { "text", no_argument, NULL, 'a' },
    { "top", required_argument, NULL, TOP },
    { "unique", no_argument, NULL, UNIQUE },
    { "version", no_argument, NULL, 'V' },
    { "with-filename", no_argument, NULL, 'H' },
    { "word-regexp", no_argument, NULL, 'w' },
    { NULL, 0, NULL, 0 },
};

/* Those of which there is more to say than yes; false: it is none of them. */
static bool set_value(struct options *options, int option, const char *value)
{
    switch (option) {
    case 'A':
        options->after = context(value);
        return true;
    case 'B':
        options->before = context(value);
        return true;
    case 'C':
        options->before = options->after = context(value);
        return true;
    case 'e':
        add_patterns(options, value, strlen(value));
        return true;
    case 'f':
        read_patterns(options, value);
        return true;
    case 'm':
        options->max_count = number(value, "max count");
        return true;
    case 'H':
    case 'h':
        options->names_default = false;
        options->names = option == 'H';
        return true;
    case 'a':
        options->binary = BINARY_TEXT;
        return true;
    case 'I':
        options->binary = BINARY_SKIPPED;
        return true;
    case BINARY_FILES:
        options->binary = binary_of(value);
        return true;
    case COLOR:
        options->color = wants_color(value);
        return true;
    case EXCLUDE:
    case INCLUDE:
        add_glob(&options->files, value, option == INCLUDE);
        return true;
    case EXCLUDE_DIRECTORY:
        add_glob(&options->directories, value, false);
        return true;
    case LABEL:
        options->label = value;
        return true;
    case TOP:
        options->top = context(value);
        if (options->top == 0)
            give_up("--top needs a number above 0");
        return true;
    case 'r':
    case 'R':
        options->recursive = true;
        options->follow = option == 'R';
        return true;
    case 'z':
        options->eol = '\0';
        options->pattern.newlines = true;
        return true;
    default:
        return false;
    }
}

static bool *switch_of(struct options *options, int option)
{
    switch (option) {
    case 'b':
        return &options->offsets;
    case 'c':
        return &options->count;
    case 'F':
        return &options->pattern.fixed;
    case 'i':
    case 'y':
        return &options->pattern.ignore_case;
    case 'l':
        return &options->files_with;
    case 'L':
        return &options->files_without;
    case 'n':
        return &options->numbers;
    case 'o':
        return &options->only_matching;
    case 'q':
        return &options->quiet;
    case 's':
        return &options->no_messages;
    case 'v':
        return &options->invert;
    case 'w':
        return &options->pattern.words;
    case 'x':
        return &options->pattern.lines;
    case 'Z':
        return &options->zero_behind_names;
    case JSON:
        return &options->json;
    case LINE_BUFFERED:
        return &options->lines_at_once;
    case SORT:
        return &options->sort;
    case STATS:
        return &options->stats;
    case UNIQUE:
        return &options->unique;
    default:
        return NULL;
    }
}

static void check(struct options *options)
{
    if (options_keep(options) && (options->before > 0 || options->after > 0))
        give_up("--sort, --unique and --top have no lines of context");
    if (options_keep(options) && (options->files_with || options->files_without))
        give_up("-l and -L do not go with --sort, --unique and --top");
    if (options->json && (options->before > 0 || options->after > 0))
        give_up("--json has no lines of context");
    if (options->json && (options->files_with || options->files_without ||
                          (options->count && !options_keep(options))))
        give_up("-c, -l and -L do not go with --json");
    if (options->sort && options->count && !options->unique)
        give_up("-c with --sort needs --unique");
    options->unique |= options->top > 0;
}

struct options options_of(int argc, char **argv)
{
    struct options options = { .max_count = UINT64_MAX, .eol = '\n', .names_default = true };
    bool patterns_given = false;
    int option;

    options.label = "(standard input)";
    options.pattern.utf = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    while ((option = getopt_long(argc, argv, "A:B:C:FHILPRUVZabce:f:hilm:noqrsvwxyz", long_options,
                                 NULL)) != -1) {
        bool *on = switch_of(&options, option);

        patterns_given |= option == 'e' || option == 'f';
        if (on != NULL) {
            *on = true;
        } else if (option == NO_IGNORE_CASE) {
            options.pattern.ignore_case = false;
        } else if (option == HELP) {
            fputs(help, stdout);
            exit(0);
        } else if (option == 'V') {
            puts(PROGRAM " (" PACKAGE_STRING ")");
            exit(0);
        } else if (option == 'P') {
            options.pattern.fixed = false;
        } else if (option != 'U' && !set_value(&options, option, optarg)) {
            usage();
        }
    }
    if (!patterns_given) {
        if (optind >= argc)
            usage();
        add_patterns(&options, argv[optind], strlen(argv[optind]));
        optind++;
    }
    if (!options.has_patterns) { /* -f of empty files */
        options.pattern.fixed = options.pattern.words = options.pattern.lines = false;
        add_patterns(&options, "(?!)", 4);
    }
    check(&options);
    return options;
}
