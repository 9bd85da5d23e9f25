/*
 * header: what tests/cplusplus-needs-no-ownership.sh compiles and runs.
 *
 * SPDX-License-Identifier: MIT
 */
#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_allocator.h>

#include "gcmmap.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <map>
#include <memory_resource>
#include <new>
#include <ranges>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace
{

using namespace std::literals;

int n, n_failed;

void ok(bool passed, const char *what)
{
    std::printf("%sok %d - %s\n", passed ? "" : "not ", ++n, what);
    n_failed += !passed;
}

/* The code of the system_error that a step ends with; none if with nothing. */
template <class Step> std::error_code thrown(Step step, std::string *what = nullptr)
{
    try {
        step();
    } catch (const std::system_error &error) {
        if (what != nullptr)
            *what = error.what();
        return error.code();
    }
    return {};
}

std::string directory;

std::string make_file(const char *name, std::string_view contents)
{
    std::string path = directory + "/" + name;
    std::ofstream(path) << contents;
    return path;
}

std::string contents_of(const std::string &path)
{
    std::ifstream file(path);
    return { std::istreambuf_iterator<char>(file), {} };
}

static_assert(std::is_trivially_copyable_v<gcmmap::region>);
static_assert(std::is_trivially_destructible_v<gcmmap::region>);
static_assert(sizeof(gcmmap::region) == sizeof(void *));
static_assert(std::ranges::forward_range<decltype(gcmmap::lines({}))>);
static_assert(std::ranges::forward_range<decltype(gcmmap::fields({}, ','))>);
static_assert(!std::is_convertible_v<gcmmap_region *, gcmmap::region>);

void mapping()
{
    std::string path = make_file("words", "one\ntwo\n\nthree");
    gcmmap::region region = gcmmap::open(path);
    std::string what;

    ok(region.text() == "one\ntwo\n\nthree" && region.bytes().size() == 14 && region.size() == 14 &&
           region.bytes()[4] == std::byte{ 't' },
       "a file is text, and bytes");
    ok(region.text().data() == region.data() && region.as<std::uint16_t>().size() == 7 &&
           static_cast<void *>(region.as<std::uint32_t>().data()) == region.data(),
       "and numbers, all of them the same memory");
    ok(gcmmap::region::of(&region.text()[5]) == region && !gcmmap::region::of(&n),
       "any pointer finds its region");
    ok(thrown([&] { (void)gcmmap::open(directory + "/missing"); }, &what) ==
               std::errc::no_such_file_or_directory &&
           what.find("/missing") != what.npos,
       "a missing file is a system_error that names it");
    ok(thrown([&] { (void)gcmmap::open(path, GCMMAP_WRITE, { .reserved = { 1 } }); }) ==
           std::errc::invalid_argument,
       "options reach the call");

    int fd = ::open(path.c_str(), O_RDONLY);
    gcmmap::region odd = gcmmap::map(fd, 5);
    ok(odd.text() == "wo\n\nthree" && gcmmap::map(fd, 4, 3).text() == "two", "parts of a file");
    ::close(fd);
    ok(thrown([&] { (void)odd.as<std::uint64_t>(); }) == std::errc::invalid_argument,
       "numbers that would not be aligned are refused");
    ok(thrown([&] { (void)gcmmap::map(-1); }) == std::errc::bad_file_descriptor, "so is no file");
    region.close();
    ok(thrown([&] { (void)region.text(); }) == std::errc::bad_file_descriptor &&
           thrown([&] { gcmmap::sync(region); }) == std::errc::bad_file_descriptor,
       "a closed region throws");
    ok(thrown([] { (void)gcmmap::region().bytes(); }) == std::errc::invalid_argument &&
           !gcmmap::region(),
       "an empty one, too");
    odd.unmap_now();
    ok(!gcmmap::region::of(odd.handle()), "unmapped now");
}

void slices()
{
    auto of_lines = [](std::string_view text) {
        std::string joined;
        for (std::string_view line : gcmmap::lines(text))
            (joined += line) += '|';
        return joined;
    };
    auto of_fields = [](std::string_view text) {
        std::string joined;
        for (std::string_view field : gcmmap::fields(text, ','))
            (joined += field) += '|';
        return joined;
    };
    gcmmap::region region = gcmmap::open(directory + "/words");
    auto lines = gcmmap::lines(region.text());

    ok(of_lines(region.text()) == "one|two||three|" && of_lines("") == "" &&
           of_lines("\n") == "|" && of_lines("a\n\n\n") == "a|||",
       "lines");
    ok(of_fields("a,,b") == "a||b|" && of_fields("") == "|" && of_fields(",") == "||", "fields");
    ok(std::ranges::distance(lines) == 4 &&
           std::ranges::max_element(lines, {}, [](auto line) { return line.size(); }) !=
               lines.begin(),
       "algorithms take them");
    auto i = lines.begin(), j = i++;
    ok(*j == "one" && *i == "two" && i != j && ++j == i && *j == "two", "iterators compare");
    auto bytes = gcmmap::bytes_of(region.text().data() + 4, 3);
    ok(bytes.size() == 3 && bytes[0] == std::byte{ 't' }, "bytes of a bare pointer");
    ok(thrown([&] { (void)gcmmap::bytes_of(region.data(), 15); }) == std::errc::result_out_of_range,
       "are checked");
    const gcmmap::slice_object *object = gcmmap::make_slice_object(region.text().substr(4, 3));
    ok(object->region == region.handle() && object->bytes.size == 3, "slice objects");
}

void parts()
{
    std::string path = make_file("pages", std::string(20000, 'x'));
    gcmmap::region region = gcmmap::open(path, GCMMAP_WRITE, { .room = 1 << 20 });
    std::span<std::byte> bytes = region.bytes();
    std::vector<unsigned char> pages(6);

    bytes[0] = std::byte{ 'y' };
    gcmmap::sync(bytes.first(1));
    ok(contents_of(path)[0] == 'y', "stores reach the file");
    gcmmap::protect(region.text().substr(0, 1), GCMMAP_READ);
    ok(thrown([&] { (void)gcmmap::copy_in(region.data(), std::span(bytes).first(1)); }) ==
           std::errc::bad_address,
       "pages are protected");
    gcmmap::protect(region, GCMMAP_WRITE);
    gcmmap::advise(region, GCMMAP_ADVISE_SEQUENTIAL);
    gcmmap::prefetch(region);
    ok(thrown([&] { gcmmap::advise(region, 12345); }) == std::errc::invalid_argument,
       "advice is given");
    (void)std::ranges::count(bytes, std::byte{ 'x' });
    ok(gcmmap::residency(region) == 5 && gcmmap::residency(region, pages) == 5 &&
           std::ranges::count(pages, 1) == 5,
       "pages are in memory");
    gcmmap::lock(bytes.subspan(4096, 1));
    ok(thrown([&] { gcmmap::unload(bytes.subspan(4096, 1)); }) ==
           std::errc::device_or_resource_busy,
       "pages are locked");
    gcmmap::unlock(region);
    gcmmap::unload(region);
    ok(region.text()[19999] == 'x', "and unlocked, and come back");

    std::byte copy[3];
    ok(gcmmap::copy_out(copy, region.text().data()) == 3 && copy[0] == std::byte{ 'y' } &&
           gcmmap::copy_in(region.data(), std::as_bytes(std::span("zz"sv))) == 2 &&
           region.text().starts_with("zzx"),
       "copies out and in");

    region.extend(30000);
    ok(region.size() == 30000 && contents_of(path).size() == 30000, "it grows, with its file");
    region.truncate(7);
    ok(region.size() == 7 && contents_of(path) == "zzxxxxx", "and shrinks");
    std::ofstream(path, std::ios::app) << "more";
    region.refresh();
    ok(region.text() == "zzxxxxxmore", "and follows it");
    ok(thrown([&] { region.extend(1 << 30); }) == std::errc::result_out_of_range,
       "not beyond its room");
}

[[gnu::noinline]] int first_of(const volatile char *text)
{
    return *text;
}

/* Leaves a guard in all ways. */
[[gnu::noinline]] int guarded_first(const char *text, int way)
{
    gcmmap_guard guard;
    if (!GCMMAP_TRY(guard))
        return -guard.fault.kind;
    if (way == 0)
        return first_of(text);
    if (way == 1)
        throw way;
    return 0;
}

void guards()
{
    std::string path = make_file("guarded", std::string(20000, 'x'));
    gcmmap::region region = gcmmap::open(path, GCMMAP_READ);
    const char *text = region.text().data();
    int first = 0, caught = 0;
    gcmmap::guarded([&] { first = first_of(text); });
    ok(first == 'x' && guarded_first(text, 0) == 'x', "a guard that has nothing to catch");
    try {
        (void)guarded_first(text, 1);
    } catch (int) {
        caught++;
    }
    try {
        gcmmap::guarded([] { throw 2; });
    } catch (int) {
        caught++;
    }
    ok(caught == 2, "exceptions leave it");
    (void)truncate(path.c_str(), 5);
    const auto read_behind = [text] { (void)first_of(text + 16384); };
    std::string what;
    ok(thrown([&] { gcmmap::guarded(read_behind); }, &what) == std::errc::bad_address &&
           what.starts_with(path + ": byte 16384 of 20000 cannot be ") &&
           what.find("truncated to 5 bytes") != std::string::npos,
       "faults are exceptions");
    ok(guarded_first(text + 16384, 0) == -GCMMAP_FAULT_TRUNCATED, "or what the guard says");
    region.close();
    gcmmap_guard outer;
    if (GCMMAP_TRY(outer)) {
        try {
            (void)guarded_first(text, 1);
        } catch (int) {
            (void)first_of(text + 1); /* the inner guard is left */
        }
        ok(false, "a closed region's bytes were read");
    } else {
        ok(outer.fault.kind == GCMMAP_FAULT_CLOSED && outer.fault.offset == 1,
           "an exception leaves the inner guard, not the outer one");
    }
}

void reports()
{
    std::string path = make_file("copied", "before");
    int fd = ::open(path.c_str(), O_RDONLY);
    gcmmap::region copy = gcmmap::snapshot(fd);
    std::FILE *file = std::tmpfile();

    ::close(fd);
    ok(::truncate(path.c_str(), 1) == 0 && copy.text() == "before", "a snapshot stays");
    gcmmap::list(file);
    gcmmap::report(file);
    gcmmap::print_why(file, copy.data());
    ok(std::ftell(file) > 1000, "regions are listed, drawn and explained");
    std::fclose(file);
    ok(thrown([&] { gcmmap::list(nullptr); }) == std::errc::invalid_argument &&
           thrown([&] { gcmmap::print_why(stdout, nullptr); }) == std::errc::invalid_argument &&
           thrown([&] { gcmmap::report_faults(12345); }) == std::errc::invalid_argument,
       "or not");
}

constexpr int n_regions = 40;

template <class Vector> [[gnu::noinline]] void keep_words(Vector &words)
{
    for (int i = 0; i < n_regions; i++)
        words.push_back(gcmmap::open(directory + "/words").text().substr(4, 3));
}

[[gnu::noinline]] void wipe_stack()
{
    volatile char wipe[32768];
    for (volatile char &byte : wipe)
        byte = 0;
}

void collect()
{
    for (int i = 0; i < 3; i++) {
        wipe_stack();
        (void)gcmmap::collect();
    }
}

/* The witness: lines of /proc/self/maps with the file. */
std::ptrdiff_t n_mapped()
{
    std::ifstream maps("/proc/self/maps");
    std::ptrdiff_t result = 0;
    for (std::string line; std::getline(maps, line);)
        result += line.ends_with("/words");
    return result;
}

void lifetime()
{
    using word = std::string_view;
    using words = std::vector<word, gc_allocator<word>>;
    static words *kept; /* static: the collector sees it */

    kept = new (GC_MALLOC(sizeof(words))) words;
    keep_words(*kept);
    collect();
    ok(n_mapped() >= n_regions && std::ranges::count(*kept, "two") == n_regions,
       "views in a vector of the collector's keep their files mapped");
    kept->clear();
    kept->shrink_to_fit();
    kept = nullptr;
    collect();
    std::printf("# %td of %d still mapped\n", n_mapped(), n_regions);
    ok(n_mapped() <= 4, "forgotten, they go");

    std::vector<word> hidden;
    keep_words(hidden);
    collect();
    ok(n_mapped() <= 4, "views in a vector of operator new keep nothing, as is said");
}

[[gnu::noinline]] void weaken(std::vector<gcmmap::weak> &weak)
{
    for (int i = 0; i < n_regions; i++)
        weak.emplace_back(gcmmap::alloc(1));
}

void references()
{
    gcmmap::region region = gcmmap::alloc(100);
    gcmmap::weak one(region);
    std::vector<gcmmap::weak> many;

    ok(one.get() == region && !gcmmap::weak().get(), "a weak reference finds its region");
    ok(thrown([] { (void)gcmmap::weak(gcmmap::region()); }) == std::errc::invalid_argument,
       "there is none to nothing");
    weaken(many);
    collect();
    ok(std::ranges::count_if(many, [](auto &weak) { return bool(weak.get()); }) <= 4,
       "and does not keep it");
    ok(one.get() == region && region.bytes()[99] == std::byte{ 0 }, "what is in use stays");
}

/* A map whose nodes lie in a traced region, and point to objects of the collector's heap. */
struct index {
    std::pmr::monotonic_buffer_resource memory;
    std::pmr::map<int, const char *> words{ &memory };

    explicit index(std::span<std::byte> arena)
        : memory(arena.data(), arena.size(), std::pmr::null_memory_resource())
    {
        for (int i = 0; i < 1000; i++)
            words[i] = GC_STRDUP(("word " + std::to_string(i)).c_str());
    }
};

void arena()
{
    static index *kept;
    bool all = true;

    kept = new (GC_MALLOC(sizeof(index))) index(gcmmap::alloc(1 << 24).bytes());
    collect();
    for (int i = 0; i < 100000; i++)
        std::memset(GC_MALLOC(32), 0x55, 32);
    for (auto &[number, word] : kept->words)
        all &= word == "word " + std::to_string(number);
    ok(all && kept->words.size() == 1000, "a container in a traced region keeps what it points to");
}

void thread()
{
    bool right = false;

    GC_allow_register_threads();
    std::thread([&] {
        GC_stack_base base;
        GC_get_stack_base(&base);
        GC_register_my_thread(&base);
        right = gcmmap::open(directory + "/words").text().starts_with("one");
        GC_unregister_my_thread();
    }).join();
    ok(right, "a thread that was registered");
}

void whole()
{
    gcmmap::budget budget = gcmmap::get_budget();
    int fd = -1;

    budget.n_regions = gcmmap::get_stats().n_live;
    gcmmap::set_budget(budget);
    {
        /* What is held cannot be collected to make room. */
        std::vector<gcmmap::region, gc_allocator<gcmmap::region>> held;
        auto error = thrown([&] {
            for (int i = 0; i < n_regions * 10; i++)
                held.push_back(gcmmap::alloc(1));
        });
        ok(error.value() == EDQUOT, "budgets are kept");
    }
    gcmmap::set_budget({});
    gcmmap::pacing pacing = gcmmap::get_pacing();
    pacing.live_percent = 70;
    gcmmap::set_pacing(pacing);
    ok(gcmmap::get_pacing().live_percent == 70, "the pacing is set");
    gcmmap::set_pacing({});
    ok(thrown([] { gcmmap::set_pacing({ .reserved = { 1 } }); }) == std::errc::invalid_argument,
       "or refused");

    gcmmap::region shared = gcmmap::memfd("test", 10, 0, {}, &fd);
    shared.bytes()[3] = std::byte{ 'm' };
    ok(gcmmap::map(fd).text()[3] == 'm', "shared memory has a descriptor");
    ::close(fd);
    std::string name = "/gcmmap-test-" + std::to_string(::getpid());
    gcmmap::shm(name.c_str(), 10, GCMMAP_WRITE | GCMMAP_CREATE).bytes()[3] = std::byte{ 'n' };
    ok(gcmmap::shm(name.c_str()).text()[3] == 'n', "or a name");
    gcmmap::shm_unlink(name.c_str());
    ok(thrown([&] { gcmmap::shm_unlink(name.c_str()); }) == std::errc::no_such_file_or_directory,
       "which goes");

    gcmmap::region adopted = gcmmap::alloc(1); /* only so that there is one */
    ok(thrown([&] { (void)gcmmap::adopt(adopted.data(), 4096); }) == std::errc::invalid_argument,
       "what is a region already is not adopted");
    (void)gcmmap::trim();
    ok(gcmmap::get_stats().n_mapped > 0, "counters");
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    directory = argv[1];
    GC_INIT();
    mapping();
    slices();
    parts();
    reports();
    guards();
    lifetime();
    references();
    arena();
    thread();
    whole();
    std::printf("1..%d\n", n);
    return n_failed != 0;
}
