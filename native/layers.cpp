// What each kind of layer of a program does with a group of pictures, there and back: the strides
// that its kernels get. Shapes are (channels, height, width) of vectors, a picture a lane; `out` is
// a layer's output with (oc, oh, ow), `in` its input with (ic, ih, iw).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "program.hpp"

namespace lenet {

using Kind = Layer::Kind;

// --- convolution -----------------------------------------------------------------------------

Convolution Program::convolution(const Op& op) const {
    return {.in_channels = op.layer.in,
            .out_channels = op.layer.out,
            .kernel_size = op.layer.kernel_size,
            .stride = op.layer.stride,
            .in_height = op.in.height,
            .in_width = op.in.width,
            .out_height = op.out.height,
            .out_width = op.out.width,
            .padding = op.layer.padding,
            .in_plane = op.in.plane,
            .in_row = op.in.row};
}

// Row y of `channels` output channels from `first` on, as one product:
//     out[o][x] = bias[o] + Σ weight[o][i, ky, kx] · in[i, y · s + ky - p, x · s + kx - p]
// m are the channels, n the positions of the row, k the places (i, ky, kx) of a kernel. The border
// around `in` stands for the padding, so no position is special.
void Program::conv2d_forward(const Op& op, Workspace& ws, int group, const Weights& weights,
                             int first, int channels, int y) const {
    if (op.is_filtered()) {  // a few rows at once
        const int rows = std::min(op.filtering_rows, op.out.height - y);
        if (y % op.filtering_rows == 0)
            filter_forward(op, ws, group, weights, first, channels, y, rows);
        return;
    }
    const Layer& layer = op.layer;
    const int K = layer.kernel_size, s = layer.stride, p = layer.padding;
    const int row = layer.row_size();
    float* all = values(ws, group);
    kernels.product({
        .m = channels,
        .n = op.out.width,
        .tile = op.forward_tile[1],
        .a = weights.flat + op.weight + Stride(first) * row,  // (oc, ic · K · K) scalars
        .a_row = row,
        .b = all + op.in.offset(0, y * s - p, -p) * lanes,  // the first window's upper left
        .b_column = s,
        .c = all + op.out.offset(first, y) * lanes,  // (channels, ow)
        .c_row = op.out.plane,
        .c_column = 1,
        .bias = weights.flat + op.bias + first,
        .k = {{.count = layer.in, .a = K * K, .b = op.in.plane},
              {.count = K, .a = K, .b = op.in.row},
              {.count = K, .a = 1, .b = 1}},
    });
}

// From the gradient of the stage's output those of weights, bias and input of its convolution.
//
// d is the gradient of the convolution's own output, (oc, oh, ow): the stage's output gradient
// taken back through pooling and activations, which is far larger than what it is made from. So its
// rows are made a band at a time and used while they are in the first-level cache:
//
//     for each block of output channels, for each band of rows:
//         make d (channels, rows, ow)        row_backward
//         dbias += Σ d                       sum_positions
//         dweight += Σ d · in                conv2d_dweight
//
// The input's gradient is a sum over all output channels. Where it is wanted, d is kept whole.
// Without pooling d is the stage's output gradient itself, changed in its place.
void Program::conv2d_backward(const Stage& stage, Workspace& ws, int group, const Weights& weights,
                              float* slot, bool first) const {
    const Op& op = ops_[stage.first];
    const Place &out = op.out, &last = ops_[stage.last].out;
    const bool filtered = op.is_filtered(), pooled = ops_[stage.last].layer.is_pool();
    const bool keep = !pooled || (stage.below_weights && !filtered);
    const int block = op.dweight_channels, rows = band(op);
    const Stride d_row = pooled ? out.width : last.row;
    const Stride d_plane = pooled ? Stride(keep ? out.height : rows) * out.width : last.plane;
    float* all = pooled ? ws.rows.data() : gradients(ws, group) + stage.d_out * lanes;
    const Convolution v = convolution(op);
    const float* in = values(ws, group) + op.in.at * lanes;
    if (filtered) filter_input(op, ws, group);
    for (int c = 0; c < op.layer.out; c += block) {
        const int channels = std::min(block, op.layer.out - c);
        float* dbias = slot + op.slot_bias + Stride(c) * lanes;  // (oc,)
        float* dweight =
            slot + op.slot_weight + Stride(c) * op.layer.row_size() * lanes;  // (oc, ic · K · K)
        for (int y = 0; y < out.height; y += rows) {
            const int height = std::min(rows, out.height - y);
            const bool accumulate = !first || y > 0;
            float* d =
                keep ? all + (c * d_plane + y * d_row) * lanes : all;  // (channels, height, ow)
            for (int i = 0; i < channels; ++i) {
                float* plane = d + i * d_plane * lanes;
                for (int r = 0; r < height; ++r)
                    row_backward(stage, ws, group, c + i, y + r, plane + r * d_row * lanes);
                kernels.sum_positions(plane, d_row, height, out.width, accumulate,
                                      dbias + i * lanes);
            }
            if (filtered)
                filter_doutput(stage, ws, d, d_plane, d_row, c, channels, y, height, first, slot);
            else
                kernels.conv2d_dweight(v, d, d_plane, d_row, channels, y, height, in, accumulate,
                                       dweight);
        }
    }
    if (!stage.below_weights) return;
    float* din = gradients(ws, group) + stage.d_in * lanes;  // (ic, ih, iw)
    if (filtered)
        filter_dinput(op, ws, weights, din);
    else
        kernels.conv2d_dinput(v, all, d_plane, d_row, weights.flat + op.weight, din);
}

// --- dense layers ----------------------------------------------------------------------------

// out[o] = bias[o] + Σ weight[o, i] · in[i], for all groups at once: one weight that is spread over
// a vector then serves as many vectors of pictures. m are the outputs, n the groups, k the inputs.
void Program::linear_forward(const Op& op, Workspace& ws, const Weights& weights) const {
    kernels.product({
        .m = op.layer.out,
        .n = ws.groups,
        .tile = op.forward_tile[ws.groups],
        .a = weights.flat + op.weight,  // (out, in) scalars
        .a_row = op.layer.in,
        .b = values(ws, 0) + op.in.at * lanes,  // (in, groups)
        .b_column = layout_.size,
        .c = values(ws, 0) + op.out.at * lanes,  // (out, groups)
        .c_row = 1,
        .c_column = layout_.size,
        .bias = weights.flat + op.bias,
        .k = {{}, {}, {.count = op.layer.in, .a = 1, .b = 1}},
    });
}

// The gradient of a dense layer's input, for all groups at once; what those of its weights and
// biases are made of, for all groups of a span, is kept in `dense`, from group `group_of_span` on.
void Program::linear_backward(const Stage& stage, Workspace& ws, const Weights& weights,
                              Dense& dense, int group_of_span) const {
    const Op& op = ops_[stage.first];
    const int in = op.layer.in, out = op.layer.out;
    float* d = gradients(ws, 0) + stage.d_out * lanes;  // (out, groups), of the layer's own output
    const Stride rows = Stride(lanes) * op.dense_row;   // vectors of a group's inputs
    for (int group = 0; group < ws.groups; ++group) {
        float* of_group = d + group * gradients_ * lanes;
        const int to = group_of_span + group;
        row_backward(stage, ws, group, 0, 0, of_group);
        std::copy_n(
            of_group, Stride(out) * lanes,
            dense.doutputs.data() + (op.dense_out * dense.groups + Stride(to) * out) * lanes);
        kernels.transpose(values(ws, group) + op.in.at * lanes, 1, in,
                          dense.inputs.data() + (op.dense_in * dense.groups + to * rows) * lanes,
                          op.dense_row * lanes);
    }
    if (!stage.below_weights) return;

    // din[i] = Σ weight[o, i] · d[o]: the forward product with the weights read by columns.
    kernels.product({
        .m = in,
        .n = ws.groups,
        .tile = op.dinput_tile[ws.groups],
        .a = weights.flat + op.weight,  // (out, in) scalars, m along `in`
        .a_row = 1,
        .b = d,  // (out, groups)
        .b_column = gradients_,
        .c = gradients(ws, 0) + stage.d_in * lanes,  // (in, groups)
        .c_row = 1,
        .c_column = gradients_,
        .k = {{}, {}, {.count = out, .a = in, .b = 1}},
    });
}

// The gradient of what a layer of radial units takes, from that of the stage's output, which the
// activations behind it change in its place.
void Program::rbf_backward(const Stage& stage, Workspace& ws, int group) const {
    const Op& op = ops_[stage.first];
    float* d = gradients(ws, group) + stage.d_out * lanes;  // (out,)
    row_backward(stage, ws, group, 0, 0, d);
    kernels.rbf_backward(codes_.data() + op.codes, op.layer.in, op.layer.out,
                         values(ws, group) + op.in.at * lanes, d,
                         gradients(ws, group) + stage.d_in * lanes);
}

// --- pooling ---------------------------------------------------------------------------------

// Of channel c: (oh, ow) vectors, which member of its window each maximum was.
std::int32_t* Program::winners(const Op& op, const Workspace& ws, int group, int c) const {
    const Stride plane = Stride(op.out.height) * op.out.width;
    return reinterpret_cast<std::int32_t*>(ws.winners.data()) +
           (group * winners_ + op.winners + c * plane) * lanes;
}

// What pooling does in channel c: of Subsample with this channel's weight and bias.
Pooling Program::pooling(const Op& op, const Workspace& ws, int c) const {
    Pooling all = pooling_of(op.layer, op.in, op.out);
    if (op.layer.kind == Kind::subsample) {
        all.share = ws.weights[op.weight + c];
        all.bias = ws.weights[op.bias + c];
    }
    return all;
}

// The gradients of Subsample's weights and biases, the last layer of a stage.
void Program::subsample_backward(const Stage& stage, Workspace& ws, int group, float* slot,
                                 bool first) const {
    const Op& op = ops_[stage.last];
    for (int c = 0; c < op.out.channels; ++c) {
        const float* dout = gradients(ws, group) + (stage.d_out + c * op.out.plane) * lanes;
        kernels.sum_positions(dout, op.out.row, op.out.height, op.out.width, !first,
                              slot + op.slot_bias + Stride(c) * lanes);
        kernels.subsample_dweight(pooling(op, ws, c), dout,
                                  values(ws, group) + op.in.offset(c) * lanes, !first,
                                  slot + op.slot_weight + Stride(c) * lanes);
    }
}

// Row y of channel c of pooling's output.
void Program::pool_forward(const Op& op, Workspace& ws, int group, int c, int y) const {
    float* all = values(ws, group);
    kernels.pool_forward(pooling(op, ws, c), y, all + op.in.offset(c) * lanes,
                         all + op.out.offset(c) * lanes,
                         ws.keeps_winners ? winners(op, ws, group, c) : nullptr);
}

// Where a stage activates last: row y of `channels` channels of its maxima, in their place.
void Program::activate_pooled(const Stage& stage, Workspace& ws, int group, int first, int channels,
                              int y) const {
    const Place& out = ops_[stage.last].out;
    for (int c = first; c < first + channels; ++c) {
        float* row = values(ws, group) + out.offset(c, y) * lanes;
        kernels.activate(ops_[stage.last - 1].layer.activation, row, row, out.width);
    }
}

// The gradient of the maxima from that of the stage's output, in its place.
void Program::activate_pooled_backward(const Stage& stage, Workspace& ws, int group) const {
    const Place& out = ops_[stage.last].out;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.height; ++y)
            kernels.activate_backward(
                ops_[stage.last - 1].layer.activation, values(ws, group) + out.offset(c, y) * lanes,
                gradients(ws, group) + (stage.d_out + c * out.plane + y * out.row) * lanes,
                out.width);
}

