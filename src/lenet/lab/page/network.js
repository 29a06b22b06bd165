/**
 * LeNet-family networks in the browser: read a file, compute every layer, account for every number.
 *
 * A network is what lenet.architecture.to_dict writes. Weights are a Map from names ("0.weight") to
 * {shape, data: Float32Array}. A layer's output is a Float32Array: a map (channels, height, width),
 * channel by channel and row by row, or a vector (n,), which counts as n channels of 1×1. A *unit*
 * is a place in that array. Sums are float64; what a layer passes on is float32, as in the engines.
 *
 * Imports nothing: the same text runs in a page, in a worker and in Node.
 */

// --- files -------------------------------------------------------------------------------------

const LARGEST_FILE = 2 ** 30; // bytes; ours have a few hundred thousand
const LARGEST_HEADER = 1_000_000; // bytes; ours have a few thousand
const MOST_TENSORS = 2_000;
const MOST_OUTPUTS = 2 ** 26; // numbers of all layers together, for one picture
const MOST_MACS = 2 ** 34; // of one picture: some ten seconds
const FORMAT = 1;

/**
 * The {network, weights} of a safetensors file that lenet wrote (an ArrayBuffer).
 *
 * The file is not trusted: sizes, counts and places are checked before anything is made of them,
 * names and shapes must be exactly the network's. Throws an Error that says what is wrong.
 */
export function readSafetensors(buffer) {
  const [header, start] = readHeader(buffer);
  const network = readNetwork(header);
  const traced = trace(network);
  checkCosts(traced);
  const shapes = parameterShapes(traced);
  const tensors = readTensors(header, buffer.byteLength - start);
  for (const name of new Set([...shapes.keys(), ...tensors.keys()])) {
    const wanted = shapes.has(name) ? showShape(shapes.get(name)) : "none of this name";
    const found = tensors.has(name) ? showShape(tensors.get(name).shape) : "none";
    if (wanted !== found) {
      throw new Error(`tensor ${show(name)}: the network needs ${wanted}, the file has ${found}`);
    }
  }
  const weights = new Map();
  for (const [name, shape] of shapes) {
    const { begin, end } = tensors.get(name);
    // a copy: the file's memory need not stay, and need not lie on a multiple of four bytes
    weights.set(name, { shape, data: new Float32Array(buffer.slice(start + begin, start + end)) });
  }
  return { network, weights };
}

/** The header of a safetensors file, and where in the file the numbers begin. */
function readHeader(buffer) {
  const size = buffer.byteLength;
  if (size < 8 || size > LARGEST_FILE) {
    throw new Error(`not a safetensors file of lenet: it has ${size} bytes`);
  }
  const view = new DataView(buffer);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > Math.min(LARGEST_HEADER, size - 8)) {
    throw new Error(
      `not a safetensors file of lenet: it would have a header of ${length} bytes in ${size}`,
    );
  }
  const text = new TextDecoder("utf-8", { fatal: true });
  const header = parsed(() => text.decode(new Uint8Array(buffer, 8, length)), "the header");
  if (!isRecord(header)) throw new Error("damaged: the header is no JSON object");
  return [header, 8 + length];
}

/** The network in a header's metadata. */
function readNetwork(header) {
  const metadata = isRecord(header.__metadata__) ? header.__metadata__.lenet : undefined;
  if (typeof metadata !== "string") {
    throw new Error("the file holds no description of a network: lenet did not write it");
  }
  const values = parsed(() => metadata, "the description of the network");
  if (!isRecord(values) || values.format !== FORMAT) {
    throw new Error("the file was written by a newer version of lenet");
  }
  if (!isRecord(values.network)) {
    throw new Error("the file holds no network; it may be a checkpoint");
  }
  return values.network;
}

