#!/bin/sh
# Usage: soak.sh PROGRAM SECONDS DATA [SVG].  Runs PROGRAM (tests/random-lives-of-regions) for so long,
# at low priority; writes resident memory, mappings and gcmmap's counters over time to
# DATA (tab-separated) and draws them as SVG (needs gnuplot).
#
# Fails if the program does, or if one of them is not flat: if the median of the last quarter
# of the time is more than 1.05 times that of the second (and a few more).
#
# Not part of the tests.  `make soak` takes an hour.
# SPDX-License-Identifier: MIT
set -eu
program=$1 seconds=$2 data=$3 svg=${4-}
log=$data.log

GCMMAP_STRESS_SECONDS=$seconds nice -n 15 "$program" > "$log" &
pid=$!
trap 'kill $pid 2> /dev/null || true' INT TERM
step=$((seconds / 400))
test $step -ge 1 || step=1

printf '# seconds\tRSS, KiB\tmappings\tmapped since the start\tlive\tclosed\tdying\tpooled\treserved, KiB\n' > "$data"
while sleep $step && kill -0 $pid 2> /dev/null; do
    rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status 2> /dev/null) || true
    maps=$(wc -l < /proc/$pid/maps 2> /dev/null) || true
    counters=$(sed -n 's/^# counters //p' "$log" | tail -n 1 | tr ' ' '\t')
    test -z "$rss" || test -z "$maps" || test -z "$counters" ||
        printf '%s\t%s\t%s\t%s\n' "${counters%%	*}" "$rss" "$maps" "${counters#*	}" >> "$data"
done
if wait $pid; then
    failed=0
else
    failed=1
    echo "soak: $program failed: see $log"
fi
grep -v '^# counters' "$log" || true

# median COLUMN FROM TO: of the rows between these parts of the time, in quarters
median() {
    awk -F '\t' -v column="$1" -v from="$2" -v to="$3" -v seconds="$seconds" \
        '!/^#/ && $1 >= seconds * from / 4 && $1 < seconds * to / 4 { print $column }' "$data" |
        sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] + 0 }'
}

check() { # NAME COLUMN SLACK
    early=$(median "$2" 1 2)
    late=$(median "$2" 3 4.1)
    verdict=flat
    test "$late" -le $((early * 21 / 20 + $3)) || { verdict='NOT FLAT' && failed=1; }
    printf '%-22s median of the second quarter %10d, of the last %10d: %s\n' "$1" "$early" "$late" "$verdict"
}

printf '%s regions mapped in %s seconds, %s samples\n' "$(tail -n 1 "$data" | cut -f 4)" "$seconds" \
    "$(grep -vc '^#' "$data")"
check 'resident memory, KiB' 2 1024
check mappings 3 20
check 'live regions' 5 20
check closed 6 20
check dying 7 20
check pooled 8 100
check 'reserved, KiB' 9 65536

test -z "$svg" || gnuplot << END || failed=1
set terminal svg size 860,640 dynamic font "DejaVu Sans,Helvetica,sans-serif,14" background "white" linewidth 1.2
set output '$svg'
set datafile separator "\t"
set border 3 linecolor "#444444"
set tics nomirror
set grid ytics linecolor "#dddddd" linetype 1 linewidth 0.7
set key outside right top vertical Left reverse samplen 2 spacing 1.25 width -2
set lmargin 12
set yrange [0:]
set multiplot layout 2,1 title "Random lives of regions, two threads, for $((seconds / 60)) minutes"
set ylabel "resident memory, MiB"
plot '$data' using (\$1/60):(\$2/1024) with lines linecolor "#0050b0" linewidth 2 title "resident       "
set xlabel "time, minutes"
set ylabel "number"
plot '$data' using (\$1/60):3 with lines linecolor "#0050b0" linewidth 2 title "lines of maps", \
     '' using (\$1/60):(\$5+\$7) with lines linecolor "#c04000" linewidth 2 title "live and dying", \
     '' using (\$1/60):6 with lines linecolor "#208040" linewidth 2 title "closed", \
     '' using (\$1/60):8 with lines linecolor "#888888" linewidth 2 title "pooled"
END
exit $failed
