// One picture at a time, there and back: the channels lie in the lanes. For a single picture, when
// you wait for the answer, and for training in batches of a few, which would leave most lanes of
// program.hpp's way empty.
//
// The value of (channel, row, column) is lane `channel % lanes` of plane `channel / lanes`. The
// kernels are the same; in a product the picture's values are now the scalars that are spread, and
// the weights the vectors. Weights, their gradient and the optimiser's state lie "packed", so that
// the products meet them one behind the other:
//
//     bias    [plane of out]
//     weight  [plane of in][place][lane of in][plane of out]     vectors of outputs
//
// A place is one of a kernel's K · K, or of the picture that Flatten made a vector of. What belongs
// to a lane without a channel is 0, and stays 0: its gradient is 0.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace lenet {

class Single {
public:
    Single(const Description&, const Kernels&);

    // Whether `backward` can: no dropout (units lie elsewhere than its kernel takes them), and no
    // stride in a convolution whose input's gradient is needed.
    bool has_backward() const { return has_backward_; }

    std::size_t packed_floats() const { return packed_ * lanes_; }
    void pack(const float* weights, float* packed) const;
    void unpack(const float* packed, float* weights) const;

    Shape picture_shape() const { return layout_.input.shape(); }
    Stride picture_size() const {
        return Stride(layout_.input.channels) * layout_.input.height * layout_.input.width;
    }
    void forward(const std::uint8_t* picture, const float* packed, float* logits);
    // For `backward`, once before the first: the weights that it reads the other way round.
    void turn(const float* packed);
    // The gradient of all weights from that of the last forward's logits; to `gradient`, packed,
    // or added to it.
    void backward(const float* dlogits, const float* packed, bool accumulate, float* gradient);

private:
    struct Op {
        Layer layer;
        Place in, out;                // channels, height and width are the network's, planes ours
        Place d_in{}, d_out{};        // their gradients, in gradients_
        Stride weight = 0, bias = 0;  // vectors, packed
        Stride turned = 0;            // vectors, in turned_
        Stride winners = 0;           // vectors, in winners_
        int inner = 0;                // lanes of a plane of the input that have a weight
        bool below_weights = false;   // some layer before has any
        Product::Tile forward_tile{}, dinput_tile{};
        Product::Tile dweight_tile{}, last_dweight_tile{};  // of a plane of inputs; of the last
        int places() const {
            return layer.kind == Layer::Kind::conv2d ? layer.kernel_size * layer.kernel_size
                                                     : in.height * in.width;
        }
    };
    void plan_gradients();
    int planes(int channels) const { return layout_.planes(channels); }
    Stride outs(const Op& op) const { return planes(op.layer.out); }
    int channels_of_plane(int channels, int plane) const;
    int dweight_rows(const Op&, int channels) const;
    const Product::Tile& dweight_tile(const Op& op, int plane) const {
        return plane + 1 < planes(op.in.channels) ? op.dweight_tile : op.last_dweight_tile;
    }
    float* values(const Place& place, int plane, int y = 0, int x = 0) const {
        return values_.data() + place.offset(plane, y, x) * lanes_;
    }
    float* gradients(const Place& place, int plane, int y = 0, int x = 0) const {
        return gradients_.data() + place.offset(plane, y, x) * lanes_;
    }
    std::int32_t* winners(const Op& op, int plane) const {
        return reinterpret_cast<std::int32_t*>(winners_.data()) +
               (op.winners + Stride(plane) * op.out.height * op.out.width) * lanes_;
    }
    void load(const std::uint8_t* picture);
    void conv2d_forward(const Op&, const float* packed);
    void conv2d_backward(const Op&, bool accumulate, float* gradient);
    void conv2d_dinput(const Op&);
    void linear_forward(const Op&, const float* packed);
    void linear_backward(const Op&, const float* packed, bool accumulate, float* gradient);
    void bias_backward(const Op&, bool accumulate, float* gradient);
    void rows_backward(const Op&, const Op* activation);

    const Kernels& kernels_;
    const int lanes_;
    const bool has_backward_;
    const Layout layout_;
    std::vector<Op> ops_;  // all layers but Flatten and Dropout
    std::vector<float> table_;
    Place output_;
    Stride packed_ = 0;  // vectors
    Buffer values_, winners_, gradients_, turned_;
    Buffer biases_;  // of a convolution, for each position of a row
};

}  // namespace lenet
