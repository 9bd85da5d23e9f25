#!/bin/sh
# Regions live and die as ever whether one thread marks or four do.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
. "$top_srcdir/tests/run-again.sh"
run_again "one marker" GC_MARKERS=1
run_again "four markers" GC_MARKERS=4
done_testing
