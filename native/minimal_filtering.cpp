// The convolutions of a program that minimal filtering makes shorter, there and back;
// kernels/minimal_filtering.hpp says what that is. Shapes, in vectors:
//
//     input and its gradient     (point, ic, ih, tile)      ih with padding
//     output and its gradient    (point, oc, oh, tile)      oh, or the rows that are made at once
//     kernels                    (point, oc, ic, ky)        floats
//     their gradient, in a slot  (oc, point, ic, ky)        each piece of channels by itself
//
// Tiles of neighbouring rows are neighbours, so that a few rows are one product at each point: its
// columns are (row, tile), and ky steps down by a row of tiles.
#include <algorithm>

#include "program.hpp"

namespace lenet {

namespace {

constexpr int points = filtering_points;
constexpr std::size_t transformed_bytes = 24576;  // made at once: half of a first-level cache

}  // namespace

void Program::plan_filtering(Op& op) {
    const int K = op.layer.kernel_size, in = op.layer.in, out = op.layer.out;
    if (!kernels.choose_filtering(convolution(op))) return;
    const int tiles = (op.out.width + points - K) / (points + 1 - K);
    op.filtering = {.in_channels = in,
                    .out_channels = out,
                    .kernel_size = K,
                    .in_rows = op.in.height + 2 * op.layer.padding,
                    .tiles = tiles};
    op.filters = filter_floats_;
    filter_floats_ += points * op.filter_point();

    const auto tile = [&](int m, int rows) {
        return kernels.choose_product_tile(m, rows * tiles, true);
    };
    op.filtering_rows = filtering_band(op, tile(out, op.out.height).m);
    op.filtering_tile = tile(out, op.filtering_rows);
    op.filtering_dinput_rows = filtering_band(op, in);
    op.filtering_dinput_tile = tile(in, op.filtering_dinput_rows);
    op.filtering_edge_tile = tile(in, 1);

    filtered_input_ = std::max(filtered_input_, points * op.filtering.in_point());
    filtered_ = std::max(filtered_, Stride(points) * out * op.out.height * tiles);
}

// How many rows of so many transformed channels are made at a time; about as many each time.
int Program::filtering_band(const Op& op, int channels) const {
    const std::size_t row = sizeof(float) * lanes * points * op.filtering.tiles * channels;
    const int most =
        static_cast<int>(std::clamp<std::size_t>(transformed_bytes / row, 1, op.out.height));
    const int bands = (op.out.height + most - 1) / most;
    return (op.out.height + bands - 1) / bands;
}

void Program::filter_weights(const float* flat, float* filters) const {
    for (const Op& op : ops_)
        if (op.is_filtered())
            kernels.filter_weights(op.layer.kernel_size, flat + op.weight,
                                   static_cast<int>(op.filter_point()), filters + op.filters,
                                   op.filter_point());
}

// The whole input, to ws.filtered_input.
void Program::filter_input(const Op& op, Workspace& ws, int group) const {
    const Filtering& f = op.filtering;
    const int padding = op.layer.padding;
    for (int i = 0; i < f.in_channels; ++i)
        for (int row = 0; row < f.in_rows; ++row)
            kernels.filter_input(
                f.kernel_size, values(ws, group) + op.in.offset(i, row - padding, -padding) * lanes,
                op.in.width + 2 * padding,
                ws.filtered_input.data() + (i * f.in_plane() + Stride(row) * f.tiles) * lanes,
                f.in_point());
}

// Rows y … y + rows - 1 of `channels` output channels from `first` on. The first of them finds the
// input as it is, and transforms all of it.
void Program::filter_forward(const Op& op, Workspace& ws, int group, const Weights& weights,
                             int first, int channels, int y, int rows) const {
    const Filtering& f = op.filtering;
    if (first == 0 && y == 0) filter_input(op, ws, group);
    const Stride plane = Stride(rows) * f.tiles, point = channels * plane;
    for (int p = 0; p < points; ++p)
        kernels.product({
            .m = channels,
            .n = rows * f.tiles,
            .tile = op.filtering_tile,
            // (channels, ic · K) scalars
            .a = weights.filters + op.filters + p * op.filter_point() + first * op.filter_row(),
            .a_row = op.filter_row(),
            .b = ws.filtered_input.data() + (p * f.in_point() + Stride(y) * f.tiles) * lanes,
            .b_column = 1,
            .c = ws.filtered.data() + p * point * lanes,  // (channels, rows · tiles)
            .c_row = plane,
            .c_column = 1,
            // What is added at point 1, whose powers are all 1, is added to each output of a tile.
            .bias = p == 1 ? weights.flat + op.bias + first : nullptr,
            .k = {{},
                  {.count = f.in_channels, .a = f.kernel_size, .b = f.in_plane()},
                  {.count = f.kernel_size, .a = 1, .b = f.tiles}},
        });
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < rows; ++r)
            kernels.filter_output(
                f.kernel_size, ws.filtered.data() + (c * plane + Stride(r) * f.tiles) * lanes,
                point, op.out.width, values(ws, group) + op.out.offset(first + c, y + r) * lanes);
}

