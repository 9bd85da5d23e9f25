/*
 * map: the public calls on regions.  Checks arguments, opens files, sets errno.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>

#include "gcmmap.h"
#include "map.h"
#include "os.h"
#include "region.h"

#define ACCESS (GCMMAP_READ | GCMMAP_WRITE | GCMMAP_EXEC)
#define ALL_FLAGS                                                                                  \
    (ACCESS | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE | GCMMAP_TRACED | GCMMAP_BY_HANDLE |            \
     GCMMAP_WRITE_BACK | GCMMAP_POPULATE | GCMMAP_HUGE | GCMMAP_HUGE_ONLY | GCMMAP_NORESERVE |     \
     GCMMAP_LOCK | GCMMAP_SYNC_DAX | GCMMAP_GROWSDOWN | GCMMAP_NO_FORK | GCMMAP_NO_DUMP |          \
     GCMMAP_SECRET | GCMMAP_PARTIAL | GCMMAP_GUARDED | GCMMAP_ZERO_FILL)

/* Of memory that does not begin with a page; as malloc(3) gives. */
#define MEMORY_ALIGNMENT ((size_t)16)

/* Sets errno; on success to what it was: finalizers may have run since. */
static int result_of(int error, int saved_errno)
{
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? -1 : 0;
}

static bool is_traced(unsigned flags)
{
    bool by_default = (flags & GCMMAP_WRITE) && (flags & GCMMAP_PRIVATE);

    return (flags & GCMMAP_TRACED) ||
           (by_default && !(flags & (GCMMAP_POINTER_FREE | GCMMAP_SECRET)));
}

static int check_flags(unsigned flags)
{
    bool stores_reach_file = (flags & (GCMMAP_WRITE | GCMMAP_PRIVATE)) == GCMMAP_WRITE;
    /* What is only executable cannot be read. */
    bool is_not_traced =
        (flags & (GCMMAP_POINTER_FREE | GCMMAP_SECRET)) || (flags & ACCESS) == GCMMAP_EXEC;

    if ((flags & ACCESS) == 0 || (flags & ~ALL_FLAGS) != 0)
        return EINVAL;
    if ((flags & GCMMAP_WRITE_BACK) && !stores_reach_file)
        return EINVAL;
    if ((flags & GCMMAP_PARTIAL) && ((flags & GCMMAP_BY_HANDLE) || is_traced(flags)))
        return EINVAL;
    if ((flags & GCMMAP_TRACED) && is_not_traced)
        return EINVAL;
    if ((flags & GCMMAP_HUGE) && (flags & GCMMAP_HUGE_ONLY))
        return EINVAL;
    if ((flags & GCMMAP_SECRET) && (flags & (GCMMAP_HUGE | GCMMAP_HUGE_ONLY)))
        return EINVAL;
    if ((flags & GCMMAP_SYNC_DAX) && (flags & GCMMAP_PRIVATE))
        return EINVAL;
    return flags & GCMMAP_GROWSDOWN ? ENOTSUP : 0;
}

size_t map_most_bytes(unsigned flags)
{
    /* Rounded up to pages it must still be a size, and the difference of two pointers. */
    return flags & GCMMAP_BY_HANDLE ? PTRDIFF_MAX / 4 * 3 : GCMMAP_SIZE_MAX;
}

static bool is_too_large(size_t n_bytes, unsigned flags)
{
    return n_bytes > map_most_bytes(flags);
}

/* Of what is said to be nothing but zero. */
static bool is_all_zero(const size_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (words[i] != 0)
            return false;
    return true;
}

static int check_options(const gcmmap_options *options, unsigned flags,
                         struct region_request *request)
{
    if (options == NULL)
        return 0;
    if ((options->alignment & (options->alignment - 1)) != 0 ||
        !is_all_zero(options->reserved, sizeof options->reserved / sizeof *options->reserved))
        return EINVAL;
    if (is_too_large(options->room, flags) || is_too_large(options->alignment, flags))
        return EOVERFLOW;
    if (options->address != NULL) {
        size_t unit = options->alignment > os_page_size() ? options->alignment : os_page_size();

        if (!(flags & GCMMAP_BY_HANDLE))
            return ENOTSUP;
        if ((uintptr_t)options->address % unit != 0)
            return EINVAL;
    }
    request->address = options->address;
    request->name = options->name;
    request->room = options->room;
    request->alignment = options->alignment;
    request->released = options->released;
    request->truncated = options->truncated;
    request->data = options->data;
    return 0;
}

