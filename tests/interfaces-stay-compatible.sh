#!/bin/sh
# Programs that were linked to the library once still work with it: no function, constant or
# struct member has gone or moved since `make abi-baseline`.
#
# What is new is no change, and members may take the place of `reserved`.  abidiff looks at types
# more closely; what it finds may be meant, and then the baseline is to be made anew.
#
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

export CC
abi=$top_srcdir/tests/abi
library=$top_builddir/.libs/libgcmmap.so

sh "$abi/describe.sh" "$top_srcdir" > "$work/now" 2> "$work/errors"
ok $? "the interface can be described" "$work/errors"
[ "$(grep -c '^function' "$work/now")" -ge 40 ] && [ "$(grep -c '^member' "$work/now")" -ge 40 ]
ok $? "it has functions and structs" "$work/now"

# gone WORDS: facts of the baseline that are no more.
gone()
{
    grep -E "^($1) " "$abi/x86_64-linux.txt" | grep -v '^member [a-z_]*\.reserved ' |
        comm -23 - "$work/now" > "$work/gone"
    [ ! -s "$work/gone" ]
}

gone function
ok $? "no function is gone, or of another version" "$work/gone"
is_x86_64=no
if [ "$($CC -E -dM -x c /dev/null | grep -cE '__(x86_64|LP64|linux)__ 1$')" = 3 ]; then
    is_x86_64=yes
    gone constant
    ok $? "no constant has changed" "$work/gone"
    gone 'struct|member'
    ok $? "no struct or member has changed its size or place" "$work/gone"
else
    skip "constants, and layout of structs" "the baseline is of x86_64-linux"
fi

if ! command -v abidiff > /dev/null; then
    skip "abidiff finds no change" "there is no abidiff (abigail-tools)"
elif [ $is_x86_64 = no ] || [ ! -f "$library" ] ||
    ! readelf -S "$library" | grep -q '\.debug_info'; then
    skip "abidiff finds no change" "no shared library of x86_64-linux with debug information"
else
    # (--headers-dir would leave out structs that have no name but their typedef.)
    abidiff --no-added-syms --exported-interfaces-only "$abi/x86_64-linux.abi" "$library" \
        > "$work/changes" 2>&1
    ok $? "abidiff finds no change (if it is meant: make abi-baseline)" "$work/changes"
fi

done_testing
