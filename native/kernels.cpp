// See kernels.hpp. Compiled for each instruction set with
//   LENET_LANES    floats in a vector
//   LENET_KERNELS  the name of the table at the end
//   LENET_PLAIN    for the plain loops, which say what is meant and are the tests' oracle
//
// Nothing here may call an inline function of the standard library: the linker keeps one copy of
// such a function for the whole module, and it might keep the one for another processor.
#include "kernels.hpp"

#include <math.h>
#include <string.h>

#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace lenet {
extern const Kernels LENET_KERNELS;
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

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE inline __attribute__((always_inline))
#define UNUSED [[maybe_unused]]

INLINE const Vector* vectors(const float* x) { return reinterpret_cast<const Vector*>(x); }
INLINE Vector* vectors(float* x) { return reinterpret_cast<Vector*>(x); }
INLINE Vector splat(float x) { return x - Vector{}; }
// f.operator()<n>() for n = 1 … last.
template <int last, class Function>
constexpr void for_each(Function f) {
    if constexpr (last > 1) for_each<last - 1>(f);
    f.template operator()<last>();
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }
INLINE int larger(int a, int b) { return a > b ? a : b; }

// --- products: convolution, dense layers -----------------------------------------------------

UNUSED void product_plain(const Product& p) {
    for (int m = 0; m < p.m; ++m)
        for (int n = 0; n < p.n; ++n) {
            Vector sum = splat(p.bias ? p.bias[m] : 0);
            for (int i = 0; i < p.k[0].count; ++i)
                for (int j = 0; j < p.k[1].count; ++j)
                    for (int k = 0; k < p.k[2].count; ++k) {
                        const Stride a = m * p.a_row + i * p.k[0].a + j * p.k[1].a + k * p.k[2].a;
                        const Stride b =
                            n * p.b_column + i * p.k[0].b + j * p.k[1].b + k * p.k[2].b;
                        sum += p.a[a] * vectors(p.b)[b];
                    }
            Vector& c = vectors(p.c)[m * p.c_row + n * p.c_column];
            c = p.accumulate ? c + sum : sum;
        }
}

// A tile of M × N sums stays in registers through all of k; with them the smaller of a's column
// and b's row, and one of the other.
constexpr bool fits(int m, int n) { return m * n + (m < n ? m : n) + 1 <= registers; }

// Rows and columns of the tiles that there are; few columns where they do not lie side by side.
constexpr int largest_row = 12, largest_column = 7, largest_far_column = 4;
constexpr bool is_tile_row(int m) { return m <= 6 || m == 8 || m == 12; }

template <int M, int N, bool adjacent>
void product_tile(const Product& p, const float* a, const Vector* b, Vector* c, const float* bias) {
    Vector sum[M][N];
    UNROLL for (int m = 0; m < M; ++m) {
        const Vector start = splat(bias ? bias[m] : 0);
        UNROLL for (int n = 0; n < N; ++n) sum[m][n] = start;
    }
    const Stride column = adjacent ? 1 : p.b_column;
    const Stride row = p.a_row;
    const Product::Loop inner = p.k[2];
    for (int i = 0; i < p.k[0].count; ++i)
        for (int j = 0; j < p.k[1].count; ++j) {
            const float* ak = a + i * p.k[0].a + j * p.k[1].a;
            const Vector* bk = b + i * p.k[0].b + j * p.k[1].b;
            for (int k = 0; k < inner.count; ++k, ak += inner.a, bk += inner.b) {
                if constexpr (M <= N) {
                    Vector w[M];
                    UNROLL for (int m = 0; m < M; ++m) w[m] = splat(ak[m * row]);
                    UNROLL for (int n = 0; n < N; ++n) {
                        const Vector x = bk[n * column];
                        UNROLL for (int m = 0; m < M; ++m) sum[m][n] += w[m] * x;
                    }
                } else {
                    Vector x[N];
                    UNROLL for (int n = 0; n < N; ++n) x[n] = bk[n * column];
                    UNROLL for (int m = 0; m < M; ++m) {
                        const Vector w = splat(ak[m * row]);
                        UNROLL for (int n = 0; n < N; ++n) sum[m][n] += w * x[n];
                    }
                }
            }
        }
    UNROLL for (int m = 0; m < M; ++m) UNROLL for (int n = 0; n < N; ++n) {
        Vector& at = c[m * p.c_row + n * p.c_column];
        at = p.accumulate ? at + sum[m][n] : sum[m][n];
    }
}

