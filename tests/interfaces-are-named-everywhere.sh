#!/bin/sh
# gcmmap.h, the manual, gcmmap.map and the library name the same functions, with the same
# arguments and errors; and what can be said with a constant is in the manual.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

header=$top_srcdir/include/gcmmap.h
pages=$top_srcdir/doc/man
library=$top_builddir/.libs/libgcmmap.so

# Declarations, one a line: type name(arguments).
$CC -E -P "$header" | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/^ *\([^(]*[ *]gcmmap_[a-z0-9_]* *(.*)\) *$/\1/p' | grep -v typedef |
    sed 's/  */ /g; s/ *( */(/; s/ )$/)/' | sort > "$work/declared"
[ "$(wc -l < "$work/declared")" -ge 50 ]
ok $? "the header declares $(wc -l < "$work/declared" | tr -d ' ') functions" "$work/declared"

awk '/^\.Ft/ { type = $0; sub(/^\.Ft "?/, "", type); sub(/"$/, "", type) }
    /^\.Fo/ { line = type (type ~ /\*$/ ? "" : " ") $2 "("; n = 0 }
    /^\.Fa/ && line != "" { sub(/^\.Fa "?/, ""); sub(/"$/, ""); line = line (n++ ? ", " : "") $0 }
    /^\.Fc/ { print line ")"; line = "" }' "$pages"/*.3 | sort > "$work/documented"
diff "$work/declared" "$work/documented" > "$work/difference"
ok $? "the manual declares the same ones" "$work/difference"

names()
{
    sed 's/(.*//; s/.*[ *]//' "$1" | sort
}
names "$work/declared" > "$work/names"
sed -n '/global:/,/local:/s/^ *\([A-Za-z0-9_*]*\);$/\1/p' "$top_srcdir/src/gcmmap.map" | sort |
    diff "$work/names" - > "$work/difference"
ok $? "gcmmap.map lists them" "$work/difference"
if [ -f "$library" ] && command -v nm > /dev/null; then
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort |
        diff "$work/names" - > "$work/difference"
    ok $? "the library exports them" "$work/difference"
else
    skip "the library exports them" "no shared library, or no nm"
fi
while read -r name; do
    grep -q "Xr $name 3" "$pages/gcmmap.7" || echo "$name"
done < "$work/names" > "$work/missing"
[ ! -s "$work/missing" ]
ok $? "gcmmap(7) names them" "$work/missing"

# What the comment above a declaration lists as errors: "name ERROR" in lines.
awk '/^\/\*\*/ { n = 0; inside = 1 }
    inside && match($0, /^ \*   ? ?(E[A-Z0-9]+,? *)+/) {
        errors = substr($0, 4, RLENGTH - 3)
        while (match(errors, /E[A-Z0-9]+/)) {
            found[++n] = substr(errors, RSTART, RLENGTH)
            errors = substr(errors, RSTART + RLENGTH)
        }
    }
    /\*\// { inside = 0; next }
    !inside && match($0, /^[a-z][^(]*[ *]gcmmap_[a-z_]+\(/) && !/typedef/ {
        name = substr($0, 1, RLENGTH - 1)
        sub(/.*[ *]/, "", name)
        for (i = 1; i <= n; i++)
            print name, found[i]
    }' "$header" | sort -u > "$work/errors"
[ "$(wc -l < "$work/errors")" -ge 120 ]
ok $? "the header tells of $(wc -l < "$work/errors" | tr -d ' ') errors" "$work/errors"
while read -r name error; do
    page=$(grep -l "^\.Nm $name\( ,\)*\$" "$pages"/*.3)
    [ -n "$page" ] && grep -q "^\.It Bq Er $error\$" "$page" || echo "$name: $error"
done < "$work/errors" > "$work/missing"
[ ! -s "$work/missing" ]
ok $? "the manual says what to do about each" "$work/missing"

# All but advice, which is the header's, and what is not to be used.
{
    $CC -E -dM "$header" | sed -n 's/^#define \(GCMMAP_[A-Z_]*\)[( ].*/\1/p'
    $CC -E -P "$header" | grep -o 'GCMMAP_[A-Z_]* *=' | tr -d ' ='
} | grep -v 'GCMMAP_VERSION_\|GCMMAP_ADVISE_\|^GCMMAP_H$' | sort -u > "$work/constants"
while read -r constant; do
    grep -qw "$constant" "$pages"/*.[37] || echo "$constant"
done < "$work/constants" > "$work/missing"
[ ! -s "$work/missing" ]
ok $? "the manual names $(wc -l < "$work/constants" | tr -d ' ') constants" "$work/missing"

done_testing
