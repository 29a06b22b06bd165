// Convolution with fewer multiplications: minimal filtering along a row, after Winograd
// ("Arithmetic Complexity of Computations", 1980) and Lavin and Gray ("Fast Algorithms for
// Convolutional Neural Networks", 2016).
//
// A tile of m = 9 - K neighbouring outputs comes from the 8 inputs under it. Directly that takes
// m · K multiplications; here it takes 8:
//
//     y = Aᵀ [(G w) ⊙ (Bᵀ x)]       A (8, m), G (8, K), B (8, 8); ⊙ one by one
//
// Why 8: what the tile's gradient gives to its inputs, dx = Σ over k of w[k] · dy[j - k], is the
// product of two polynomials, of degrees K - 1 and m - 1. It has 8 coefficients, so its values at 8
// points say all of it (Toom and Cook): the factors' values are multiplied point by point, and the
// polynomial through the products is found:
//
//     dx = B [(G w) ⊙ (A dy)]
//
// The rows of A and G are powers of the points, and B interpolates. y is the transpose of that map
// of dy, and dw that of the map of w:
//
//     dw = Gᵀ Σ [(A dy) ⊙ (Bᵀ x)]
//
// So the gradients are those of what was computed. At a point, everything between the transforms is
// an ordinary product, summed over input channels and kernel rows.
//
// The points are 0, ±1, ±2, ±1/2 and ∞; row p of A and of G holds the powers of point p (at ∞ the
// last alone), G's times `factors`. Bᵀ does not depend on K:
//
//      0:   1   0   -21/4   0      21/4    0     -1  0
//     ±1:   0  ±1     1   ∓17/4   -17/4   ±1      1  0
//     ±2:   0  ±1/2   1/4  ∓5/2    -5/4   ±2      1  0
//     ±½:   0  ±2     4    ∓5/2    -5     ±1/2    1  0
//      ∞:   0  -1     0    21/4     0   -21/4     0  1
//
// Points that differ by their sign share the sums of their even and of their odd terms. Points near
// 1 keep the numbers, and with them the rounding, small; a ninth and tenth would take less
// arithmetic, and round three times as much.
//
// Infinity and NaN: in a tile, infinities of different sign meet. So wherever the sum over a window
// is infinite or NaN, it is NaN or infinite here, and so may the others of its tile be; other
// tiles, rows and pictures know nothing of it. A number above 1e37 can become infinite in between.
#pragma once

#include "convolution.hpp"

