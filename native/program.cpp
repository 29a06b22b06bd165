#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace lenet {

using Kind = Layer::Kind;

Buffer::Buffer(std::size_t floats) {
    const std::size_t bytes = (std::max<std::size_t>(floats, 1) * sizeof(float) + 63) / 64 * 64;
    data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, bytes);
}

void Buffer::Free::operator()(float* data) const { std::free(data); }

namespace {

// A place of its own at the end of a buffer that has `size` vectors so far.
Place append(Stride& size, int channels, int height, int width, int border) {
    const Stride row = width + 2 * border, plane = (height + 2 * border) * row;
    const Place place{size + border * row + border, plane, row, channels, height, width};
    size += channels * plane;
    return place;
}

}  // namespace

Pooling pooling_of(const Layer& layer, const Place& in, const Place& out) {
    return {
        layer.kernel_size, layer.stride, layer.padding, in.height, in.width,
        out.height,        out.width,    in.row,        out.row,   layer.kind == Kind::max_pool2d};
}

// --- the plan --------------------------------------------------------------------------------

Program::Program(const Description& description, const Kernels& kernels)
    : kernels(kernels),
      lanes(kernels.lanes),
      table_(description.table),
      classes_(description.classes) {
    plan(description);
    plan_slots();
}

void Program::plan(const Description& description) {
    const std::vector<Layer>& layers = description.layers;
    const int count = static_cast<int>(layers.size());
    for (const Layer& layer : layers) flatten_.push_back(layer.kind == Kind::flatten);

    // An elementwise layer writes over its input where the layer before does not need that again.
    auto in_place = [&](int i) {
        if (!layers[i].is_elementwise() || layers[i].activation.slope_needs_input()) return false;
        int before = i - 1;
        while (before >= 0 && flatten_[before]) --before;
        if (before < 0) return true;
        const Kind kind = layers[before].kind;
        return kind == Kind::conv2d || kind == Kind::linear || kind == Kind::avg_pool2d ||
               kind == Kind::dropout;
    };
    // Whoever makes the input of layer i gives it the border that this layer needs.
    auto place_before = [&](int i, int channels, int height, int width) {
        while (i < count && in_place(i)) ++i;
        const bool windows = i < count && (layers[i].kind == Kind::conv2d || layers[i].is_pool());
        const Stride start = values_;
        const Place place =
            append(values_, channels, height, width, windows ? layers[i].padding : 0);
        if (windows && layers[i].kind == Kind::max_pool2d && layers[i].padding > 0)
            minus_infinity_.push_back({start, values_});
        return place;
    };

    input_ = place_before(0, description.channels, description.height, description.width);
    Place at = input_;
    Stride parameters = 0;
    for (int i = 0; i < count; ++i) {
        const Layer& layer = layers[i];
        if (flatten_[i]) {
            const int features = at.channels * at.height * at.width;
            at = {at.at, features, features, 1, 1, features};
            continue;
        }
        Op op{};
        op.layer = layer, op.index = i, op.in = at;
        if (layer.kind == Kind::linear)
            op.out = place_before(i + 1, 1, 1, layer.out);
        else if (layer.kind == Kind::conv2d || layer.is_pool())
            op.out = place_before(i + 1, layer.kind == Kind::conv2d ? layer.out : at.channels,
                                  layer.windows(at.height), layer.windows(at.width));
        else if (in_place(i))
            op.out = at;
        else
            op.out = place_before(i + 1, at.channels, at.height, at.width);
        if (layer.kind == Kind::max_pool2d)
            op.winners = append(winners_, op.out.channels, op.out.height, op.out.width, 0).at;
        if (layer.has_weights()) {
            op.weight = parameters;
            op.bias = op.weight + Stride(layer.out) * row_size(op);
            parameters = op.bias + layer.out;
        }
        plan_tiles(op);
        ops_.push_back(op);
        at = op.out;
    }
    output_ = at;
    parameters_ = parameters;
    plan_stages();
}

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
        Stage stage{};
        stage.first = first, stage.last = last;
        for (const Stage& below : stages_)
            stage.below_weights |= ops_[below.first].layer.has_weights();
        stage.d_in = stages_.empty() ? 0 : stages_.back().d_out;
        const Place& out = ops_[last].out;
        const int border = static_cast<int>(out.row - out.width) / 2;
        stage.d_out = append(gradients_, out.channels, out.height, out.width, border).at;
        stages_.push_back(stage);

        const Op& op = ops_[first];
        if (op.layer.kind == Kind::conv2d && ops_[last].layer.is_pool())
            rows_ = std::max(rows_, stage.below_weights
                                        ? Stride(op.out.channels) * op.out.height * op.out.width
                                        : Stride(op.dweight_channels) * band(op) * op.out.width);
        if (op.layer.kind == Kind::linear)
            pictures_row_ = std::max(pictures_row_, Stride(op.slot_row));
    }
}