int map_check(unsigned flags, const gcmmap_options *options)
{
    struct region_request request;
    int error = check_flags(flags);

    return error != 0 ? error : check_options(options, flags, &request);
}

/* What only memory can be, and what only a file. */
static bool is_misplaced(const struct region_request *request)
{
    const unsigned of_memory = GCMMAP_SECRET | GCMMAP_HUGE_ONLY;

    return request->of_file
               ? (request->mapping.flags & of_memory) != 0
               : (request->mapping.flags & GCMMAP_ZERO_FILL) || request->truncated != NULL;
}

/* What can be said of it without a look at the file. */
static int check_request(struct region_request *request, const gcmmap_options *options)
{
    unsigned flags = request->mapping.flags;
    int error = check_flags(flags);

    if (error == 0)
        error = check_options(options, flags, request);
    return error == 0 && is_misplaced(request) ? EINVAL : error;
}

/* Huge pages of anonymous memory, or none. */
static int check_huge_only(struct region_request *request)
{
    request->page = os_huge_page_size(GCMMAP_HUGE_ONLY);
    if (request->page == 0 || request->page > UINT32_MAX) /* none, or more than records hold */
        return ENOTSUP;
    if (request->alignment < request->page)
        request->alignment = request->page;
    return (uintptr_t)request->address % request->page != 0 ? EINVAL : 0;
}

/* The kernel can use huge pages where address and offset differ by whole ones. */
static void align_for_huge(struct region_request *request)
{
    size_t huge = os_huge_page_size(GCMMAP_HUGE);
    size_t n_bytes = request->room > request->n_bytes ? request->room : request->n_bytes;
    size_t phase = huge == 0 ? 0 : (size_t)(request->mapping.offset % (off_t)huge);

    if (huge == 0 || request->head + n_bytes < huge)
        return;
    if (request->alignment >= huge || (request->alignment != 0 && phase % request->alignment != 0))
        return; /* what was asked for comes first */
    request->alignment = huge;
    request->phase = phase;
}

/* So that what comes behind the bytes is a guard. */
static void end_with_page(struct region_request *request)
{
    size_t page = request->page != 0 ? request->page : os_page_size();
    size_t n_last = request->n_bytes % page;

    if (n_last != 0)
        request->head = (page - n_last) & ~(MEMORY_ALIGNMENT - 1);
}

static int create(struct region_request *request, gcmmap_region **handle)
{
    int error = 0;

    if (request->mapping.flags & GCMMAP_HUGE_ONLY)
        error = check_huge_only(request);
    else if (request->mapping.flags & GCMMAP_HUGE)
        align_for_huge(request);
    if ((request->mapping.flags & GCMMAP_GUARDED) && request->mapping.fd < 0 && request->room == 0)
        end_with_page(request);
    return error != 0 ? error : region_create(request, handle);
}

/* Their sum, or the size by itself where that has fewer bits. */
static bool is_unrepresentable(off_t offset, size_t size)
{
    return size > PTRDIFF_MAX || (uintmax_t)size > (uintmax_t)(INT64_MAX - offset);
}

int map_check_device_range(off_t offset, size_t size)
{
    if (size == GCMMAP_REST)
        return EINVAL;
    return is_unrepresentable(offset, size) ? EOVERFLOW : 0;
}

int map_check_file_range(const struct os_file *file, off_t offset, size_t *size)
{
    uintmax_t rest;

    if (*size != GCMMAP_REST && is_unrepresentable(offset, *size))
        return EOVERFLOW;
    if (offset > file->size)
        return ENXIO;
    rest = (uintmax_t)(file->size - offset);
    if (*size == GCMMAP_REST)
        *size = rest < GCMMAP_REST ? (size_t)rest : GCMMAP_REST - 1;
    return *size > rest ? ENXIO : 0;
}

/* Resolves GCMMAP_REST and tells whether a mapping of the file can fail half-way. */
static int check_file(int fd, off_t offset, size_t *size, bool *direct)
{
    struct os_file file;
    int error = offset < 0 ? EINVAL : os_describe(fd, &file);

    if (error != 0)
        return error;
    *direct = file.type == OS_FILE_REGULAR;
    switch (file.type) {
    case OS_FILE_DIRECTORY:
        return EISDIR;
    case OS_FILE_STREAM:
        return ENODEV;
    case OS_FILE_DEVICE:
        return map_check_device_range(offset, *size);
    case OS_FILE_REGULAR:
        if (file.size == 0 && os_has_hidden_contents(fd))
            return ENODEV;
        return map_check_file_range(&file, offset, size);
    }
    return ENODEV;
}

