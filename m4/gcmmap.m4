# gcmmap.m4: checks of gcmmap's own configure.
# SPDX-License-Identifier: MIT

# GCMMAP_CHECK_LINK_FLAG(FLAG, VARIABLE): VARIABLE is FLAG if the linker takes it.
AC_DEFUN([GCMMAP_CHECK_LINK_FLAG],
[AC_MSG_CHECKING([whether the linker takes $1])
saved_LDFLAGS=$LDFLAGS
LDFLAGS="$LDFLAGS $1"
AC_LINK_IFELSE([AC_LANG_PROGRAM()], [$2='$1'; AC_MSG_RESULT([yes])], [$2=; AC_MSG_RESULT([no])])
LDFLAGS=$saved_LDFLAGS
AC_SUBST([$2])])

# GCMMAP_CHECK_VERSION_SCRIPT: HAVE_VERSION_SCRIPT says whether src/gcmmap.map can be used.
AC_DEFUN([GCMMAP_CHECK_VERSION_SCRIPT],
[AC_MSG_CHECKING([whether the linker takes version scripts])
saved_LDFLAGS=$LDFLAGS
echo 'GCMMAP_TEST { local: *; };' > conftest.map
LDFLAGS="$LDFLAGS -shared -Wl,--version-script=conftest.map"
AC_LINK_IFELSE([AC_LANG_SOURCE([int conftest_symbol;])],
  [have_version_script=yes], [have_version_script=no])
LDFLAGS=$saved_LDFLAGS
rm -f conftest.map
AC_MSG_RESULT([$have_version_script])
AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test $have_version_script = yes])])

# GCMMAP_CHECK_WARNINGS: WARN_CFLAGS has those of our warnings that the compiler knows.
AC_DEFUN([GCMMAP_CHECK_WARNINGS],
[WARN_CFLAGS=
for flag in -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wold-style-definition -Wundef -Wcast-align -Wwrite-strings \
    -Wimplicit-fallthrough -Wvla -Wformat=2 -Wnull-dereference -Wduplicated-cond \
    -Wlogical-op; do
  saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $flag"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [WARN_CFLAGS="$WARN_CFLAGS $flag"])
  CFLAGS=$saved_CFLAGS
done
AC_SUBST([WARN_CFLAGS])])

