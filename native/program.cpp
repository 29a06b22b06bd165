#include "program.hpp"

#include <algorithm>

#include "augmentation.hpp"

namespace lenet {

using Kind = Layer::Kind;

// --- the plan --------------------------------------------------------------------------------

Program::Program(const Description& description, const Kernels& kernels)
    : kernels(kernels),
      lanes(kernels.lanes),
      layout_(description, 1, true),
      table_(description.table),
      codes_(description.codes),
      output_(layout_.outputs.empty() ? layout_.input : layout_.outputs.back()),
      classes_(description.classes) {
    plan_ops(description);
    plan_stages();
    plan_slots();
}

// One op for each layer that computes something, with its places and its part of the parameters,
// which lie in the order of the layers, weight before bias.
void Program::plan_ops(const Description& description) {
    Place at = layout_.input;
    Stride codes = 0;
    for (int i = 0; i < static_cast<int>(description.layers.size()); ++i) {
        const Layer& layer = description.layers[i];
        if (layer.kind != Kind::flatten) {
            Op op{.layer = layer, .index = i, .in = at, .out = layout_.outputs[i]};
            if (layer.kind == Kind::max_pool2d)
                op.winners = Place::append(winners_, op.out.channels, op.out.shape(), 0).at;
            if (layer.kind == Kind::rbf) {
                op.codes = codes;
                codes += Stride(layer.out) * layer.in;
            }
            if (layer.has_weights()) {
                op.weight = parameters_;
                op.bias = op.weight + Stride(layer.out) * layer.row_size();
                parameters_ = op.bias + layer.out;
            }
            plan_tiles(op);
            if (layer.kind == Kind::conv2d) plan_filtering(op);
            ops_.push_back(op);
        }
        at = layout_.outputs[i];
    }
}

// Cuts the ops into stages, which hand on whole planes; within a stage a row goes through all its
// layers before the next one begins. Gradients are kept between stages alone.
void Program::plan_stages() {
    const int count = static_cast<int>(ops_.size());
    for (int first = 0, last; first < count; first = last + 1) {
        last = first;
        auto follows = [&](int i) {  // without a Flatten between
            return i < count && ops_[i].index == ops_[i - 1].index + 1;
        };
        if (!ops_[first].layer.is_pool()) {
            while (follows(last + 1) && ops_[last + 1].layer.is_elementwise()) ++last;
            if (follows(last + 1) && ops_[last + 1].layer.is_pool()) ++last;
        }
        Stage stage{
            .first = first,
            .last = last,
            .has_weights = ops_[first].layer.has_weights() || ops_[last].layer.has_weights(),
            .below_weights = false,
            .activates_last = false,
            .d_in = 0,
            .d_out = 0};
        for (const Stage& below : stages_) stage.below_weights |= below.has_weights;
        stage.d_in = stages_.empty() ? 0 : stages_.back().d_out;
        // as its values lie, with their border, so that d has the strides of x
        const Place& out = ops_[last].out;
        stage.d_out = Place::append(gradients_, out.channels, out.shape(), out.border()).at;
        stage.activates_last = can_activate_last(stage);
        stages_.push_back(stage);

        // Room for d of conv2d_backward: whole, or a band of a block of channels.
        const Op& op = ops_[first];
        if (op.layer.kind == Kind::conv2d && ops_[last].layer.is_pool())
            rows_ = std::max(rows_, stage.below_weights && !op.is_filtered()
                                        ? Stride(op.out.channels) * op.out.height * op.out.width
                                        : Stride(op.dweight_channels) * band(op) * op.out.width);
    }
}

// Whether the maxima of a stage can be taken of what its activation takes: then only they have to
// be activated, a quarter of the values where windows are 2 × 2, and the slope is needed at them
// alone. They must lie where the activation would have written, and stay there for the slope.
bool Program::can_activate_last(const Stage& stage) const {
    const int before = stage.last - 1;
    if (before <= stage.first || ops_[stage.last].layer.kind != Kind::max_pool2d) return false;
    const Op &f = ops_[before], &pool = ops_[stage.last];
    const std::size_t next = stage.last + 1;
    const bool stays = next == ops_.size() || ops_[next].out.at != pool.out.at;
    return f.layer.kind == Kind::activation && f.layer.activation.never_falls() &&
           f.in.at == f.out.at && stays;
}

// How many rows of a convolution's output gradient are made at a time: about half of a first-level
// cache, the other half for the input that they meet.
int Program::band(const Op& op) const {
    if (op.is_filtered()) return filtering_band(op, op.dweight_channels);
    const std::size_t row = sizeof(float) * lanes * op.out.width * op.dweight_channels;
    return static_cast<int>(std::clamp<std::size_t>(band_bytes / row, 1, op.out.height));
}

void Program::plan_tiles(Op& op) const {
    const Layer& layer = op.layer;
    if (layer.kind == Kind::conv2d) {
        op.forward_tile[1] =
            kernels.choose_product_tile(layer.out, op.out.width, layer.stride == 1);
        op.dweight_channels = kernels.choose_dweight_tile(convolution(op));
    } else if (layer.kind == Kind::linear) {
        op.dense_row = (layer.in + lanes - 1) / lanes;
        op.dweight_tile = kernels.choose_product_tile(layer.out, op.dense_row, true);
        for (int groups = 1; groups <= most_groups; ++groups) {
            op.forward_tile[groups] = kernels.choose_product_tile(layer.out, groups, false);
            op.dinput_tile[groups] = kernels.choose_product_tile(layer.in, groups, false);
        }
    }
}

void Program::plan_slots() {
    for (Op& op : ops_) {
        if (!op.layer.has_weights()) continue;
        // A dense layer is no part of a slot: as many slots as a batch has of so many numbers would
        // have to be written and read again.
        if (op.layer.kind == Kind::linear) {
            op.dense_in = dense_in_;
            op.dense_out = dense_out_;
            op.dense_weight = dense_weight_;
            dense_in_ += Stride(lanes) * op.dense_row;
            dense_out_ += op.layer.out;
            dense_weight_ += Stride(op.layer.out) * op.dense_row;
            continue;
        }
        // Vectors of what each lane's picture gives, to be summed over lanes at the end.
        const Stride row =
            op.is_filtered() ? filtering_points * op.filter_row() : op.layer.row_size();
        op.slot_weight = slot_floats_;
        op.slot_bias = op.slot_weight + Stride(op.layer.out) * row * lanes;
        slot_floats_ = op.slot_bias + Stride(op.layer.out) * lanes;
    }
    // Pieces of about 32 kB of weights, which the threads share when slots are summed; of 64 kB in
    // dense layers, where each piece reads the inputs of all pictures.
    for (int i = 0; i < static_cast<int>(ops_.size()); ++i) {
        if (!ops_[i].layer.has_weights()) continue;
        const Layer& layer = ops_[i].layer;
        const int weights = layer.kind == Kind::linear ? 16384 : 8192;
        const int out = layer.out, rows = std::max(1, weights / layer.row_size());
        for (int first = 0; first < out; first += rows)
            pieces_.push_back({i, first, std::min(rows, out - first)});
    }
}

// --- pictures in -----------------------------------------------------------------------------

Workspace Program::make_workspace(int groups) const {
    Workspace ws;
    const std::size_t vectors = lanes;
    ws.groups = ws.capacity = groups;
    ws.values = Buffer(vectors * layout_.size * groups);
    ws.gradients = Buffer(vectors * gradients_ * groups);
    ws.winners = Buffer(vectors * winners_ * groups);
    ws.rows = Buffer(vectors * rows_);
    ws.filtered_input = Buffer(vectors * filtered_input_);
    ws.filtered = Buffer(vectors * filtered_);
    for (int group = 0; group < groups; ++group) layout_.write_borders(values(ws, group), lanes);
    ws.labels.resize(groups * lanes);
    ws.predicted.resize(groups * lanes);
    ws.samples.resize(groups * lanes);
    ws.losses.resize(groups * lanes);
    ws.shares = Buffer(vectors * groups);
    return ws;
}

// Inputs that stay in a second-level cache, since they are read once for each piece of weights; but
// so many pictures that a few threads have enough to do, unless they would take more than 64 MB.
int Program::span_pictures() const {
    const Stride floats = std::max<Stride>(1, dense_in_);  // a picture: `lanes` of them, a vector
    const Stride in_cache = std::clamp<Stride>((1 << 19) / floats, 512, 1024);
    const Stride in_memory = std::max<Stride>((1 << 24) / floats, 256);
    return static_cast<int>(std::min(in_cache, in_memory));
}

Dense Program::make_dense(int groups) const {
    const std::size_t vectors = lanes;
    return {.inputs = Buffer(vectors * dense_in_ * groups),
            .doutputs = Buffer(vectors * dense_out_ * groups),
            .dweights = Buffer(vectors * dense_weight_),
            .dbiases = Buffer(dense_out_),
            .groups = groups};
}

void Program::load(Workspace& ws, const Pictures& pictures, std::int64_t first, int count,
                   const Position& position) const {
    ws.groups = (count + lanes - 1) / lanes;
    ws.position = position;
    const Place& input = layout_.input;
    const std::size_t size = std::size_t(input.channels) * input.height * input.width;
    std::vector<const std::uint8_t*> bytes(lanes);
    std::vector<const float*> floats(lanes);
    if (pictures.augmentation) ws.moved.resize(size * lanes);
    for (int group = 0; group < ws.groups; ++group) {
        for (int lane = 0; lane < lanes; ++lane) {
            const int place = group * lanes + lane;
            const std::int64_t i = first + std::min(place, count - 1);
            const std::int64_t source = pictures.order ? pictures.order[i] : i;
            ws.labels[place] = place < count && pictures.labels ? pictures.labels[source] : -1;
            ws.samples[place] = position.first_sample + static_cast<std::uint32_t>(i);
            if (pictures.shares) ws.shares.data()[place] = pictures.shares[i];
            if (pictures.floats) {
                floats[lane] = pictures.floats + source * size;
                continue;
            }
            bytes[lane] = pictures.bytes + source * size;
            if (pictures.augmentation) {
                std::uint8_t* moved = ws.moved.data() + lane * size;
                change_picture(bytes[lane], pictures.augmentation + i * pictures.changes,
                               pictures.changes, input.shape(), moved);
                bytes[lane] = moved;
            }
        }
        float* x = values(ws, group) + input.at * lanes;  // (channels, height, width)
        if (pictures.floats)
            kernels.gather_floats(floats.data(), input.channels, input.height, input.width, x,
                                  input.plane, input.row);
        else
            kernels.gather_bytes(bytes.data(), table_.data(), input.channels, input.height,
                                 input.width, x, input.plane, input.row);
    }
}

void Program::copy_out(const Workspace& ws, const Place& from, int count, float* out) const {
    const std::size_t size = std::size_t(from.channels) * from.height * from.width;
    std::vector<float*> pictures(lanes);
    for (int group = 0; group < ws.groups; ++group) {
        for (int lane = 0; lane < lanes; ++lane) {
            const int place = group * lanes + lane;
            pictures[lane] = place < count ? out + place * size : nullptr;
        }
        kernels.scatter_floats(values(ws, group) + from.at * lanes, from.plane, from.row,
                               from.channels, from.height, from.width, pictures.data());
    }
}

// --- forward ---------------------------------------------------------------------------------

// Up to a dense layer each group goes alone, so that what it needs stays in the caches. A dense
// layer takes all groups at once, since its weights are what is large there.
void Program::forward(Workspace& ws, const Weights& weights, bool backward_follows) const {
    ws.weights = weights.flat;
    ws.keeps_winners = backward_follows;
    for (std::size_t s = 0, end; s < stages_.size(); s = end) {
        end = s + 1;
        if (is_linear(stages_[s]))
            linear_forward(ops_[stages_[s].first], ws, weights);
        else
            while (end < stages_.size() && !is_linear(stages_[end])) ++end;
        for (int group = 0; group < ws.groups; ++group)
            for (std::size_t t = s; t < end; ++t) stage_forward(stages_[t], ws, group, weights);
    }
}

void Program::forward_observed(Workspace& ws, const Weights& weights,
                               const Observer& observe) const {
    ws.weights = weights.flat;
    auto op = ops_.begin();
    for (int layer = 0; layer < static_cast<int>(layout_.outputs.size()); ++layer) {
        if (op != ops_.end() && op->index == layer) {  // Flatten has none
            if (op->layer.kind == Kind::linear)
                linear_forward(*op, ws, weights);
            else
                for (int group = 0; group < ws.groups; ++group)
                    for (int y = 0; y < op->out.height; ++y)
                        row_forward(*op, ws, group, weights, 0, op->out.channels, y);
            ++op;
        }
        observe(layer, layout_.outputs[layer]);
    }
}

// A block of channels after the other, and of each a row after the other through all layers of the
// stage: what the convolution has made is still in the first-level cache when it is activated and
// pooled.
void Program::stage_forward(const Stage& stage, Workspace& ws, int group,
                            const Weights& weights) const {
    const Op& head = ops_[stage.first];
    const int block = head.is_filtered()                ? head.filtering_tile.m
                      : head.layer.kind == Kind::conv2d ? head.forward_tile[1].m
                                                        : 1;
    for (int c = 0; c < head.out.channels; c += block) {
        const int channels = std::min(block, head.out.channels - c);
        int pooled = 0;
        for (int y = 0; y < head.out.height; ++y) {
            if (head.layer.kind != Kind::linear)  // those are computed for all groups at once
                row_forward(head, ws, group, weights, c, channels, y);
            for (int i = stage.first + 1; i <= stage.last; ++i) {
                const Op& op = ops_[i];
                if (!op.layer.is_pool()) {
                    if (!stage.activates_last || i < stage.last - 1)
                        row_forward(op, ws, group, weights, c, channels, y);
                    continue;
                }
                // Pooling makes every row whose windows are there: those that end at row y of its
                // input, and at the end those that reach into the border below it.
                auto last_row = [&](int row) {
                    const int bottom =
                        row * op.layer.stride - op.layer.padding + op.layer.kernel_size - 1;
                    return std::min(bottom, op.in.height - 1);
                };
                for (; pooled < op.out.height && last_row(pooled) <= y; ++pooled) {
                    row_forward(op, ws, group, weights, c, channels, pooled);
                    if (stage.activates_last)
                        activate_pooled(stage, ws, group, c, channels, pooled);
                }
            }
        }
    }
}

// --- loss ------------------------------------------------------------------------------------

void Program::loss(Workspace& ws, float label_smoothing, float rubbish, float scale) const {
    for (int group = 0; group < ws.groups; ++group) {
        const int place = group * lanes;
        kernels.softmax_cross_entropy(
            values(ws, group) + output_.at * lanes, &ws.labels[place], classes_, label_smoothing,
            rubbish, scale, &ws.losses[place], &ws.predicted[place],
            scale != 0 && !stages_.empty() ? dlogits(ws, group) : nullptr);
    }
}

void Program::weighted_loss(Workspace& ws, float label_smoothing, float rubbish,
                            const float* class_weights) const {
    for (int group = 0; group < ws.groups; ++group) {
        const int place = group * lanes;
        kernels.weighted_cross_entropy(
            values(ws, group) + output_.at * lanes, &ws.labels[place], classes_, label_smoothing,
            rubbish, class_weights, ws.shares.data() + place, &ws.losses[place],
            &ws.predicted[place], stages_.empty() ? nullptr : dlogits(ws, group));
    }
}

void Program::load_dlogits(Workspace& ws, const float* dlogits_of_chunk, int count) const {
    const std::vector<float> zeros(classes_);
    std::vector<const float*> pictures(lanes);
    for (int group = 0; group < ws.groups; ++group) {
        for (int lane = 0; lane < lanes; ++lane) {
            const int place = group * lanes + lane;
            pictures[lane] =
                place < count ? dlogits_of_chunk + Stride(place) * classes_ : zeros.data();
        }
        kernels.gather_floats(pictures.data(), 1, 1, classes_, dlogits(ws, group), classes_,
                              classes_);
    }
}

// --- backward --------------------------------------------------------------------------------

// The stages from the last to the first that has weights, as in forward: dense layers for all
// groups at once, what lies between them group by group.
void Program::backward(Workspace& ws, const Weights& weights, float* slot, bool first, Dense& dense,
                       int group_of_span) const {
    ws.weights = weights.flat;
    std::size_t lowest = 0;  // nothing below the first weights needs a gradient
    while (lowest < stages_.size() && !stages_[lowest].has_weights) ++lowest;
    for (std::size_t end = stages_.size(), s; end > lowest; end = s) {
        s = end - 1;
        if (is_linear(stages_[s])) {
            linear_backward(stages_[s], ws, weights, dense, group_of_span);
            continue;
        }
        while (s > lowest && !is_linear(stages_[s - 1])) --s;
        for (int group = 0; group < ws.groups; ++group)
            for (std::size_t t = end; t-- > s;)
                stage_backward(stages_[t], ws, group, weights, slot, first && group == 0);
    }
}

void Program::stage_backward(const Stage& stage, Workspace& ws, int group, const Weights& weights,
                             float* slot, bool first) const {
    const Op& op = ops_[stage.first];
    if (stage.activates_last && (stage.has_weights || stage.below_weights))
        activate_pooled_backward(stage, ws, group);
    if (ops_[stage.last].layer.kind == Kind::subsample)
        subsample_backward(stage, ws, group, slot, first);
    if (op.layer.kind == Kind::conv2d)
        return conv2d_backward(stage, ws, group, weights, slot, first);
    if (!stage.below_weights) return;
    if (op.layer.kind == Kind::rbf) return rbf_backward(stage, ws, group);
    float* din = gradients(ws, group) + stage.d_in * lanes;  // (ic, ih, iw), laid as `in`
    for (int c = 0; c < op.in.channels; ++c)
        for (int y = 0; y < op.in.height; ++y)
            row_backward(stage, ws, group, c, y, din + (c * op.in.plane + y * op.in.row) * lanes);
}

// --- the sum over slots ----------------------------------------------------------------------

// dweight[o, i] = Σ d[o] · in[i] over the pictures. Those lie in the lanes of d, where each can be
// spread as a scalar; of `in`, a picture a row, a vector holds 16 inputs of one picture. So the sum
// over pictures is one of vectors, and nothing is left apart in lanes.
// m are the outputs, n vectors of inputs, k (group, lane): a picture. A few groups at a time, whose
// inputs stay in the first-level cache for all rows of the piece.
void Program::sum_dense(const Piece& piece, Dense& dense, int groups, bool accumulate) const {
    const Op& op = ops_[piece.op];
    if (op.layer.kind != Kind::linear) return;
    const int out = op.layer.out, most = std::max(1, dense_pictures / lanes);
    const Stride row = op.dense_row;
    const float* d = dense.doutputs.data() + (op.dense_out * dense.groups + piece.first) * lanes;
    const float* in = dense.inputs.data() + op.dense_in * dense.groups * lanes;
    for (int group = 0; group < groups; group += most)
        kernels.product({
            .m = piece.rows,
            .n = op.dense_row,
            .tile = op.dweight_tile,
            .a = d + Stride(group) * out * lanes,  // (out, lane) scalars
            .a_row = lanes,
            .b = in + group * lanes * row * lanes,  // (picture, in)
            .b_column = 1,
            .c =
                dense.dweights.data() + (op.dense_weight + piece.first * row) * lanes,  // (out, in)
            .c_row = row,
            .c_column = 1,
            .accumulate = accumulate || group > 0,
            .k = {{},
                  {.count = std::min(most, groups - group),
                   .a = Stride(out) * lanes,
                   .b = lanes * row},
                  {.count = lanes, .a = 1, .b = row}},
        });
    // dbias[o] = Σ d[o] over groups and lanes
    kernels.sum_slots_and_lanes(d, Stride(out) * lanes, groups, piece.rows, accumulate,
                                dense.dbiases.data() + op.dense_out + piece.first);
}

std::array<Program::Range, 2> Program::sum_slots(const Piece& piece, const float* slots, int count,
                                                 const Dense& dense, float* dfilters, bool whole,
                                                 float* gradient) const {
    const Op& op = ops_[piece.op];
    const Stride row = op.layer.row_size();
    const Stride weight = op.weight + piece.first * row, bias = op.bias + piece.first;
    Range weights{weight, piece.rows * row, gradient + weight};
    const Range biases{bias, piece.rows, gradient + bias};
    if (op.layer.kind == Kind::linear) {
        const Stride padded = Stride(op.dense_row) * lanes;
        const float* rows = dense.dweights.data() + op.dense_weight * lanes + piece.first * padded;
        if (!whole && padded == row)
            weights.gradient = rows;
        else
            for (int r = 0; r < piece.rows; ++r)
                std::copy_n(rows + r * padded, row, gradient + weight + r * row);
        std::copy_n(dense.dbiases.data() + op.dense_out + piece.first, piece.rows, gradient + bias);
        return {weights, biases};
    }
    if (op.is_filtered()) {
        sum_filtered_slots(op, piece.first, piece.rows, slots, count, dfilters, gradient + weight);
    } else {
        kernels.sum_slots_and_lanes(slots + op.slot_weight + piece.first * row * lanes,
                                    slot_floats_, count, static_cast<int>(weights.count), false,
                                    gradient + weight);
    }
    kernels.sum_slots_and_lanes(slots + op.slot_bias + Stride(piece.first) * lanes, slot_floats_,
                                count, piece.rows, false, gradient + bias);
    return {weights, biases};
}

}  // namespace lenet
