// What is computed: the layers of a network, and the pictures that go in. Plain data.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels.hpp"

namespace lenet {

struct Shape {
    int channels, height, width;
};

// A layer as in network/layers.py.
struct Layer {
    enum class Kind {
        conv2d,
        linear,
        avg_pool2d,
        max_pool2d,
        subsample,
        rbf,
        activation,
        dropout,
        flatten
    };
    Kind kind = Kind::flatten;
    int in = 0, out = 0;  // channels or features
    int kernel_size = 0, stride = 1, padding = 0;
    double p = 0;           // of dropout
    Activation activation;  // the identity in all other kinds

    // By the name in network/layers.py. `argument` and `second` are the numbers that Dropout and
    // some activations have. False for any other.
    bool find(std::string_view name, double argument, double second = 0) {
        constexpr std::pair<std::string_view, Kind> names[] = {
            {"Conv2d", Kind::conv2d},        {"Linear", Kind::linear},
            {"AvgPool2d", Kind::avg_pool2d}, {"MaxPool2d", Kind::max_pool2d},
            {"Dropout", Kind::dropout},      {"Flatten", Kind::flatten},
            {"Subsample", Kind::subsample},  {"RBF", Kind::rbf},
        };
        for (const auto& [known, its_kind] : names)
            if (known == name) {
                kind = its_kind;
                p = argument;
                return true;
            }
        activation.parameter = static_cast<float>(argument);
        activation.second = static_cast<float>(second);
        kind = Kind::activation;
        return activation.find(name);
    }

    bool has_weights() const {
        return kind == Kind::conv2d || kind == Kind::linear || kind == Kind::subsample;
    }
    bool is_pool() const {
        return kind == Kind::avg_pool2d || kind == Kind::max_pool2d || kind == Kind::subsample;
    }
    // Only program.hpp's way computes those of 1998 alone.
    bool is_of_1998() const {
        return kind == Kind::subsample || kind == Kind::rbf ||
               activation.kind == Activation::Kind::scaled_tanh;
    }
    bool is_elementwise() const { return kind == Kind::activation || kind == Kind::dropout; }
    bool has_windows() const { return kind == Kind::conv2d || is_pool(); }
    // How many windows fit into `size` rows or columns.
    int windows(int size) const { return (size + 2 * padding - kernel_size) / stride + 1; }
    // The weights (out, row_size()) of a layer that has any: (out, in, ky, kx), (out, in) or (out).
    int row_size() const {
        return kind == Kind::conv2d ? in * kernel_size * kernel_size
                                    : (kind == Kind::subsample ? 1 : in);
    }
};

struct Description {
    int channels, height, width, classes;
    std::vector<Layer> layers;
    std::vector<float> table;    // (channels, 256): what the first layer sees of each pixel value
    std::vector<float> codes{};  // (out, in) of each RBF layer, in their order
    std::vector<float> mask{};   // (parameters,) 0 for weights that do not exist; empty: all do
};

// Pictures of uint8 or float32, (…, channels, height, width), and what picks from them.
struct Pictures {
    const std::uint8_t* bytes = nullptr;
    const float* floats = nullptr;  // instead of bytes: what the first layer sees
    const std::int64_t* labels = nullptr;
    const std::int64_t* order = nullptr;         // which of them; null: as they lie
    const std::int16_t* augmentation = nullptr;  // (n, changes), see augmentation.hpp
    std::int64_t changes = 0;
    const float* shares = nullptr;  // (n,) of their batch's mean; null: all alike
    std::int64_t count = 0;
};

// Decides the dropout masks; without training no unit is dropped.
struct Position {
    bool training = false;
    std::uint32_t seed = 0, epoch = 0, first_sample = 0;
};

}  // namespace lenet
