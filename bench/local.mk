# Benchmarks: `make bench`, or e.g. `make bench BENCH_FLAGS=--quick`.  Not built by `make`.
# BENCH_FLAGS are for all programs: --quick, --seconds=, --large, --all, --note=.  Each
# has a --help.

EXTRA_PROGRAMS = bench/cycle bench/collection bench/rhythm bench/many bench/tracing
bench_cycle_SOURCES = bench/cycle.c bench/bench.h
bench_collection_SOURCES = bench/collection.c bench/bench.h
bench_many_SOURCES = bench/many.c bench/bench.h
bench_rhythm_SOURCES = bench/rhythm.c bench/bench.h
bench_tracing_SOURCES = bench/tracing.c bench/bench.h
MOSTLYCLEANFILES = $(EXTRA_PROGRAMS)

BENCH_FLAGS =
bench_results = bench/results

.PHONY: bench
bench: $(EXTRA_PROGRAMS)
	@$(MKDIR_P) $(bench_results)
	bench/cycle$(EXEEXT) $(BENCH_FLAGS) $(bench_results)/cycle.json
	@echo
	bench/collection$(EXEEXT) $(BENCH_FLAGS) $(bench_results)/collection.json
	@echo
	bench/rhythm$(EXEEXT) $(BENCH_FLAGS) $(bench_results)/rhythm.json
	@echo
	bench/tracing$(EXEEXT) $(BENCH_FLAGS) $(bench_results)/tracing.json

distclean-local:
	rm -rf $(bench_results)