// How many rows of a convolution's output gradient are made at a time: about half of a first-level
// cache, the other half for the input that they meet.
int Program::band(const Op& op) const {
    const std::size_t row = sizeof(float) * lanes * op.out.width * op.dweight_channels;
    return static_cast<int>(std::clamp<std::size_t>(band_bytes / row, 1, op.out.height));
}

int Program::row_size(const Op& op) const {
    const Layer& layer = op.layer;
    return layer.kind == Kind::linear ? layer.in : layer.in * layer.kernel_size * layer.kernel_size;
}

void Program::plan_tiles(Op& op) const {
    const Layer& layer = op.layer;
    if (layer.kind == Kind::conv2d) {
        op.forward_tile[1] =
            kernels.choose_product_tile(layer.out, op.out.width, layer.stride == 1);
        op.dweight_channels = kernels.choose_dweight_tile(convolution(op));
    } else if (layer.kind == Kind::linear) {
        op.slot_row = (layer.in + lanes - 1) / lanes;
        op.dweight_tile = kernels.choose_product_tile(layer.out, op.slot_row, true);
        for (int groups = 1; groups <= most_groups; ++groups) {
            op.forward_tile[groups] = kernels.choose_product_tile(layer.out, groups, false);
            op.dinput_tile[groups] = kernels.choose_product_tile(layer.in, groups, false);
        }
    }
}

void Program::plan_slots() {
    for (Op& op : ops_) {
        if (!op.layer.has_weights()) continue;
        const int row = op.layer.kind == Kind::linear ? op.slot_row : row_size(op);  // vectors
        op.slot_weight = slot_floats_;
        op.slot_bias = op.slot_weight + Stride(op.layer.out) * row * lanes;
        slot_floats_ = op.slot_bias + Stride(op.layer.out) * lanes;
    }
    for (int i = 0; i < static_cast<int>(ops_.size()); ++i) {
        if (!ops_[i].layer.has_weights()) continue;
        const int out = ops_[i].layer.out, rows = std::max(1, 8192 / row_size(ops_[i]));
        for (int first = 0; first < out; first += rows)
            pieces_.push_back({i, first, std::min(rows, out - first)});
    }
}

Convolution Program::convolution(const Op& op) const {
    return {op.layer.in, op.layer.out,  op.layer.kernel_size, op.layer.stride,  op.in.height,
            op.in.width, op.out.height, op.out.width,         op.layer.padding, op.in.plane,
            op.in.row};
}

// --- pictures in -----------------------------------------------------------------------------

Workspace Program::make_workspace(int groups) const {
    Workspace ws;
    const std::size_t vectors = lanes;
    ws.groups = ws.capacity = groups;
    ws.values = Buffer(vectors * values_ * groups);
    ws.gradients = Buffer(vectors * gradients_ * groups);
    ws.winners = Buffer(vectors * winners_ * groups);
    ws.rows = Buffer(vectors * rows_);
    ws.pictures_in_rows = Buffer(vectors * pictures_row_ * lanes * groups);
    for (int group = 0; group < groups; ++group)
        for (auto [first, last] : minus_infinity_)
            std::fill(values(ws, group) + first * lanes, values(ws, group) + last * lanes,
                      -std::numeric_limits<float>::infinity());
    ws.labels.resize(groups * lanes);
    ws.predicted.resize(groups * lanes);
    ws.samples.resize(groups * lanes);
    ws.losses.resize(groups * lanes);
    ws.shares = Buffer(vectors * groups);
    return ws;
}

