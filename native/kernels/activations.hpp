// exp, the activations made of it, and their slopes.
#pragma once

#include "vector.hpp"

namespace lenet {
namespace {

struct ExpNumbers {
    Spread low = -104;           // exp(-104) rounds to 0
    Spread magic = 12582912.0f;  // 1.5 · 2^23: adding it rounds to a whole number
    Spread log2_e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = 2.12194440e-4f;
    Spread p2 = 4.999999343e-1f, p3 = 1.66665204e-1f, p4 = 4.166839078e-2f;
    Spread p5 = 8.368745109e-3f, p6 = 1.381454018e-3f;
};
constexpr ExpNumbers exp_numbers;

struct SigmoidNumbers {
    Spread low = -104, high = 30;  // beyond, the result is 0, or 1
    Spread magic = 12582912.0f + 63, log2_e = 1.44269504f;
    Spread ln2_high = 0.693359375f, ln2_low = 2.12194440e-4f;
    Spread p1 = -0.999999702f, p2 = 0.499991447f, p3 = -0.166676402f, p4 = 4.18983884e-2f;
    Spread p5 = -8.29022936e-3f;
    Spread scale = 0x1p-64f;
};
constexpr SigmoidNumbers sigmoid_numbers;

INLINE Vector absolute(Vector x) { return (Vector)((Bits)x & (0x7fffffffu - Bits{})); }

// x, but at least `low`; a NaN stays.
INLINE Vector at_least(Vector x, Vector low) {
#if defined(__AVX512F__) && LENET_LANES == 16
    return (Vector)_mm512_maskz_max_ps(0xffff, (__m512)low, (__m512)x);
#else
    return x < low ? low : x;
#endif
}

// x, but at least `low` and at most `high`; a NaN stays.
INLINE Vector between(Vector x, Vector low, Vector high) {
#if defined(__AVX512F__) && LENET_LANES == 16
    x = (Vector)_mm512_maskz_max_ps(0xffff, (__m512)low, (__m512)x);
    return (Vector)_mm512_maskz_min_ps(0xffff, (__m512)high, (__m512)x);
#elif defined(__AVX__) && LENET_LANES == 8
    return (Vector)_mm256_min_ps((__m256)high, _mm256_max_ps((__m256)low, (__m256)x));
#elif defined(__SSE2__) && LENET_LANES == 4
    return (Vector)_mm_min_ps((__m128)high, _mm_max_ps((__m128)low, (__m128)x));
#else
    x = x < low ? low : x;
    return x > high ? high : x;
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
    const ExpNumbers& k = in_memory(exp_numbers);
    x = at_least(x, *k.low);
    const Vector n = (x * *k.log2_e + *k.magic) - *k.magic;
    const Vector r = ((x - n * *k.ln2_high + n * *k.ln2_low) + ... + rest);
    Vector p = *k.p6 * r + *k.p5;
    p = p * r + *k.p4;
    p = p * r + *k.p3;
    p = p * r + *k.p2;
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

// With e = exp(-x): 1 / (1 + e), as C / (C + e · C), where C = 2^-64 leaves room for e up to
// exp(104), so that a result becomes subnormal, or 0, by one rounding. The numbers lie in memory
// (`Sigmoid`). exp is that of exp_below_89, of degree 5 (relative error 9e-8) and with -r for r.
// Adding 63 with `magic` makes the last bits of n those of the exponent of 2^n · C: a shift, and
// they are in place. What is not a number stays so: neither limit takes it, and no integer is added
// to it.
INLINE Vector sigmoid_of(Vector x) {
    const SigmoidNumbers& k = in_memory_if_few(sigmoid_numbers);
    x = between(x, *k.low, *k.high);
    const Vector shifted = *k.magic - x * *k.log2_e;
    const Vector n = shifted - *k.magic;
    const Vector r = x + n * *k.ln2_high - n * *k.ln2_low;
    Vector p = *k.p5 * r + *k.p4;
    p = p * r + *k.p3;
    p = p * r + *k.p2;
    p = p * r + *k.p1;
    p = p * r + 1.0f;
    const Vector power = (Vector)((Bits)shifted << 23);
    const Vector sum = p * power + *k.scale;
#if defined(__AVX512F__) && LENET_LANES == 16
    const Vector s = (Vector)_mm512_maskz_rcp14_ps(0xffff, (__m512)sum);
    const Vector result = s * *k.scale;
    return result + result * (1.0f - sum * s);  // one step of Newton's doubles the 14 bits
#else
    return *k.scale /
           sum;  // the divider works beside the multiply-adds, and rounds alike everywhere
#endif
}

struct TanhNumbers {
    Spread p1 = -3.33332819422e-1f, p2 = 1.33314422036e-1f, p3 = -5.37397155531e-2f;
    Spread p4 = 2.06390887954e-2f, p5 = -5.70498872745e-3f;
};
constexpr TanhNumbers tanh_numbers;

// Near 0 by a polynomial, since 1 - 2 / (exp(2|x|) + 1) would lose all digits there.
INLINE Vector tanh_of(Vector x) {
    const Vector z = x * x, size = absolute(x);
    const TanhNumbers& k = in_memory(tanh_numbers);
    Vector p = *k.p5 * z + *k.p4;
    p = p * z + *k.p3;
    p = p * z + *k.p2;
    p = p * z + *k.p1;
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

struct NormalNumbers {
    Spread p1 = 0.139621306f, p2 = 0.139863529f, p3 = 0.119821185f, p4 = 0.105552927f;
    Spread p5 = -0.0232133942f, p6 = 0.159321254f, p7 = -0.255840403f, p8 = 0.144031611f;
    Spread p9 = -0.0291580302f;
};
constexpr NormalNumbers normal_numbers;

// The share of a normal distribution below x, with bell = exp(-x²/2). That beyond |x| is the bell
// times a slow function of it, a polynomial in s = 1 / (1 + 0.35 |x|) with a relative error of 3e-8
// (fitted with mpmath for |x| below 14.5).
INLINE Vector normal_below(Vector x, Vector bell) {
    const Vector s = reciprocal(1.0f + 0.35f * size_below_15(x));
    const NormalNumbers& k = in_memory(normal_numbers);
    Vector p = *k.p9 * s + *k.p8;
    p = p * s + *k.p7;
    p = p * s + *k.p6;
    p = p * s + *k.p5;
    p = p * s + *k.p4;
    p = p * s + *k.p3;
    p = p * s + *k.p2;
    p = p * s + *k.p1;
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
            case Kind::scaled_tanh: y[i] = float(f.parameter * tanh(double(f.second) * v)); break;
        }
    }
}

template <Kind kind>
INLINE Vector result_of(Vector x, [[maybe_unused]] const Activation& f) {
    if constexpr (kind == Kind::sigmoid) return sigmoid_of(x);
    if constexpr (kind == Kind::tanh) return tanh_of(x);
    if constexpr (kind == Kind::relu) return x < 0.0f ? Vector{} : x;
    if constexpr (kind == Kind::leaky_relu) return x < 0.0f ? x * f.parameter : x;
    if constexpr (kind == Kind::gelu) return x * normal_below(x, bell_of(x));
    if constexpr (kind == Kind::silu) return x * sigmoid_of(x);
    if constexpr (kind == Kind::scaled_tanh) return f.parameter * tanh_of(f.second * x);
    return x;
}

// The slope at a result y (at x, where slope_needs_input): y (1 - y), 1 - y², and 1
// above 0.
template <Kind kind>
INLINE Vector slope_of(Vector y, [[maybe_unused]] const Activation& f) {
    if constexpr (kind == Kind::sigmoid) return y * (1.0f - y);
    if constexpr (kind == Kind::tanh) return 1.0f - y * y;
    if constexpr (kind == Kind::relu) return y > 0.0f ? splat(1) : Vector{};
    if constexpr (kind == Kind::leaky_relu) return y > 0.0f ? splat(1) : splat(f.parameter);
    if constexpr (kind == Kind::gelu) {
        const Vector x = y, bell = bell_of(x);
        return normal_below(x, bell) + x * bell * 0.398942280f;  // 1 / √(2π)
    }
    if constexpr (kind == Kind::silu) {
        const Vector x = y, rest = sigmoid_of(-x);  // 1 - s would lose the digits of a small one
        return sigmoid_of(x) * (1.0f + x * rest);
    }
    // with the amplitude a and the slope s: a s (1 - (y / a)²)
    if constexpr (kind == Kind::scaled_tanh)
        return f.parameter * f.second - f.second / f.parameter * (y * y);
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
        case Kind::scaled_tanh: return f.template operator()<Kind::scaled_tanh>();
    }
}

UNUSED void activate(Activation f, const float* x, float* y, int count) {
    with_kind(f.kind, [&]<Kind k>() {
        for (int i = 0; i < count; ++i) vectors(y)[i] = result_of<k>(vectors(x)[i], f);
    });
}

void activate_backward(Activation f, const float* values, float* d, int count) {
    with_kind(f.kind, [&]<Kind k>() {
        for (int i = 0; i < count; ++i) vectors(d)[i] *= slope_of<k>(vectors(values)[i], f);
    });
}

}  // namespace
}  // namespace lenet
