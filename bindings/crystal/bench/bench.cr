# gcmmap in Crystal against Crystal's usual ways: mmap(2) with an object whose finalizer
# calls munmap(2), and File.read, which copies.
#
#     make bench-crystal
#
# Contenders alternate; best and median of several rounds are shown.  In the first part a round
# maps a file, takes ten slices, reads one byte of each and drops it all, many times; what is
# left is released inside the time.  In the second a million slices of one file are live while
# garbage is collected: with mmap and a finalizer each slice has to be an object that holds its
# mapping, as plain slices keep nothing there.
#
# flags: --release
# SPDX-License-Identifier: MIT

require "gcmmap"

N_BYTES  =     65536
N_CYCLES =      3000
N_SLICES = 1_000_000

class UsualMapping
  getter bytes : Bytes

  def initialize(path)
    fd = LibC.open(path, LibC::O_RDONLY | LibC::O_CLOEXEC)
    pointer = LibC.mmap(nil, N_BYTES, LibC::PROT_READ, LibC::MAP_SHARED, fd, 0)
    LibC.close(fd)
    raise RuntimeError.from_errno("mmap") if pointer == LibC::MAP_FAILED
    @bytes = Bytes.new(pointer.as(UInt8*), N_BYTES, read_only: true)
  end

  def finalize
    LibC.munmap(@bytes.to_unsafe.as(Void*), N_BYTES)
  end
end

class UsualSlice
  getter bytes : Bytes

  def initialize(@mapping : UsualMapping, start, count)
    @bytes = @mapping.bytes[start, count]
  end
end

class Sum
  class_property value = 0_u64
end

def milliseconds(& : ->) : Float64
  start = Time.monotonic
  yield
  (Time.monotonic - start).total_milliseconds
end

def alternate(n_rounds, thunks : Array(->)) : Array(Array(Float64))
  times = thunks.map { [] of Float64 }
  n_rounds.times do
    thunks.each_with_index { |thunk, i| times[i] << milliseconds { thunk.call } }
  end
  times
end

def show(name, times, per, unit) : Nil
  best = times.min / per
  median = times.sort[times.size // 2] / per
  printf("  %-44s best %.2f, median %.2f %s\n", name, best, median, unit)
end

def n_maps : Int32
  File.read("/proc/self/maps").count('\n')
end

path = File.tempname("gcmmap-bench")
File.write(path, "a" * N_BYTES)

# ---- map, slice, drop

with_gcmmap = ->do
  N_CYCLES.times do
    bytes = Gcmmap.map(path)
    10.times { |k| Sum.value += bytes[k * 6000, 100][50] }
  end
  Gcmmap.collect
  nil
end
with_finalizer = ->do
  N_CYCLES.times do
    mapping = UsualMapping.new(path)
    10.times { |k| Sum.value += UsualSlice.new(mapping, k * 6000, 100).bytes[50] }
  end
  GC.collect
  nil
end
with_copy = ->do
  N_CYCLES.times do
    bytes = File.read(path).to_slice
    10.times { |k| Sum.value += bytes[k * 6000, 100][50] }
  end
  GC.collect
  nil
end

puts "map a file of 64 KiB, ten slices, read, drop:"
times = alternate(11, [with_gcmmap, with_finalizer, with_copy])
{"gcmmap", "mmap, finalize, objects for slices", "File.read"}.each_with_index do |name, i|
  show(name, times[i], N_CYCLES / 1e3, "us a cycle")
end
puts "  maps of the process afterwards: #{n_maps}"

# ---- collecting with a million slices

def collection(name, &make : -> Array(T)) forall T
  slices = [] of T
  making = milliseconds { slices = make.call }
  GC.collect
  times = Array.new(9) { milliseconds { GC.collect } }
  show("#{name}: making", [making], N_SLICES / 1e6, "ns a slice")
  show("#{name}: collection", times, 1, "ms")
  Sum.value += slices.size
end

@[NoInline]
def collect_gcmmap(path)
  bytes = Gcmmap.map(path)
  collection("gcmmap") { Array.new(N_SLICES) { |i| bytes[(i &* 61) % 65000, 100] } }
end

@[NoInline]
def collect_objects(path)
  mapping = UsualMapping.new(path)
  collection("mmap, objects") do
    Array.new(N_SLICES) { |i| UsualSlice.new(mapping, (i &* 61) % 65000, 100) }
  end
end

@[NoInline]
def collect_copies(path)
  bytes = File.read(path).to_slice
  collection("copies") { Array.new(N_SLICES) { |i| bytes[(i &* 61) % 65000, 100].dup } }
end

puts "a million slices of 100 bytes:"
GC.collect
show("none: collection", Array.new(9) { milliseconds { GC.collect } }, 1, "ms")
collect_gcmmap(path)
2.times { GC.collect }
collect_objects(path)
2.times { GC.collect }
collect_copies(path)

File.delete(path)