// Row y of channel c of the gradient of its input, to d. In the same pass, so that the row is
// written once, the slope of the activation right before it, if there is one. Returns the op before
// all that was done.
int Program::pool_backward(const Stage& stage, Workspace& ws, int group, int c, int y,
                           float* d) const {
    const Op& op = ops_[stage.last];
    const int before = stage.last - 1;
    const bool fused = before >= stage.first && !stage.activates_last &&
                       ops_[before].layer.kind == Kind::activation;
    kernels.pool_backward(
        pooling(op, ws, c), y, gradients(ws, group) + (stage.d_out + c * op.out.plane) * lanes,
        winners(op, ws, group, c), fused ? ops_[before].layer.activation : Activation{},
        fused ? slope_values(ops_[before], ws, group, c, y) : d, d);
    return fused || stage.activates_last ? before - 1 : before;
}

// --- elementwise layers ----------------------------------------------------------------------

DropoutMask Program::mask(const Op& op, const Workspace& ws, int group) const {
    const double dropped = std::ceil(op.layer.p * 4294967296.0);  // hashes below are dropped
    return {.seed = ws.position.seed,
            .epoch = ws.position.epoch,
            .layer = static_cast<std::uint32_t>(op.index),
            .samples = ws.samples.data() + group * lanes,
            .last_dropped = static_cast<std::uint32_t>(dropped - 1),
            .scale = static_cast<float>(1 / (1 - op.layer.p))};
}

