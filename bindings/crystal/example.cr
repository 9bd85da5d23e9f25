# Which words of a file are longest?  Words are slices of the mapped file: none is copied
# before it is printed, and the file is unmapped once the words are forgotten.
#
#     crystal run example.cr -- /usr/share/dict/words
#
# SPDX-License-Identifier: MIT
require "gcmmap"

def words(path) : Array(Bytes)
  bytes = Gcmmap.map(path)
  found = [] of Bytes
  start = 0
  while newline = bytes.index('\n'.ord.to_u8, start)
    found << bytes[start...newline]
    start = newline + 1
  end
  found << bytes + start
end

words(ARGV[0]).sort_by { |word| -word.size }.first(5).each do |word|
  STDOUT.write(word)
  puts
end
