# Benchmarks: `make bench`, or e.g. `make bench BENCH_FLAGS=--quick`.  Not built by `make`.
# BENCH_FLAGS are for all programs: --quick, --seconds=, --large, --all, --note=.  Each
# has a --help.

bench_programs = bench/cycle bench/collection bench/handle bench/many bench/read \
	bench/rhythm bench/tracing bench/trim
EXTRA_PROGRAMS = $(bench_programs)
bench_cycle_SOURCES = bench/cycle.c bench/bench.h
bench_collection_SOURCES = bench/collection.c bench/bench.h
bench_handle_SOURCES = bench/handle.c bench/bench.h
bench_many_SOURCES = bench/many.c bench/bench.h
bench_read_SOURCES = bench/read.c bench/bench.h
bench_rhythm_SOURCES = bench/rhythm.c bench/bench.h
bench_tracing_SOURCES = bench/tracing.c bench/bench.h
bench_trim_SOURCES = bench/trim.c bench/bench.h
MOSTLYCLEANFILES = $(EXTRA_PROGRAMS)

BENCH_FLAGS =
bench_results = bench/results

.PHONY: bench
bench: $(bench_programs)
	@$(MKDIR_P) $(bench_results)
	@for program in $(bench_programs); do \
	  $$program$(EXEEXT) $(BENCH_FLAGS) $(bench_results)/`basename $$program`.json || exit; \
	  echo; \
	done

distclean-local:
	rm -rf $(bench_results)
