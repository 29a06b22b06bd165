// exp, the activations made of it, and their slopes.
#pragma once

#include "vector.hpp"

namespace lenet {
namespace {

INLINE Vector absolute(Vector x) { return (Vector)((Bits)x & (0x7fffffffu - Bits{})); }

// x, but at least `low`; a NaN stays.
INLINE Vector at_least(Vector x, float low) {
#if defined(__AVX512F__) && LENET_LANES == 16
    return (Vector)_mm512_maskz_max_ps(0xffff, (__m512)splat(low), (__m512)x);
#else
    return x < low ? splat(low) : x;
#endif
}

// p · 2^n for whole n in -150 … 128, rounded once, to 0, a subnormal number or infinity too.
INLINE Vector scale_by_power(Vector p, Vector n) {
#if defined(__AVX512F__) && LENET_LANES == 16
    return (Vector)_mm512_maskz_scalef_ps(0xffff, (__m512)p, (__m512)n);
#elif defined(__AVX512VL__) && LENET_LANES == 4
    return (Vector)_mm_maskz_scalef_ps(0xf, (__m128)p, (__m128)n);
#else
    const Ints whole = __builtin_convertvector(n, Ints), half = whole >> 1;
    const Vector first = (Vector)((half + 127) << 23);
    const Vector second = (Vector)((whole - half + 127) << 23);
    return p * first * second;
#endif
}

// exp(x) = 2^n · exp(r), n whole and |r| ≤ ln(2)/2, for x up to 89. ln(2) is taken off in two
// parts, the first with zeros at its end, so that r is exact to the last bits. Of all polynomials
// of degree 6 that begin 1 + r this one has the least relative error, 3e-9. `rest` is what rounding
// took off x, where somebody knows it: exp(x + rest).
template <class... Rest>
INLINE Vector exp_below_89(Vector x, Rest... rest) {
    const Vector magic = splat(12582912.0f);  // 1.5 · 2^23: adding it rounds to a whole number
    x = at_least(x, -104.0f);                 // exp(-104) rounds to 0
    const Vector n = (x * 1.44269504f + magic) - magic;
    const Vector r = ((x - n * 0.693359375f + n * 2.12194440e-4f) + ... + rest);
    Vector p = splat(1.381454018e-3f);
    p = p * r + 8.368745109e-3f;
    p = p * r + 4.166839078e-2f;
    p = p * r + 1.66665204e-1f;
    p = p * r + 4.999999343e-1f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return scale_by_power(p, n);
}

INLINE Vector exp_of(Vector x) { return exp_below_89(x > 89.0f ? splat(89.0f) : x); }

// 1 / x for x in 1 … 8.
INLINE Vector reciprocal(Vector x) {
#if defined(__AVX512F__) && LENET_LANES == 16
    const Vector r = (Vector)_mm512_maskz_rcp14_ps(0xffff, (__m512)x);
    return r + r * (1.0f - x * r);  // one step of Newton's doubles the 14 bits
#else
    return 1.0f / x;
#endif
}

// With z = exp(-|x|), which cannot overflow: 1 / (1 + z) above 0 and z / (1 + z) below.
INLINE Vector sigmoid_of(Vector x) {
    const Vector z = exp_below_89(-absolute(x));
    const Vector s = reciprocal(1.0f + z);
    return x < 0.0f ? z * s : s;
}

// Near 0 by a polynomial, since 1 - 2 / (exp(2|x|) + 1) would lose all digits there.
INLINE Vector tanh_of(Vector x) {
    const Vector z = x * x, size = absolute(x);
    Vector p = splat(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const Vector near = x + x * (z * p);
    const Vector e = exp_below_89(-2.0f * size);
    const Vector far = (1.0f - e) / (1.0f + e);
    return size < 0.625f ? near : x < 0.0f ? -far : far;
}

using Kind = Activation::Kind;

// |x|, but at most 15, beyond which exp(-x²/2) is 0.
INLINE Vector size_below_15(Vector x) {
    const Vector size = absolute(x);
    return size > 15.0f ? splat(15.0f) : size;
}

// exp(-x²/2). The square of the first 12 bits is exact; what the others add is small.
INLINE Vector bell_of(Vector x) {
    const Vector size = size_below_15(x);
    const Vector first = (Vector)((Bits)size & (0xfffff000u - Bits{}));
    return exp_below_89(-0.5f * first * first, (first - size) * (first + size) * 0.5f);
}

// The share of a normal distribution below x, with bell = exp(-x²/2). That beyond |x| is the bell
// times a slow function of it, a polynomial in s = 1 / (1 + 0.35 |x|) with a relative error of 3e-8
// (fitted with mpmath for |x| below 14.5).
INLINE Vector normal_below(Vector x, Vector bell) {
    const Vector s = reciprocal(1.0f + 0.35f * size_below_15(x));
    Vector p = splat(-0.0291580302f);
    p = p * s + 0.144031611f;
    p = p * s - 0.255840403f;
    p = p * s + 0.159321254f;
    p = p * s - 0.0232133942f;
    p = p * s + 0.105552927f;
    p = p * s + 0.119821185f;
    p = p * s + 0.139863529f;
    p = p * s + 0.139621306f;
    const Vector beyond = bell * (p * s);
    return x < 0.0f ? beyond : 1.0f - beyond;
}

UNUSED void activate_plain(Activation f, const float* x, float* y, int count) {
    for (int i = 0; i < count * lanes; ++i) {
        const float v = x[i];
        switch (f.kind) {
            case Kind::identity: y[i] = v; break;
            case Kind::sigmoid: y[i] = float(1 / (1 + exp(-double(v)))); break;
            case Kind::tanh: y[i] = float(tanh(double(v))); break;
            case Kind::relu: y[i] = v < 0 ? 0 : v; break;  // a NaN stays
            case Kind::leaky_relu: y[i] = v < 0 ? v * f.parameter : v; break;
            case Kind::silu: y[i] = float(v / (1 + exp(-double(v)))); break;
            case Kind::gelu: y[i] = float(v * erfc(-v * 0.70710678118654752) / 2); break;
        }
    }
}

template <Kind kind>
INLINE Vector result_of(Vector x, [[maybe_unused]] float parameter) {
    if constexpr (kind == Kind::sigmoid) return sigmoid_of(x);
    if constexpr (kind == Kind::tanh) return tanh_of(x);
    if constexpr (kind == Kind::relu) return x < 0.0f ? Vector{} : x;
    if constexpr (kind == Kind::leaky_relu) return x < 0.0f ? x * parameter : x;
    if constexpr (kind == Kind::gelu) return x * normal_below(x, bell_of(x));
    if constexpr (kind == Kind::silu) return x * sigmoid_of(x);
    return x;
}

// The slope at a result y (at x, where slope_needs_input): y (1 - y), 1 - y², and 1
// above 0.
template <Kind kind>
INLINE Vector slope_of(Vector y, [[maybe_unused]] float parameter) {
    if constexpr (kind == Kind::sigmoid) return y * (1.0f - y);
    if constexpr (kind == Kind::tanh) return 1.0f - y * y;
    if constexpr (kind == Kind::relu) return y > 0.0f ? splat(1) : Vector{};
    if constexpr (kind == Kind::leaky_relu) return y > 0.0f ? splat(1) : splat(parameter);
    if constexpr (kind == Kind::gelu) {
        const Vector x = y, bell = bell_of(x);
        return normal_below(x, bell) + x * bell * 0.398942280f;  // 1 / √(2π)
    }
    if constexpr (kind == Kind::silu) {
        const Vector x = y, rest = sigmoid_of(-x);  // 1 - s would lose the digits of a small one
        return sigmoid_of(x) * (1.0f + x * rest);
    }
    return splat(1);
}

// f.operator()<kind>()
template <class Function>
INLINE void with_kind(Kind kind, Function f) {
    switch (kind) {
        case Kind::identity: return f.template operator()<Kind::identity>();
        case Kind::sigmoid: return f.template operator()<Kind::sigmoid>();
        case Kind::tanh: return f.template operator()<Kind::tanh>();
        case Kind::relu: return f.template operator()<Kind::relu>();
        case Kind::leaky_relu: return f.template operator()<Kind::leaky_relu>();
        case Kind::gelu: return f.template operator()<Kind::gelu>();
        case Kind::silu: return f.template operator()<Kind::silu>();
    }
}

UNUSED void activate(Activation f, const float* x, float* y, int count) {
    with_kind(f.kind, [&]<Kind k>() {
        for (int i = 0; i < count; ++i) vectors(y)[i] = result_of<k>(vectors(x)[i], f.parameter);
    });
}

void activate_backward(Activation f, const float* values, float* d, int count) {
    with_kind(f.kind, [&]<Kind k>() {
        for (int i = 0; i < count; ++i)
            vectors(d)[i] *= slope_of<k>(vectors(values)[i], f.parameter);
    });
}

}  // namespace
}  // namespace lenet
