// The two gradients of a convolution; its forward pass is a product.
#pragma once

#include "products.hpp"

namespace lenet {
namespace {

// --- the gradient of its weights -------------------------------------------------------------

UNUSED void conv2d_dweight_plain(const Convolution& v, const float* d, Stride d_plane, Stride d_row,
                                 int channels, int first_row, int rows, const float* x,
                                 bool accumulate, float* dweight) {
    const int K = v.kernel_size;
    for (int o = 0; o < channels; ++o)
        for (int i = 0; i < v.in_channels; ++i)
            for (int ky = 0; ky < K; ++ky)
                for (int kx = 0; kx < K; ++kx) {
                    Vector& sum = vectors(dweight)[((o * v.in_channels + i) * K + ky) * K + kx];
                    if (!accumulate) sum = Vector{};
                    for (int r = 0; r < rows; ++r)
                        for (int c = 0; c < v.out_width; ++c) {
                            const Stride row = (first_row + r) * v.stride - v.padding + ky;
                            const Stride column = c * v.stride - v.padding + kx;
                            sum += vectors(d)[o * d_plane + r * d_row + c] *
                                   vectors(x)[i * v.in_plane + row * v.in_row + column];
                        }
                }
}

// M output channels × the K columns of a kernel's row.
template <int K, int M>
void dweight_tile(const Convolution& v, const Vector* d, Stride d_plane, Stride d_row, int rows,
                  const Vector* x, bool accumulate, Vector* dweight, Stride dweight_channel) {
    Vector sum[M][K] = {};
    if (accumulate) UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int k = 0; k < K; ++k) sum[m][k] = dweight[m * dweight_channel + k];
    for (int r = 0; r < rows; ++r) {
        const Vector* dc = d + r * d_row;
        const Vector* xc = x + r * v.stride * v.in_row;
        for (int c = 0; c < v.out_width; ++c, ++dc, xc += v.stride) {
            if constexpr (M <= K) {
                Vector g[M];
                UNROLL for (int m = 0; m < M; ++m) g[m] = dc[m * d_plane];
                UNROLL for (int k = 0; k < K; ++k) {
                    Vector xk = xc[k];
                    if constexpr (M == 2) keep(xk);  // or GCC loads it for each of them
                    UNROLL for (int m = 0; m < M; ++m) sum[m][k] += g[m] * xk;
                }
            } else {
                Vector xk[K];
                UNROLL for (int k = 0; k < K; ++k) xk[k] = xc[k];
                UNROLL for (int m = 0; m < M; ++m) {
                    const Vector g = dc[m * d_plane];
                    UNROLL for (int k = 0; k < K; ++k) sum[m][k] += g * xk[k];
                }
            }
        }
    }
    UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int k = 0; k < K; ++k) dweight[m * dweight_channel + k] = sum[m][k];
}

constexpr int largest_kernel = 7, largest_dweight_tile = 8;
using DweightTile = void (*)(const Convolution&, const Vector*, Stride, Stride, int, const Vector*,
                             bool, Vector*, Stride);
struct DweightTiles {
    DweightTile at[largest_kernel + 1][largest_dweight_tile + 1];
};

constexpr DweightTiles dweight_tiles = [] {
    DweightTiles tiles{};
    for_each<largest_kernel>([&]<int K>() {
        for_each<largest_dweight_tile>([&]<int M>() {
            if constexpr (fits(M, K)) tiles.at[K][M] = dweight_tile<K, M>;
        });
    });
    return tiles;
}();

int choose_dweight_tile(const Convolution& v) {
    int best = 1;
    double least = 1e300;
    for (int m = 1; m <= largest_dweight_tile; ++m) {
        if (!dweight_tiles.at[v.kernel_size][m]) continue;
        const int left = v.out_channels % m;
        const double cost = v.out_channels / m * tile_cost(m, v.kernel_size) +
                            (left ? tile_cost(left, v.kernel_size) : 0);
        if (cost >= least) continue;
        least = cost;
        best = m;
    }
    return best;
}

UNUSED void conv2d_dweight(const Convolution& v, const float* d, Stride d_plane, Stride d_row,
                           int channels, int first_row, int rows, const float* x, bool accumulate,
                           float* dweight) {
    const int K = v.kernel_size;
    const Stride top = (first_row * v.stride - v.padding) * v.in_row - v.padding;
    for (int i = 0; i < v.in_channels; ++i)
        for (int ky = 0; ky < K; ++ky)
            dweight_tiles.at[K][channels](v, vectors(d), d_plane, d_row, rows,
                                          vectors(x) + i * v.in_plane + top + ky * v.in_row,
                                          accumulate, vectors(dweight) + (i * K + ky) * K,
                                          v.in_channels * K * K);
}

// --- the gradient of its input ---------------------------------------------------------------

UNUSED void conv2d_dinput_plain(const Convolution& v, const float* d, Stride d_plane, Stride d_row,
                                const float* weight, float* dx) {
    const int K = v.kernel_size;
    for (int i = 0; i < v.in_channels; ++i)
        for (int y = 0; y < v.in_height; ++y)
            for (int x = 0; x < v.in_width; ++x)
                vectors(dx)[i * v.in_plane + y * v.in_row + x] = Vector{};
    for (int o = 0; o < v.out_channels; ++o)
        for (int i = 0; i < v.in_channels; ++i)
            for (int y = 0; y < v.out_height; ++y)
                for (int x = 0; x < v.out_width; ++x)
                    for (int ky = 0; ky < K; ++ky)
                        for (int kx = 0; kx < K; ++kx) {
                            const int row = y * v.stride - v.padding + ky;
                            const int column = x * v.stride - v.padding + kx;
                            if (row < 0 || row >= v.in_height || column < 0 ||
                                column >= v.in_width)
                                continue;
                            vectors(dx)[i * v.in_plane + row * v.in_row + column] +=
                                weight[((o * v.in_channels + i) * K + ky) * K + kx] *
                                vectors(d)[o * d_plane + y * d_row + x];
                        }
}

