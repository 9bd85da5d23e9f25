#!/bin/sh
# run-guile.sh FILE.scm: a test in Guile, with the module as it was just built.
#
# SPDX-License-Identifier: MIT

if [ ! -e "${top_builddir:=.}/libguile-gcmmap.la" ]; then
    echo "1..0 # SKIP built without Guile"
    exit 0
fi
: "${top_srcdir:=.}"
export GUILE_AUTO_COMPILE=0
export GUILE_LOAD_PATH="$top_srcdir/bindings/guile:$top_srcdir/tests"
export GUILE_LOAD_COMPILED_PATH="$top_builddir/bindings/guile"
export GUILE_EXTENSIONS_PATH="$top_builddir/.libs"
exec "${GUILE:-guile}" -s "$1"
