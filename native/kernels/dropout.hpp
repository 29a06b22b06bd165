// Which units are dropped, by a hash: docs/randomness.md.
#pragma once

#include "vector.hpp"

namespace lenet {
namespace {

template <class T>
INLINE T hash32(T x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

void dropout(const DropoutMask& mask, int first_unit, const float* x, float* y, int count) {
    Bits pictures;
    memcpy(&pictures, mask.samples, sizeof pictures);
    pictures = hash32(hash32(hash32(hash32(mask.seed) ^ mask.epoch) ^ mask.layer) ^ pictures);
    for (int i = 0; i < count; ++i) {
        const Bits drawn = hash32(std::uint32_t(first_unit + i) * 0x9e3779b9u + pictures);
        const Vector scale = drawn <= mask.last_dropped ? Vector{} : splat(mask.scale);
        vectors(y)[i] = vectors(x)[i] * scale;
    }
}

}  // namespace
}  // namespace lenet