using ProductTile = void (*)(const Product&, const float*, const Vector*, Vector*, const float*);
struct ProductTiles {
    ProductTile at[largest_row + 1][largest_column + 1];
};

template <bool adjacent>
constexpr ProductTiles product_tiles = [] {
    ProductTiles tiles{};
    for_each<largest_row>([&]<int M>() {
        for_each<adjacent ? largest_column : largest_far_column>([&]<int N>() {
            if constexpr (is_tile_row(M) && fits(M, N))
                tiles.at[M][N] = product_tile<M, N, adjacent>;
        });
    });
    return tiles;
}();

// The most rows that a tile can have, of those left.
INLINE int take_rows(int left) {
    int rows = smaller(left, largest_row);
    while (!is_tile_row(rows)) --rows;
    return rows;
}

// Cycles that a tile takes for each k, about: two multiply-adds a cycle, or two loads; and where
// there are few sums, a multiply-add must wait for the one before it. Loads cost a little always.
INLINE double tile_cost(int m, int n) {
    return larger(larger(m * n, 8), (m + n) * 3 / 2) + 0.1 * (m + n);
}

Product::Tile choose_product_tile(int m, int n, bool adjacent) {
    const ProductTiles& tiles = adjacent ? product_tiles<true> : product_tiles<false>;
    Product::Tile best{1, 1};
    double least = 1e300;
    for (int rows = largest_row; rows >= 1; --rows)
        for (int columns = 1; columns <= largest_column; ++columns) {
            if (!tiles.at[rows][columns] || rows > m || columns > n) continue;
            double cost = 0;
            for (int left = m, r; left > 0; left -= r) {
                r = take_rows(smaller(rows, left));
                cost += double(n / columns) * tile_cost(r, columns);
                if (n % columns) cost += tile_cost(r, n % columns);
            }
            if (cost < least) least = cost, best = {rows, columns};
        }
    return best;
}

UNUSED void product(const Product& p) {
    const ProductTiles& tiles = p.b_column == 1 ? product_tiles<true> : product_tiles<false>;
    for (int n = 0, columns; n < p.n; n += columns) {
        columns = smaller(p.tile.n, p.n - n);
        for (int m = 0, rows; m < p.m; m += rows) {
            rows = take_rows(smaller(p.tile.m, p.m - m));
            tiles.at[rows][columns](p, p.a + m * p.a_row, vectors(p.b) + n * p.b_column,
                                    vectors(p.c) + m * p.c_row + n * p.c_column,
                                    p.bias ? p.bias + m : nullptr);
        }
    }
}

// --- convolution: the gradient of its weights ------------------------------------------------

UNUSED void conv2d_dweight_plain(const Convolution& v, const float* d, Stride d_plane,
                                 Stride d_row, int channels, int first_row, int rows,
                                 const float* x, bool accumulate, float* dweight) {
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
                    const Vector xk = xc[k];
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
        if (cost < least) least = cost, best = m;
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

// --- convolution: the gradient of its input --------------------------------------------------

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
                UNROLL for (int t = 0; t < T; ++t) sum[m][t + k] += g[t] * wk;
            }
        }
    UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int t = 0; t < T + K - 1; ++t) dx[m * v.in_plane + t] += sum[m][t];
}

constexpr int largest_dinput_m = 3, largest_dinput_t = 7;
using DinputTile = void (*)(const Convolution&, const Vector*, Stride, Stride, int, const float*,
                            Vector*);
struct DinputTiles {
    DinputTile at[largest_kernel + 1][largest_dinput_m + 1][largest_dinput_t + 1];
};

