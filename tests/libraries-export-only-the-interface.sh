#!/bin/sh
# The shared library exports exactly the functions that gcmmap.h declares, stays loaded,
# and the header needs nothing but a C11 or C++ compiler.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

header=$top_srcdir/include/gcmmap.h
library=$top_builddir/.libs/libgcmmap.so

have()
{
    command -v "$1" >/dev/null 2>&1
}

# Names in front of a parenthesis, without comments; the last one before each semicolon.
$CC -E -P "$header" > "$work/preprocessed" 2> "$work/errors"
ok $? "the header can be preprocessed" "$work/errors"
tr '\n' ' ' < "$work/preprocessed" | tr ';' '\n' |
    sed -n 's/^[^(]*[ *]\(gcmmap_[A-Za-z0-9_]*\) *(.*/\1/p' | sort > "$work/declared"
[ "$(wc -l < "$work/declared")" -ge 12 ]
ok $? "it declares $(wc -l < "$work/declared" | tr -d ' ') functions" "$work/declared"
[ -z "$(uniq -d "$work/declared")" ]
ok $? "each once" "$work/declared"

sed -n '/global:/,/local:/s/^ *\([A-Za-z0-9_*]*\);$/\1/p' "$top_srcdir/src/gcmmap.map" |
    sort > "$work/listed"
diff "$work/declared" "$work/listed" > "$work/difference"
ok $? "gcmmap.map lists the same functions" "$work/difference"

# ---- the shared library -----------------------------------------------------------

if [ ! -f "$library" ]; then
    skip "exports of the library" "no shared library was built"
elif ! have nm; then
    skip "exports of the library" "there is no nm"
else
    # All but the name of the version, which is absolute.
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
        sort > "$work/exported"
    diff "$work/declared" "$work/exported" > "$work/difference"
    ok $? "the shared library exports the same functions, and nothing else" "$work/difference"
    nm -D --defined-only "$library" | awk '$2 != "A" && $2 != "T"' > "$work/data"
    [ ! -s "$work/data" ]
    ok $? "no data is exported" "$work/data"
fi

if [ ! -f "$library" ]; then
    skip "flags of the library" "no shared library was built"
elif ! have readelf || ! readelf -h "$library" >/dev/null 2>&1; then
    skip "flags of the library" "there is no readelf, or no ELF"
else
    readelf -d "$library" > "$work/dynamic"
    grep -q 'FLAGS_1.*NODELETE' "$work/dynamic"
    ok $? "the shared library stays loaded (NODELETE)" "$work/dynamic"
    ! grep -q 'TEXTREL' "$work/dynamic"
    ok $? "its code needs no relocation" "$work/dynamic"
    readelf -lW "$library" > "$work/segments"
    grep 'GNU_STACK' "$work/segments" | grep -q 'RW ' && ! grep 'GNU_STACK' "$work/segments" | grep -q 'RWE'
    ok $? "it wants no executable stack" "$work/segments"
fi

# ---- the header -------------------------------------------------------------------

cat > "$work/alone.c" <<END
#include "gcmmap.h"
#include "gcmmap.h"
extern int something;
int something = GCMMAP_VERSION_MAJOR + GCMMAP_VERSION_MINOR;
END
cp "$work/alone.c" "$work/alone.cc"
strict='-Wall -Wextra -Wpedantic -Werror'

# shellcheck disable=SC2086
$CC -std=c11 $strict -I"$top_srcdir/include" -c "$work/alone.c" -o "$work/alone.o" \
    2> "$work/errors"
ok $? "the header compiles alone as C11" "$work/errors"
# shellcheck disable=SC2086
$CC -std=c11 $strict -fsyntax-only -x c "$header" 2> "$work/errors"
ok $? "and without any file around it" "$work/errors"

if ! have "${CXX%% *}"; then
    skip "the header compiles as C++" "there is no C++ compiler"
else
    for standard in c++98 c++17; do
        # C++98 has no long long, which <stdint.h> is allowed to use all the same.
        # shellcheck disable=SC2086
        $CXX -std=$standard $strict -Wno-long-long -I"$top_srcdir/include" -c "$work/alone.cc" \
            -o "$work/alone.o" 2> "$work/errors"
        ok $? "the header compiles as $standard" "$work/errors"
    done
    cat > "$work/linked.cc" <<END
#include "gcmmap.h"
int main()
{
    gcmmap_slice slice = { 0, 0 };
    return gcmmap_slice_sub(slice, 0, 0).data != 0;
}
END
    # shellcheck disable=SC2086
    if [ -f "$library" ]; then
        $CXX $strict -I"$top_srcdir/include" "$work/linked.cc" "$library" \
            -Wl,-rpath,"$(cd "$top_builddir/.libs" && pwd)" -o "$work/linked" 2> "$work/errors" &&
            "$work/linked" 2>> "$work/errors"
        ok $? "a C++ program finds the functions" "$work/errors"
    fi
fi

done_testing
