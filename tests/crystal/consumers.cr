# A message store as LavinMQ has it: messages are appended to segment files, which are mapped;
# consumers get slices of them, no copies, and keep those for as long as they like, while the
# segment is closed, its file deleted, and another file of the same name put in its place.
#
# With mmap and a finalizer that calls munmap this crashes; never unmapping leaks.
# SPDX-License-Identifier: MIT

require "./tap"

SEGMENT_SIZE = 32 * 1024
MESSAGE_SIZE = 4000
N_SEGMENTS   = 5000
N_NAMES      =   16 # files that are there at once, each replaced again and again
N_CONSUMERS  =    8
N_KEPT       =   50 # messages that a consumer has in hand
PER_SEGMENT  = SEGMENT_SIZE // MESSAGE_SIZE

# Its bytes are its number, again and again.
record Message, number : Int32, body : Bytes do
  def words : Slice(Int32)
    body.unsafe_slice_of(Int32)
  end

  def fill : self
    words.fill(number)
    self
  end

  def right? : Bool
    {0, 1, 500, 998, 999}.all? { |i| words[i] == number }
  end
end

class Consumer
  getter n_seen = 0
  getter n_wrong = 0

  def initialize(@messages : Channel(Message), @done : Channel(Nil))
    @kept = Deque(Message).new
  end

  def run : Nil
    while message = @messages.receive?
      @kept << message
      look_at(@kept.shift) if @kept.size > N_KEPT
      Fiber.yield if message.number % 7 == 0
    end
    while message = @kept.shift?
      look_at(message)
    end
    @done.send(nil)
  end

  private def look_at(message) : Nil
    @n_seen += 1
    @n_wrong += 1 unless message.right?
  end
end

class Segment
  @mapping : Gcmmap::Mapping

  def initialize(@path : String)
    File.delete?(@path)
    File.open(@path, "w") { |file| file.truncate(SEGMENT_SIZE) }
    @mapping = Gcmmap::Mapping.open(@path, write: true)
    @at = 0
  end

  # Appends a message and returns where it is now.
  def write(number) : Message
    body = @mapping[@at, MESSAGE_SIZE]
    @at += MESSAGE_SIZE
    Message.new(number, body).fill
  end

  def close : Nil
    @mapping.close
  end

  # What happens to a segment all of whose messages have been acknowledged; consumers may hold
  # them still.
  def delete : Nil
    close
    File.delete(@path)
  end
end

def run_store(directory) : Nil
  messages = Channel(Message).new(100)
  done = Channel(Nil).new
  consumers = Array.new(N_CONSUMERS) { Consumer.new(messages, done) }
  consumers.each { |consumer| spawn { consumer.run } }

  n_before = Tap.n_maps_of(nil)
  n_maps = [] of Int32
  segments = Deque(Segment).new
  number = 0
  N_SEGMENTS.times do |i|
    segment = Segment.new(File.join(directory, "msgs.#{i % N_NAMES}"))
    PER_SEGMENT.times do
      messages.send(segment.write(number))
      number += 1
    end
    segments << segment
    old = segments.shift if segments.size > N_NAMES // 2
    i % 2 == 0 ? old.close : old.delete if old
    n_maps << Tap.n_maps_of(nil) if i % 100 == 99
  end
  segments.clear
  messages.close
  N_CONSUMERS.times { done.receive }

  Tap.is(consumers.sum(&.n_seen), number, "every message was seen")
  Tap.is(consumers.sum(&.n_wrong), 0, "each with its own bytes, though its file was gone")
  # gcmmap collects after 1,024 mappings, two lines each, if nobody does before.
  most = n_maps.max
  Tap.ok(most < n_before + 3000, "the map count stays flat")
  puts "# map count: #{n_before} at first, then at most #{most}; #{n_maps.last} at the end"
end

Tap.with_directory do |directory|
  run_store(directory)
  gone = Tap.collect_until { Gcmmap.stats.live <= N_SEGMENTS // 100 }
  Tap.ok(gone, "nothing leaks (one in a hundred may be held by accident)")
  puts "# #{Gcmmap.stats.live} of #{Gcmmap.stats.mapped} are left"
end

Tap.finish
