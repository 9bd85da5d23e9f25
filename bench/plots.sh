#!/bin/sh
# Usage: plots.sh RESULTS OUT.  Draws the results of `make bench` and `make bench-peers` as SVG.
# Needs gnuplot and jq.  A plot whose results are not there is skipped with a word.
set -e
results=$1 out=$2
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
mkdir -p "$out"

for tool in gnuplot jq; do
    command -v $tool > /dev/null || { echo "plots: no $tool" >&2; exit 1; }
done

has() { # PLOT RESULT
    test -s "$results/$2.json" && return
    echo "plots: $1 is skipped: no $results/$2.json" >&2
    return 1
}

# Common to all: sober, readable, and the same colours everywhere.
cat > "$data/style" << 'END'
set terminal svg size 860,500 dynamic font "DejaVu Sans,Helvetica,sans-serif,14" background "white" linewidth 1.2
set encoding utf8
set datafile separator "\t"
set border 3 linecolor "#444444"
set tics nomirror
set grid ytics linecolor "#dddddd" linetype 1 linewidth 0.7
set key outside right top vertical Left reverse samplen 2 spacing 1.25
ours = "#0050b0"; second = "#c04000"; third = "#208040"; grey = "#888888"
gib(bytes) = bytes / 1073741824.0
set format y "%g"
END
sizes='set logscale x 2
set xrange [2048:2147483648.0]
set xtics ("4 KiB" 4096, "64 KiB" 65536, "1 MiB" 1048576, "64 MiB" 67108864, "1 GiB" 1073741824)
set xlabel "size of the file"'

draw() { # NAME, the plot's own commands on standard input
    { cat "$data/style"; echo "set output '$out/$1.svg'"; cat; } > "$data/$1.gp"
    gnuplot "$data/$1.gp"
}

# NAME FILTER: rows of a JSON result as tab-separated values.
rows() {
    jq -r "$2 | @tsv" "$results/$1.json"
}

