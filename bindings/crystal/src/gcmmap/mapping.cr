# SPDX-License-Identifier: MIT

module Gcmmap
  # A mapped file as an object: its slices, its size, its end.
  #
  # ```
  # segment = Gcmmap::Mapping.open("segment.0001")
  # message = segment[offset, size] # Bytes, valid for as long as somebody has it
  # segment.close                   # takes nothing from those who have slices
  # ```
  #
  # Slices keep the file mapped by themselves; the `Mapping` need not be kept for them.
  class Mapping
    # The file's name, as it was given.
    getter name : String
    @region : LibGcmmap::Region
    @read_only : Bool

    # Map the file named *path*, as `Gcmmap.map` does. With *room*, a number of bytes, the mapping
    # can grow in place to as many: `extend`, `refresh`.
    def self.open(path : Path | String, *, offset : Int = 0, size : Int? = nil,
                  write : Bool = false, copy_on_write : Bool = false, room : Int = 0) : Mapping
      name = path.to_s
      name.check_no_null_byte
      start = Gcmmap.size_from(offset, "offset")
      n_bytes = size ? Gcmmap.size_from(size, "size") : LibGcmmap::REST
      flags = flags_for(write, copy_on_write)
      options = options_for(name, room)
      if start == 0 && !size
        region = LibGcmmap.open_with(name, flags, pointerof(options))
      else
        # O_NONBLOCK: opening a pipe would wait for somebody to write.
        mode = write && !copy_on_write ? LibC::O_RDWR : LibC::O_RDONLY
        fd = LibC.open(name, mode | LibC::O_CLOEXEC | LibC::O_NONBLOCK)
        raise error_for(name, Errno.value) if fd < 0
        region = LibGcmmap.map_with(fd, start.to_i64, n_bytes, flags, pointerof(options))
        error = Errno.value
        LibC.close(fd)
        Errno.value = error
      end
      raise error_for(name, Errno.value) if region.null?
      new(region, name, !write && !copy_on_write)
    end

    # The same of an open file.
    def self.open(file : IO::FileDescriptor, *, offset : Int = 0, size : Int? = nil,
                  write : Bool = false, copy_on_write : Bool = false, room : Int = 0) : Mapping
      name = file.responds_to?(:path) ? file.path : "descriptor #{file.fd}"
      start = Gcmmap.size_from(offset, "offset")
      n_bytes = size ? Gcmmap.size_from(size, "size") : LibGcmmap::REST
      options = options_for(name, room)
      file.flush unless file.closed?
      region = LibGcmmap.map_with(file.fd, start.to_i64, n_bytes, flags_for(write, copy_on_write),
        pointerof(options))
      raise error_for(name, Errno.value) if region.null?
      new(region, name, !write && !copy_on_write)
    end

    # :nodoc:
    protected def initialize(@region, @name, @read_only)
    end

    # Number of bytes.
    def size : Int64
      bytes.size.to_i64
    end

    # All bytes as a slice. Raises `ArgumentError` if they are more than a slice can have.
    def to_slice : Bytes
      all = bytes
      if all.size > Int32::MAX
        raise ArgumentError.new("#{@name} has more bytes than a slice can have: #{all.size}")
      end
      Bytes.new(all.data, all.size, read_only: @read_only)
    end

    # *count* bytes from *start* on, as a slice. Raises `IndexError` if not all are there.
    def [](start : Int, count : Int) : Bytes
      self[start, count]? || raise IndexError.new
    end

    # As `[]`; `nil` if not all are there.
    def []?(start : Int, count : Int) : Bytes?
      all = bytes
      return unless 0 <= start <= all.size
      return unless 0 <= count <= all.size - start && count <= Int32::MAX
      Bytes.new(all.data + start, count, read_only: @read_only)
    end

    # Forget the file. Slices that others have stay valid; the collector unmaps the file after
    # the last of them. The mapping itself raises `ClosedError` from then on.
    def close : Nil
      @region = Pointer(Void).null
    end

    # Unmap the file now. Reading a slice that is left ends the program; it never shows other
    # bytes. Only for those who know that there is none, or must give the file up.
    def revoke : Nil
      region = @region
      return if region.null?
      change("revoke") { LibGcmmap.close(region) }
      @region = Pointer(Void).null
    end

    # Whether it was closed, or revoked.
    def closed? : Bool
      @region.null?
    end

    # Grow in place to *size* bytes at least, with the file if that is mapped shared and with
    # `write`. Slices stay valid. Needs *room*.
    def extend(size : Int) : Nil
      n_bytes = Gcmmap.size_from(size, "size")
      change("extend") { LibGcmmap.extend(open_region, n_bytes) }
    end

    # End where the file ends now, up to *room*: for files that others append to.
    def refresh : Nil
      change("refresh") { LibGcmmap.refresh(open_region) }
    end

    # Shrink to the first *size* bytes, with the file if that is mapped shared and with `write`.
    # Whole pages behind them cannot be read any more.
    def truncate(size : Int) : Nil
      n_bytes = Gcmmap.size_from(size, "size")
      change("truncate") { LibGcmmap.truncate(open_region, n_bytes) }
    end

    # Write what was stored to the file.
    def sync(*, wait : Bool = true) : Nil
      all = bytes
      flags = wait ? LibGcmmap::SYNC : LibGcmmap::ASYNC
      change("sync") { LibGcmmap.sync(all.data, all.size, flags) }
    end

    def to_s(io : IO) : Nil
      io << "#<Gcmmap::Mapping " << @name << (closed? ? " (closed)>" : ">")
    end

    def inspect(io : IO) : Nil
      to_s(io)
    end

    private def open_region : LibGcmmap::Region
      raise ClosedError.new("The mapping of #{@name} was closed") if @region.null?
      @region
    end

    private def bytes : LibGcmmap::Slice
      LibGcmmap.bytes(open_region)
    end

    private def change(what : String, & : -> LibC::Int) : Nil
      return if (yield) == 0
      case error = Errno.value
      when Errno::ERANGE
        raise IndexError.new("#{what}: #{@name} has not so many bytes, or no room for them")
      else
        raise File::Error.from_os_error(what, error, file: @name)
      end
    end

    # No place for objects: nothing looks for them in the bytes.
    private def self.flags_for(write, copy_on_write) : UInt32
      flags = LibGcmmap::READ | LibGcmmap::POINTER_FREE
      flags |= LibGcmmap::WRITE if write || copy_on_write
      flags |= LibGcmmap::PRIVATE if copy_on_write
      flags
    end

    private def self.options_for(name, room) : LibGcmmap::Options
      options = LibGcmmap::Options.new
      options.room = Gcmmap.size_from(room, "room")
      options.name = name
      options
    end

    private def self.error_for(name, error : Errno) : Exception
      message = case error
                when Errno::ENXIO     then "The range does not lie inside the file"
                when Errno::EOVERFLOW then "Too large to be mapped"
                when Errno::ENOMEM    then "No address space or map slots left"
                else                       "Cannot be mapped"
                end
      File::Error.from_os_error(message, error, file: name)
    end
  end
end
