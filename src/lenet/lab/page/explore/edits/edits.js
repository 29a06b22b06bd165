/** Changes of a network's weights and channels, each as a copy: what was trained stays as it is. */

import { isElementwise, isPooling, isWeightedSum } from "lenet/network/layers.js";

/**
 * How a layer's weights are to be looked at: {layer, type, name, bias, outputs, inputs, rows,
 * columns, connected(output, input)}; null for a layer without weights of its own to change.
 *
 * A kernel is rows × columns for a pair of an output and an input. A dense layer behind maps is
 * seen as a kernel on each of them; another dense layer as one number for each pair.
 */
export function weightView(traced, layer) {
  const { type, layer: description, inputShape, outputShape } = traced[layer];
  const base = { layer, type, name: `${layer}.weight`, bias: `${layer}.bias` };
  const always = () => true;
  if (type === "Conv2d") {
    const { kernel_size: k, connections } = description;
    const connected = connections ? (o, i) => connections[o].includes(i) : always;
    const [outputs, inputs] = [outputShape[0], inputShape[0]];
    return { ...base, outputs, inputs, rows: k, columns: k, connected };
  }
  if (type === "Subsample") {
    const outputs = outputShape[0];
    return { ...base, outputs, inputs: 1, rows: 1, columns: 1, connected: always };
  }
  if (type !== "Linear") return null;
  const maps = mapsBefore(traced, layer);
  const [inputs, rows, columns] = maps ?? [inputShape[0], 1, 1];
  return { ...base, outputs: outputShape[0], inputs, rows, columns, connected: always };
}

/** The maps (channels, rows, columns) that a dense layer's inputs were before Flatten, or null. */
function mapsBefore(traced, layer) {
  for (let index = layer - 1; index >= 0; index--) {
    const { type, inputShape } = traced[index];
    if (type === "Flatten") return inputShape;
    if (!isElementwise(type)) return null;
  }
  return null;
}

/** The {layer, output} whose weights a unit's number comes from most directly; null if none. */
export function weightsBehind(traced, { layer, channel }) {
  for (let index = layer; index >= 0; index--) {
    const { type, inputShape } = traced[index];
    if (weightView(traced, index)) return { layer: index, output: channel };
    if (type === "Flatten") {
      channel = Math.floor(channel / (inputShape[1] * inputShape[2]));
    } else if (!isElementwise(type) && !isPooling(type)) {
      return null;
    }
  }
  return null;
}

/** Where a kernel begins in its layer's weights. */
export function kernelStart({ inputs, rows, columns }, output, input) {
  return (output * inputs + input) * rows * columns;
}

/** The numbers of one kernel, rows × columns, a copy. */
export function kernelOf(weights, view, output, input) {
  const start = kernelStart(view, output, input);
  return weights.get(view.name).data.slice(start, start + view.rows * view.columns);
}

/** The weights with numbers of one tensor replaced from a place on: a new Map, one new tensor. */
export function withNumbers(weights, name, start, numbers) {
  const tensor = weights.get(name);
  const data = tensor.data.slice();
  data.set(numbers, start);
  return new Map(weights).set(name, { ...tensor, data });
}

/** The weights with `change(kernel, rows, columns)` in the place of an output's kernels. */
export function withKernels(weights, view, output, inputs, change) {
  const tensor = weights.get(view.name);
  const data = tensor.data.slice();
  for (const input of inputs) {
    const start = kernelStart(view, output, input);
    const kernel = data.slice(start, start + view.rows * view.columns);
    data.set(change(kernel, view.rows, view.columns), start);
  }
  return new Map(weights).set(view.name, { ...tensor, data });
}

/** What can be done with a kernel: functions of (kernel, rows, columns) that return a new one. */
export const KERNEL_CHANGES = {
  "flip-horizontally": (kernel, rows, columns) =>
    moved(kernel, rows, columns, (y, x) => [y, columns - 1 - x]),
  "flip-vertically": (kernel, rows, columns) =>
    moved(kernel, rows, columns, (y, x) => [rows - 1 - y, x]),
  // a quarter turn clockwise
  rotate: (kernel, rows, columns) => moved(kernel, rows, columns, (y, x) => [rows - 1 - x, y]),
  blur,
  sharpen: (kernel, rows, columns) => {
    const soft = blur(kernel, rows, columns);
    return kernel.map((value, i) => 2 * value - soft[i]);
  },
  negate: (kernel) => kernel.map((value) => -value),
  zero: (kernel) => new Float32Array(kernel.length),
};

function moved(kernel, rows, columns, from) {
  return kernel.map((_, i) => {
    const [y, x] = from(Math.floor(i / columns), i % columns);
    return kernel[y * columns + x];
  });
}

/** Each number as the mean, weighted 1 2 1 both ways, of itself and the neighbours that it has. */
function blur(kernel, rows, columns) {
  return kernel.map((_, i) => {
    const [y, x] = [Math.floor(i / columns), i % columns];
    let [sum, weight] = [0, 0];
    for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, rows - 1); v++) {
      for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, columns - 1); u++) {
        const share = (v === y ? 2 : 1) * (u === x ? 2 : 1);
        sum += share * kernel[v * columns + u];
        weight += share;
      }
    }
    return sum / weight;
  });
}

/**
 * The layers whose channels or units can be switched off: [{layer, after, stage, channels}].
 *
 * `layer` is where it happens: behind the activation that follows the weights, for only there a
 * zero means "silent" (a sigmoid makes 0.5 of it). `after` is the layer with the weights. The last
 * layer, the classes, is left out.
 */
export function gateable(traced) {
  const found = [];
  for (const { index, type, stage } of traced) {
    if (!isWeightedSum(type)) continue;
    let layer = index;
    while (layer + 1 < traced.length && isElementwise(traced[layer + 1].type)) layer += 1;
    if (layer === traced.length - 1) continue;
    found.push({ layer, after: index, stage, channels: traced[layer].outputShape[0] });
  }
  return found;
}

/** The gates with a layer's replaced; null where nothing is switched off any more. */
export function withGate(gates, layer, gate) {
  const changed = new Map(gates ?? []);
  if (gate.every((open) => open)) changed.delete(layer);
  else changed.set(layer, gate);
  return changed.size > 0 ? changed : null;
}

/** The numbers below `count` that a text like "3, 7, 10-20" names, a Set; null for other texts. */
export function parseNumbers(text, count) {
  const numbers = new Set();
  for (const part of text.split(/[\s,;，、]+/).filter(Boolean)) {
    const match = /^(\d+)(?:[-–−](\d+))?$/.exec(part);
    if (!match) return null;
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (to < from || to >= count) return null;
    for (let i = from; i <= to; i++) numbers.add(i);
  }
  return numbers;
}

/** The numbers as a text that `parseNumbers` reads: "3, 7, 10–20". */
export function showNumbers(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const parts = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (sorted[j + 1] === sorted[j] + 1) j += 1;
    parts.push(j - i > 1 ? `${sorted[i]}–${sorted[j]}` : sorted.slice(i, j + 1).join(", "));
    i = j + 1;
  }
  return parts.join(", ");
}
