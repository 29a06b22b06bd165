// Training and evaluation with several threads. No Python here; bindings.cpp has that.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "program.hpp"
#include "single.hpp"
#include "threads.hpp"

namespace lenet {

struct Optimizer {
    Rule::Method method;
    bool nesterov;
    double momentum, weight_decay, beta1, beta2, eps, average;
};

class Interrupted {};  // thrown where `interrupted` said so; the weights are those of a whole step

// Everything is computed with float32. One call at a time; another one waits.
class Engine {
public:
    // `few` runs batches of no more pictures than it has lanes, `many` all others.
    // `class_weights` has one a class, or none; with any, pictures come with their shares.
    // `rubbish` is the logit of a class that no picture has; minus infinity: there is none.
    Engine(const Description&, const Optimizer&, double label_smoothing, double rubbish,
           std::vector<float> class_weights, int threads, const Kernels& few, const Kernels& many);
    ~Engine();

    // The state: flat vectors in the order of the layers, weight before bias.
    std::vector<float> parameters, moment1, moment2, average;
    std::int64_t step = 0;
    void changed() { packed_ = false; }  // to be called after the weights were written to

    // One step a batch; the loss of each batch to `losses`. Returns how many were right.
    std::int64_t train(const Pictures&, std::int64_t batch_size, const double* learning_rates,
                       Position, double* losses);
    // The mean gradient of one batch, and its loss; returns how many were right.
    std::int64_t gradients(const Pictures&, const Position&, float* gradient, double* loss);
    void apply(const float* gradient, double learning_rate);

    // The loss is summed over every `evaluation_chunk` pictures; confusion is (classes, classes),
    // rows the true class. Both begin at 0.
    static constexpr int evaluation_chunk = 64;
    void evaluate(const Pictures&, double* losses, std::int64_t* confusion);
    void logits(const Pictures&, float* out);                               // (n, classes)
    void activations(const Pictures&, const std::vector<float*>& outputs);  // one (n, …) a layer

    // The logits of a batch, all activations kept; then the gradient of all weights from one of
    // these logits (n, classes). False where no forward of n pictures came before.
    void forward(const Pictures&, const Position&, float* out);
    bool backward(const float* dlogits, std::int64_t n, float* gradient);

    // Asked by the calling thread between its tasks, and about every 20 ms while it waits for the
    // others; true makes the call throw Interrupted. To be set before the first call, and only
    // where there are exceptions.
    std::function<bool()> interrupted;

private:
    struct Runner;  // a program with the memory that its workers need
    using ChunkTask =
        std::function<void(const Program&, const Weights&, Workspace&, std::int64_t, int)>;

    // A chunk of a batch, and where its part of the gradient goes.
    struct Part {
        int chunk, slot, worker;
        float* sums;    // of the slot: added to, unless this chunk is its first
        bool is_first;  // of the slot
        int group;      // of the chunk's first picture, in its span
    };
    using PartTask = std::function<void(const Part&)>;

    Runner& runner_for(std::int64_t pictures);
    const float* evaluation_weights() const;
    std::unique_lock<Mutex> begin();
    void poll();
    bool go_on(int worker);
    void end_if_stopped() const;
    void run(int count, const std::function<void(int, int)>& task);
    void for_chunks(const Pictures&, const ChunkTask&);
    void single_logits(const Pictures&, std::int64_t i, float* out);
    void single_losses(const Pictures&);  // to losses_ and predicted_
    bool is_few(const Pictures& pictures) const;
    void pack_state();
    void unpack_state();
    std::int64_t batch_of_few(const Pictures&, double* loss, const Rule*);
    std::int64_t batch(const Pictures&, const Position&, double* loss, const Rule*,
                       float* gradient);
    double mean_loss(const Pictures&) const;
    void sum_gradient(Runner&, std::int64_t pictures, const PartTask&, const Rule*,
                      float* gradient);
    void reduce(Runner&, int slots, int groups, bool accumulate, bool is_last, const Rule*,
                float* gradient);
    void mask_range(float* gradient, const Program::Range&) const;
    void step_range(const Rule&, const Program::Range&);
    Rule next_rule(double learning_rate) const;

    const Optimizer optimizer_;
    const float label_smoothing_, rubbish_;
    const std::vector<float> class_weights_;
    const int classes_;
    ThreadPool threads_;
    std::unique_ptr<Runner> few_, many_;  // many_ is null where few_ does for all
    const std::vector<float> mask_;
    const bool has_single_;  // whether single_ computes the network
    Single single_;
    Buffer evaluated_;     // the weights that are evaluated, packed for single_
    bool packed_ = false;  // whether evaluated_ has those of now
    // The state and a gradient, packed, while batches of a few pictures train; else memory alone.
    struct PackedState {
        Buffer parameters, moment1, moment2, average, gradient;
        bool taken = false, current = false;
    } few_state_;
    std::vector<std::uint8_t> moved_;  // an augmented picture
    Mutex mutex_;

    std::atomic<bool> stop_{false};

    std::vector<float> gradient_, losses_;  // of a picture each
    std::vector<std::int64_t> predicted_;

    Runner* kept_runner_ = nullptr;          // what forward left for backward; null: nothing
    const Program* kept_program_ = nullptr;  // what kept_ was made for
    int kept_groups_ = 0;
    std::int64_t kept_count_ = 0;
    std::vector<Workspace> kept_;
};

}  // namespace lenet
