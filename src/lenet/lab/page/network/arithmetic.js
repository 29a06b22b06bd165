/** How one number of a network came about, and what each number below gave to it. */

import { LAYERS, biasPlace, connected } from "./layers.js";
import { place, unitAt } from "./shapes.js";
import { trace } from "./trace.js";
import { largest } from "./windows.js";

/**
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {import("./shapes.js").Place} Place
 */

/**
 * How one number came about: {kind, layer, unit, position, total, value, …}.
 *
 * `total` is computed anew in float64 from the layer's float32 input, `value` is the float32
 * output. What else there is depends on the kind, the layer's type:
 * - Conv2d: channels: [{channel, kernel, patch, products, sum}], bias
 * - AvgPool2d: window, sum, divisor; Subsample: window, sum, weight, bias
 * - MaxPool2d: window, winners (indices in the window), winner (the first)
 * - an activation: input, formula, derivative
 * - Dropout: input, p; Flatten: input, source (its place on the layer below)
 * - Linear: inputs, weights, products, bias; RBF: inputs, codes, products
 *
 * A patch or window is {channel, top, left, rows, columns, values, inside}; where `inside` is 0 it
 * lies in the padding.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number} layer
 * @param {number} unit
 * @param {TracedLayer[]} [traced]
 * @returns {any}
 */
