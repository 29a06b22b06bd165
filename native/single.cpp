#include "single.hpp"

#include <algorithm>

namespace lenet {

using Kind = Layer::Kind;

Single::Single(const Description& description, const Kernels& kernels)
    : kernels_(kernels),
      layout_(description, kernels.lanes, false),
      table_(description.table),
      output_(layout_.outputs.empty() ? layout_.input : layout_.outputs.back()) {
    const int lanes = kernels.lanes;
    Stride packed = 0, largest = 0;  // vectors
    Place at = layout_.input;
    for (std::size_t i = 0; i < description.layers.size(); ++i) {
        const Layer& layer = description.layers[i];
        const Place out = layout_.outputs[i];
        Op op{.layer = layer, .in = at, .out = out};
        at = out;
        if (layer.kind == Kind::flatten || layer.kind == Kind::dropout) continue;
        if (layer.is_pool()) largest = std::max(largest, Stride(out.height) * out.width);
        if (layer.has_weights()) {
            // A lane without a channel is not read: the first layer, often of one channel, would
            // have sixteen times the work.
            op.lanes_read = std::min(op.in.channels, lanes);
            op.tile = kernels.choose_product_tile(layer.kind == Kind::conv2d ? out.width : 1,
                                                  planes(layer.out), true);
            op.bias = packed;
            op.weight = op.bias + planes(layer.out);
            packed = op.weight + Stride(planes(op.in.channels)) * op.places() * op.lanes_read *
                                     planes(layer.out);
        }
        ops_.push_back(op);
    }
    values_ = Buffer(layout_.size * lanes);
    packed_ = Buffer(packed * lanes);
    winners_ = Buffer(largest * lanes);
    layout_.write_borders(values_.data(), lanes);
}

// Weights (out, in, place) to [plane of in][place][lane of in][out], in which order the products
// below read them: vectors of outputs, one behind the other. What a lane without a channel would be
// multiplied with is 0.
void Single::pack(const float* weights) {
    const int lanes = kernels_.lanes;
    for (const Op& op : ops_) {
        if (!op.layer.has_weights()) continue;
        const int places = op.places(), channels = op.in.channels, out = op.layer.out;
        const int row = planes(out) * lanes;  // floats between one input and the next
        float* to = packed_.data() + op.weight * lanes;
        for (int first = 0; first < channels; first += op.lanes_read)
            for (int place = 0; place < places; ++place)
                for (int c = first; c < first + op.lanes_read; ++c, to += row)
                    for (int o = 0; o < out; ++o)
                        to[o] =
                            c < channels ? weights[(Stride(o) * channels + c) * places + place] : 0;
        weights += Stride(out) * channels * places;
        std::copy_n(weights, out, packed_.data() + op.bias * lanes);
        weights += out;
    }
}

void Single::forward(const std::uint8_t* picture, float* logits) {
    const int lanes = kernels_.lanes;
    const Place& input = layout_.input;
    for (int c = 0; c < input.channels; ++c)
        for (int y = 0; y < input.height; ++y)
            for (int x = 0; x < input.width; ++x)
                number_at(input, c, y, x) = table_[c * 256 + *picture++];
    for (const Op& op : ops_) {
        if (op.layer.kind == Kind::conv2d) {
            conv2d(op);
            continue;
        }
        if (op.layer.kind == Kind::linear) {
            linear(op);
            continue;
        }
        for (int c = 0; c < op.out.channels; c += lanes)  // a plane
            for (int y = 0; y < op.out.height; ++y)
                if (op.layer.is_pool())
                    kernels_.pool_forward(pooling_of(op.layer, op.in, op.out), y,
                                          vector_at(op.in, c, 0, 0), vector_at(op.out, c, 0, 0),
                                          reinterpret_cast<std::int32_t*>(winners_.data()));
                else
                    kernels_.activate(op.layer.activation, vector_at(op.in, c, y, 0),
                                      vector_at(op.out, c, y, 0), op.out.width);
    }
    for (int c = 0; c < output_.channels; ++c)
        for (int y = 0; y < output_.height; ++y)
            for (int x = 0; x < output_.width; ++x) *logits++ = number_at(output_, c, y, x);
}

// A row of the output at a time, all its channels, as products: m are the positions of the row, n
// the planes of output channels, k (ky, kx, channel of the input). Each plane of input channels is
// a product of its own, which adds to what is there: three loops are all that a product has.
void Single::conv2d(const Op& op) {
    const int lanes = kernels_.lanes, K = op.layer.kernel_size, s = op.layer.stride;
    const int outs = planes(op.layer.out), inner = op.lanes_read, p = op.layer.padding;
    const float* bias = packed_.data() + op.bias * lanes;
    for (int y = 0; y < op.out.height; ++y) {
        float* out = values_.data() + op.out.offset(0, y) * lanes;  // (outs, ow)
        for (int plane = 0; plane < outs; ++plane)
            for (int x = 0; x < op.out.width; ++x)
                std::copy_n(bias + plane * lanes, lanes, out + (plane * op.out.plane + x) * lanes);
        for (int plane = 0; plane < planes(op.in.channels); ++plane)
            kernels_.product({
                .m = op.out.width,
                .n = outs,
                .tile = op.tile,
                .a = values_.data() + op.in.offset(plane, y * s - p, -p) * lanes,
                .a_row = s * lanes,
                .b = packed_.data() + (op.weight + Stride(plane) * K * K * inner * outs) * lanes,
                .b_column = 1,
                .c = out,
                .c_row = 1,
                .c_column = op.out.plane,
                .accumulate = true,
                .k = {{.count = K, .a = op.in.row * lanes, .b = Stride(K) * inner * outs},
                      {.count = K, .a = lanes, .b = Stride(inner) * outs},
                      {.count = inner, .a = 1, .b = outs}},
            });
    }
}

// One row of outputs: n are the planes of outputs, k all numbers of the input (plane, place, lane).
void Single::linear(const Op& op) {
    const int lanes = kernels_.lanes, outs = planes(op.layer.out), inner = op.lanes_read;
    const int places = op.places();
    float* out = values_.data() + op.out.at * lanes;  // (outs,)
    std::copy_n(packed_.data() + op.bias * lanes, outs * lanes, out);
    kernels_.product({
        .m = 1,
        .n = outs,
        .tile = op.tile,
        .a = values_.data() + op.in.at * lanes,
        .a_row = 0,
        .b = packed_.data() + op.weight * lanes,
        .b_column = 1,
        .c = out,
        .c_row = outs,
        .c_column = 1,
        .accumulate = true,
        .k = {{.count = planes(op.in.channels),
               .a = op.in.plane * lanes,
               .b = Stride(places) * inner * outs},
              {.count = places, .a = lanes, .b = Stride(inner) * outs},
              {.count = inner, .a = 1, .b = outs}},
    });
}

}  // namespace lenet
