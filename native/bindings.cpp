// lenet._native: the engine as Python sees it, through engines/native.py, which checks what comes
// in. The only file that knows Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <limits>
#include <optional>
#include <stdexcept>

#include "engine.hpp"
#include "processor.hpp"

namespace nb = nanobind;

namespace lenet {

// --- the tables of kernels -------------------------------------------------------------------

extern const Kernels kernels_plain_4;
#if defined(__x86_64__)
extern const Kernels kernels_v2_4, kernels_v3_4, kernels_v3_8, kernels_v4_4, kernels_v4_16;
#else
extern const Kernels kernels_default_4;
#endif

namespace {

struct InstructionSet {
    const char* name;
    const Kernels *few, *many;  // for batches of a few pictures, and for others
    bool supported;
};

#if defined(__APPLE__)
constexpr bool saves_when_used = true;
#else
constexpr bool saves_when_used = false;
#endif

// The best last. "plain" is no instruction set but the loops that say what the others compute.
std::vector<InstructionSet> instruction_sets() {
    std::vector<InstructionSet> all = {{"plain", &kernels_plain_4, &kernels_plain_4, true}};
#if defined(__x86_64__)
    const int level = x86_64_level(processor_registers(), saves_when_used);
#if !defined(LENET_V3_ALONE)  // which CMakeLists.txt defines for ThreadSanitizer
    all.push_back({"x86-64-v2", &kernels_v2_4, &kernels_v2_4, level >= 2});
#endif
    all.push_back({"x86-64-v3", &kernels_v3_4, &kernels_v3_8, level >= 3});
#if !defined(LENET_V3_ALONE)
    all.push_back({"x86-64-v4", &kernels_v4_4, &kernels_v4_16, level >= 4});
#endif
#else
    all.push_back({"default", &kernels_default_4, &kernels_default_4, true});
#endif
    return all;
}

InstructionSet find_instruction_set(const std::string& name) {
    for (const InstructionSet& set : instruction_sets())
        if (set.name == name && set.supported) return set;
    throw std::invalid_argument("this processor has no instruction set " + name);
}

std::vector<std::string> supported_names() {
    std::vector<std::string> names;
    for (const InstructionSet& set : instruction_sets())
        if (set.supported) names.push_back(set.name);
    return names;
}

// --- arrays ----------------------------------------------------------------------------------

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
template <class T>
using OptionalArray = std::optional<Array<T>>;

template <class T>
T* data(const OptionalArray<T>& array) {
    return array ? array->data() : nullptr;
}

// A vector of the engine's as an array that shares its memory.
template <std::vector<float> Engine::* member>
nb::object vector_of(nb::handle_t<Engine> self) {
    std::vector<float>& values = nb::cast<Engine&>(self).*member;
    const std::size_t shape[] = {values.size()};
    return nb::cast(nb::ndarray<nb::numpy, float>(values.data(), 1, shape, self));
}

// Runs without the interpreter's lock; a signal's handler that raises ends it.
template <class Function>
auto without_gil(Function function) {
    try {
        nb::gil_scoped_release release;
        return function();
    } catch (const Interrupted&) {
        throw nb::python_error();
    }
}

// Whether a signal's handler raised. Asked of Python about every 20 ms at most, whoever asks here.
class SignalRaised {
public:
    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - asked_ < std::chrono::milliseconds(20)) return false;
        asked_ = now;
        nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;
    }

private:
    std::chrono::steady_clock::time_point asked_{};
};

using LayerTuple = std::tuple<std::string, int, int, int, int, int, double, double>;

Layer layer_of(const LayerTuple& tuple) {
    const auto& [name, in, out, kernel_size, stride, padding, argument, second] = tuple;
    Layer layer{.in = in,
                .out = out,
                .kernel_size = kernel_size,
                .stride = stride,
                .padding = padding,
                .activation = {}};
    if (!layer.find(name, argument, second))
        throw std::invalid_argument("no layer is named " + name);
    return layer;
}

Optimizer optimizer_of(const std::string& method, bool nesterov,
                       const std::vector<double>& numbers) {
    const Rule::Method rule = method == "sgd"    ? Rule::Method::sgd
                              : method == "adam" ? Rule::Method::adam
                              : method == "sdlm" ? Rule::Method::sdlm
                                                 : Rule::Method::adamw;
    return {
        .method = rule,
        .nesterov = nesterov,
        .momentum = numbers.at(0),
        .weight_decay = numbers.at(1),
        .beta1 = numbers.at(2),
        .beta2 = numbers.at(3),
        .eps = numbers.at(4),
        .average = numbers.at(5),
    };
}

