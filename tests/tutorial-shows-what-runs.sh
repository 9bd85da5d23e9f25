#!/bin/sh
# doc/tutorial.md shows pieces of programs that are built, and what they really print; and the
# pages of doc/ and the README lead to files that are there.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

sources=$(cd "$top_srcdir" && pwd)
tutorial=$sources/doc/tutorial.md
programs=$(cd "$top_builddir/examples" && pwd)

# Each piece in a file of its own, whose first line is the name of the program's source; each
# transcript in another.
awk -v work="$work" '
    /^<!-- examples\// { source = $2; next }
    /^```c$/ { file = work "/piece-" ++n_pieces; print source > file; next }
    /^```console$/ { file = work "/shown-" ++n_shown; next }
    /^```/ { if (file != "") close(file); file = source = ""; next }
    file != "" { print > file }' "$tutorial"

for piece in "$work"/piece-*; do
    source=$(head -n 1 "$piece")
    [ -f "$sources/$source" ] && awk '
        FNR == NR { if (FNR > 1) piece = piece $0 "\n"; next }
        { all = all $0 "\n" }
        END { exit piece == "" || index("\n" all, "\n" piece) == 0 }' "$piece" "$sources/$source"
    ok $? "a piece of $source is in it" "$piece"
done

mkdir "$work/here"
PATH=$programs:$PATH
for shown in "$work"/shown-*; do
    (cd "$work/here" && while read -r line; do
        case $line in
        '$ '*)
            printf '%s\n' "$line"
            sh -c "${line#??}" < /dev/null
            ;;
        esac
    done) < "$shown" > "$work/printed"
    diff "$shown" "$work/printed" > "$work/difference"
    ok $? "$(sed -n 's/^\$ \([a-z0-9-]*\).*/\1/p' "$shown" | tail -n 1) prints what is shown" \
        "$work/difference"
done

for page in $(cd "$sources" && echo ./*.md doc/*.md); do
    (cd "$sources/$(dirname "$page")" && grep -o '](\([^)]*\))' "$sources/$page" |
        sed 's/^](//; s/)$//; s/#.*//' | grep -v '^https\{0,1\}:' | sort -u |
        while read -r link; do
            [ -z "$link" ] || [ -e "$link" ] || echo "$link"
        done) > "$work/missing"
    [ ! -s "$work/missing" ]
    ok $? "links of $page lead to files" "$work/missing"
done

done_testing