/** Each tensor of a header as name → {shape, begin, end}, in bytes of the data that follow it. */
function readTensors(header, size) {
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  if (entries.length > MOST_TENSORS) {
    throw new Error(`the file has ${entries.length} tensors; at most ${MOST_TENSORS} are read`);
  }
  const tensors = new Map();
  for (const [name, entry] of entries) {
    const what = `tensor ${show(name)}`;
    if (!isRecord(entry)) throw new Error(`damaged: ${what} is no JSON object`);
    const { dtype, shape, data_offsets: offsets } = entry;
    if (dtype !== "F32") throw new Error(`${what} is ${show(dtype)}, must be F32`);
    if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isCount)) {
      throw new Error(`damaged: ${what} has the shape ${show(shape)}`);
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      throw new Error(`damaged: ${what} lies at ${show(offsets)}`);
    }
    const [begin, end] = offsets;
    if (begin > end || end > size) {
      throw new Error(`damaged: ${what} lies at ${begin} to ${end} of ${size} bytes`);
    }
    if (end - begin !== 4 * product(shape)) {
      throw new Error(`damaged: ${what} (${showShape(shape)}) has ${end - begin} bytes`);
    }
    tensors.set(name, { shape, begin, end });
  }
  let place = 0; // every byte belongs to exactly one tensor
  for (const { begin, end } of [...tensors.values()].sort((a, b) => a.begin - b.begin)) {
    if (begin !== place) {
      throw new Error(`damaged: tensors ${begin < place ? "overlap" : "leave a gap"} at ${begin}`);
    }
    place = end;
  }
  if (place !== size) throw new Error(`damaged: the tensors end at ${place} of ${size} bytes`);
  return tensors;
}

/** Refuse a network that a page could not compute: a stranger may have written it. */
function checkCosts(traced) {
  const outputs = traced.reduce((sum, row) => sum + product(row.outputShape), 0);
  const macs = traced.reduce((sum, row) => sum + row.macs, 0);
  if (outputs > MOST_OUTPUTS || macs > MOST_MACS) {
    throw new Error(`the network is too large for a page: ${macs} multiply-accumulates a picture`);
  }
}

function parsed(text, what) {
  try {
    return JSON.parse(text());
  } catch (error) {
    throw new Error(`damaged: ${what} cannot be read: ${String(error.message).slice(0, 200)}`);
  }
}

function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value) {
  return Number.isSafeInteger(value) && value >= 0;
}