namespace {

// The picture mirrored, then moved, as a row of the table says; 0 moves in.
void move_picture(const std::uint8_t* from, const std::int8_t* row, const Place& shape,
                  std::uint8_t* to) {
    const int down = row[0], right = row[1];
    for (int c = 0; c < shape.channels; ++c)
        for (int y = 0; y < shape.height; ++y)
            for (int x = 0; x < shape.width; ++x) {
                const int fy = y - down, fx = x - right;
                const bool inside = fy >= 0 && fy < shape.height && fx >= 0 && fx < shape.width;
                const int column = row[2] ? shape.width - 1 - fx : fx;
                *to++ = inside ? from[(Stride(c) * shape.height + fy) * shape.width + column] : 0;
            }
}

}  // namespace

void Program::load(Workspace& ws, const Pictures& pictures, std::int64_t first, int count,
                   const Position& position) const {
    ws.groups = (count + lanes - 1) / lanes;
    ws.position = position;
    const std::size_t size = std::size_t(input_.channels) * input_.height * input_.width;
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
                move_picture(bytes[lane], pictures.augmentation + 3 * i, input_, moved);
                bytes[lane] = moved;
            }
        }
        float* x = values(ws, group) + input_.at * lanes;
        if (pictures.floats)
            kernels.gather_floats(floats.data(), input_.channels, input_.height, input_.width, x,
                                  input_.plane, input_.row);
        else
            kernels.gather_bytes(bytes.data(), table_.data(), input_.channels, input_.height,
                                 input_.width, x, input_.plane, input_.row);
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

void Program::forward(Workspace& ws, const float* weights, const Observer& observe) const {
    auto show = [&](int layer, const Place& place) {
        observe(layer, place);
        while (layer + 1 < static_cast<int>(flatten_.size()) && flatten_[layer + 1])
            observe(++layer, place);
    };
    if (observe) {
        // one whole layer after the other, since the next may write over it
        show(-1, input_);
        for (const Op& op : ops_) {
            if (op.layer.kind == Kind::linear)
                linear_forward(op, ws, weights);
            else
                for (int group = 0; group < ws.groups; ++group)
                    for (int y = 0; y < op.out.height; ++y)
                        row_forward(op, ws, group, weights, 0, op.out.channels, y);
            show(op.index, op.out);
        }
        return;
    }
    // Up to a dense layer each group goes alone, so that what it needs stays in the caches.
    for (std::size_t s = 0, end; s < stages_.size(); s = end) {
        end = s + 1;
        if (is_linear(stages_[s])) {
            linear_forward(ops_[stages_[s].first], ws, weights);
        } else {
            while (end < stages_.size() && !is_linear(stages_[end])) ++end;
        }
        for (int group = 0; group < ws.groups; ++group)
            for (std::size_t t = s; t < end; ++t) stage_forward(stages_[t], ws, group, weights);
    }
}

void Program::stage_forward(const Stage& stage, Workspace& ws, int group,
                            const float* weights) const {
    const Op& head = ops_[stage.first];
    const int block = head.layer.kind == Kind::conv2d ? head.forward_tile[1].m : 1;
    for (int c = 0; c < head.out.channels; c += block) {
        const int channels = std::min(block, head.out.channels - c);
        int pooled = 0;
        for (int y = 0; y < head.out.height; ++y) {
            if (head.layer.kind != Kind::linear)  // those are computed for all groups at once
                row_forward(head, ws, group, weights, c, channels, y);
            for (int i = stage.first + 1; i <= stage.last; ++i) {
                const Op& op = ops_[i];
                if (!op.layer.is_pool()) {
                    row_forward(op, ws, group, weights, c, channels, y);
                    continue;
                }
                // every window whose last row inside the picture is there
                auto last_row = [&](int row) {
                    const int bottom =
                        row * op.layer.stride - op.layer.padding + op.layer.kernel_size - 1;
                    return std::min(bottom, op.in.height - 1);
                };
                while (pooled < op.out.height && last_row(pooled) <= y)
                    row_forward(op, ws, group, weights, c, channels, pooled++);
            }
        }
    }
}

