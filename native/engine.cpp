#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "augmentation.hpp"

namespace lenet {

namespace {

constexpr int most_slots = 16;
// That are faster one by one than side by side; at most as many as any table has lanes.
constexpr int few_pictures = 4;
constexpr float no_rubbish = -std::numeric_limits<float>::infinity();

// How a batch is shared out: a function of its size alone, so that sums are the same for any
// number of threads. A chunk goes through the network at once; a slot sums a row of chunks. A large
// batch is done a span after the other, because of each picture of a span something is kept.
struct Split {
    int chunk_pictures, chunks, span_chunks, slots;

    Split(std::int64_t pictures, const Program& program) {
        const int lanes = program.lanes;
        const std::int64_t groups = (pictures + lanes - 1) / lanes;
        const int chunk_groups =
            static_cast<int>(std::clamp<std::int64_t>(groups / 8, 1, Program::most_groups));
        chunk_pictures = chunk_groups * lanes;
        chunks = static_cast<int>((groups + chunk_groups - 1) / chunk_groups);
        span_chunks = std::min(chunks, std::max(1, program.span_pictures() / chunk_pictures));
        slots = std::min(span_chunks, most_slots);
    }
    struct Chunk {
        std::int64_t first;
        int count;
    };
    Chunk chunk(int i, std::int64_t pictures) const {
        const std::int64_t first = std::int64_t(i) * chunk_pictures;
        return {first, static_cast<int>(std::min<std::int64_t>(chunk_pictures, pictures - first))};
    }
    // Of the chunks of a span that begins at chunk `span`.
    int first_chunk(int span, int slot) const {
        return span + std::min(span_chunks, chunks - span) * slot / slots;
    }
};

}  // namespace

struct Engine::Runner {
    Runner(const Description& description, const Kernels& kernels)
        : program(description, kernels),
          filters(program.filter_floats()),
          dfilters(program.filter_floats()) {}

    // All memory is taken before the threads begin.
    void reserve(int workers, int groups) {
        for (Workspace& ws : workspaces)
            if (ws.capacity < groups) ws = program.make_workspace(groups);
        while (static_cast<int>(workspaces.size()) < workers)
            workspaces.push_back(program.make_workspace(groups));
    }
    void reserve_slots(const Split& split) {
        if (slot_count < split.slots) {
            slots = Buffer(program.slot_floats() * split.slots);
            slot_count = split.slots;
        }
        const int groups = split.span_chunks * (split.chunk_pictures / program.lanes);
        if (dense.groups < groups) dense = program.make_dense(groups);
    }
    // To be asked for once for all threads, when the weights have changed.
    Weights weights(const float* flat) const {
        program.filter_weights(flat, filters.data());
        return {flat, filters.data()};
    }
    float* slot(int i) const { return slots.data() + i * program.slot_floats(); }

