#!/bin/sh
# run-ecl.sh FILE.lisp: a test in ECL, with the system as it was just built.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
if [ ! -e "$top_builddir/libecl-gcmmap.la" ]; then
    echo "1..0 # SKIP built without ECL"
    exit 0
fi
export GCMMAP_ECL_LIBRARY="$top_builddir/.libs/libecl-gcmmap.so"
exec "${ECL:-ecl}" --norc --eval "(setf *load-verbose* nil)" \
    --load "$top_builddir/bindings/ecl/gcmmap.lisp" --load "$top_srcdir/tests/ecl/tap.lisp" \
    --eval "(tap:run \"$1\")" </dev/null
