#!/bin/sh
# gcmmap-grep --sort, --unique and --top: slices outlive their files; what they show is what
# sort(1) and uniq(1) make of the same lines.  And --json, --stats.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/grep/setup.sh"

make_tree
LC_ALL=C
export LC_ALL

# same WHAT: the files `wanted` and `got` are alike.
same() {
    cmp -s wanted got
    status=$?
    [ $status -eq 0 ] || diff wanted got | head -n 4 | cut -c 1-120 | sed 's/^/# /'
    ok $status "$1"
}

"$ours" -rah . tree > lines
sort lines > wanted
"$ours" -rah --sort . tree > got
same "--sort is in the order of bytes"
"$ours" -rah --sort --unique . tree > got
sort -u lines > wanted
same "--unique: each text once"
awk '!seen[$0]++' lines > wanted
"$ours" -rah --unique . tree > got
same "without --sort, as they were found"
"$ours" -raho '\w+' tree > words
sort words | uniq -c > wanted
"$ours" -raoc --sort --unique '\w+' tree > got
same "-c: how often"
sort words | uniq -c | sort -k1,1nr -k2 | head -n 20 > wanted
"$ours" -rao --top=20 '\w+' tree > got
same "--top: the most frequent ones"
"$ours" -ran foo tree > lines
awk '{ place = index($0, ":foo"); print }' lines | sort -t: -s -k3 > wanted
"$ours" -ran --sort foo tree > got
same "names and line numbers stay with their lines"
"$ours" -ra --sort 'nowhere to be found' tree > got
[ $? -eq 1 ] && [ ! -s got ]
ok $? "nothing found: status 1"

# More files than there may be descriptors, and a match in each; they are gone by the time it is
# shown, as far as the file system knows.
mkdir many
awk 'BEGIN { for (i = 0; i < 2500; i++) { file = "many/" i
    print "line of file " i > file
    close(file) } }'
seq 0 2499 | sed 's/^/line of file /' | sort > wanted
# shellcheck disable=SC3045 # sh of Debian and bash have it
(ulimit -n 40 && "$ours" -rh --sort line many) > got
same "2,500 files with 40 descriptors, collections in between"

# Through a pipe, whose chunks are kept like files.
awk 'BEGIN { for (i = 0; i < 60000; i++) print "line " i * 7919 % 60000 }' > numbers
sort numbers | uniq > wanted
# shellcheck disable=SC2002 # a pipe is what is meant
cat numbers | "$ours" --sort --unique line > got
same "lines of a pipe are kept as well"

printf 'a "b" \\ c\tfoo foo\n\377foox\n\303\251foo\nbar\n' > json
cat > wanted << 'END'
{"path":"json","line":1,"offset":0,"text":"a \"b\" \\ c\tfoo foo","matches":[{"start":10,"end":13},{"start":14,"end":17}]}
{"path":"json","line":2,"offset":18,"bytes":"/2Zvb3g=","matches":[{"start":1,"end":4}]}
{"path":"json","line":3,"offset":24,"text":"éfoo","matches":[{"start":2,"end":5}]}
END
"$ours" --json foo json > got
same "--json: one object a line"
echo '{"count":4,"text":"foo"}' > wanted
"$ours" -o --top=1 --json foo json > got
same "--json with --top"
if command -v jq > /dev/null; then
    LC_ALL=C.UTF-8 "$ours" -ra --json . tree | jq -r 'select(.text) | .text' > got 2> said
    LC_ALL=C.UTF-8 "$ours" -rIh . tree > wanted.all
    [ ! -s said ] && [ "$(wc -l < got)" -ge "$(wc -l < wanted.all)" ]
    ok $? "jq reads it"
else
    skip "jq reads it" "there is no jq"
fi

"$ours" -r --stats foo tree 2> stats > lines
files=$(find tree -type f | wc -l)
empty=$(find tree -type f -empty | wc -l)
grep -q "^$files files searched" stats && grep -q "in $files regions" stats &&
    grep -q "^0 copies made, of 0 bytes" stats
ok $? "--stats: all files mapped, nothing copied"
[ "$(sed -n 's/ regions released.*//p' stats)" -ge $((files - empty - 5)) ]
ok $? "and released by themselves, but for a few that an accident holds"
"$ours" -c --stats foo < tree/text 2> stats > lines
grep -q "^0 copies made" stats
ok $? "stdin is mapped if it is a file"
# shellcheck disable=SC2002
cat tree/text | "$ours" -c --stats foo 2> stats > lines
grep -q "^1 copies made, of [0-9.]* KiB" stats
ok $? "and copied if it is a pipe"

done_testing
