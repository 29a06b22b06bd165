// See kernels.hpp. Compiled for each instruction set with
//   LENET_LANES    floats in a vector
//   LENET_KERNELS  the name of the table at the end; without one nothing is made (in a universal
//                  binary of macOS, for the other processor)
//   LENET_PLAIN    for the plain loops, which say what is meant and are the tests' oracle
//
// Nothing here or in kernels/ may call an inline function of the standard library: the linker keeps
// one copy of such a function for the whole module, and it might keep the one for another
// processor.
#if defined(LENET_KERNELS)
#include "kernels.hpp"

#include "kernels/activations.hpp"
#include "kernels/convolution.hpp"
#include "kernels/dropout.hpp"
#include "kernels/loss.hpp"
#include "kernels/minimal_filtering.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/pictures.hpp"
#include "kernels/pooling.hpp"
#include "kernels/products.hpp"
#include "kernels/radial.hpp"

namespace lenet {
extern const Kernels LENET_KERNELS;
namespace {

// --- for tests and measurements --------------------------------------------------------------

void exponential(const float* x, float* y, int count) {
    for (int i = 0; i < count; ++i) vectors(y)[i] = exp_of(vectors(x)[i]);
}

double multiply_add_flops(int rounds) {
    constexpr int sums = 12;  // enough to hide the time one takes, on every processor so far
    Vector sum[sums], a = splat(0.999f), b = splat(0.5f);
    for (int s = 0; s < sums; ++s) sum[s] = splat(s);  // all different, or one would do for all
    for (int i = 0; i < rounds; ++i) {
    UNROLL for (int s = 0; s < sums; ++s) sum[s] = sum[s] * a + b;
#if defined(__x86_64__)
        __asm__ volatile("" : "+x"(a));  // another a each time, for all that the compiler knows
#elif defined(__aarch64__)
        __asm__ volatile("" : "+w"(a));
#else
        __asm__ volatile("" : "+m"(a));
#endif
    }
    for (int s = 1; s < sums; ++s) sum[0] += sum[s];
    volatile float result = sum[0][0];
    (void)result;
    return 2.0 * lanes * sums * rounds;
}

}  // namespace

#if defined(LENET_PLAIN)
#define FAST_OR_PLAIN(name) name##_plain
#else
#define FAST_OR_PLAIN(name) name
#endif

const Kernels LENET_KERNELS = {
    .lanes = lanes,
    .choose_product_tile = choose_product_tile,
    .product = FAST_OR_PLAIN(product),
    .conv2d_dweight = FAST_OR_PLAIN(conv2d_dweight),
    .choose_dweight_tile = choose_dweight_tile,
    .conv2d_dinput = FAST_OR_PLAIN(conv2d_dinput),
    .choose_filtering = FAST_OR_PLAIN(choose_filtering),
    .filter_input = filter_input,
    .filter_output = filter_output,
    .filter_doutput = filter_doutput,
    .filter_dinput = filter_dinput,
    .filter_weights = filter_weights,
    .filter_dweights = filter_dweights,
    .filter_dpoints = filter_dpoints,
    .pool_forward = FAST_OR_PLAIN(pool_forward),
    .pool_backward = FAST_OR_PLAIN(pool_backward),
    .subsample_dweight = subsample_dweight,
    .rbf_forward = rbf_forward,
    .rbf_backward = rbf_backward,
    .activate = FAST_OR_PLAIN(activate),
    .activate_backward = activate_backward,
    .dropout = dropout,
    .gather_bytes = gather_bytes,
    .gather_floats = gather_floats,
    .scatter_floats = scatter_floats,
    .transpose = FAST_OR_PLAIN(transpose),
    .dot_rows = FAST_OR_PLAIN(dot_rows),
    .softmax_cross_entropy = softmax_cross_entropy,
    .weighted_cross_entropy = weighted_cross_entropy,
    .sum_positions = sum_positions,
    .sum_slots_and_lanes = sum_slots_and_lanes,
    .optimizer_step = optimizer_step,
    .exponential = exponential,
    .multiply_add_flops = multiply_add_flops,
};

}  // namespace lenet
#endif
