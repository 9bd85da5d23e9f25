/*
 * gcmmap.hpp: gcmmap.h in the words of C++20.
 *
 * SPDX-License-Identifier: MIT
 *
 *     std::string_view text = gcmmap::open("words.txt").text();
 *     for (std::string_view line : gcmmap::lines(text))
 *         ...
 *
 * The collector owns all regions, so nothing here owns anything: a region is a pointer with
 * member functions, copied as one, and has no destructor to run.  Views and spans are plain
 * pointers and sizes, and keep their region mapped wherever the collector looks.  What each
 * function does, to which bytes, and from which threads, is said in gcmmap.h at the function
 * of the same name.  Here they differ in this:
 *
 *   - Where the C function fails, std::system_error is thrown; its code() is errno, of
 *     std::generic_category(), and can be compared with std::errc.
 *   - Bytes are std::span, text is std::string_view; both may be given where some bytes of
 *     a region are asked for (part), and a region, too: all of it.
 *   - No `released` callback may let an exception out.
 *
 * What to know first, in C++
 *
 *   - The collector does not look into memory of operator new and malloc.  A view inside a
 *     std::string, a std::vector, a std::function or a std::shared_ptr keeps nothing, unless its
 *     allocator is the collector's: std::vector<std::string_view,
 *     gc_allocator<std::string_view>>, of <gc/gc_allocator.h>.
 *   - It does not know the threads of std::thread: call GC_allow_register_threads() once, and
 *     GC_register_my_thread() in each.
 *   - A region that is traced can be all the memory of containers, and then goes with them:
 *     std::pmr::monotonic_buffer_resource on its bytes().
 */
#ifndef GCMMAP_HPP
#define GCMMAP_HPP

#include "gcmmap.h"