/** What a stranger wrote, cut to what a line holds. */
function show(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

// --- networks ----------------------------------------------------------------------------------

const LARGEST = 2 ** 31 - 1; // of any size
const REQUIRED = undefined;

// Each layer's arguments with their defaults, as in lenet.architecture.
const ARGUMENTS = new Map(
  Object.entries({
    Conv2d: {
      in_channels: REQUIRED,
      out_channels: REQUIRED,
      kernel_size: REQUIRED,
      stride: 1,
      padding: 0,
      connections: null,
    },
    AvgPool2d: { kernel_size: REQUIRED, stride: null, padding: 0 },
    MaxPool2d: { kernel_size: REQUIRED, stride: null, padding: 0 },
    Sigmoid: {},
    Tanh: {},
    ReLU: {},
    Dropout: { p: 0.5 },
    Flatten: {},
    Linear: { in_features: REQUIRED, out_features: REQUIRED },
    ScaledTanh: { amplitude: 1.7159, slope: 2 / 3 },
    Subsample: { channels: REQUIRED, kernel_size: 2 },
    RBF: { in_features: REQUIRED, out_features: REQUIRED },
  }),
);
const POOLINGS = ["AvgPool2d", "MaxPool2d", "Subsample"];
const WINDOWED = ["Conv2d", ...POOLINGS];
const DENSE = ["Linear", "RBF"];

/**
 * Each layer of a network as lenet.architecture.trace gives it: {index, type, layer, stage,
 * inputShape, outputShape, parameters, parameterFormula, sizeFormula, macs, connections,
 * receptiveField: [rows, columns], inputStride, inputOffset}. `layer` has every default filled in.
 *
 * Throws an Error, with the layer's number, where a layer does not fit what comes before it.
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
    if (WINDOWED.includes(type)) {
      field = field.map((size) => size + (layer.kernel_size - 1) * jump);
      offset -= layer.padding * jump;
      jump *= layer.stride;
      // windows that do not divide the size leave its last rows and columns out
      const ends = output.slice(1).map((n, axis) => offset + (n - 1) * jump + field[axis]);
      seen = seen.map((size, axis) => Math.max(0, Math.min(size, ends[axis])));
    } else if (DENSE.includes(type)) {
      [field, jump, offset] = [seen, 1, 0];
    }
    const letter = POOLINGS.includes(type) ? "S" : { Conv2d: "C", Linear: "F" }[type];
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
      `the network ends with shape ${showShape(shape)}, but has ${network.classes.length} `
        + `classes; end it with Linear(…, ${network.classes.length})`,
    );
  }
  return rows;
}

/** The shape of every parameter by its name, in the order of the layers: a Map. */
export function parameterShapes(traced) {
  const shapes = new Map();
  for (const { index, type, layer } of traced) {
    const [i, o, k] = [layer.in_channels, layer.out_channels, layer.kernel_size];
    if (type === "Conv2d") shapes.set(`${index}.weight`, [o, i, k, k]).set(`${index}.bias`, [o]);
    if (type === "Linear") {
      shapes.set(`${index}.weight`, [layer.out_features, layer.in_features]);
      shapes.set(`${index}.bias`, [layer.out_features]);
    }
    if (type === "Subsample") {
      shapes.set(`${index}.weight`, [layer.channels]).set(`${index}.bias`, [layer.channels]);
    }
    if (type === "RBF") shapes.set(`${index}.codes`, [layer.out_features, layer.in_features]);
  }
  return shapes;
}

function checkHead({ input_shape: shape, layers, classes, normalization }) {
  const sizes = Array.isArray(shape) && shape.length === 3 ? shape : [0];
  if (!sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= LARGEST)) {
    throw new Error(
      `input shape ${show(shape)} must be [channels, height, width], each at least 1`,
    );
  }
  if (!Array.isArray(layers) || layers.length === 0) {
    throw new Error("the network has no layers; give at least one");
  }
  if (!Array.isArray(classes) || classes.length < 2) {
    throw new Error("the network needs at least 2 classes");
  }
  if (!classes.every((name) => typeof name === "string")) {
    throw new Error(`classes are ${show(classes)}, must be names`);
  }
  const { mean, deviation } = normalization ?? { mean: [0], deviation: [1] };
  const fits = (values) => Array.isArray(values) && [1, shape[0]].includes(values.length);
  if (!fits(mean) || !fits(deviation) || ![...mean, ...deviation].every(Number.isFinite)) {
    throw new Error("the normalization must have one mean and deviation, or one for each channel");
  }
  if (Math.min(...deviation) <= 0) {
    throw new Error(`normalization deviation ${show(deviation)} must be positive`);
  }
}

/** A layer with every argument that was left out; windowed layers have a stride and a padding. */
function complete(index, description) {
  const type = description?.type;
  const known = ARGUMENTS.get(type);
  if (!known) {
    const types = [...ARGUMENTS.keys()].join(", ");
    throw new Error(`layer ${index}: unknown type ${show(type)}; choose from ${types}`);
  }
  const where = `layer ${index} (${type})`;
  for (const name of Object.keys(description)) {
    if (name !== "type" && !Object.hasOwn(known, name)) {
      throw new Error(`${where} has an unknown key ${show(name)}`);
    }
  }
  const layer = { type, ...known, ...description };
  if (POOLINGS.includes(type)) layer.stride ??= layer.kernel_size;
  if (type === "Subsample") layer.padding = 0;
  for (const [name, value] of Object.entries(layer)) {
    if (name === "type" || name === "connections") continue;
    if (typeof value !== "number") {
      throw new Error(`${where}: ${name} is ${show(value)}, must be a number`);
    }
    const wanted = refusal(layer, name, value);
    if (wanted) throw new Error(`${where}: ${name} is ${value}, must be ${wanted}`);
  }
  if (layer.connections !== undefined && layer.connections !== null) checkConnections(where, layer);
  return layer;
}

