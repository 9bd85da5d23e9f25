#!/bin/sh
# Usage: build.sh SOURCES OUT.  Builds the peers whose runtimes are there into OUT and writes
# what there is to run into OUT/list: name, tab, version, tab, command.  Skips the others with
# a word.
sources=$1 out=$2
mkdir -p "$out" || exit
: > "$out/list" || exit

# A peer that is not there, or does not build, is no error.
peer() { # NAME VERSION COMMAND
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$out/list"
}

skip() { # NAME WHY
    echo "peers: $1 is skipped: $2" >&2
}

has() {
    command -v "$1" > /dev/null 2>&1
}

if ! has go; then
    skip Go "no go"
elif GO111MODULE=off go build -o "$out/go" "$sources/cycle.go" > "$out/go.log" 2>&1; then
    peer Go "$(go version | cut -d' ' -f3)" "$out/go"
else
    skip Go "see $out/go.log"
fi

if ! has ocamlfind && ! has ocamlopt; then
    skip OCaml "no ocamlopt"
elif mkdir -p "$out/ocaml" && cp "$sources/cycle.ml" "$out/ocaml" &&
    (cd "$out/ocaml" && { ocamlopt unix.cmxa cycle.ml -o cycle ||
        ocamlopt -I +unix unix.cmxa cycle.ml -o cycle; }) > "$out/ocaml.log" 2>&1; then
    peer OCaml "$(ocamlopt -version)" "$out/ocaml/cycle"
else
    skip OCaml "see $out/ocaml.log"
fi

if ! has javac; then
    skip Java "no javac"
elif javac -d "$out/java" "$sources/Cycle.java" > "$out/java.log" 2>&1; then
    peer Java "$(java -version 2>&1 | sed -n '1s/.*"\(.*\)".*/\1/p')" \
        "java -XX:ErrorFile=/dev/null -cp $out/java Cycle"
else
    skip Java "see $out/java.log"
fi

if has python3 && python3 -c 'import mmap' > /dev/null 2>&1; then
    peer Python "$(python3 -c 'import platform; print(platform.python_version())')" \
        "python3 $sources/cycle.py"
else
    skip Python "no python3"
fi

# Debian keeps crates below /usr/share/cargo; nothing is fetched.
if ! has cargo; then
    skip Rust "no cargo"
elif cp -R "$sources/rust" "$out/" && chmod -R u+w "$out/rust" &&
    (cd "$out/rust" && CARGO_HOME=$out/rust/home cargo build --release --offline \
        --config 'source.crates-io.replace-with="debian"' \
        --config 'source.debian.directory="/usr/share/cargo/registry"') > "$out/rust.log" 2>&1; then
    peer Rust "$(rustc --version | cut -d' ' -f2)" "$out/rust/target/release/cycle"
else
    skip Rust "see $out/rust.log (librust-memmap2-dev?)"
fi

if ! has ghc; then
    skip Haskell "no ghc"
elif mkdir -p "$out/haskell" &&
    ghc -v0 -O2 -outputdir "$out/haskell" -o "$out/haskell/cycle" "$sources/Cycle.hs" \
        > "$out/haskell.log" 2>&1; then
    peer Haskell "$(ghc --numeric-version)" "$out/haskell/cycle"
else
    skip Haskell "see $out/haskell.log (libghc-mmap-dev?)"
fi
