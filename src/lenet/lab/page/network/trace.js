/** What follows from a network's description, layer by layer: shapes, parameters, costs, fields. */

import { checkHead, complete } from "./description.js";
import { connectionCount, isDense, isPooling, isWindowed, LAYERS } from "./layers.js";
import { product, shapeText } from "./shapes.js";

/**
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {{mean: number[], deviation: number[]}} Normalization of pixels from 0 to 1
 */

/**
 * @typedef {object} Network as lenet.network.architecture.to_dict describes it
 * @property {string} name
 * @property {number[]} input_shape channels, height, width
 * @property {Layer[]} layers
 * @property {string[]} classes
 * @property {Normalization} [normalization]
 */

/**
 * @typedef {object} TracedLayer
 * @property {number} index
 * @property {string} type
 * @property {Layer} layer with every default filled in
 * @property {string} stage "C1", "S2" …, "" for layers that are no stage
 * @property {number[]} inputShape
 * @property {number[]} outputShape
 * @property {number} parameters
 * @property {string} parameterFormula
 * @property {string} sizeFormula
 * @property {number} macs
 * @property {number} connections as the 1998 paper counts
 * @property {number[]} receptiveField rows and columns of the picture
 * @property {number} inputStride
 * @property {number} inputOffset
 */

/**
 * @typedef {Map<string, {shape: number[], data: Float32Array}>} Weights by their names: "0.weight"
 */

/**
 * Each layer of a network as lenet.network.architecture.trace gives it.
 *
 * Throws an Error, with the layer's number, where a layer does not fit what comes before it.
 * @param {Network} network
 * @returns {TracedLayer[]}
 */
export function trace(network) {
  checkHead(network);
  const [, height, width] = network.input_shape;
  let shape = network.input_shape;
  let field = [1, 1];
  let jump = 1;
  let offset = 0;
  let seen = [height, width]; // of the picture, that the whole output depends on
  let stages = 0;
  const rows = network.layers.map((description, index) => {
    const layer = complete(index, description);
    const { type } = layer;
    const output = outputShape(index, layer, shape);
    if (isWindowed(type)) {
      field = field.map((size) => size + (layer.kernel_size - 1) * jump);
      offset -= layer.padding * jump;
      jump *= layer.stride;
      // windows that do not divide the size leave its last rows and columns out
      const ends = output.slice(1).map((n, axis) => offset + (n - 1) * jump + field[axis]);
      seen = seen.map((size, axis) => Math.max(0, Math.min(size, ends[axis])));
    } else if (isDense(type)) {
      [field, jump, offset] = [seen, 1, 0];
    }
    const { letter } = LAYERS.get(type);
    if (letter) stages += 1;
    const row = {
      index,
      type,
      layer,
      stage: letter ? `${letter}${stages}` : "",
      inputShape: shape,
      outputShape: output,
      ...parametersOf(layer),
      ...costs(layer, output),
      sizeFormula: sizeFormula(layer, shape, output),
      receptiveField: field,
      inputStride: jump,
      inputOffset: offset,
    };
    shape = output;
    return row;
  });
  if (shape.length !== 1 || shape[0] !== network.classes.length) {
    throw new Error(
      `the network ends with shape ${shapeText(shape)}, but has ${network.classes.length} `
        + `classes; end it with Linear(…, ${network.classes.length})`,
    );
  }
  return rows;
}

/**
 * The shape of every parameter by its name, in the order of the layers: a Map.
 * @param {TracedLayer[]} traced
 * @returns {Map<string, number[]>}
 */
export function parameterShapes(traced) {
  const shapes = new Map();
  for (const { index, type, layer } of traced) {
    const [i, o, k] = [layer.in_channels, layer.out_channels, layer.kernel_size];
    if (type === "Conv2d") {
      const units = layer.bias_size === 1 ? [] : [layer.bias_size, layer.bias_size];
      shapes.set(`${index}.weight`, [o, i, k, k]).set(`${index}.bias`, [o, ...units]);
    }
    if (type === "Linear") {
      shapes.set(`${index}.weight`, [layer.out_features, layer.in_features]);
      shapes.set(`${index}.bias`, [layer.out_features]);
    }
    if (type === "Subsample") {
      shapes.set(`${index}.weight`, [layer.channels]).set(`${index}.bias`, [layer.channels]);
    }
  }
  return shapes;
}

