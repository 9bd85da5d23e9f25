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
