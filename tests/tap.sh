# TAP for tests in shell, and a directory of their own: $work.  Sourced, first of all.
# shellcheck shell=sh disable=SC2034
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}" "${CC:=cc}" "${CXX:=c++}"
LC_ALL=C
export LC_ALL
n=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/gcmmap-test-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# ok STATUS WHAT [FILE]: the file says what is wrong.
ok() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        [ -z "${3-}" ] || sed 's/^/# /' "$3"
        failed=1
    fi
}

# skip WHAT WHY
skip() {
    ok 0 "$1 # SKIP $2"
}

# skip_all WHY
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

done_testing() {
    echo "1..$n"
    exit $failed
}