/** What an argument must be, in words; empty where it is. */
function refusal(layer, name, value) {
  if (name === "p") return value >= 0 && value <= 1 ? "" : "from 0 to 1";
  if (name === "amplitude" || name === "slope") {
    return Number.isFinite(value) && value !== 0 ? "" : "a finite number but zero";
  }
  if (!Number.isInteger(value)) return "a whole number";
  if (name === "padding") {
    // a window that lies wholly in the padding would have no pixel
    const most = layer.type === "Conv2d" ? LARGEST : Math.floor(layer.kernel_size / 2);
    return value >= 0 && value <= most ? "" : `from 0 to ${most}`;
  }
  if (value < 1) return "at least 1";
  return value <= LARGEST ? "" : `at most ${LARGEST}`;
}

function checkConnections(where, { connections, in_channels: channels, out_channels: outputs }) {
  const rows = Array.isArray(connections) ? connections : [];
  if (rows.length !== outputs) {
    throw new Error(`${where}: connections has ${rows.length} rows for ${outputs} output channels`);
  }
  rows.forEach((sources, output) => {
    const list = Array.isArray(sources) ? sources : [];
    const legal = list.every((source) => isCount(source) && source < channels);
    if (list.length === 0 || !legal || new Set(list).size !== list.length) {
      throw new Error(
        `${where}: connections of output channel ${output} are ${show(sources)}; `
          + `give different input channels from 0 to ${channels - 1}`,
      );
    }
  });
}

/** The shape that leaves a layer; an Error where `shape` cannot enter it. */
function outputShape(index, layer, shape) {
  const { type, kernel_size: kernel, padding, stride } = layer;
  const misfit = (expected) =>
    new Error(
      `layer ${index} (${type}) expects ${expected}, but its input has shape ${showShape(shape)}`,
    );
  if (type === "Flatten" || WINDOWED.includes(type)) {
    if (shape.length !== 3) throw misfit("channels×height×width");
  }
  if (type === "Flatten") return [product(shape)];
  if (DENSE.includes(type)) {
    if (shape.length !== 1 || shape[0] !== layer.in_features) {
      throw misfit(`a vector of ${layer.in_features}`);
    }
    return [layer.out_features];
  }
  if (!WINDOWED.includes(type)) return shape;
  const channels = { Conv2d: layer.in_channels, Subsample: layer.channels }[type] ?? shape[0];
  if (shape[0] !== channels) throw misfit(`${channels}×height×width`);
  if (Math.min(shape[1], shape[2]) + 2 * padding < kernel) {
    const smallest = kernel - 2 * padding;
    throw misfit(`at least ${smallest}×${smallest} for its ${kernel}×${kernel} window`);
  }
  const windows = (size) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  return [layer.out_channels ?? channels, windows(shape[1]), windows(shape[2])];
}

