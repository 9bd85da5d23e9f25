#!/bin/sh
# Regions live and die as ever where bdwgc unmaps free blocks of its heap at once.
#
# SPDX-License-Identifier: MIT

: "${top_srcdir:=.}" "${top_builddir:=.}"
. "$top_srcdir/tests/run-again.sh"
run_again "free heap is given back" GC_UNMAP_THRESHOLD=1 GC_FORCE_UNMAP_ON_GCOLLECT=1
done_testing
