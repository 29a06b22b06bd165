// One picture through a network, when you wait for the answer: the channels lie in the lanes.
//
// The value of (channel, row, column) is lane `channel % lanes` of plane `channel / lanes`. The
// kernels are the same; in a product the picture's values are now the scalars that are spread, and
// the weights, packed anew when they have changed, the vectors.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace lenet {

class Single {
public:
    Single(const Description&, const Kernels&);

    void pack(const float* weights);
    void forward(const std::uint8_t* picture, float* logits);
    Stride picture_size() const {
        const Place& input = layout_.input;
        return Stride(input.channels) * input.height * input.width;
    }

private:
    struct Op {
        Layer layer;
        Place in, out;                // channels, height and width are the network's, planes ours
        Stride weight = 0, bias = 0;  // vectors, in packed_
        int lanes_read = 0;           // of each plane of the input
        Product::Tile tile{};
        // Places of a weight for one channel of the input: of the kernel, or of the picture that
        // Flatten made a vector of.
        int places() const {
            return layer.kind == Layer::Kind::conv2d ? layer.kernel_size * layer.kernel_size
                                                     : in.height * in.width;
        }
    };
    int planes(int channels) const { return layout_.planes(channels); }
    // The vector that holds (channel c, row y, column x), and c's lane there.
    float* vector_at(const Place& place, int c, int y, int x) const {
        return values_.data() + place.offset(c / kernels_.lanes, y, x) * kernels_.lanes;
    }
    float& number_at(const Place& place, int c, int y, int x) const {
        return vector_at(place, c, y, x)[c % kernels_.lanes];
    }
    void conv2d(const Op&);
    void linear(const Op&);

    const Kernels& kernels_;
    const Layout layout_;
    std::vector<Op> ops_;
    std::vector<float> table_;
    Place output_;
    Buffer values_, packed_;
    Buffer winners_;  // of max pooling, which nobody asks for here
};

}  // namespace lenet
