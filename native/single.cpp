#include "single.hpp"

#include <algorithm>
#include <limits>

namespace lenet {

using Kind = Layer::Kind;

Place Single::append_place(int channels, int height, int width, int border) {
    const Stride row = width + 2 * border, plane = (height + 2 * border) * row;
    const Place place{values_size_ + border * row + border, plane, row, channels, height, width};
    values_size_ += planes(channels) * plane;
    largest_ = std::max(largest_, plane);
    return place;
}

Single::Single(const Description& description, const Kernels& kernels)
    : kernels_(kernels), table_(description.table) {
    const std::vector<Layer>& layers = description.layers;
    const auto place_before = [&](std::size_t i, int channels, int height, int width) {
        while (i < layers.size() && layers[i].is_elementwise()) ++i;
        return append_place(channels, height, width, i < layers.size() ? layers[i].padding : 0);
    };
    input_ = place_before(0, description.channels, description.height, description.width);
    Place at = input_;
    std::vector<Place> minus_infinity;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        Op op{layer, at, at, 0, 0, 0, {}};
        if (layer.kind == Kind::flatten || layer.kind == Kind::dropout) continue;
        if (layer.kind == Kind::conv2d)
            op.out =
                place_before(i + 1, layer.out, layer.windows(at.height), layer.windows(at.width));
        else if (layer.is_pool())
            op.out =
                place_before(i + 1, at.channels, layer.windows(at.height), layer.windows(at.width));
        else if (layer.kind == Kind::linear)
            op.out = place_before(i + 1, layer.out, 1, 1);
        if (layer.kind == Kind::max_pool2d && layer.padding > 0) minus_infinity.push_back(at);
        if (layer.has_weights()) {
            const bool conv = layer.kind == Kind::conv2d;
            op.lanes_read = at.channels <= kernels_.lanes ? at.channels : kernels_.lanes;
            op.tile =
                kernels_.choose_product_tile(conv ? op.out.width : 1, planes(layer.out), true);
            const int places = conv ? layer.kernel_size * layer.kernel_size : at.height * at.width;
            op.bias = packed_size_;
            op.weight = op.bias + planes(layer.out);
            packed_size_ = op.weight +
                           Stride(planes(at.channels)) * places * op.lanes_read * planes(layer.out);
        }
        ops_.push_back(op);
        at = op.out;
    }
    output_ = at;
    const std::size_t lanes = kernels_.lanes;
    values_ = Buffer(values_size_ * lanes);
    packed_ = Buffer(packed_size_ * lanes);
    winners_ = Buffer(largest_ * lanes);
    // Borders alone: lanes beyond the channels meet weights of zero, and must be numbers.
    for (const Place& place : minus_infinity) {
        const int border = static_cast<int>(place.row - place.width) / 2;
        for (int plane = 0; plane < planes(place.channels); ++plane)
            for (int y = -border; y < place.height + border; ++y)
                for (int x = -border; x < place.width + border; ++x) {
                    const bool inside = y >= 0 && y < place.height && x >= 0 && x < place.width;
                    float* at = values_.data() +
                                (place.at + plane * place.plane + y * place.row + x) * lanes;
                    if (!inside) std::fill_n(at, lanes, -std::numeric_limits<float>::infinity());
                }
    }
}

// Weights (out, in, …) to [plane of in][place][lane of in][out], a place being a position in the
// kernel or, for a dense layer, in the picture that Flatten made a vector of.
void Single::pack(const float* weights) {
    const int lanes = kernels_.lanes;
    for (const Op& op : ops_) {
        if (!op.layer.has_weights()) continue;
        const bool conv = op.layer.kind == Kind::conv2d;
        const int places =
            conv ? op.layer.kernel_size * op.layer.kernel_size : op.in.height * op.in.width;
        const int outs = planes(op.layer.out) * lanes, channels = op.in.channels;
        float* to = packed_.data() + op.weight * lanes;
        for (int first = 0; first < channels; first += op.lanes_read)
            for (int place = 0; place < places; ++place)
                for (int c = first; c < first + op.lanes_read; ++c, to += outs)
                    for (int o = 0; o < op.layer.out; ++o)
                        to[o] =
                            c < channels ? weights[(Stride(o) * channels + c) * places + place] : 0;
        weights += Stride(op.layer.out) * channels * places;
        std::copy_n(weights, op.layer.out, packed_.data() + op.bias * lanes);
        weights += op.layer.out;
    }
}

