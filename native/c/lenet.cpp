// The native engine as lenet.h says. What comes in is checked here, as engines/native.py does for
// Python.
#include "lenet.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <string_view>

#include "../engine.hpp"

namespace lenet {

extern const Kernels kernels_default_4;  // the one table that is linked
static const Kernels& the_kernels = kernels_default_4;

namespace {

constexpr double most_values = 1 << 26;  // of one picture in all layers, and of parameters
constexpr int most_layers = 1000, largest_kernel = 7, numbers_a_layer = 6;

// The numbers of a layer; false where one is no whole number that an int holds.
bool read(const double* numbers, Layer& layer) {
    int* const whole[] = {&layer.in, &layer.out, &layer.kernel_size, &layer.stride, &layer.padding};
    for (int i = 0; i < numbers_a_layer - 1; ++i) {
        if (!(numbers[i] >= 0 && numbers[i] <= most_values) || numbers[i] != std::floor(numbers[i]))
            return false;
        *whole[i] = static_cast<int>(numbers[i]);
    }
    return layer.stride >= 1;
}

// Walks through a network. All that its memory depends on is known to fit where it found nothing.
struct Walk {
    double channels, height, width;
    bool flat = false;
    double outputs = 0, parameters = 0;

    double values() const { return channels * height * width; }

    // What is wrong with the next layer, or null.
    const char* take(const Layer& layer) {
        const bool convolution = layer.kind == Layer::Kind::conv2d;
        if (layer.has_windows()) {
            if (flat) return "a layer with windows stands behind Flatten";
            if (layer.kernel_size < 1) return "a kernel_size is less than 1";
            if (convolution && layer.kernel_size > largest_kernel)
                return "a convolution's kernel_size is larger than 7";
            if (convolution && layer.in != channels)
                return "a convolution has other in_channels than there are";
            if (!convolution && layer.padding > layer.kernel_size / 2)
                return "a pooling's padding is more than half of its kernel_size";
            if (convolution) channels = layer.out;
            for (double* size : {&height, &width}) {
                const double rest = *size + 2.0 * layer.padding - layer.kernel_size;
                if (rest < 0) return "a kernel is larger than its padded input";
                *size = std::floor(rest / layer.stride) + 1;
            }
        } else if (layer.kind == Layer::Kind::flatten) {
            width = values();
            channels = height = 1;
            flat = true;
        } else if (layer.kind == Layer::Kind::linear) {
            if (!flat) return "a Linear layer stands before Flatten";
            if (layer.in != width) return "a Linear layer has other in_features than there are";
            width = layer.out;
        } else if (layer.kind == Layer::Kind::dropout && !(layer.p >= 0 && layer.p <= 1)) {
            return "Dropout's p is not from 0 to 1";
        }
        if (layer.has_weights()) {
            if (layer.out < 1) return "a layer puts out nothing";
            parameters +=
                layer.out *
                (double(layer.in) * (convolution ? layer.kernel_size * layer.kernel_size : 1) + 1);
        }
        // with the border that the next layer may need; the larger of all is bounded, too
        const double border = 2.0 * layer.padding;
        outputs += values();
        if (channels * (height + border) * (width + border) > most_values ||
            outputs > most_values || parameters > most_values)
            return "the network is too large";
        return nullptr;
    }
};

// What is wrong with a network, or null; fills `description`.
const char* describe(const int32_t* input, int32_t classes, std::string_view names,
                     const double* numbers, const float* table, Description& description,
                     double& outputs) {
    for (int i = 0; i < 3; ++i)
        if (input[i] < 1 || input[i] > most_values) return "an input size is out of range";
    Walk walk{.channels = double(input[0]), .height = double(input[1]), .width = double(input[2])};
    if (walk.values() > most_values) return "the pictures are too large";
    if (classes < 2 || classes > 256) return "the classes must be 2 to 256";
    description = {.channels = input[0],
                   .height = input[1],
                   .width = input[2],
                   .classes = classes,
                   .layers = {},
                   .table = std::vector<float>(table, table + input[0] * 256)};
    while (!names.empty()) {
        const std::size_t end = std::min(names.find(' '), names.size());
        Layer layer;
        if (!read(numbers, layer)) return "a layer's number is out of range";
        if (!layer.find(names.substr(0, end), numbers[numbers_a_layer - 1]) || layer.is_of_1998())
            return "a layer has a name that is not known";
        if (const char* why = walk.take(layer)) return why;
        description.layers.push_back(layer);
        if (description.layers.size() > most_layers) return "there are too many layers";
        names.remove_prefix(std::min(end + 1, names.size()));
        numbers += numbers_a_layer;
    }
    if (!walk.flat || walk.width != classes)
        return "the last layer does not put out one number for each class";
    outputs = walk.outputs;
    return nullptr;
}

bool is_share(double x) { return x >= 0 && x <= 1; }

const char* read(const lenet_optimizer& o, Optimizer& optimizer) {
    constexpr Rule::Method methods[] = {Rule::Method::sgd, Rule::Method::adam, Rule::Method::adamw};
    if (o.method != 0 && o.method != 1 && o.method != 2) return "the method is not 0, 1 or 2";
    if (!is_share(o.momentum) || !is_share(o.beta1) || !is_share(o.beta2) || !is_share(o.average) ||
        !is_share(o.label_smoothing))
        return "a number of the optimiser is not from 0 to 1";
    optimizer = {methods[static_cast<int>(o.method)],
                 o.nesterov != 0,
                 o.momentum,
                 o.weight_decay,
                 o.beta1,
                 o.beta2,
                 o.eps,
                 o.average};
    return nullptr;
}

}  // namespace
}  // namespace lenet