#include <cerrno>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace gcmmap
{

using options = ::gcmmap_options; /* gcmmap::options{ .room = 1 << 30 } */
using copying = ::gcmmap_copying;
using budget = ::gcmmap_budget;
using pacing = ::gcmmap_pacing;
using stats = ::gcmmap_stats;
using slice_object = ::gcmmap_slice_object;

/** Everything from the offset to the end. */
inline constexpr std::size_t rest = static_cast<std::size_t>(-1); /* GCMMAP_REST */

namespace detail
{

[[noreturn]] inline void fail(const std::string &what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

template <class T> T *some(T *pointer, const char *what)
{
    if (pointer == nullptr)
        fail(what);
    return pointer;
}

inline void success(int result, const char *what)
{
    if (result != 0)
        fail(what);
}

inline ::gcmmap_slice to_slice(std::string_view text) noexcept
{
    /* The type of C's slices has no const; those who get this one only read. */
    auto *data = reinterpret_cast<unsigned char *>(const_cast<char *>(text.data()));
    return { data, text.size() };
}

inline std::string_view to_text(::gcmmap_slice slice) noexcept
{
    return { reinterpret_cast<const char *>(slice.data), slice.size };
}

} // namespace detail

/** A region's handle.  An empty one, region(), is false, and a handle of nothing: EINVAL. */
class region
{
  public:
    constexpr region() noexcept = default;
    constexpr explicit region(::gcmmap_region *handle) noexcept : handle_(handle)
    {
    }

    /** The region that a pointer belongs to; empty if there is none. */
    static region of(const void *pointer) noexcept
    {
        return region(::gcmmap_of(pointer));
    }

    /** For the functions of gcmmap.h. */
    constexpr ::gcmmap_region *handle() const noexcept
    {
        return handle_;
    }
    constexpr explicit operator bool() const noexcept
    {
        return handle_ != nullptr;
    }
    constexpr auto operator<=>(const region &) const noexcept = default;

    void *data() const
    {
        return detail::some(::gcmmap_data(handle_), "gcmmap_data");
    }
    std::size_t size() const
    {
        return bytes().size();
    }
    std::span<std::byte> bytes() const
    {
        ::gcmmap_slice all = ::gcmmap_bytes(handle_);
        return { reinterpret_cast<std::byte *>(detail::some(all.data, "gcmmap_bytes")), all.size };
    }
    std::string_view text() const
    {
        std::span<std::byte> all = bytes();
        return { reinterpret_cast<const char *>(all.data()), all.size() };
    }
    /** As many whole Ts as there are; EINVAL if they do not begin at an address for Ts. */
    template <class T> std::span<T> as() const
    {
        static_assert(std::is_trivially_copyable_v<T>, "bytes of a file have no constructor");
        std::span<std::byte> all = bytes();
        if (reinterpret_cast<std::uintptr_t>(all.data()) % alignof(T) != 0) {
            errno = EINVAL;
            detail::fail("gcmmap::region::as");
        }
        return { reinterpret_cast<T *>(all.data()), all.size() / sizeof(T) };
    }

    void extend(std::size_t size) const
    {
        detail::success(::gcmmap_extend(handle_, size), "gcmmap_extend");
    }
    void refresh() const
    {
        detail::success(::gcmmap_refresh(handle_), "gcmmap_refresh");
    }
    void truncate(std::size_t size) const
    {
        detail::success(::gcmmap_truncate(handle_, size), "gcmmap_truncate");
    }
    void close() const
    {
        detail::success(::gcmmap_close(handle_), "gcmmap_close");
    }
    void unmap_now() const
    {
        detail::success(::gcmmap_unmap_now(handle_), "gcmmap_unmap_now");
    }

  private:
    ::gcmmap_region *handle_ = nullptr;
};

/** A weak reference; region gives an empty one for a region that is gone. */
class weak
{
  public:
    constexpr weak() noexcept = default;
    explicit weak(region of) : weak_(::gcmmap_weak_of(of.handle()))
    {
        if (weak_.id == 0)
            detail::fail("gcmmap_weak_of");
    }
    region get() const noexcept
    {
        return region(::gcmmap_weak_get(weak_));
    }

  private:
    ::gcmmap_weak weak_ = {};
};

/* ---- mapping --------------------------------------------------------------------------- */

inline region open(const char *path, unsigned flags = GCMMAP_READ, const options &with = {})
{
    ::gcmmap_region *handle = ::gcmmap_open_with(path, flags, &with);
    if (handle == nullptr)
        detail::fail(std::string("gcmmap_open: ") + (path != nullptr ? path : "NULL"));
    return region(handle);
}

inline region open(const std::string &path, unsigned flags = GCMMAP_READ, const options &with = {})
{
    return open(path.c_str(), flags, with);
}

inline region map(int fd, std::int64_t offset = 0, std::size_t size = rest,
                  unsigned flags = GCMMAP_READ, const options &with = {})
{
    return region(detail::some(::gcmmap_map_with(fd, offset, size, flags, &with), "gcmmap_map"));
}

inline region alloc(std::size_t size, unsigned flags = 0, const options &with = {})
{
    return region(detail::some(::gcmmap_alloc_with(size, flags, &with), "gcmmap_alloc"));
}

/** A stable copy of what others may change. */
inline region snapshot(int fd, std::int64_t offset = 0, std::size_t size = rest,
                       unsigned flags = GCMMAP_READ, const options &with = {},
                       const copying &how = {})
{
    return region(
        detail::some(::gcmmap_snapshot(fd, offset, size, flags, &with, &how), "gcmmap_snapshot"));
}

inline region memfd(const char *name, std::size_t size, unsigned flags = 0,
                    const options &with = {}, int *fd = nullptr)
{
    return region(detail::some(::gcmmap_memfd(name, size, flags, &with, fd), "gcmmap_memfd"));
}

inline region shm(const char *name, std::size_t size = rest, unsigned flags = GCMMAP_READ,
                  const options &with = {})
{
    return region(detail::some(::gcmmap_shm(name, size, flags, &with), "gcmmap_shm"));
}

inline void shm_unlink(const char *name)
{
    detail::success(::gcmmap_shm_unlink(name), "gcmmap_shm_unlink");
}

inline region adopt(void *addr, std::size_t size, unsigned flags = 0,
                    void (*released)(void *addr, std::size_t size, void *data) = nullptr,
                    void *data = nullptr)
{
    return region(detail::some(::gcmmap_adopt(addr, size, flags, released, data), "gcmmap_adopt"));
}

/* ---- some bytes of a region -------------------------------------------------------------- */

/** What these functions take: any span, any text, or all of a region. */
struct part {
    const void *data = nullptr;
    std::size_t size = 0;

    constexpr part(const void *first, std::size_t n_bytes) noexcept : data(first), size(n_bytes)
    {
    }
    template <class T, std::size_t N>
    constexpr part(std::span<T, N> span) noexcept : data(span.data()), size(span.size_bytes())
    {
    }
    constexpr part(std::string_view text) noexcept : data(text.data()), size(text.size())
    {
    }
    part(region whole) : part(whole.bytes())
    {
    }
};

inline void sync(part some, unsigned flags = GCMMAP_SYNC)
{
    detail::success(::gcmmap_sync(some.data, some.size, flags), "gcmmap_sync");
}

inline void protect(part some, unsigned access)
{
    detail::success(::gcmmap_protect(some.data, some.size, access), "gcmmap_protect");
}

inline void advise(part some, int advice)
{
    detail::success(::gcmmap_advise(some.data, some.size, advice), "gcmmap_advise");
}

inline void prefetch(part some)
{
    detail::success(::gcmmap_prefetch(some.data, some.size), "gcmmap_prefetch");
}

inline void unload(part some)
{
    detail::success(::gcmmap_unload(some.data, some.size), "gcmmap_unload");
}

inline void lock(part some)
{
    detail::success(::gcmmap_lock(some.data, some.size), "gcmmap_lock");
}

inline void unlock(part some)
{
    detail::success(::gcmmap_unlock(some.data, some.size), "gcmmap_unlock");
}

/** How many of the pages are in memory; pages gets one byte for each, if it has any. */
inline std::size_t residency(part some, std::span<unsigned char> pages = {})
{
    std::size_t n_resident = 0;
    unsigned char *to = pages.empty() ? nullptr : pages.data();
    detail::success(::gcmmap_residency(some.data, some.size, to, pages.size(), &n_resident),
                    "gcmmap_residency");
    return n_resident;
}

/** Fills `to` with bytes that begin at `from`, without a fault.  \return how many were copied. */
inline std::size_t copy_out(std::span<std::byte> to, const void *from)
{
    ssize_t n = ::gcmmap_copy_out(to.data(), from, to.size());
    if (n < 0)
        detail::fail("gcmmap_copy_out");
    return static_cast<std::size_t>(n);
}

/** Copies bytes to `to` and behind it, without a fault.  \return how many were copied. */
inline std::size_t copy_in(void *to, std::span<const std::byte> from)
{
    ssize_t n = ::gcmmap_copy_in(to, from.data(), from.size());
    if (n < 0)
        detail::fail("gcmmap_copy_in");
    return static_cast<std::size_t>(n);
}

/* ---- guards --------------------------------------------------------------------------- */

/** What guarded() throws: code() is EFAULT, what() is gcmmap_fault_text(). */
class fault_error : public std::system_error
{
  public:
    explicit fault_error(const ::gcmmap_fault &fault)
        : std::system_error(EFAULT, std::generic_category(), text_of(fault)), fault_(fault)
    {
    }
    const ::gcmmap_fault &fault() const noexcept
    {
        return fault_;
    }

  private:
    static std::string text_of(const ::gcmmap_fault &fault)
    {
        std::string text(::gcmmap_fault_text(&fault, nullptr, 0), '\0');
        ::gcmmap_fault_text(&fault, text.data(), text.size() + 1);
        return text;
    }

    ::gcmmap_fault fault_;
};

/**
 * Calls fn(), whose accesses to a region throw fault_error where they would fault.  Of the
 * objects that live inside fn no destructor is run then: let it have none that matter.
 * Exceptions of its own come out as ever.
 */
template <class F> void guarded(F &&fn)
{
    ::gcmmap_fault fault;
    auto call = [](void *arg) { (*static_cast<std::remove_reference_t<F> *>(arg))(); };
    auto *arg = const_cast<void *>(static_cast<const void *>(std::addressof(fn)));
    if (::gcmmap_try(call, arg, &fault) != 0)
        throw fault_error(fault);
}

/* ---- slices -------------------------------------------------------------------------- */

/** Bytes of a region from a bare pointer into it, checked. */
inline std::span<std::byte> bytes_of(const void *pointer, std::size_t size)
{
    ::gcmmap_slice slice = ::gcmmap_slice_of(pointer, size);
    return { reinterpret_cast<std::byte *>(detail::some(slice.data, "gcmmap_slice_of")),
             slice.size };
}

/** A slice as an object of the collector's, for hosts without interior pointers. */
inline const slice_object *make_slice_object(part some)
{
    auto *data = static_cast<unsigned char *>(const_cast<void *>(some.data));
    return detail::some(::gcmmap_slice_object_new({ data, some.size }), "gcmmap_slice_object_new");
}

namespace detail
{

/** What a walk begins with, and how it makes a step. */
struct line_walk {
    std::string_view text;
    bool step(::gcmmap_slice &left, ::gcmmap_slice &found) const noexcept
    {
        return ::gcmmap_next_line(&left, &found) != 0;
    }
};

struct field_walk {
    std::string_view text;
    unsigned char separator;
    bool step(::gcmmap_slice &left, ::gcmmap_slice &found) const noexcept
    {
        return ::gcmmap_next_field(&left, separator, &found) != 0;
    }
};

/** A walk through parts of a text, as a forward range of views. */
template <class Walk> class walk
{
  public:
    class iterator
    {
      public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;

        iterator() noexcept = default;
        explicit iterator(const Walk &how) noexcept : walk_(how), left_(to_slice(how.text))
        {
            ++*this;
        }
        std::string_view operator*() const noexcept
        {
            return to_text(found_);
        }
        iterator &operator++() noexcept
        {
            if (!walk_.step(left_, found_))
                found_ = { nullptr, 0 };
            return *this;
        }
        iterator operator++(int) noexcept
        {
            iterator before = *this;
            ++*this;
            return before;
        }
        /* No two parts begin and end at the same place. */
        friend bool operator==(const iterator &a, const iterator &b) noexcept
        {
            return a.found_.data == b.found_.data && a.left_.data == b.left_.data;
        }
        friend bool operator==(const iterator &a, std::default_sentinel_t) noexcept
        {
            return a.found_.data == nullptr;
        }

      private:
        Walk walk_ = {};
        ::gcmmap_slice left_ = { nullptr, 0 }, found_ = { nullptr, 0 };
    };

    explicit walk(const Walk &how) noexcept : walk_(how)
    {
    }
    iterator begin() const noexcept
    {
        return iterator(walk_);
    }
    std::default_sentinel_t end() const noexcept
    {
        return {};
    }

  private:
    Walk walk_;
};

} // namespace detail

/** The lines of a text, without their ends: gcmmap_next_line(). */
inline auto lines(std::string_view text) noexcept
{
    return detail::walk<detail::line_walk>({ text });
}

/** What stands between separators: gcmmap_next_field(). */
inline auto fields(std::string_view text, char separator) noexcept
{
    return detail::walk<detail::field_walk>({ text, static_cast<unsigned char>(separator) });
}

/* ---- the collector ----------------------------------------------------------------------- */

inline std::size_t collect()
{
    return ::gcmmap_collect();
}

inline std::size_t trim()
{
    return ::gcmmap_trim();
}

inline budget get_budget() noexcept
{
    budget result;
    ::gcmmap_get_budget(&result);
    return result;
}

inline void set_budget(const budget &limits)
{
    detail::success(::gcmmap_set_budget(&limits), "gcmmap_set_budget");
}

inline pacing get_pacing() noexcept
{
    pacing result;
    ::gcmmap_get_pacing(&result);
    return result;
}

inline void set_pacing(const pacing &rhythm)
{
    detail::success(::gcmmap_set_pacing(&rhythm), "gcmmap_set_pacing");
}

inline stats get_stats() noexcept
{
    stats result;
    ::gcmmap_get_stats(&result);
    return result;
}

/* ---- looking at regions ------------------------------------------------------------------ */

inline void list(std::FILE *to, unsigned flags = 0)
{
    detail::success(::gcmmap_list(to, flags), "gcmmap_list");
}

inline void report(std::FILE *to)
{
    detail::success(::gcmmap_report(to), "gcmmap_report");
}

inline void print_why(std::FILE *to, const void *pointer)
{
    detail::success(::gcmmap_print_why(to, pointer), "gcmmap_print_why");
}

/** Last words before the process dies of a fault of a region. */
inline void report_faults(unsigned what = GCMMAP_REPORT_FAULTS)
{
    detail::success(::gcmmap_report_faults(what), "gcmmap_report_faults");
}

} // namespace gcmmap

#endif
