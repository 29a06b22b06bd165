// Pictures into the lanes of vectors, and numbers out of them.
#pragma once

#include <utility>

#include "vector.hpp"

namespace lenet {
namespace {

void gather_bytes(const std::uint8_t* const* pictures, const float* table, int channels, int height,
                  int width, float* x, Stride plane, Stride row) {
    const std::uint8_t* from[lanes];
    for (int lane = 0; lane < lanes; ++lane) from[lane] = pictures[lane];
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < height; ++r) {
            float* to = x + (c * plane + r * row) * lanes;
            const Stride start = (Stride(c) * height + r) * width;
            for (int column = 0; column < width; ++column, to += lanes) UNROLL for (int lane = 0; lane < lanes; ++lane)
                    to[lane] = table[c * 256 + from[lane][start + column]];
        }
}

void gather_floats(const float* const* pictures, int channels, int height, int width, float* x,
                   Stride plane, Stride row) {
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < height; ++r)
            for (int column = 0; column < width; ++column)
                for (int lane = 0; lane < lanes; ++lane)
                    x[(c * plane + r * row + column) * lanes + lane] =
                        pictures[lane][(Stride(c) * height + r) * width + column];
}

void scatter_floats(const float* x, Stride plane, Stride row, int channels, int height, int width,
                    float* const* pictures) {
    for (int lane = 0; lane < lanes; ++lane) {
        float* to = pictures[lane];
        if (!to) continue;
        for (int c = 0; c < channels; ++c)
            for (int r = 0; r < height; ++r)
                for (int column = 0; column < width; ++column)
                    *to++ = x[(c * plane + r * row + column) * lanes + lane];
    }
}

UNUSED void transpose_plain(const float* x, Stride step, int features, float* xt, Stride row) {
    for (int lane = 0; lane < lanes; ++lane)
        for (int i = 0; i < row; ++i)
            xt[lane * row + i] = i < features ? x[i * step * lanes + lane] : 0;
}

// Exchange the upper right and the lower left quarter of every 2 × 2 blocks of `step` rows, then
// of half as many: every row then holds one lane of all.
template <int step, int... lane>
INLINE void exchange(Vector* block, std::integer_sequence<int, lane...> all) {
    UNROLL for (int i = 0; i < lanes; ++i) {
        if (i & step) continue;
        const Vector a = block[i], b = block[i + step];
        block[i] = __builtin_shufflevector(a, b, (lane & step ? lanes + lane - step : lane)...);
        block[i + step] =
            __builtin_shufflevector(a, b, (lane & step ? lanes + lane : lane + step)...);
    }
    if constexpr (step > 1) exchange<step / 2>(block, all);
}

UNUSED void transpose(const float* x, Stride step, int features, float* xt, Stride row) {
    for (int start = 0; start < row; start += lanes) {
        Vector block[lanes];
        for (int i = 0; i < lanes; ++i)
            block[i] = start + i < features ? vectors(x)[(start + i) * step] : Vector{};
        exchange<lanes / 2>(block, std::make_integer_sequence<int, lanes>());
        for (int lane = 0; lane < lanes; ++lane)
            vectors(xt + lane * row + start)[0] = block[lane];
    }
}

UNUSED void dot_rows_plain(const float* rows, int count, const float* x, Stride x_step, int n,
                           float* out) {
    for (int r = 0; r < lanes; ++r) {
        out[r] = 0;
        for (int i = 0; r < count && i < n; ++i)
            for (int lane = 0; lane < lanes; ++lane)
                out[r] += rows[(r * n + i) * lanes + lane] * x[i * x_step * lanes + lane];
    }
}

// The rows' sums are still apart in lanes; once transposed, one addition does for all rows.
UNUSED void dot_rows(const float* rows, int count, const float* x, Stride x_step, int n,
                     float* out) {
    Vector block[lanes];
    for (int r = 0; r < lanes; ++r) {
        block[r] = Vector{};
        if (r < count)
            for (int i = 0; i < n; ++i) block[r] += vectors(rows)[r * n + i] * vectors(x)[i * x_step];
    }
    exchange<lanes / 2>(block, std::make_integer_sequence<int, lanes>());
    for (int step = 1; step < lanes; step *= 2)
        for (int r = 0; r < lanes; r += 2 * step) block[r] += block[r + step];
    vectors(out)[0] = block[0];
}

}  // namespace
}  // namespace lenet