using namespace lenet;

struct lenet_engine {
    Engine engine;
    int classes;
    std::int64_t picture_size;      // bytes
    int outputs;                    // floats that all layers put out for a picture
    std::vector<int> output_sizes;  // and each
    Pictures pictures{};
    std::vector<std::int64_t> labels{}, order{};  // as the engine wants them
    std::vector<double> learning_rates{}, losses{};
    std::vector<std::int64_t> confusion{};

    bool has(int32_t first, int32_t count) const {
        return first >= 0 && count >= 0 && first <= pictures.count - count;
    }

    // The pictures that `chosen` names; a count of -1 where one is out of range.
    Pictures pick(const int32_t* chosen, int32_t count) {
        Pictures picked = pictures;
        picked.count = count < 1 ? -1 : count;
        order.assign(chosen, chosen + std::max(count, 0));
        for (std::int64_t i : order)
            if (i < 0 || i >= pictures.count) picked.count = -1;
        picked.order = order.data();
        return picked;
    }

    static Position at(const lenet_position& p) { return {true, p.seed, p.epoch, p.first_sample}; }
};

extern "C" {

lenet_engine* lenet_make(const int32_t* input, int32_t classes, const char* names,
                         const double* numbers, const float* table, const lenet_optimizer* wanted,
                         const char** why) {
    Description description;
    Optimizer optimizer;
    double outputs = 0;
    const char* wrong = describe(input, classes, names, numbers, table, description, outputs);
    if (!wrong) wrong = read(*wanted, optimizer);
    if (why) *why = wrong;
    if (wrong) return nullptr;
    std::vector<int> sizes;
    for (const Place& place : Layout(description, 1, true).outputs)
        sizes.push_back(place.channels * place.height * place.width);
    return new lenet_engine{
        .engine = Engine(description, optimizer, wanted->label_smoothing,
                         -std::numeric_limits<double>::infinity(), {}, 1, the_kernels, the_kernels),
        .classes = classes,
        .picture_size = std::int64_t(input[0]) * input[1] * input[2],
        .outputs = static_cast<int>(outputs),
        .output_sizes = sizes};
}

void lenet_free(lenet_engine* e) { delete e; }

int32_t lenet_parameter_count(const lenet_engine* e) {
    return static_cast<int32_t>(e->engine.parameters.size());
}

float* lenet_parameters(lenet_engine* e, int32_t which) {
    Engine& engine = e->engine;
    std::vector<float>* const all[] = {&engine.parameters, &engine.moment1, &engine.moment2,
                                       &engine.average};
    return which < 0 || which > 3 || all[which]->empty() ? nullptr : all[which]->data();
}

void lenet_changed(lenet_engine* e) { e->engine.changed(); }

int32_t lenet_step(const lenet_engine* e) { return static_cast<int32_t>(e->engine.step); }

void lenet_set_step(lenet_engine* e, int32_t step) { e->engine.step = step; }

int32_t lenet_set_pictures(lenet_engine* e, const uint8_t* pictures, const uint8_t* labels,
                           int32_t count) {
    e->pictures = {};
    for (int32_t i = 0; i < count; ++i)
        if (labels[i] >= e->classes) return -1;
    e->labels.assign(labels, labels + std::max(count, 0));
    e->pictures.bytes = pictures;
    e->pictures.labels = e->labels.data();
    e->pictures.count = std::max(count, 0);
    return 0;
}

int32_t lenet_train(lenet_engine* e, const int32_t* order, int32_t count, int32_t batch_size,
                    double learning_rate, const lenet_position* position, double* losses) {
    const Pictures picked = e->pick(order, count);
    if (picked.count < 0 || batch_size < 1) return -1;
    e->learning_rates.assign((count - 1) / batch_size + 1, learning_rate);
    const std::int64_t right = e->engine.train(picked, batch_size, e->learning_rates.data(),
                                               lenet_engine::at(*position), losses);
    for (int32_t first = 0; first < count; first += batch_size)
        *losses++ /= std::min(batch_size, count - first);
    return static_cast<int32_t>(right);
}

int32_t lenet_gradients(lenet_engine* e, const int32_t* order, int32_t count,
                        const lenet_position* position, float* gradient, double* loss) {
    const Pictures picked = e->pick(order, count);
    if (picked.count < 0) return -1;
    const std::int64_t right =
        e->engine.gradients(picked, lenet_engine::at(*position), gradient, loss);
    *loss /= count;
    return static_cast<int32_t>(right);
}

int32_t lenet_evaluate(lenet_engine* e, int32_t first, int32_t count, double* loss,
                       int32_t* confusion) {
    if (!e->has(first, count) || count < 1) return -1;
    Pictures part = e->pictures;
    part.bytes += first * e->picture_size;
    part.labels += first;
    part.count = count;
    e->losses.assign((count - 1) / Engine::evaluation_chunk + 1, 0);
    e->confusion.assign(e->classes * e->classes, 0);
    e->engine.evaluate(part, e->losses.data(), e->confusion.data());
    *loss = 0;
    for (double chunk : e->losses) *loss += chunk;
    *loss /= count;
    std::copy(e->confusion.begin(), e->confusion.end(), confusion);
    int32_t right = 0;
    for (int c = 0; c < e->classes; ++c) right += confusion[c * (e->classes + 1)];
    return right;
}

void lenet_logits(lenet_engine* e, const uint8_t* pictures, int32_t count, float* logits) {
    Pictures given;
    given.bytes = pictures;
    given.count = count;
    if (count > 0) e->engine.logits(given, logits);
}

int32_t lenet_output_count(const lenet_engine* e) { return e->outputs; }

void lenet_outputs(lenet_engine* e, const uint8_t* pictures, int32_t count, float* outputs) {
    Pictures given;
    given.bytes = pictures;
    given.count = count;
    std::vector<float*> layers;
    for (int size : e->output_sizes) {
        layers.push_back(outputs);
        outputs += std::ptrdiff_t(size) * count;
    }
    if (count > 0) e->engine.activations(given, layers);
}

void* lenet_allocate(size_t bytes) { return std::malloc(bytes); }

void lenet_release(void* memory) { std::free(memory); }

}  // extern "C"