void Single::forward(const std::uint8_t* picture, float* logits) {
    const int lanes = kernels_.lanes;
    float* values = values_.data();
    const auto at = [&](const Place& place, int c, int y, int x) {
        return values + (place.at + c / lanes * place.plane + y * place.row + x) * lanes;
    };
    for (int c = 0; c < input_.channels; ++c)
        for (int y = 0; y < input_.height; ++y)
            for (int x = 0; x < input_.width; ++x)
                at(input_, c, y, x)[c % lanes] = table_[c * 256 + *picture++];
    for (const Op& op : ops_) {
        if (op.layer.kind == Kind::conv2d) {
            conv2d(op);
        } else if (op.layer.kind == Kind::linear) {
            linear(op);
        } else {
            for (int c = 0; c < op.out.channels; c += lanes)
                for (int y = 0; y < op.out.height; ++y)
                    if (op.layer.is_pool())
                        kernels_.pool_forward(pooling_of(op.layer, op.in, op.out), y,
                                              at(op.in, c, 0, 0), at(op.out, c, 0, 0),
                                              reinterpret_cast<std::int32_t*>(winners_.data()));
                    else
                        kernels_.activate(op.layer.activation, at(op.in, c, y, 0),
                                          at(op.out, c, y, 0), op.out.width);
        }
    }
    for (int c = 0; c < output_.channels; ++c)
        for (int y = 0; y < output_.height; ++y)
            for (int x = 0; x < output_.width; ++x) *logits++ = at(output_, c, y, x)[c % lanes];
}

void Single::conv2d(const Op& op) {
    const int lanes = kernels_.lanes, K = op.layer.kernel_size, s = op.layer.stride;
    const int outs = planes(op.layer.out), inner = op.lanes_read;
    const float* bias = packed_.data() + op.bias * lanes;
    for (int y = 0; y < op.out.height; ++y) {
        float* out = values_.data() + (op.out.at + y * op.out.row) * lanes;
        for (int plane = 0; plane < outs; ++plane)
            for (int x = 0; x < op.out.width; ++x)
                std::copy_n(bias + plane * lanes, lanes, out + (plane * op.out.plane + x) * lanes);
        const Stride corner =
            op.in.at + (Stride(y) * s - op.layer.padding) * op.in.row - op.layer.padding;
        for (int plane = 0; plane < planes(op.in.channels); ++plane) {
            Product p{};  // (columns, outs): every position of a row, all channels
            p.m = op.out.width, p.n = outs, p.tile = op.tile;
            p.a = values_.data() + (corner + plane * op.in.plane) * lanes, p.a_row = s * lanes;
            p.b = packed_.data() + (op.weight + Stride(plane) * K * K * inner * outs) * lanes;
            p.b_column = 1;
            p.c = out, p.c_row = 1, p.c_column = op.out.plane;
            p.accumulate = true;
            p.k[0] = {K, op.in.row * lanes, Stride(K) * inner * outs};
            p.k[1] = {K, lanes, Stride(inner) * outs};
            p.k[2] = {inner, 1, outs};
            kernels_.product(p);
        }
    }
}

void Single::linear(const Op& op) {
    const int lanes = kernels_.lanes, outs = planes(op.layer.out), inner = op.lanes_read;
    const int places = op.in.height * op.in.width;
    float* out = values_.data() + op.out.at * lanes;
    std::copy_n(packed_.data() + op.bias * lanes, outs * lanes, out);
    Product p{};
    p.m = 1, p.n = outs, p.tile = op.tile;
    p.a = values_.data() + op.in.at * lanes;
    p.b = packed_.data() + op.weight * lanes, p.b_column = 1;
    p.c = out, p.c_row = outs, p.c_column = 1;
    p.accumulate = true;
    p.k[0] = {planes(op.in.channels), op.in.plane * lanes, Stride(places) * inner * outs};
    p.k[1] = {places, lanes, Stride(inner) * outs};
    p.k[2] = {inner, 1, outs};
    kernels_.product(p);
}

}  // namespace lenet
