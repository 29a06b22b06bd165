// A network laid out for one table of kernels: where every value lies, and in which order the
// kernels run over a few groups of pictures.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace lenet {

// A layer as in network/architecture.py.
struct Layer {
    enum class Kind { conv2d, linear, avg_pool2d, max_pool2d, activation, dropout, flatten };
    Kind kind;
    int in = 0, out = 0;  // channels or features
    int kernel_size = 0, stride = 1, padding = 0;
    double p = 0;           // of dropout
    Activation activation;  // the identity in all other kinds

    bool has_weights() const { return kind == Kind::conv2d || kind == Kind::linear; }
    bool is_pool() const { return kind == Kind::avg_pool2d || kind == Kind::max_pool2d; }
    bool is_elementwise() const { return kind == Kind::activation || kind == Kind::dropout; }
    // How many windows fit into `size` rows or columns.
    int windows(int size) const { return (size + 2 * padding - kernel_size) / stride + 1; }
};

struct Description {
    int channels, height, width, classes;
    std::vector<Layer> layers;
    std::vector<float> table;  // (channels, 256): what the first layer sees of each pixel value
};

// Pictures of uint8 or float32, (…, channels, height, width), and what picks from them.
struct Pictures {
    const std::uint8_t* bytes = nullptr;
    const float* floats = nullptr;  // instead of bytes: what the first layer sees
    const std::int64_t* labels = nullptr;
    const std::int64_t* order = nullptr;        // which of them; null: as they lie
    const std::int8_t* augmentation = nullptr;  // (n, 3) rows down, columns right, mirrored
    const float* shares = nullptr;              // (n,) of their batch's mean; null: all alike
    std::int64_t count = 0;
};

// Decides the dropout masks; without training no unit is dropped.
struct Position {
    bool training = false;
    std::uint32_t seed = 0, epoch = 0, first_sample = 0;
};

// Zeros, aligned for any vector.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t floats);
    float* data() const { return data_.get(); }

private:
    struct Free {
        void operator()(float* data) const;
    };
    std::unique_ptr<float[], Free> data_;
};

// Where a layer's values lie in a group's part of a buffer; in vectors, as in kernels.hpp.
struct Place {
    Stride at;  // of row 0, column 0
    Stride plane, row;
    int channels, height, width;
};

Pooling pooling_of(const Layer&, const Place& in, const Place& out);

// The values of a few groups of pictures on their way through the network.
struct Workspace {
    int groups, capacity;             // in use, and at most
    Buffer values, gradients;         // one part a group
    Buffer winners;                   // of max pooling, as int32; one part a group
    Buffer rows;                      // gradients of a convolution's output, while they are needed
    Buffer pictures_in_rows;          // a dense layer's input, a picture a row
    std::vector<std::uint8_t> moved;  // augmented pictures, one a lane
    std::vector<std::int64_t> labels, predicted;  // (groups · lanes,)
    std::vector<std::uint32_t> samples;
    std::vector<float> losses;
    Buffer shares;  // (groups · lanes,)
    Position position;
};

class Program {
public:
    Program(const Description&, const Kernels&);

    const Kernels& kernels;
    const int lanes;
    static constexpr int most_groups = 4;  // that a dense layer takes at once

    Workspace make_workspace(int groups) const;
    // The pictures first … first + count - 1; lanes beyond get a copy and count for nothing.
    void load(Workspace&, const Pictures&, std::int64_t first, int count, const Position&) const;
    using Observer = std::function<void(int layer, const Place&)>;
    void forward(Workspace&, const float* weights, const Observer& observe = nullptr) const;
    // A layer's values of the first `count` pictures, (count, …) floats.
    void copy_out(const Workspace&, const Place&, int count, float* out) const;
    const Place& output() const { return output_; }
    // Losses and predictions; where scale is not 0 the logits' gradients times scale.
    void loss(Workspace&, float label_smoothing, float scale) const;
    // The same, where pictures or classes have weights; class_weights may be null.
    void weighted_loss(Workspace&, float label_smoothing, const float* class_weights) const;
    void load_dlogits(Workspace&, const float* dlogits, int count) const;  // from elsewhere

    // The gradient of all weights, still apart in lanes, to a slot; added unless it is the first.
    void backward(Workspace&, const float* weights, float* slot, bool first) const;
    Stride slot_floats() const { return slot_floats_; }
    Stride parameters() const { return parameters_; }  // how many there are

    // Rows of weights with their biases, which can be summed over slots apart from all others.
    struct Piece {
        int op, first, rows;
    };
    const std::vector<Piece>& pieces() const { return pieces_; }
    struct Range {
        Stride first, count;
    };
    // Sums a piece over the slots into the flat gradient, and says where it lies there.
    std::array<Range, 2> sum_slots(const Piece&, const float* slots, int count,
                                   float* gradient) const;

private:
    struct Op {
        Layer layer;
        int index;  // of the layer
        Place in, out;
        Stride weight = 0, bias = 0;            // floats, in the flat vector of parameters
        Stride winners = 0;                     // vectors, in a group's part
        Stride slot_weight = 0, slot_bias = 0;  // floats, in a slot
        int slot_row = 0;                       // vectors between rows of a dense weight there
        Product::Tile forward_tile[most_groups + 1], dinput_tile[most_groups + 1], dweight_tile;
        int dweight_channels = 0;  // of a convolution, at once
    };
    // Layers that run row by row behind each other: a convolution or dense layer or none, then
    // elementwise layers, then pooling or none.
    struct Stage {
        int first, last;     // ops
        bool below_weights;  // some layer before has any
        Stride d_in, d_out;  // vectors, of the gradients of its input and output
    };

    void plan(const Description&);
    void plan_stages();
    void plan_tiles(Op&) const;
    void plan_slots();
    int row_size(const Op&) const;  // weights of one output channel or feature
    int band(const Op&) const;
    bool is_linear(const Stage& stage) const {
        return ops_[stage.first].layer.kind == Layer::Kind::linear;
    }
    Convolution convolution(const Op&) const;
    DropoutMask mask(const Op&, const Workspace&, int group) const;
    float* values(const Workspace& ws, int group) const {
        return ws.values.data() + group * values_ * lanes;
    }
    float* gradients(const Workspace& ws, int group) const {
        return ws.gradients.data() + group * gradients_ * lanes;
    }
    float* dlogits(const Workspace&, int group) const;
    void linear_forward(const Op&, Workspace&, const float* weights) const;
    void row_forward(const Op&, Workspace&, int group, const float* weights, int c0, int channels,
                     int y) const;
    void stage_forward(const Stage&, Workspace&, int group, const float* weights) const;
    void row_backward(const Stage&, Workspace&, int group, int c, int y, float* d) const;
    void stage_backward(const Stage&, Workspace&, int group, const float* weights, float* slot,
                        bool first) const;
    void linear_backward(const Stage&, Workspace&, const float* weights, float* slot,
                         bool first) const;

    static constexpr std::size_t band_bytes = 16384;

    std::vector<Op> ops_;  // all layers but Flatten, which moves nothing
    std::vector<Stage> stages_;
    std::vector<Piece> pieces_;
    std::vector<float> table_;
    std::vector<bool> flatten_;  // which layers are
    Place input_{}, output_{};
    int classes_;
    std::vector<std::pair<Stride, Stride>> minus_infinity_;  // vectors: borders of max pooling
    Stride values_ = 0, gradients_ = 0, winners_ = 0, rows_ = 0, pictures_row_ = 0;  // vectors
    Stride parameters_ = 0, slot_floats_ = 0;
};

}  // namespace lenet
