# What is used of gcmmap.h, which says what each function does.
# SPDX-License-Identifier: MIT

@[Link("gcmmap")]
lib LibGcmmap
  alias Region = Void*

  READ         =  0x1_u32
  WRITE        =  0x2_u32
  PRIVATE      =  0x8_u32
  POINTER_FREE = 0x10_u32
  SYNC         =  0x1_u32
  ASYNC        =  0x2_u32
  INVALIDATE   =  0x4_u32
  REST         = LibC::SizeT::MAX

  struct Slice
    data : UInt8*
    size : LibC::SizeT
  end

  struct Options
    room : LibC::SizeT
    alignment : LibC::SizeT
    released : Void*
    data : Void*
    address : Void*
    name : LibC::Char*
    reserved : LibC::SizeT[6]
  end

  struct Stats
    n_live : LibC::SizeT
    n_closed : LibC::SizeT
    n_dying : LibC::SizeT
    n_pooled : LibC::SizeT
    n_mapped : LibC::SizeT
    n_released : LibC::SizeT
    n_unmapped_now : LibC::SizeT
    bytes_live : LibC::SizeT
    bytes_traced : LibC::SizeT
    bytes_dying : LibC::SizeT
    bytes_reserved : LibC::SizeT
    n_collections : LibC::SizeT
    reserved : LibC::SizeT[12]
  end

  fun open_with = gcmmap_open_with(path : LibC::Char*, flags : LibC::UInt, options : Options*) : Region
  fun map_with = gcmmap_map_with(fd : LibC::Int, offset : LibC::OffT, size : LibC::SizeT,
                                 flags : LibC::UInt, options : Options*) : Region
  fun alloc = gcmmap_alloc(size : LibC::SizeT, flags : LibC::UInt) : Region
  fun bytes = gcmmap_bytes(region : Region) : Slice
  fun of = gcmmap_of(pointer : Void*) : Region
  fun sync = gcmmap_sync(p : Void*, size : LibC::SizeT, flags : LibC::UInt) : LibC::Int
  fun protect = gcmmap_protect(p : Void*, size : LibC::SizeT, access : LibC::UInt) : LibC::Int
  fun advise = gcmmap_advise(p : Void*, size : LibC::SizeT, advice : LibC::Int) : LibC::Int
  fun prefetch = gcmmap_prefetch(p : Void*, size : LibC::SizeT) : LibC::Int
  fun unload = gcmmap_unload(p : Void*, size : LibC::SizeT) : LibC::Int
  fun lock = gcmmap_lock(p : Void*, size : LibC::SizeT) : LibC::Int
  fun unlock = gcmmap_unlock(p : Void*, size : LibC::SizeT) : LibC::Int
  fun residency = gcmmap_residency(p : Void*, size : LibC::SizeT, pages : UInt8*,
                                   n_pages : LibC::SizeT, n_resident : LibC::SizeT*) : LibC::Int
  fun copy_out = gcmmap_copy_out(to : Void*, p : Void*, size : LibC::SizeT) : LibC::SSizeT
  fun copy_in = gcmmap_copy_in(p : Void*, from : Void*, size : LibC::SizeT) : LibC::SSizeT
  fun extend = gcmmap_extend(region : Region, size : LibC::SizeT) : LibC::Int
  fun refresh = gcmmap_refresh(region : Region) : LibC::Int
  fun truncate = gcmmap_truncate(region : Region, size : LibC::SizeT) : LibC::Int
  fun close = gcmmap_close(region : Region) : LibC::Int
  fun collect = gcmmap_collect : LibC::SizeT
  fun get_stats = gcmmap_get_stats(stats : Stats*) : Void
end
