/** Why one class rather than another: what the last layer adds, and ways to look for the place. */

import { arithmetic } from "lenet/network/arithmetic.js";
import { contrast } from "lenet/network/gradient.js";
import { isActivation, isConvolution } from "lenet/network/layers.js";

/**
 * @typedef {import("lenet/network/trace.js").Network} Network
 * @typedef {import("lenet/network/trace.js").TracedLayer} TracedLayer
 * @typedef {import("lenet/network/trace.js").Weights} Weights
 * @typedef {{network: Network, traced: TracedLayer[], weights: Weights, input: Float32Array,
 *   outputs: Float32Array[], gates?: import("lenet/network/forward.js").Gates | null}} Shown
 * @typedef {{unit: number, value: number, weight: number, product: number}} Term
 */

/**
 * z of class `a` less z of class `b` (null: z of `a` alone), as the last layer adds it up: {terms,
 * bias, total}; null where that layer is no sum.
 *
 * A term is a `unit` of the layer before, its `value`, its `weight` (the one less the other) and
 * their `product`; of an RBF layer, whose terms are distances, `weight` is the difference of codes.
 * @param {Shown} shown
 * @param {number} a
 * @param {number | null} b
 */
export function lastTerms({ network, traced, weights, input, outputs }, a, b) {
  const layer = traced.length - 1;
  if (!["Linear", "RBF"].includes(traced[layer].type)) return null;
  const of = (unit) => arithmetic(network, weights, input, outputs, layer, unit, traced);
  const one = of(a);
  const other = b === null ? null : of(b);
  const factors = ({ weights: own, codes }) => own ?? codes;
  /** @type {Term[]} */
  const terms = Array.from(one.inputs, (value, unit) => ({
    unit,
    value,
    weight: factors(one)[unit] - (other ? factors(other)[unit] : 0),
    product: one.products[unit] - (other ? other.products[unit] : 0),
  }));
  const bias = (one.bias ?? 0) - (other?.bias ?? 0);
  return { terms, bias, total: one.total - (other?.total ?? 0) };
}

/**
 * The gradient of z(a) − z(b), as `gradients` gives that of one class: of the input first, then of
 * each layer's output.
 * @param {Shown} shown
 * @param {number} a
 * @param {number | null} b
 * @returns {Float64Array[]}
 */
export function contrastGradients({ network, traced, weights, input, outputs, gates }, a, b) {
  return contrast(network, weights, input, outputs, a, b, { traced, gates });
}

/**
 * A gradient by the normalised picture (c·h·w) as one by its pixels (0 to 1), summed over channels.
 * @param {Network} network
 * @param {Float64Array} slopes
 */
export function byPixel({ input_shape: [channels, height, width], normalization }, slopes) {
  const { deviation } = normalization ?? { deviation: [1] };
  const plane = height * width;
  const found = new Float64Array(plane);
  for (let c = 0; c < channels; c += 1) {
    const d = deviation[c % deviation.length];
    for (let i = 0; i < plane; i += 1) found[i] += slopes[c * plane + i] / d;
  }
  return found;
}

/**
 * Grad-CAM (Selvaraju et al. 2017) at the last convolution, behind its activation: {values, rows,
 * columns, layer, box}; null for a network without one.
 *
 * `values` are max(0, Σ over maps of the map × the mean of its gradient). `box` is where they lie
 * on the picture, {top, left, height, width} in pixels: each number at the middle of what it sees.
 * @param {Shown} shown
 * @param {Float64Array[]} slopes as of `contrastGradients`
 */
export function gradCam({ traced, outputs }, slopes) {
  const convolution = traced.findLastIndex(({ type }) => isConvolution(type));
  if (convolution < 0) return null;
  const layer = isActivation(traced[convolution + 1]?.type) ? convolution + 1 : convolution;
  const { outputShape, receptiveField: field, inputStride, inputOffset } = traced[convolution];
  const [channels, rows, columns] = outputShape;
  const plane = rows * columns;
  const values = new Float64Array(plane);
  for (let c = 0; c < channels; c += 1) {
    const slope = slopes[layer + 1].subarray(c * plane, (c + 1) * plane);
    const mean = slope.reduce((sum, one) => sum + one, 0) / plane;
    for (let i = 0; i < plane; i += 1) values[i] += mean * outputs[layer][c * plane + i];
  }
  const start = (axis) => inputOffset + (field[axis] - inputStride) / 2;
  const box = {
    top: start(0),
    left: start(1),
    height: rows * inputStride,
    width: columns * inputStride,
  };
  return { values: values.map((value) => Math.max(0, value)), rows, columns, layer, box };
}

/**
 * What each cover changes of z(a) − z(b), from the logits (n·classes) of `occlusions`, led by those
 * of the picture as it is.
 * @param {Float32Array} logits
 * @param {number} classes
 * @param {number} a
 * @param {number | null} b
 */
export function contrastChanges(logits, classes, a, b) {
  const of = (i) => logits[i * classes + a] - (b === null ? 0 : logits[i * classes + b]);
  return Float64Array.from({ length: logits.length / classes - 1 }, (_, i) => of(i + 1) - of(0));
}
