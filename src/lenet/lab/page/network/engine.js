/**
 * The native engine in the page: trains a network on pictures of 8 bits, a step in milliseconds.
 *
 * engine.wasm is the same C++ as lenet's engine on a computer (native/c/lenet.h says what it can),
 * with 4 lanes and without threads. It computes while it is called: call it in a worker.
 */

import { product } from "./shapes.js";
import { parameterShapes, trace } from "./trace.js";

/**
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {{seed: number, epoch: number, firstSample: number}} Position decides dropout
 * @typedef {{losses: Float64Array, right: number}} Trained the loss of each batch
 */

/**
 * @typedef {object} Optimizer as lenet.optimization.Optimizer, with its defaults
 * @property {"sgd" | "adam" | "adamw"} [method]
 * @property {boolean} [nesterov]
 * @property {number} [momentum]
 * @property {number} [weightDecay]
 * @property {number} [beta1]
 * @property {number} [beta2]
 * @property {number} [eps]
 * @property {number} [average] the share of the old average of the weights that a step keeps
 * @property {number} [labelSmoothing]
 */

const METHODS = ["sgd", "adam", "adamw"];
const NUMBERS = 6; // of a layer

/** @typedef {Awaited<ReturnType<typeof makeEngine>>} Engine */

/**
 * An engine for a network, with weights of 0. It is freed with its last reference.
 *
 * Throws an Error where the engine cannot compute the network.
 * @param {WebAssembly.Module} module engine.wasm
 * @param {Network} network
 * @param {Optimizer} [optimizer]
 */
export async function makeEngine(module, network, optimizer = {}) {
  const traced = trace(network);
  const { exports: wasm } = /** @type {any} */ (await WebAssembly.instantiate(module, {}));
  wasm._initialize();

  // Memory that grows is moved, so every view of it is made anew.
  const put = (Type, values, at) => new Type(wasm.memory.buffer, at, values.length).set(values);
  const copied = (Type, at, length) => new Type(wasm.memory.buffer, at, length).slice();
  /** `use(at, …)` with as many places in memory as there are sizes in bytes. */
  const withMemory = (sizes, use) => {
    const taken = sizes.map((size) => wasm.lenet_allocate(Math.max(size, 1)));
    try {
      if (taken.includes(0)) throw new Error("there is no memory left for the engine");
      return use(...taken);
    } finally {
      for (const at of taken) wasm.lenet_release(at);
    }
  };
  const count = (result) => {
    if (result < 0) throw new RangeError("a picture or a size is out of range");
    return result;
  };

  const engine = make(wasm, traced, network, optimizer, put, withMemory);
  const shapes = parameterShapes(traced);
  const parameters = wasm.lenet_parameter_count(engine);
  const classes = network.classes.length;
  const pixels = product(network.input_shape);
  let pictures = 0; // where they lie in memory

  /** @returns {Weights} */
  const named = (flat) => {
    let start = 0;
    return new Map(
      [...shapes].map(([name, shape]) => {
        const data = flat.slice(start, (start += product(shape)));
        return [name, { shape, data }];
      }),
    );
  };
  const withOrder = (order, position, sizes, use) =>
    withMemory([order.length * 4, 12, ...sizes], (orderAt, positionAt, ...rest) => {
      const { seed, epoch, firstSample } = position;
      put(Int32Array, order, orderAt);
      put(Uint32Array, [seed, epoch, firstSample], positionAt);
      return use(orderAt, positionAt, ...rest);
    });

  return {
    /** A copy of the weights. */
    weights: () => named(copied(Float32Array, wasm.lenet_parameters(engine, 0), parameters)),

    /**
     * Replaces the weights, and their average where there is one; the optimiser's moments stay.
     * @param {Weights} weights
     */
    setWeights(weights) {
      const average = wasm.lenet_parameters(engine, 3);
      let [at, averageAt] = [wasm.lenet_parameters(engine, 0), average];
      for (const [name, shape] of shapes) {
        const data = weights.get(name)?.data;
        if (data?.length !== product(shape))
          throw new Error(`${name} is not there, or no ${shape}`);
        put(Float32Array, data, at);
        if (average) put(Float32Array, data, averageAt);
        at += data.byteLength;
        averageAt += data.byteLength;
      }
      wasm.lenet_changed(engine);
    },

    /**
     * The pictures (n, channels, height, width) and their classes, which the other calls name by
     * their numbers.
     * @param {Uint8Array} images
     * @param {Uint8Array} labels
     */
    setPictures(images, labels) {
      if (images.length !== labels.length * pixels) {
        throw new Error(`${images.length} bytes are no ${labels.length} pictures of ${pixels}`);
      }
      wasm.lenet_release(pictures);
      pictures = wasm.lenet_allocate(Math.max(images.length, 1));
      if (!pictures) throw new Error("there is no memory left for the pictures");
      put(Uint8Array, images, pictures);
      withMemory([labels.length], (at) => {
        put(Uint8Array, labels, at);
        count(wasm.lenet_set_pictures(engine, pictures, at, labels.length));
      });
    },

    /**
     * A step for each batch of the pictures that `order` names.
     * @param {Int32Array} order
     * @param {{batchSize: number, learningRate: number, position: Position}} how
     * @returns {Trained}
     */
    train(order, { batchSize, learningRate, position }) {
      const steps = Math.ceil(order.length / batchSize);
      return withOrder(order, position, [steps * 8], (at, positionAt, lossesAt) => ({
        right: count(
          wasm.lenet_train(engine, at, order.length, batchSize, learningRate, positionAt, lossesAt),
        ),
        losses: copied(Float64Array, lossesAt, steps),
      }));
    },

    /**
     * The mean gradient of the pictures that `order` names; no step is taken.
     * @param {Int32Array} order
     * @param {Position} position
     * @returns {{gradients: Weights, loss: number, right: number}}
     */
    gradients: (order, position) =>
      withOrder(order, position, [parameters * 4, 8], (at, positionAt, gradientAt, lossAt) => {
        const right = count(
          wasm.lenet_gradients(engine, at, order.length, positionAt, gradientAt, lossAt),
        );
        const [loss] = copied(Float64Array, lossAt, 1);
        return { gradients: named(copied(Float32Array, gradientAt, parameters)), loss, right };
      }),

    /**
     * The mean loss of the pictures from `first` on; confusion (classes, classes), rows the truth.
     * @param {number} first
     * @param {number} n
     */
    evaluate: (first, n) =>
      withMemory([8, classes * classes * 4], (lossAt, confusionAt) => {
        const right = count(wasm.lenet_evaluate(engine, first, n, lossAt, confusionAt));
        const [loss] = copied(Float64Array, lossAt, 1);
        return { right, loss, confusion: copied(Int32Array, confusionAt, classes * classes) };
      }),

    /**
     * The logits (n, classes) of pictures of 8 bits.
     * @param {Uint8Array} images
     * @returns {Float32Array}
     */
    logits(images) {
      const n = Math.floor(images.length / pixels);
      return withMemory([images.length, n * classes * 4], (at, to) => {
        put(Uint8Array, images, at);
        wasm.lenet_logits(engine, at, n, to);
        return copied(Float32Array, to, n * classes);
      });
    },

    /**
     * What each layer puts out for pictures of 8 bits, (n, …) each.
     * @param {Uint8Array} images
     * @returns {Float32Array[]}
     */
    outputs(images) {
      const n = Math.floor(images.length / pixels);
      const sizes = traced.map(({ outputShape }) => n * product(outputShape));
      return withMemory([images.length, n * wasm.lenet_output_count(engine) * 4], (at, to) => {
        put(Uint8Array, images, at);
        wasm.lenet_outputs(engine, at, n, to);
        let start = to;
        return sizes.map((size) => {
          const values = copied(Float32Array, start, size);
          start += size * 4;
          return values;
        });
      });
    },

    /** How many steps were taken. */
    step: () => wasm.lenet_step(engine),
  };
}

