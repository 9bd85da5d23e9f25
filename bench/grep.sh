#!/bin/bash
# Usage: grep.sh GCMMAP-GREP RESULT.json.  gcmmap-grep against ripgrep and GNU grep, on one thread.
#
# How it is measured
#
#   - A log of 1 GiB and a tree of source files, both in memory: /dev/shm, or $GREP_BENCH.
#   - All programs search for the same in turns, GREP_ROUNDS times (default 7).  What counts is the
#     processor's time, the kernel's included, as others may be at work; each time of gcmmap-grep
#     is divided by that of ripgrep in the same round, and the median taken.
#   - Before that, the output of all is compared byte for byte; that of a tree, sorted.
#
# SPDX-License-Identifier: MIT
set -eu
ours=$1 result=$2
rounds=${GREP_ROUNDS:-7}
tree=${GREP_TREE:-/usr/include}
export LC_ALL=C.UTF-8

command -v rg > /dev/null || { echo "grep.sh: no ripgrep" >&2; exit 0; }
# libtool's script is not what is to be measured.
if [ -x "$(dirname "$ours")/.libs/gcmmap-grep" ]; then
    libs=$(cd "$(dirname "$ours")/.libs" && pwd)
    export LD_LIBRARY_PATH=$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    ours=$libs/gcmmap-grep
fi
load=$(cut -d ' ' -f 1 /proc/loadavg)
work=$(mktemp -d "${GREP_BENCH:-/dev/shm}/gcmmap-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

cp -rL "$tree" "$work/tree" 2> /dev/null || true
awk 'BEGIN { srand(7)
    for (i = 0; i < 100000; i++) {
        printf "2026-11-%02d %02d:%02d:%02d host%d service[%d]: ", i % 28 + 1, i / 3600 % 24,
            i / 60 % 60, i % 60, rand() * 20, rand() * 30000
        printf "request %d from 10.%d.%d.%d took %d ms", i, rand() * 255, rand() * 255,
            rand() * 255, rand() * 3000
        if (rand() < .001) printf " Sherlock Holmes"
        if (rand() < .01) printf " warning: slow"
        printf "\n" } }' > "$work/part"
size=0
while [ "$size" -lt $((1 << 30)) ]; do
    cat "$work/part"
    size=$((size + $(stat -c %s "$work/part")))
done > "$work/log"
cd "$work"

# The processor's seconds of a command.
seconds() {
    local TIMEFORMAT='%U %S' user system
    read -r user system < <({ time "$@" > out 2> /dev/null || true; } 2>&1)
    awk "BEGIN { printf \"%.3f\", $user + $system }"
}

# PROGRAM WHERE OPTION PATTERN: the command's words, in `words`.
command_of() {
    local program=$1 where=$2 option=$3 pattern=$4
    case $program in
    ours) words=("$ours" -I) ;;
    rg) words=(rg -j1 --no-heading --no-ignore --hidden --no-config) ;;
    rg-mmap) words=(rg -j1 --mmap --no-heading --no-ignore --hidden --no-config) ;;
    grep) words=(grep -I) ;;
    esac
    case $option in
    F) words+=(-F) ;;
    P) [ "$program" = rg ] || [ "$program" = rg-mmap ] || words+=(-P) ;;
    esac
    [ "$where" = log ] || case $program in ours | grep) words+=(-r) ;; esac
    words+=(-n -e "$pattern" "$where")
}

first=true
cases=0
measure() { # WHERE OPTION PATTERN
    local where=$1 option=$2 pattern=$3 program same=true list
    for program in ours rg grep; do
        command_of $program "$where" "$option" "$pattern"
        "${words[@]}" 2> /dev/null | LC_ALL=C sort | md5sum > "sum.$program" || true
        cmp -s sum.ours "sum.$program" || same=false
    done
    for program in ours rg rg-mmap grep; do : > "times.$program"; done
    for ((round = 0; round < rounds; round++)); do
        for program in ours rg rg-mmap grep; do
            command_of $program "$where" "$option" "$pattern"
            seconds "${words[@]}" >> "times.$program"
            echo >> "times.$program"
        done
    done
    $first || echo ,
    first=false
    printf '{"where": "%s", "kind": "%s", "pattern": "%s", "same": %s' "$where" \
        "$([ "$option" = F ] && echo string || echo expression)" "${pattern//\\/\\\\}" $same
    for program in rg rg-mmap grep; do
        list=$(paste times.ours times.$program |
            awk '{ print $1 / ($2 > 0 ? $2 : .001) }' | sort -n | awk '{ v[NR] = $1 }
            END { print v[int((NR + 1) / 2)] }')
        printf ', "%s": %s' "ratio_${program//-/_}" "$list"
    done
    for program in ours rg rg-mmap grep; do
        printf ', "%s": %s' "seconds_${program//-/_}" \
            "$(sort -n times.$program | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')"
    done
    printf '}'
    cases=$((cases + 1))
}

{
    printf '{"benchmark": "grep",\n"note": "",\n"machine": {"cpu": "%s", "cpus": %d, ' \
        "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)"
    printf '"kernel": "%s", "load": %s, "date": "%s"},\n' "$(uname -sr)" "$load" \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '"versions": "%s, %s",\n"tree": "%s, %d files", "rounds": %d,\n"target": 1.2,\n"cases": [\n' \
        "$(rg --version | sed -n 1p)" "$(grep --version | sed -n 1p)" "$tree" \
        "$(find tree -type f | wc -l)" "$rounds"
    measure log F 'Sherlock Holmes'
    measure log F 'nowhere to be found'
    measure log F 'warning'
    measure log F 'request 77 '
    measure log F 'took'
    measure log P '\w+ Holmes'
    measure log P 'took 2\d\d\d ms.*slow'
    measure tree F 'mmap'
    measure tree F 'nowhere to be found'
    measure tree P '^#\s*define \w+_MAX\b'
    printf '\n]}\n'
} > "$work/result"
cd - > /dev/null
mkdir -p "$(dirname "$result")"
mv "$work/result" "$result"
echo "$result: $cases searches"
