#!/bin/sh
# The manual pages are clean mdoc, and each function of a page leads to it.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

pages=$top_srcdir/doc/man

if ! command -v mandoc > /dev/null; then
    skip "mandoc finds nothing wrong" "there is no mandoc"
else
    # Whether other manuals are installed here is not their fault.
    mandoc -Tlint -W style "$pages"/*.[0-9] 2> /dev/null |
        grep -v 'referenced manual not found' > "$work/found"
    [ ! -s "$work/found" ]
    ok $? "mandoc finds nothing wrong" "$work/found"
fi

for page in "$pages"/*.3; do
    file=${page##*/}
    names=$(sed -n '/^\.Nd/q; s/^\.Nm \([a-z_]*\).*/\1/p' "$page")
    wrong=
    for name in $names; do
        if [ "$name.3" != "$file" ]; then
            echo ".so man3/$file" | cmp -s - "$top_builddir/doc/man/links/$name.3" ||
                wrong="$wrong $name"
        fi
        grep -qx "\.Fo $name" "$page" || wrong="$wrong $name(declaration)"
    done
    echo "$names" | grep -qx "${file%.3}" || wrong="$wrong file's name"
    echo "$wrong" > "$work/wrong"
    [ -z "$wrong" ]
    ok $? "each of its functions leads to $file" "$work/wrong"
done
grep -h '^\.Xr gcmmap' "$pages"/* | awk '{ print $2 "." $3 }' | sort -u > "$work/referred"
while read -r page; do
    [ -f "$pages/$page" ] || [ -f "$top_builddir/doc/man/links/$page" ] || echo "$page"
done < "$work/referred" > "$work/missing"
[ ! -s "$work/missing" ]
ok $? "they refer to each other by names that are there" "$work/missing"

done_testing
