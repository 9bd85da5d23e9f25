# gcmmap: files as Slice(UInt8), unmapped by the collector.
# SPDX-License-Identifier: MIT

require "./gcmmap/lib_gcmmap"

# Maps files and forgets them.
#
# ```
# require "gcmmap"
#
# words = Gcmmap.map("/usr/share/dict/words")
# word = words[100, 7]
# ```
#
# What you get is a plain `Bytes` over the file itself; no byte is copied. It stays mapped
# for as long as that slice, or any slice of it, or a pointer into it, can be reached: from
# variables, arrays, objects, closures, channels, other fibers and threads. Once none can, the
# collector unmaps it. There is nothing to close, and nothing that could be closed too early.
#
# Files are mapped read-only unless `write` is true, and a slice says so: storing into it
# raises. With `write`, stores reach the file, and stores of others are seen; with
# `copy_on_write` they stay in this process.
#
# Use a `Mapping` for what is more than a slice can tell: files of 2 GiB and more, closing
# early, growing.
#
# A file that another program truncates loses its pages: reading those ends the program
# ("Invalid memory access"), as everywhere with mmap. Replace files (`File.rename`) instead
# of truncating them; what is mapped then stays what it was. Where that cannot be had, `read`
# gives a copy, or raises.
#
# Pointers count where the collector looks. It does not look into memory of `LibC.malloc`, or
# into what was allocated with `GC.malloc_atomic`; nor do integers (`pointer.address`) count.
module Gcmmap
  VERSION = "0.1.0"

  # Raised by a `Mapping` that was closed, and on bytes of one that was revoked.
  class ClosedError < IO::Error
  end

  # Raised by `read` and `write` where the bytes are gone: their file was truncated, its disk
  # fails, or access was taken away.
  class LostError < IO::Error
    # How many bytes were copied before.
    getter copied : Int32

    def initialize(message, @copied)
      super message
    end
  end

  # What may be done with bytes: `protect`.
  @[Flags]
  enum Access
    Read  = 1
    Write = 2
    Exec  = 4
  end

  # Numbers of the kernel: see `advise`, and gcmmap.h for what each does.
  enum Advice
    Normal        =  0
    Random        =  1
    Sequential    =  2
    WillNeed      =  3
    DontNeed      =  4 # loses private stores
    Free          =  8 # loses private stores
    Remove        =  9 # loses bytes of the file
    Mergeable     = 12
    Unmergeable   = 13
    HugePage      = 14
    NoHugePage    = 15
    DontDump      = 16
    DoDump        = 17
    WipeOnFork    = 18
    KeepOnFork    = 19
    Cold          = 20
    PageOut       = 21
    PopulateRead  = 22
    PopulateWrite = 23
    Collapse      = 25
  end

  # Counters of this process; bytes count whole pages.
  record Stats,
    live : UInt64,     # open mappings
    closed : UInt64,   # revoked ones that slices still point into
    dying : UInt64,    # found dead, still mapped
    mapped : UInt64,   # since the start
    released : UInt64, # by the collector since the start
    bytes_live : UInt64,
    bytes_reserved : UInt64 # of addresses

  # Bytes of the file named *path*, from *offset*, which needs no alignment: *size* of them, or
  # all that follow. The range must lie inside the file. The file is not kept open.
  #
  # Raises `File::Error` (`File::NotFoundError`, `File::AccessDeniedError`) with the `os_error`;
  # `ArgumentError` if a number is negative, or there are more bytes than a slice can have.

  def self.map(path : Path | String, *, offset : Int = 0, size : Int? = nil, write : Bool = false,
               copy_on_write : Bool = false) : Bytes
    Mapping.open(path, offset: offset, size: size, write: write,
      copy_on_write: copy_on_write).to_slice
  end

  # The same of an open file, whose position plays no part; it may be closed afterwards. What
  # is in its buffer is written first.
  def self.map(file : IO::FileDescriptor, *, offset : Int = 0, size : Int? = nil,
               write : Bool = false, copy_on_write : Bool = false) : Bytes
    Mapping.open(file, offset: offset, size: size, write: write,
      copy_on_write: copy_on_write).to_slice
  end

  # Zeroed memory that goes back to the system as soon as the collector finds it unused. Pages
  # that are never touched cost nothing. The collector looks for pointers in it if *searched*.
  def self.memory(size : Int, *, searched : Bool = false) : Bytes
    flags = LibGcmmap::READ | LibGcmmap::WRITE
    flags |= LibGcmmap::POINTER_FREE unless searched
    n_bytes = Gcmmap.size_from(size, "size")
    raise ArgumentError.new("More bytes than a slice can have: #{size}") if n_bytes > Int32::MAX
    region = LibGcmmap.alloc(n_bytes, flags)
    raise RuntimeError.from_os_error("Cannot map memory", Errno.value) if region.null?
    bytes = LibGcmmap.bytes(region)
    Bytes.new(bytes.data, bytes.size)
  end

  # Whether these are bytes of a mapping, closed ones included.
  def self.mapped?(bytes : Slice) : Bool
    !LibGcmmap.of(bytes.to_unsafe.as(Void*)).null?
  end

  # A copy of *bytes* that is made without the danger of reading them: where their file may have
  # been truncated, or the mapping revoked.
  #
  # Raises `LostError` if not all are there, `ClosedError` if the mapping was revoked.
  def self.read(bytes : Bytes) : Bytes
    copy = Bytes.new(bytes.size)
    copy(bytes, "read") { |done| LibGcmmap.copy_out(copy.to_unsafe + done, bytes.to_unsafe + done, bytes.size - done) }
    copy
  end

  # Store all of *from* into *bytes*, from their start on, as safely as `read` reads.
  def self.write(bytes : Bytes, from : Bytes) : Nil
    raise ArgumentError.new("Can't write to read-only Slice") if bytes.read_only?
    bytes = bytes[0, from.size]
    copy(bytes, "write") { |done| LibGcmmap.copy_in(bytes.to_unsafe + done, from.to_unsafe + done, from.size - done) }
  end

  private def self.copy(bytes, what, & : Int32 -> LibC::SSizeT) : Nil
    done = 0
    loop do
      n = yield done
      if n < 0 && Errno.value == Errno::EFAULT
        raise LostError.new("#{what}: of #{bytes.size} bytes #{bytes.size - done} are gone: \
                             was the file truncated?", done)
      end
      check(what) { n < 0 ? -1 : 0 }
      done += n
      break if done == bytes.size
    end
  end

  # Write what was stored into *bytes* to their file; wait for the disk unless *wait* is false.
  def self.sync(bytes : Slice, *, wait : Bool = true) : Nil
    flags = wait ? LibGcmmap::SYNC : LibGcmmap::ASYNC
    on(bytes, "sync") { |p, size| LibGcmmap.sync(p, size, flags) }
  end

  # Change what may be done with all pages that hold some of *bytes*. What is not allowed then
  # ends the program.
  def self.protect(bytes : Slice, access : Access) : Nil
    on(bytes, "protect") { |p, size| LibGcmmap.protect(p, size, access.value.to_u32) }
  end

  # Tell the kernel what to do with the pages of *bytes*.
  def self.advise(bytes : Slice, advice : Advice) : Nil
    on(bytes, "advise") { |p, size| LibGcmmap.advise(p, size, advice.value) }
  end

  # Begin to read *bytes* in, and do not wait for it.
  def self.prefetch(bytes : Slice) : Nil
    on(bytes, "prefetch") { |p, size| LibGcmmap.prefetch(p, size) }
  end

  # Drop the pages of *bytes* from memory; they are read in again when needed.
  def self.unload(bytes : Slice) : Nil
    on(bytes, "unload") { |p, size| LibGcmmap.unload(p, size) }
  end

  # Read *bytes* in and keep them in memory, until `unlock`.
  def self.lock(bytes : Slice) : Nil
    on(bytes, "lock") { |p, size| LibGcmmap.lock(p, size) }
  end

  # Let the pages of *bytes* be swapped again.
  def self.unlock(bytes : Slice) : Nil
    on(bytes, "unlock") { |p, size| LibGcmmap.unlock(p, size) }
  end

  # How many of the pages that hold *bytes* are in memory.
  def self.resident_pages(bytes : Slice) : Int32
    n_resident = LibC::SizeT.zero
    on(bytes, "resident_pages") do |p, size|
      LibGcmmap.residency(p, size, nil, 0, pointerof(n_resident))
    end
    n_resident.to_i32
  end

  # Collect garbage and unmap every file that is not used any more; how many those were. Nobody
  # needs to call this: it is for tests, and for programs that have just dropped a lot.
  def self.collect : UInt64
    LibGcmmap.collect.to_u64
  end

  def self.stats : Stats
    LibGcmmap.get_stats(out stats)
    Stats.new(live: stats.n_live, closed: stats.n_closed, dying: stats.n_dying,
      mapped: stats.n_mapped, released: stats.n_released, bytes_live: stats.bytes_live,
      bytes_reserved: stats.bytes_reserved)
  end

  private def self.on(bytes : Slice, what : String, &)
    size = bytes.size.to_u64 * sizeof(typeof(bytes.unsafe_fetch(0)))
    check(what) { yield bytes.to_unsafe.as(Void*), size }
  end

  # :nodoc:
  def self.check(what : String, & : -> LibC::Int) : Nil
    return if (yield) == 0
    case error = Errno.value
    when Errno::EBADF  then raise ClosedError.new("#{what}: the mapping was closed")
    when Errno::ERANGE then raise IndexError.new("#{what}: not all of these bytes are mapped")
    when Errno::EINVAL then raise ArgumentError.new("#{what}: not bytes of a mapping, or not possible with them")
    else                    raise RuntimeError.from_os_error(what, error)
    end
  end

  # :nodoc:
  def self.size_from(number : Int, what : String) : LibC::SizeT
    raise ArgumentError.new("Negative #{what}: #{number}") if number < 0
    raise ArgumentError.new("#{what} out of range: #{number}") if number > Int64::MAX
    LibC::SizeT.new(number)
  end
end

require "./gcmmap/mapping"
