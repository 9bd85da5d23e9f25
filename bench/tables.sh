#!/bin/sh
# Usage: tables.sh RESULTS BENCH PAGE.  Writes the figures of RESULTS/*.json into PAGE: whatever
# stands between  <!-- NAME -->  and  <!-- end -->  is replaced by the table of that name.
# BENCH/read is disassembled.  Needs jq.  A table whose results are not there stays as it is.
set -e
results=$1 bench=$2 page=$3
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

command -v jq > /dev/null || { echo "tables: no jq" >&2; exit 1; }

# Functions for all tables.
common='
def fixed($n): if . == null then "" else
    (. * pow(10; $n) | round | tostring) as $d |
    if $n == 0 then $d else
        ($d | ltrimstr("-")) as $u |
        ("0" * ([$n + 1 - ($u | length), 0] | max) // "") as $pad | ($pad + $u) as $v |
        (if $d[0:1] == "-" then "-" else "" end) + $v[0:-$n] + "." + $v[-$n:]
    end end;
def digits: if . == null then "" elif . >= 10 then fixed(0) elif . >= 1 then fixed(1)
    else fixed(2) end;
def size: if . >= 1099511627776 then "\(. / 1099511627776) TiB"
    elif . >= 1073741824 then "\(. / 1073741824) GiB"
    elif . >= 1048576 then "\(. / 1048576) MiB" else "\(. / 1024) KiB" end;
def verdict: if . == null then "" elif . then "met" else "**missed**" end;
def row: "| " + (map(tostring) | join(" | ")) + " |";
def table($head): ($head | row), ($head | map("---") | row), (.[] | row);
'

# RESULT FILTER: the filter gives the lines of the table.
table() {
    test -s "$results/$1.json" || { echo "tables: no $results/$1.json" >&2; return 1; }
    jq -r "$common $2" "$results/$1.json"
}

machine() {
    for json in "$results"/*.json; do
        test -s "$json" || return 1
        jq -r "$common"' [(.benchmark), .machine.date, (.machine.load | fixed(1)), .note]' "$json"
    done | jq -rs "$common"' table(["benchmark", "date", "load before", "note"])'
    echo
    table cycle '.machine | "\(.cpu), \(.cpus) CPUs; \(.kernel); libgc \(.libgc); gcc \(.compiler); " +
        "gcmmap \(.gcmmap); files in \(.files)."'
}

# How many of each target's figures are met.  RESULT FILTER: gives true or false for each.
verdicts() {
    test ! -s "$results/$1.json" || jq -r "$common [$3] |
        [\"$2\", (length | tostring), (map(select(.)) | length | tostring),
         (all | verdict)] | row" "$results/$1.json"
}

summary() {
    echo '| target | figures | met |  |'
    echo '| --- | --- | --- | --- |'
    verdicts cycle '1. map, touch, drop' '.cells[].contenders[].met | values'
    verdicts collection '2. collections with a million slices' '.collections[].met | values'
    verdicts rhythm "3. the host's rhythm" '.cases[] |
        select(.mapped | startswith("nothing") | not) | .met'
    verdicts many '4. numbers' '.live.ns_per_region <= .live.target_ns,
        .live.malloc_bytes_per_region <= .live.target_bytes, .limit.met,
        (.endless[] | select(.name | startswith("gcmmap")) | .failures == 0)'
    verdicts many '5. the share of collections' '.shares[].met'
    verdicts read '6. reading' '.sum.met'
    verdicts trim '7. idle mappings' '.heap_met, .memory_met'
    verdicts guard '8. guards' '.ways[].met | values'
}

cycle() {
    table cycle '[.cells[] | . as $c | .contenders[] | select(.name == "gcmmap") |
        [{alone: "one thread", busy: "a second thread busy", both: "two threads map"}[$c.load],
         ($c.size | size), (.ns / 1000 | digits),
         (if .ratio > 0 then .ns / .ratio / 1000 | digits else "" end),
         (.ratio | fixed(2)), "\(.ratio_p10 | fixed(2)) to \(.ratio_p90 | fixed(2))",
         (.target | fixed(2)), (.met | verdict)]] |
        table(["load", "size", "gcmmap, us", "mmap, us", "ratio", "10 to 90 %", "target", ""])'
}

peers() {
    table peers '[.cells[].size] as $all | ($all | unique) as $sizes |
        (reduce .cells[].name as $n ([]; if index([$n]) then . else . + [$n] end)) as $names |
        .cells as $cells |
        [$names[] | . as $n | [$cells[] | select(.name == $n)] as $of |
         [$n, $of[0].version] +
         [$sizes[] | . as $s | ($of[] | select(.size == $s) |
            "\(.ratio | fixed(2)) / \(.loop_ratio | fixed(2))") // ""]] |
        table(["", "version"] + ($sizes | map(size)))'
}

collections() {
    table collection '[.collections[] | select(.pointers == 1000000) |
        [(.size | size), .order, (if .parallel_marking then "several" else "one" end),
         (.objects_ms | digits), (.slices_ms | digits), (.ratio | fixed(2)),
         (.target | fixed(1)), (.met | verdict)]] |
        table(["region", "places", "markers", "objects, ms", "slices, ms", "ratio", "target", ""])'
}

first() {
    table collection '[.first_mappings[] | [(.size | size), (.first_us / 1000 | digits),
        (.first_us / 1000 / (.size / 1073741824) | digits), (.next_us | digits),
        (.first_bytes_per_page | fixed(1)), (.next_bytes_per_page | fixed(1))]] |
        table(["region", "first map, ms", "a GiB, ms", "next map, us",
               "first: bytes a page", "next: bytes a page"])'
}

handle() {
    table handle '[.cells[] | [(.size | size), .name, (.ns / 1000 | digits), (.ratio | fixed(2)),
        "\(.ratio_p10 | fixed(2)) to \(.ratio_p90 | fixed(2))"]] |
        table(["size", "", "us", "ratio", "10 to 90 %"])'
}

rhythm() {
    table rhythm '[.cases[] | [.contents, .mapped, "\(.collections) (\(.least) to \(.most))", (.collections_ratio | fixed(2)),
        (.heap_mib | fixed(1)), (.heap_ratio | fixed(2)), (.time_ratio | fixed(2)),
        (if .mapped | startswith("nothing") then "" else (.met | verdict) end)]] |
        table(["objects", "mapped", "collections", "ratio", "heap, MiB", "ratio", "time, ratio", ""])'
}

many() {
    table many '[["lines of /proc/self/maps, \(.live.regions) regions", .live.map_lines, "", ""],
        ["a collection, ns more for each region", (.live.ns_per_region | fixed(0)),
         .live.target_ns, (.live.ns_per_region <= .live.target_ns | verdict)],
        ["own memory (malloc), bytes for each", (.live.malloc_bytes_per_region | fixed(0)),
         .live.target_bytes, (.live.malloc_bytes_per_region <= .live.target_bytes | verdict)],
        ["resident, bytes for each (bdwgc included)",
         (.live.resident_bytes_per_region | fixed(0)), "", ""],
        ["mapped of \(.limit.attempts)", .limit.mapped, "60000", (.limit.mapped >= 60000 | verdict)],
        ["then: ENOMEM, other errors, wrong bytes",
         "\(.limit.no_memory), \(.limit.other_errors), \(.limit.wrong)", "any, 0, 0",
         (.limit.met | verdict)]] +
        (.endless_cycles as $n | [.endless[] | ["\($n) cycles: \(.name): most lines, failures",
         "\(.most_lines), \(.failures)", (if .name | startswith("gcmmap") then "any, 0" else "" end),
         (if .name | startswith("gcmmap") then (.failures == 0 | verdict) else "" end)]]) |
        table(["", "figure", "target", ""])'
}

shares() {
    table many '[.shares[] | [(.size | size), "\(.share * 100 | fixed(1)) %", .collections,
        (if .collections > 0 then .cycles / .collections | round else "" end),
        "\(.target * 100) %", (.met | verdict)]] |
        table(["size", "of the time", "collections", "cycles for each", "target", ""])'
}

reading() {
    table read '.size as $size | [(["sum", .sum], ["first pass", .first_pass]) | .[0] as $name | .[1] |
        [$name, (.mmap_ms | digits), (.gcmmap_ms | digits), ($size / .gcmmap_ms / 1e6 | digits),
         (.ratio | fixed(3)), (.target | fixed(2)), (.met | verdict)]] |
        table(["", "mmap, ms", "gcmmap, ms", "GB/s", "ratio", "target", ""])'
}

# The compiler's own words, without the addresses, which are different each time.
disassembly() {
    binary=$bench/read
    test ! -x "$bench/.libs/read" || binary=$bench/.libs/read
    for function in byte_of_slice byte_of_pointer sum_slice sum_pointer; do
        objdump --no-show-raw-insn -d --disassemble=$function "$binary" |
            sed -n -e "/<$function>:/,/^\$/p" | sed -e 's/^[0-9a-f]* <\(.*\)>:/\1:/' \
                -e 's/^ *[0-9a-f]*:[[:space:]]*/        /' -e 's/[[:space:]]*$//' -e '/^$/d' \
                -e 's/[0-9a-f]* <[^+]*+\(0x[0-9a-f]*\)>/+\1/' -e '/nop/d' -e '/xchg *%ax,%ax/d'
    done > "$new/text"
    test -s "$new/text" || return 1
    printf '```\n'
    cat "$new/text"
    printf '```\n'
}

trim() {
    table trim '[.moments[] | [.moment, .regions, (.own_mib | fixed(1)), (.heap_mib | fixed(1)),
        (.reserved_mib | fixed(1)), (.resident_mib | fixed(1))]] |
        table(["", "regions", "own memory, MiB", "heap, MiB", "of it reserved, MiB", "resident, MiB"])'
    echo
    table trim '"Heap back to what it was: \(.heap_met | verdict); own memory: " +
        "\(.memory_met | verdict) (bdwgc'\''s index of what was reserved: \(.index_mib | fixed(1)) MiB)."'
}

