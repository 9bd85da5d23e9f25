# Bindings: each is built and installed where its runtime is.

EXTRA_DIST += bindings/guile/gcmmap.scm bindings/guile/gcmmap/mmap.scm \
	bindings/guile/example.scm bindings/guile/bench/bench.scm

# Guile with the module as it lies here.
GUILE_ENVIRONMENT = GUILE_AUTO_COMPILE=0 GUILE_LOAD_PATH='$(top_srcdir)/bindings/guile' \
	GUILE_LOAD_COMPILED_PATH='$(top_builddir)/bindings/guile' \
	GUILE_EXTENSIONS_PATH='$(top_builddir)/.libs'

if HAVE_GUILE
guileextension_LTLIBRARIES = libguile-gcmmap.la
libguile_gcmmap_la_SOURCES = bindings/guile/guile-gcmmap.c
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
CLEANFILES = $(guileccache_DATA) $(guilecompiledsub_DATA)

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

.PHONY: bench-guile
bench-guile: all
	$(GUILE_ENVIRONMENT) $(GUILE) $(top_srcdir)/bindings/guile/bench/bench.scm
