#!/bin/sh
# The binary interface in words, one fact a line, sorted: functions with their versions, constants,
# structs with the size and place of each member.
#
#     sh describe.sh SOURCES    (CC is the compiler)
#
# SPDX-License-Identifier: MIT
set -eu
: "${CC:=cc}"
LC_ALL=C
export LC_ALL
header=$1/include/gcmmap.h
work=$(mktemp -d "${TMPDIR:-/tmp}/gcmmap-abi-XXXXXX")
trap 'rm -rf "$work"' EXIT

{
    cat <<'END'
#include "gcmmap.h"
#include <stddef.h>
#include <stdio.h>

#define CONSTANT(name) printf("constant %s %#llx\n", #name, (unsigned long long)(name))
#define STRUCT(type, name) printf("struct %s %zu\n", #name, sizeof(type))
#define MEMBER(type, name, member)                                                                 \
    printf("member %s.%s %zu %zu\n", #name, #member, offsetof(type, member),                       \
           sizeof(((type *)0)->member))

int main(void)
{
END
    $CC -E -dM "$header" |
        sed -n 's/^#define \(GCMMAP_[A-Z0-9_]*\) ..*/CONSTANT(\1);/p' | grep -v '(GCMMAP_VERSION_'
    # Struct types and enumerations of ours, without comments.
    $CC -E -P "$header" | tr '\n\t' '  ' | awk '
        {
            while (match($0, /(struct( gcmmap_[a-z_]+)?|enum) *\{[^{}]*\}[^;]*;/)) {
                one = substr($0, RSTART, RLENGTH)
                $0 = substr($0, RSTART + RLENGTH)
                body = one
                sub(/^[^{]*\{/, "", body)
                sub(/\}[^}]*$/, "", body)
                if (one ~ /^enum/) {
                    n = split(body, parts, ",")
                    for (i = 1; i <= n; i++)
                        if (match(parts[i], /GCMMAP_[A-Z0-9_]+/))
                            print "CONSTANT(" substr(parts[i], RSTART, RLENGTH) ");"
                    continue
                }
                type = one
                if (one ~ /^struct gcmmap_/)
                    sub(/ *\{.*/, "", type)
                else
                    gsub(/^.*\} *| *;$/, "", type)
                name = type
                sub(/^struct /, "", name)
                if (name !~ /^gcmmap_/)
                    continue
                print "STRUCT(" type ", " name ");"
                n = split(body, parts, ";")
                for (i = 1; i <= n; i++) {
                    if (match(parts[i], /\(\*[a-z_]+\)/)) {
                        print "MEMBER(" type ", " name ", " \
                            substr(parts[i], RSTART + 2, RLENGTH - 3) ");"
                        continue
                    }
                    gsub(/\[[^]]*\]/, "", parts[i])
                    m = split(parts[i], members, ",")
                    for (j = 1; j <= m; j++)
                        if (match(members[j], /[a-z_0-9]+ *$/)) {
                            member = substr(members[j], RSTART, RLENGTH)
                            sub(/ *$/, "", member)
                            print "MEMBER(" type ", " name ", " member ");"
                        }
                }
            }
        }'
    echo '}'
} > "$work/describe.c"
$CC -I"$1/include" "$work/describe.c" -o "$work/describe"
{
    "$work/describe"
    sed -n 's/^\(GCMMAP_[0-9.]*\) .*{.*/\1/p; s/^ *\(gcmmap_[a-z0-9_]*\);.*/\1/p' "$1/src/gcmmap.map" |
        awk '/^GCMMAP/ { version = $0; next } { print "function", $0, version }'
} | sort
