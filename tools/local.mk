# Tools: programs that use the library.  Each is built where what it needs is found.

if HAVE_PCRE2
bin_PROGRAMS = gcmmap-grep
dist_man1_MANS = doc/man/gcmmap-grep.1
gcmmap_grep_SOURCES = \
	tools/gcmmap-grep.c \
	tools/grep-file.c tools/grep-file.h \
	tools/grep-find.c tools/grep-find.h \
	tools/grep-guard.c tools/grep-guard.h \
	tools/grep-json.c tools/grep-json.h \
	tools/grep-keep.c tools/grep-keep.h \
	tools/grep-match.c tools/grep-match.h \
	tools/grep-options.c tools/grep-options.h \
	tools/grep-out.c tools/grep-out.h \
	tools/grep-pattern.c tools/grep-pattern.h \
	tools/grep-print.c tools/grep-print.h \
	tools/grep-progress.c tools/grep-progress.h \
	tools/grep-say.c tools/grep-say.h \
	tools/grep-search.c tools/grep-search.h \
	tools/grep-text.c tools/grep-text.h \
	tools/grep-walk.c tools/grep-walk.h
gcmmap_grep_CFLAGS = $(AM_CFLAGS) $(PCRE2_CFLAGS)
gcmmap_grep_LDADD = $(LDADD) $(PCRE2_LIBS)
endif