/** (W + 2P - F) / S + 1 with this layer's height put in, and its width where that differs. */
function sizeFormula({ type, kernel_size: kernel, padding, stride }, shape, output) {
  if (!WINDOWED.includes(type)) return "";
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

/** How many pairs of an input and an output channel have a kernel. */
function connectionCount({ in_channels: inputs, out_channels: outputs, connections }) {
  if (!connections) return inputs * outputs;
  return connections.reduce((count, sources) => count + sources.length, 0);
}

/** The {parameters, parameterFormula} of a layer. */
function parametersOf(layer) {
  const { type, in_channels: i, out_channels: o, kernel_size: k } = layer;
  if (type === "Conv2d") {
    const pairs = connectionCount(layer);
    const formula = layer.connections ? `${pairs}×${k}×${k} + ${o}` : `${o}×${i}×${k}×${k} + ${o}`;
    return { parameters: pairs * k * k + o, parameterFormula: formula };
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

/** The {macs, connections} of a layer for one picture, connections as the 1998 paper counts. */
function costs(layer, output) {
  const { type, kernel_size: k } = layer;
  if (type === "Conv2d") {
    const macs = connectionCount(layer) * k * k * output[1] * output[2];
    return { macs, connections: macs + product(output) };
  }
  if (DENSE.includes(type)) {
    const macs = layer.in_features * layer.out_features;
    return { macs, connections: type === "RBF" ? macs : macs + layer.out_features };
  }
  if (type === "Subsample") {
    return { macs: product(output), connections: product(output) * (k * k + 1) };
  }
  return { macs: 0, connections: 0 };
}

function product(numbers) {
  return numbers.reduce((all, number) => all * number, 1);
}

function showShape(shape) {
  return shape.join("×");
}

// --- forward -----------------------------------------------------------------------------------

/** What the first layer sees, (pixel / 255 − mean) / deviation: c·h·w uint8 → Float32Array. */
export function normalize(network, pixels) {
  const [channels, height, width] = network.input_shape;
  const { mean, deviation } = network.normalization ?? { mean: [0], deviation: [1] };
  const plane = height * width;
  if (pixels.length !== channels * plane) {
    const wanted = showShape(network.input_shape);
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
 */
export function forward(network, weights, input, { traced = trace(network), gates } = {}) {
  let x = input;
  return traced.map((row) => {
    x = compute(row, weights, x);
    switchOff(row, gates, x);
    return x;
  });
}

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

/** Every kernel on every window: x (in, h, w) → (out, rows, columns). */
function convolve({ index, layer, inputShape, outputShape }, weights, x) {
  const [channels] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, connections } = layer;
  const { padded, height, width } = pad(x, inputShape, layer.padding);
  const weight = weights.get(`${index}.weight`).data; // (out, in, k, k)
  const bias = weights.get(`${index}.bias`).data; // (out)
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
          y[o * plane + at] = bias[o] + dot(weight, o * n, window, 0, n);
          continue;
        }
        let sum = bias[o];
        for (const c of connections[o]) {
          sum += dot(weight, o * n + c * area, window, c * area, area);
        }
        y[o * plane + at] = sum;
      }
    }
  }
  return y;
}

/** The sum of n products, a from place p and b from place q. */
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

/** x (c, h, w) with zeros around each channel, and the new height and width. */
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

