// The product that convolution and dense layers are made of.
#pragma once

#include "vector.hpp"

namespace lenet {
namespace {

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
// and b's row, one of the other, and their product where it cannot be added at once.
#if defined(__FMA__) || defined(__aarch64__)
constexpr int products = 0;
#else
constexpr int products = 1;
#endif
constexpr bool fits(int m, int n) { return m * n + (m < n ? m : n) + 1 + products <= registers; }

// Rows and columns of the tiles that there are; few columns where they do not lie side by side.
constexpr int largest_row = is_small ? 6 : 14, largest_column = is_small ? 6 : 8;
constexpr int largest_far_column = 4;
constexpr bool is_tile_row(int m) { return m <= 6 || m % 2 == 0; }

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
    // Which no write to c can change: else each of them would be followed by a look at p.
    const Stride c_row = p.c_row, c_column = p.c_column;
    if (p.accumulate) UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int n = 0; n < N; ++n) sum[m][n] += c[m * c_row + n * c_column];
    UNROLL for (int m = 0; m < M; ++m)
        UNROLL for (int n = 0; n < N; ++n) c[m * c_row + n * c_column] = sum[m][n];
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
            if (cost >= least) continue;
            least = cost;
            best = {rows, columns};
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

}  // namespace
}  // namespace lenet
