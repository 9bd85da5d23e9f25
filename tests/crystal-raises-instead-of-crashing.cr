# Bad input and use after close raise exceptions that say what is wrong.
# SPDX-License-Identifier: MIT

require "./crystal/tap"

def raises(kind, what, errno = nil, &block)
  Tap.raises(kind, "#{kind}: #{what}", errno, &block)
end

# What reading a revoked slice does to the program.
def read_revoked : Nil
  mapping = Gcmmap::Mapping.open("/proc/self/exe")
  bytes = mapping.to_slice
  mapping.revoke
  puts bytes[0]
end

if ARGV == ["revoked"]
  read_revoked
  exit
end

Tap.with_directory do |directory|
  path = File.join(directory, "file")
  File.write(path, "alpha\nbeta\ngamma\n")
  bytes = Gcmmap.map(path)
  mapping = Gcmmap::Mapping.open(path)

  raises(File::NotFoundError, "no such file", Errno::ENOENT) { Gcmmap.map("/nonexistent/file") }
  raises(File::Error, "a directory", Errno::EISDIR) { Gcmmap.map(directory) }
  raises(File::Error, "a file without a size", Errno::ENODEV) { Gcmmap.map("/proc/self/status") }
  raises(File::Error, "offset behind the end", Errno::ENXIO) { Gcmmap.map(path, offset: 18) }
  raises(File::Error, "offset far behind it", Errno::ENXIO) { Gcmmap.map(path, offset: Int64::MAX) }
  raises(File::Error, "size behind the end", Errno::ENXIO) { Gcmmap.map(path, offset: 10, size: 8) }
  raises(File::Error, "more bytes than there are addresses", Errno::EOVERFLOW) { Gcmmap.map(path, offset: 1, size: Int64::MAX) }
  raises(File::AccessDeniedError, "file not open for writing", Errno::EACCES) { File.open(path) { |f| Gcmmap.map(f, write: true) } }
  raises(File::Error, "a closed file", Errno::EBADF) { file = File.open(path); file.close; Gcmmap.map(file) }
  raises(File::Error, "a pipe", Errno::ENODEV) { IO.pipe { |reader, _| Gcmmap.map(reader) } }
  raises(ArgumentError, "a 0 in the name") { Gcmmap.map("a\0b") }
  raises(ArgumentError, "negative offset") { Gcmmap.map(path, offset: -1) }
  raises(ArgumentError, "offset that is no file offset") { Gcmmap.map(path, offset: UInt64::MAX) }
  raises(ArgumentError, "offset beyond all integers") { Gcmmap.map(path, offset: UInt128::MAX) }
  raises(ArgumentError, "negative size") { Gcmmap.map(path, size: -1) }
  raises(ArgumentError, "negative room") { Gcmmap::Mapping.open(path, room: -1) }
  raises(ArgumentError, "negative amount of memory") { Gcmmap.memory(-1) }
  raises(ArgumentError, "memory of more than a slice has") { Gcmmap.memory(3_i64 << 30) }
  raises(Exception, "storing into a read-only slice") { bytes[0] = 1_u8 }
  raises(Exception, "copying to a read-only slice") { bytes[2, 3].fill(0_u8) }
  raises(IndexError, "index behind the end") { bytes[17] }
  raises(IndexError, "slice behind the end") { bytes[10, 8] }
  raises(IndexError, "part behind the end") { mapping[10, 8] }
  raises(IndexError, "part with a negative start") { mapping[-1, 2] }
  raises(IndexError, "part with a negative count") { mapping[1, -2] }
  raises(IndexError, "part beyond all integers") { mapping[Int64::MAX, Int64::MAX] }
  raises(ArgumentError, "sync of other bytes") { Gcmmap.sync(Bytes.new(10)) }
  raises(ArgumentError, "advice for other bytes") { Gcmmap.advise("text".to_slice, Gcmmap::Advice::Random) }
  raises(ArgumentError, "advice that there is not") { Gcmmap.advise(bytes, Gcmmap::Advice.new(77)) }
  raises(ArgumentError, "access that there is not") { Gcmmap.protect(bytes, Gcmmap::Access.new(64)) }
  raises(IndexError, "prefetch of more than is mapped") { Gcmmap.prefetch(Bytes.new(bytes.to_unsafe, 5000)) }
  raises(File::Error, "growing without room", Errno::EOPNOTSUPP) { mapping.extend(100) }
  raises(ArgumentError, "growing to a negative size") { mapping.extend(-100) }
  raises(File::Error, "shrinking without room", Errno::EOPNOTSUPP) { mapping.truncate(2) }
  Tap.is(Gcmmap.map(path, offset: 17).size, 0, "the end of a file is an empty range")
  Tap.is(mapping[18, 0]?, nil, "[]? is nil where [] raises")
  Tap.ok(!Gcmmap.mapped?(Bytes.new(3)), "other bytes are not mapped")
  Tap.ok(Gcmmap.mapped?(bytes[3, 2]), "slices are")

  # A file that has more bytes than a slice can have.
  big = File.join(directory, "big")
  File.open(big, "w") { |f| f.truncate(5_i64 << 30) }
  raises(ArgumentError, "a file of 5 GiB as one slice") { Gcmmap.map(big) }
  large = Gcmmap::Mapping.open(big)
  Tap.is(large.size, 5_i64 << 30, "as a mapping it has its size")
  Tap.is(large[(5_i64 << 30) - 3, 3], Bytes.new(3), "and slices anywhere")
  raises(IndexError, "a slice of 3 GiB") { large[0, 3_i64 << 30] }
  raises(ArgumentError, "all of it") { large.to_slice }

  # Use after close.
  part = mapping[6, 4]
  mapping.close
  Tap.ok(mapping.closed?, "closed")
  raises(Gcmmap::ClosedError, "size of a closed mapping") { mapping.size }
  raises(Gcmmap::ClosedError, "part of a closed mapping") { mapping[0, 1] }
  raises(Gcmmap::ClosedError, "slice of a closed mapping") { mapping.to_slice }
  raises(Gcmmap::ClosedError, "sync of a closed mapping") { mapping.sync }
  raises(Gcmmap::ClosedError, "refresh of a closed mapping") { mapping.refresh }
  mapping.close
  mapping.revoke
  Tap.ok(true, "closing twice is fine")
  Tap.is(String.new(part), "beta", "its slices are still there")
  revoked = Gcmmap::Mapping.open(path)
  part = revoked[6, 4]
  revoked.revoke
  raises(Gcmmap::ClosedError, "size of a revoked mapping") { revoked.size }
  raises(Gcmmap::ClosedError, "prefetch of revoked bytes") { Gcmmap.prefetch(part) }
  Tap.ok(Gcmmap.mapped?(part), "revoked bytes are still those of a mapping")

  output = IO::Memory.new
  status = Process.run(Process.executable_path.not_nil!, ["revoked"], output: output, error: output)
  Tap.ok(status.exit_code == Signal::SEGV.value && output.to_s.includes?("Invalid memory access"),
    "reading them ends the program with Crystal's own word")

  # Files that vanish or shrink.
  File.delete(path)
  Tap.is(String.new(bytes[0, 5]), "alpha", "a deleted file stays mapped")
  raises(File::NotFoundError, "and cannot be mapped again") { Gcmmap.map(path) }
  File.open(path, "w+") do |file|
    file << "long enough"
    file.flush
    file.truncate(3)
    raises(File::Error, "a file that shrank", Errno::ENXIO) { Gcmmap.map(file, size: 8) }
    Tap.is(String.new(Gcmmap.map(file)), "lon", "or what is left of it")
  end

  # Truncated under a mapping.
  File.write(path, Tap.contents(3, 10_000))
  shrunk = Gcmmap.map(path, write: true)
  Tap.is(Gcmmap.read(shrunk), Tap.contents(3, 10_000), "a safe copy is a copy")
  Gcmmap.write(shrunk[5000, 5000], Tap.contents(9, 5000))
  Tap.is(Gcmmap.read(shrunk[5000, 5000]), Tap.contents(9, 5000), "and back")
  File.open(path, "r+", &.truncate(100))
  raises(Gcmmap::LostError, "reading what was cut off") { Gcmmap.read(shrunk[4096, 10]) }
  raises(Gcmmap::LostError, "storing there") { Gcmmap.write(shrunk[4096, 10], Bytes.new(10)) }
  copied = begin
    Gcmmap.read(shrunk)
    nil
  rescue e : Gcmmap::LostError
    e.copied
  end
  Tap.is(copied, 4096, "the exception tells how many bytes there were")
  raises(IndexError, "storing more than there is place for") { Gcmmap.write(shrunk[0, 3], Bytes.new(4)) }
  raises(ArgumentError, "storing into a read-only slice, safely") { Gcmmap.write(Gcmmap.map(path), Bytes.new(4)) }
  raises(ArgumentError, "a safe copy of other bytes") { Gcmmap.read(Bytes.new(4)) }
  raises(Gcmmap::ClosedError, "a safe copy of revoked bytes") { Gcmmap.read(part) }
end

Tap.finish
