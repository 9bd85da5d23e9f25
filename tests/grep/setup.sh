# Sourced by the tests of gcmmap-grep: TAP, a directory of their own, and files of all kinds in it.
# shellcheck shell=sh disable=SC1091,SC2154
#
# SPDX-License-Identifier: MIT

. "$top_srcdir/tests/tap.sh"
case $top_builddir in
/*) ours=$top_builddir/gcmmap-grep ;;
*) ours=$PWD/$top_builddir/gcmmap-grep ;;
esac

[ -x "$ours" ] || skip_all "built without gcmmap-grep (libpcre2-dev)"
# Not by libtool's script, which takes ten times as long as a search.
if [ -x "${ours%/*}/.libs/gcmmap-grep" ]; then
    LD_LIBRARY_PATH=${ours%/*}/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    ours=${ours%/*}/.libs/gcmmap-grep
fi

cd "$work" || exit 99
unset GREP_COLOR GREP_COLORS
LC_ALL=C.UTF-8
export LC_ALL

# A tree with text, binary files and what lies at the edges of both.
make_tree() {
    mkdir -p tree/deep/deeper tree/empty
    awk 'BEGIN { for (i = 1; i <= 120; i++) {
        printf "%d the quick brown fox %d jumps over the lazy dog", i, i * 7919 % 1000
        if (i % 7 == 0) printf " Sherlock Holmes and Dr. Watson"
        if (i % 11 == 0) printf "\tfoo_bar foo-bar FOO"
        if (i % 13 == 0) printf " \303\251t\303\251 na\303\257ve \316\261\316\262\316\263"
        printf "\n"
        if (i % 17 == 0) printf "\n"
        if (i % 40 == 0) printf "foo\nbar\n\nfoobar\n" } }' > tree/text
    printf 'foo\r\nbar foo\r\n\r\nfoo bar\r\n' > tree/crlf
    printf 'first foo\nlast foo, no newline' > tree/no-newline
    printf 'foo' > tree/deep/three-bytes
    printf '\n' > tree/deep/newline
    printf '\n\n\nfoo\n\n' > tree/deep/newlines
    : > tree/deep/nothing
    printf 'foo\0bar\nbar\nfoo again\0\0\0foo\n\0\nend' > tree/deep/zeros
    printf 'foo before\nbad \377\376 foo\nfoo behind\n\303\n' > tree/deep/not-utf8
    printf '\303\251t\303\251\nna\303\257ve \342\202\254 foo\n\316\221\316\261\n' > tree/deep/utf8
    awk 'BEGIN { for (i = 0; i < 700; i++) printf "long line %d ", i
        print "foo"; for (i = 0; i < 700; i++) printf "another %d ", i; print ""; print "foo" }' \
        > tree/deep/deeper/long
    printf 'a.c foo\n' > tree/deep/deeper/a.c
    printf 'a.h foo\n' > tree/deep/deeper/a.h
    printf 'b.c foo\n' > tree/b.c
    ln -s ../text tree/deep/link
    ln -s .. tree/deep/loop
}

# What grep says, in our name.
in_our_name() {
    sed -e 's/^grep: /gcmmap-grep: /' "$@"
}
