#!/bin/sh
# Installed below DESTDIR, the library is found by pkg-config and by GCMMAP_CHECK of gcmmap.m4;
# programs in C and C++ are built against it, shared and static; and uninstalling leaves nothing.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

: "${MAKE:=make}" "${PKG_CONFIG:=pkg-config}"
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR GCMMAP_CFLAGS GCMMAP_LIBS

command -v "$PKG_CONFIG" > /dev/null || skip_all "there is no pkg-config"

# The runtimes' modules stay out: libtool links them again when it installs them, and while it
# does they are not where the other tests look.  (`make distcheck` installs all.)
no_modules='guileextension_LTLIBRARIES= ecllib_LTLIBRARIES='
# shellcheck disable=SC2086
"$MAKE" -C "$top_builddir" install DESTDIR="$work/root" $no_modules > "$work/install" 2>&1
ok $? "make install" "$work/install"
pc=$(find "$work/root" -name gcmmap.pc)
[ -f "$pc" ]
ok $? "there is one gcmmap.pc" "$work/install"
PKG_CONFIG_PATH=${pc%/*}${PKG_CONFIG_PATH+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
libdir=${pc%/pkgconfig/gcmmap.pc}

# The collector is not installed there, so what is said of it is not to be changed.
ask()
{
    PKG_CONFIG_SYSROOT_DIR=$work/root "$PKG_CONFIG" "$@" gcmmap && "$PKG_CONFIG" "$@" bdw-gc
}

version=$(sed -n "s/^PACKAGE_VERSION = //p" "$top_builddir/Makefile")
[ "$("$PKG_CONFIG" --modversion gcmmap)" = "$version" ]
ok $? "pkg-config knows its version, $version"
includedir=$(PKG_CONFIG_SYSROOT_DIR=$work/root "$PKG_CONFIG" --cflags-only-I gcmmap)
includedir=$(echo "${includedir#-I}" | sed 's/ .*//')
[ -f "$includedir/gcmmap.h" ] && [ -f "$includedir/gcmmap.hpp" ]
ok $? "and where the headers are"

cat > "$work/consumer.c" <<'END'
#include <errno.h>
#include <gc/gc.h>
#include <gcmmap.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    gcmmap_region *r;
    static gcmmap_slice line;
    gcmmap_slice rest;

    GC_INIT();
    r = gcmmap_open(argv[argc - 1], GCMMAP_READ);
    rest = gcmmap_bytes(r);
    if (r == NULL || !gcmmap_next_line(&rest, &line))
        return 1;
    r = NULL;
    (void)gcmmap_collect();
    printf("%.*s\n", (int)line.size, (const char *)line.data);
    return gcmmap_open("/nowhere/at/all", GCMMAP_READ) != NULL || errno != ENOENT;
}
END
cat > "$work/consumer.cc" <<'END'
#include <gc/gc.h>
#include <gcmmap.hpp>
#include <iostream>

int main(int, char **argv)
{
    GC_INIT();
    static std::string_view line = *gcmmap::lines(gcmmap::open(argv[1]).text()).begin();
    (void)gcmmap::collect();
    std::cout << line << '\n';
    try {
        (void)gcmmap::open("/nowhere/at/all");
    } catch (const std::system_error &error) {
        return error.code() != std::errc::no_such_file_or_directory;
    }
    return 1;
}
END
printf 'int main(void) { return 0; }\n' > "$work/empty.c"
echo 'the first line
and another' > "$work/text"

# runs WHAT COMMAND...: builds a program, runs it.
runs()
{
    what=$1
    shift
    rm -f "$work/consumer"
    "$@" -o "$work/consumer" > "$work/log" 2>&1 &&
        LD_LIBRARY_PATH=$libdir "$work/consumer" "$work/text" > "$work/out" 2>> "$work/log" &&
        [ "$(cat "$work/out")" = "the first line" ]
    ok $? "$what" "$work/log"
}

# needs_ours: whether the program just built is linked to the shared library.
needs_ours()
{
    readelf -d "$work/consumer" | grep -q 'NEEDED.*libgcmmap\.so\.0'
}

has_cxx=$(echo 'int main() {}' > "$work/empty.cc" &&
    $CXX -std=c++20 "$work/empty.cc" -o "$work/empty" 2> /dev/null && echo yes)
strict='-Wall -Wextra -Wpedantic -Werror'

# ---- shared ---------------------------------------------------------------------------

if [ ! -f "$libdir/libgcmmap.so" ]; then
    skip "shared" "it was not built"
else
    # shellcheck disable=SC2046,SC2086
    runs "a program in C, shared" $CC -std=c11 $strict "$work/consumer.c" $(ask --cflags --libs)
    if command -v readelf > /dev/null; then
        needs_ours
        ok $? "it needs libgcmmap.so.0"
        readelf --dyn-syms -W "$work/consumer" > "$work/symbols"
        grep -q 'gcmmap_open@GCMMAP_0\.1' "$work/symbols"
        ok $? "and its functions of version GCMMAP_0.1" "$work/symbols"
    fi
    if [ -n "$has_cxx" ]; then
        # shellcheck disable=SC2046,SC2086
        runs "one in C++, shared" $CXX -std=c++20 $strict "$work/consumer.cc" $(ask --cflags --libs)
    fi
