// A network laid out for one table of kernels: where every value lies, and in which order the
// kernels run over a few groups of pictures. A group is as many pictures as a vector has lanes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "layout.hpp"

namespace lenet {

// The parameters, and what minimal filtering makes of its kernels (Program::filter_weights).
struct Weights {
    const float* flat;
    const float* filters;
};

// The values of a few groups of pictures on their way through the network.
struct Workspace {
    int groups, capacity;             // in use, and at most
    Buffer values, gradients;         // one part a group
    Buffer winners;                   // of max pooling, as int32; one part a group
    Buffer rows;                      // gradients of a convolution's output, while they are needed
    Buffer filtered_input, filtered;  // minimal filtering's transforms, of one group
    std::vector<std::uint8_t> moved;  // augmented pictures, one a lane
    std::vector<std::int64_t> labels, predicted;  // (groups · lanes,)
    std::vector<std::uint32_t> samples;
    std::vector<float> losses;
    Buffer shares;  // (groups · lanes,)
    Position position;
    bool keeps_winners = true;       // of max pooling, which the way back needs
    const float* weights = nullptr;  // those of now, for layers that read a few for each row
};

// What the gradients of dense layers are made of, of the pictures of a span: what each layer took,
// a picture a row, and the gradient of what it put out. One region a layer in each.
struct Dense {
    Buffer inputs;    // (picture, in), rows padded to whole vectors
    Buffer doutputs;  // (group, out, lane)
    Buffer dweights;  // (out, in), rows padded likewise
    Buffer dbiases;   // (out,)
    int groups = 0;   // that there is room for
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
    void forward(Workspace&, const Weights&, bool backward_follows) const;
    // The same a whole layer after the other, with a look at the output of each while it is there.
    using Observer = std::function<void(int layer, const Place&)>;
    void forward_observed(Workspace&, const Weights&, const Observer& observe) const;
    // A layer's values of the first `count` pictures, (count, …) floats.
    void copy_out(const Workspace&, const Place&, int count, float* out) const;
    const Place& output() const { return output_; }
    // Losses and predictions; where scale is not 0 the logits' gradients times scale.
    void loss(Workspace&, float label_smoothing, float rubbish, float scale) const;
    // The same, where pictures or classes have weights; class_weights may be null.
    void weighted_loss(Workspace&, float label_smoothing, float rubbish,
                       const float* class_weights) const;
    void load_dlogits(Workspace&, const float* dlogits, int count) const;  // from elsewhere

    // The gradient of all parameters but those of dense layers, still apart in lanes, to a slot;
    // added unless it is the first. What those of dense layers are made of goes to `dense`, to its
    // groups from `group` on.
    void backward(Workspace&, const Weights&, float* slot, bool first, Dense& dense,
                  int group) const;
    Dense make_dense(int groups) const;
    int span_pictures() const;  // at most, that a span has
    Stride slot_floats() const { return slot_floats_; }
    Stride parameters() const { return parameters_; }  // how many there are
    // The kernels of minimal filtering at its points, filter_floats() of them; once a change of the
    // weights.
    void filter_weights(const float* flat, float* filters) const;
    Stride filter_floats() const { return filter_floats_; }

    // Rows of weights with their biases, which can be summed over slots apart from all others.
    struct Piece {
        int op, first, rows;
    };
    const std::vector<Piece>& pieces() const { return pieces_; }
    // Parameters that lie side by side, and their gradient.
    struct Range {
        Stride first, count;
        const float* gradient;
    };
    // If the piece is a dense layer's: its gradient from the first `groups` of a span, to
    // dense.dweights and dense.dbiases, or added to them.
    void sum_dense(const Piece&, Dense& dense, int groups, bool accumulate) const;
    // Sums a piece over the slots into the flat gradient. If that is not wanted whole, what lies in
    // `dense` as it would there stays where it is. `dfilters` has room for filter_floats().
    std::array<Range, 2> sum_slots(const Piece&, const float* slots, int count, const Dense& dense,
                                   float* dfilters, bool whole, float* gradient) const;

private:
    // A layer with all that its kernels must know.
    struct Op {
        Layer layer;
        int index;  // of the layer
        Place in, out;
        Stride weight = 0, bias = 0;            // floats, in the flat vector of parameters
        Stride winners = 0;                     // vectors, in a group's part
        Stride codes = 0;                       // floats, in those of all layers
        Stride slot_weight = 0, slot_bias = 0;  // floats, in a slot
        // Of a dense layer, in vectors: a row of inputs, and where its regions of `Dense` lie,
        // those of inputs and outputs counted for one group.
        int dense_row = 0;
        Stride dense_in = 0, dense_out = 0, dense_weight = 0;
        Product::Tile forward_tile[most_groups + 1]{}, dinput_tile[most_groups + 1]{},
            dweight_tile{};
        int dweight_channels = 0;  // of a convolution, at once

