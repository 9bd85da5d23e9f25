# Bindings: each is built and installed where its runtime is.

all_built =
CLEANFILES = $(all_built) bindings/ecl/gcmmap.fas bindings/ecl/bench.fas
EXTRA_DIST += bindings/guile/gcmmap.scm bindings/guile/gcmmap/mmap.scm \
	bindings/guile/example.scm bindings/guile/bench/bench.scm

# Guile with the module as it lies here.
GUILE_ENVIRONMENT = GUILE_AUTO_COMPILE=0 GUILE_LOAD_PATH='$(top_srcdir)/bindings/guile' \
	GUILE_LOAD_COMPILED_PATH='$(top_builddir)/bindings/guile' \
	GUILE_EXTENSIONS_PATH='$(top_builddir)/.libs'

if HAVE_GUILE
guileextension_LTLIBRARIES = libguile-gcmmap.la
libguile_gcmmap_la_SOURCES = bindings/guile/guile-gcmmap.c bindings/guile/cells.c \
	bindings/guile/cells.h bindings/guile/copies.c bindings/guile/copies.h bindings/guile/ports.c \
	bindings/guile/ports.h bindings/calls.h bindings/members.h
libguile_gcmmap_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bindings
libguile_gcmmap_la_CFLAGS = $(AM_CFLAGS) $(GUILE_CFLAGS)
libguile_gcmmap_la_LIBADD = libgcmmap.la $(GUILE_LIBS) $(BDW_GC_LIBS)
# nodelete: as for the library itself.
libguile_gcmmap_la_LDFLAGS = -module -avoid-version $(NODELETE_LDFLAGS) \
	-export-symbols-regex '^gcmmap_init_guile$$'

guilesubdir = $(guilesitedir)/gcmmap
guilecompiledsubdir = $(guileccachedir)/gcmmap
guilesite_DATA = bindings/guile/gcmmap.scm
guilesub_DATA = bindings/guile/gcmmap/mmap.scm
guileccache_DATA = bindings/guile/gcmmap.go
guilecompiledsub_DATA = bindings/guile/gcmmap/mmap.go
all_built += $(guileccache_DATA) $(guilecompiledsub_DATA)

# Guile passes over compiled files that are older than their source.  (Named by a variable, as
# automake would take the plain name for a replacement of its own rule.)
install_guile_compiled = install-guileccacheDATA install-guilecompiledsubDATA
$(install_guile_compiled): install-guilesiteDATA install-guilesubDATA

bindings/guile/gcmmap.go: bindings/guile/gcmmap.scm libguile-gcmmap.la
bindings/guile/gcmmap/mmap.go: bindings/guile/gcmmap/mmap.scm bindings/guile/gcmmap.go
$(guileccache_DATA) $(guilecompiledsub_DATA):
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(GUILE_ENVIRONMENT) $(GUILD) compile -W0 \
	  -o $@ $(top_srcdir)/$(@:.go=.scm) >$@.log || { cat $@.log; exit 1; }; rm -f $@.log
endif

EXTRA_DIST += bindings/ecl/gcmmap.asd bindings/ecl/gcmmap.lisp.in bindings/ecl/example.lisp \
	bindings/ecl/bench/bench.lisp

if HAVE_ECL
ecllibdir = $(libdir)/gcmmap
ecllib_LTLIBRARIES = libecl-gcmmap.la
libecl_gcmmap_la_SOURCES = bindings/ecl/ecl-gcmmap.c bindings/calls.h bindings/members.h
libecl_gcmmap_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bindings
# ECL keeps tags in the low bits of its pointers.
libecl_gcmmap_la_CFLAGS = $(AM_CFLAGS) $(ECL_CFLAGS) -Wno-cast-align
# ECL itself is in the process that loads this.
libecl_gcmmap_la_LIBADD = libgcmmap.la $(BDW_GC_LIBS)
libecl_gcmmap_la_LDFLAGS = -module -avoid-version $(NODELETE_LDFLAGS)

eclsystemdir = $(datadir)/common-lisp/source/gcmmap
eclsystem_DATA = bindings/ecl/gcmmap.asd bindings/ecl/gcmmap.lisp
ecl_built = bindings/ecl/gcmmap.lisp
all_built += $(ecl_built)

$(ecl_built): $(top_srcdir)/bindings/ecl/gcmmap.lisp.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed 's,@ecllibdir@,$(ecllibdir),' \
	  $(top_srcdir)/bindings/ecl/gcmmap.lisp.in >$@
endif

crystal_shard = bindings/crystal/shard.yml bindings/crystal/example.cr
crystal_source = bindings/crystal/src/gcmmap.cr
crystal_parts = bindings/crystal/src/gcmmap/lib_gcmmap.cr bindings/crystal/src/gcmmap/mapping.cr
EXTRA_DIST += $(crystal_shard) $(crystal_source) $(crystal_parts) bindings/crystal/bench/bench.cr

if HAVE_CRYSTAL
# As a shard lies in the directories that CRYSTAL_PATH names.
crystalsharddir = $(datadir)/crystal/gcmmap
crystalshard_DATA = $(crystal_shard)
crystalsourcedir = $(crystalsharddir)/src
crystalsource_DATA = $(crystal_source)
crystalpartsdir = $(crystalsourcedir)/gcmmap
crystalparts_DATA = $(crystal_parts)
endif

.PHONY: bench-guile bench-ecl bench-crystal
bench-crystal: all
	CRYSTAL='$(CRYSTAL)' top_srcdir='$(top_srcdir)' $(SHELL) $(top_srcdir)/tests/run-crystal.sh \
	  $(top_srcdir)/bindings/crystal/bench/bench.cr
bench-ecl: all
	GCMMAP_ECL_LIBRARY='$(top_builddir)/.libs/libecl-gcmmap.so' $(ECL) --norc \
	  --eval '(defun run (in out) (load (compile-file in :output-file out)))' \
	  --eval '(run "$(top_builddir)/bindings/ecl/gcmmap.lisp" "bindings/ecl/gcmmap.fas")' \
	  --eval '(run "$(top_srcdir)/bindings/ecl/bench/bench.lisp" "bindings/ecl/bench.fas")' \
	  --eval '(ext:quit 0)'
bench-guile: all
	$(GUILE_ENVIRONMENT) $(GUILE) $(top_srcdir)/bindings/guile/bench/bench.scm