guards() {
    table guard '[.ways[] | [.way, (.ns | digits), "\(.low | digits) to \(.high | digits)",
        (.met | verdict)]] | table(["", "ns", "90 % of the rounds", "at most 50"])'
}

tracing() {
    table tracing '[.cases[] | select(.task | IN("written", "reserved") | not) | [.task, .way, ((.reserved / 1048576) | round),
        ((.written / 1048576 * 10 | round) / 10),
        ((.ms | sort | .[length / 2 | floor]) - .none_ms | digits)]] |
        table(["", "where", "reserved, MiB", "written, MiB", "ms a collection"])'
}

searching() {
    table grep '.target as $target | [.cases[] |
        [(if .where == "log" then "a log of 1 GiB" else "a tree" end), .kind, "`\(.pattern)`",
         (.seconds_ours | fixed(2)), (.seconds_rg | fixed(2)), (.ratio_rg | fixed(2)),
         (.ratio_rg_mmap | fixed(2)), (.ratio_grep | fixed(2)), (if .same then "yes" else "**no**" end),
         (if .kind == "string" then (.ratio_rg <= $target | verdict) else "" end)]] |
        table(["where", "", "what", "s", "rg -j1, s", "ratio", "rg --mmap", "grep", "same lines", "target 1.2"])'
    echo
    table grep '"\(.versions); tree: \(.tree); medians of \(.rounds) rounds."'
}

for name in $(sed -n 's/^<!-- \([a-z]*\) -->$/\1/p' "$page"); do
    test "$name" != end || continue
    if ("$name") > "$new/$name.table"; then
        mv "$new/$name.table" "$new/$name"
    fi
done
awk -v new="$new" '
    /^<!-- end -->$/ { skipping = 0 }
    !skipping { print }
    /^<!-- [a-z]* -->$/ && $2 != "end" {
        file = new "/" $2
        if ((getline line < file) > 0) {
            skipping = 1
            do print line; while ((getline line < file) > 0)
            close(file)
        }
    }' "$page" > "$new/page"
cat "$new/page" > "$page"