        // Of a convolution by minimal filtering; without it, no tiles.
        Filtering filtering{};
        Product::Tile filtering_tile{}, filtering_dinput_tile{}, filtering_edge_tile{};
        int filtering_rows = 0, filtering_dinput_rows = 0;  // at once
        Stride filters = 0;  // floats, in those of all layers: (point, out, in, ky)

        bool is_filtered() const { return filtering.tiles > 0; }
        Stride filter_row() const { return Stride(layer.in) * layer.kernel_size; }  // (in, ky)
        Stride filter_point() const { return layer.out * filter_row(); }
    };
    // Layers that run row by row behind each other: a convolution or dense layer or none, then
    // elementwise layers, then pooling or none.
    struct Stage {
        int first, last;      // ops
        bool has_weights;     // some layer of it
        bool below_weights;   // some layer before has any
        bool activates_last;  // max pooling, and then the activation that stands before it
        Stride d_in, d_out;   // vectors, of the gradients of its input and output
    };

    // program.cpp: what lies where, and what runs when
    void plan_ops(const Description&);
    void plan_stages();
    void plan_tiles(Op&) const;
    void plan_slots();
    int band(const Op&) const;
    bool is_linear(const Stage& stage) const {
        return ops_[stage.first].layer.kind == Layer::Kind::linear;
    }
    float* values(const Workspace& ws, int group) const {
        return ws.values.data() + group * layout_.size * lanes;
    }
    float* gradients(const Workspace& ws, int group) const {
        return ws.gradients.data() + group * gradients_ * lanes;
    }
    float* dlogits(const Workspace& ws, int group) const {
        return gradients(ws, group) + stages_.back().d_out * lanes;
    }
    bool can_activate_last(const Stage&) const;
    void stage_forward(const Stage&, Workspace&, int group, const Weights& weights) const;
    void stage_backward(const Stage&, Workspace&, int group, const Weights& weights, float* slot,
                        bool first) const;

    // layers.cpp: one layer there and back
    Convolution convolution(const Op&) const;
    void conv2d_forward(const Op&, Workspace&, int group, const Weights& weights, int first,
                        int channels, int y) const;
    void conv2d_backward(const Stage&, Workspace&, int group, const Weights& weights, float* slot,
                         bool first) const;
    void linear_forward(const Op&, Workspace&, const Weights& weights) const;
    void linear_backward(const Stage&, Workspace&, const Weights& weights, Dense& dense,
                         int group) const;

    // minimal_filtering.cpp: a convolution there and back with fewer multiplications
    void plan_filtering(Op&);
    int filtering_band(const Op&, int channels) const;
    void filter_input(const Op&, Workspace&, int group) const;
    void filter_forward(const Op&, Workspace&, int group, const Weights& weights, int first,
                        int channels, int y, int rows) const;
    void filter_doutput(const Stage&, Workspace&, const float* d, Stride d_plane, Stride d_row,
                        int first, int channels, int y, int rows, bool is_first, float* slot) const;
    void filter_dinput(const Op&, Workspace&, const Weights& weights, float* din) const;
    void sum_filtered_slots(const Op&, int first, int channels, const float* slots, int count,
                            float* dfilters, float* dweight) const;

    void rbf_backward(const Stage&, Workspace&, int group) const;
    Pooling pooling(const Op&, const Workspace&, int c) const;
    void subsample_backward(const Stage&, Workspace&, int group, float* slot, bool first) const;
    std::int32_t* winners(const Op&, const Workspace&, int group, int c) const;
    void pool_forward(const Op&, Workspace&, int group, int c, int y) const;
    void activate_pooled(const Stage&, Workspace&, int group, int first, int channels, int y) const;
    void activate_pooled_backward(const Stage&, Workspace&, int group) const;
    int pool_backward(const Stage&, Workspace&, int group, int c, int y, float* d) const;
    DropoutMask mask(const Op&, const Workspace&, int group) const;
    void elementwise_forward(const Op&, Workspace&, int group, int c, int y) const;
    void elementwise_backward(const Op&, Workspace&, int group, int c, int y, float* d) const;
    const float* slope_values(const Op&, const Workspace&, int group, int c, int y) const;
    void row_forward(const Op&, Workspace&, int group, const Weights& weights, int first,
                     int channels, int y) const;
    void row_backward(const Stage&, Workspace&, int group, int c, int y, float* d) const;

    static constexpr std::size_t band_bytes = 16384;
    static constexpr int dense_pictures = 64;  // that sum_dense takes at a time

    const Layout layout_;  // of the values
    std::vector<Op> ops_;  // all layers but Flatten, which moves nothing
    std::vector<Stage> stages_;
    std::vector<Piece> pieces_;
    std::vector<float> table_, codes_;
    Place output_;
    int classes_;
    Stride gradients_ = 0, winners_ = 0, rows_ = 0;           // vectors
    Stride filtered_input_ = 0, filtered_ = 0;                // vectors
    Stride dense_in_ = 0, dense_out_ = 0, dense_weight_ = 0;  // vectors
    Stride parameters_ = 0, slot_floats_ = 0, filter_floats_ = 0;
};

}  // namespace lenet