constexpr DinputTiles dinput_tiles = [] {
    DinputTiles tiles{};
    for_each<largest_kernel>([&]<int K>() {
        for_each<largest_dinput_m>([&]<int M>() {
            for_each<largest_dinput_t>([&]<int T>() {
                if constexpr (M * (T + K - 1) + T + 1 <= registers)
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
            const int across = (v.out_width + t - 1) / t, deep = (v.in_channels + m - 1) / m;
            const int loads = v.out_width * deep + K * v.in_channels * across;
            const int waits = across * deep * larger(0, 8 * K - m * t * K);
            if (2 * loads + waits < least) least = 2 * loads + waits, M = m, T = t;
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

// --- pooling ---------------------------------------------------------------------------------

// The mean counts the border; a NaN wins as in PyTorch; of equal values the first wins.
template <int size, bool max>
INLINE void pool_row(Pooling p, int y, const float* x, float* out, std::int32_t* winners) {
    const int K = size ? size : p.kernel_size;
    const float share = 1.0f / (K * K);
    const int top = y * p.stride - p.padding;
    for (int c = 0; c < p.out_width; ++c) {
        const int left = c * p.stride - p.padding;
        const Vector* window = vectors(x) + top * p.in_row + left;
        Vector& result = vectors(out)[y * p.out_row + c];
        if constexpr (!max) {
            Vector sum = Vector{};
            for (int ky = 0; ky < K; ++ky)
                for (int kx = 0; kx < K; ++kx) sum += window[ky * p.in_row + kx];
            result = sum * share;
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
            reinterpret_cast<Ints*>(winners)[y * p.out_width + c] = winner;
        }
    }
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
    if (p.kernel_size == 2)
        pool_row_of<2>(p, y, x, out, winners);
    else
        pool_row_of<0>(p, y, x, out, winners);
}

// --- activations -----------------------------------------------------------------------------

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
        for (int i = 0; i < count; ++i) vectors(d)[i] *= slope_of<k>(vectors(values)[i], f.parameter);
    });
}

// --- pooling, backward -----------------------------------------------------------------------

// Every window that covers row y gives to its members there.
void pool_backward_plain(const Pooling& p, int y, const float* dout, const std::int32_t* winners,
                         Activation f, const float* values, float* d) {
    const int K = p.kernel_size;
    const float share = 1.0f / (K * K);
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
                    vectors(d)[x] += g * share;
                }
            }
        }
    }
    activate_backward(f, values, d, p.in_width);
}

// Windows side by side: every member has one.
template <Kind kind>
void pool_backward_apart(Pooling p, int y, const Vector* dout, const Ints* winners,
                         const Vector* values, Vector* d, float parameter) {
    const int K = p.kernel_size, end = p.out_width * K;
    const float share = 1.0f / (K * K);
    for (int x = 0; x < end; x += K, ++dout, ++winners) {
        const Vector g = *dout;
        for (int kx = 0; kx < K; ++kx) {
            const Vector slope = slope_of<kind>(values[x + kx], parameter);
            if (p.max)
                d[x + kx] = *winners == y % K * K + kx ? g * slope : Vector{};
            else
                d[x + kx] = g * share * slope;
        }
    }
    for (int x = end; x < p.in_width; ++x) d[x] = Vector{};
}

UNUSED void pool_backward(const Pooling& p, int y, const float* dout, const std::int32_t* winners,
                          Activation f, const float* values, float* d) {
    const int K = p.kernel_size, row = y / K;
    if (p.stride != K || p.padding != 0 || row >= p.out_height)
        return pool_backward_plain(p, y, dout, winners, f, values, d);
    const Vector* from = vectors(dout) + row * p.out_row;
    const Ints* won = reinterpret_cast<const Ints*>(winners) + row * p.out_width;
    with_kind(f.kind, [&]<Kind k>() {
        pool_backward_apart<k>(p, y, from, won, vectors(values), vectors(d), f.parameter);
    });
}

// --- dropout ---------------------------------------------------------------------------------

