/** How much each number of the input moves a unit. */

import { scales, switchOff } from "./forward.js";
import { LAYERS, connected } from "./layers.js";
import { trace } from "./trace.js";
import { eachWindow, largest } from "./windows.js";

/**
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {import("./trace.js").Weights} Weights
 */

/**
 * How much each number of the normalised input moves a unit: d target / d input, c·h·w.
 *
 * `target` is a class, or {layer, unit}; `gates` as in `forward`.
 * @param {import("./trace.js").Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number | {layer: number, unit: number}} target
 * @param {{traced?: TracedLayer[], gates?: import("./forward.js").Gates | null}} [options]
 */
export function inputGradient(network, weights, input, outputs, target, options = {}) {
  return Float32Array.from(gradients(network, weights, input, outputs, target, options)[0]);
}

/**
 * The same for every layer's output: d target / d output of layer l at place l + 1, and the
 * input's first; up to the target's layer.
 * @param {import("./trace.js").Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number | {layer: number, unit: number}} target
 * @param {{traced?: TracedLayer[], gates?: import("./forward.js").Gates | null}} [options]
 * @returns {Float64Array[]}
 */
export function gradients(
  network,
  weights,
  input,
  outputs,
  target,
  { traced = trace(network), gates } = {},
) {
  const { layer, unit } =
    typeof target === "number" ? { layer: traced.length - 1, unit: target } : target;
  const dy = new Float64Array(outputs[layer].length);
  dy[unit] = 1;
  return slopesOf(traced, weights, input, outputs, dy, { layer, gates });
}

/**
 * The same for z(a) − z(b), the difference of two classes; for z(a) alone where `b` is null.
 * @param {import("./trace.js").Network} network
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {number} a
 * @param {number | null} b
 * @param {{traced?: TracedLayer[], gates?: import("./forward.js").Gates | null}} [options]
 * @returns {Float64Array[]}
 */
export function contrast(
  network,
  weights,
  input,
  outputs,
  a,
  b,
  { traced = trace(network), gates } = {},
) {
  const dy = new Float64Array(outputs.at(-1).length);
  dy[a] = 1;
  if (b !== null) dy[b] -= 1;
  return slopesOf(traced, weights, input, outputs, dy, { layer: traced.length - 1, gates });
}

/**
 * @param {TracedLayer[]} traced
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {Float64Array} dy
 * @param {{layer: number, gates?: import("./forward.js").Gates | null}} options
 */
function slopesOf(traced, weights, input, outputs, dy, { layer, gates }) {
  /** @type {Float64Array[]} */
  const found = [];
  const visit = (index, _, passed) => (found[index + 1] = passed);
  const rows = traced.slice(0, layer + 1);
  found[0] = goBack(rows, weights, input, outputs, dy, gates, visit);
  return found;
}

/**
 * The gradient of the input, from `dy`, that of what the last of `traced` gives.
 *
 * On the way visit(index, dy, passed, x) is called for each layer, the last first: with the
 * gradient of its output, what of it passes a gate, and the layer's input.
 * @param {TracedLayer[]} traced
 * @param {Weights} weights
 * @param {Float32Array} input
 * @param {Float32Array[]} outputs
 * @param {Float64Array} dy
 * @param {import("./forward.js").Gates | null | undefined} gates
 * @param {(index: number, dy: Float64Array, passed: Float64Array, x: Float32Array) => void} visit
 */
export function goBack(traced, weights, input, outputs, dy, gates, visit) {
  for (let index = traced.length - 1; index >= 0; index -= 1) {
    const passed = dy.slice();
    switchOff(traced[index], gates, passed);
    const x = index === 0 ? input : outputs[index - 1];
    visit(index, dy, passed, x);
    const dx = new Float64Array(x.length);
    backward(traced[index], weights, x, passed, dx);
    dy = dx;
  }
  return dy;
}

/**
 * Adds to dx what dy, the gradient of a layer's output, is as one of its input x.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {Float64Array} dx
 */
function backward(row, weights, x, dy, dx) {
  const { index, type, layer } = row;
  switch (type) {
    case "Conv2d":
      convolveBackward(row, weights, dy, dx);
      break;
    case "AvgPool2d":
    case "Subsample": {
      const scale = scales(row, weights);
      eachWindow(row, (unit, c, window, count) => {
        for (let n = 0; n < count; n += 1) dx[window[n]] += dy[unit] * scale[c];
      });
      break;
    }
    case "MaxPool2d":
      eachWindow(row, (unit, c, window, count) => {
        dx[window[largest(x, window, count)]] += dy[unit];
      });
      break;
    case "Linear":
    case "RBF": {
      const { data } = weights.get(`${index}.${type === "RBF" ? "codes" : "weight"}`);
      for (let o = 0, at = 0; o < dy.length; o += 1) {
        for (let i = 0; i < x.length; i += 1, at += 1) {
          dx[i] += dy[o] * (type === "RBF" ? -2 * (x[i] - data[at]) : data[at]);
        }
      }
      break;
    }
    case "Flatten":
    case "Dropout":
      dx.set(dy);
      break;
    default: {
      const { derivative } = LAYERS.get(type);
      for (let i = 0; i < x.length; i += 1) dx[i] = dy[i] * derivative(x[i], layer);
    }
  }
}

/**
 * Each output's gradient goes back, times the kernel, to the window that made it.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float64Array} dy
 * @param {Float64Array} dx
 */
function convolveBackward({ index, layer, inputShape, outputShape }, weights, dy, dx) {
  const [channels, height, width] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  const weight = weights.get(`${index}.weight`).data;
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
              const its = weight[((o * channels + c) * k + u) * k + v];
              dx[(c * height + y) * width + z] += dy[at] * its;
            }
          }
        }
      }
    }
  }
}
