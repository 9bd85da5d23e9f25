#!/bin/sh
# hide-names.sh ARCHIVE: makes one object of libgcmmap.a in which the rooms' names are local, as they
# are in the shared library: a program of its own table_begin() can be linked with it.
#
# LD, OBJCOPY, NM and AR are the tools.  An archive that they cannot do that with (objects for
# link-time optimization only, say) is left as it is.
#
# SPDX-License-Identifier: MIT
set -eu

archive=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without groups: what the compiler makes the same in each object, of which the linker keeps one,
# would be hidden in ours, and gone with another program's.
if $LD -r --force-group-allocation -o "$work/libgcmmap.o" --whole-archive "$archive" 2> "$work/why" &&
    $OBJCOPY --localize-hidden "$work/libgcmmap.o" 2> "$work/why" &&
    $NM -g --defined-only "$work/libgcmmap.o" > "$work/names" &&
    grep -q ' T _*gcmmap_map$' "$work/names" && ! grep -qv ' _*gcmmap_[a-z0-9_]*$' "$work/names"; then
    $AR cr "$work/libgcmmap.a" "$work/libgcmmap.o"
    cat "$work/libgcmmap.a" > "$archive"
else
    why=$(tail -n 1 "$work/why")
    echo "$archive keeps its hidden names: ${why:-they are in no symbol table}" >&2
fi
