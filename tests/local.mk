# Tests: one file for one behaviour, named by a sentence; TAP.

TEST_EXTENSIONS = .sh .scm .lisp .cr
AM_TESTS_ENVIRONMENT = top_srcdir='$(top_srcdir)' top_builddir='$(top_builddir)' CC='$(CC)'; \
	GUILE='$(GUILE)'; ECL='$(ECL)'; CRYSTAL='$(CRYSTAL)'; \
	export top_srcdir top_builddir CC GUILE ECL CRYSTAL; \
	BDW_GC_CFLAGS='$(BDW_GC_CFLAGS)'; BDW_GC_LIBS='$(BDW_GC_LIBS)'; export BDW_GC_CFLAGS BDW_GC_LIBS;
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
SCM_LOG_DRIVER = $(LOG_DRIVER)
SCM_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-guile.sh
LISP_LOG_DRIVER = $(LOG_DRIVER)
LISP_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-ecl.sh
CR_LOG_DRIVER = $(LOG_DRIVER)
CR_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-crystal.sh

check_PROGRAMS = $(c_tests)
TESTS = $(c_tests) $(shell_tests) $(guile_tests) $(ecl_tests) $(crystal_tests)
EXTRA_DIST += $(shell_tests) tests/inject.h tests/live.h tests/mortal.h tests/peers.h tests/run-again.sh tests/smaps.h tests/tap.h tests/tap.sh tests/timers.h
EXTRA_DIST += tests/tsan/suppressions tests/tsan/waits.c tests/tsan/waits.h
EXTRA_DIST += tests/cplusplus/header.cc tests/grep/setup.sh
EXTRA_DIST += $(guile_tests) tests/run-guile.sh tests/guile/tap.scm
EXTRA_DIST += $(ecl_tests) tests/run-ecl.sh tests/ecl/tap.lisp
EXTRA_DIST += tests/hosts/preload.c
EXTRA_DIST += $(crystal_tests) tests/run-crystal.sh tests/crystal/consumers.cr tests/crystal/tap.cr

shell_tests = \
	tests/cplusplus-needs-no-ownership.sh \
	tests/examples-do-what-they-say.sh \
	tests/giving-back-free-heap-changes-nothing.sh \
	tests/grep-finds-what-gnu-grep-finds.sh \
	tests/grep-keeps-slices-of-closed-files.sh \
	tests/grep-survives-what-files-do.sh \
	tests/hosts-know-nothing-of-us.sh \
	tests/incremental-collection-changes-nothing.sh \
	tests/installed-libraries-are-found.sh \
	tests/interfaces-are-named-everywhere.sh \
	tests/interfaces-stay-compatible.sh \
	tests/libraries-export-only-the-interface.sh \
	tests/manual-pages-are-well-formed.sh \
	tests/parallel-marking-changes-nothing.sh \
	tests/security-promises-have-tests.sh \
	tests/snapshots-are-cloned-where-files-can-be.sh \
	tests/tutorial-shows-what-runs.sh

# Skipped where the library was built without Guile, or ECL; or where there is no Crystal.
crystal_tests = \
	tests/crystal-consumers-outlive-segments.cr \
	tests/crystal-raises-instead-of-crashing.cr \
	tests/crystal-slices-keep-their-mapping.cr \
	tests/crystal-threads-outlive-segments.cr
ecl_tests = \
	tests/ecl-arrays-keep-their-mapping.lisp \
	tests/ecl-signals-instead-of-crashing.lisp
guile_tests = \
	tests/guile-bytevectors-keep-their-mapping.scm \
	tests/guile-closing-meets-slicing.scm \
	tests/guile-forgotten-mappings-go.scm \
	tests/guile-ports-and-posix-names-work.scm \
	tests/guile-raises-instead-of-crashing.scm

