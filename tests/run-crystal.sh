#!/bin/sh
# run-crystal.sh FILE.cr: a test in Crystal, compiled against the library as it was just built.
# A line "# flags: ..." in it is for the compiler.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
if [ -z "$CRYSTAL" ]; then
    echo "1..0 # SKIP configure found no Crystal"
    exit 0
fi
if [ -n "$GC_ENABLE_INCREMENTAL" ]; then
    echo "1..0 # SKIP Crystal's handler takes the faults by which bdwgc sees stores for crashes"
    exit 0
fi
libraries=$(cd "$top_builddir/.libs" && pwd) || exit
built=$top_builddir/tests/crystal-built
name=$(basename "$1" .cr)
mkdir -p "$built" || exit
export CRYSTAL_CACHE_DIR="$built/cache"
CRYSTAL_PATH="$top_srcdir/bindings/crystal/src:$("$CRYSTAL" env CRYSTAL_PATH)"
export CRYSTAL_PATH
# shellcheck disable=SC2046 # a list of words
"$CRYSTAL" build --no-debug $(sed -n 's/^# flags: //p' "$1") \
    --link-flags "-L$libraries -Wl,-rpath,$libraries" -o "$built/$name" "$1" || exit
exec "$built/$name"
