# A slice, wherever it is stored, keeps its file mapped, and the last one lets it go.
# SPDX-License-Identifier: MIT

require "./crystal/tap"

SIZE = 3 * 4096 + 100

class Holder
  property bytes : Bytes

  def initialize(@bytes)
  end
end

record Message, id : Int32, body : Bytes

# Each gets slices of a file of its own, and keeps one that it makes of them.
KEEPERS = {
  "a slice of a slice"      => ->(bytes : Bytes) { part = bytes[10, 5000][90, 400]; ->{ part } },
  "an object"               => ->(bytes : Bytes) { holder = Holder.new(bytes[100, 400]); ->{ holder.bytes } },
  "an array"                => ->(bytes : Bytes) { array = [bytes[100, 400]]; ->{ array[0] } },
  "a hash"                  => ->(bytes : Bytes) { hash = {"key" => bytes[100, 400]}; ->{ hash["key"] } },
  "a struct in an array"    => ->(bytes : Bytes) { array = [Message.new(1, bytes[100, 400])]; ->{ array[0].body } },
  "a channel"               => ->(bytes : Bytes) { channel = Channel(Bytes).new(2); channel.send(bytes[100, 400]); ->{ channel.receive.tap { |got| channel.send(got) } } },
  "a pointer"               => ->(bytes : Bytes) { pointer = Pointer(Pointer(UInt8)).malloc(1); pointer.value = bytes.to_unsafe + 300; ->{ Bytes.new(pointer.value - 200, 400) } },
  "an IO::Memory"           => ->(bytes : Bytes) { io = IO::Memory.new(bytes[100, 400], writeable: false); ->{ io.to_slice } },
  "a slice of bigger items" => ->(bytes : Bytes) { words = bytes[100, 400].unsafe_slice_of(UInt32); ->{ words.to_unsafe_bytes } },
}

alias Keeper = Proc(Bytes)

@[NoInline]
def map_and_keep(path, keep) : Keeper
  keep.call(Gcmmap.map(path))
end

@[NoInline]
def still_right?(keeper, seed) : Bool
  Tap.has_bytes?(keeper.call, seed, 100)
end

@[NoInline]
def keep_all(directory) : Hash(String, Keeper)
  kept = {} of String => Keeper
  KEEPERS.each_with_index do |(name, keep), i|
    path = File.join(directory, "keeper#{i}")
    File.write(path, Tap.contents(i, SIZE))
    kept[name] = map_and_keep(path, keep)
    File.delete(path)
  end
  kept
end

@[NoInline]
def check_all(directory) : Nil
  kept = keep_all(directory)
  5.times do
    Tap.scrub
    Gcmmap.collect
  end
  kept.each_with_index do |(name, keeper), i|
    Tap.is(Tap.n_maps_of("#{directory}/keeper#{i} "), 1, "#{name}: still mapped")
    Tap.ok(still_right?(keeper, i), "#{name}: its bytes are right")
  end
end

# A fiber that waits holds a slice on its stack alone.
@[NoInline]
def hold_in_fiber(path, go : Channel(Nil), answer : Channel(Bool)) : Nil
  spawn do
    bytes = Gcmmap.map(path)[100, 400]
    answer.send(true)
    go.receive
    answer.send(Tap.has_bytes?(bytes, 7, 100))
  end
  answer.receive
end

@[NoInline]
def map_many(path, n) : Nil
  n.times { Gcmmap.map(path)[5, 10] }
end

@[NoInline]
def write_through(path) : Nil
  bytes = Gcmmap.map(path, write: true)
  bytes[4096, 5].copy_from("Hello".to_slice)
  Gcmmap.sync(bytes[4096, 5])
  Tap.is(File.read(path)[4096, 5], "Hello", "stores reach the file")
  copy = Gcmmap.map(path, copy_on_write: true)
  copy[4096] = 'J'.ord.to_u8
  Tap.is(bytes[4096], 'H'.ord, "stores into a copy do not")
end

@[NoInline]
def grow(path) : Nil
  File.write(path, "alpha\n")
  log = Gcmmap::Mapping.open(path, room: 1 << 20)
  first = log[0, 5]
  File.write(path, "beta\n", mode: "a")
  log.refresh
  Tap.is(String.new(log.to_slice), "alpha\nbeta\n", "a mapping with room follows its file")
  Tap.is(log[0, 5].to_unsafe, first.to_unsafe, "and does not move")
  Tap.raises(IndexError, "it has no more room than was asked for") { log.extend(2 << 20) }
end

# Reads an object through the only pointer to it, which is in mapped memory.
@[NoInline]
def store_object(bytes) : Nil
  bytes.to_unsafe.as(String*).value = "kept ".+("by memory")
end

@[NoInline]
def search_memory : Nil
  memory = Gcmmap.memory(8192, searched: true)
  store_object(memory)
  5.times do
    Tap.scrub
    Gcmmap.collect
  end
  Tap.is(memory.to_unsafe.as(String*).value, "kept by memory", "searched memory keeps objects")
end

Tap.with_directory do |directory|
  check_all(directory)
  gone = Tap.collect_until { Tap.n_maps_of("#{directory}/keeper") <= 2 }
  Tap.ok(gone, "all go when nothing keeps them (two may be held by accident)")

  path = File.join(directory, "file")
  File.write(path, Tap.contents(7, SIZE))
  go = Channel(Nil).new
  answer = Channel(Bool).new
  hold_in_fiber(path, go, answer)
  5.times do
    Tap.scrub
    Gcmmap.collect
  end
  Tap.ok(Tap.n_maps_of(path) >= 1, "a waiting fiber's stack keeps a slice")
  go.send(nil)
  Tap.ok(answer.receive, "whose bytes are right")

  n_before = Tap.n_maps_of(nil)
  map_many(path, 5000)
  Tap.ok(Tap.collect_until { Gcmmap.stats.live < 20 }, "5,000 forgotten mappings go by themselves")
  Tap.ok(Tap.n_maps_of(nil) < n_before + 100, "and leave no lines in /proc/self/maps")

  write_through(path)
  grow(path)
  search_memory

  mapping = Gcmmap::Mapping.open(path)
  part = mapping[6, 4]
  mapping.close
  Gcmmap.collect
  Tap.is(String.new(part), "beta", "closing takes nothing from slices")
  Gcmmap.prefetch(part)
  Gcmmap.advise(part, Gcmmap::Advice::Random)
  Gcmmap.unload(part)
  Tap.is(String.new(part), "beta", "nor does unloading")
  Tap.is(Gcmmap.resident_pages(part), 1, "pages in memory are counted")
end

Tap.finish
