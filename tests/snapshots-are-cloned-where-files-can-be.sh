#!/bin/sh
# Where the file system can share blocks, a snapshot is a clone, and stays what it is: on
# btrfs and XFS, in images that are mounted for this test alone.
#
# SPDX-License-Identifier: MIT
set -u
: "${top_builddir:=.}"

scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
n=0

# In a mount namespace of its own, so that nothing is left mounted whatever happens.
try() {
    name=$1 size=$2
    shift 2
    n=$((n + 1))
    if ! command -v "$1" >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "ok $n - $name # SKIP no $1, or not the superuser"
        return
    fi
    if ! unshare -m true 2>/dev/null; then
        echo "ok $n - $name # SKIP no mount namespace to be had here"
        return
    fi
    truncate -s "$size" "$scratch/$name"
    if ! "$@" "$scratch/$name" >"$scratch/log" 2>&1; then
        echo "ok $n - $name # SKIP $1 failed"
        return
    fi
    mkdir -p "$scratch/on"
    # shellcheck disable=SC2016 # for the inner shell
    GCMMAP_TEST_DIRECTORY=$scratch/on unshare -m sh -c '
        mount -o loop "$1" "$2" 2>/dev/null || exit 77
        exec "$3"' sh "$scratch/$name" "$scratch/on" \
        "$top_builddir/tests/snapshots-neither-change-nor-fault" >"$scratch/log" 2>&1
    status=$?
    sed 's/^/# /' "$scratch/log"
    case $status in
    0) echo "ok $n - $name" ;;
    77) echo "ok $n - $name # SKIP cannot be mounted" ;;
    *) echo "not ok $n - $name" ;;
    esac
    rm -f "$scratch/$name"
}

try btrfs 200M mkfs.btrfs -q
try xfs 400M mkfs.xfs -q -m reflink=1
echo "1..$n"
