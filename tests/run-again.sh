# What the tests of the collector's modes share: the tests of life and death once more,
# with something in the environment.  Sourced, not run.
#
# shellcheck shell=sh disable=SC1091,SC2154
#
# SPDX-License-Identifier: MIT

. "$top_srcdir/tests/tap.sh"
output=$work/output

# run_again MODE VARIABLE=VALUE...: one result for each program
run_again() {
    mode=$1
    shift
    for program in every-pointer-keeps-its-region traced-memory-keeps-what-it-points-to \
        finalizers-read-their-slice stale-pointers-hold-addresses threads-map-slice-and-drop \
        random-lives-of-regions written-pages-are-traced regions-by-handle-have-any-size; do
        status=0
        env GCMMAP_STRESS_MAPPINGS=10000 "$@" "$top_builddir/tests/$program" > "$output" 2>&1 ||
            status=$?
        {
            grep -v '^ok' "$output"
            echo "status $status, at the end: $(tail -n 1 "$output")"
        } > "$work/wrong"
        ok $status "$mode: $program" "$work/wrong"
    done
}