/**
 * Where the engine lies that the module made; an Error where it refuses the network.
 * @returns {number}
 */
function make(wasm, traced, network, optimizer, put, withMemory) {
  const names = new TextEncoder().encode(`${traced.map(({ type }) => type).join(" ")}\0`);
  const numbers = traced.flatMap(({ layer }) => numbersOf(layer));
  const table = tableOf(network);
  const settings = settingsOf(optimizer);
  const sizes = [12, names.length, numbers.length * 8, table.byteLength, settings.length * 8, 4];
  return withMemory(sizes, (inputAt, namesAt, numbersAt, tableAt, optimizerAt, whyAt) => {
    put(Int32Array, network.input_shape, inputAt);
    put(Uint8Array, names, namesAt);
    put(Float64Array, numbers, numbersAt);
    put(Float32Array, table, tableAt);
    put(Float64Array, settings, optimizerAt);
    const classes = network.classes.length;
    const places = [namesAt, numbersAt, tableAt, optimizerAt, whyAt];
    const engine = wasm.lenet_make(inputAt, classes, ...places);
    if (engine) return engine;
    const [why] = new Uint32Array(wasm.memory.buffer, whyAt, 1);
    const bytes = new Uint8Array(wasm.memory.buffer, why);
    throw new Error(
      `the engine refuses: ${new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)))}`,
    );
  });
}

/**
 * What the engine is told of a layer besides its name, as _numbers_of in engines/native.py.
 * @param {Layer} layer
 */
function numbersOf({ type, connections, ...layer }) {
  if (connections) throw new Error(`the engine has no ${type} with a table of connections`);
  if (layer.bias_size > 1) throw new Error(`the engine has no ${type} with a bias a unit`);
  const numbers = [
    layer.in_channels ?? layer.in_features ?? 0,
    layer.out_channels ?? layer.out_features ?? 0,
    layer.kernel_size ?? 0,
    layer.stride ?? 1,
    layer.padding ?? 0,
  ];
  const isWeighed = numbers[1] > 0 || numbers[2] > 0;
  const [argument = 0] = isWeighed ? [] : Object.values(layer);
  return [...numbers, argument].slice(0, NUMBERS);
}

/**
 * What the first layer sees of each value of a pixel, (channels, 256).
 * @param {Network} network
 */
function tableOf({ input_shape: [channels], normalization }) {
  const { mean, deviation } = normalization ?? { mean: [0], deviation: [1] };
  return Float32Array.from({ length: channels * 256 }, (_, i) => {
    const channel = Math.floor(i / 256);
    const [m, d] = [mean, deviation].map((values) => values[channel % values.length]);
    return ((i % 256) / 255 - m) / d;
  });
}

/** @param {Optimizer} optimizer */
function settingsOf(optimizer) {
  const method = METHODS.indexOf(optimizer.method ?? "sgd");
  return [
    method,
    optimizer.nesterov ? 1 : 0,
    optimizer.momentum ?? 0,
    optimizer.weightDecay ?? 0,
    optimizer.beta1 ?? 0.9,
    optimizer.beta2 ?? 0.999,
    optimizer.eps ?? 1e-8,
    optimizer.average ?? 0,
    optimizer.labelSmoothing ?? 0,
  ];
}
