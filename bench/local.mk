# Benchmarks: `make bench bench-peers bench-plots` makes doc/results.md anew.  Not built by
# `make`.  BENCH_FLAGS are for all programs: --quick, --all, --note= ...  Each has a --help.

bench_programs = bench/cycle bench/collection bench/guard bench/handle bench/many bench/read \
	bench/rhythm bench/tracing bench/trim
bench_peers = bench/peers/compare bench/peers/cycle
EXTRA_PROGRAMS = $(bench_programs) $(bench_peers)
bench_peers_compare_SOURCES = bench/peers/compare.c bench/bench.h
bench_peers_cycle_SOURCES = bench/peers/cycle.c bench/bench.h
bench_cycle_SOURCES = bench/cycle.c bench/bench.h
bench_collection_SOURCES = bench/collection.c bench/bench.h
bench_guard_SOURCES = bench/guard.c bench/bench.h
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

# The same in other languages, as far as they are installed: see bench/peers/install.sh.
.PHONY: bench-peers
bench-peers: $(bench_peers)
	@$(MKDIR_P) $(bench_results)
	@sh $(abs_top_srcdir)/bench/peers/build.sh $(abs_top_srcdir)/bench/peers $(abs_builddir)/bench/peers/built
	bench/peers/compare$(EXEEXT) $(BENCH_FLAGS) bench/peers/built/list $(bench_results)/peers.json
EXTRA_DIST += bench/peers/install.sh bench/peers/build.sh bench/peers/cycle.go \
	bench/peers/cycle.ml bench/peers/Cycle.java bench/peers/cycle.py bench/peers/Cycle.hs \
	bench/peers/rust/Cargo.toml bench/peers/rust/src/main.rs

# gcmmap-grep beside ripgrep and GNU grep.
.PHONY: bench-grep
bench-grep: gcmmap-grep$(EXEEXT)
	bash $(srcdir)/bench/grep.sh $(abs_builddir)/gcmmap-grep$(EXEEXT) $(abs_builddir)/$(bench_results)/grep.json
EXTRA_DIST += bench/grep.sh

# Plots and tables of the results page, in the source.
.PHONY: bench-plots
bench-plots: bench/read$(EXEEXT)
	sh $(srcdir)/bench/plots.sh $(bench_results) $(srcdir)/doc/plots
	sh $(srcdir)/bench/tables.sh $(bench_results) bench $(srcdir)/doc/results.md
EXTRA_DIST += bench/plots.sh bench/tables.sh doc/results.md doc/plots/cycle.svg \
	doc/plots/live.svg doc/plots/peers.svg doc/plots/regions.svg doc/plots/reserved.svg \
	doc/plots/slices.svg doc/plots/written.svg

distclean-local:
	rm -rf $(bench_results) bench/peers/built