void Program::row_forward(const Op& op, Workspace& ws, int group, const float* weights, int first,
                          int channels, int y) const {
    const Layer& layer = op.layer;
    const float* in = values(ws, group) + op.in.at * lanes;
    float* out = values(ws, group) + op.out.at * lanes;
    if (layer.kind == Kind::conv2d) {
        const int K = layer.kernel_size, row = row_size(op);
        const Stride corner =
            (Stride(y) * layer.stride - layer.padding) * op.in.row - layer.padding;
        Product p{};
        p.m = channels, p.n = op.out.width, p.tile = op.forward_tile[1];
        p.a = weights + op.weight + Stride(first) * row, p.a_row = row;
        p.b = in + corner * lanes, p.b_column = layer.stride;
        p.c = out + (first * op.out.plane + y * op.out.row) * lanes;
        p.c_row = op.out.plane, p.c_column = 1;
        p.bias = weights + op.bias + first;
        p.k[0] = {layer.in, K * K, op.in.plane}, p.k[1] = {K, K, op.in.row}, p.k[2] = {K, 1, 1};
        kernels.product(p);
        return;
    }
    for (int c = first; c < first + channels; ++c) {
        if (layer.is_pool()) {
            auto* winners = reinterpret_cast<std::int32_t*>(ws.winners.data()) +
                            (group * winners_ + op.winners) * lanes;
            kernels.pool_forward(pooling_of(op.layer, op.in, op.out), y,
                                 in + c * op.in.plane * lanes, out + c * op.out.plane * lanes,
                                 winners + Stride(c) * op.out.height * op.out.width * lanes);
            continue;
        }
        const float* x = in + (c * op.in.plane + y * op.in.row) * lanes;
        float* to = out + (c * op.out.plane + y * op.out.row) * lanes;
        if (layer.kind == Kind::dropout && ws.position.training && layer.p > 0)
            kernels.dropout(mask(op, ws, group), (c * op.in.height + y) * op.in.width, x, to,
                            op.in.width);
        else if (layer.kind != Kind::dropout || x != to)
            kernels.activate(layer.activation, x, to, op.in.width);
    }
}

void Program::linear_forward(const Op& op, Workspace& ws, const float* weights) const {
    Product p{};
    p.m = op.layer.out, p.n = ws.groups, p.tile = op.forward_tile[ws.groups];
    p.a = weights + op.weight, p.a_row = op.layer.in;
    p.b = values(ws, 0) + op.in.at * lanes, p.b_column = values_;
    p.c = values(ws, 0) + op.out.at * lanes, p.c_row = 1, p.c_column = values_;
    p.bias = weights + op.bias;
    p.k[0] = p.k[1] = {1, 0, 0}, p.k[2] = {op.layer.in, 1, 1};
    kernels.product(p);
}

DropoutMask Program::mask(const Op& op, const Workspace& ws, int group) const {
    const double dropped = std::ceil(op.layer.p * 4294967296.0);  // hashes below are dropped
    return {ws.position.seed,
            ws.position.epoch,
            static_cast<std::uint32_t>(op.index),
            ws.samples.data() + group * lanes,
            static_cast<std::uint32_t>(dropped - 1),
            static_cast<float>(1 / (1 - op.layer.p))};
}

// --- loss ------------------------------------------------------------------------------------

float* Program::dlogits(const Workspace& ws, int group) const {
    return gradients(ws, group) + stages_.back().d_out * lanes;
}

void Program::loss(Workspace& ws, float label_smoothing, float scale) const {
    for (int group = 0; group < ws.groups; ++group) {
        const int place = group * lanes;
        kernels.softmax_cross_entropy(
            values(ws, group) + output_.at * lanes, &ws.labels[place], classes_, label_smoothing,
            scale, &ws.losses[place], &ws.predicted[place],
            scale != 0 && !stages_.empty() ? dlogits(ws, group) : nullptr);
    }
}