/** Calls visit(unit, channel, positions of x in its window, their number) for each window. */
function eachWindow({ layer, inputShape, outputShape }, visit) {
  const [, height, width] = inputShape;
  const [channels, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  const window = new Int32Array(k * k); // one for all calls
  let unit = 0;
  for (let c = 0; c < channels; c += 1) {
    for (let i = 0; i < rows; i += 1) {
      const top = Math.max(0, i * stride - padding);
      const bottom = Math.min(height, i * stride - padding + k);
      for (let j = 0; j < columns; j += 1, unit += 1) {
        const left = Math.max(0, j * stride - padding);
        const right = Math.min(width, j * stride - padding + k);
        let count = 0;
        for (let u = top; u < bottom; u += 1) {
          for (let v = left; v < right; v += 1, count += 1) {
            window[count] = (c * height + u) * width + v;
          }
        }
        visit(unit, c, window, count);
      }
    }
  }
}

/** Average pooling, padding counted as zeros; subsampling, sum · weight + bias of the channel. */
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

/** What each channel's sums are multiplied by: 1 / k², or the weights of a Subsample. */
function scales({ index, type, layer, outputShape }, weights) {
  if (type === "Subsample") return weights.get(`${index}.weight`).data;
  return new Float64Array(outputShape[0]).fill(1 / layer.kernel_size ** 2);
}

/** The largest number of each window; NaN where there is one, as in the engines. */
function poolLargest(row, x) {
  const y = new Float32Array(product(row.outputShape));
  eachWindow(row, (unit, c, window, count) => {
    y[unit] = x[window[largest(x, window, count)]];
  });
  return y;
}

/** Which of a window's members is the largest: the first of several, or the first NaN. */
function largest(x, window, count) {
  let winner = 0;
  for (let n = 1; n < count && !Number.isNaN(x[window[winner]]); n += 1) {
    if (!(x[window[n]] <= x[window[winner]])) winner = n;
  }
  return winner;
}

/** A dense layer: x (in) → weight (out, in) · x + bias (out). */
function multiply({ index, layer }, weights, x) {
  const { in_features: inputs, out_features: outputs } = layer;
  const weight = weights.get(`${index}.weight`).data;
  const bias = weights.get(`${index}.bias`).data;
  const y = new Float32Array(outputs);
  for (let o = 0; o < outputs; o += 1) y[o] = bias[o] + dot(weight, o * inputs, x, 0, inputs);
  return y;
}

/** Minus the squared distance of x (in) to each class's code (out, in). */
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

// Each activation: how it is written, its value and its derivative at x.
const ACTIVATIONS = {
  Sigmoid: {
    formula: () => "1 / (1 + exp(−x))",
    value: (x) => 1 / (1 + Math.exp(-x)),
    derivative: (x) => {
      const y = 1 / (1 + Math.exp(-x));
      return y * (1 - y);
    },
  },
  Tanh: {
    formula: () => "tanh(x)",
    value: (x) => Math.tanh(x),
    derivative: (x) => 1 - Math.tanh(x) ** 2,
  },
  ReLU: {
    formula: () => "max(0, x)",
    value: (x) => (x < 0 ? 0 : x), // NaN stays NaN
    derivative: (x) => (x > 0 ? 1 : 0),
  },
  ScaledTanh: {
    formula: ({ amplitude, slope }) => `${+amplitude.toFixed(4)} · tanh(${+slope.toFixed(4)} · x)`,
    value: (x, { amplitude, slope }) => amplitude * Math.tanh(slope * x),
    derivative: (x, { amplitude, slope }) => amplitude * slope * (1 - Math.tanh(slope * x) ** 2),
  },
};

function activate({ type, layer }, x) {
  const { value } = ACTIVATIONS[type];
  const y = new Float32Array(x.length);
  for (let i = 0; i < x.length; i += 1) y[i] = value(x[i], layer);
  return y;
}

/** Zero for each channel of x that its gate switches off, in place. */
function switchOff({ index, outputShape }, gates, x) {
  const gate = gates?.get(index);
  if (!gate) return;
  const plane = x.length / outputShape[0];
  for (let c = 0; c < outputShape[0]; c += 1) {
    if (gate[c] === 0) x.fill(0, c * plane, (c + 1) * plane);
  }
}

/** The probabilities of logits (n): Float64Array (n). */
export function softmax(logits) {
  return softmaxArithmetic(logits).probabilities;
}

/**
 * From logits (n) to probabilities: {largest, shifted, exponentials, sum, probabilities}.
 *
 * The largest is subtracted first: it changes no quotient, and no exponential overflows.
 */
export function softmaxArithmetic(logits) {
  const highest = Math.max(...logits);
  const shifted = Float64Array.from(logits, (logit) => logit - highest);
  const exponentials = shifted.map(Math.exp);
  const sum = exponentials.reduce((all, value) => all + value, 0);
  const probabilities = exponentials.map((value) => value / sum);
  return { largest: highest, shifted, exponentials, sum, probabilities };
}

// --- places ------------------------------------------------------------------------------------

/** Where a unit lies in an output of this shape: {channel, row, column}. */
export function place(shape, unit) {
  const [, height = 1, width = 1] = shape;
  return {
    channel: Math.floor(unit / (height * width)),
    row: Math.floor(unit / width) % height,
    column: unit % width,
  };
}

/** The unit at a place: the inverse of `place`. */
export function unitAt(shape, { channel, row, column }) {
  const [, height = 1, width = 1] = shape;
  return (channel * height + row) * width + column;
}

/**
 * What of the input picture a unit depends on: {top, left, bottom, right, clip}, half-open.
 *
 * The first four may lie outside of the picture, in the padding; `clip` is the part that is inside.
 * Layer −1 is the picture itself.
 */
export function receptiveField(traced, layer, unit) {
  const picture = traced[0].inputShape;
  if (layer < 0) {
    const { row, column } = place(picture, unit);
    return region(row, column, 1, 1, picture);
  }
  const { receptiveField: field, inputStride: stride, inputOffset: offset } = traced[layer];
  const { row, column } = place(shapeOnPicture(traced, layer), unit);
  return region(offset + row * stride, offset + column * stride, ...field, picture);
}

/** The shape in which a layer's units lie on the picture: behind Flatten, the map before it. */
function shapeOnPicture(traced, layer) {
  const { type, inputShape, outputShape } = traced[layer];
  if (type === "Flatten") return inputShape;
  if (outputShape.length === 3 || DENSE.includes(type)) return outputShape;
  return shapeOnPicture(traced, layer - 1);
}

/**
 * What of the layer below a unit is computed from: {layer, channels, top, left, bottom, right,
 * clip}, half-open. `layer` is −1 for the input picture. Of a vector, the channels are the units.
 */
export function sources(traced, layer, unit) {
  const { type, layer: description, inputShape, outputShape } = traced[layer];
  const below = { layer: layer - 1 };
  if (DENSE.includes(type)) {
    const channels = Array.from({ length: inputShape[0] }, (_, channel) => channel);
    return { ...below, channels, ...region(0, 0, 1, 1, inputShape) };
  }
  if (!WINDOWED.includes(type)) {
    const { channel, row, column } = place(inputShape, unit);
    return { ...below, channels: [channel], ...region(row, column, 1, 1, inputShape) };
  }
  const { channel, row, column } = place(outputShape, unit);
  const channels = type === "Conv2d" ? connected(description, channel) : [channel];
  const { kernel_size: k, stride, padding } = description;
  const [top, left] = [row * stride - padding, column * stride - padding];
  return { ...below, channels, ...region(top, left, k, k, inputShape) };
}

/** The input channels that an output channel of a convolution sees. */
function connected({ in_channels: channels, connections }, output) {
  return connections ? connections[output] : Array.from({ length: channels }, (_, c) => c);
}

function region(top, left, rows, columns, [, height = 1, width = 1]) {
  const [bottom, right] = [top + rows, left + columns];
  const inside = (value, size) => Math.max(0, Math.min(size, value));
  const clip = {
    top: inside(top, height),
    left: inside(left, width),
    bottom: inside(bottom, height),
    right: inside(right, width),
  };
  return { top, left, bottom, right, clip };
}

// --- the arithmetic of one number --------------------------------------------------------------

/**
 * How one number came about: {kind, layer, unit, position, total, value, …}.
 *
 * `total` is computed anew in float64 from the layer's float32 input, `value` is the float32
 * output. What else there is depends on the kind, the layer's type:
 * - Conv2d: channels: [{channel, kernel, patch, products, sum}], bias
 * - AvgPool2d: window, sum, divisor; Subsample: window, sum, weight, bias
 * - MaxPool2d: window, winners (indices in the window), winner (the first)
 * - Sigmoid, Tanh, ReLU, ScaledTanh: input, formula, derivative
 * - Dropout: input, p; Flatten: input, source (its place on the layer below)
 * - Linear: inputs, weights, products, bias; RBF: inputs, codes, products
 *
 * A patch or window is {channel, top, left, rows, columns, values, inside}; where `inside` is 0 it
 * lies in the padding.
 */
export function arithmetic(network, weights, input, outputs, layer, unit, traced = trace(network)) {
  const row = traced[layer];
  const x = layer === 0 ? input : outputs[layer - 1];
  const position = place(row.outputShape, unit);
  const about = { kind: row.type, layer, unit, position, value: outputs[layer][unit] };
  return { ...about, ...explain(row, weights, x, unit, position) };
}

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
      const { formula, value, derivative } = ACTIVATIONS[row.type];
      return {
        input: x[unit],
        formula: formula(row.layer),
        derivative: derivative(x[unit], row.layer),
        total: value(x[unit], row.layer),
      };
    }
  }
}