static struct region_request request_of_file(int fd, unsigned flags, const void *caller)
{
    return (struct region_request){ .mapping = { .fd = fd, .flags = flags },
                                    .caller = caller,
                                    .traced = is_traced(flags),
                                    .of_file = true };
}

int map_file(int fd, const char *path, off_t offset, size_t size, unsigned flags,
             const gcmmap_options *options, const void *caller, gcmmap_region **handle)
{
    struct region_request request = request_of_file(fd, flags, caller);
    int error = check_request(&request, options);

    if (error == 0)
        error = check_file(fd, offset, &size, &request.mapping.direct);
    if (error == 0 && is_too_large(size, flags))
        error = EOVERFLOW;
    if (error == 0 && size == 0)
        error = os_check_access(fd, flags); /* else mmap will do it */
    if (error != 0)
        return error;
    request.head = (size_t)(offset % (off_t)os_page_size());
    request.mapping.offset = offset - (off_t)request.head;
    request.n_bytes = size;
    if (request.name == NULL)
        request.name = path;
    return create(&request, handle);
}

int map_check_object(size_t size, unsigned flags, const gcmmap_options *options)
{
    struct region_request request = request_of_file(-1, flags, NULL);
    int error = check_request(&request, options);

    return error == 0 && size != GCMMAP_REST && is_too_large(size, flags) ? EOVERFLOW : error;
}

int map_object(int fd, size_t size, unsigned flags, const gcmmap_options *options,
               const void *caller, gcmmap_region **handle)
{
    struct region_request request = request_of_file(fd, flags, caller);
    int error = check_request(&request, options);

    if (error != 0)
        return error;
    request.mapping.direct = true;
    request.mapping.end = (off_t)size;
    request.n_bytes = size;
    return create(&request, handle);
}

static gcmmap_region *map_part(int fd, off_t offset, size_t size, unsigned flags,
                               const gcmmap_options *options, const void *caller)
{
    int saved_errno = errno;
    gcmmap_region *handle = NULL;

    (void)result_of(map_file(fd, NULL, offset, size, flags, options, caller, &handle), saved_errno);
    return handle;
}

gcmmap_region *gcmmap_map_with(int fd, int64_t offset, size_t size, unsigned flags,
                               const gcmmap_options *options)
{
    return map_part(fd, offset, size, flags, options, MAP_CALLER());
}

gcmmap_region *gcmmap_map(int fd, int64_t offset, size_t size, unsigned flags)
{
    return map_part(fd, offset, size, flags, NULL, MAP_CALLER());
}

static gcmmap_region *map_path(const char *path, unsigned flags, const gcmmap_options *options,
                               const void *caller)
{
    bool writable = (flags & GCMMAP_WRITE) && !(flags & GCMMAP_PRIVATE);
    int saved_errno = errno;
    gcmmap_region *handle = NULL;
    int fd = -1;
    int error = path == NULL ? EINVAL : check_flags(flags);

    if (error == 0)
        error = os_open(path, writable, &fd);
    if (error == 0) {
        error = map_file(fd, path, 0, GCMMAP_REST, flags, options, caller, &handle);
        os_close(fd);
    }
    (void)result_of(error, saved_errno);
    return handle;
}

gcmmap_region *gcmmap_open_with(const char *path, unsigned flags, const gcmmap_options *options)
{
    return map_path(path, flags, options, MAP_CALLER());
}

gcmmap_region *gcmmap_open(const char *path, unsigned flags)
{
    return map_path(path, flags, NULL, MAP_CALLER());
}

int map_memory(size_t size, unsigned flags, const gcmmap_options *options, const void *caller,
               gcmmap_region **handle)
{
    struct region_request request = { .mapping = { .fd = -1, .flags = flags | GCMMAP_PRIVATE },
                                      .caller = caller,
                                      .traced = is_traced(flags | GCMMAP_PRIVATE),
                                      .n_bytes = size };
    int error = check_request(&request, options);

    if (error == 0 && is_too_large(size, flags))
        error = EOVERFLOW;
    return error != 0 ? error : create(&request, handle);
}

static gcmmap_region *allocate(size_t size, unsigned flags, const gcmmap_options *options,
                               const void *caller)
{
    int saved_errno = errno;
    gcmmap_region *handle = NULL;

    if ((flags & ACCESS) == 0)
        flags |= GCMMAP_READ | GCMMAP_WRITE;
    (void)result_of(map_memory(size, flags, options, caller, &handle), saved_errno);
    return handle;
}

gcmmap_region *gcmmap_alloc_with(size_t size, unsigned flags, const gcmmap_options *options)
{
    return allocate(size, flags, options, MAP_CALLER());
}