if has cycle cycle; then
    for load in alone busy both; do
        rows cycle ".cells[] | select(.load == \"$load\") | .size as \$size | .contenders[] |
            select(.name == \"gcmmap\") | [\$size, .ratio, .ratio_p10, .ratio_p90, .target]" \
            > "$data/cycle-$load"
    done
    draw cycle << END
$sizes
set title "Map, touch a byte, drop: gcmmap against mmap + munmap"
set ylabel "time, as a multiple of mmap + munmap"
set logscale y
set yrange [0.2:]
set ytics (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
plot '$data/cycle-alone' using 1:2:3:4 with yerrorlines linecolor rgb ours linewidth 2 pointtype 7 title "one thread", \
     '' using 1:5 with lines linecolor rgb ours linewidth 2 dashtype 2 title "target", \
     '$data/cycle-busy' using 1:2:3:4 with yerrorlines linecolor rgb second linewidth 2 pointtype 5 title "second thread busy", \
     '' using 1:5 with lines linecolor rgb second linewidth 2 dashtype 2 title "target", \
     '$data/cycle-both' using 1:2:3:4 with yerrorlines linecolor rgb third linewidth 2 pointtype 9 title "two threads map", \
     '' using 1:5 with lines linecolor rgb third linewidth 2 dashtype 2 title "target"
END
fi

if has peers peers; then
    colours='#000000 #c04000 #208040 #8040a0 #b08000 #d04080 #00a0a0 #606060 #804020 #90b000'
    plot="plot '$data/target' using 1:2 with lines linecolor rgb ours linewidth 2 dashtype 2 title 'target of gcmmap'"
    printf '4096\t1.0\n1048576\t1.0\n67108864\t1.15\n1073741824\t1.15\n' > "$data/target"
    jq -r '[.cells[].name] | unique | map(select(. != "C, by hand")) |
        sort_by(. != "gcmmap")[]' "$results/peers.json" \
        > "$data/names"
    n=0
    while read -r name; do
        n=$((n + 1))
        rows peers ".cells[] | select(.name == \"$name\") | [.size, .ratio]" > "$data/peer-$n"
        colour=$(echo "$colours" | cut -d' ' -f$n)
        style="linecolor rgb '$colour' linewidth 1.5 pointtype $n"
        test "$name" != gcmmap || style="linecolor rgb ours linewidth 3.5 pointtype 7"
        plot="$plot, '$data/peer-$n' using 1:2 with linespoints $style title '$name'"
    done < "$data/names"
    draw peers << END
$sizes
set title "Map, touch a byte, drop: against C with mmap + munmap by hand"
set ylabel "time, as a multiple of C by hand"
set logscale y
set yrange [0.7:]
set ytics (0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
$plot
END
fi

if has slices collection; then
    rows collection '[.collections[] | select(.size == 1073741824 and .order == "random" and
        (.parallel_marking | not))] | sort_by(.pointers)[] |
        [.pointers, .objects_ms, .slices_ms, .target]' > "$data/slices"
    draw slices << END
set title "One collection, against the number of live slices (at random places of 1 GiB, one marker)"
set xlabel "live slices, or live objects of 4,064 bytes"
set ylabel "time of a collection, ms"
set logscale xy
set xrange [8000:1300000]
set yrange [0.05:]
set xtics ("10,000" 10000, "30,000" 30000, "100,000" 100000, "300,000" 300000, "1,000,000" 1000000)
plot '$data/slices' using 1:2 with linespoints linecolor rgb grey linewidth 2 pointtype 5 title "heap objects", \
     '' using 1:3 with linespoints linecolor rgb ours linewidth 3 pointtype 7 title "slices of gcmmap", \
     '' using 1:(0.2 * \$2) with lines linecolor rgb ours linewidth 2 dashtype 2 title "0.2 of objects (target)"
END
fi

if has regions collection; then
    for order in random 'in order'; do
        rows collection "[.collections[] | select(.pointers == 1000000 and .parallel_marking and
            .order == \"$order\")] | sort_by(.size)[] |
            [.size, .objects_ms, .slices_ms]" > "$data/regions-$order"
        rows collection "[.collections[] | select(.pointers == 1000000 and .parallel_marking and
            .order == \"$order\" and .target)] | sort_by(.size)[] |
            [.size, .objects_ms * .target]" > "$data/targets-$order"
    done
    draw regions << END
set title "One collection with a million live slices, against the size of the region (several markers)"
set xlabel "size of the region"
set ylabel "time of a collection, ms"
set logscale x 2
set logscale y
set xrange [0.8 * 2**30:80.0 * 2**30]
set xtics ("1 GiB" 2**30, "4 GiB" 4.0 * 2**30, "16 GiB" 16.0 * 2**30, "64 GiB" 64.0 * 2**30)
plot '$data/regions-random' using 1:2 with linespoints linecolor rgb grey linewidth 2 pointtype 5 title "objects, random", \
     '' using 1:3 with linespoints linecolor rgb ours linewidth 3 pointtype 7 title "slices, random", \
     '$data/targets-random' using 1:2 with linespoints linecolor rgb ours linewidth 2 dashtype 2 pointtype 2 title "target, random", \
     '$data/regions-in order' using 1:2 with linespoints linecolor rgb grey linewidth 2 dashtype 3 pointtype 4 title "objects, in order", \
     '' using 1:3 with linespoints linecolor rgb second linewidth 2 pointtype 6 title "slices, in order", \
     '$data/targets-in order' using 1:2 with linespoints linecolor rgb second linewidth 2 dashtype 2 pointtype 2 title "target, in order"
END
fi

if has live many; then
    for n in 0 1 2; do
        rows many ".endless[$n] | [.ms, .regions] | transpose[]" > "$data/live-$n"
    done
    draw live << END
set title "Regions live over time: a program that maps, touches and drops for ever (4 KiB)"
set xlabel "time, ms"
set ylabel "regions mapped"
set format y "%.0f"
set yrange [0:]
set xrange [0:]
plot '$data/live-1' using 1:2 with lines linecolor rgb third linewidth 2 title "gcmmap, 10,000 kept", \
     '$data/live-2' using 1:2 with lines linecolor rgb second linewidth 2 title "finalizer, host of 100 MB", \
     '$data/live-0' using 1:2 with lines linecolor rgb ours linewidth 2 title "gcmmap, none kept"
END
fi

if has 'written and reserved' tracing; then
    for task in written reserved; do
        n=0
        for way in 'heap arrays' gcmmap 'by handle' GC_add_roots; do
            n=$((n + 1))
            rows tracing ".cases[] | select(.task == \"$task\" and .way == \"$way\") |
                [.$task, ([(.ms | sort | .[length / 2 | floor]) - .none_ms, 0.01] | max)]" \
                > "$data/$task-$n"
        done
    done
    tracing_style='set ylabel "time of a collection, ms more than without"
set logscale x 2
set logscale y
set xtics ("1 MiB" 2**20, "4 MiB" 2**22, "16 MiB" 2**24, "64 MiB" 2**26, "256 MiB" 2**28, "1 GiB" 2**30, "4 GiB" 4.0 * 2**30, "16 GiB" 16.0 * 2**30, "64 GiB" 64.0 * 2**30)'
    for task in written reserved; do
        case $task in
        written) title="Looking for pointers in 1 GiB, against the bytes that were written"
                 label="bytes written" range='[0.8 * 2**20:1.25 * 2**28]' ;;
        reserved) title="Looking for pointers in 16 MiB that were written, against the bytes reserved"
                  label="bytes reserved" range='[0.8 * 2**26:80.0 * 2**30]' ;;
        esac
        draw $task << END
$tracing_style
set title "$title"
set xlabel "$label"
set xrange $range
plot '$data/$task-4' using 1:2 with linespoints linecolor rgb second linewidth 2 pointtype 9 title "GC\_add\_roots", \
     '$data/$task-2' using 1:2 with linespoints linecolor rgb ours linewidth 3 pointtype 7 title "gcmmap", \
     '$data/$task-3' using 1:2 with linespoints linecolor rgb third linewidth 2 pointtype 13 title "gcmmap, by handle", \
     '$data/$task-1' using 1:2 with linespoints linecolor rgb grey linewidth 2 pointtype 5 title "arrays in the heap"
END
    done
fi
