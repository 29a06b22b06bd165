#include "single.hpp"

#include <algorithm>

namespace lenet {

using Kind = Layer::Kind;

// --- the plan --------------------------------------------------------------------------------

static bool can_go_back(const Description& description) {
    bool below = false;  // weights below this layer
    for (const Layer& layer : description.layers) {
        if (layer.kind == Kind::dropout) return false;
        if (layer.kind == Kind::conv2d && below &&
            (layer.stride > 1 || layer.padding >= layer.kernel_size))
            return false;
        below |= layer.has_weights();
    }
    return below;
}

Single::Single(const Description& description, const Kernels& kernels)
    : kernels_(kernels),
      lanes_(kernels.lanes),
      has_backward_(can_go_back(description)),
      layout_(description, kernels.lanes, has_backward_),
      table_(description.table),
      output_(layout_.outputs.empty() ? layout_.input : layout_.outputs.back()) {
    Stride winners = 0, turned = 0, biases = 0;  // vectors
    bool below_weights = false;
    Place at = layout_.input;
    for (std::size_t i = 0; i < description.layers.size(); ++i) {
        const Layer& layer = description.layers[i];
        Op op{.layer = layer, .in = at, .out = layout_.outputs[i]};
        at = op.out;
        if (layer.kind == Kind::flatten || layer.kind == Kind::dropout) continue;
        op.below_weights = below_weights;
        if (layer.is_pool()) {
            op.winners = winners;
            winners += Stride(planes(op.out.channels)) * op.out.height * op.out.width;
        }
        if (layer.has_weights()) {
            below_weights = true;
            const int ins = planes(op.in.channels);
            // A lane without a channel is not read: the first layer, often of one channel, would
            // have sixteen times the work.
            op.inner = std::min(op.in.channels, lanes_);
            const bool conv2d = layer.kind == Kind::conv2d;
            op.forward_tile =
                kernels.choose_product_tile(conv2d ? op.out.width : 1, planes(layer.out), true);
            op.dinput_tile = kernels.choose_product_tile(op.in.width, ins, false);
            const auto dweight_tile_of = [&](int channels) {
                return kernels.choose_product_tile(dweight_rows(op, channels), planes(layer.out),
                                                   false);
            };
            op.dweight_tile = dweight_tile_of(op.inner);
            op.last_dweight_tile = dweight_tile_of(channels_of_plane(op.in.channels, ins - 1));
            if (conv2d) biases = std::max(biases, outs(op) * op.out.width);
            op.bias = packed_;
            op.weight = op.bias + outs(op);
            packed_ = op.weight + ins * op.places() * op.inner * outs(op);
            op.turned = turned;
            if (conv2d && op.below_weights) turned += ins * outs(op) * op.places() * lanes_;
        }
        ops_.push_back(op);
    }
    values_ = Buffer(layout_.size * lanes_);
    winners_ = Buffer(winners * lanes_);
    biases_ = Buffer(biases * lanes_);
    layout_.write_borders(values_.data(), lanes_);
    if (has_backward_) {
        turned_ = Buffer(turned * lanes_);
        plan_gradients();
    }
}

// Where the gradient of each layer's output lies. An elementwise layer changes it in its place. A
// convolution that hands a gradient down reads that of its output as its forward pass reads the
// input: with a border of zeros, as wide as its windows reach over the edge.
void Single::plan_gradients() {
    Stride size = 0;  // vectors
    Place before{};
    for (Op& op : ops_) {
        op.d_in = op.d_out = before;
        if (!op.layer.is_elementwise()) {
            const bool bordered = op.layer.kind == Kind::conv2d && op.below_weights;
            const int border = bordered ? op.layer.kernel_size - 1 - op.layer.padding : 0;
            op.d_out = Place::append(size, planes(op.out.channels), op.out.shape(), border);
        } else if (&op == &ops_.front()) {
            op.d_out = Place::append(size, planes(op.out.channels), op.out.shape(), 0);
        }
        before = op.d_out;
    }
    gradients_ = Buffer(size * lanes_);
}

int Single::channels_of_plane(int channels, int plane) const {
    return std::min(channels - plane * lanes_, lanes_);
}

// How many rows of a plane of weights `backward` computes at once: its channels, or the columns of
// a kernel, or the places of a dense layer, whichever are more.
int Single::dweight_rows(const Op& op, int channels) const {
    const bool conv2d = op.layer.kind == Kind::conv2d;
    return std::max(channels, conv2d ? op.layer.kernel_size : op.places());
}

// --- weights ---------------------------------------------------------------------------------

// Calls move(flat, packed) with the pointers of each number that both have.
template <class Flat, class Packed, class Move>
static void for_weights(const auto& ops, const auto& outs_of, int lanes, Flat* flat, Packed* packed,
                        const Move& move) {
    for (const auto& op : ops) {
        if (!op.layer.has_weights()) continue;
        const int places = op.places(), channels = op.in.channels, out = op.layer.out;
        const Stride row = outs_of(op) * lanes;  // floats between one input and the next
        for (int o = 0; o < out; ++o)
            for (int c = 0; c < channels; ++c) {
                const int plane = c / lanes, lane = c % lanes;
                Packed* at = packed + op.weight * lanes +
                             (Stride(plane) * places * op.inner + lane) * row + o;
                for (int place = 0; place < places; ++place, at += op.inner * row)
                    move(*flat++, *at);
            }
        for (int o = 0; o < out; ++o) move(*flat++, packed[op.bias * lanes + o]);
    }
}

void Single::pack(const float* weights, float* packed) const {
    std::fill_n(packed, packed_floats(), 0.0f);
    for_weights(
        ops_, [this](const Op& op) { return outs(op); }, lanes_, weights, packed,
        [](float from, float& to) { to = from; });
}

void Single::unpack(const float* packed, float* weights) const {
    for_weights(
        ops_, [this](const Op& op) { return outs(op); }, lanes_, weights, packed,
        [](float& to, float from) { to = from; });
}

// Of each convolution, vectors of inputs: [plane of in][plane of out][place][lane of out].
void Single::turn(const float* packed) {
    for (const Op& op : ops_) {
        if (op.layer.kind != Kind::conv2d || !op.below_weights) continue;
        const Stride outs = this->outs(op);
        const int places = op.places();
        float* to = turned_.data() + op.turned * lanes_;
        for (int plane = 0; plane < planes(op.in.channels); ++plane)
            for (int out = 0; out < outs; ++out)
                for (int place = 0; place < places; ++place, to += lanes_ * lanes_) {
                    const Stride first = (Stride(plane) * places + place) * op.inner * outs + out;
                    kernels_.transpose(packed + (op.weight + first) * lanes_, outs, op.inner, to,
                                       lanes_);
                }
    }
}

// --- forward ---------------------------------------------------------------------------------

void Single::load(const std::uint8_t* picture) {
    const Place& input = layout_.input;
    for (int c = 0; c < input.channels; ++c) {
        const float* table = table_.data() + c * 256;
        for (int y = 0; y < input.height; ++y) {
            float* to = values(input, c / lanes_, y) + c % lanes_;
            for (int x = 0; x < input.width; ++x) to[x * lanes_] = table[*picture++];
        }
    }
}

void Single::forward(const std::uint8_t* picture, const float* packed, float* logits) {
    load(picture);
    for (const Op& op : ops_) {
        if (op.layer.kind == Kind::conv2d) {
            conv2d_forward(op, packed);
        } else if (op.layer.kind == Kind::linear) {
            linear_forward(op, packed);
        } else {
            for (int plane = 0; plane < planes(op.out.channels); ++plane)
                for (int y = 0; y < op.out.height; ++y)
                    if (op.layer.is_pool())
                        kernels_.pool_forward(pooling_of(op.layer, op.in, op.out), y,
                                              values(op.in, plane), values(op.out, plane),
                                              winners(op, plane));
                    else
                        kernels_.activate(op.layer.activation, values(op.in, plane, y),
                                          values(op.out, plane, y), op.out.width);
        }
    }
    for (int c = 0; c < output_.channels; ++c)
        for (int y = 0; y < output_.height; ++y)
            for (int x = 0; x < output_.width; ++x)
                *logits++ = values(output_, c / lanes_, y, x)[c % lanes_];
}

// A row of the output at a time, all its channels, as products: m are the positions of the row, n
// the planes of output channels, k (ky, kx, channel of the input). Each plane of input channels is
// a product of its own, which adds to what is there: three loops are all that a product has.
void Single::conv2d_forward(const Op& op, const float* packed) {
    const int K = op.layer.kernel_size, s = op.layer.stride, p = op.layer.padding;
    const Stride outs = this->outs(op), inner = op.inner;
    const Product::Loop ky{.count = K, .a = op.in.row * lanes_, .b = K * inner * outs};
    const Product::Loop kx{.count = K, .a = lanes_, .b = inner * outs};  // innermost if inner is 1
    const Stride row = op.out.width * lanes_;                            // floats
    for (int plane = 0; plane < outs; ++plane)
        for (int x = 0; x < op.out.width; ++x)
            std::copy_n(packed + (op.bias + plane) * lanes_, lanes_,
                        biases_.data() + plane * row + x * lanes_);
    for (int y = 0; y < op.out.height; ++y) {
        float* out = values(op.out, 0, y);  // (outs, ow)
        for (int plane = 0; plane < outs; ++plane)
            std::copy_n(biases_.data() + plane * row, row, out + plane * op.out.plane * lanes_);
        for (int plane = 0; plane < planes(op.in.channels); ++plane)
            kernels_.product({
                .m = op.out.width,
                .n = static_cast<int>(outs),
                .tile = op.forward_tile,
                .a = values(op.in, plane, y * s - p, -p),
                .a_row = s * lanes_,
                .b = packed + (op.weight + plane * K * K * inner * outs) * lanes_,
                .b_column = 1,
                .c = out,
                .c_row = 1,
                .c_column = op.out.plane,
                .accumulate = true,
                .k = {inner == 1 ? Product::Loop{} : ky, inner == 1 ? ky : kx,
                      inner == 1 ? kx : Product::Loop{.count = op.inner, .a = 1, .b = outs}},
            });
    }
}

// One row of outputs: n are the planes of outputs, k all numbers of the input (plane, place, lane).
void Single::linear_forward(const Op& op, const float* packed) {
    const Stride outs = this->outs(op);
    const int places = op.places();
    float* out = values(op.out, 0);  // (outs,)
    std::copy_n(packed + op.bias * lanes_, outs * lanes_, out);
    kernels_.product({
        .m = 1,
        .n = static_cast<int>(outs),
        .tile = op.forward_tile,
        .a = values(op.in, 0),
        .a_row = 0,
        .b = packed + op.weight * lanes_,
        .b_column = 1,
        .c = out,
        .c_row = outs,
        .c_column = 1,
        .accumulate = true,
        .k = {{.count = planes(op.in.channels),
               .a = op.in.plane * lanes_,
               .b = places * op.inner * outs},
              {.count = places, .a = lanes_, .b = op.inner * outs},
              {.count = op.inner, .a = 1, .b = outs}},
    });
}

// --- backward --------------------------------------------------------------------------------

void Single::backward(const float* dlogits, const float* packed, bool accumulate, float* gradient) {
    const Place& last = ops_.back().d_out;
    for (int c = 0; c < output_.channels; ++c)
        for (int y = 0; y < output_.height; ++y)
            for (int x = 0; x < output_.width; ++x)
                gradients(last, c / lanes_, y, x)[c % lanes_] = *dlogits++;
    for (std::size_t i = ops_.size(); i-- > 0;) {
        const Op& op = ops_[i];
        if (op.layer.has_weights()) {
            bias_backward(op, accumulate, gradient + op.bias * lanes_);
            if (op.layer.kind == Kind::conv2d)
                conv2d_backward(op, accumulate, gradient + op.weight * lanes_);
            else
                linear_backward(op, packed, accumulate, gradient + op.weight * lanes_);
        }
        if (!op.below_weights) break;  // nothing below needs a gradient
        if (op.layer.kind == Kind::conv2d) conv2d_dinput(op);
        if (op.layer.has_weights()) continue;
        // Pooling takes the activation before it along, so that each row is written once.
        const bool fused = op.layer.is_pool() && i > 0 && ops_[i - 1].layer.is_elementwise();
        rows_backward(op, fused ? &ops_[--i] : nullptr);
    }
}

// Pooling's gradient times the slope of the activation right before it, if there is one; or the
// gradient of an activation, in its place.
void Single::rows_backward(const Op& op, const Op* activation) {
    const Op& with_slope = activation ? *activation : op;
    const Activation f = with_slope.layer.activation;
    const Place& at = f.slope_needs_input() ? with_slope.in : with_slope.out;
    for (int plane = 0; plane < planes(op.in.channels); ++plane)
        for (int y = 0; y < op.in.height; ++y) {
            float* d = gradients(op.d_in, plane, y);
            if (op.layer.is_pool())
                kernels_.pool_backward(pooling_of(op.layer, op.in, op.d_out), y,
                                       gradients(op.d_out, plane), winners(op, plane), f,
                                       activation ? values(at, plane, y) : d, d);
            else
                kernels_.activate_backward(f, values(at, plane, y), d, op.in.width);
        }
}

// dbias[o] = Σ d[o] over the positions
void Single::bias_backward(const Op& op, bool accumulate, float* dbias) {
    for (int plane = 0; plane < outs(op); ++plane)
        kernels_.sum_positions(gradients(op.d_out, plane), op.d_out.row, op.out.height,
                               op.out.width, accumulate, dbias + plane * lanes_);
}

// dweight[i, ky, kx][o] = Σ in[i, y · s + ky - p, x · s + kx - p] · d[y, x][o] over the positions.
// As products: n are the planes of outputs, k the positions, and m the channels of a plane of the
// input, or the columns kx of a kernel where those are more.
void Single::conv2d_backward(const Op& op, bool accumulate, float* dweight) {
    const int K = op.layer.kernel_size, s = op.layer.stride, p = op.layer.padding;
    const Stride outs = this->outs(op);
    for (int plane = 0; plane < planes(op.in.channels); ++plane) {
        const int channels = channels_of_plane(op.in.channels, plane);
        const bool by_channel = channels >= K;
        const int products = by_channel ? K : channels;
        for (int ky = 0; ky < K; ++ky)
            for (int i = 0; i < products; ++i) {
                const int kx = by_channel ? i : 0, channel = by_channel ? 0 : i;
                const Stride row = ((Stride(plane) * K + ky) * K + kx) * op.inner + channel;
                kernels_.product({
                    .m = dweight_rows(op, channels),
                    .n = static_cast<int>(outs),
                    .tile = dweight_tile(op, plane),
                    .a = values(op.in, plane, ky - p, kx - p) + channel,
                    .a_row = by_channel ? 1 : lanes_,
                    .b = gradients(op.d_out, 0),  // (outs, oh, ow)
                    .b_column = op.d_out.plane,
                    .c = dweight + row * outs * lanes_,
                    .c_row = by_channel ? outs : op.inner * outs,
                    .c_column = 1,
                    .accumulate = accumulate,
                    .k = {{},
                          {.count = op.out.height, .a = s * op.in.row * lanes_, .b = op.d_out.row},
                          {.count = op.out.width, .a = s * lanes_, .b = 1}},
                });
            }
    }
}

// din[y, x][i] = Σ weight[o, ky, kx][i] · d[o, y + p - ky, x + p - kx]: a convolution of d, whose
// border is zeros, with the turned weights. m are the positions of a row of the input, n its planes
// of channels, k (ky, kx, channel of the output).
void Single::conv2d_dinput(const Op& op) {
    const int K = op.layer.kernel_size, p = op.layer.padding;
    const Stride outs = this->outs(op);
    for (int y = 0; y < op.in.height; ++y)
        for (int out = 0; out < outs; ++out)
            kernels_.product({
                .m = op.in.width,
                .n = planes(op.in.channels),
                .tile = op.dinput_tile,
                .a = gradients(op.d_out, out, y + p, p),
                .a_row = lanes_,
                .b = turned_.data() + (op.turned + Stride(out) * K * K * lanes_) * lanes_,
                .b_column = outs * K * K * lanes_,
                .c = gradients(op.d_in, 0, y),  // (ins, iw)
                .c_row = 1,
                .c_column = op.d_in.plane,
                .accumulate = out > 0,
                .k = {{.count = K, .a = -op.d_out.row * lanes_, .b = K * lanes_},
                      {.count = K, .a = -lanes_, .b = lanes_},
                      {.count = channels_of_plane(op.layer.out, out), .a = 1, .b = 1}},
            });
}

// dweight[i][o] = in[i] · d[o]: a product whose k is 1, with m the places or the channels of a
// plane of the input, whichever are more. din[i] = Σ weight[i][o] · d[o]: a dot product for each i.
void Single::linear_backward(const Op& op, const float* packed, bool accumulate, float* dweight) {
    const Stride outs = this->outs(op);
    const int places = op.places();
    for (int plane = 0; plane < planes(op.in.channels); ++plane) {
        const int channels = channels_of_plane(op.in.channels, plane);
        const bool by_channel = channels >= places;
        const int products = by_channel ? places : channels;
        for (int i = 0; i < products; ++i) {
            const int place = by_channel ? i : 0, channel = by_channel ? 0 : i;
            const Stride row = (Stride(plane) * places + place) * op.inner + channel;
            kernels_.product({
                .m = dweight_rows(op, channels),
                .n = static_cast<int>(outs),
                .tile = dweight_tile(op, plane),
                .a = values(op.in, plane) + place * lanes_ + channel,
                .a_row = by_channel ? 1 : lanes_,
                .b = gradients(op.d_out, 0),  // (outs,)
                .b_column = op.d_out.plane,
                .c = dweight + row * outs * lanes_,
                .c_row = by_channel ? outs : op.inner * outs,
                .c_column = 1,
                .accumulate = accumulate,
                .k = {},
            });
        }
    }
    if (!op.below_weights) return;
    const float* weight = packed + op.weight * lanes_;
    for (int plane = 0; plane < planes(op.in.channels); ++plane)
        for (int y = 0; y < op.in.height; ++y)
            for (int x = 0; x < op.in.width; ++x, weight += op.inner * outs * lanes_)
                kernels_.dot_rows(weight, op.inner, gradients(op.d_out, 0), op.d_out.plane,
                                  static_cast<int>(outs), gradients(op.d_in, plane, y, x));
}

}  // namespace lenet
