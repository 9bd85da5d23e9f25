# tap: TAP, files and witnesses for tests in Crystal.
# SPDX-License-Identifier: MIT

require "gcmmap"

module Tap
  extend self

  @@n_done = 0
  @@n_failed = 0

  def ok(is_true, name : String) : Nil
    @@n_done += 1
    @@n_failed += 1 unless is_true
    puts "#{is_true ? "ok" : "not ok"} #{@@n_done} - #{name}"
    STDOUT.flush
  end

  def is(got, expected, name : String) : Nil
    ok(got == expected, name)
    puts "#      got: #{got.inspect}\n# expected: #{expected.inspect}" unless got == expected
  end

  def raises(kind : Exception.class, name : String, errno : Errno? = nil, &) : Nil
    got = begin
      yield
      nil
    rescue e
      e
    end
    right = got.class == kind
    right &&= got.responds_to?(:os_error) && got.os_error == errno if errno
    ok(right, name)
    puts "# got: #{got.inspect}" unless right
  end

  def finish : Nil
    puts "1..#{@@n_done}"
    exit(@@n_failed == 0 ? 0 : 1)
  end

  def byte_at(seed, offset) : UInt8
    (seed &+ 31 &* offset &+ offset // 251).to_u8!
  end

  def contents(seed, size) : Bytes
    Bytes.new(size) { |i| byte_at(seed, i) }
  end

  def has_bytes?(bytes, seed, offset = 0) : Bool
    bytes.each_with_index do |byte, i|
      return false unless byte == byte_at(seed, i + offset)
    end
    true
  end

  def with_directory(&)
    path = File.tempname("gcmmap-crystal")
    Dir.mkdir(path)
    begin
      yield path
    ensure
      Dir.each_child(path) { |name| File.delete(File.join(path, name)) }
      Dir.delete(path)
    end
  end

  # The kernel's word: lines of /proc/self/maps that name the file; all lines for nil.
  def n_maps_of(path : String?) : Int32
    File.read("/proc/self/maps").each_line.count { |line| path.nil? || line.includes?(path) }
  end

  # Overwrites what is left of pointers on the stack.
  @[NoInline]
  def scrub : UInt8
    junk = uninitialized UInt8[16384]
    pointer = junk.to_unsafe
    Intrinsics.memset(pointer.as(Void*), 0x55_u8, 16384, true)
    make_noise
    pointer[77]
  end

  def make_noise : Nil
    2000.times { |i| Bytes.new(8 * (i % 40) + 1) }
  end

  # Conservative collection may need more than one round.
  def collect_until(& : -> Bool) : Bool
    20.times do
      scrub
      Gcmmap.collect
      Fiber.yield
      return true if yield
    end
    false
  end
end
