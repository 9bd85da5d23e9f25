#!/bin/sh
# The examples run, and what they print is right.
#
# SPDX-License-Identifier: MIT

: "${top_builddir:=.}"
examples=$top_builddir/examples
directory=$(mktemp -d)
follower=
trap 'test -z "$follower" || kill "$follower" 2> /dev/null; rm -rf "$directory"' EXIT
n=0
failed=0

# ok STATUS WHAT
ok() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        failed=1
    fi
}

lines() {
    awk 'BEGIN { for (i = 1; i <= 60000; i++)
        print "line " i (i % 1000 == 0 ? " warning" : " all is well, nothing to see here") }'
}

# Its single region may be held by chance (HACKING.md, "Collisions"), and then it says so.
"$examples/01-tour" > "$directory/tour" 2>&1
grep -v "BROKEN: the file is unmapped" "$directory/tour" | grep -q BROKEN
[ $? -eq 1 ] && grep -q "ok: a clear end" "$directory/tour"
status=$?
if [ $status -ne 0 ] && [ -n "$GC_ENABLE_INCREMENTAL" ]; then
    ok 0 "the tour # SKIP the collector makes closed pages accessible"
else
    ok $status "the tour"
fi

log=$directory/log
"$examples/03-log-follower" "$log" warning 60000 > "$directory/followed" &
follower=$!
lines > "$directory/lines"
"$examples/02-log-writer" "$log" < "$directory/lines"
ok $? "a log is written"
cmp "$log" "$directory/lines"
ok $? "byte for byte, in several parts"
wait "$follower"
ok $? "it was followed meanwhile"
follower=
grep warning "$directory/lines" | tail -n 10 | cmp - "$directory/followed"
ok $? "the last ten lines with a word were kept"
echo "one more" | "$examples/02-log-writer" "$log"
[ "$(tail -n 1 "$log")" = "one more" ]
ok $? "writing goes on where it ended"

"$examples/04-arena" < "$directory/lines" > "$directory/arena"
# With 32 bits a number is an address easily, and the arenas may stay: see doc/builds.md.
few=$([ "$(getconf LONG_BIT)" = 64 ] || echo yes)
[ -z "$few" ] || echo "the arenas are gone" >> "$directory/arena"
grep -q "so is all the rest" "$directory/arena" && grep -q "the arenas are gone" "$directory/arena"
ok $? "a tree in an arena lives and goes"
"$examples/05-linked-file" "$directory/linked" > "$directory/links"
[ -z "$few" ] || echo "the file is unmapped" >> "$directory/links"
grep -q "kept by one" "$directory/links" && grep -q "the file is unmapped" "$directory/links"
ok $? "a linked structure in a file lives and goes"
[ "$(od -An -tu8 -N16 "$directory/linked" | tr -s ' ')" = " 5117041 1" ]
ok $? "and the file is as it was"

"$examples/06-picture" "$directory/lines" "$directory/log" > "$directory/picture"
[ $? -eq 0 ] && head -n 1 "$directory/picture" | grep -q '^<svg ' &&
    grep -q '</svg>' "$directory/picture" && grep -q "/log<" "$directory/picture"
ok $? "a picture of what is mapped"

echo "1..$n"
exit $failed
