// What the engine needs of a C++ library, where it is linked without one (Zig would compile a whole
// one first, and its messages are half of a WebAssembly module): memory from the C library, and an
// end where none is left.
#include <cstdlib>
#include <new>
#include <version>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace {

void* memory(std::size_t size, std::size_t alignment) {
#if defined(_WIN32)
    void* at = _aligned_malloc(size, alignment);
#else
    void* at = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
#endif
    if (!at) __builtin_trap();
    return at;
}

void release(void* at) {
#if defined(_WIN32)
    _aligned_free(at);
#else
    std::free(at);
#endif
}

}  // namespace

void* operator new(std::size_t size) { return memory(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return memory(size, std::size_t(alignment));
}
void operator delete(void* at) noexcept { release(at); }
void operator delete(void* at, std::size_t) noexcept { release(at); }
void operator delete(void* at, std::align_val_t) noexcept { release(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { release(at); }

// A vector that would be too long, a function that is none.
_LIBCPP_BEGIN_NAMESPACE_STD
[[noreturn]] void __libcpp_verbose_abort(const char*, ...) noexcept { __builtin_trap(); }
_LIBCPP_END_NAMESPACE_STD
