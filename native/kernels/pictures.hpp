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

UNUSED void transpose_plain(const float* x, int features, float* xt, Stride row) {
    for (int lane = 0; lane < lanes; ++lane)
        for (int i = 0; i < row; ++i) xt[lane * row + i] = i < features ? x[i * lanes + lane] : 0;
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

UNUSED void transpose(const float* x, int features, float* xt, Stride row) {
    for (int start = 0; start < row; start += lanes) {
        Vector block[lanes];
        for (int i = 0; i < lanes; ++i)
            block[i] = start + i < features ? vectors(x)[start + i] : Vector{};
        exchange<lanes / 2>(block, std::make_integer_sequence<int, lanes>());
        for (int lane = 0; lane < lanes; ++lane)
            vectors(xt + lane * row + start)[0] = block[lane];
    }
}

}  // namespace
}  // namespace lenet