    const Program program;
    std::vector<Workspace> workspaces;  // one a worker
    Buffer slots;
    int slot_count = 0;
    Dense dense;
    Buffer filters, dfilters;  // kernels of minimal filtering, and their gradients
};

static bool is_of_1998(const Description& description) {
    const auto& layers = description.layers;
    return !description.mask.empty() ||
           std::any_of(layers.begin(), layers.end(),
                       [](const Layer& layer) { return layer.is_of_1998(); });
}

Engine::Engine(const Description& description, const Optimizer& optimizer, double label_smoothing,
               double rubbish, std::vector<float> class_weights, int threads, const Kernels& few,
               const Kernels& many)
    : optimizer_(optimizer),
      label_smoothing_(static_cast<float>(label_smoothing)),
      rubbish_(static_cast<float>(rubbish)),
      class_weights_(std::move(class_weights)),
      classes_(description.classes),
      threads_(threads),
      few_(std::make_unique<Runner>(description, few)),
      many_(&few == &many ? nullptr : std::make_unique<Runner>(description, many)),
      mask_(description.mask),
      has_single_(!is_of_1998(description)),
      single_(has_single_ ? description : Description{}, many),
      evaluated_(single_.packed_floats()) {
    const Stride size = few_->program.parameters();
    parameters.resize(size);
    gradient_.resize(size);
    const bool adam =
        optimizer.method == Rule::Method::adam || optimizer.method == Rule::Method::adamw;
    if (adam || optimizer.method == Rule::Method::sdlm || optimizer.momentum > 0)
        moment1.resize(size);
    if (adam) moment2.resize(size);
    if (optimizer.average > 0) average.resize(size);
}

Engine::~Engine() = default;

Engine::Runner& Engine::runner_for(std::int64_t pictures) {
    return many_ && pictures > few_->program.lanes ? *many_ : *few_;
}

const float* Engine::evaluation_weights() const {
    return average.empty() ? parameters.data() : average.data();
}

// --- threads ---------------------------------------------------------------------------------

void Engine::poll() {
    if (interrupted && !stop_ && interrupted()) stop_ = true;
}

// Whether to go on with a task; asked at the beginning of each.
bool Engine::go_on(int worker) {
    if (worker == 0) poll();
    return !stop_;
}

void Engine::run(int count, const std::function<void(int, int)>& task) {
    threads_.run(count, task, [this] { poll(); });
    end_if_stopped();
}

void Engine::end_if_stopped() const {
#if defined(__cpp_exceptions)
    if (stop_) throw Interrupted();
#endif
}

std::unique_lock<Mutex> Engine::begin() {
    std::unique_lock lock(mutex_);
    stop_ = false;
    return lock;
}

// --- training --------------------------------------------------------------------------------

// One batch to the summed gradient, or (where there is a rule) through the optimiser too.
std::int64_t Engine::batch(const Pictures& pictures, const Position& position, double* loss,
                           const Rule* rule, float* gradient) {
    Runner& runner = runner_for(pictures.count);
    const Program& program = runner.program;
    const Split split(pictures.count, program);
    runner.reserve(threads_.threads, split.chunk_pictures / program.lanes);
    runner.reserve_slots(split);
    const Weights weights = runner.weights(parameters.data());
    losses_.resize(pictures.count);
    std::vector<std::int64_t> right(split.slots);
    const float scale = 1.0f / static_cast<float>(pictures.count);
    const float* class_weights = class_weights_.empty() ? nullptr : class_weights_.data();
    const auto work = [&](const Part& part) {
        Workspace& ws = runner.workspaces[part.worker];
        const auto [first, count] = split.chunk(part.chunk, pictures.count);
        program.load(ws, pictures, first, count, position);
        program.forward(ws, weights, true);
        if (pictures.shares)
            program.weighted_loss(ws, label_smoothing_, rubbish_, class_weights);
        else
            program.loss(ws, label_smoothing_, rubbish_, scale);
        program.backward(ws, weights, part.sums, part.is_first, runner.dense, part.group);
        for (int i = 0; i < count; ++i) {
            losses_[first + i] = ws.losses[i];
            right[part.slot] += ws.predicted[i] == ws.labels[i];
        }
    };
    sum_gradient(runner, pictures.count, work, rule, gradient);
    *loss = mean_loss(pictures);
    std::int64_t correct = 0;
    for (std::int64_t of_slot : right) correct += of_slot;
    return correct;
}

// The gradient of a batch: `work` takes each of its chunks through the network and back. A slot's
// chunks follow each other, on one thread. After each span the dense layers' gradients are added up
// of what it has kept; after the last the slots are summed, and (where there is a rule) the
// optimiser steps: nothing before that changes a weight.
void Engine::sum_gradient(Runner& runner, std::int64_t pictures, const PartTask& work,
                          const Rule* rule, float* gradient) {
    const int lanes = runner.program.lanes;
    const Split split(pictures, runner.program);
    for (int span = 0; span < split.chunks; span += split.span_chunks) {
        run(split.slots, [&](int s, int worker) {
            const int first = split.first_chunk(span, s), end = split.first_chunk(span, s + 1);
            for (int c = first; c < end; ++c) {
                if (!go_on(worker)) return;
                work({.chunk = c,
                      .slot = s,
                      .worker = worker,
                      .sums = runner.slot(s),
                      .is_first = span == 0 && c == first,
                      .group = (c - span) * (split.chunk_pictures / lanes)});
            }
        });
        const auto pictures_before = [&](int chunk) {
            return std::min(pictures, std::int64_t(chunk) * split.chunk_pictures);
        };
        const int end = std::min(split.chunks, span + split.span_chunks);
        const std::int64_t count = pictures_before(end) - pictures_before(span);
        const int groups = static_cast<int>((count + lanes - 1) / lanes);
        reduce(runner, split.slots, groups, span > 0, end == split.chunks, rule, gradient);
    }
}

// The sum of losses_ that `loss` means: weighted by the shares where there are any.
double Engine::mean_loss(const Pictures& pictures) const {
    double loss = 0;
    if (!pictures.shares) {
        for (std::int64_t i = 0; i < pictures.count; ++i) loss += losses_[i];
        return loss;
    }
    for (std::int64_t i = 0; i < pictures.count; ++i)
        loss += double(pictures.shares[i]) * losses_[i];
    return loss * static_cast<double>(pictures.count);
}

// --- training with a few pictures ------------------------------------------------------------

bool Engine::is_few(const Pictures& pictures) const {
    return pictures.count <= few_pictures && has_single_ && single_.has_backward();
}

// Between batches of a few pictures the state stays packed: an optimiser's step asks nothing about
// where a weight lies.
void Engine::pack_state() {
    if (few_state_.current) return;
    few_state_.current = true;
    PackedState& packed = few_state_;
    if (!packed.taken) {
        const std::size_t size = single_.packed_floats();
        packed.parameters = Buffer(size);
        packed.gradient = Buffer(size);
        if (!moment1.empty()) packed.moment1 = Buffer(size);
        if (!moment2.empty()) packed.moment2 = Buffer(size);
        if (!average.empty()) packed.average = Buffer(size);
        packed.taken = true;
    }
    single_.pack(parameters.data(), packed.parameters.data());
    if (!moment1.empty()) single_.pack(moment1.data(), packed.moment1.data());
    if (!moment2.empty()) single_.pack(moment2.data(), packed.moment2.data());
    if (!average.empty()) single_.pack(average.data(), packed.average.data());
}

void Engine::unpack_state() {
    if (!few_state_.current) return;
    few_state_.current = false;
    const PackedState& packed = few_state_;
    single_.unpack(packed.parameters.data(), parameters.data());
    if (!moment1.empty()) single_.unpack(packed.moment1.data(), moment1.data());
    if (!moment2.empty()) single_.unpack(packed.moment2.data(), moment2.data());
    if (!average.empty()) single_.unpack(packed.average.data(), average.data());
}

// One batch, a picture after the other, to the packed gradient, or (where there is a rule) through
// the optimiser too.
std::int64_t Engine::batch_of_few(const Pictures& pictures, double* loss, const Rule* rule) {
    poll();
    end_if_stopped();
    const Kernels& kernels = few_->program.kernels;  // of the loss: a class a vector
    const int lanes = kernels.lanes;
    const float scale = 1.0f / static_cast<float>(pictures.count);
    const float* class_weights = class_weights_.empty() ? nullptr : class_weights_.data();
    const float* packed = few_state_.parameters.data();
    const Buffer logits(std::size_t(classes_) * lanes), d(std::size_t(classes_) * lanes);
    const Buffer shares(lanes);
    std::vector<float> row(classes_), losses(lanes);
    std::vector<std::int64_t> labels(lanes, -1), predicted(lanes);
    losses_.resize(pictures.count);
    std::int64_t correct = 0;
    single_.turn(packed);
    for (std::int64_t i = 0; i < pictures.count; ++i) {
        const std::int64_t source = pictures.order ? pictures.order[i] : i;
        const std::uint8_t* picture = pictures.bytes + source * single_.picture_size();
        if (pictures.augmentation) {
            moved_.resize(single_.picture_size());
            change_picture(picture, pictures.augmentation + i * pictures.changes, pictures.changes,
                           single_.picture_shape(), moved_.data());
            picture = moved_.data();
        }
        single_.forward(picture, packed, row.data());
        for (int c = 0; c < classes_; ++c) logits.data()[c * lanes] = row[c];
        labels[0] = pictures.labels[source];
        if (pictures.shares) {
            shares.data()[0] = pictures.shares[i];
            kernels.weighted_cross_entropy(logits.data(), labels.data(), classes_, label_smoothing_,
                                           rubbish_, class_weights, shares.data(), losses.data(),
                                           predicted.data(), d.data());
        } else {
            kernels.softmax_cross_entropy(logits.data(), labels.data(), classes_, label_smoothing_,
                                          rubbish_, scale, losses.data(), predicted.data(),
                                          d.data());
        }
        losses_[i] = losses[0];
        correct += predicted[0] == labels[0];
        for (int c = 0; c < classes_; ++c) row[c] = d.data()[c * lanes];
        single_.backward(row.data(), packed, i > 0, few_state_.gradient.data());
    }
    *loss = mean_loss(pictures);
    if (rule)
        (many_ ? many_ : few_)
            ->program.kernels.optimizer_step(*rule, few_state_.gradient.data(),
                                             few_state_.parameters.data(),
                                             moment1.empty() ? nullptr : few_state_.moment1.data(),
                                             moment2.empty() ? nullptr : few_state_.moment2.data(),
                                             average.empty() ? nullptr : few_state_.average.data(),
                                             static_cast<Stride>(single_.packed_floats()));
    return correct;
}

// --- the sum over slots ----------------------------------------------------------------------

// A span's part of the dense layers' gradients; after the last span all others too, and the step.
void Engine::reduce(Runner& runner, int slots, int groups, bool accumulate, bool is_last,
                    const Rule* rule, float* gradient) {
    const Program& program = runner.program;
    const auto& pieces = program.pieces();
    const bool whole = !rule || !mask_.empty();  // else a gradient serves for the step alone
    const auto work = [&](int i, int) {
        program.sum_dense(pieces[i], runner.dense, groups, accumulate);
        if (!is_last) return;
        for (const Program::Range& range :
             program.sum_slots(pieces[i], runner.slot(0), slots, runner.dense,
                               runner.dfilters.data(), whole, gradient)) {
            mask_range(gradient, range);
            if (rule) step_range(*rule, range);
        }
    };
    const int count = static_cast<int>(pieces.size());
    if (slots > 1)
        threads_.run(count, work, [] {});  // too short to be interrupted, and a step is whole
    else
        for (int i = 0; i < count; ++i) work(i, 0);
}

void Engine::mask_range(float* gradient, const Program::Range& range) const {
    if (mask_.empty()) return;
    for (Stride i = range.first; i < range.first + range.count; ++i) gradient[i] *= mask_[i];
}

void Engine::step_range(const Rule& rule, const Program::Range& range) {
    const auto at = [&](std::vector<float>& all) {
        return all.empty() ? nullptr : all.data() + range.first;
    };
    few_->program.kernels.optimizer_step(rule, range.gradient, at(parameters), at(moment1),
                                         at(moment2), at(average), range.count);
}

Rule Engine::next_rule(double learning_rate) const {
    const double t = static_cast<double>(step + 1);
    const Optimizer& o = optimizer_;
    const auto single = [](double x) { return static_cast<float>(x); };
    // An average of few steps follows the weights sooner: its first ones are far from where it
    // ends.
    const double kept = std::min(o.average, (1 + t) / (10 + t));
    return {
        .method = o.method,
        .nesterov = o.nesterov,
        .learning_rate = single(learning_rate),
        .momentum = single(o.momentum),
        .weight_decay = single(o.weight_decay),
        .beta1 = single(o.beta1),
        .beta2 = single(o.beta2),
        .eps = single(o.eps),
        .correction1 = single(1 - std::pow(o.beta1, t)),
        .correction2 = single(std::sqrt(1 - std::pow(o.beta2, t))),
        .averaging = o.average > 0 ? single(1 - kept) : 0,
    };
}

std::int64_t Engine::train(const Pictures& pictures, std::int64_t batch_size,
                           const double* learning_rates, Position position, double* losses) {
    const auto lock = begin();
    packed_ = false;
    const struct Unpack {  // at the end, also where the call is interrupted
        Engine& engine;
        ~Unpack() { engine.unpack_state(); }
    } unpack{*this};
    std::int64_t correct = 0;
    const std::uint32_t first_sample = position.first_sample;
    for (std::int64_t first = 0; first < pictures.count; first += batch_size) {
        Pictures part = pictures;
        part.order += first;
        if (part.augmentation) part.augmentation += first * part.changes;
        if (part.shares) part.shares += first;
        part.count = std::min(batch_size, pictures.count - first);
        position.first_sample = first_sample + static_cast<std::uint32_t>(first);
        const Rule rule = next_rule(*learning_rates++);
        if (is_few(part)) {
            pack_state();
            correct += batch_of_few(part, losses++, &rule);
        } else {
            unpack_state();
            correct += batch(part, position, losses++, &rule, gradient_.data());
        }
        ++step;
    }
    return correct;
}

std::int64_t Engine::gradients(const Pictures& pictures, const Position& position, float* gradient,
                               double* loss) {
    const auto lock = begin();
    if (!is_few(pictures)) return batch(pictures, position, loss, nullptr, gradient);
    pack_state();
    few_state_.current = false;  // nothing of it changes
    const std::int64_t correct = batch_of_few(pictures, loss, nullptr);
    single_.unpack(few_state_.gradient.data(), gradient);
    return correct;
}

void Engine::apply(const float* gradient, double learning_rate) {
    const auto lock = begin();
    packed_ = false;
    step_range(next_rule(learning_rate), {0, static_cast<Stride>(parameters.size()), gradient});
    ++step;
}

// --- looking ---------------------------------------------------------------------------------

// task(program, weights, workspace with the pictures loaded, first, count) for each chunk.
void Engine::for_chunks(const Pictures& pictures, const ChunkTask& task) {
    Runner& runner = runner_for(pictures.count);
    const Split split(pictures.count, runner.program);
    runner.reserve(threads_.threads, split.chunk_pictures / runner.program.lanes);
    const Weights weights = runner.weights(evaluation_weights());
    run(split.chunks, [&](int c, int worker) {
        if (!go_on(worker)) return;
        const auto [first, count] = split.chunk(c, pictures.count);
        runner.program.load(runner.workspaces[worker], pictures, first, count, {});
        task(runner.program, weights, runner.workspaces[worker], first, count);
    });
}

void Engine::single_logits(const Pictures& pictures, std::int64_t i, float* out) {
    if (!packed_) single_.pack(evaluation_weights(), evaluated_.data());
    packed_ = true;
    single_.forward(pictures.bytes + i * single_.picture_size(), evaluated_.data(), out);
}

// Losses and classes of a few pictures: their logits beside each other in the lanes, for the same
// kernel that all others go through.
void Engine::single_losses(const Pictures& pictures) {
    const Kernels& kernels = few_->program.kernels;  // with lanes for all of them
    const int lanes = kernels.lanes;
    const Buffer logits(std::size_t(classes_) * lanes);  // (classes,) vectors
    std::vector<float> row(classes_), losses(lanes);
    std::vector<std::int64_t> labels(lanes, -1), predicted(lanes);
    for (std::int64_t i = 0; i < pictures.count; ++i) {
        single_logits(pictures, i, row.data());
        for (int c = 0; c < classes_; ++c) logits.data()[c * lanes + i] = row[c];
        labels[i] = pictures.labels[i];
    }
    kernels.softmax_cross_entropy(logits.data(), labels.data(), classes_, 0, no_rubbish, 0,
                                  losses.data(), predicted.data(), nullptr);
    std::copy_n(losses.data(), pictures.count, losses_.data());
    std::copy_n(predicted.data(), pictures.count, predicted_.data());
}

void Engine::evaluate(const Pictures& pictures, double* losses, std::int64_t* confusion) {
    const auto lock = begin();
    losses_.resize(pictures.count);
    predicted_.resize(pictures.count);
    if (pictures.count <= few_pictures && has_single_) {
        single_losses(pictures);
    } else {
        const auto look = [&](const Program& program, const Weights& weights, Workspace& ws,
                              std::int64_t first, int n) {
            program.forward(ws, weights, false);
            program.loss(ws, 0, no_rubbish, 0);
            std::copy_n(ws.losses.data(), n, losses_.data() + first);
            std::copy_n(ws.predicted.data(), n, predicted_.data() + first);
        };
        for_chunks(pictures, look);
    }
    for (std::int64_t i = 0; i < pictures.count; ++i) {
        losses[i / evaluation_chunk] += losses_[i];
        ++confusion[pictures.labels[i] * classes_ + predicted_[i]];
    }
}

void Engine::logits(const Pictures& pictures, float* out) {
    const auto lock = begin();
    if (pictures.count <= few_pictures && has_single_) {
        for (std::int64_t i = 0; i < pictures.count; ++i)
            single_logits(pictures, i, out + i * classes_);
        return;
    }
    for_chunks(pictures, [&](const Program& program, const Weights& weights, Workspace& ws,
                             std::int64_t first, int count) {
        program.forward(ws, weights, false);
        program.copy_out(ws, program.output(), count, out + first * classes_);
    });
}

void Engine::activations(const Pictures& pictures, const std::vector<float*>& outputs) {
    const auto lock = begin();
    for_chunks(pictures, [&](const Program& program, const Weights& weights, Workspace& ws,
                             std::int64_t first, int count) {
        program.forward_observed(ws, weights, [&](int layer, const Place& place) {
            const Stride size = Stride(place.channels) * place.height * place.width;
            program.copy_out(ws, place, count, outputs[layer] + first * size);
        });
    });
}

// --- forward and backward apart ----------------------------------------------------------------

void Engine::forward(const Pictures& pictures, const Position& position, float* out) {
    const auto lock = begin();
    Runner& runner = runner_for(pictures.count);
    const Program& program = runner.program;
    const Split split(pictures.count, program);
    kept_runner_ = nullptr;  // until all of it is there
    const int groups = split.chunk_pictures / program.lanes;
    if (kept_program_ != &program || kept_groups_ != groups) kept_.clear();
    kept_program_ = &program;
    kept_groups_ = groups;
    while (static_cast<int>(kept_.size()) < split.chunks)
        kept_.push_back(program.make_workspace(groups));
    const Weights weights = runner.weights(parameters.data());
    run(split.chunks, [&](int c, int worker) {
        if (!go_on(worker)) return;
        const auto [first, count] = split.chunk(c, pictures.count);
        program.load(kept_[c], pictures, first, count, position);
        program.forward(kept_[c], weights, true);
        program.copy_out(kept_[c], program.output(), count, out + first * classes_);
    });
    kept_runner_ = &runner;
    kept_count_ = pictures.count;
}

bool Engine::backward(const float* dlogits, std::int64_t count, float* gradient) {
    const auto lock = begin();
    if (!kept_runner_ || kept_count_ != count) return false;
    Runner& runner = *kept_runner_;
    const Split split(count, runner.program);
    runner.reserve_slots(split);
    const Weights weights = runner.weights(parameters.data());
    const auto work = [&](const Part& part) {
        Workspace& ws = kept_[part.chunk];
        const auto [first, pictures] = split.chunk(part.chunk, count);
        runner.program.load_dlogits(ws, dlogits + first * classes_, pictures);
        runner.program.backward(ws, weights, part.sums, part.is_first, runner.dense, part.group);
    };
    sum_gradient(runner, count, work, nullptr, gradient);
    return true;
}

}  // namespace lenet
