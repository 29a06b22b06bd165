/** Every layer's output for one picture. */

import { LAYERS, biasPlace } from "./layers.js";
import { product, shapeText } from "./shapes.js";
import { trace } from "./trace.js";
import { eachWindow, largest } from "./windows.js";

/**
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {Map<number, Uint8Array>} Gates by their layers: 0 for each channel that is off
 */

/**
 * What the first layer sees, (pixel / 255 − mean) / deviation: c·h·w uint8 → Float32Array.
 * @param {Network} network
 * @param {ArrayLike<number>} pixels
 */
export function normalize(network, pixels) {
  const [channels, height, width] = network.input_shape;
  const { mean, deviation } = network.normalization ?? { mean: [0], deviation: [1] };
  const plane = height * width;
  if (pixels.length !== channels * plane) {
    const wanted = shapeText(network.input_shape);
    throw new Error(`the picture has ${pixels.length} numbers, the network needs ${wanted}`);
  }
  const input = new Float32Array(pixels.length);
  for (let c = 0; c < channels; c += 1) {
    const m = mean[c % mean.length];
    const d = deviation[c % deviation.length];
    for (let i = c * plane; i < (c + 1) * plane; i += 1) input[i] = (pixels[i] / 255 - m) / d;
  }
  return input;
}

/**
 * The output of every layer for one normalised picture: an array of Float32Array.
 *
 * `gates` switches channels off ("what if"): a Map from a layer's index to a Uint8Array with one
 * number for each channel (for each unit, where the output is a vector); at 0 its output becomes 0.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {{traced?: TracedLayer[], gates?: Gates | null}} [options]
 * @returns {Float32Array[]}
 */
export function forward(network, weights, input, { traced = trace(network), gates } = {}) {
  let x = input;
  return traced.map((row) => {
    x = compute(row, weights, x);
    switchOff(row, gates, x);
    return x;
  });
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function compute(row, weights, x) {
  switch (row.type) {
    case "Conv2d":
      return convolve(row, weights, x);
    case "AvgPool2d":
    case "Subsample":
      return poolSums(row, weights, x);
    case "MaxPool2d":
      return poolLargest(row, x);
    case "Linear":
      return multiply(row, weights, x);
    case "RBF":
      return distances(row, weights, x);
    case "Flatten": // the same numbers in the same order
    case "Dropout": // passes everything through, but in training
      return x.slice();
    default:
      return activate(row, x);
  }
}

/**
 * Every kernel on every window: x (in, h, w) → (out, rows, columns).
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function convolve({ index, layer, inputShape, outputShape }, weights, x) {
  const [channels] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, connections } = layer;
  const { padded, height, width } = pad(x, inputShape, layer.padding);
  const weight = weights.get(`${index}.weight`).data; // (out, in, k, k)
  const bias = weights.get(`${index}.bias`).data; // (out), or (out, rows, columns)
  const area = k * k;
  const window = new Float32Array(channels * area); // (in, k, k), one for all positions
  const plane = rows * columns;
  const y = new Float32Array(outputs * plane);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      let n = 0;
      for (let c = 0; c < channels; c += 1) {
        for (let u = 0; u < k; u += 1) {
          const line = (c * height + i * stride + u) * width + j * stride;
          for (let v = 0; v < k; v += 1, n += 1) window[n] = padded[line + v];
        }
      }
      const at = i * columns + j;
      for (let o = 0; o < outputs; o += 1) {
        if (!connections) {
          y[o * plane + at] = bias[biasPlace(layer, o, at)] + dot(weight, o * n, window, 0, n);
          continue;
        }
        let sum = bias[biasPlace(layer, o, at)];
        for (const c of connections[o]) {
          sum += dot(weight, o * n + c * area, window, c * area, area);
        }
        y[o * plane + at] = sum;
      }
    }
  }
  return y;
}

/**
 * The sum of n products, a from place p and b from place q.
 * @param {Float32Array} a
 * @param {number} p
 * @param {Float32Array} b
 * @param {number} q
 * @param {number} n
 */
function dot(a, p, b, q, n) {
  let even = 0; // two sums: an addition waits for the one before it
  let odd = 0;
  let i = 0;
  for (; i + 1 < n; i += 2) {
    even += a[p + i] * b[q + i];
    odd += a[p + i + 1] * b[q + i + 1];
  }
  if (i < n) even += a[p + i] * b[q + i];
  return even + odd;
}

/**
 * x (c, h, w) with zeros around each channel, and the new height and width.
 * @param {Float32Array} x
 * @param {number[]} shape
 * @param {number} padding
 */
function pad(x, [channels, h, w], padding) {
  const height = h + 2 * padding;
  const width = w + 2 * padding;
  if (padding === 0) return { padded: x, height, width };
  const padded = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c += 1) {
    for (let i = 0; i < h; i += 1) {
      const line = x.subarray((c * h + i) * w, (c * h + i + 1) * w);
      padded.set(line, (c * height + i + padding) * width + padding);
    }
  }
  return { padded, height, width };
}

