# gcmmap.m4: finding gcmmap from the configure of a program that uses it.
# SPDX-License-Identifier: MIT
#
# (What gcmmap's own configure checks is in m4/gcmmap.m4 of its sources.)

# GCMMAP_CHECK([VERSION], [ACTION-IF-FOUND], [ACTION-IF-NOT-FOUND])
# -----------------------------------------------------------------
# Finds gcmmap, of VERSION (MAJOR.MINOR) or later, with the collector that it works on; through
# pkg-config, and where that does not know it, where the compiler and linker look anyway.
# Sets GCMMAP_CFLAGS and GCMMAP_LIBS, for compiling and linking, both of AC_SUBST; the user may
# have set them.  Without ACTION-IF-NOT-FOUND configure ends with an error.
AC_DEFUN([GCMMAP_CHECK],
[AC_ARG_VAR([PKG_CONFIG], [path to pkg-config])dnl
AC_ARG_VAR([GCMMAP_CFLAGS], [compiler flags for gcmmap, in place of what pkg-config says])dnl
AC_ARG_VAR([GCMMAP_LIBS], [linker flags for gcmmap, in place of what pkg-config says])dnl
AS_IF([test -z "$PKG_CONFIG"], [AC_PATH_TOOL([PKG_CONFIG], [pkg-config], [false])])
AC_MSG_CHECKING([for gcmmap]m4_ifval([$1], [[ >= $1]]))
gcmmap_cflags=$GCMMAP_CFLAGS gcmmap_libs=$GCMMAP_LIBS
AS_IF([$PKG_CONFIG --exists gcmmap bdw-gc >/dev/null 2>&1],
  [test -n "$gcmmap_cflags" || gcmmap_cflags=`$PKG_CONFIG --cflags gcmmap bdw-gc`
  test -n "$gcmmap_libs" || gcmmap_libs=`$PKG_CONFIG --libs gcmmap bdw-gc`],
  [test -n "$gcmmap_libs" || gcmmap_libs='-lgcmmap -lgc'])
gcmmap_wanted=`echo m4_default([$1], [0.0]) | awk -F. '{ print @S|@1 * 1000 + @S|@2 }'`
gcmmap_saved_CFLAGS=$CFLAGS gcmmap_saved_CXXFLAGS=$CXXFLAGS gcmmap_saved_LIBS=$LIBS
CFLAGS="$CFLAGS $gcmmap_cflags" CXXFLAGS="$CXXFLAGS $gcmmap_cflags" LIBS="$gcmmap_libs $LIBS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <gc/gc.h>
#include <gcmmap.h>
#if GCMMAP_VERSION_MAJOR * 1000 + GCMMAP_VERSION_MINOR < $gcmmap_wanted
#error "too old"
#endif
]], [[GC_INIT();
return gcmmap_alloc(1, 0) == 0;]])],
  [gcmmap_found=yes GCMMAP_CFLAGS=$gcmmap_cflags GCMMAP_LIBS=$gcmmap_libs],
  [gcmmap_found=no])
CFLAGS=$gcmmap_saved_CFLAGS CXXFLAGS=$gcmmap_saved_CXXFLAGS LIBS=$gcmmap_saved_LIBS
AC_MSG_RESULT([$gcmmap_found])
AS_IF([test $gcmmap_found = yes], [m4_default([$2], [:])],
  [m4_default([$3], [AC_MSG_ERROR([no gcmmap]m4_ifval([$1], [[ >= $1]])[; see config.log])])])[]dnl
])
