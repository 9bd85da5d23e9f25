#!/bin/sh
# make check-builds: builds and tests of other kinds than the usual one; see doc/builds.md.
#
#   tests/check-builds.sh [clang] [analyzers] [arm64] [modes] [tsan] [libgc=PREFIX...]
#       [root32=DIRECTORY]
#
# Without words: clang, analyzers, arm64, modes. Each line says what was done, or what is missing.
#   modes              the whole suite in hosts of other kinds: interior pointers off, finalizers on
#                      demand, one marker and four, incremental collections
#   libgc=PREFIX       the whole suite with the libgc that is installed there
#   root32=DIRECTORY   the suite in a Debian of another architecture:
#                      debootstrap --arch=i386 --variant=minbase \
#                        --include=gcc,g++,make,pkg-config,libgc-dev bookworm DIRECTORY
#   tsan               threads under ThreadSanitizer, bdwgc as well: its source is in GC_SOURCE
#                      (apt-get source libgc)
#   ARM64_PREFIX       where `dpkg -x` put libgc1 and libgc-dev of arm64 (its usr)
#
# SPDX-License-Identifier: MIT
set -eu

source=$(cd "${top_srcdir:-.}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n_failed=0

say() { printf '%s\n' "$*"; }
has() { command -v "$1" >/dev/null; }

# result NAME STATUS LOG
result() {
    if [ "$2" = 0 ]; then
        say "ok      $1"
    else
        say "not ok  $1"
        tail -n 20 "$3" | sed 's/^/        /'
        n_failed=$((n_failed + 1))
    fi
}

# build NAME TARGET ARGUMENT...: configure with the arguments, make the target
build() {
    name=$1 target=$2
    shift 2
    mkdir -p "$work/$name"
    status=0
    (
        cd "$work/$name"
        "$source/configure" --enable-werror --without-guile --without-ecl "$@"
        # shellcheck disable=SC2086 # words
        make -k $target
    ) >"$work/$name.log" 2>&1 || status=$?
    result "$name" "$status" "$work/$name.log"
}

clang() {
    has clang || { say "skipped clang: not installed"; return 0; }
    # It traps: the runtime would come with handlers of signals.
    build "clang, undefined behaviour stops" check CC=clang \
        CFLAGS='-g -O1 -fsanitize=undefined -fsanitize-trap=undefined'
}

analyzers() {
    mkdir -p "$work/analyzers"
    (cd "$work/analyzers" && "$source/configure" -q --without-guile --without-ecl)
    options="-std=gnu11 -DHAVE_CONFIG_H -D_FILE_OFFSET_BITS=64 -I$work/analyzers"
    options="$options -I$source/include -I$source/src"
    log=$work/analyzer.log
    if has cppcheck; then
        status=0
        # shellcheck disable=SC2086 # words
        cppcheck -q --enable=warning,performance,portability --inline-suppr --std=c11 \
            --error-exitcode=1 -DHAVE_CONFIG_H -I"$work/analyzers" -I"$source/include" \
            -I"$source/src" "$source/src" >"$log" 2>&1 || status=1
        result cppcheck "$status" "$log"
    else
        say "skipped cppcheck: not installed"
    fi
    # Leaks: it does not follow memory into arrays, and takes table.c for one.
    status=0
    : >"$log"
    for file in "$source"/src/*.c; do
        [ "$file" != "$source/src/os_other.c" ] || continue
        # shellcheck disable=SC2086 # words
        gcc $options -O2 -fanalyzer -Wno-analyzer-malloc-leak -Werror -c "$file" -o /dev/null >>"$log" 2>&1 || status=1
    done
    result "gcc -fanalyzer" "$status" "$log"
    if has clang-tidy; then
        status=0
        # shellcheck disable=SC2086 # words
        clang-tidy --quiet --warnings-as-errors='*' "$source"/src/[!o]*.c "$source"/src/os_[lp]*.c \
            -- $options >"$log" 2>&1 || status=1
        result clang-tidy "$status" "$log"
    else
        say "skipped clang-tidy: not installed"
    fi
}

# What qemu's user mode can run: no pagemap, no populated pages, other signals are slow.
arm64() {
    has aarch64-linux-gnu-gcc || { say "skipped arm64: no gcc-aarch64-linux-gnu"; return 0; }
    [ -n "${ARM64_PREFIX:-}" ] || { say "skipped arm64: ARM64_PREFIX is not set"; return 0; }
    PKG_CONFIG_LIBDIR=$ARM64_PREFIX/lib/aarch64-linux-gnu/pkgconfig \
        build arm64 "check TESTS=" --host=aarch64-linux-gnu
    has qemu-aarch64-static || { say "skipped arm64, run: no qemu-user-static"; return 0; }
    for test in slices-are-checked files-are-mapped-exactly dropped-regions-go \
        every-pointer-keeps-its-region traced-memory-keeps-what-it-points-to \
        threads-map-slice-and-drop closed-slices-fault bad-input-changes-nothing \
        leak-finding-finds-no-regions hosts-keep-their-procedures; do
        program=$work/arm64/tests/.libs/$test
        [ -e "$program" ] || program=$work/arm64/tests/$test
        status=0
        qemu-aarch64-static -L /usr/aarch64-linux-gnu \
            -E "LD_LIBRARY_PATH=$work/arm64/.libs:$ARM64_PREFIX/lib/aarch64-linux-gnu" \
            "$program" >"$work/run.log" 2>&1 || status=$?
        result "arm64, $test" "$status" "$work/run.log"
    done
}

# Signals have to come where threads wait, and bdwgc's locks to be seen: see tests/tsan/waits.c.
tsan() {
    [ -n "${GC_SOURCE:-}" ] || { say "skipped tsan: GC_SOURCE is not set"; return 0; }
    has gcc || { say "skipped tsan: no gcc"; return 0; }
    flags="-g -O1 -fsanitize=thread -fno-omit-frame-pointer"
    mkdir -p "$work/tsan-gc" "$work/tsan" "$work/tsan-lib"
    # shellcheck disable=SC2086 # words
    if ! gcc $flags -fPIC -c -o "$work/tsan-lib/waits.o" "$source/tests/tsan/waits.c" ||
        ! ar rc "$work/tsan-lib/libwaits.a" "$work/tsan-lib/waits.o"; then
        say "skipped tsan: gcc has no libtsan"
        return 0
    fi
    flags="$flags -include $source/tests/tsan/waits.h"
    libraries="-L$work/tsan-lib -lwaits -lpthread -ldl"
    status=0
    (
        cd "$work/tsan-gc"
        cp -r "$GC_SOURCE" source
        mkdir build
        cd build
        ../source/configure CC=gcc --prefix="$work/tsan-gc/usr" --enable-threads=posix \
            --disable-parallel-mark --disable-docs
        make CFLAGS="$flags -DTHREAD_SANITIZER -DUSE_SPIN_LOCK" LIBS="$libraries" install
        cd "$work/tsan"
        PKG_CONFIG_PATH=$work/tsan-gc/usr/lib/pkgconfig "$source/configure" CC=gcc \
            --disable-shared --without-guile --without-ecl LDFLAGS="-Wl,-rpath,$work/tsan-gc/usr/lib"
        for test in $tsan_tests; do
            make CFLAGS="$flags" LIBS="$libraries" "tests/$test"
        done
    ) >"$work/tsan.log" 2>&1 || status=$?
    result "tsan, build" "$status" "$work/tsan.log"
    [ "$status" = 0 ] || return 0
    for test in $tsan_tests; do
        status=0
        (cd "$work/tsan" && TSAN_OPTIONS="die_after_fork=0 suppressions=$source/tests/tsan/suppressions" \
            timeout 600 "tests/$test") >"$work/run.log" 2>&1 || status=$?
        result "tsan, $test" "$status" "$work/run.log"
    done
}
tsan_tests="threads-map-slice-and-drop collections-meet-closing changes-of-size-meet-other-calls
    threads-grow-and-close-one-region operations-never-reopen-closed-regions"
# counts LOG: what automake's summary says of all tests.
counts() {
    sed -n 's/^# \(PASS\|FAIL\|ERROR\|SKIP\): *//p' "$1" | tail -n 4 |
        { read -r passed && read -r skipped && read -r failed && read -r errors &&
            say "$passed passed, $failed failed, $skipped skipped, $errors errors"; } ||
        say "no summary"
}

# One build, and the suite again and again.
modes() {
    build modes "check TESTS="
    for mode in GCMMAP_TEST_INTERIOR=0 GCMMAP_TEST_DEMAND=1 GC_MARKERS=1 GC_MARKERS=4 \
        GC_ENABLE_INCREMENTAL=1 "GCMMAP_TEST_INTERIOR=0 GCMMAP_TEST_DEMAND=1" \
        "GCMMAP_TEST_INTERIOR=0 GC_ENABLE_INCREMENTAL=1"; do
        status=0
        # shellcheck disable=SC2086 # words
        env $mode make -k -C "$work/modes" check >"$work/modes.log" 2>&1 || status=$?
        grep -E '^(FAIL|ERROR)' "$work/modes.log" >"$work/modes.reds" || true
        result "$mode: $(counts "$work/modes.log")" "$status" "$work/modes.reds"
    done
}

with_libgc() {
    PKG_CONFIG_PATH=$1/lib/pkgconfig LD_LIBRARY_PATH=$1/lib build "libgc in $(basename "$1")" check --without-crystal
}

# What the tests look at there: /proc and shared memory; gone again when it is over.
in_root() {
    [ -x "$1/usr/bin/gcc" ] || { say "skipped $1: no gcc there"; return 0; }
    rm -rf "$1/gcmmap-source" "$1/gcmmap-build"
    mkdir "$1/gcmmap-source" "$1/gcmmap-build"
    (cd "$source" && tar c --exclude=.git .) | tar x -C "$1/gcmmap-source"
    (cd "$1/gcmmap-source" && autoreconf -i) >/dev/null 2>&1
    for directory in proc sys dev; do
        mount --rbind "/$directory" "$1/$directory" && mount --make-rslave "$1/$directory"
    done
    status=0
    chroot "$1" sh -c 'cd /gcmmap-build && ../gcmmap-source/configure --enable-werror \
        --without-guile --without-ecl --without-crystal && make -k check' \
        >"$work/root.log" 2>&1 || status=$?
    for directory in proc sys dev; do
        umount -R "$1/$directory"
    done
    grep -aE '^(FAIL|ERROR)|[*]{3}' "$work/root.log" >"$work/root.reds" || true
    result "$(chroot "$1" gcc -dumpmachine): $(counts "$work/root.log")" "$status" "$work/root.reds"
}

[ $# -gt 0 ] || set -- clang analyzers arm64 modes
for word; do
    case $word in
    clang | analyzers | arm64 | modes | tsan) $word ;;
    libgc=*) with_libgc "${word#libgc=}" ;;
    root32=*) in_root "${word#root32=}" ;;
    *)
        say "check-builds: what is $word?" >&2
        exit 2
        ;;
    esac
done
[ $n_failed = 0 ]
