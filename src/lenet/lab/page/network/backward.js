/** The way back: from the loss to each unit and each weight, and one step of descent. */

import { forward, scales, switchOff } from "./forward.js";
import { goBack } from "./gradient.js";
import { LAYERS, connected, isIdentity } from "./layers.js";
import { place, product } from "./shapes.js";
import { softmaxArithmetic } from "./softmax.js";
import { trace } from "./trace.js";
import { eachWindow, largest } from "./windows.js";

/**
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {{unit: number, value: number, gradient: number, product: number}} Term
 * @typedef {Map<string, {shape: number[], data: Float64Array}>} Gradients
 */

/**
 * The cross-entropy of logits (n) and the true class: {loss, probabilities, gradient}.
 *
 * `gradient` is d loss / d logits: the probabilities, less 1 at the truth.
 * @param {Float32Array} logits
 * @param {number} label
 */
export function lossOf(logits, label) {
  const { probabilities, shifted, sum } = softmaxArithmetic(logits);
  const gradient = probabilities.map((share, i) => share - (i === label ? 1 : 0));
  return { loss: Math.log(sum) - shifted[label], probabilities, gradient };
}

/**
 * The whole way back for one picture: {loss, probabilities, outputs, input, weights}.
 *
 * `outputs` has d loss / d output of every layer, `input` that of the normalised picture, `weights`
 * that of each parameter by its name, all float64. `gates` as in `forward`; Dropout passes
 * everything, as it does outside training. Throws an Error for a network that ends with RBF, whose
 * loss is another one.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number} label
 * @param {{traced?: TracedLayer[], gates?: import("./forward.js").Gates | null}} [options]
 */
export function backwardPass(
  network,
  weights,
  input,
  outputs,
  label,
  { traced = trace(network), gates } = {},
) {
  if (traced.at(-1).type === "RBF") throw new Error("the loss of RBF outputs is no cross-entropy");
  const { loss, probabilities, gradient } = lossOf(outputs.at(-1), label);
  const byLayer = new Array(traced.length);
  /** @type {Gradients} */
  const byWeight = new Map();
  const visit = (index, dy, passed, x) => {
    byLayer[index] = dy;
    addWeightGradients(traced[index], weights, x, passed, byWeight);
  };
  const dy = goBack(traced, weights, input, outputs, gradient, gates, visit);
  return { loss, probabilities, outputs: byLayer, input: dy, weights: byWeight };
}

/**
 * The weights after one step of gradient descent; those that were given stay as they are, so that
 * to undo it is to take them again. What has no gradient is the same as before.
 * @param {Weights} weights
 * @param {Gradients} gradients
 * @param {number} learningRate
 * @returns {Weights}
 */
export function takeStep(weights, gradients, learningRate) {
  const after = new Map(weights);
  for (const [name, { data: gradient }] of gradients) {
    const { shape, data } = weights.get(name);
    const moved = data.map((weight, i) => weight - Math.fround(learningRate * gradient[i]));
    after.set(name, { shape, data: moved });
  }
  return after;
}

/**
 * One step by hand: {before, after, weights}, the losses on both sides of it and its weights.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {number} label
 * @param {number} learningRate
 */
export function stepByHand(network, weights, input, label, learningRate) {
  const traced = trace(network);
  const outputs = forward(network, weights, input, { traced });
  const pass = backwardPass(network, weights, input, outputs, label, { traced });
  const moved = takeStep(weights, pass.weights, learningRate);
  const logits = forward(network, moved, input, { traced }).at(-1);
  return { before: pass.loss, after: lossOf(logits, label).loss, weights: moved };
}

// --- the gradients of weights -----------------------------------------------------------------

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {Gradients} into
 */
function addWeightGradients(row, weights, x, dy, into) {
  const { index, type } = row;
  const bias = weights.get(`${index}.bias`);
  const weight = weights.get(`${index}.weight`);
  if (!weight) return; // RBF's codes are fixed
  const d = new Float64Array(weight.data.length);
  if (type === "Conv2d") convolutionWeights(row, x, dy, d);
  else if (type === "Linear") {
    for (let o = 0, at = 0; o < dy.length; o += 1) {
      for (let i = 0; i < x.length; i += 1, at += 1) d[at] = dy[o] * x[i];
    }
  } else {
    eachWindow(row, (unit, c, window, count) => {
      for (let n = 0; n < count; n += 1) d[c] += dy[unit] * x[window[n]];
    });
  }
  into.set(`${index}.weight`, { shape: weight.shape, data: d });
  const dBias = new Float64Array(bias.data.length);
  const units = dy.length / dBias.length; // that share a bias: a channel's, or one
  for (let unit = 0; unit < dy.length; unit += 1) dBias[Math.floor(unit / units)] += dy[unit];
  into.set(`${index}.bias`, { shape: bias.shape, data: dBias });
}

/**
 * Adds to d (out, in, k, k) each patch of x times the gradient of the output that it made.
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {Float64Array} d
 */
function convolutionWeights({ layer, inputShape, outputShape }, x, dy, d) {
  const [channels, height, width] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  for (let o = 0, at = 0; o < outputs; o += 1) {
    const everyChannel = connected(layer, o);
    for (let i = 0; i < rows; i += 1) {
      for (let j = 0; j < columns; j += 1, at += 1) {
        if (dy[at] === 0) continue;
        for (const c of everyChannel) {
          for (let u = 0; u < k; u += 1) {
            const y = i * stride - padding + u;
            if (y < 0 || y >= height) continue;
            for (let v = 0; v < k; v += 1) {
              const z = j * stride - padding + v;
              if (z < 0 || z >= width) continue;
              d[((o * channels + c) * k + u) * k + v] += dy[at] * x[(c * height + y) * width + z];
            }
          }
        }
      }
    }
  }
}

