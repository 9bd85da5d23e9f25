#!/bin/sh
# gcmmap.hpp with each C++ compiler there is: all of it, from tests/cplusplus/header.cc.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

: "${BDW_GC_LIBS:=-lgc}"
libraries=$(cd "$top_builddir/.libs" && pwd)

printf '#include <span>\nint main() { return std::span<int>().size(); }\n' > "$work/modern.cc"
strict='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Werror'
# Named members in any order are all that options are for.
strict="$strict -Wno-missing-field-initializers"

for cxx in "${CXX:-g++}" clang++; do
    if ! $cxx -std=c++20 -fsyntax-only "$work/modern.cc" > /dev/null 2>&1; then
        skip "the header with $cxx" "there is no such compiler, or not of C++20"
        continue
    fi
    printf '#include "gcmmap.hpp"\n#include "gcmmap.hpp"\n' > "$work/alone.cc"
    # shellcheck disable=SC2086
    $cxx -std=c++20 $strict -I"$top_srcdir/include" -fsyntax-only "$work/alone.cc" 2> "$work/errors"
    ok $? "the header needs no other, with $cxx" "$work/errors"
    # shellcheck disable=SC2086
    $cxx -std=c++20 -O2 $strict $BDW_GC_CFLAGS -I"$top_srcdir/include" \
        "$top_srcdir/tests/cplusplus/header.cc" -o "$work/header" -pthread \
        -L"$libraries" -Wl,-rpath,"$libraries" -lgcmmap $BDW_GC_LIBS 2> "$work/errors"
    ok $? "a program is compiled without a warning, with $cxx" "$work/errors"
    mkdir "$work/files"
    "$work/header" "$work/files" > "$work/out"
    ok $? "it ends well"
    # Its results become ours.
    awk -v n="$n" -v with=", with ${cxx##*/}" '
        /^ok/ { sub(/^ok [0-9]+/, "ok " ++n); print $0 with; next }
        /^not ok/ { sub(/^not ok [0-9]+/, "not ok " ++n); print $0 with; next }
        /^#/' "$work/out"
    n=$((n + $(grep -c '^\(not \)\{0,1\}ok' "$work/out")))
    rm -rf "$work/files"
done

done_testing
