// The arithmetic of the native engine, as a table of functions for one instruction set.
//
// kernels.cpp is compiled once for each instruction set and number of lanes; program.cpp, which is
// compiled once, decides what is computed and calls one of the tables.
//
// Values lie as [channel][row][column][lane]: the pictures of a group lie beside each other in the
// lanes of a vector, so that every kernel is the textbook's loop over one picture, on vectors. A
// plane may have a border of padding on all four sides. Distances ("strides") are counted in
// vectors of `lanes` floats, but where it says floats. Pointers to planes point at row 0, column 0
// inside the border. Every vector is aligned to its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace lenet {

using Stride = std::ptrdiff_t;

// c[m][n] = bias[m] + Σ_k a[m, k] · b[k, n]: a holds scalars, each spread over the lanes; b and c
// hold vectors. The sum runs over three nested loops, each with a count and the steps of a and b.
// Convolution, dense layers and two of their gradients are products of this kind.
struct Product {
    int m, n;
    struct Tile {
        int m, n;
    } tile;  // from choose_product_tile, for this m and n
    const float* a;
    Stride a_row;  // floats between m and m + 1
    const float* b;
    Stride b_column;  // between n and n + 1
    float* c;
    Stride c_row, c_column;
    const float* bias = nullptr;  // (m,), or null for zeros
    bool accumulate = false;      // add to what c holds
    struct Loop {
        int count = 1;
        Stride a = 0, b = 0;  // a in floats
    } k[3];                   // outermost first
};

// What the two gradients of a convolution need to know; d is the gradient of its output.
struct Convolution {
    int in_channels, out_channels, kernel_size, stride;
    int in_height, in_width;  // without padding
    int out_height, out_width;
    int padding;
    Stride in_plane, in_row;  // of the input, and of its gradient
};

// A convolution of stride 1 by minimal filtering (kernels/minimal_filtering.hpp): each row of its
// output is cut into `tiles`; input, weights and gradients are transformed to eight points.
constexpr int filtering_points = 8;
struct Filtering {
    int in_channels, out_channels, kernel_size;
    int in_rows;  // with padding
    int tiles;    // in a row

    // Of the transformed input (point, channel, row, tile), in vectors.
    Stride in_plane() const { return Stride(in_rows) * tiles; }
    Stride in_point() const { return in_channels * in_plane(); }
};

// Pooling, its output one plane of (out_height, out_width).
struct Pooling {
    int kernel_size, stride, padding;
    int in_height, in_width, out_height, out_width;
    Stride in_row, out_row;
    bool max;
    float share, bias;  // else the result is the window's sum times share, plus bias
};

// An activation; `parameter` and `second` are the arguments of those that have any.
struct Activation {
    enum class Kind {
        identity,
        sigmoid,
        tanh,
        relu,
        leaky_relu,
        gelu,
        silu,
        scaled_tanh
    } kind = Kind::identity;
    float parameter = 0, second = 0;

    // By the name in network/layers.py; false for any other.
    bool find(std::string_view name) {
        constexpr std::pair<std::string_view, Kind> names[] = {
            {"Sigmoid", Kind::sigmoid},        {"Tanh", Kind::tanh}, {"ReLU", Kind::relu},
            {"LeakyReLU", Kind::leaky_relu},   {"GELU", Kind::gelu}, {"SiLU", Kind::silu},
            {"ScaledTanh", Kind::scaled_tanh},
        };
        for (const auto& [known, its_kind] : names)
            if (known == name) {
                kind = its_kind;
                return true;
            }
        return false;
    }

    // Whether its slope is computed from x. From y = f(x), where that is enough, it costs less, and
    // y may be written over x.
    constexpr bool slope_needs_input() const { return kind == Kind::gelu || kind == Kind::silu; }

    // Whether a larger x never has a smaller f(x): then max(f(x)) = f(max(x)).
    constexpr bool never_falls() const {
        return kind == Kind::sigmoid || kind == Kind::tanh || kind == Kind::relu ||
               (kind == Kind::leaky_relu && parameter >= 0);
    }
};

// Which units of a dropout layer stay: a hash of these numbers and the unit's, as in
// docs/randomness.md, decides.
struct DropoutMask {
    std::uint32_t seed, epoch, layer;
    const std::uint32_t* samples;  // (lanes,) each picture's place in its epoch
    std::uint32_t last_dropped;    // a unit whose hash is at most this is dropped
    float scale;                   // of the others
};

// The rule of one optimiser step, with the numbers of this step.
struct Rule {
    enum class Method { sgd, adam, adamw, sdlm } method;
    bool nesterov;
    float learning_rate, momentum, weight_decay;
    float beta1, beta2, eps;  // of sdlm eps is what is added to the curvature, its first moment
    float correction1, correction2;  // 1 - beta1^t, sqrt(1 - beta2^t)
    float averaging;                 // 1 - the share of the old average that stays; 0: no average
};

struct Kernels {
    int lanes;

    // The tile, at most as large as the registers hold, that makes the least work of m × n.
    Product::Tile (*choose_product_tile)(int m, int n, bool adjacent);
    void (*product)(const Product&);

