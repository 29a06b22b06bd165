// The vector types, and the small functions that every kernel is written with. A part of
// kernels.cpp, which says how it is compiled.
#pragma once

#include <math.h>
#include <string.h>

#include "../kernels.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace lenet {
namespace {

constexpr int lanes = LENET_LANES;
typedef float Vector __attribute__((vector_size(lanes * 4), may_alias));
typedef std::int32_t Ints __attribute__((vector_size(lanes * 4), may_alias));
typedef std::uint32_t Bits __attribute__((vector_size(lanes * 4), may_alias));

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int registers = 32;
#else
constexpr int registers = 16;
#endif

#if defined(__wasm__)
constexpr bool is_small = true;  // a page waits for every byte: tiles that gain little are not made
#else
constexpr bool is_small = false;
#endif

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE inline __attribute__((always_inline))
#define UNUSED [[maybe_unused]]

INLINE const Vector* vectors(const float* x) { return reinterpret_cast<const Vector*>(x); }
INLINE Vector* vectors(float* x) { return reinterpret_cast<Vector*>(x); }
INLINE Vector splat(float x) { return x - Vector{}; }

// Keeps a vector in its register. Without it GCC 12 lets the sums of a large tile change places
// with their factors and, where no register is left, sends some of them over the stack in each
// turn; and it loads a factor of two products twice.
INLINE void keep([[maybe_unused]] Vector& x) {
#if defined(__x86_64__)
    __asm__("" : "+v"(x));
#elif defined(__aarch64__)
    __asm__("" : "+w"(x));
#endif
}

// a > b ? a : b, so b where either is a NaN, in one instruction where there is one.
INLINE Vector greater(Vector a, Vector b) {
#if defined(__AVX512F__) && LENET_LANES == 16
    return (Vector)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX__) && LENET_LANES == 8
    return (Vector)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__) && LENET_LANES == 4
    return (Vector)_mm_max_ps((__m128)a, (__m128)b);
#else
    return a > b ? a : b;
#endif
}

// A number in all lanes, in memory.
struct Spread {
    alignas(lanes * 4) float lane[lanes];
    constexpr Spread(float x) : lane() {
        for (float& each : lane) each = x;
    }
    Vector operator*() const { return vectors(lane)[0]; }
};

// The same numbers, but for all that the compiler knows new ones. Where a loop needs more numbers
// than there are registers, it would load them all before the loop and put some onto the stack.
template <class Numbers>
INLINE const Numbers& in_memory(const Numbers& numbers) {
    const Numbers* at = &numbers;
    __asm__ volatile("" : "+r"(at));
    return *at;
}

// The same where there are few registers; else the numbers stay in theirs, which is a tenth
// quicker.
template <class Numbers>
INLINE const Numbers& in_memory_if_few(const Numbers& numbers) {
    if constexpr (registers >= 32)
        return numbers;
    else
        return in_memory(numbers);
}

// f.operator()<n>() for n = 1 … last.
template <int last, class Function>
constexpr void for_each(Function f) {
    if constexpr (last > 1) for_each<last - 1>(f);
    f.template operator()<last>();
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int larger(int a, int b) { return a > b ? a : b; }

}  // namespace
}  // namespace lenet
