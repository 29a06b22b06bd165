// One picture through a network, for whoever waits for the answer: the channels lie in the lanes.
//
// The value of (channel, row, column) is lane `channel % lanes` of plane `channel / lanes`. The
// kernels are the same; in a product the picture's values are now the scalars that are spread, and
// the weights, packed anew when they have changed, the vectors.
#pragma once

#include <cstdint>
#include <vector>

#include "program.hpp"

namespace lenet {

class Single {
public:
    Single(const Description&, const Kernels&);

    void pack(const float* weights);
    void forward(const std::uint8_t* picture, float* logits);
    Stride picture_size() const { return Stride(input_.channels) * input_.height * input_.width; }

private:
    struct Op {
        Layer layer;
        Place in, out;        // channels, height and width are the network's, planes ours
        Stride weight, bias;  // vectors, in packed_
        int lanes_read;       // of each plane of the input
        Product::Tile tile;
    };
    int planes(int channels) const { return (channels + kernels_.lanes - 1) / kernels_.lanes; }
    Place append_place(int channels, int height, int width, int border);
    void conv2d(const Op&);
    void linear(const Op&);

    const Kernels& kernels_;
    std::vector<Op> ops_;
    std::vector<float> table_;
    Place input_{}, output_{};
    Stride values_size_ = 0, packed_size_ = 0, largest_ = 0;  // vectors
    Buffer values_, packed_, winners_;
};

}  // namespace lenet