// docs/randomness.md
template <class T>
INLINE T hash32(T x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

void dropout(const DropoutMask& mask, int first_unit, const float* x, float* y, int count) {
    Bits pictures;
    memcpy(&pictures, mask.samples, sizeof pictures);
    pictures = hash32(hash32(hash32(hash32(mask.seed) ^ mask.epoch) ^ mask.layer) ^ pictures);
    for (int i = 0; i < count; ++i) {
        const Bits drawn = hash32(std::uint32_t(first_unit + i) * 0x9e3779b9u + pictures);
        const Vector scale = drawn <= mask.last_dropped ? Vector{} : splat(mask.scale);
        vectors(y)[i] = vectors(x)[i] * scale;
    }
}

// --- pictures in, numbers out ----------------------------------------------------------------

void gather_bytes(const std::uint8_t* const* pictures, const float* table, int channels,
                  int height, int width, float* x, Stride plane, Stride row) {
    const std::uint8_t* from[lanes];
    for (int lane = 0; lane < lanes; ++lane) from[lane] = pictures[lane];
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < height; ++r) {
            float* to = x + (c * plane + r * row) * lanes;
            const Stride start = (Stride(c) * height + r) * width;
            for (int column = 0; column < width; ++column, to += lanes)
                UNROLL for (int lane = 0; lane < lanes; ++lane)
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

// --- loss ------------------------------------------------------------------------------------

// The highest logit of each lane, the first NaN before all others, and its class.
UNUSED void highest_logit(const Vector* x, int classes, Vector& highest, Ints& best) {
    highest = x[0], best = Ints{};
    for (int c = 1; c < classes; ++c) {
        const Ints better = (x[c] > highest) | ((x[c] != x[c]) & (highest == highest));
        highest = better ? x[c] : highest;
        best = better ? c - Ints{} : best;
    }
}

void softmax_cross_entropy(const float* logits, const std::int64_t* labels, int classes,
                           float label_smoothing, float scale, float* losses,
                           std::int64_t* predicted, float* d) {
    const Vector* x = vectors(logits);
    Ints label, best;
    for (int lane = 0; lane < lanes; ++lane) label[lane] = int(labels[lane]);
    Vector highest, sum = Vector{}, shifted_sum = Vector{}, at_label = Vector{};
    highest_logit(x, classes, highest, best);
    for (int c = 0; c < classes; ++c) {
        const Vector shifted = x[c] - highest, e = exp_below_89(shifted);
        sum += e;
        shifted_sum += shifted;
        at_label = label == c ? shifted : at_label;
        if (d) vectors(d)[c] = e;
    }
    for (int lane = 0; lane < lanes; ++lane) {
        float loss = logf(sum[lane]) - (1 - label_smoothing) * at_label[lane];
        if (label_smoothing > 0) loss -= label_smoothing / classes * shifted_sum[lane];
        losses[lane] = loss;
        predicted[lane] = best[lane];
    }
    if (!d) return;
    const Vector share = 1.0f / sum;
    for (int c = 0; c < classes; ++c) {
        const Vector target = label == c ? splat(1 - label_smoothing) : Vector{};
        const Vector g = vectors(d)[c] * share - (target + label_smoothing / classes);
        vectors(d)[c] = label < 0 ? Vector{} : g * scale;
    }
}

void weighted_cross_entropy(const float* logits, const std::int64_t* labels, int classes,
                            float label_smoothing, const float* class_weights,
                            const float* scales, float* losses, std::int64_t* predicted,
                            float* d) {
    const Vector* x = vectors(logits);
    Ints label, best;
    for (int lane = 0; lane < lanes; ++lane) label[lane] = int(labels[lane]);
    Vector highest, sum = Vector{}, all = Vector{}, at_target = Vector{};
    highest_logit(x, classes, highest, best);
    const auto target = [&](int c) {
        const Vector plain = label == c ? splat(1 - label_smoothing) : Vector{};
        return (class_weights ? class_weights[c] : 1.0f) * (plain + label_smoothing / classes);
    };
    for (int c = 0; c < classes; ++c) {
        const Vector shifted = x[c] - highest, e = exp_below_89(shifted), t = target(c);
        sum += e;
        all += t;
        // a class without a part in the target must not add 0 · infinity
        at_target += t > 0.0f ? t * shifted : Vector{};
        if (d) vectors(d)[c] = e;
    }
    for (int lane = 0; lane < lanes; ++lane) {
        losses[lane] = all[lane] * logf(sum[lane]) - at_target[lane];
        predicted[lane] = best[lane];
    }
    if (!d) return;
    const Vector share = all / sum, scale = vectors(scales)[0];
    for (int c = 0; c < classes; ++c) {
        const Vector g = vectors(d)[c] * share - target(c);
        vectors(d)[c] = label < 0 ? Vector{} : g * scale;
    }
}

// --- sums over positions, lanes and slots; the optimiser -------------------------------------

void sum_positions(const float* d, Stride row, int rows, int columns, bool accumulate,
                   float* sum) {
    Vector part[4] = {};  // four sums at a time: each addition waits for the one before it
    for (int r = 0; r < rows; ++r) {
        const Vector* from = vectors(d) + r * row;
        int c = 0;
        for (; c + 4 <= columns; c += 4) UNROLL for (int i = 0; i < 4; ++i) part[i] += from[c + i];
        for (; c < columns; ++c) part[0] += from[c];
    }
    const Vector all = (part[0] + part[1]) + (part[2] + part[3]);
    vectors(sum)[0] = accumulate ? vectors(sum)[0] + all : all;
}

void sum_slots(const float* first, Stride slot_floats, int slots, int count, float* sum) {
    int i = 0;
    for (; i + lanes <= count; i += lanes) {
        Vector all = vectors(first + i)[0];
        for (int s = 1; s < slots; ++s) all += vectors(first + s * slot_floats + i)[0];
        memcpy(sum + i, &all, sizeof all);
    }
    for (; i < count; ++i) {
        sum[i] = first[i];
        for (int s = 1; s < slots; ++s) sum[i] += first[s * slot_floats + i];
    }
}

void sum_slots_and_lanes(const float* first, Stride slot_floats, int slots, int count,
                         float* sum) {
    for (int i = 0; i < count; ++i) {
        Vector all = vectors(first)[i];
        for (int s = 1; s < slots; ++s) all += vectors(first + s * slot_floats)[i];
        float halves[lanes];
        memcpy(halves, &all, sizeof all);
        for (int half = lanes / 2; half >= 1; half /= 2)
            for (int lane = 0; lane < half; ++lane) halves[lane] += halves[lane + half];
        sum[i] = halves[0];
    }
}

// PyTorch's rules, as in engines/numpy.py.
void optimizer_step(const Rule& rule, const float* __restrict gradient, float* __restrict weights,
                    float* __restrict moment1, float* __restrict moment2, float* __restrict average,
                    std::ptrdiff_t count) {
    const float rate = rule.learning_rate, decay = rule.weight_decay;
    if (rule.method == Rule::Method::sgd) {
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            float g = gradient[i] + decay * weights[i];
            if (rule.momentum > 0) {
                moment1[i] = moment1[i] * rule.momentum + g;
                g = rule.nesterov ? g + rule.momentum * moment1[i] : moment1[i];
            }
            weights[i] -= rate * g;
        }
    } else {
        const bool decoupled = rule.method == Rule::Method::adamw;
        const float shrink = decoupled ? 1 - rate * decay : 1, coupled = decoupled ? 0 : decay;
        const float step = rate / rule.correction1;
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            const float w = weights[i] * shrink, g = gradient[i] + coupled * weights[i];
            moment1[i] += (1 - rule.beta1) * (g - moment1[i]);
            moment2[i] = moment2[i] * rule.beta2 + (1 - rule.beta2) * g * g;
            const float root = __builtin_sqrtf(moment2[i]) / rule.correction2 + rule.eps;
            weights[i] = w - step * moment1[i] / root;
        }
    }
    if (rule.averaging > 0)
        for (std::ptrdiff_t i = 0; i < count; ++i)
            average[i] += rule.averaging * (weights[i] - average[i]);
}