// What T neighbours in a row of d give to the T + K - 1 positions of M input channels that they
// reach, in one row of the input. `turns` kernel rows reach it: the first with d and weight as
// given, each next one with the row above of d and the kernel row `stride` below.
template <int K, int M, int T>
void dinput_tile(const Convolution& v, const Vector* d, Stride d_plane, Stride d_row, int turns,
                 const float* weight, Vector* dx) {
    Vector sum[M][T + K - 1] = {};
    const int area = K * K;
    for (int o = 0; o < v.out_channels; ++o)
        for (int turn = 0; turn < turns; ++turn) {
            const Vector* from = d + o * d_plane - turn * d_row;
            const float* w = weight + o * v.in_channels * area + turn * v.stride * K;
            Vector g[T];
            UNROLL for (int t = 0; t < T; ++t) g[t] = from[t];
            UNROLL for (int m = 0; m < M; ++m) UNROLL for (int k = 0; k < K; ++k) {
                const Vector wk = splat(w[m * area + k]);
                UNROLL for (int t = 0; t < T; ++t) {
                    sum[m][t + k] += g[t] * wk;
                    keep(sum[m][t + k]);
                }
            }
        }
    UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int t = 0; t < T + K - 1; ++t) dx[m * v.in_plane + t] += sum[m][t];
}

// Half cycles that a tile takes for each turn, about: two multiply-adds a cycle, or two loads. A sum
// is added to as many times in a turn as d's neighbours reach it, and each of these waits for the
// one before.
INLINE int dinput_cost(int K, int m, int t) {
    const int wait = 4, loads = t + m * K;
    return larger(larger(m * t * K, loads), 2 * wait * smaller(t, K)) + loads / 8;
}

constexpr int largest_dinput_m = is_small ? 1 : 3, largest_dinput_t = is_small ? 4 : 7;
using DinputTile = void (*)(const Convolution&, const Vector*, Stride, Stride, int, const float*,
                            Vector*);
struct DinputTiles {
    DinputTile at[largest_kernel + 1][largest_dinput_m + 1][largest_dinput_t + 1];
};

// Sums, d and one weight; a few registers stay free, or GCC 12 uses the stack all the same.
constexpr DinputTiles dinput_tiles = [] {
    DinputTiles tiles{};
    for_each<largest_kernel>([&]<int K>() {
        for_each<largest_dinput_m>([&]<int M>() {
            for_each<largest_dinput_t>([&]<int T>() {
                if constexpr (M * (T + K - 1) + T + 1 + registers / 10 <= registers)
                    tiles.at[K][M][T] = dinput_tile<K, M, T>;
            });
        });
    });
    return tiles;
}();

UNUSED void conv2d_dinput(const Convolution& v, const float* d, Stride d_plane, Stride d_row,
                          const float* weight, float* dx) {
    const int K = v.kernel_size, s = v.stride;
    const DinputTile(&tiles)[largest_dinput_m + 1][largest_dinput_t + 1] = dinput_tiles.at[K];
    // Neighbours of d lie beside each other in the input only where the stride is 1.
    int M = 1, T = 1, least = 1 << 30;
    for (int m = 1; m <= smaller(largest_dinput_m, v.in_channels); ++m)
        for (int t = 1; t <= (s == 1 ? smaller(largest_dinput_t, v.out_width) : 1); ++t) {
            if (!tiles[m][t]) continue;
            int cost = 0;
            for (int left = v.out_width; left > 0; left -= t)
                cost += dinput_cost(K, m, smaller(t, left));
            cost *= (v.in_channels + m - 1) / m;
            if (cost >= least) continue;
            least = cost;
            M = m;
            T = t;
        }
    for (int row = 0; row < v.in_height; ++row) {
        for (int i = 0; i < v.in_channels; ++i)
            memset(vectors(dx) + i * v.in_plane + row * v.in_row - v.padding, 0,
                   (v.in_width + 2 * v.padding) * sizeof(Vector));
        // Kernel row ky of output row y reaches this row when y · s + ky = from.
        const int from = row + v.padding;
        int ky = from % s;
        if (from / s > v.out_height - 1) ky += (from / s - (v.out_height - 1)) * s;
        if (ky >= K) continue;
        const int y = (from - ky) / s;
        const int turns = smaller((K - 1 - ky) / s, y) + 1;
        for (int x = 0, t; x < v.out_width; x += t) {
            t = smaller(T, v.out_width - x);
            for (int i = 0, m; i < v.in_channels; i += m) {
                m = smaller(M, v.in_channels - i);
                tiles[m][t](
                    v, vectors(d) + y * d_row + x, d_plane, d_row, turns,
                    weight + (i * K + ky) * K,
                    vectors(dx) + i * v.in_plane + row * v.in_row - v.padding + x * s);
            }
        }
    }
}

}  // namespace
}  // namespace lenet