# Each is the file of its name; see AM_DEFAULT_SOURCE_EXT.
tests_last_words_name_the_region_CFLAGS = $(AM_CFLAGS) -g
c_tests = \
	tests/a-hundred-thousand-regions-are-traced \
	tests/adopted-mappings-are-released \
	tests/advice-reaches-the-kernel \
	tests/any-pointer-finds-its-region \
	tests/budgets-are-kept \
	tests/bad-input-changes-nothing \
	tests/bytes-are-found-in-slices \
	tests/changes-of-size-meet-other-calls \
	tests/closed-slices-fault \
	tests/collections-meet-closing \
	tests/contents-that-come-along-are-traced \
	tests/copies-do-not-fault \
	tests/dense-regions-fit-the-mark-stack \
	tests/disabled-collections-release-nothing \
	tests/cuts-that-fail-lose-nothing \
	tests/descriptors-stay-in-the-process \
	tests/dropped-regions-go \
	tests/every-pointer-keeps-its-region \
	tests/failed-closing-changes-nothing \
	tests/failed-mappings-leave-nothing-behind \
	tests/faults-are-caught-among-signals \
	tests/failed-releases-are-made-up-for \
	tests/files-are-mapped-exactly \
	tests/fixed-addresses-are-honoured-or-refused \
	tests/finalizers-read-their-slice \
	tests/forgotten-parts-go \
	tests/forked-children-see-holes-as-closed \
	tests/forked-children-use-and-drop-regions \
	tests/guards-fault-on-both-sides \
	tests/guards-catch-faults \
	tests/holders-are-found \
	tests/hosts-keep-their-procedures \
	tests/hosts-keep-their-rhythm \
	tests/huge-pages-are-huge \
	tests/leak-finding-finds-no-regions \
	tests/jumps-out-of-handlers-stop-nobody \
	tests/last-words-name-the-region \
	tests/lines-and-fields-are-walked \
	tests/listed-regions-are-as-they-are \
	tests/locked-pages-stay-in-memory \
	tests/mapping-flags-reach-the-kernel \
	tests/memory-is-handed-on-zeroed \
	tests/names-are-shown \
	tests/operations-never-reopen-closed-regions \
	tests/other-faults-go-where-they-went \
	tests/programs-of-calls-hold-the-oracle \
	tests/pictures-show-regions \
	tests/protection-follows-whole-pages \
	tests/random-lives-of-regions \
	tests/ranges-that-leave-a-region-are-refused \
	tests/regions-by-handle-have-any-size \
	tests/regions-grow-in-place \
	tests/released-regions-are-told \
	tests/secret-memory-stays-secret \
	tests/shared-memory-is-shared \
	tests/shortage-collects-first \
	tests/shrunken-files-read-as-zeros \
	tests/signals-disturb-nothing \
	tests/single-regions-go \
	tests/sixty-thousand-regions-live-at-once \
	tests/slice-objects-keep-their-region \
	tests/slices-are-checked \
	tests/slices-are-made-of-bytes-of-one-region \
	tests/slices-compare-as-bytes \
	tests/snapshots-neither-change-nor-fault \
	tests/stale-pointers-hold-addresses \
	tests/threads-grow-and-close-one-region \
	tests/threads-map-slice-and-drop \
	tests/traced-memory-keeps-what-it-points-to \
	tests/synced-stores-are-on-disk \
	tests/tracing-can-be-asked-for \
	tests/tracing-tells-what-happens \
	tests/trimmed-large-regions-leave-nothing \
	tests/truncated-slices-fault \
	tests/unloaded-pages-lose-nothing \
	tests/untouched-memory-costs-nothing \
	tests/warnings-stay-silent \
	tests/weak-references-are-never-wrong \
	tests/what-gommap-documents-holds \
	tests/what-memmap2-documents-holds \
	tests/what-python-documents-holds \
	tests/what-regions-grow-over-is-traced \
	tests/write-back-comes-before-release \
	tests/write-errors-are-told \
	tests/written-pages-are-traced \
	tests/zeros-come-only-where-the-file-has-ended

clean-local:
	rm -rf tests/crystal-built

# The library's calls to these can be made to fail: tests/inject.h.
INJECTABLE = \
	__getdelim fallocate64 fcntl64 fopen64 fstat64 fstatfs64 ftruncate64 lseek64 mmap64 open64 pread64 pwrite64 \
	readdir64 stat64 \
	GC_generic_malloc GC_malloc GC_malloc_atomic GC_malloc_uncollectable calloc \
	fallocate fcntl fopen fstat fstatfs ftruncate getline ioctl lseek madvise malloc \
	memfd_create mincore mlock mmap mprotect mremap msync munlock munmap open opendir \
	pipe prctl pread process_vm_readv process_vm_writev pwrite read readdir readlink realloc \
	shm_open shm_unlink stat strdup syscall write
if OS_LINUX
c_tests += tests/every-failure-is-told-and-undone \
	tests/faults-are-told-in-words \
	tests/forked-children-go-on-collecting \
	tests/forked-children-unmap-nothing-twice \
	tests/programs-of-calls-survive-shortages \
	tests/protected-pages-need-no-free-descriptor \
	tests/signals-are-passed-on-as-by-the-kernel
endif
tests_protected_pages_need_no_free_descriptor_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_faults_are_told_in_words_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_signals_are_passed_on_as_by_the_kernel_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_forked_children_go_on_collecting_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_forked_children_go_on_collecting_LDFLAGS = -Wl,--wrap=GC_disable -Wl,--wrap=GC_enable \
	-Wl,--wrap=GC_generic_malloc -Wl,--wrap=GC_get_min_bytes_allocd
tests_forked_children_unmap_nothing_twice_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_forked_children_unmap_nothing_twice_LDFLAGS = -Wl,--wrap=munmap
tests_every_failure_is_told_and_undone_SOURCES = tests/every-failure-is-told-and-undone.c \
	tests/inject.h tests/failures/invariants.h tests/failures/mapping.h tests/failures/operations.h \
	tests/failures/scenario.h tests/failures/witnesses.h
