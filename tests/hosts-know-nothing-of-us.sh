#!/bin/sh
# w3m, which knows nothing of gcmmap, does the same and collects as often with files mapped.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

command -v w3m >/dev/null || skip_all "no w3m"
libraries=$(cd "$top_builddir/.libs" && pwd) || exit
[ -e "$libraries/libgcmmap.so" ] || skip_all "no shared library"

# shellcheck disable=SC2086 # lists of words
$CC -shared -fPIC -o "$work/preload.so" -I"$top_srcdir/include" $BDW_GC_CFLAGS \
    "$top_srcdir/tests/hosts/preload.c" -L"$libraries" -Wl,-rpath,"$libraries" \
    -lgcmmap ${BDW_GC_LIBS:--lgc} || exit

export GC_MARKERS=1

# A page of 4 MB: tables, links, lists.
awk 'BEGIN {
    print "<html><body>"
    for (t = 0; t < 300; t++) {
        print "<h2>Section " t "</h2><table border=1>"
        for (i = 0; i < 40; i++) {
            printf "<tr>"
            for (j = 0; j < 5; j++)
                printf "<td>cell %d &amp; <b>%d</b> <a href=\"x%d\">link</a></td>", i * j, i + j, t
            print "</tr>"
        }
        print "</table><ul>"
        for (i = 0; i < 20; i++)
            print "<li>item " i " some words that have to be wrapped at the end of the line"
        print "</ul>"
    }
    print "</body></html>"
}' >"$work/page.html"

# render NAME [FILE]: to $work/NAME.txt, with FILE mapped; "collections bytes" to $work/NAME.count.
render() {
    (
        [ -z "${2-}" ] || export GCMMAP_TEST_FILE="$2"
        GCMMAP_TEST_COUNT="$work/$1.count" LD_PRELOAD="$work/preload.so" \
            w3m -dump -cols 80 "$work/page.html" >"$work/$1.txt" 2>"$work/$1.err"
    )
}

w3m -dump -cols 80 "$work/page.html" >"$work/alone.txt"
for heap in "" 16M; do
    [ -z "$heap" ] || export GC_INITIAL_HEAP_SIZE=$heap
    render counted
    read -r plain _ <"$work/counted.count"
    echo "# $plain collections with nothing mapped, in a heap that began with ${heap:-nothing}"
    for size in 64M 1G 4G; do
        truncate -s "$size" "$work/file" || continue
        render mapped "$work/file"
        [ ! -s "$work/mapped.err" ] && cmp -s "$work/alone.txt" "$work/mapped.txt"
        ok $? "the same page with $size mapped, and no word on stderr"
        read -r collections bytes <"$work/mapped.count"
        [ "$bytes" = "$(stat -c %s "$work/file")" ]
        ok $? "which was mapped to the end"
        difference=$((collections - plain))
        [ $((difference * 100)) -le $((15 * plain)) ] && [ $((difference * 100)) -ge $((-15 * plain)) ]
        ok $? "as many collections within 15 %"
        echo "# $collections collections"
    done
done
done_testing