/**
 * The shape that leaves a layer; an Error where `shape` cannot enter it.
 * @param {number} index
 * @param {Layer} layer
 * @param {number[]} shape
 * @returns {number[]}
 */
function outputShape(index, layer, shape) {
  const { type, kernel_size: kernel, padding, stride } = layer;
  const misfit = (expected) =>
    new Error(
      `layer ${index} (${type}) expects ${expected}, but its input has shape ${shapeText(shape)}`,
    );
  if (type === "Flatten" || isWindowed(type)) {
    if (shape.length !== 3) throw misfit("channels×height×width");
  }
  if (type === "Flatten") return [product(shape)];
  if (isDense(type)) {
    if (shape.length !== 1 || shape[0] !== layer.in_features) {
      throw misfit(`a vector of ${layer.in_features}`);
    }
    return [layer.out_features];
  }
  if (!isWindowed(type)) return shape;
  const channels = { Conv2d: layer.in_channels, Subsample: layer.channels }[type] ?? shape[0];
  if (shape[0] !== channels) throw misfit(`${channels}×height×width`);
  if (Math.min(shape[1], shape[2]) + 2 * padding < kernel) {
    const smallest = kernel - 2 * padding;
    throw misfit(`at least ${smallest}×${smallest} for its ${kernel}×${kernel} window`);
  }
  const windows = (size) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const sizes = [windows(shape[1]), windows(shape[2])];
  const own = layer.bias_size ?? 1;
  if (own !== 1 && sizes.some((size) => size !== own)) {
    throw new Error(
      `layer ${index} (${type}) has biases for ${own}×${own} units of a channel, but its output `
        + `has ${shapeText(sizes)}`,
    );
  }
  return [layer.out_channels ?? channels, ...sizes];
}

/**
 * (W + 2P - F) / S + 1 with this layer's height put in, and its width where that differs.
 * @param {Layer} layer
 * @param {number[]} shape
 * @param {number[]} output
 * @returns {string}
 */
function sizeFormula({ type, kernel_size: kernel, padding, stride }, shape, output) {
  if (!isWindowed(type)) return "";
  const formulas = [1, 2].map((axis) => {
    const size = padding ? `${shape[axis]} + 2·${padding}` : `${shape[axis]}`;
    const exact = (shape[axis] + 2 * padding - kernel) % stride === 0;
    const quotient = exact
      ? `(${size} - ${kernel}) / ${stride}`
      : `⌊(${size} - ${kernel}) / ${stride}⌋`;
    return `${quotient} + 1 = ${output[axis]}`;
  });
  return [...new Set(formulas)].join(", ");
}

/**
 * The {parameters, parameterFormula} of a layer.
 * @param {Layer} layer
 */
function parametersOf(layer) {
  const { type, in_channels: i, out_channels: o, kernel_size: k } = layer;
  if (type === "Conv2d") {
    const pairs = connectionCount(layer);
    const units = layer.bias_size;
    const kernels = layer.connections ? `${pairs}` : `${o}×${i}`;
    const biases = units === 1 ? `${o}` : `${o}×${units}×${units}`;
    return {
      parameters: pairs * k * k + o * units ** 2,
      parameterFormula: `${kernels}×${k}×${k} + ${biases}`,
    };
  }
  if (type === "Linear") {
    const { in_features: n, out_features: m } = layer;
    return { parameters: m * n + m, parameterFormula: `${m}×${n} + ${m}` };
  }
  if (type === "Subsample") {
    const c = layer.channels;
    return { parameters: 2 * c, parameterFormula: `${c} + ${c}` };
  }
  return { parameters: 0, parameterFormula: "" };
}

/**
 * The {macs, connections} of a layer for one picture, connections as the 1998 paper counts.
 * @param {Layer} layer
 * @param {number[]} output
 */
function costs(layer, output) {
  const { type, kernel_size: k } = layer;
  if (type === "Conv2d") {
    const macs = connectionCount(layer) * k * k * output[1] * output[2];
    return { macs, connections: macs + product(output) };
  }
  if (isDense(type)) {
    const macs = layer.in_features * layer.out_features;
    return { macs, connections: type === "RBF" ? macs : macs + layer.out_features };
  }
  if (type === "Subsample") {
    return { macs: product(output), connections: product(output) * (k * k + 1) };
  }
  // a pooling window's members, and no bias
  return { macs: 0, connections: isPooling(type) ? product(output) * k * k : 0 };
}