/**
 * Mean pooling, padding counted as zeros; subsampling, sum · weight + bias of the channel.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function poolSums(row, weights, x) {
  const scale = scales(row, weights);
  const bias = weights.get(`${row.index}.bias`)?.data;
  const y = new Float32Array(product(row.outputShape));
  eachWindow(row, (unit, c, window, count) => {
    let sum = 0;
    for (let n = 0; n < count; n += 1) sum += x[window[n]];
    y[unit] = sum * scale[c] + (bias ? bias[c] : 0);
  });
  return y;
}

/**
 * What each channel's sums are multiplied by: 1 / k², or the weights of a Subsample.
 * @param {TracedLayer} row
 * @param {Weights} weights
 */
export function scales({ index, type, layer, outputShape }, weights) {
  if (type === "Subsample") return weights.get(`${index}.weight`).data;
  return new Float64Array(outputShape[0]).fill(1 / layer.kernel_size ** 2);
}

/**
 * The largest number of each window; NaN where there is one, as in the engines.
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function poolLargest(row, x) {
  const y = new Float32Array(product(row.outputShape));
  eachWindow(row, (unit, c, window, count) => {
    y[unit] = x[window[largest(x, window, count)]];
  });
  return y;
}

/**
 * A dense layer: x (in) → weight (out, in) · x + bias (out).
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function multiply({ index, layer }, weights, x) {
  const { in_features: inputs, out_features: outputs } = layer;
  const weight = weights.get(`${index}.weight`).data;
  const bias = weights.get(`${index}.bias`).data;
  const y = new Float32Array(outputs);
  for (let o = 0; o < outputs; o += 1) y[o] = bias[o] + dot(weight, o * inputs, x, 0, inputs);
  return y;
}

/**
 * Minus the squared distance of x (in) to each class's code (out, in).
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function distances({ index, layer }, weights, x) {
  const { in_features: inputs, out_features: outputs } = layer;
  const codes = weights.get(`${index}.codes`).data;
  const y = new Float32Array(outputs);
  for (let o = 0; o < outputs; o += 1) {
    let sum = 0;
    for (let i = 0, at = o * inputs; i < inputs; i += 1, at += 1) sum -= (x[i] - codes[at]) ** 2;
    y[o] = sum;
  }
  return y;
}

/**
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @returns {Float32Array}
 */
function activate({ type, layer }, x) {
  const { value } = LAYERS.get(type);
  const y = new Float32Array(x.length);
  for (let i = 0; i < x.length; i += 1) y[i] = value(x[i], layer);
  return y;
}

/**
 * Zero for each channel of x that its gate switches off, in place.
 * @param {TracedLayer} row
 * @param {Gates | null | undefined} gates
 * @param {Float32Array | Float64Array} x
 */
export function switchOff({ index, outputShape }, gates, x) {
  const gate = gates?.get(index);
  if (!gate) return;
  const plane = x.length / outputShape[0];
  for (let c = 0; c < outputShape[0]; c += 1) {
    if (gate[c] === 0) x.fill(0, c * plane, (c + 1) * plane);
  }
}
