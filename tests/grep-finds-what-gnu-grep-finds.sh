#!/bin/sh
# gcmmap-grep's output is that of `grep -P`, byte for byte, and so is its exit status.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/grep/setup.sh"

echo x | grep -qP x 2> /dev/null || skip_all "this grep has no -P"
make_tree
all_files=$(find tree -type f | LC_ALL=C sort)

# What is compared lies in the files `all-options` and `patterns`, one a line: the shell splits options
# into words, patterns stay whole.  All patterns with a few options, a few patterns with all options.
cat > patterns << 'END'
foo
Sherlock Holmes
zzz not there
e
fo+
^foo
foo$
^foo$
^$
^
$
.
\bfoo\b
\w+ Holmes
(quick|lazy) (\w+)
[^a-z]foo
[^-]foo
[^]x]foo
\s+foo
foo\s
\sfoo\s*$
\Sfoo\W
\D\d\d\D
[[:space:]]foo
[\s,]foo
[\x00-\x20]foo
(?i)sherlock
(?<!_)bar
foo(?!bar)
(?<=the )\w+
(o)\1
(?:foo|bar)(?=\W)
x*
(?>fo*)o?
fo{2}
fo{3}
o{1,2}b
\x66oo
\.
[.]c
foo|Watson
^(?!.*foo)
\Afoo
foo\z
foo\K.
(?s)foo.bar
foo\Z
\p{Greek}+
\P{L}foo
été
é
[é]
[^é]t
n.{2}ve
α
\h
\Hfoo
\R
foo\n
(?x) foo  # comment
\Qfoo_bar\E
.*foo
foo.*
^\d+ the
1[0-9]{2} jumps
(?m)^foo
a++b
[^b]++$
\s++$
END
cat > all-options << 'END'

-n
-c
-v
-vc
-vn
-o
-on
-ob
-b
-l
-L
-q
-i
-io
-w
-wo
-x
-xn
-m2
-cm1
-vm3
-a
-an
-ao
-I
-Ic
-A1
-B2n
-C1
-C2v
-A1m2n
-A3m1
-B1vm2n
-h
-hc
-Zl
-Zn
-z
-zc
-zo
-azv
--color=always
--color=always -n
--color=always -vC1
--color=always -oH
--color=always -c
--color=always -l
--color=always -iw
END

compare() { # options; patterns come from stdin
    differ=0
    # Around lines that it does not show grep takes the wrong ones for context.
    case $1 in
    *[ABC][0-9]*) files=$(echo "$all_files" | grep -v not-utf8) ;;
    *) files=$all_files ;;
    esac
    while IFS= read -r pattern; do
        # shellcheck disable=SC2086
        grep -P $1 -e "$pattern" $files > grep.out 2> grep.err
        status=$?
        # shellcheck disable=SC2086
        "$ours" $1 -e "$pattern" $files > ours.out 2> ours.err
        if [ $? -ne $status ] || ! cmp -s grep.out ours.out ||
            ! in_our_name grep.err | cmp -s - ours.err; then
            echo "# differs: $1 -e '$pattern' (status $status)"
            diff grep.out ours.out | head -n 4 | cut -c 1-200 | sed 's/^/#   /'
            in_our_name grep.err | diff - ours.err | head -n 4 | sed 's/^/#   /'
            differ=$((differ + 1))
        fi
    done
    ok $differ "grep -P $1"
}

for options in "" -on -vn -c; do
    compare "$options" < patterns
done
cat > few-patterns << 'END'
foo
zzz not there
^foo$
^$
\bfoo|Holmes
[^a-z]foo\s*
x*
(?<=the )\w+
\Afoo
END
while IFS= read -r line; do
    compare "$line" < few-patterns
done < all-options

done_testing
