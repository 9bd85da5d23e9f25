# What the tests of the collector's modes share: the tests of life and death once more,
# with something in the environment.  Sourced, not run.
#
# SPDX-License-Identifier: MIT

n=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# run_again MODE VARIABLE=VALUE...: one result for each program
run_again() {
    mode=$1
    shift
    for program in every-pointer-keeps-its-region traced-memory-keeps-what-it-points-to \
        finalizers-read-their-slice stale-pointers-hold-addresses threads-map-slice-and-drop \
        random-lives-of-regions written-pages-are-traced regions-by-handle-have-any-size; do
        n=$((n + 1))
        if env GCMMAP_STRESS_MAPPINGS=10000 "$@" "$top_builddir/tests/$program" \
            > "$output" 2>&1; then
            echo "ok $n - $mode: $program"
        else
            echo "not ok $n - $mode: $program (status $?)"
            failed=1
            grep -v '^ok' "$output" | sed 's/^/# /'
            tail -n 1 "$output" | sed 's/^/# at the end: /'
        fi
    done
}

done_testing() {
    echo "1..$n"
    exit $failed
}