// Row y of channel c of an activation or dropout; `out` may be `in`.
void Program::elementwise_forward(const Op& op, Workspace& ws, int group, int c, int y) const {
    const float* in = values(ws, group) + op.in.offset(c, y) * lanes;
    float* out = values(ws, group) + op.out.offset(c, y) * lanes;
    const int width = op.in.width;
    if (op.layer.kind == Kind::dropout && ws.position.training && op.layer.p > 0)
        kernels.dropout(mask(op, ws, group), (c * op.in.height + y) * width, in, out, width);
    else if (op.layer.kind == Kind::activation || in != out)
        kernels.activate(op.layer.activation, in, out, width);  // of dropout: the identity
}

// d, the gradient of that row of the output, becomes the gradient of the input's row.
void Program::elementwise_backward(const Op& op, Workspace& ws, int group, int c, int y,
                                   float* d) const {
    const int width = op.out.width;
    if (op.layer.kind == Kind::activation)
        kernels.activate_backward(op.layer.activation, slope_values(op, ws, group, c, y), d, width);
    else if (ws.position.training && op.layer.p > 0)
        kernels.dropout(mask(op, ws, group), (c * op.in.height + y) * width, d, d, width);
}

// The row that the slope of an activation is computed from: of what it took, or put out.
const float* Program::slope_values(const Op& op, const Workspace& ws, int group, int c,
                                   int y) const {
    const Place& place = op.layer.activation.slope_needs_input() ? op.in : op.out;
    return values(ws, group) + place.offset(c, y) * lanes;
}