gcmmap_region *gcmmap_alloc(size_t size, unsigned flags)
{
    return allocate(size, flags, NULL, MAP_CALLER());
}

#define ADOPT_FLAGS                                                                                \
    (ACCESS | GCMMAP_PRIVATE | GCMMAP_POINTER_FREE | GCMMAP_TRACED | GCMMAP_BY_HANDLE)

/* What it is the kernel knows; what it may be said to be, and what is wanted, the caller says. */
static int check_adoption(void *addr, size_t size, unsigned wanted, struct region_request *request)
{
    size_t page = os_page_size();
    unsigned flags;
    int error;

    if (size == 0 || (uintptr_t)addr % page != 0 || (wanted & ~ADOPT_FLAGS) != 0)
        return EINVAL;
    if (is_too_large(size, wanted))
        return EOVERFLOW;
    if ((uintptr_t)addr > UINTPTR_MAX - size - page)
        return EFAULT;
    size = (size + page - 1) & ~(page - 1);
    error = os_describe_mapping(addr, size, &flags, &request->of_file);
    if (error != 0)
        return error;
    if ((wanted & ACCESS & ~flags) != 0)
        return EACCES;
    if ((wanted & GCMMAP_PRIVATE) && !(flags & GCMMAP_PRIVATE))
        return EINVAL;
    flags |= wanted;
    if ((flags & GCMMAP_TRACED) && ((flags & GCMMAP_POINTER_FREE) || !(flags & GCMMAP_READ)))
        return EINVAL;
    request->mapping.flags = flags;
    request->traced = is_traced(flags) && (flags & GCMMAP_READ);
    return region_may_adopt(addr, size);
}

gcmmap_region *gcmmap_adopt(void *addr, size_t size, unsigned flags,
                            void (*released)(void *addr, size_t size, void *data), void *data)
{
    struct region_request request = { .mapping = { .fd = -1 },
                                      .caller = MAP_CALLER(),
                                      .n_bytes = size,
                                      .adopted = addr,
                                      .adopted_released = released,
                                      .data = data };
    int saved_errno = errno;
    gcmmap_region *handle = NULL;
    int error = check_adoption(addr, size, flags, &request);

    if (error == 0)
        error = region_create(&request, &handle);
    (void)result_of(error, saved_errno);
    return handle;
}

gcmmap_slice gcmmap_bytes(const gcmmap_region *region)
{
    int saved_errno = errno;
    gcmmap_slice bytes;

    (void)result_of(region_bytes(region, &bytes), saved_errno);
    return bytes;
}

void *gcmmap_data(const gcmmap_region *region)
{
    return gcmmap_bytes(region).data;
}

size_t gcmmap_size(const gcmmap_region *region)
{
    return gcmmap_bytes(region).size;
}

gcmmap_region *gcmmap_of(const void *pointer)
{
    return region_of(pointer);
}

gcmmap_weak gcmmap_weak_of(const gcmmap_region *region)
{
    int saved_errno = errno;
    gcmmap_weak weak;

    (void)result_of(region_weaken(region, &weak), saved_errno);
    return weak;
}

gcmmap_region *gcmmap_weak_get(gcmmap_weak weak)
{
    return region_strengthen(&weak);
}

size_t gcmmap_zero_filled(const gcmmap_region *region)
{
    int saved_errno = errno;
    size_t n_bytes;

    (void)result_of(region_zero_filled(region, &n_bytes), saved_errno);
    return n_bytes;
}

int gcmmap_extend(gcmmap_region *region, size_t size)
{
    int saved_errno = errno;

    return result_of(region_extend(region, size), saved_errno);
}

int gcmmap_refresh(gcmmap_region *region)
{
    int saved_errno = errno;

    return result_of(region_refresh(region), saved_errno);
}

int gcmmap_truncate(gcmmap_region *region, size_t size)
{
    int saved_errno = errno;

    return result_of(region_truncate(region, size), saved_errno);
}

int gcmmap_close(gcmmap_region *region)
{
    int saved_errno = errno;

    return result_of(region_close(region, MAP_CALLER()), saved_errno);
}

int gcmmap_unmap_now(gcmmap_region *region)
{
    int saved_errno = errno;

    return result_of(region_unmap_now(region), saved_errno);
}

size_t gcmmap_collect(void)
{
    int saved_errno = errno;
    size_t n_released = region_collect();

    errno = saved_errno;
    return n_released;
}

size_t gcmmap_trim(void)
{
    int saved_errno = errno;
    size_t n_bytes = region_trim();

    errno = saved_errno;
    return n_bytes;
}
