#!/bin/sh
# Installs the peers' runtimes on Debian and its like, about 1.5 GB; as root.  None is needed:
# `make bench-peers` skips those that are missing.
set -e
exec apt-get install -y --no-install-recommends \
    golang-go ocaml-nox default-jdk-headless python3 cargo librust-memmap2-dev \
    ghc libghc-mmap-dev gnuplot-nox jq
