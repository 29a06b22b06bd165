// Gradients summed over positions, lanes and slots; the step of the optimiser.
#pragma once

#include <utility>

#include "vector.hpp"

namespace lenet {
namespace {

void sum_positions(const float* d, Stride row, int rows, int columns, bool accumulate, float* sum) {
    Vector part[4] = {};  // four sums at a time: each addition waits for the one before it
    for (int r = 0; r < rows; ++r) {
        const Vector* from = vectors(d) + r * row;
        int c = 0;
        for (; c + 4 <= columns; c += 4) UNROLL for (int i = 0; i < 4; ++i) part[i] += from[c + i];
        for (; c < columns; ++c) part[0] += from[c];
    }
    const Vector all = (part[0] + part[1]) + (part[2] + part[3]);
    vectors(sum)[0] = accumulate ? vectors(sum)[0] + all : all;
}

// In every lane the sum of all: each with that `half` lanes away, then half as far.
template <int half, int... lane>
INLINE Vector sum_of_lanes(Vector x, std::integer_sequence<int, lane...> all) {
    x += __builtin_shufflevector(x, x, (lane ^ half)...);
    if constexpr (half > 1) return sum_of_lanes<half / 2>(x, all);
    return x;
}

void sum_slots_and_lanes(const float* first, Stride slot_floats, int slots, int count,
                         bool accumulate, float* sum) {
    for (int i = 0; i < count; ++i) {
        Vector all = vectors(first)[i];
        for (int s = 1; s < slots; ++s) all += vectors(first + s * slot_floats)[i];
        const float total =
            sum_of_lanes<lanes / 2>(all, std::make_integer_sequence<int, lanes>())[0];
        sum[i] = accumulate ? sum[i] + total : total;
    }
}

// PyTorch's rules, as in engines/numpy.py.
void optimizer_step(const Rule& rule, const float* __restrict gradient, float* __restrict weights,
                    float* __restrict moment1, float* __restrict moment2, float* __restrict average,
                    std::ptrdiff_t count) {
    const float rate = rule.learning_rate, decay = rule.weight_decay;
    if (rule.method == Rule::Method::sgd) {
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            float g = gradient[i] + decay * weights[i];
            if (rule.momentum > 0) {
                moment1[i] = moment1[i] * rule.momentum + g;
                g = rule.nesterov ? g + rule.momentum * moment1[i] : moment1[i];
            }
            weights[i] -= rate * g;
        }
    } else if (rule.method == Rule::Method::sdlm) {
        for (std::ptrdiff_t i = 0; i < count; ++i)
            weights[i] -= rate * (gradient[i] + decay * weights[i]) / (moment1[i] + rule.eps);
    } else {
        const bool decoupled = rule.method == Rule::Method::adamw;
        const float shrink = decoupled ? 1 - rate * decay : 1, coupled = decoupled ? 0 : decay;
        const float step = rate / rule.correction1;
        for (std::ptrdiff_t i = 0; i < count; ++i) {
            const float w = weights[i] * shrink, g = gradient[i] + coupled * weights[i];
            moment1[i] += (1 - rule.beta1) * (g - moment1[i]);
            moment2[i] = moment2[i] * rule.beta2 + (1 - rule.beta2) * g * g;
            const float root = __builtin_sqrtf(moment2[i]) / rule.correction2 + rule.eps;
            weights[i] = w - step * moment1[i] / root;
        }
    }
    if (rule.averaging > 0)
        for (std::ptrdiff_t i = 0; i < count; ++i)
            average[i] += rule.averaging * (weights[i] - average[i]);
}

}  // namespace
}  // namespace lenet
