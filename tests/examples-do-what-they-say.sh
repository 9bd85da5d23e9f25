#!/bin/sh
# The examples run, and what they print is right.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

examples=$top_builddir/examples
follower=
trap 'test -z "$follower" || kill "$follower" 2> /dev/null; rm -rf "$work"' EXIT

lines() {
    awk 'BEGIN { for (i = 1; i <= 60000; i++)
        print "line " i (i % 1000 == 0 ? " warning" : " all is well, nothing to see here") }'
}

# Its single region may be held by chance (HACKING.md, "Collisions"), and then it says so.
"$examples/01-tour" > "$work/tour" 2>&1
grep -v "BROKEN: the file is unmapped" "$work/tour" | grep -q BROKEN
[ $? -eq 1 ] && grep -q "ok: a clear end" "$work/tour"
status=$?
if [ $status -ne 0 ] && [ -n "$GC_ENABLE_INCREMENTAL" ]; then
    skip "the tour" "the collector makes closed pages accessible"
else
    ok $status "the tour"
fi

log=$work/log
"$examples/03-log-follower" "$log" warning 60000 > "$work/followed" &
follower=$!
lines > "$work/lines"
"$examples/02-log-writer" "$log" < "$work/lines"
ok $? "a log is written"
cmp "$log" "$work/lines"
ok $? "byte for byte, in several parts"
wait "$follower"
ok $? "it was followed meanwhile"
follower=
grep warning "$work/lines" | tail -n 10 | cmp - "$work/followed"
ok $? "the last ten lines with a word were kept"
echo "one more" | "$examples/02-log-writer" "$log"
[ "$(tail -n 1 "$log")" = "one more" ]
ok $? "writing goes on where it ended"

"$examples/04-arena" < "$work/lines" > "$work/arena"
# With 32 bits a number is an address easily, and the arenas may stay: see doc/builds.md.
few=$([ "$(getconf LONG_BIT)" = 64 ] || echo yes)
[ -z "$few" ] || echo "the arenas are gone" >> "$work/arena"
grep -q "so is all the rest" "$work/arena" && grep -q "the arenas are gone" "$work/arena"
ok $? "a tree in an arena lives and goes"
"$examples/05-linked-file" "$work/linked" > "$work/links"
[ -z "$few" ] || echo "the file is unmapped" >> "$work/links"
grep -q "kept by one" "$work/links" && grep -q "the file is unmapped" "$work/links"
ok $? "a linked structure in a file lives and goes"
[ "$(od -An -tu8 -N16 "$work/linked" | tr -s ' ')" = " 5117041 1" ]
ok $? "and the file is as it was"

"$examples/06-picture" "$work/lines" "$work/log" > "$work/picture"
[ $? -eq 0 ] && head -n 1 "$work/picture" | grep -q '^<svg ' &&
    grep -q '</svg>' "$work/picture" && grep -q "/log<" "$work/picture"
ok $? "a picture of what is mapped"

done_testing
