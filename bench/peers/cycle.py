"""Peer: Python.  mmap and memoryview; reference counts, so no forced release is needed.

Usage: cycle.py BYTES CYCLES FILE; see compare.c for the protocol.

SPDX-License-Identifier: MIT
"""
import mmap
import os
import sys
import time

size, n = int(sys.argv[1]), int(sys.argv[2])
fd = os.open(sys.argv[3], os.O_RDONLY)


def cycle():
    view = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
    part = view[size // 2:size // 2 + 1]
    return part[0]


while os.read(0, 1):
    start = time.perf_counter_ns()
    for _ in range(n):
        cycle()
    took = time.perf_counter_ns() - start
    print(took, took, 0, flush=True)
