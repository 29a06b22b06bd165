// Where the values of a network lie in memory. One planner, for a batch (program.hpp: a picture a
// lane) and for one picture (single.hpp: a channel a lane).
//
//     a place, with the border of padding that the layer which reads it needs
//
//       at - border · row - border
//        ↓
//        · · · · · · ·      `row`: from a position to the one below it
//        · A x x x x ·      A: `at`, row 0 and column 0 of the first plane
//        · x x x x x ·      `plane`: from A to the A of the next plane
//        · · · · · · ·
//
// Everything is counted in vectors of `lanes` floats; what the lanes hold is not asked here.
#pragma once

#include <memory>
#include <vector>

#include "network.hpp"

namespace lenet {

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

// Where a layer's values lie in a buffer.
struct Place {
    Stride at;  // of row 0, column 0
    Stride plane, row;
    int channels, height, width;

    // A place of its own at the end of a buffer that has `size` vectors so far.
    static Place append(Stride& size, int planes, const Shape&, int border);
    Shape shape() const { return {channels, height, width}; }
    int border() const { return static_cast<int>(row - width) / 2; }
    Stride offset(int p, int y = 0, int x = 0) const { return at + p * plane + y * row + x; }
};

// What pooling's kernels must know.
Pooling pooling_of(const Layer&, const Place& in, const Place& out);

// The places of a network's input and of each layer's output, in one buffer.
struct Layout {
    // Of every `channels_a_plane` channels the values at one position share a vector; 1: each
    // channel has a plane, the lanes being something else. `for_backward`: no layer may write over
    // values that a gradient is computed from.
    Layout(const Description&, int channels_a_plane, bool for_backward);

    Place input;
    std::vector<Place> outputs;  // of each layer; Flatten's are its input's, seen otherwise
    Stride size = 0;             // vectors, of all places

    int planes(int channels) const { return (channels + channels_a_plane - 1) / channels_a_plane; }
    // To be called once on a buffer of zeros: zeros are the border that all but max pooling need.
    void write_borders(float* values, int lanes) const;

private:
    int channels_a_plane;
    std::vector<Place> minus_infinity;  // places with such a border, for max pooling
};

}  // namespace lenet
