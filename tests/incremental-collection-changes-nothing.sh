#!/bin/sh
# Regions live and die as ever where bdwgc collects in small steps and looks only at what
# has changed, however it finds out which pages those are: by write protection, or by the
# kernel's dirty bits where there are any.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
. "$top_srcdir/tests/run-again.sh"
run_again "incremental" GC_ENABLE_INCREMENTAL=1
# A large divisor makes for very many partial collections.
run_again "incremental, write protection, often" GC_ENABLE_INCREMENTAL=1 \
    GC_USE_GETWRITEWATCH=0 GC_FREE_SPACE_DIVISOR=8
run_again "incremental, dirty bits, often" GC_ENABLE_INCREMENTAL=1 \
    GC_USE_GETWRITEWATCH=1 GC_FREE_SPACE_DIVISOR=8
done_testing