// The gradient of those rows of the output, transformed, and what it gives to that of the kernels;
// the input is transformed already. All of it is kept where the input's gradient needs it; then all
// rows give at once, since each time the kernels' gradient at all points is read and written.
void Program::filter_doutput(const Stage& stage, Workspace& ws, const float* d, Stride d_plane,
                             Stride d_row, int first, int channels, int y, int rows, bool is_first,
                             float* slot) const {
    const Op& op = ops_[stage.first];
    const Filtering& f = op.filtering;
    const bool keep = stage.below_weights;
    const Stride plane = Stride(keep ? op.out.height : rows) * f.tiles;
    const Stride point = (keep ? f.out_channels : channels) * plane;
    float* to = ws.filtered.data() + (keep ? first * plane + Stride(y) * f.tiles : 0) * lanes;
    for (int c = 0; c < channels; ++c)
        for (int r = 0; r < rows; ++r)
            kernels.filter_doutput(f.kernel_size, d + (c * d_plane + r * d_row) * lanes,
                                   op.out.width, to + (c * plane + Stride(r) * f.tiles) * lanes,
                                   point);
    float* dkernels = slot + op.slot_weight + first * points * op.filter_row() * lanes;
    if (!keep)
        kernels.filter_dpoints(f, to, point, plane, channels, rows,
                               ws.filtered_input.data() + Stride(y) * f.tiles * lanes,
                               !is_first || y > 0, dkernels);
    else if (y + rows == op.out.height)
        kernels.filter_dpoints(f, ws.filtered.data() + first * plane * lanes, point, plane,
                               channels, op.out.height, ws.filtered_input.data(), !is_first,
                               dkernels);
}

// The gradient of the input from what filter_doutput kept, over the transformed input:
//     din[i, row] = Σ kernel[o][i, ky] · d[o, row - ky]     at each point, rows with padding
// All K rows of a kernel reach the rows in the middle, which are made a few at once; fewer reach
// each of those at the edges.
void Program::filter_dinput(const Op& op, Workspace& ws, const Weights& weights, float* din) const {
    const Filtering& f = op.filtering;
    const int K = f.kernel_size, padding = op.layer.padding, last = op.out.height - 1;
    const Stride plane = Stride(op.out.height) * f.tiles, point = f.out_channels * plane;
    for (int y = 0, rows; y < op.in.height; y += rows) {
        const int row = y + padding;
        const int middle = std::min(last - row + 1, op.in.height - y);
        rows = row < K - 1 ? 1 : std::clamp(middle, 1, op.filtering_dinput_rows);
        const int ky = std::max(0, row - last), turns = std::min(K - 1, row) - ky + 1;
        for (int p = 0; p < points; ++p)
            kernels.product({
                .m = f.in_channels,
                .n = rows * f.tiles,
                .tile = rows > 1 ? op.filtering_dinput_tile : op.filtering_edge_tile,
                // (oc, ic, K) scalars, m along `ic`
                .a = weights.filters + op.filters + p * op.filter_point() + ky,
                .a_row = K,
                .b = ws.filtered.data() + (p * point + Stride(row - ky) * f.tiles) * lanes,
                .b_column = 1,
                .c = ws.filtered_input.data() + (p * f.in_point() + Stride(row) * f.tiles) * lanes,
                .c_row = f.in_plane(),
                .c_column = 1,
                .k = {{},
                      {.count = turns, .a = 1, .b = -f.tiles},
                      {.count = f.out_channels, .a = op.filter_row(), .b = plane}},
            });
        for (int i = 0; i < f.in_channels; ++i)
            for (int r = 0; r < rows; ++r)
                kernels.filter_dinput(
                    K,
                    ws.filtered_input.data() +
                        (i * f.in_plane() + Stride(row + r) * f.tiles) * lanes,
                    f.in_point(), op.in.width + 2 * padding,
                    din + (i * op.in.plane + (y + r) * op.in.row - padding) * lanes);
    }
}

// Of `channels` output channels from `first` on: the sum over slots and lanes, at the points, and
// from that once the gradient of the kernels, (channels, ic, K, K).
void Program::sum_filtered_slots(const Op& op, int first, int channels, const float* slots,
                                 int count, float* dfilters, float* dweight) const {
    const Stride channel = points * op.filter_row();  // (point, ic, ky)
    float* sums = dfilters + op.filters + first * channel;
    kernels.sum_slots_and_lanes(slots + op.slot_weight + first * channel * lanes, slot_floats_,
                                count, static_cast<int>(channels * channel), false, sums);
    for (int o = 0; o < channels; ++o)
        kernels.filter_dweights(op.layer.kernel_size, sums + o * channel, op.filter_row(),
                                static_cast<int>(op.filter_row()),
                                dweight + Stride(o) * op.layer.row_size());
}

}  // namespace lenet