export function arithmetic(network, weights, input, outputs, layer, unit, traced = trace(network)) {
  const row = traced[layer];
  const x = layer === 0 ? input : outputs[layer - 1];
  const position = place(row.outputShape, unit);
  const about = { kind: row.type, layer, unit, position, value: outputs[layer][unit] };
  return { ...about, ...explain(row, weights, x, unit, position) };
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {number} unit
 * @param {Place} position
 */
function explain(row, weights, x, unit, position) {
  switch (row.type) {
    case "Conv2d":
      return explainConvolution(row, weights, x, position);
    case "AvgPool2d":
    case "Subsample":
      return explainSums(row, weights, x, position);
    case "MaxPool2d":
      return explainLargest(row, x, position);
    case "Linear":
    case "RBF":
      return explainDense(row, weights, x, unit);
    case "Flatten":
      return { input: x[unit], source: place(row.inputShape, unit), total: x[unit] };
    case "Dropout":
      return { input: x[unit], p: row.layer.p, total: x[unit] };
    default: {
      const { formula, value, derivative } = LAYERS.get(row.type);
      return {
        input: x[unit],
        formula: formula(row.layer),
        derivative: derivative(x[unit], row.layer),
        total: value(x[unit], row.layer),
      };
    }
  }
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Place} position
 */
function explainConvolution(row, weights, x, position) {
  const { index, layer, outputShape } = row;
  const { in_channels: inputs, kernel_size: k } = layer;
  const weight = weights.get(`${index}.weight`).data;
  const unit = position.row * outputShape[2] + position.column;
  const bias = weights.get(`${index}.bias`).data[biasPlace(layer, position.channel, unit)];
  const channels = connected(layer, position.channel).map((channel) => {
    const start = (position.channel * inputs + channel) * k * k;
    const values = weight.subarray(start, start + k * k);
    const patch = cut(row, x, channel, position, 0);
    const products = Float64Array.from(values, (w, i) => w * patch.values[i]);
    const kernel = { rows: k, columns: k, values };
    return { channel, kernel, patch, products, sum: add(products) };
  });
  return { channels, bias, total: bias + add(channels.map(({ sum }) => sum)) };
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Place} position
 */
function explainSums(row, weights, x, position) {
  const window = cut(row, x, position.channel, position, 0);
  const sum = add(window.values);
  if (row.type === "AvgPool2d") {
    const divisor = row.layer.kernel_size ** 2;
    return { window, sum, divisor, total: sum / divisor };
  }
  const weight = weights.get(`${row.index}.weight`).data[position.channel];
  const bias = weights.get(`${row.index}.bias`).data[position.channel];
  return { window, sum, weight, bias, total: sum * weight + bias };
}

/**
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @param {Place} position
 */
function explainLargest(row, x, position) {
  const window = cut(row, x, position.channel, position, -Infinity);
  const members = Array.from(window.values.keys()).filter((i) => window.inside[i]);
  const winner = members[largest(window.values, members, members.length)];
  const total = window.values[winner];
  const winners = members.filter((i) => window.values[i] === total || i === winner);
  return { window, winners, winner, total };
}

/**
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {number} unit
 */
function explainDense({ index, type, layer }, weights, x, unit) {
  const ofUnit = (name) => {
    const { data } = weights.get(`${index}.${name}`);
    return data.subarray(unit * layer.in_features, (unit + 1) * layer.in_features);
  };
  if (type === "RBF") {
    const codes = ofUnit("codes");
    const products = Float64Array.from(x, (value, i) => -((value - codes[i]) ** 2));
    return { inputs: x, codes, products, total: add(products) };
  }
  const row = ofUnit("weight");
  const bias = weights.get(`${index}.bias`).data[unit];
  const products = Float64Array.from(x, (value, i) => value * row[i]);
  return { inputs: x, weights: row, products, bias, total: bias + add(products) };
}

/**
 * The window of x (c, h, w) above a position, with `outside` in the padding.
 * @param {TracedLayer} row
 * @param {Float32Array} x
 * @param {number} channel
 * @param {Place} position
 * @param {number} outside
 */
function cut({ layer, inputShape }, x, channel, { row, column }, outside) {
  const [, height, width] = inputShape;
  const { kernel_size: k, stride, padding } = layer;
  const [top, left] = [row * stride - padding, column * stride - padding];
  const values = new Float32Array(k * k).fill(outside);
  const inside = new Uint8Array(k * k);
  for (let u = 0; u < k; u += 1) {
    for (let v = 0; v < k; v += 1) {
      const [i, j] = [top + u, left + v];
      if (i < 0 || i >= height || j < 0 || j >= width) continue;
      values[u * k + v] = x[(channel * height + i) * width + j];
      inside[u * k + v] = 1;
    }
  }
  return { channel, top, left, rows: k, columns: k, values, inside };
}

/**
 * @param {Iterable<number>} numbers
 */
function add(numbers) {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

/**
 * The indices of the numbers by their size |x|, the largest first; at most `count`.
 * @param {ArrayLike<number> & {keys(): Iterable<number>}} numbers
 * @param {number} [count]
 */
export function ranked(numbers, count = numbers.length) {
  const indices = Array.from(numbers.keys());
  return indices.sort((a, b) => Math.abs(numbers[b]) - Math.abs(numbers[a])).slice(0, count);
}

/**
 * What each position of the layer below gave to a unit, the largest |product| first:
 * [{unit, channel, row, column, value, weight, product}]. Nothing of the padding.
 *
 * `weight` is what the value was multiplied by (pooling: 1 / k², or 1 for the winner, which stands
 * alone); null where there is no such number. Layer −1, below the first, is the input picture.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number} layer
 * @param {number} unit
 * @param {TracedLayer[]} [traced]
 * @returns {(Place & {unit: number, value: number, weight: number | null, product: number})[]}
 */
export function contributions(
  network,
  weights,
  input,
  outputs,
  layer,
  unit,
  traced = trace(network),
) {
  const result = arithmetic(network, weights, input, outputs, layer, unit, traced);
  const shape = traced[layer].inputShape;
  const found = pieces(result).map(({ value, weight, product: its, ...where }) => {
    const at = where.unit ?? unitAt(shape, where);
    return { unit: at, ...place(shape, at), value, weight, product: its };
  });
  return ranked(found.map((piece) => piece.product)).map((i) => found[i]);
}

/**
 * The parts of an `arithmetic`: {value, weight, product} with {channel, row, column} or {unit}.
 * @param {any} result
 * @returns {any[]}
 */
function pieces(result) {
  const inWindow = ({ channel, top, left, columns, values, inside }, weight, chosen) =>
    Array.from(values, (value, i) => ({
      index: i,
      channel,
      row: top + Math.floor(i / columns),
      column: left + (i % columns),
      value,
      weight: weight(i),
      product: value * weight(i),
    }))
      .filter(({ index }) => inside[index] && (chosen === undefined || index === chosen))
      .map(({ index, ...piece }) => piece);
  switch (result.kind) {
    case "Conv2d":
      return result.channels.flatMap(({ kernel, patch }) =>
        inWindow(patch, (i) => kernel.values[i]),
      );
    case "AvgPool2d":
      return inWindow(result.window, () => 1 / result.divisor);
    case "Subsample":
      return inWindow(result.window, () => result.weight);
    case "MaxPool2d":
      return inWindow(result.window, () => 1, result.winner);
    case "Linear":
    case "RBF":
      return Array.from(result.inputs, (value, unit) => {
        const weight = result.weights ? result.weights[unit] : null;
        return { unit, value, weight, product: result.products[unit] };
      });
    default:
      return [{ unit: result.unit, value: result.input, weight: null, product: result.total }];
  }
}
