#!/bin/sh
# Usage: check-injected.sh BUILDDIR SECONDS [TEST ...].  Runs each test program (or those that are
# named) many times; in each run another call fails that libgcmmap.so makes to the system, the C library
# or the collector: it alone, with the next one, or all that take map slots for a while.
# Which calls: evenly spread over those that the program makes, as many as there is time for.
#
# The tests' own checks may fail then, and do.  What must not happen: a signal ends the
# program, it hangs, or the library or the collector aborts.
# What a test itself does with a region that it did not get is told apart with gdb(1), where
# there is one: only deaths in code of the library or of the collector count, or called from there.
#
# Not part of the tests.  `make check-injected INJECT_SECONDS=1800`.
# SPDX-License-Identifier: MIT
set -u
build=$1 seconds=$2
shift 2
cd "$build" || exit 2
top_srcdir=${top_srcdir:-.}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
export top_srcdir LD_LIBRARY_PATH="$PWD/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

${CC:-cc} -shared -fPIC -O1 -o "$dir/shim.so" "$top_srcdir/tests/injected/shim.c" -ldl || exit 2
if [ $# = 0 ]; then
    for program in tests/.libs/*; do
        set -- "$@" "${program##*/}"
    done
fi
per_program=$((seconds / $#))
[ "$per_program" -gt 2 ] || per_program=2
n_runs=0 n_bad=0 n_of_tests=0

now() {
    date +%s
}

# run NTH MODE SECONDS: the exit status; output is in $dir/output.
run() {
    timeout -k 2 "$3" env GCMMAP_INJECT_NTH="$1" GCMMAP_INJECT_MODE="$2" \
        LD_PRELOAD="$dir/shim.so" "tests/.libs/$program" >"$dir/output" 2>&1
}

# Of a death by a signal: whether it is the library's or the collector's.  Where it is.
is_ours() { # NTH MODE
    command -v gdb >/dev/null || return 0
    timeout 120 gdb -q -batch -ex 'set confirm off' -ex 'set breakpoint pending on' \
        -ex "set environment GCMMAP_INJECT_NTH $1" -ex "set environment GCMMAP_INJECT_MODE $2" \
        -ex "set environment LD_PRELOAD $dir/shim.so" -ex 'handle all nostop noprint pass' \
        -ex 'handle SIGSEGV SIGBUS SIGABRT stop print pass' -ex run \
        -ex 'python
import gdb
while True:
    try:
        gdb.execute("backtrace 8")
        gdb.execute("continue")
    except gdb.error:
        break' "tests/.libs/$program" >"$dir/gdb" 2>/dev/null
    # The last stop: frames up to the first that is not the C library's.
    awk '/^Program received signal|received signal/ { frames = ""; n = 0 }
        /^#[0-9]/ { frames = frames $0 "\n"; n++ }
        END { printf "%s", frames }' "$dir/gdb" >"$dir/frames"
    sed -n 's/^/#     /p' "$dir/frames" | head -n 8
    # Where it dies in the test, or in what the test called in the C library, it is the test'"'"'s.
    first=$(grep -nE '/src/[a-z_]+\.c:|libgc\.so|libgcmmap' "$dir/frames" | head -n 1 | cut -d: -f1)
    test=$(grep -nE '/tests/' "$dir/frames" | head -n 1 | cut -d: -f1)
    [ -n "$first" ] && { [ -z "$test" ] || [ "$first" -lt "$test" ]; }
}

for program in "$@"; do
    [ -x "tests/.libs/$program" ] || continue
    started=$(now)
    GCMMAP_INJECT_COUNT="$dir/count" run 0 one 120
    status=$?
    took=$(($(now) - started))
    if [ $status != 0 ] || [ ! -s "$dir/count" ] || [ $took -ge $per_program ]; then
        echo "$program: passed over (status $status, ${took} s)"
        rm -f "$dir/count"
        continue
    fi
    read -r n_calls <"$dir/count"
    rm -f "$dir/count"
    limit=$((10 * took + 20)) n_here=0 bad_here=0
    # Halves, quarters, eighths ...: however soon the time is over they are evenly spread.
    parts=1
    while [ $(($(now) - started)) -lt "$per_program" ] && [ $parts -le $((2 * n_calls)) ]; do
        part=0
        while [ $part -lt $parts ] && [ $(($(now) - started)) -lt "$per_program" ]; do
            nth=$((n_calls * (2 * part + 1) / (2 * parts) + 1))
            part=$((part + 1))
            for mode in one two full; do
                run $nth $mode $limit
                status=$?
                # On a busy machine one may just be slow.
                if [ $status = 124 ] || [ $status = 137 ]; then
                    run $nth $mode $((10 * limit))
                    status=$?
                fi
                n_here=$((n_here + 1))
                if [ $status = 124 ] || [ $status = 137 ]; then
                    echo "# $program, $mode from call $nth on: hangs"
                    bad_here=$((bad_here + 1))
                elif [ $status -ge 128 ]; then
                    echo "# $program, $mode from call $nth on: ends with status $status"
                    if is_ours $nth $mode; then
                        bad_here=$((bad_here + 1))
                    else
                        echo "#   in the test itself"
                        n_of_tests=$((n_of_tests + 1))
                    fi
                fi
            done
        done
        parts=$((2 * parts))
    done
    echo "$program: $n_calls calls, $n_here runs, $bad_here bad"
    n_runs=$((n_runs + n_here)) n_bad=$((n_bad + bad_here))
done
echo "$n_runs runs, $n_bad bad; $n_of_tests tests died by their own hand"
[ $n_bad = 0 ]