double multiply_add_gflops(const std::string& name, int threads, double seconds) {
    using clock = std::chrono::steady_clock;
    const Kernels& kernels = *find_instruction_set(name).many;
    nb::gil_scoped_release release;
    ThreadPool pool(threads);
    std::vector<double> flops(threads);
    const auto started = clock::now();
    const auto passed = [&] {
        return std::chrono::duration<double>(clock::now() - started).count();
    };
    pool.run(
        threads,
        [&](int i, int) {
            do flops[i] += kernels.multiply_add_flops(100'000);
            while (passed() < seconds);
        },
        [] {});
    double all = 0;
    for (double of_thread : flops) all += of_thread;
    return all / passed() / 1e9;
}

// A kernel on its own, for tests: y = f(x), or the slope there; x and y of any length.
void apply_function(const std::string& name, const std::string& function, double parameter,
                    bool slope, Array<const float> x, Array<float> y, double second) {
    const Kernels& kernels = *find_instruction_set(name).many;
    const int lanes = kernels.lanes;
    const Buffer from(lanes), to(lanes), ones(lanes);
    Activation activation{.parameter = static_cast<float>(parameter),
                          .second = static_cast<float>(second)};
    if (function != "exp" && !activation.find(function)) throw std::invalid_argument(function);
    for (std::size_t start = 0; start < x.size(); start += lanes) {
        const std::size_t count = std::min<std::size_t>(lanes, x.size() - start);
        std::copy_n(x.data() + start, count, from.data());
        if (function == "exp")
            kernels.exponential(from.data(), to.data(), 1);
        else
            kernels.activate(activation, from.data(), to.data(), 1);
        if (slope) {
            std::fill_n(ones.data(), lanes, 1.0f);
            const Buffer& values = activation.slope_needs_input() ? from : to;
            kernels.activate_backward(activation, values.data(), ones.data(), 1);
            std::copy_n(ones.data(), lanes, to.data());
        }
        std::copy_n(to.data(), count, y.data() + start);
    }
}

using Place32 = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

Position position_of(bool training, const Place32& place) {
    const auto [seed, epoch, first_sample] = place;
    return {.training = training, .seed = seed, .epoch = epoch, .first_sample = first_sample};
}

Pictures pictures_of(const Array<const std::uint8_t>& images) {
    Pictures pictures;
    pictures.bytes = images.data();
    pictures.count = static_cast<std::int64_t>(images.shape(0));
    return pictures;
}

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // an engine that lives until the interpreter ends is no leak
    m.def("instruction_sets", supported_names,
          "Those that this processor has, the best last; \"plain\" loops first.");
    m.def(
        "x86_64_level",
        [](std::uint32_t leaf1_ecx, std::uint32_t leaf7_ebx, std::uint32_t extended1_ecx,
           std::uint64_t xcr0, bool saves_when_used) {
            return x86_64_level({leaf1_ecx, leaf7_ebx, extended1_ecx, xcr0}, saves_when_used);
        },
        nb::arg("leaf1_ecx"), nb::arg("leaf7_ebx"), nb::arg("extended1_ecx"), nb::arg("xcr0"),
        nb::arg("saves_when_used") = false,
        "The level, 1 to 4, of an x86-64 processor with these registers; on any processor.");
    m.def("multiply_add_gflops", multiply_add_gflops, nb::arg("instruction_set"),
          nb::arg("threads"), nb::arg("seconds"),
          "The multiply-add rate of registers alone: what no engine can go beyond.");
    m.def("apply_function", apply_function, nb::arg("instruction_set"), nb::arg("function"),
          nb::arg("parameter"), nb::arg("slope"), nb::arg("x"), nb::arg("y"),
          nb::arg("second") = 0.0, "exp or an activation as the kernels compute it, or its slope.");
    m.attr("EVALUATION_CHUNK") = Engine::evaluation_chunk;

    nb::class_<Engine>(m, "Engine")
        .def(
            "__init__",
            [](Engine* self, std::tuple<int, int, int> input_shape, int classes,
               const std::vector<LayerTuple>& layers, Array<const float> table,
               const std::string& method, bool nesterov, const std::vector<double>& numbers,
               double label_smoothing, int threads, const std::string& instruction_set,
               const std::vector<float>& class_weights, double rubbish,
               OptionalArray<const float> codes, OptionalArray<const float> mask) {
                Description description;
                std::tie(description.channels, description.height, description.width) = input_shape;
                description.classes = classes;
                for (const LayerTuple& layer : layers)
                    description.layers.push_back(layer_of(layer));
                description.table.assign(table.data(), table.data() + table.size());
                if (codes) description.codes.assign(codes->data(), codes->data() + codes->size());
                if (mask) description.mask.assign(mask->data(), mask->data() + mask->size());
                const InstructionSet set = find_instruction_set(instruction_set);
                new (self)
                    Engine(description, optimizer_of(method, nesterov, numbers), label_smoothing,
                           rubbish, class_weights, threads, *set.few, *set.many);
                self->interrupted = SignalRaised();
            },
            nb::arg("input_shape"), nb::arg("classes"), nb::arg("layers"), nb::arg("table"),
            nb::arg("method"), nb::arg("nesterov"), nb::arg("numbers"), nb::arg("label_smoothing"),
            nb::arg("threads"), nb::arg("instruction_set"),
            nb::arg("class_weights") = std::vector<float>(),
            nb::arg("rubbish") = -std::numeric_limits<double>::infinity(),
            nb::arg("codes") = nb::none(), nb::arg("mask") = nb::none())
        .def_prop_ro("parameters", vector_of<&Engine::parameters>)
        .def_prop_ro("moment1", vector_of<&Engine::moment1>)
        .def_prop_ro("moment2", vector_of<&Engine::moment2>)
        .def_prop_ro("average", vector_of<&Engine::average>)
        .def_rw("step", &Engine::step)
        .def("changed", &Engine::changed)
        .def(
            "train",
            [](Engine& self, Array<const std::uint8_t> images, Array<const std::int64_t> labels,
               Array<const std::int64_t> order, OptionalArray<const std::int16_t> augmentation,
               std::int64_t batch_size, Array<const double> learning_rates, const Place32& position,
               Array<double> losses, OptionalArray<const float> shares) {
                Pictures pictures = pictures_of(images);
                pictures.labels = labels.data();
                pictures.order = order.data();
                pictures.augmentation = data(augmentation);
                pictures.changes = augmentation ? augmentation->shape(1) : 0;
                pictures.shares = data(shares);
                pictures.count = static_cast<std::int64_t>(order.size());
                return without_gil([&] {
                    return self.train(pictures, batch_size, learning_rates.data(),
                                      position_of(true, position), losses.data());
                });
            },
            nb::arg("images"), nb::arg("labels"), nb::arg("order"), nb::arg("augmentation").none(),
            nb::arg("batch_size"), nb::arg("learning_rates"), nb::arg("position"),
            nb::arg("losses"), nb::arg("shares") = nb::none())
        .def(
            "gradients",
            [](Engine& self, Array<const std::uint8_t> images, Array<const std::int64_t> labels,
               const Place32& position, Array<float> gradient, OptionalArray<const float> shares) {
                Pictures pictures = pictures_of(images);
                pictures.labels = labels.data();
                pictures.shares = data(shares);
                double loss = 0;
                const std::int64_t correct = without_gil([&] {
                    return self.gradients(pictures, position_of(true, position), gradient.data(),
                                          &loss);
                });
                return std::make_tuple(loss, correct);
            },
            nb::arg("images"), nb::arg("labels"), nb::arg("position"), nb::arg("gradient"),
            nb::arg("shares") = nb::none())
        .def("apply",
             [](Engine& self, Array<const float> gradient, double learning_rate) {
                 without_gil([&] { self.apply(gradient.data(), learning_rate); });
             })
        .def("evaluate",
             [](Engine& self, Array<const std::uint8_t> images, Array<const std::int64_t> labels,
                Array<double> losses, Array<std::int64_t> confusion) {
                 Pictures pictures = pictures_of(images);
                 pictures.labels = labels.data();
                 without_gil([&] { self.evaluate(pictures, losses.data(), confusion.data()); });
             })
        .def("logits",
             [](Engine& self, Array<const std::uint8_t> images, Array<float> out) {
                 const Pictures pictures = pictures_of(images);
                 without_gil([&] { self.logits(pictures, out.data()); });
             })
        .def("activations",
             [](Engine& self, Array<const std::uint8_t> images,
                const std::vector<Array<float>>& outputs) {
                 const Pictures pictures = pictures_of(images);
                 std::vector<float*> pointers;
                 for (const Array<float>& output : outputs) pointers.push_back(output.data());
                 without_gil([&] { self.activations(pictures, pointers); });
             })
        .def("forward",
             [](Engine& self, Array<const float> inputs, bool training, const Place32& position,
                Array<float> out) {
                 Pictures pictures;
                 pictures.floats = inputs.data();
                 pictures.count = static_cast<std::int64_t>(inputs.shape(0));
                 without_gil(
                     [&] { self.forward(pictures, position_of(training, position), out.data()); });
             })
        .def("backward", [](Engine& self, Array<const float> dlogits, Array<float> gradient) {
            const auto n = static_cast<std::int64_t>(dlogits.shape(0));
            return without_gil([&] { return self.backward(dlogits.data(), n, gradient.data()); });
        });
}

}  // namespace lenet