// --- for tests and measurements --------------------------------------------------------------

void exponential(const float* x, float* y, int count) {
    for (int i = 0; i < count; ++i) vectors(y)[i] = exp_of(vectors(x)[i]);
}

double multiply_add_flops(long rounds) {
    constexpr int sums = 12;  // enough to hide the time one takes, on every processor so far
    Vector sum[sums], a = splat(0.999f), b = splat(0.5f);
    for (int s = 0; s < sums; ++s) sum[s] = splat(s);  // all different, or one would do for all
    for (long i = 0; i < rounds; ++i) {
        UNROLL for (int s = 0; s < sums; ++s) sum[s] = sum[s] * a + b;
#if defined(__x86_64__)
        __asm__ volatile("" : "+x"(a));  // another a each time, for all that the compiler knows
#else
        __asm__ volatile("" : "+w"(a));
#endif
    }
    for (int s = 1; s < sums; ++s) sum[0] += sum[s];
    volatile float result = sum[0][0];
    (void)result;
    return 2.0 * lanes * sums * rounds;
}

}  // namespace

#if defined(LENET_PLAIN)
#define FAST_OR_PLAIN(name) name##_plain
#else
#define FAST_OR_PLAIN(name) name
#endif

const Kernels LENET_KERNELS = {
    .lanes = lanes,
    .choose_product_tile = choose_product_tile,
    .product = FAST_OR_PLAIN(product),
    .conv2d_dweight = FAST_OR_PLAIN(conv2d_dweight),
    .choose_dweight_tile = choose_dweight_tile,
    .conv2d_dinput = FAST_OR_PLAIN(conv2d_dinput),
    .pool_forward = FAST_OR_PLAIN(pool_forward),
    .pool_backward = FAST_OR_PLAIN(pool_backward),
    .activate = FAST_OR_PLAIN(activate),
    .activate_backward = activate_backward,
    .dropout = dropout,
    .gather_bytes = gather_bytes,
    .gather_floats = gather_floats,
    .scatter_floats = scatter_floats,
    .transpose = FAST_OR_PLAIN(transpose),
    .softmax_cross_entropy = softmax_cross_entropy,
    .weighted_cross_entropy = weighted_cross_entropy,
    .sum_positions = sum_positions,
    .sum_slots = sum_slots,
    .sum_slots_and_lanes = sum_slots_and_lanes,
    .optimizer_step = optimizer_step,
    .exponential = exponential,
    .multiply_add_flops = multiply_add_flops,
};

}  // namespace lenet
