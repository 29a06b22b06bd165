// Softmax and cross-entropy.
#pragma once

#include "activations.hpp"

namespace lenet {
namespace {

// The highest logit of each lane, the first NaN before all others, and its class.
UNUSED void highest_logit(const Vector* x, int classes, Vector& highest, Ints& best) {
    highest = x[0];
    best = Ints{};
    for (int c = 1; c < classes; ++c) {
        const Ints better = (x[c] > highest) | ((x[c] != x[c]) & (highest == highest));
        highest = better ? x[c] : highest;
        best = better ? c - Ints{} : best;
    }
}

// exp(rubbish - highest), where `highest` becomes the highest with rubbish; 0 where there is none.
INLINE Vector rubbish_share(float rubbish, Vector& highest) {
    if (rubbish == -__builtin_inff()) return Vector{};
    highest = at_least(highest, splat(rubbish));
    return exp_below_89(splat(rubbish) - highest);
}

void softmax_cross_entropy(const float* logits, const std::int64_t* labels, int classes,
                           float label_smoothing, float rubbish, float scale, float* losses,
                           std::int64_t* predicted, float* d) {
    const Vector* x = vectors(logits);
    Ints label, best;
    for (int lane = 0; lane < lanes; ++lane) label[lane] = int(labels[lane]);
    Vector highest, sum = Vector{}, shifted_sum = Vector{}, at_label = Vector{};
    highest_logit(x, classes, highest, best);
    const Vector more = rubbish_share(rubbish, highest);
    for (int c = 0; c < classes; ++c) {
        const Vector shifted = x[c] - highest, e = exp_below_89(shifted);
        sum += e;
        shifted_sum += shifted;
        at_label = label == c ? shifted : at_label;
        if (d) vectors(d)[c] = e;
    }
    sum += more;
    for (int lane = 0; lane < lanes; ++lane) {
        float loss = logf(sum[lane]) - (1 - label_smoothing) * at_label[lane];
        if (label_smoothing > 0) loss -= label_smoothing / classes * shifted_sum[lane];
        losses[lane] = loss;
        predicted[lane] = best[lane];
    }
    if (!d) return;
    const Vector share = 1.0f / sum;
    for (int c = 0; c < classes; ++c) {
        const Vector target = label == c ? splat(1 - label_smoothing) : Vector{};
        const Vector g = vectors(d)[c] * share - (target + label_smoothing / classes);
        vectors(d)[c] = label < 0 ? Vector{} : g * scale;
    }
}

void weighted_cross_entropy(const float* logits, const std::int64_t* labels, int classes,
                            float label_smoothing, float rubbish, const float* class_weights,
                            const float* scales, float* losses, std::int64_t* predicted, float* d) {
    const Vector* x = vectors(logits);
    Ints label, best;
    for (int lane = 0; lane < lanes; ++lane) label[lane] = int(labels[lane]);
    Vector highest, sum = Vector{}, all = Vector{}, at_target = Vector{};
    highest_logit(x, classes, highest, best);
    const Vector more = rubbish_share(rubbish, highest);
    const auto target = [&](int c) {
        const Vector plain = label == c ? splat(1 - label_smoothing) : Vector{};
        return (class_weights ? class_weights[c] : 1.0f) * (plain + label_smoothing / classes);
    };
    for (int c = 0; c < classes; ++c) {
        const Vector shifted = x[c] - highest, e = exp_below_89(shifted), t = target(c);
        sum += e;
        all += t;
        // a class without a part in the target must not add 0 · infinity
        at_target += t > 0.0f ? t * shifted : Vector{};
        if (d) vectors(d)[c] = e;
    }
    sum += more;
    for (int lane = 0; lane < lanes; ++lane) {
        losses[lane] = all[lane] * logf(sum[lane]) - at_target[lane];
        predicted[lane] = best[lane];
    }
    if (!d) return;
    const Vector share = all / sum, scale = vectors(scales)[0];
    for (int c = 0; c < classes; ++c) {
        const Vector g = vectors(d)[c] * share - target(c);
        vectors(d)[c] = label < 0 ? Vector{} : g * scale;
    }
}

}  // namespace
}  // namespace lenet