// --- how one gradient came about --------------------------------------------------------------

/**
 * How the gradient of one unit came about: {terms, sum}, a term for each unit that it feeds.
 *
 * `layer` is the unit's, −1 for the normalised picture; `gradients` are `outputs` of
 * `backwardPass`. A term has the `unit` of the next layer, its `gradient`, what one of this unit is
 * to it (`value`: a weight, a slope, a share), and their `product`. The last layer feeds the loss
 * alone: it has no terms, its gradient is the probability less the truth.
 * @param {TracedLayer[]} traced
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {Float64Array[]} gradients
 * @param {number} layer
 * @param {number} unit
 * @param {import("./forward.js").Gates | null} [gates]
 * @returns {{terms: Term[], sum: number}}
 */
export function unitTerms(traced, weights, input, outputs, gradients, layer, unit, gates = null) {
  const row = traced[layer + 1];
  if (row === undefined) return { terms: [], sum: gradients[layer][unit] };
  const x = layer < 0 ? input : outputs[layer];
  const dy = gradients[layer + 1].slice();
  switchOff(row, gates, dy);
  /** @type {Term[]} */
  const terms = [];
  const add = (fed, value) =>
    terms.push({ unit: fed, value, gradient: dy[fed], product: value * dy[fed] });
  eachFed(row, weights, x, unit, add);
  return { terms, sum: terms.reduce((all, term) => all + term.product, 0) };
}

/**
 * Calls add(unit of this layer, d of it / d x[unit]) for each that x[unit] feeds.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {number} unit
 * @param {(fed: number, value: number) => void} add
 */
function eachFed(row, weights, x, unit, add) {
  const { index, type, layer, outputShape } = row;
  if (type === "Conv2d") return eachFedByKernels(row, weights, unit, add);
  if (type === "MaxPool2d") {
    return eachWindow(row, (fed, c, window, count) => {
      if (window[largest(x, window, count)] === unit) add(fed, 1);
    });
  }
  if (type === "AvgPool2d" || type === "Subsample") {
    const scale = scales(row, weights);
    return eachWindow(row, (fed, c, window, count) => {
      if (window.subarray(0, count).includes(unit)) add(fed, scale[c]);
    });
  }
  if (type === "Linear" || type === "RBF") {
    const { data } = weights.get(`${index}.${type === "RBF" ? "codes" : "weight"}`);
    for (let o = 0; o < outputShape[0]; o += 1) {
      const weight = data[o * x.length + unit];
      add(o, type === "RBF" ? -2 * (x[unit] - weight) : weight);
    }
    return;
  }
  add(unit, isIdentity(type) ? 1 : LAYERS.get(type).derivative(x[unit], layer));
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {number} unit
 * @param {(fed: number, value: number) => void} add
 */
function eachFedByKernels({ index, layer, inputShape, outputShape }, weights, unit, add) {
  const [channels] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  const weight = weights.get(`${index}.weight`).data;
  const { channel, row, column } = place(inputShape, unit);
  for (let o = 0; o < outputs; o += 1) {
    if (!connected(layer, o).includes(channel)) continue;
    for (let u = 0; u < k; u += 1) {
      const i = (row + padding - u) / stride;
      if (!Number.isInteger(i) || i < 0 || i >= rows) continue;
      for (let v = 0; v < k; v += 1) {
        const j = (column + padding - v) / stride;
        if (!Number.isInteger(j) || j < 0 || j >= columns) continue;
        const its = weight[((o * channels + channel) * k + u) * k + v];
        add((o * rows + i) * columns + j, its);
      }
    }
  }
}

/**
 * How the gradient of one weight or bias came about: {terms, sum}, a term for each position.
 *
 * `at` is the weight's place in its tensor, `dy` the gradient of the layer's output. A term has the
 * `unit` of the output, its `gradient`, what the weight was multiplied by there (`value`: a number
 * of the patch, 0 in the padding; a window's sum; 1 for a bias), and their `product`.
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {"weight" | "bias"} part
 * @param {number} at
 * @returns {{terms: Term[], sum: number}}
 */
export function weightTerms(row, x, dy, part, at) {
  const { type, layer, inputShape, outputShape } = row;
  const [, height, width] = inputShape;
  const plane = product(outputShape.slice(1));
  const columns = outputShape[2];
  const k = layer.kernel_size;
  /** @type {Term[]} */
  const terms = [];
  const add = (unit, value) =>
    terms.push({ unit, value, gradient: dy[unit], product: value * dy[unit] });
  if (part === "bias") {
    const units = layer.bias_size > 1 ? 1 : plane; // that share it
    for (let n = 0; n < units; n += 1) add(at * units + n, 1);
  } else if (type === "Linear") {
    add(Math.floor(at / x.length), x[at % x.length]);
  } else if (type === "Subsample") {
    eachWindow(row, (unit, c, window, count) => {
      if (c === at)
        add(
          unit,
          window.subarray(0, count).reduce((all, n) => all + x[n], 0),
        );
    });
  } else {
    const channel = Math.floor(at / (k * k)) % inputShape[0];
    const output = Math.floor(at / (k * k * inputShape[0]));
    const isLinked = connected(layer, output).includes(channel);
    for (let n = 0; isLinked && n < plane; n += 1) {
      const y = Math.floor(n / columns) * layer.stride - layer.padding + (Math.floor(at / k) % k);
      const z = (n % columns) * layer.stride - layer.padding + (at % k);
      const inside = y >= 0 && y < height && z >= 0 && z < width;
      add(output * plane + n, inside ? x[(channel * height + y) * width + z] : 0);
    }
  }
  return { terms, sum: terms.reduce((all, term) => all + term.product, 0) };
}
