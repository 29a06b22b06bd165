/* The native engine for C, and for every language that calls C: pictures of 8 bits go in, and one
 * thread computes. Also what the page's WebAssembly module exports.
 *
 * A network is said as lenet.engines.native says it: the name of each layer and six numbers,
 *     in, out, kernel_size, stride, padding, argument
 * where a layer has no such number 0 (stride: 1). `argument` is Dropout's p, or an activation's.
 * Parameters are one flat vector of floats, in the order of the layers, weight before bias.
 *
 * Memory is taken when an engine is made and when a batch is larger than any before, and kept.
 * Nothing throws. Where no memory is left, the program ends (a WebAssembly module traps).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LENET_API __attribute__((visibility("default")))
#else
#define LENET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lenet_engine lenet_engine;

/* Numbers that PyTorch's optimisers have. `method`: 0 SGD, 1 Adam, 2 AdamW; `average`: the share of
 * the old average of the weights that a step keeps, 0 for none. */
typedef struct {
    double method, nesterov, momentum, weight_decay, beta1, beta2, eps, average, label_smoothing;
} lenet_optimizer;

/* Which step of a training it is: decides what Dropout drops (docs/randomness.md). */
typedef struct {
    uint32_t seed, epoch, first_sample;
} lenet_position;

/* An engine whose parameters are 0, or NULL: then `why` (where not NULL) points at the reason.
 * input (3,): channels, height, width. names: of all layers, with a space between two. numbers
 * (layers, 6). table (channels, 256): what the first layer sees of each pixel value. */
LENET_API lenet_engine* lenet_make(const int32_t* input, int32_t classes, const char* names,
                                   const double* numbers, const float* table,
                                   const lenet_optimizer* optimizer, const char** why);
LENET_API void lenet_free(lenet_engine* engine);

/* The parameters, to be read and written; call lenet_changed after you wrote. `which`: 0 the
 * weights; 1, 2 the optimiser's moments; 3 the average. NULL where this optimiser has none. */
LENET_API int32_t lenet_parameter_count(const lenet_engine* engine);
LENET_API float* lenet_parameters(lenet_engine* engine, int32_t which);
LENET_API void lenet_changed(lenet_engine* engine);
LENET_API int32_t lenet_step(const lenet_engine* engine); /* steps so far */
LENET_API void lenet_set_step(lenet_engine* engine, int32_t step);

/* The pictures (count, channels, height, width) and their labels (count,), which later calls name
 * by their numbers. The pictures are not copied: they must stay. Returns 0, or -1 where a label is
 * no class: then the engine has no pictures. */
LENET_API int32_t lenet_set_pictures(lenet_engine* engine, const uint8_t* pictures,
                                     const uint8_t* labels, int32_t count);

/* A step for each batch of pictures order[0 … count - 1], the last batch may be short; the mean
 * loss of each batch to losses. Returns how many were right, or -1 where a number is out of range:
 * then nothing was done. */
LENET_API int32_t lenet_train(lenet_engine* engine, const int32_t* order, int32_t count,
                              int32_t batch_size, double learning_rate,
                              const lenet_position* position, double* losses);
/* The mean gradient (parameters,) of one batch and its loss; no step. Returns as lenet_train. */
LENET_API int32_t lenet_gradients(lenet_engine* engine, const int32_t* order, int32_t count,
                                  const lenet_position* position, float* gradient, double* loss);

/* Pictures first … first + count - 1: the mean loss, and confusion (classes, classes), rows the
 * true class. With the average of the weights, where there is one. Returns as lenet_train. */
LENET_API int32_t lenet_evaluate(lenet_engine* engine, int32_t first, int32_t count, double* loss,
                                 int32_t* confusion);

/* Of any pictures (count, channels, height, width): the logits (count, classes); the outputs of
 * every layer, one layer (count, …) after the other, lenet_output_count() · count floats. */
LENET_API void lenet_logits(lenet_engine* engine, const uint8_t* pictures, int32_t count,
                            float* logits);
LENET_API int32_t lenet_output_count(const lenet_engine* engine);
LENET_API void lenet_outputs(lenet_engine* engine, const uint8_t* pictures, int32_t count,
                             float* outputs);

/* Memory for what goes in and out, for callers without their own; NULL where none is left. */
LENET_API void* lenet_allocate(size_t bytes);
LENET_API void lenet_release(void* memory);

#ifdef __cplusplus
}
#endif
