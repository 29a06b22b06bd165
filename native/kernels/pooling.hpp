// Pooling, and its gradient with the slope of the activation before it.
#pragma once

#include "activations.hpp"

namespace lenet {
namespace {

// The mean counts the border; a NaN wins as in PyTorch; of equal values the first wins.
template <int size, bool max>
INLINE void pool_row(Pooling p, int y, const float* x, float* out, std::int32_t* winners) {
    const int K = size ? size : p.kernel_size;
    const int top = y * p.stride - p.padding;
    for (int c = 0; c < p.out_width; ++c) {
        const int left = c * p.stride - p.padding;
        const Vector* window = vectors(x) + top * p.in_row + left;
        Vector& result = vectors(out)[y * p.out_row + c];
        if constexpr (!max) {
            Vector sum = Vector{};
            for (int ky = 0; ky < K; ++ky)
                for (int kx = 0; kx < K; ++kx) sum += window[ky * p.in_row + kx];
            result = sum * p.share + p.bias;
        } else {
            // the first member inside the picture wins where all are -inf
            const int first_row = larger(0, -top), first_column = larger(0, -left);
            Vector best = window[first_row * p.in_row + first_column];
            Ints winner = (first_row * K + first_column) - Ints{};
            for (int ky = 0; ky < K; ++ky)
                for (int kx = 0; kx < K; ++kx) {
                    const Vector value = window[ky * p.in_row + kx];
                    const Ints better = (value > best) | (value != value);
                    best = better ? value : best;
                    winner = better ? (ky * K + kx) - Ints{} : winner;
                }
            result = best;
            if (winners) reinterpret_cast<Ints*>(winners)[y * p.out_width + c] = winner;
        }
    }
}

// The maxima alone, without their winners. False where a NaN or infinity was met, of which this
// makes something else.
template <int size>
INLINE bool max_row(Pooling p, int y, const float* x, float* out) {
    const int K = size ? size : p.kernel_size;
    const Vector* window = vectors(x) + (y * p.stride - p.padding) * p.in_row - p.padding;
    Vector* result = vectors(out) + y * p.out_row;
    Vector met = Vector{};  // 0 until then
    for (int c = 0; c < p.out_width; ++c, window += p.stride) {
        Vector best = window[0], sum = Vector{};
        for (int ky = 0; ky < K; ++ky)
            for (int kx = 0; kx < K; ++kx) {
                const Vector value = window[ky * p.in_row + kx];
                best = greater(best, value);
                sum += value;
            }
        result[c] = best;
        met += sum * 0.0f;
    }
    const Ints wrong = met != met;
    int any = 0;
    for (int lane = 0; lane < lanes; ++lane) any |= wrong[lane];
    return !any;
}

template <int size>
void pool_row_of(const Pooling& p, int y, const float* x, float* out, std::int32_t* winners) {
    if (p.max)
        pool_row<size, true>(p, y, x, out, winners);
    else
        pool_row<size, false>(p, y, x, out, winners);
}

UNUSED void pool_forward_plain(const Pooling& p, int y, const float* x, float* out,
                               std::int32_t* winners) {
    pool_row_of<0>(p, y, x, out, winners);
}

UNUSED void pool_forward(const Pooling& p, int y, const float* x, float* out,
                         std::int32_t* winners) {
    if (p.kernel_size != 2) return pool_row_of<0>(p, y, x, out, winners);
    if constexpr (!is_small)
        if (p.max && !winners && max_row<2>(p, y, x, out)) return;
    pool_row_of<2>(p, y, x, out, winners);
}

void subsample_dweight(const Pooling& p, const float* dout, const float* x, bool accumulate,
                       float* sum) {
    const int K = p.kernel_size;
    Vector all = Vector{};
    for (int r = 0; r < p.out_height; ++r)
        for (int c = 0; c < p.out_width; ++c) {
            const Vector* window = vectors(x) + r * p.stride * p.in_row + c * p.stride;
            Vector members = Vector{};
            for (int ky = 0; ky < K; ++ky)
                for (int kx = 0; kx < K; ++kx) members += window[ky * p.in_row + kx];
            all += vectors(dout)[r * p.out_row + c] * members;
        }
    vectors(sum)[0] = accumulate ? vectors(sum)[0] + all : all;
}

// --- backward --------------------------------------------------------------------------------

// Every window that covers row y gives to its members there.
void pool_backward_plain(const Pooling& p, int y, const float* dout, const std::int32_t* winners,
                         Activation f, const float* values, float* d) {
    const int K = p.kernel_size;
    for (int x = 0; x < p.in_width; ++x) vectors(d)[x] = Vector{};
    for (int r = 0; r < p.out_height; ++r) {
        const int ky = y + p.padding - r * p.stride;
        if (ky < 0 || ky >= K) continue;
        for (int c = 0; c < p.out_width; ++c) {
            const Vector g = vectors(dout)[r * p.out_row + c];
            for (int kx = 0; kx < K; ++kx) {
                const int x = c * p.stride - p.padding + kx;
                if (x < 0 || x >= p.in_width) continue;
                if (p.max) {
                    const Ints won = reinterpret_cast<const Ints*>(winners)[r * p.out_width + c];
                    vectors(d)[x] += won == ky * K + kx ? g : Vector{};
                } else {
                    vectors(d)[x] += g * p.share;
                }
            }
        }
    }
    activate_backward(f, values, d, p.in_width);
}

// Windows side by side: every member has one.
template <Kind kind>
void pool_backward_apart(const Pooling& pooling, int y, const Vector* dout, const Ints* winners,
                         const Vector* values, Vector* d, Activation f) {
    const Pooling p = pooling;  // which no write to d can change
    const int K = p.kernel_size, end = p.out_width * K;
    const float share = p.share;
    for (int x = 0; x < end; x += K, ++dout, ++winners) {
        const Vector g = *dout;
        for (int kx = 0; kx < K; ++kx) {
            const Vector slope = slope_of<kind>(values[x + kx], f);
            if (p.max)
                d[x + kx] = *winners == y % K * K + kx ? g * slope : Vector{};
            else
                d[x + kx] = g * share * slope;
        }
    }
    for (int x = end; x < p.in_width; ++x) d[x] = Vector{};
}

// The same for windows of 2 × 2, where nothing is left to be asked in the loop.
template <Kind kind, bool max>
void pool_backward_pairs(const Pooling& pooling, int y, const Vector* dout, const Ints* winners,
                         const Vector* values, Vector* d, Activation f) {
    const Pooling p = pooling;
    const int first = y % 2 * 2;  // of the window's members in this row
    for (int c = 0; c < p.out_width; ++c) UNROLL for (int kx = 0; kx < 2; ++kx) {
            const int x = 2 * c + kx;
            const Vector slope = slope_of<kind>(values[x], f);
            if constexpr (max)
                d[x] = winners[c] == first + kx ? dout[c] * slope : Vector{};
            else
                d[x] = dout[c] * p.share * slope;
        }
    if (p.in_width % 2) d[p.in_width - 1] = Vector{};
}

UNUSED void pool_backward(const Pooling& p, int y, const float* dout, const std::int32_t* winners,
                          Activation f, const float* values, float* d) {
    const int K = p.kernel_size, row = y / K;
    if (p.stride != K || p.padding != 0 || row >= p.out_height)
        return pool_backward_plain(p, y, dout, winners, f, values, d);
    const Vector* from = vectors(dout) + row * p.out_row;
    const Ints* won = reinterpret_cast<const Ints*>(winners) + row * p.out_width;
    // A slope that is computed from x is long: it has a loop of its own, and all registers.
    with_kind(f.kind, [&]<Kind k>() {
        constexpr bool apart = Activation{k}.slope_needs_input();
        constexpr Kind fused = apart ? Kind::identity : k;
        const auto give = is_small || K != 2 ? pool_backward_apart<fused>
                          : p.max            ? pool_backward_pairs<fused, true>
                                             : pool_backward_pairs<fused, false>;
        give(p, y, from, won, vectors(values), vectors(d), f);
        if (apart) activate_backward(f, values, d, p.in_width);
    });
}

}  // namespace
}  // namespace lenet
