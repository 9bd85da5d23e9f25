#!/bin/sh
# w3m, which knows nothing of gcmmap, does the same and collects as often with files mapped.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}" "${CC:=cc}"
if ! command -v w3m >/dev/null; then
    echo "1..0 # SKIP no w3m"
    exit 0
fi
libraries=$(cd "$top_builddir/.libs" && pwd) || exit
if [ ! -e "$libraries/libgcmmap.so" ]; then
    echo "1..0 # SKIP no shared library"
    exit 0
fi
dir=$(mktemp -d) || exit
trap 'rm -rf "$dir"' EXIT

# shellcheck disable=SC2086 # lists of words
$CC -shared -fPIC -o "$dir/preload.so" -I"$top_srcdir/include" $BDW_GC_CFLAGS \
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
}' >"$dir/page.html"

# render NAME [FILE]: to $dir/NAME.txt, with FILE mapped; "collections bytes" to $dir/NAME.count.
render() {
    (
        [ -z "${2-}" ] || export GCMMAP_TEST_FILE="$2"
        GCMMAP_TEST_COUNT="$dir/$1.count" LD_PRELOAD="$dir/preload.so" \
            w3m -dump -cols 80 "$dir/page.html" >"$dir/$1.txt" 2>"$dir/$1.err"
    )
}

n=0
ok() { # STATUS NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

w3m -dump -cols 80 "$dir/page.html" >"$dir/alone.txt"
for heap in "" 16M; do
    [ -z "$heap" ] || export GC_INITIAL_HEAP_SIZE=$heap
    render counted
    read -r plain _ <"$dir/counted.count"
    echo "# $plain collections with nothing mapped, in a heap that began with ${heap:-nothing}"
    for size in 64M 1G 4G; do
        truncate -s "$size" "$dir/file" || continue
        render mapped "$dir/file"
        [ ! -s "$dir/mapped.err" ] && cmp -s "$dir/alone.txt" "$dir/mapped.txt"
        ok $? "the same page with $size mapped, and no word on stderr"
        read -r collections bytes <"$dir/mapped.count"
        [ "$bytes" = "$(stat -c %s "$dir/file")" ]
        ok $? "which was mapped to the end"
        difference=$((collections - plain))
        [ $((difference * 100)) -le $((15 * plain)) ] && [ $((difference * 100)) -ge $((-15 * plain)) ]
        ok $? "as many collections within 15 %"
        echo "# $collections collections"
    done
done
echo "1..$n"