void Program::weighted_loss(Workspace& ws, float label_smoothing,
                            const float* class_weights) const {
    for (int group = 0; group < ws.groups; ++group) {
        const int place = group * lanes;
        kernels.weighted_cross_entropy(
            values(ws, group) + output_.at * lanes, &ws.labels[place], classes_, label_smoothing,
            class_weights, ws.shares.data() + place, &ws.losses[place], &ws.predicted[place],
            stages_.empty() ? nullptr : dlogits(ws, group));
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

void Program::backward(Workspace& ws, const float* weights, float* slot, bool first) const {
    std::size_t lowest = 0;  // nothing below the first weights needs a gradient
    while (lowest < stages_.size() && !ops_[stages_[lowest].first].layer.has_weights()) ++lowest;
    for (std::size_t end = stages_.size(), s; end > lowest; end = s) {
        s = end - 1;
        if (is_linear(stages_[s])) {
            linear_backward(stages_[s], ws, weights, slot, first);
            continue;
        }
        while (s > lowest && !is_linear(stages_[s - 1])) --s;
        for (int group = 0; group < ws.groups; ++group)
            for (std::size_t t = end; t-- > s;)
                stage_backward(stages_[t], ws, group, weights, slot, first && group == 0);
    }
}

void Program::linear_backward(const Stage& stage, Workspace& ws, const float* weights, float* slot,
                              bool first) const {
    const Op& op = ops_[stage.first];
    const int in = op.layer.in, out = op.layer.out;
    for (int group = 0; group < ws.groups; ++group) {
        row_backward(stage, ws, group, 0, 0, gradients(ws, group) + stage.d_out * lanes);
        kernels.transpose(values(ws, group) + op.in.at * lanes, in,
                          ws.pictures_in_rows.data() + Stride(group) * lanes * op.slot_row * lanes,
                          op.slot_row * lanes);
    }
    const float* d = gradients(ws, 0) + stage.d_out * lanes;

    Product dweight{};  // (out, in): the pictures are what is summed over
    dweight.m = out, dweight.n = op.slot_row, dweight.tile = op.dweight_tile;
    dweight.a = d, dweight.a_row = lanes;
    dweight.b = ws.pictures_in_rows.data(), dweight.b_column = 1;
    dweight.c = slot + op.slot_weight, dweight.c_row = op.slot_row, dweight.c_column = 1;
    dweight.accumulate = !first;
    dweight.k[0] = {1, 0, 0};
    dweight.k[1] = {ws.groups, gradients_ * lanes, Stride(lanes) * op.slot_row};
    dweight.k[2] = {lanes, 1, op.slot_row};
    kernels.product(dweight);
    for (int o = 0; o < out; ++o)
        kernels.sum_positions(d + Stride(o) * lanes, gradients_, ws.groups, 1, !first,
                              slot + op.slot_bias + Stride(o) * lanes);
    if (!stage.below_weights) return;

    Product dinput{};
    dinput.m = in, dinput.n = ws.groups, dinput.tile = op.dinput_tile[ws.groups];
    dinput.a = weights + op.weight, dinput.a_row = 1;
    dinput.b = d, dinput.b_column = gradients_;
    dinput.c = gradients(ws, 0) + stage.d_in * lanes;
    dinput.c_row = 1, dinput.c_column = gradients_;
    dinput.k[0] = dinput.k[1] = {1, 0, 0}, dinput.k[2] = {out, in, 1};
    kernels.product(dinput);
}

// The gradient of one row of what the stage's first layer makes (or, where that has no weights,
// takes), from that of the stage's output; d may be that output's own row.
void Program::row_backward(const Stage& stage, Workspace& ws, int group, int c, int y,
                           float* d) const {
    int i = stage.last;
    const Op& last = ops_[i];
    const float* dout = gradients(ws, group) + (stage.d_out + c * last.out.plane) * lanes;
    const auto row = [&](const Op& op) {  // of what the slope of an activation is computed from
        const Place& place = op.layer.activation.slope_needs_input() ? op.in : op.out;
        return values(ws, group) + (place.at + c * place.plane + y * place.row) * lanes;
    };
    if (last.layer.is_pool()) {
        const auto* winners =
            reinterpret_cast<const std::int32_t*>(ws.winners.data()) +
            (group * winners_ + last.winners + Stride(c) * last.out.height * last.out.width) *
                lanes;
        --i;
        const bool fused = i >= stage.first && ops_[i].layer.kind == Kind::activation;
        kernels.pool_backward(pooling_of(last.layer, last.in, last.out), y, dout, winners,
                              fused ? ops_[i].layer.activation : Activation{},
                              fused ? row(ops_[i]) : d, d);
        i -= fused;
    } else if (d != dout + y * last.out.row * lanes) {
        std::memcpy(d, dout + y * last.out.row * lanes, sizeof(float) * lanes * last.out.width);
    }
    for (; i >= stage.first && ops_[i].layer.is_elementwise(); --i) {
        const Op& op = ops_[i];
        if (op.layer.kind != Kind::dropout)
            kernels.activate_backward(op.layer.activation, row(op), d, op.out.width);
        else if (ws.position.training && op.layer.p > 0)
            kernels.dropout(mask(op, ws, group), (c * op.in.height + y) * op.in.width, d, d,
                            op.in.width);
    }
}

void Program::stage_backward(const Stage& stage, Workspace& ws, int group, const float* weights,
                             float* slot, bool first) const {
    const Op& op = ops_[stage.first];
    float* din = gradients(ws, group) + stage.d_in * lanes;
    if (op.layer.kind != Kind::conv2d) {
        for (int c = 0; c < op.in.channels; ++c)
            for (int y = 0; y < op.in.height; ++y)
                row_backward(stage, ws, group, c, y,
                             din + (c * op.in.plane + y * op.in.row) * lanes);
        return;
    }
    // The rows of d, the gradient of the convolution's output, are made a band at a time and used
    // while they are in the first-level cache. They are kept only where the input's gradient
    // needs all of them.
    const Place& out = op.out;
    const bool pooled = ops_[stage.last].layer.is_pool(), keep = stage.below_weights || !pooled;
    const int block = op.dweight_channels, rows = band(op);
    const Place& last = ops_[stage.last].out;
    const Stride d_row = pooled ? out.width : last.row;
    const Stride d_plane = !pooled ? last.plane : Stride(keep ? out.height : rows) * out.width;
    float* all = pooled ? ws.rows.data() : gradients(ws, group) + stage.d_out * lanes;
    const Convolution v = convolution(op);
    const float* x = values(ws, group) + op.in.at * lanes;
    for (int c = 0; c < op.layer.out; c += block) {
        const int channels = std::min(block, op.layer.out - c);
        for (int y = 0; y < out.height; y += rows) {
            const int height = std::min(rows, out.height - y);
            float* d = keep ? all + (c * d_plane + y * d_row) * lanes : all;
            for (int i = 0; i < channels; ++i) {
                for (int r = 0; r < height; ++r)
                    row_backward(stage, ws, group, c + i, y + r,
                                 d + (i * d_plane + r * d_row) * lanes);
                kernels.sum_positions(d + i * d_plane * lanes, d_row, height, out.width,
                                      !first || y > 0, slot + op.slot_bias + Stride(c + i) * lanes);
            }
            kernels.conv2d_dweight(v, d, d_plane, d_row, channels, y, height, x, !first || y > 0,
                                   slot + op.slot_weight + Stride(c) * row_size(op) * lanes);
        }
    }
    if (stage.below_weights)
        kernels.conv2d_dinput(v, all, d_plane, d_row, weights + op.weight, din);
}

// --- the sum over slots ----------------------------------------------------------------------

std::array<Program::Range, 2> Program::sum_slots(const Piece& piece, const float* slots, int count,
                                                 float* gradient) const {
    const Op& op = ops_[piece.op];
    const Stride row = row_size(op);
    const Range weights{op.weight + piece.first * row, piece.rows * row};
    const Range biases{op.bias + piece.first, piece.rows};
    if (op.layer.kind == Kind::linear) {
        for (int r = 0; r < piece.rows; ++r)
            kernels.sum_slots(
                slots + op.slot_weight + Stride(piece.first + r) * op.slot_row * lanes,
                slot_floats_, count, op.layer.in, gradient + weights.first + r * row);
    } else {
        kernels.sum_slots_and_lanes(slots + op.slot_weight + piece.first * row * lanes,
                                    slot_floats_, count, static_cast<int>(weights.count),
                                    gradient + weights.first);
    }
    kernels.sum_slots_and_lanes(slots + op.slot_bias + Stride(piece.first) * lanes, slot_floats_,
                                count, piece.rows, gradient + biases.first);
    return {weights, biases};
}

}  // namespace lenet
