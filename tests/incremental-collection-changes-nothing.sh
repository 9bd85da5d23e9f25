#!/bin/sh
# Regions live and die as ever where bdwgc collects in small steps, however it finds out
# which pages have changed: as it likes, by write protection, by the kernel's dirty bits.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
. "$top_srcdir/tests/run-again.sh"
run_again "incremental" GC_ENABLE_INCREMENTAL=1
run_again "incremental, write protection" GC_ENABLE_INCREMENTAL=1 GC_USE_GETWRITEWATCH=0
run_again "incremental, dirty bits" GC_ENABLE_INCREMENTAL=1 GC_USE_GETWRITEWATCH=1
done_testing
