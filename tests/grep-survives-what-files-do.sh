#!/bin/sh
# gcmmap-grep and files that are unreadable, are no files, loop, shrink meanwhile; and what it says.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/grep/setup.sh"

make_tree

# same WHAT: what `grep` and gcmmap-grep have put out, said and ended with is the same.
same() {
    grep -P "$@" > grep.out 2> grep.err < /dev/null
    status=$?
    "$ours" "$@" > ours.out 2> ours.err < /dev/null
    [ $? -eq $status ] && sort grep.out > grep.sorted && sort ours.out | cmp -s grep.sorted - &&
        in_our_name grep.err | sort > grep.sorted && sort ours.err | cmp -s grep.sorted -
    status=$?
    [ $status -eq 0 ] || sed 's/^/# /' ours.err
    ok $status "as grep -P $*"
}

same foo tree/text nowhere tree/crlf
same -s foo nowhere
same -q foo nowhere tree/text
same -q foo tree/text nowhere
same foo tree
same foo /proc/version
same Linux /proc/version
same foo /dev/null
same -r foo tree
same -rn foo tree/
same -R foo tree
same -rh foo tree tree/text
same -r foo tree/text
same -rc foo tree
same -rl foo tree
same -rL foo tree
same -r --include='*.c' foo tree
same -r --exclude='*.c' foo tree
same -r --exclude='*.c' --include='a.*' foo tree
same --include='*.c' foo tree/b.c tree/text
same -r --exclude-dir=deeper foo tree
same -r --exclude-dir=tree foo tree
same -m0 foo tree/text
same 'foo(' tree/text
same -A x foo tree/text
if [ "$(id -u)" != 0 ]; then
    chmod 0 tree/b.c
    same -r foo tree
    chmod 644 tree/b.c
fi

(cd tree/deep && "$ours" -r foo) > got 2> err
(cd tree/deep && grep -r foo) 2> /dev/null | sort > wanted
sort got | cmp -s wanted -
ok $? "-r without a file: the working directory, without its name"
"$ours" -rl foo tree > got
LC_ALL=C sort -c got
ok $? "a tree is searched by name"

# shellcheck disable=SC2002
cat tree/text | "$ours" -nB2 Watson > got
grep -nB2 Watson tree/text | cmp -s - got
ok $? "a pipe is searched, with context"
awk 'BEGIN { for (i = 0; i < 60000; i++) print i, "and what belongs to it" }' > numbers
# shellcheck disable=SC2002
cat numbers | "$ours" -nbB9 '5 and' > got # so that chunks end in the midst of context
grep -nbB9 '5 and' numbers | cmp -s - got
ok $? "also if it is longer than a chunk"
"$ours" -nbC2 '77 and' numbers > got
grep -nbC2 '77 and' numbers | cmp -s - got
ok $? "as a file is, in windows"
grep -vc '77 and' numbers > wanted
"$ours" -vc '77 and' numbers | cmp -s - wanted
ok $? "-v in windows"
(cat numbers && printf 'zero \0 77 and\n') > late-zero
"$ours" '77 and' late-zero 2> err | cmp -s - wanted
grep -q '^gcmmap-grep: late-zero: binary file matches$' err
ok $? "a zero byte far behind is found"
tr '\n' ' ' < numbers > one-line
[ "$("$ours" -o '59999 and' one-line)" = "59999 and" ] && [ "$("$ours" -c ^ one-line)" = 1 ]
ok $? "a line is longer than all windows"

(IFS= read -r line && "$ours" -m1 foo && IFS= read -r line && echo "$line") < tree/deep/newlines > got
printf 'foo\n\n' | cmp -s - got
ok $? "-m leaves stdin behind the last line"
"$ours" foo tree/text nowhere > /dev/full 2> err
[ $? -eq 2 ] && grep -q 'write error: No space left on device' err
ok $? "a full disk is an error"
("$ours" -ra . tree; echo $? > status) 2> err | head -n 1 > got
[ -s got ] && [ ! -s err ]
ok $? "a pipe that nobody reads any more ends it without a word"
cp tree/text output
# shellcheck disable=SC2094 # on purpose
"$ours" foo output tree/b.c >> output 2> err
[ $? -eq 2 ] && grep -q 'output: input file is also the output' err
ok $? "its own output is not searched"

# The reader of a pipe cuts the file to nothing when the first line has come; what was found fills the
# pipe many times, so the search cannot be at the end by then.
awk 'BEGIN { for (i = 0; i < 400000; i++) print i, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }' > large
mkfifo pipe
"$ours" a large tree/b.c tree/deep/deeper/a.c > pipe 2> err &
searching=$!
{
    IFS= read -r line
    : > large
    cat > got
} < pipe
wait $searching
[ $? -eq 2 ] && grep -q '^gcmmap-grep: large: file was truncated' err
ok $? "a file that is truncated while it is searched is an error"
[ "$line" = "large:0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" ] &&
    ! grep -vqE '^(large:[0-9]+ a{32}|tree/.*)$' got && [ "$(wc -l < got)" -gt 1000 ] &&
    [ "$(tail -n 1 got)" = "tree/deep/deeper/a.c:a.c foo" ]
ok $? "what was found before is whole, and the search goes on"

# When a pipe is opened for reading, what stands in front of it has been searched and closed.
for options in --sort "--sort --unique" --unique; do
    awk 'BEGIN { for (i = 0; i < 4000; i++) print i, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }' > large
    # shellcheck disable=SC2086
    "$ours" -h $options a tree/b.c large pipe tree/deep/deeper/a.c > got 2> err &
    searching=$!
    exec 9> pipe
    : > large
    echo 'a last line' >&9
    exec 9>&-
    wait $searching
    [ $? -eq 2 ] && grep -q '^gcmmap-grep: large: file was truncated' err &&
        printf 'a last line\na.c foo\n' > wanted && tail -n 2 got | cmp -s - wanted
    ok $? "kept slices of a truncated file are an error, others are shown: $options"
done

done_testing