function explainConvolution(row, weights, x, position) {
  const { index, layer } = row;
  const { in_channels: inputs, kernel_size: k } = layer;
  const weight = weights.get(`${index}.weight`).data;
  const bias = weights.get(`${index}.bias`).data[position.channel];
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

function explainLargest(row, x, position) {
  const window = cut(row, x, position.channel, position, -Infinity);
  const members = Array.from(window.values.keys()).filter((i) => window.inside[i]);
  const winner = members[largest(window.values, members, members.length)];
  const total = window.values[winner];
  const winners = members.filter((i) => window.values[i] === total || i === winner);
  return { window, winners, winner, total };
}

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

/** The window of x (c, h, w) above a position, with `outside` in the padding. */
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

function add(numbers) {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

/** The indices of the numbers by their size |x|, the largest first; at most `count`. */
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

/** The parts of an `arithmetic`: {value, weight, product} with {channel, row, column} or {unit}. */
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

// --- backward ----------------------------------------------------------------------------------

/**
 * How much each number of the normalised input moves a unit: d target / d input, c·h·w.
 *
 * `target` is a class, or {layer, unit}; `gates` as in `forward`.
 */
export function inputGradient(
  network,
  weights,
  input,
  outputs,
  target,
  { traced = trace(network), gates } = {},
) {
  const { layer, unit } =
    typeof target === "number" ? { layer: traced.length - 1, unit: target } : target;
  let dy = new Float64Array(outputs[layer].length);
  dy[unit] = 1;
  for (let index = layer; index >= 0; index -= 1) {
    switchOff(traced[index], gates, dy);
    const x = index === 0 ? input : outputs[index - 1];
    const dx = new Float64Array(x.length);
    backward(traced[index], weights, x, dy, dx);
    dy = dx;
  }
  return Float32Array.from(dy);
}

/** Adds to dx what dy, the gradient of a layer's output, is as one of its input x. */
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
    default:
      for (let i = 0; i < x.length; i += 1) {
        dx[i] = dy[i] * ACTIVATIONS[type].derivative(x[i], layer);
      }
  }
}