    // dweight[out][in][ky][kx] = Σ over rows and columns of d · input, still apart in lanes, for
    // `channels` output channels and rows first_row … first_row + rows - 1 of d; or added to it.
    void (*conv2d_dweight)(const Convolution&, const float* d, Stride d_plane, Stride d_row,
                           int channels, int first_row, int rows, const float* x, bool accumulate,
                           float* dweight);
    int (*choose_dweight_tile)(const Convolution&);  // output channels that it takes at once
    // dx = Σ d · weight for all rows of the input; what lies in dx's border means nothing.
    void (*conv2d_dinput)(const Convolution&, const float* d, Stride d_plane, Stride d_row,
                          const float* weight, float* dx);

    // Minimal filtering, and whether it makes a convolution shorter.
    bool (*choose_filtering)(const Convolution&);
    // A row of the input, or of its gradient, from the padding's first column on, with a width that
    // counts the padding; of the output, or of its gradient. Each has the value at point p of its
    // tile t at vector p · point + t.
    void (*filter_input)(int kernel_size, const float* x, int width, float* to, Stride point);
    void (*filter_output)(int kernel_size, const float* from, Stride point, int width, float* y);
    void (*filter_doutput)(int kernel_size, const float* dy, int width, float* to, Stride point);
    void (*filter_dinput)(int kernel_size, const float* from, Stride point, int width, float* dx);
    // Rows of kernels, row r with its value at point p at float p · point + r; their gradient back.
    void (*filter_weights)(int kernel_size, const float* weight, int rows, float* to, Stride point);
    void (*filter_dweights)(int kernel_size, const float* from, Stride point, int rows,
                            float* dweight);
    // to[out][point][in][ky] = Σ over the tiles of `rows` rows of d · input, still apart in lanes,
    // for `channels` output channels; or added to it.
    void (*filter_dpoints)(const Filtering&, const float* d, Stride d_point, Stride d_plane,
                           int channels, int rows, const float* x, bool accumulate, float* to);

    // One row y of one plane; max pooling notes in `winners`, where that is not null, which member
    // of the window won.
    void (*pool_forward)(const Pooling&, int y, const float* x, float* out, std::int32_t* winners);
    // The gradient of row y of pooling's input, written to d, times the slope of the activation
    // that made this row, `values`
    // (or of the activation's own input, where its slope needs that).
    void (*pool_backward)(const Pooling&, int y, const float* dout, const std::int32_t* winners,
                          Activation, const float* values, float* d);

    // Of a plane of Subsample: sum (one vector) = Σ dout · the sum of its window, or added to it.
    void (*subsample_dweight)(const Pooling&, const float* dout, const float* x, bool accumulate,
                              float* sum);
    // Minus the squared distance of x (in) to each of the codes (out, in); its gradient.
    void (*rbf_forward)(const float* codes, int in, int out, const float* x, float* y);
    void (*rbf_backward)(const float* codes, int in, int out, const float* x, const float* d,
                         float* dx);

    void (*activate)(Activation, const float* x, float* y, int count);
    // d *= slope; `values` are y, or x where the slope needs that.
    void (*activate_backward)(Activation, const float* values, float* d, int count);
    void (*dropout)(const DropoutMask&, int first_unit, const float* x, float* y, int count);

    // Pixels of one picture a lane, through a table of (channels, 256) floats.
    void (*gather_bytes)(const std::uint8_t* const* pictures, const float* table, int channels,
                         int height, int width, float* x, Stride plane, Stride row);
    void (*gather_floats)(const float* const* pictures, int channels, int height, int width,
                          float* x, Stride plane, Stride row);
    void (*scatter_floats)(const float* x, Stride plane, Stride row, int channels, int height,
                           int width, float* const* pictures);
    // x (features vectors, `step` apart) → xt (lanes, row floats): a lane a row, zeros after its
    // features.
    void (*transpose)(const float* x, Stride step, int features, float* xt, Stride row);
    // out (one vector): lane r = Σ over n vectors and their lanes of rows[r] · x, for `count` rows,
    // at most as many as lanes, of n vectors each; 0 in the other lanes.
    void (*dot_rows)(const float* rows, int count, const float* x, Stride x_step, int n,
                     float* out);

    // Loss and class of each lane, and (where d is not null) scale · the gradient of its logits;
    // none for lanes whose label is -1. `rubbish` is the logit of one class more, which no picture
    // has; minus infinity: there is none.
    void (*softmax_cross_entropy)(const float* logits, const std::int64_t* labels, int classes,
                                  float label_smoothing, float rubbish, float scale, float* losses,
                                  std::int64_t* predicted, float* d);
    // The same with a scale a lane, and a weight a class on its part of the target (null: 1).
    void (*weighted_cross_entropy)(const float* logits, const std::int64_t* labels, int classes,
                                   float label_smoothing, float rubbish, const float* class_weights,
                                   const float* scales, float* losses, std::int64_t* predicted,
                                   float* d);

    // sum (one vector) = Σ over rows and columns of d, or added to it
    void (*sum_positions)(const float* d, Stride row, int rows, int columns, bool accumulate,
                          float* sum);
    // sum (count,) = Σ over slots and lanes of each vector, or added to it
    void (*sum_slots_and_lanes)(const float* first, Stride slot_floats, int slots, int count,
                                bool accumulate, float* sum);
    void (*optimizer_step)(const Rule&, const float* gradient, float* weights, float* moment1,
                           float* moment2, float* average, std::ptrdiff_t count);

    void (*exponential)(const float* x, float* y, int count);  // for its test alone
    double (*multiply_add_flops)(int rounds);                  // does nothing else; the flops done
};

}  // namespace lenet