namespace lenet {
namespace {

constexpr int points = filtering_points, smallest_filter = 3;
// The points ±a are 1 + 2 i and 2 + 2 i, where a is 1, 2 and 1/2.
constexpr double factors[3] = {-2.0 / 9, 1.0 / 90, 32.0 / 45};

// a^j of the three magnitudes
constexpr float powers[3][points] = {
    {1, 1, 1, 1, 1, 1, 1, 1},
    {1, 2, 4, 8, 16, 32, 64, 128},
    {1, 1 / 2.f, 1 / 4.f, 1 / 8.f, 1 / 16.f, 1 / 32.f, 1 / 64.f, 1 / 128.f}};

// --- the transforms of one tile ----------------------------------------------------------------

// Of the numbers, only those of B are not powers of 2, and so the only ones that round.
struct PointNumbers {
    Spread half = 0.5f, two = 2, quarter = 0.25f, four = 4;
    Spread five_quarters = 1.25f, five = 5, n17_4 = 4.25f, n21_4 = 5.25f;
    Spread of_2[6] = {1, 2, 4, 8, 16, 32},
           of_half[6] = {1, 1 / 2.f, 1 / 4.f, 1 / 8.f, 1 / 16.f, 1 / 32.f};  // their powers
    // x · a^j, a the magnitude i
    INLINE Vector times_power(Vector x, int i, int j) const {
        return i == 0 || j == 0 ? x : x * *(i == 1 ? of_2 : of_half)[j];
    }
};
constexpr PointNumbers point_numbers{};

// Each value is written as soon as it is known, and the numbers stay in memory: with 16 registers
// no more fits beside a tile.

// to = Bᵀ x, from 8 neighbours to the 8 points
INLINE void input_to_points(const Vector* x, Vector* to, Stride point) {
    const PointNumbers& k = in_memory(point_numbers);
    const Vector x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6];
    to[0] = (x[0] - x6) + (x4 - x2) * *k.n21_4;
    to[7 * point] = (x[7] - x1) + (x3 - x5) * *k.n21_4;
    Vector even = x6 + x2 - x4 * *k.n17_4, odd = x5 + x1 - x3 * *k.n17_4;  // ±1
    to[1 * point] = even + odd;
    to[2 * point] = even - odd;
    even = x6 + x2 * *k.quarter - x4 * *k.five_quarters;  // ±2
    odd = (x5 + x1 * *k.quarter - x3 * *k.five_quarters) * *k.two;
    to[3 * point] = even + odd;
    to[4 * point] = even - odd;
    even = x6 + x2 * *k.four - x4 * *k.five;  // ±1/2
    odd = (x5 + x1 * *k.four - x3 * *k.five) * *k.half;
    to[5 * point] = even + odd;
    to[6 * point] = even - odd;
}

// dx = B from, the transpose, up to column `width`; the first K - 1 are added to what the tile
// before has given.
template <int K>
INLINE void points_to_dinput(const Vector* from, Stride point, int width, Vector* dx) {
    const PointNumbers& k = in_memory(point_numbers);
    const auto give = [&]<int j>(Vector d) {
        if (j < width) dx[j] = j < K - 1 ? dx[j] + d : d;
    };
    const Vector at0 = from[0], at7 = from[7 * point];
    const Vector even1 = from[1 * point] + from[2 * point];
    const Vector even2 = from[3 * point] + from[4 * point];
    const Vector even3 = from[5 * point] + from[6 * point];
    give.template operator()<0>(at0);
    give.template operator()<2>(even1 + even2 * *k.quarter + even3 * *k.four - at0 * *k.n21_4);
    give.template operator()<4>(at0 * *k.n21_4 - even1 * *k.n17_4 - even2 * *k.five_quarters -
                                even3 * *k.five);
    give.template operator()<6>(even1 + even2 + even3 - at0);
    const Vector odd1 = from[1 * point] - from[2 * point];
    const Vector odd2 = (from[3 * point] - from[4 * point]) * *k.two;
    const Vector odd3 = (from[5 * point] - from[6 * point]) * *k.half;
    give.template operator()<1>(odd1 + odd2 * *k.quarter + odd3 * *k.four - at7);
    give.template operator()<3>(at7 * *k.n21_4 - odd1 * *k.n17_4 - odd2 * *k.five_quarters -
                                odd3 * *k.five);
    give.template operator()<5>(odd1 + odd2 + odd3 - at7 * *k.n21_4);
    give.template operator()<7>(at7);
}

// to = A dy, from m neighbours
template <int m>
INLINE void doutput_to_points(const Vector* dy, Vector* to, Stride point) {
    const PointNumbers& k = in_memory(point_numbers);
    Vector d[m];
    UNROLL for (int j = 0; j < m; ++j) d[j] = dy[j];
    to[0] = d[0];
    to[7 * point] = d[m - 1];
    UNROLL for (int i = 0; i < 3; ++i) {
        Vector even = d[0], odd = k.times_power(d[1], i, 1);
        UNROLL for (int j = 2; j < m; ++j)
            (j % 2 ? odd : even) += k.times_power(d[j], i, j);
        to[(1 + 2 * i) * point] = even + odd;
        to[(2 + 2 * i) * point] = even - odd;
    }
}

// y = Aᵀ from, m neighbours, up to column `width`
template <int m>
INLINE void points_to_output(const Vector* from, Stride point, int width, Vector* y) {
    const PointNumbers& k = in_memory(point_numbers);
    Vector sum[3], difference[3];
    UNROLL for (int i = 0; i < 3; ++i) {
        const Vector plus = from[(1 + 2 * i) * point], minus = from[(2 + 2 * i) * point];
        sum[i] = plus + minus;
        difference[i] = plus - minus;
    }
    const Vector at0 = from[0], at7 = from[7 * point];
    UNROLL for (int j = 0; j < m; ++j) {
        Vector out = j == 0 ? at0 : j == m - 1 ? at7 : Vector{};
        UNROLL for (int i = 0; i < 3; ++i)
            out += k.times_power(j % 2 ? difference[i] : sum[i], i, j);
        if (j < width) y[j] = out;
    }
}

// --- rows of tiles -----------------------------------------------------------------------------

// The value of tile t at point p lies at vector p · point + t. A row's last tile may reach beyond
// its end: there it takes zeros, since what lies in memory could be infinite, and gives nothing.

// The first `count` of at most `most` vectors, and no loop.
template <int most, int j = 0>
INLINE void copy(const Vector* from, int count, Vector* to) {
    if constexpr (j < most)
        if (j < count) {
            to[j] = from[j];
            copy<most, j + 1>(from, count, to);
        }
}

template <int K>
void input_row(const Vector* x, int width, Vector* to, Stride point) {
    constexpr int m = points + 1 - K;
    for (; width >= points; width -= m, x += m, ++to) input_to_points(x, to, point);
    if (width < K) return;  // no window begins here
    Vector edge[points] = {};
    copy<points>(x, width, edge);
    input_to_points(edge, to, point);
}

template <int K>
void output_row(const Vector* from, Stride point, int width, Vector* y) {
    constexpr int m = points + 1 - K;
    for (; width >= m; width -= m, y += m, ++from) points_to_output<m>(from, point, m, y);
    if (width > 0) points_to_output<m>(from, point, width, y);
}

template <int K>
void doutput_row(const Vector* dy, int width, Vector* to, Stride point) {
    constexpr int m = points + 1 - K;
    for (; width >= m; width -= m, dy += m, ++to) doutput_to_points<m>(dy, to, point);
    if (width == 0) return;
    Vector edge[m] = {};
    copy<m>(dy, width, edge);
    doutput_to_points<m>(edge, to, point);
}

// Neighbouring tiles overlap by K - 1 columns. `width` counts the padding.
template <int K>
void dinput_row(const Vector* from, Stride point, int width, Vector* dx) {
    constexpr int m = points + 1 - K;
    UNROLL for (int j = 0; j < K - 1; ++j) dx[j] = Vector{};
    for (; width >= points; width -= m, dx += m, ++from) points_to_dinput<K>(from, point, points, dx);
    if (width >= K) points_to_dinput<K>(from, point, width, dx);
}

// Kernels of 2 would save least and round most.
constexpr bool has_filter(int K) { return is_small ? K == 3 || K == 5 : K >= smallest_filter; }

// f.operator()<K>() for the kernel size.
template <class Function>
INLINE void with_kernel_size(int K, Function f) {
    if constexpr (is_small)
        return K == 3 ? f.template operator()<3>() : f.template operator()<5>();
    switch (K) {
        case 3: return f.template operator()<3>();
        case 4: return f.template operator()<4>();
        case 5: return f.template operator()<5>();
        case 6: return f.template operator()<6>();
        default: return f.template operator()<7>();
    }
}

void filter_input(int kernel_size, const float* x, int width, float* to, Stride point) {
    with_kernel_size(kernel_size,
                     [&]<int K>() { input_row<K>(vectors(x), width, vectors(to), point); });
}

void filter_output(int kernel_size, const float* from, Stride point, int width, float* y) {
    with_kernel_size(kernel_size,
                     [&]<int K>() { output_row<K>(vectors(from), point, width, vectors(y)); });
}

void filter_doutput(int kernel_size, const float* dy, int width, float* to, Stride point) {
    with_kernel_size(kernel_size,
                     [&]<int K>() { doutput_row<K>(vectors(dy), width, vectors(to), point); });
}

void filter_dinput(int kernel_size, const float* from, Stride point, int width, float* dx) {
    with_kernel_size(kernel_size,
                     [&]<int K>() { dinput_row<K>(vectors(from), point, width, vectors(dx)); });
}

// --- weights -----------------------------------------------------------------------------------

// G w, for `rows` rows of a kernel; the result is rounded once.
void filter_weights(int kernel_size, const float* weight, int rows, float* to, Stride point) {
    for (int r = 0; r < rows; ++r, weight += kernel_size, ++to) {
        to[0] = weight[0];
        to[7 * point] = weight[kernel_size - 1];
        for (int i = 0; i < 3; ++i) {
            double even = 0, odd = 0;
            for (int k = 0; k < kernel_size; ++k)
                (k % 2 ? odd : even) += factors[i] * powers[i][k] * weight[k];
            to[(1 + 2 * i) * point] = static_cast<float>(even + odd);
            to[(2 + 2 * i) * point] = static_cast<float>(even - odd);
        }
    }
}

// dw = Gᵀ from
void filter_dweights(int kernel_size, const float* from, Stride point, int rows, float* dweight) {
    for (int r = 0; r < rows; ++r, ++from)
        for (int k = 0; k < kernel_size; ++k) {
            double sum = k == 0 ? from[0] : k == kernel_size - 1 ? from[7 * point] : 0;
            for (int i = 0; i < 3; ++i) {
                const double plus = from[(1 + 2 * i) * point], minus = from[(2 + 2 * i) * point];
                sum += factors[i] * powers[i][k] * (k % 2 ? plus - minus : plus + minus);
            }
            *dweight++ = static_cast<float>(sum);
        }
}

// --- the gradient of the weights, at each point ------------------------------------------------

// M output channels × the K rows of a kernel, summed over `count` tiles that lie side by side.
template <int K, int M>
void dpoints_tile(const Vector* d, Stride d_plane, const Vector* x, Stride x_row, int count,
                  bool accumulate, Vector* to, Stride to_channel) {
    Vector sum[M][K] = {};
    for (int c = 0; c < count; ++c, ++d, ++x) {
        if constexpr (M <= K) {
            Vector g[M];
            UNROLL for (int m = 0; m < M; ++m) g[m] = d[m * d_plane];
            UNROLL for (int k = 0; k < K; ++k) {
                Vector xk = x[k * x_row];
                if constexpr (M == 2) keep(xk);  // as in dweight_tile
                UNROLL for (int m = 0; m < M; ++m) sum[m][k] += g[m] * xk;
            }
        } else {
            Vector xk[K];
            UNROLL for (int k = 0; k < K; ++k) xk[k] = x[k * x_row];
            UNROLL for (int m = 0; m < M; ++m) {
                const Vector g = d[m * d_plane];
                UNROLL for (int k = 0; k < K; ++k) sum[m][k] += g * xk[k];
            }
        }
    }
    UNROLL for (int m = 0; m < M; ++m) UNROLL for (int k = 0; k < K; ++k) {
        Vector& at = to[m * to_channel + k];
        at = accumulate ? at + sum[m][k] : sum[m][k];
    }
}

using DpointsTile = void (*)(const Vector*, Stride, const Vector*, Stride, int, bool, Vector*,
                             Stride);
struct DpointsTiles {
    DpointsTile at[largest_kernel + 1][largest_dweight_tile + 1];
};

constexpr DpointsTiles dpoints_tiles = [] {
    DpointsTiles tiles{};
    for_each<largest_kernel>([&]<int K>() {
        for_each<largest_dweight_tile>([&]<int M>() {
            if constexpr (has_filter(K) && fits(M, K)) tiles.at[K][M] = dpoints_tile<K, M>;
        });
    });
    return tiles;
}();

void filter_dpoints(const Filtering& f, const float* d, Stride d_point, Stride d_plane,
                    int channels, int rows, const float* x, bool accumulate, float* to) {
    const int K = f.kernel_size;
    const DpointsTile tile = dpoints_tiles.at[K][channels];
    const Stride row = Stride(f.in_channels) * K;  // vectors of a point of an output channel
    for (int p = 0; p < points; ++p)
        for (int i = 0; i < f.in_channels; ++i)
            tile(vectors(d) + p * d_point, d_plane,
                 vectors(x) + p * f.in_point() + i * f.in_plane(), f.tiles, rows * f.tiles,
                 accumulate, vectors(to) + p * row + i * K, points * row);
}

// --- where it pays -----------------------------------------------------------------------------

// What the transform of a tile takes, in the time of multiply-adds, measured: it moves 16 vectors,
// and what is transformed outgrows the first-level cache sooner where vectors are long.
constexpr double transform_cost = lanes >= 16 ? 75 : 40;
constexpr double worthwhile = 0.85;  // of the direct loops' time

UNUSED bool choose_filtering(const Convolution& v) {
    const int K = v.kernel_size;
    if (v.stride != 1 || !has_filter(K)) return false;
    const double tiles = (v.out_width + points - K) / (points + 1 - K);
    const double kernels = double(v.in_channels) * v.out_channels * v.out_height;
    const double of_input = v.in_channels * (v.out_height + K - 1) * tiles;
    const double of_output = v.out_channels * v.out_height * tiles;
    return kernels * K * points * tiles + transform_cost * (of_input + of_output) <
           worthwhile * kernels * K * K * v.out_width;
}

UNUSED bool choose_filtering_plain(const Convolution&) { return false; }

}  // namespace
}  // namespace lenet