tests_every_failure_is_told_and_undone_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_every_failure_is_told_and_undone_LDFLAGS = `for f in $(INJECTABLE); do echo -Wl,--wrap=$$f; done`

# Programs of calls: what libFuzzer found stays in the corpus, which is part of the tests.
program_headers = tests/programs/calls.h tests/programs/check.h tests/programs/mapping.h \
	tests/programs/model.h tests/programs/slices.h
tests_programs_of_calls_hold_the_oracle_SOURCES = \
	tests/programs-of-calls-hold-the-oracle.c $(program_headers)
EXTRA_DIST += tests/programs/corpus
tests_programs_of_calls_survive_shortages_SOURCES = \
	tests/programs-of-calls-hold-the-oracle.c tests/inject.h tests/failures/invariants.h \
	$(program_headers)
tests_programs_of_calls_survive_shortages_CPPFLAGS = $(AM_CPPFLAGS) -DGCMMAP_INJECT
tests_programs_of_calls_survive_shortages_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)
tests_programs_of_calls_survive_shortages_LDFLAGS = $(tests_every_failure_is_told_and_undone_LDFLAGS)

# `make fuzz FUZZ_SECONDS=1800` looks for more, with clang and its libFuzzer (Debian: clang,
# libclang-rt-14-dev).  What it finds is in fuzz/corpus; a crash-... file is a program that went
# wrong: give it to tests/programs-of-calls-hold-the-oracle with GCMMAP_PROGRAM_TRACE=1.
# `make fuzz-merge` takes into tests/programs/corpus what reaches new code.
FUZZ_CC = clang
FUZZ_SECONDS = 600
fuzz/programs: $(program_headers) tests/programs-of-calls-hold-the-oracle.c $(libgcmmap_all_la_SOURCES)
	$(MKDIR_P) fuzz/corpus
	$(FUZZ_CC) -std=gnu11 -g -O1 -fsanitize=fuzzer,undefined -fno-sanitize-recover=undefined \
	  -DGCMMAP_LIBFUZZER $(DEFS) -I. $(AM_CPPFLAGS) $(BDW_GC_CFLAGS) -pthread \
	  `for f in tests/programs-of-calls-hold-the-oracle.c $(libgcmmap_all_la_SOURCES); do \
	    case $$f in *.c) test -e $$f && echo $$f || echo $(srcdir)/$$f;; esac; done` \
	  $(BDW_GC_LIBS) -o $@

.PHONY: fuzz fuzz-merge soak
fuzz: fuzz/programs
	cd fuzz && ./programs -max_total_time=$(FUZZ_SECONDS) -timeout=30 -max_len=3000 \
	  corpus $(abs_top_srcdir)/tests/programs/corpus
fuzz-merge: fuzz/programs
	fuzz/programs -merge=1 -set_cover_merge=1 -use_counters=0 $(srcdir)/tests/programs/corpus fuzz/corpus

# An hour of random lives; its plot goes to doc/.
SOAK_SECONDS = 3600
soak: tests/random-lives-of-regions$(EXEEXT)
	@$(MKDIR_P) $(bench_results)
	sh $(srcdir)/tests/soak.sh tests/random-lives-of-regions $(SOAK_SECONDS) \
	  $(bench_results)/soak.tsv $(srcdir)/doc/plots/soak.svg
EXTRA_DIST += tests/soak.sh doc/plots/soak.svg

# All programs again, while calls that the library makes fail: another one in each run.
INJECT_SECONDS = 1800
INJECT_TESTS =
.PHONY: check-injected
check-injected: libgcmmap.la
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	CC='$(CC)' top_srcdir='$(abs_top_srcdir)' $(SHELL) $(top_srcdir)/tests/check-injected.sh . \
	  $(INJECT_SECONDS) $(INJECT_TESTS)
EXTRA_DIST += tests/check-injected.sh tests/injected/shim.c

# Without a shared library of ours, so that it runs where LD_LIBRARY_PATH does not count.
tests_tracing_tells_what_happens_LDADD = libgcmmap-all.la $(BDW_GC_LIBS)

EXTRA_DIST += tests/abi/describe.sh tests/abi/x86_64-linux.abi tests/abi/x86_64-linux.txt

# What tests/interfaces-stay-compatible.sh compares with; to be made anew at releases, and where
# a change is meant.  (On x86_64-linux.)
.PHONY: abi-baseline
abi-baseline: libgcmmap.la
	CC='$(CC)' $(SHELL) $(top_srcdir)/tests/abi/describe.sh $(top_srcdir) \
	  >$(top_srcdir)/tests/abi/x86_64-linux.txt
	abidw --exported-interfaces-only --no-corpus-path --no-comp-dir-path --no-show-locs \
	  --no-parameter-names .libs/libgcmmap.so | \
	  sed "s,path='[^']*/src/,path='src/," >$(top_srcdir)/tests/abi/x86_64-linux.abi