/** Each output's gradient goes back, times the kernel, to the window that made it. */
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

// --- what a worker answers ---------------------------------------------------------------------

/**
 * The reply to a request of lenet/calculator.js, {id, result} or {id, error}. `models` is a Map
 * that "load" and "unload" change: key → {network, weights, traced}.
 */
export function answer(models, { id, kind, key, ...request }) {
  try {
    if (kind === "load") {
      const { network, weights } = request;
      models.set(key, { network, weights, traced: trace(network) });
      return { id, result: null };
    }
    if (kind === "unload") {
      models.delete(key);
      return { id, result: null };
    }
    const model = models.get(key);
    if (!model) throw new Error(`no network is loaded as ${show(key)}`);
    return { id, result: kind === "run" ? runOne(model, request) : runMany(model, request) };
  } catch (error) {
    return { id, error: error.message };
  }
}

function runOne({ network, weights, traced }, { pixels, gates }) {
  const input = pixels instanceof Float32Array ? pixels : normalize(network, pixels);
  if (input.length !== product(network.input_shape)) {
    const wanted = showShape(network.input_shape);
    throw new Error(`the picture has ${input.length} numbers, the network needs ${wanted}`);
  }
  return forward(network, weights, input, { traced, gates });
}

/** The logits (n·classes) of pictures (n·c·h·w, uint8). */
function runMany({ network, weights, traced }, { pictures, gates }) {
  const size = product(network.input_shape);
  const classes = network.classes.length;
  const logits = new Float32Array((pictures.length / size) * classes);
  for (let n = 0; n * size < pictures.length; n += 1) {
    const input = normalize(network, pictures.subarray(n * size, (n + 1) * size));
    logits.set(forward(network, weights, input, { traced, gates }).at(-1), n * classes);
  }
  return logits;
}
