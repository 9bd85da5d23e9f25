#!/bin/sh
# Each promise in SECURITY.md names tests, and each test that it names is run.
#
# SPDX-License-Identifier: MIT
set -u
# shellcheck disable=SC1091,SC2154 # sourced
. "${top_srcdir:=.}/tests/tap.sh"

promises=$top_srcdir/SECURITY.md

# Rows of the table but for its head: | promise | tests |
table=$(sed -n 's/^| \(.*\) |$/\1/p' "$promises" | sed 1d)
[ "$(printf '%s\n' "$table" | wc -l)" -ge 10 ]
ok $? "there are promises"
# shellcheck disable=SC2016 # the backquotes are SECURITY.md's
! printf '%s\n' "$table" | grep -qv ' | `'
ok $? "each of them names a test"
# shellcheck disable=SC2016
for test in $(printf '%s\n' "$table" | sed 's/.* | //' | grep -o '`[^`]*`' | tr -d '`' | sort -u); do
    grep -q "tests/$test\(\.sh\)\?\( \\\\\)\?\$" "$top_srcdir/tests/local.mk"
    ok $? "$test"
done
done_testing