# GCMMAP_CHECK_UNCLEARED_KINDS: TRACED_KIND_IS_CLEARED is 1 if this libgc insists on clearing
# new objects that may contain pointers.  One built with --enable-gc-assertions does, and
# aborts; for others it is a waste of all the pages of a large block.
AC_DEFUN([GCMMAP_CHECK_UNCLEARED_KINDS],
[AC_MSG_CHECKING([whether libgc takes kinds that are traced and not cleared])
saved_CFLAGS=$CFLAGS saved_LIBS=$LIBS
CFLAGS="$CFLAGS $BDW_GC_CFLAGS" LIBS="$BDW_GC_LIBS $LIBS"
AC_RUN_IFELSE([AC_LANG_PROGRAM([[#include <gc/gc.h>
#include <gc/gc_mark.h>]],
    [[GC_INIT();
    (void)GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(0, 0), 0, 0);]])],
  [uncleared_kinds=yes], [uncleared_kinds=no], [uncleared_kinds=yes])
CFLAGS=$saved_CFLAGS LIBS=$saved_LIBS
AC_MSG_RESULT([$uncleared_kinds])
AS_IF([test $uncleared_kinds = yes], [traced_kind_is_cleared=0], [traced_kind_is_cleared=1])
AC_DEFINE_UNQUOTED([TRACED_KIND_IS_CLEARED], [$traced_kind_is_cleared],
  [Whether the collector has to clear new traced blocks])])

# GCMMAP_CHECK_PCRE2: HAVE_PCRE2 says whether gcmmap-grep is built.
AC_DEFUN([GCMMAP_CHECK_PCRE2],
[AC_ARG_WITH([pcre2],
  [AS_HELP_STRING([--without-pcre2], [leave out gcmmap-grep (default: if PCRE2 is there)])],
  [], [with_pcre2=check])
have_pcre2=no
AS_IF([test "x$with_pcre2" != xno],
  [PKG_CHECK_MODULES([PCRE2], [libpcre2-8 >= 10.34], [have_pcre2=yes],
    [AS_IF([test "x$with_pcre2" = xyes], [AC_MSG_ERROR([no PCRE2 (libpcre2-dev)])],
      [AC_MSG_NOTICE([no PCRE2 (libpcre2-dev): gcmmap-grep is left out])])])])
AM_CONDITIONAL([HAVE_PCRE2], [test $have_pcre2 = yes])])

# GCMMAP_CHECK_TARGET_CLONES: TARGET_CLONES makes the compiler build a function twice, for AVX2
# too, if it can: which of them runs is found out when the program is loaded.  Under its own name:
# clang 14 gives it another, which other files do not know.
AC_DEFUN([GCMMAP_CHECK_TARGET_CLONES],
[AC_MSG_CHECKING([whether functions can be built for AVX2 too])
saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror"
AC_LINK_IFELSE([AC_LANG_PROGRAM(
    [[int f(int);
    int f_of_other_files(int) __asm__("f");
    __attribute__((target_clones("avx2", "default"))) int f(int n) { return n + 1; }]],
    [[return f_of_other_files(-1);]])],
  [target_clones='__attribute__((target_clones("avx2", "default")))'; AC_MSG_RESULT([yes])],
  [target_clones=; AC_MSG_RESULT([no])])
CFLAGS=$saved_CFLAGS
AC_DEFINE_UNQUOTED([TARGET_CLONES], [$target_clones],
  [Attribute of functions that are built for AVX2 too])])

# GCMMAP_CHECK_GUILE: HAVE_GUILE says whether the Guile module is built.  It goes to Guile's own
# directories if they lie below our prefix, and to the like of them below it otherwise.
AC_DEFUN([GCMMAP_CHECK_GUILE],
[AC_ARG_WITH([guile],
  [AS_HELP_STRING([--without-guile], [leave out the Guile module (default: if Guile 3.0 is there)])],
  [], [with_guile=check])
have_guile=no
AS_IF([test "x$with_guile" != xno],
  [PKG_CHECK_MODULES([GUILE], [guile-3.0], [have_guile=yes],
    [AS_IF([test "x$with_guile" = xyes], [AC_MSG_ERROR([no Guile 3.0 (guile-3.0-dev)])],
      [AC_MSG_NOTICE([no Guile 3.0 (guile-3.0-dev): its module is left out])])])])
AS_IF([test $have_guile = yes], [
  # Its headers are not ours to warn about.
  GUILE_CFLAGS=`AS_ECHO(["$GUILE_CFLAGS"]) | sed 's/-I/-isystem /g'`
  PKG_CHECK_VAR([GUILE], [guile-3.0], [guile])
  PKG_CHECK_VAR([GUILD], [guile-3.0], [guild])
  guileextensiondir='${libdir}/guile/3.0/extensions'
  guilesitedir='${datadir}/guile/site/3.0'
  guileccachedir='${libdir}/guile/3.0/site-ccache'
  AS_IF([test "x$prefix" = "x`$PKG_CONFIG --variable=prefix guile-3.0`"], [
    guileextensiondir=`$PKG_CONFIG --variable=extensiondir guile-3.0`
    guilesitedir=`$PKG_CONFIG --variable=sitedir guile-3.0`
    guileccachedir=`$PKG_CONFIG --variable=siteccachedir guile-3.0`])])
AC_SUBST([guileextensiondir])
AC_SUBST([guilesitedir])
AC_SUBST([guileccachedir])
AM_CONDITIONAL([HAVE_GUILE], [test $have_guile = yes])])

# GCMMAP_CHECK_ECL: HAVE_ECL says whether the ECL system is built.
AC_DEFUN([GCMMAP_CHECK_ECL],
[AC_ARG_WITH([ecl],
  [AS_HELP_STRING([--without-ecl], [leave out the ECL system (default: if ECL is there)])],
  [], [with_ecl=check])
have_ecl=no
AS_IF([test "x$with_ecl" != xno], [
  AC_PATH_PROG([ECL], [ecl])
  AC_PATH_PROG([ECL_CONFIG], [ecl-config])
  AS_IF([test -n "$ECL" && test -n "$ECL_CONFIG"], [
    # Its headers are not ours to warn about; those of /usr/include are found anyway.
    ECL_CFLAGS=`"$ECL_CONFIG" --cflags | sed 's,-I/usr/include,,; s,-I,-isystem ,g'`
    saved_CPPFLAGS=$CPPFLAGS
    CPPFLAGS="$CPPFLAGS $ECL_CFLAGS"
    AC_CHECK_HEADER([ecl/ecl.h], [have_ecl=yes])
    CPPFLAGS=$saved_CPPFLAGS])
  AS_IF([test "x$with_ecl$have_ecl" = xyesno], [AC_MSG_ERROR([no ECL, or no headers of it])],
    [test $have_ecl = no], [AC_MSG_NOTICE([no ECL: its system is left out])])])
AC_SUBST([ECL_CFLAGS])
AM_CONDITIONAL([HAVE_ECL], [test $have_ecl = yes])])

# GCMMAP_CHECK_CRYSTAL: CRYSTAL is its compiler, and HAVE_CRYSTAL says whether the shard is
# installed.  It is all source, so there is nothing to build.
AC_DEFUN([GCMMAP_CHECK_CRYSTAL],
[AC_ARG_WITH([crystal],
  [AS_HELP_STRING([--without-crystal], [leave out the Crystal shard (default: if Crystal is there)])],
  [], [with_crystal=check])
AS_IF([test "x$with_crystal" != xno], [
  AC_PATH_PROG([CRYSTAL], [crystal])
  AS_IF([test -n "$CRYSTAL"], [],
    [test "x$with_crystal" = xyes], [AC_MSG_ERROR([no Crystal])],
    [AC_MSG_NOTICE([no Crystal: its shard is left out])])])
AM_CONDITIONAL([HAVE_CRYSTAL], [test -n "$CRYSTAL"])])
