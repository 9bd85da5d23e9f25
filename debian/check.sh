#!/bin/sh
# Builds the .debs from a tarball of `make dist` and looks at them: lintian, what is in them,
# a program built against them, installing and removing, all below a temporary directory.
#
#     sh debian/check.sh gcmmap-VERSION.tar.gz [DIRECTORY]    the .debs are put there
#
# Needs debhelper, lintian, and what debian/control says.  `make check-deb` runs it.
# SPDX-License-Identifier: MIT
set -eu
tarball=$1
directory=${2:-}
version=${tarball##*/}
version=${version#gcmmap-}
version=${version%.tar.gz}
work=$(mktemp -d "${TMPDIR:-/tmp}/gcmmap-deb-XXXXXX")
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
LC_ALL=C
export LC_ALL

say()
{
    printf '== %s\n' "$*"
}

give_up()
{
    printf 'check-deb: %s\n' "$*" >&2
    exit 1
}

for tool in dpkg-buildpackage dh lintian; do
    command -v $tool > /dev/null || give_up "no $tool: apt-get install debhelper lintian dpkg-dev"
done

say "building"
cp "$tarball" "$work/gcmmap_$version.orig.tar.gz"
tar -C "$work" -xzf "$tarball"
(cd "$work/gcmmap-$version" && DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
    dpkg-buildpackage -us -uc -b) > "$work/log" 2>&1 || {
    tail -n 40 "$work/log"
    give_up "dpkg-buildpackage failed"
}

say "lintian"
lintian --allow-root --fail-on error --suppress-tags initial-upload-closes-no-bugs \
    "$work"/gcmmap_*.changes || give_up "lintian finds errors"

say "what is in them"
root=$work/root
for package in libgcmmap0 libgcmmap-dev gcmmap-tools; do
    set -- "$work/${package}_$version"*.deb
    [ -f "$1" ] || give_up "there is no $package"
    dpkg-deb --info "$1" > /dev/null
    dpkg -x "$1" "$root"
    dpkg-deb --fsys-tarfile "$1" | tar -t | sed 's,^\./,/,' | grep -v '/$' |
        grep -v '/usr/share/doc/' > "$work/$package.files"
    sed "s/^/   $package: /" "$work/$package.files" | head -n 12
done
lib=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)

# has PACKAGE FILE
has()
{
    grep -qx "/$2" "$work/$1.files" || give_up "$1 lacks /$2"
}
has libgcmmap0 "$lib/libgcmmap.so.0"
grep -v '/libgcmmap\.so\.' "$work/libgcmmap0.files" && give_up "more than a library in libgcmmap0"
for file in usr/include/gcmmap.h usr/include/gcmmap.hpp "$lib/libgcmmap.so" "$lib/libgcmmap.a" \
    "$lib/pkgconfig/gcmmap.pc" usr/share/aclocal/gcmmap.m4; do
    has libgcmmap-dev "$file"
done
has gcmmap-tools usr/bin/gcmmap-grep
dpkg-deb -f "$work"/libgcmmap-dev_*.deb Depends | grep -q "libgcmmap0 (= $version" ||
    give_up "libgcmmap-dev does not depend on the library of the same version"
dpkg-deb -f "$work"/gcmmap-tools_*.deb Depends | grep -q libgcmmap0 ||
    give_up "gcmmap-tools does not depend on the library"
dpkg-deb -f "$work"/libgcmmap0_*.deb Depends | grep -q libgc1 ||
    give_up "libgcmmap0 does not depend on the collector"

say "a program"
cat > "$work/program.c" <<'END'
#include <gc/gc.h>
#include <gcmmap.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    GC_INIT();
    return gcmmap_open(argv[argc - 1], GCMMAP_READ) != NULL ? puts("mapped") < 0 : 1;
}
END
PKG_CONFIG_PATH=$root/$lib/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$root
LD_LIBRARY_PATH=$root/$lib
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
# shellcheck disable=SC2046
cc "$work/program.c" -o "$work/program" $(pkg-config --cflags --libs gcmmap) -lgc
LD_LIBRARY_PATH=$LD_LIBRARY_PATH "$work/program" "$work/program.c"
found=$(LD_LIBRARY_PATH=$LD_LIBRARY_PATH "$root/usr/bin/gcmmap-grep" -c gcmmap_open "$work/program.c")
[ "$found" = 1 ] || give_up "gcmmap-grep finds $found lines, not 1"

say "installing and removing, below $work"
inside=$work/system
mkdir -p "$inside/var/lib/dpkg/info" "$inside/var/lib/dpkg/updates" "$inside/var/lib/dpkg/triggers"
: > "$inside/var/lib/dpkg/status"
dpkg_inside()
{
    dpkg --root="$inside" --log=/dev/null --force-not-root --force-depends \
        --force-script-chrootless "$@" > "$work/log" 2>&1 || {
        cat "$work/log"
        give_up "dpkg $1 failed"
    }
}
dpkg_inside -i "$work"/libgcmmap0_*.deb "$work"/libgcmmap-dev_*.deb "$work"/gcmmap-tools_*.deb
[ -f "$inside/usr/bin/gcmmap-grep" ] || give_up "installed, but not there"
dpkg_inside --purge gcmmap-tools libgcmmap-dev libgcmmap0
left=$(find "$inside" ! -type d ! -path '*/var/lib/dpkg/*')
[ -z "$left" ] || give_up "left behind: $left"

if [ -n "$directory" ]; then
    cp "$work"/*.deb "$directory"
fi
say "all is well"