fi

# ---- static ---------------------------------------------------------------------------

if [ ! -f "$libdir/libgcmmap.a" ]; then
    skip "static" "it was not built"
else
    # shellcheck disable=SC2046,SC2086
    runs "a program in C with libgcmmap.a" $CC -std=c11 $strict "$work/consumer.c" \
        $(ask --cflags) "$libdir/libgcmmap.a" $("$PKG_CONFIG" --libs bdw-gc)
    if ! command -v objcopy > /dev/null; then
        skip "its hidden names" "there is no objcopy"
    elif grep -q 'keeps its hidden names' "$work/install"; then
        skip "its hidden names" "objects for link-time optimization keep them"
    else
        nm -g --defined-only "$libdir/libgcmmap.a" | awk 'NF == 3 { print $3 }' | grep -v '^_*gcmmap_' > "$work/names"
        [ ! -s "$work/names" ]
        ok $? "no other names than the header's are to be seen in it" "$work/names"
    fi
    if command -v readelf > /dev/null; then
        ! needs_ours
        ok $? "it needs no library of ours"
    fi
    # shellcheck disable=SC2046
    if ! $CC -static "$work/empty.c" $("$PKG_CONFIG" --static --libs bdw-gc) -o "$work/empty" \
        2> /dev/null; then
        skip "programs that are static altogether" "there is no static libgc, or libc"
    else
        # shellcheck disable=SC2046,SC2086
        runs "a program in C, static altogether" $CC -static -std=c11 "$work/consumer.c" \
            $(ask --cflags) $(ask --static --libs)
        if [ -n "$has_cxx" ]; then
            # shellcheck disable=SC2046,SC2086
            runs "one in C++" $CXX -static -std=c++20 "$work/consumer.cc" \
                $(ask --cflags) $(ask --static --libs)
        fi
    fi
fi

# ---- gcmmap.m4 ------------------------------------------------------------------------

m4=$(find "$work/root" -name gcmmap.m4)
[ -n "$m4" ] && [ "${m4%/aclocal/gcmmap.m4}" != "$m4" ] && cmp "$m4" "$top_srcdir/aclocal/gcmmap.m4"
ok $? "gcmmap.m4 is where aclocal looks"
mkdir "$work/user"
cat > "$work/user/configure.ac" <<'END'
AC_INIT([user], [1])
AC_PROG_CC
GCMMAP_CHECK([99.0], [AC_MSG_ERROR([found a later one])], [AC_MSG_NOTICE([no later one])])
GCMMAP_CHECK([0.1])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
END
printf 'user:\n\t@CC@ @CPPFLAGS@ @CFLAGS@ @GCMMAP_CFLAGS@ ../consumer.c -o $@ @LDFLAGS@ %s\n' \
    @GCMMAP_LIBS@ > "$work/user/Makefile.in"

# configured WHAT ARGUMENT...: finds the library, and a program is built with what was found.
configured()
{
    what=$1
    shift
    (cd "$work/user" && rm -f user && LD_LIBRARY_PATH=$libdir && export LD_LIBRARY_PATH &&
        ./configure CC="$CC" "$@" && grep -q 'no later one' config.log &&
        "$MAKE" && ./user ../text) > "$work/log" 2>&1 && grep -q '^the first line' "$work/log"
    ok $? "$what" "$work/log"
}

if ! (cd "$work/user" && autoconf --version && aclocal --version) > /dev/null 2>&1; then
    skip "GCMMAP_CHECK" "there is no autoconf"
elif [ ! -f "$libdir/libgcmmap.so" ]; then
    skip "GCMMAP_CHECK" "no shared library was built"
else
    (cd "$work/user" && aclocal -I "${m4%/*}" && autoconf -Wall,error) > "$work/log" 2>&1
    ok $? "autoconf takes it" "$work/log"
    configured "GCMMAP_CHECK finds the library by pkg-config" PKG_CONFIG_SYSROOT_DIR="$work/root"
    configured "and without" PKG_CONFIG=false CPPFLAGS="-I$includedir" LDFLAGS="-L$libdir"
    configured "and by what the user says" PKG_CONFIG=false GCMMAP_CFLAGS="-I$includedir" \
        GCMMAP_LIBS="-L$libdir -lgcmmap -lgc"
    (cd "$work/user" && ! ./configure CC="$CC" GCMMAP_LIBS=-lgcmmap-of-nowhere) > "$work/log" 2>&1 &&
        grep -q 'error: no gcmmap >= 0.1' "$work/log"
    ok $? "or ends with an error" "$work/log"
fi

# ---- and away --------------------------------------------------------------------------

# shellcheck disable=SC2086
"$MAKE" -C "$top_builddir" uninstall DESTDIR="$work/root" $no_modules > "$work/log" 2>&1
ok $? "make uninstall" "$work/log"
find "$work/root" ! -type d > "$work/left"
[ ! -s "$work/left" ]
ok $? "nothing is left" "$work/left"

done_testing
