// The 1998 output layer: minus the squared distance to fixed codes.
#pragma once

#include "vector.hpp"

namespace lenet {
namespace {

// y[o] = -Σ (x[i] - codes[o, i])²
void rbf_forward(const float* codes, int in, int out, const float* x, float* y) {
    for (int o = 0; o < out; ++o) {
        Vector sum = Vector{};
        for (int i = 0; i < in; ++i) {
            const Vector away = vectors(x)[i] - *codes++;
            sum += away * away;
        }
        vectors(y)[o] = -sum;
    }
}

// dx[i] = Σ d[o] · 2 (codes[o, i] - x[i])
void rbf_backward(const float* codes, int in, int out, const float* x, const float* d, float* dx) {
    for (int i = 0; i < in; ++i) {
        Vector sum = Vector{};
        for (int o = 0; o < out; ++o)
            sum += vectors(d)[o] * (codes[Stride(o) * in + i] - vectors(x)[i]);
        vectors(dx)[i] = 2.0f * sum;
    }
}

}  // namespace
}  // namespace lenet