// --- any of them -----------------------------------------------------------------------------

// Row y of `channels` channels from `first` on, of the output of any layer but a dense one.
void Program::row_forward(const Op& op, Workspace& ws, int group, const Weights& weights, int first,
                          int channels, int y) const {
    if (op.layer.kind == Kind::conv2d)
        return conv2d_forward(op, ws, group, weights, first, channels, y);
    if (op.layer.kind == Kind::rbf)
        return kernels.rbf_forward(codes_.data() + op.codes, op.layer.in, op.layer.out,
                                   values(ws, group) + op.in.at * lanes,
                                   values(ws, group) + op.out.at * lanes);
    for (int c = first; c < first + channels; ++c)
        if (op.layer.is_pool())
            pool_forward(op, ws, group, c, y);
        else
            elementwise_forward(op, ws, group, c, y);
}

// Row y of channel c of d, the gradient of what the stage's layer with weights puts out (or of what
// the stage takes, where no layer of it has weights), from the gradient of the stage's output. d
// may be that gradient's own row.
void Program::row_backward(const Stage& stage, Workspace& ws, int group, int c, int y,
                           float* d) const {
    int i = stage.last;
    const Op& last = ops_[i];
    if (last.layer.is_pool()) {
        i = pool_backward(stage, ws, group, c, y, d);
    } else {
        const float* dout =
            gradients(ws, group) + (stage.d_out + c * last.out.plane + y * last.out.row) * lanes;
        if (d != dout) std::memcpy(d, dout, sizeof(float) * lanes * last.out.width);
    }
    for (; i >= stage.first && ops_[i].layer.is_elementwise(); --i)
        elementwise_backward(ops_[i], ws, group, c, y, d);
}

}  // namespace lenet
