/* Runs native/c/lenet.h on what tests/test_c_interface.py wrote into a folder: FOLDER NAME. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../native/c/lenet.h"

static const char *folder, *name;

static FILE* open_file(const char* what, const char* mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, what);
    FILE* file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void* read_all(const char* what, size_t bytes) {
    void* memory = lenet_allocate(bytes);
    FILE* file = open_file(what, "rb");
    if (fread(memory, 1, bytes, file) != bytes) exit(1);
    fclose(file);
    return memory;
}

static void write_all(const char* what, const void* memory, size_t bytes) {
    FILE* file = open_file(what, "wb");
    fwrite(memory, 1, bytes, file);
    fclose(file);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    folder = argv[1], name = argv[2];

    /* the network, the optimiser and how to train */
    FILE* file = open_file("txt", "r");
    int32_t input[3], classes, layers, n, steps, batch_size, epochs;
    char names[4096];
    lenet_position position;
    lenet_optimizer optimizer;
    double learning_rate, *o = &optimizer.method, numbers[600];
    int read = fscanf(file, "%d %d %d %d %d %d %d %d %d %u %u %lf %4095[^\n]", &input[0], &input[1],
                      &input[2], &classes, &layers, &n, &steps, &batch_size, &epochs,
                      &position.seed, &position.epoch, &learning_rate, names);
    for (int i = 0; i < 9; ++i) read += fscanf(file, "%lf", &o[i]);
    for (int i = 0; i < layers * 6; ++i) read += fscanf(file, "%lf", &numbers[i]);
    fclose(file);
    if (read != 13 + 9 + layers * 6) return 1;
    position.first_sample = 0;

    const char* why = NULL;
    const char* first_name = names + strspn(names, " ");
    float* table = read_all("table", input[0] * 256 * sizeof(float));
    lenet_engine* engine = lenet_make(input, classes, first_name, numbers, table, &optimizer, &why);
    if (!engine) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    const size_t size = lenet_parameter_count(engine) * sizeof(float);
    float* weights = read_all("weights", size);
    memcpy(lenet_parameters(engine, 0), weights, size);
    if (lenet_parameters(engine, 3)) memcpy(lenet_parameters(engine, 3), weights, size);
    lenet_changed(engine);

    const size_t pixels = (size_t)input[0] * input[1] * input[2];
    uint8_t* images = read_all("images", n * pixels);
    uint8_t* labels = read_all("labels", n);
    int32_t* order = read_all("order", steps * sizeof(int32_t));
    if (lenet_set_pictures(engine, images, labels, n)) return 1;

    double loss, evaluated_loss, *losses = malloc(steps * sizeof(double));
    if (lenet_gradients(engine, order, batch_size, &position, weights, &loss) < 0) return 1;
    write_all("gradients", weights, size);
    int32_t right = 0;
    for (int epoch = 0; epoch < epochs; ++epoch, ++position.epoch)
        right = lenet_train(engine, order, steps, batch_size, learning_rate, &position, losses);
    write_all("losses", losses, (steps + batch_size - 1) / batch_size * sizeof(double));
    write_all("trained", lenet_parameters(engine, 0), size);

    float* outputs = malloc(6 * lenet_output_count(engine) * sizeof(float));
    lenet_outputs(engine, images, 6, outputs);
    write_all("outputs", outputs, 6 * lenet_output_count(engine) * sizeof(float));
    lenet_logits(engine, images, 6, outputs);
    write_all("logits", outputs, 6 * classes * sizeof(float));
    int32_t* confusion = malloc(classes * classes * sizeof(int32_t));
    const int32_t found = lenet_evaluate(engine, 2, n - 2, &evaluated_loss, confusion);
    write_all("confusion", confusion, classes * classes * sizeof(int32_t));

    /* what is out of range is refused */
    order[0] = n;
    if (lenet_train(engine, order, 1, 1, 1, &position, losses) != -1) return 1;
    if (lenet_evaluate(engine, n, 1, &evaluated_loss, confusion) != -1) return 1;
    labels[0] = classes;
    if (lenet_set_pictures(engine, images, labels, n) != -1) return 1;

    printf("{\"right\": %d, \"loss\": %.17g, \"step\": %d, ", right, loss, lenet_step(engine));
    printf("\"evaluated\": {\"right\": %d, \"loss\": %.17g}}\n", found, evaluated_loss);
    lenet_free(engine);
    return 0;
}
