// Peer: Go.  syscall.Mmap, a finalizer on an object that each slice carries along; Go's own pace.
//
// Usage: cycle BYTES CYCLES FILE; see compare.c for the protocol.
//
// SPDX-License-Identifier: MIT
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

type mapping struct{ data []byte }

// A plain []byte into foreign memory does not keep the mapping: the owner has to be in it.
type slice struct {
	owner *mapping
	bytes []byte
}

var mapped int64
var sum byte

func unmap(m *mapping) {
	syscall.Munmap(m.data)
	atomic.AddInt64(&mapped, -1)
}

//go:noinline
func cycle(fd, size int) {
	data, err := syscall.Mmap(fd, 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	for err != nil { // the limit of map slots
		runtime.GC()
		time.Sleep(time.Millisecond)
		data, err = syscall.Mmap(fd, 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	}
	m := &mapping{data}
	atomic.AddInt64(&mapped, 1)
	runtime.SetFinalizer(m, unmap)
	s := slice{m, data[size/2 : size/2+1]}
	sum += s.bytes[0]
	runtime.KeepAlive(s.owner)
}

func releaseAll() int64 {
	for i := 0; i < 100 && atomic.LoadInt64(&mapped) > 0; i++ {
		runtime.GC()
		for w := 0; w < 50 && atomic.LoadInt64(&mapped) > 0; w++ {
			time.Sleep(100 * time.Microsecond) // finalizers run in their own goroutine
		}
	}
	return atomic.LoadInt64(&mapped)
}

func main() {
	size, _ := strconv.Atoi(os.Args[1])
	n, _ := strconv.Atoi(os.Args[2])
	f, err := os.Open(os.Args[3])
	if err != nil {
		panic(err)
	}
	in := bufio.NewReader(os.Stdin)
	for {
		if _, err := in.ReadByte(); err != nil {
			return
		}
		start := time.Now()
		for i := 0; i < n; i++ {
			cycle(int(f.Fd()), size)
		}
		looped := time.Since(start)
		left := releaseAll()
		fmt.Println(time.Since(start).Nanoseconds(), looped.Nanoseconds(), left)
	}
}
