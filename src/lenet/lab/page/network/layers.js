/**
 * What each kind of layer is: its role, its arguments and, for an activation, its function.
 *
 * If you need a list of kinds, ask here: a new activation is one more entry of LAYERS.
 */

/**
 * A layer's description: its type, and its arguments by their names.
 * @typedef {{type: string, [argument: string]: any}} Layer
 */

/**
 * @typedef {object} Argument
 * @property {any} [otherwise] its value where it is left out; none: it must be given
 * @property {(value: number, layer: Layer) => string} [refusal] what it must be, in words
 * @property {boolean} [follows] whether the layers before decide it
 * @property {boolean} [isTable] whether it is no number but a table
 */

/**
 * @typedef {object} Facts
 * @property {"convolution" | "pooling" | "dense" | "activation" | "dropout" | "reshaping"} role
 * @property {Record<string, Argument>} arguments in their order in lenet.network.layers
 * @property {string} [letter] of its stage, where it begins one
 * @property {boolean} [weightedSum] whether an output is a sum of inputs times weights, and a bias
 * @property {boolean} [keepsRange] whether its outputs lie within the bounds of its inputs
 * @property {(layer: Layer) => string} [formula] of an activation, as the others from here on
 * @property {(x: number, layer: Layer) => number} [value]
 * @property {(x: number, layer: Layer) => number} [derivative]
 * @property {(layer: Layer) => number} [steepest] the largest slope
 * @property {(layer: Layer) => number[]} [bounds] the least and the largest of its values
 * @property {boolean} [rectifies] whether it is 0 below 0 and passes everything above
 */

/** The largest that any size may be. */
export const LARGEST = 2 ** 31 - 1;

/** An activation is saturated where its slope is below this share of its steepest. */
export const SATURATED_SHARE = 0.04;

const SIZE = {
  refusal: (value) => whole(value) || (value < 1 ? "at least 1" : atMost(value)),
};
const INPUT_SIZE = { ...SIZE, follows: true };
const STRIDE = { ...SIZE, otherwise: 1 };
const POOLING_STRIDE = { ...SIZE, otherwise: null }; // null: the kernel's size
const PADDING = { otherwise: 0, refusal: (value) => whole(value) || between(value, LARGEST) };
const POOLING_PADDING = {
  otherwise: 0,
  // a window that lies wholly in the padding would have no pixel
  refusal: (value, layer) => whole(value) || between(value, Math.floor(layer.kernel_size / 2)),
};
const FACTOR = {
  refusal: (value) => (Number.isFinite(value) && value !== 0 ? "" : "a finite number but zero"),
};
const NOT_NEGATIVE = {
  refusal: (value) => (Number.isFinite(value) && value >= 0 ? "" : "a finite number, at least 0"),
};
const PROBABILITY = { refusal: (value) => (value >= 0 && value <= 1 ? "" : "from 0 to 1") };

const whole = (value) => (Number.isInteger(value) ? "" : "a whole number");
const atMost = (value) => (value <= LARGEST ? "" : `at most ${LARGEST}`);
const between = (value, most) => (value >= 0 && value <= most ? "" : `from 0 to ${most}`);

const short = (value) => String(+value.toFixed(4)).replace("-", "−");

/**
 * What is known of each type of layer.
 * @type {Record<string, Facts>}
 */
const FACTS = {
  Conv2d: {
    role: "convolution",
    letter: "C",
    weightedSum: true,
    arguments: {
      in_channels: INPUT_SIZE,
      out_channels: SIZE,
      kernel_size: SIZE,
      stride: STRIDE,
      padding: PADDING,
      connections: { otherwise: null, isTable: true },
      bias_size: { ...SIZE, otherwise: 1 },
    },
  },
  AvgPool2d: {
    role: "pooling",
    letter: "S",
    keepsRange: true,
    arguments: { kernel_size: SIZE, stride: POOLING_STRIDE, padding: POOLING_PADDING },
  },
  MaxPool2d: {
    role: "pooling",
    letter: "S",
    keepsRange: true,
    arguments: { kernel_size: SIZE, stride: POOLING_STRIDE, padding: POOLING_PADDING },
  },
  Sigmoid: {
    role: "activation",
    arguments: {},
    formula: () => "1 / (1 + exp(−x))",
    value: (x) => 1 / (1 + Math.exp(-x)),
    derivative: (x) => {
      const y = 1 / (1 + Math.exp(-x));
      return y * (1 - y);
    },
    steepest: () => 0.25,
    bounds: () => [0, 1],
  },
  Tanh: {
    role: "activation",
    arguments: {},
    formula: () => "tanh(x)",
    value: (x) => Math.tanh(x),
    derivative: (x) => 1 - Math.tanh(x) ** 2,
    steepest: () => 1,
    bounds: () => [-1, 1],
  },
  ReLU: {
    role: "activation",
    arguments: {},
    formula: () => "max(0, x)",
    value: (x) => (x < 0 ? 0 : x), // NaN stays NaN
    derivative: (x) => (x > 0 ? 1 : 0),
    steepest: () => 1,
    bounds: () => [0, Infinity],
    rectifies: true,
  },
  LeakyReLU: {
    role: "activation",
    arguments: { negative_slope: { ...NOT_NEGATIVE, otherwise: 0.01 } },
    formula: ({ negative_slope: a }) => `max(0, x) + ${short(a)} · min(0, x)`,
    value: (x, { negative_slope: a }) => (x < 0 ? x * a : x),
    derivative: (x, { negative_slope: a }) => (x > 0 ? 1 : a),
    steepest: ({ negative_slope: a }) => Math.max(1, a),
    bounds: ({ negative_slope: a }) => [a === 0 ? 0 : -Infinity, Infinity],
  },
  GELU: {
    role: "activation",
    arguments: {},
    formula: () => "x · Φ(x)",
    value: (x) => x * normalBelow(x),
    derivative: (x) => normalBelow(x) + x * bell(x),
    steepest: () => 1.1289042,
    bounds: () => [-0.16997121, Infinity],
  },
  SiLU: {
    role: "activation",
    arguments: {},
    formula: () => "x / (1 + exp(−x))",
    value: (x) => x / (1 + Math.exp(-x)),
    derivative: (x) => {
      const s = 1 / (1 + Math.exp(-x));
      return s * (1 + x * (1 - s));
    },
    steepest: () => 1.0998393,
    bounds: () => [-0.27846455, Infinity],
  },
  Dropout: {
    role: "dropout",
    keepsRange: true,
    arguments: { p: { ...PROBABILITY, otherwise: 0.5 } },
  },
  Flatten: { role: "reshaping", keepsRange: true, arguments: {} },
  Linear: {
    role: "dense",
    letter: "F",
    weightedSum: true,
    arguments: { in_features: INPUT_SIZE, out_features: SIZE },
  },
  ScaledTanh: {
    role: "activation",
    arguments: {
      amplitude: { ...FACTOR, otherwise: 1.7159 },
      slope: { ...FACTOR, otherwise: 2 / 3 },
    },
    formula: ({ amplitude, slope }) => `${short(amplitude)} · tanh(${short(slope)} · x)`,
    value: (x, { amplitude, slope }) => amplitude * Math.tanh(slope * x),
    derivative: (x, { amplitude, slope }) => amplitude * slope * (1 - Math.tanh(slope * x) ** 2),
    steepest: ({ amplitude, slope }) => Math.abs(amplitude * slope),
    bounds: ({ amplitude }) => [-Math.abs(amplitude), Math.abs(amplitude)],
  },
  Subsample: {
    role: "pooling",
    letter: "S",
    arguments: { channels: INPUT_SIZE, kernel_size: { ...SIZE, otherwise: 2 } },
  },
  RBF: {
    role: "dense",
    arguments: { in_features: INPUT_SIZE, out_features: SIZE },
  },
};

/** What is known of each type of layer, by its name. */
export const LAYERS = new Map(Object.entries(FACTS));

/**
 * The density of the normal distribution.
 * @param {number} x
 */
function bell(x) {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

/**
 * Φ(x), the share of a normal distribution below x: near 0 by a series, else by a fraction.
 * @param {number} x
 */
function normalBelow(x) {
  const size = Math.abs(x);
  if (size < 3) {
    let [sum, term] = [x, x]; // x + x³/3 + x⁵/(3·5) + …
    for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) {
      term *= (x * x) / n;
      sum += term;
    }
    return 0.5 + bell(x) * sum;
  }
  let fraction = size; // x + 1/(x + 2/(x + …))
  for (let n = 30; n > 0; n -= 1) fraction = size + n / fraction;
  const beyond = bell(x) / fraction;
  return x < 0 ? beyond : 1 - beyond;
}

/**
 * The role of a type of layer, undefined where there is no such type.
 * @param {string} type
 */
export const roleOf = (type) => LAYERS.get(type)?.role;

/**
 * Whether a type of layer changes each number by itself, by one function.
 * @param {string} type
 */
export const isActivation = (type) => roleOf(type) === "activation";

/**
 * Whether a type of layer makes one number of each window of a map.
 * @param {string} type
 */
export const isPooling = (type) => roleOf(type) === "pooling";

/**
 * Whether a type of layer moves kernels over maps.
 * @param {string} type
 */
export const isConvolution = (type) => roleOf(type) === "convolution";

/**
 * Whether a type of layer has windows that it moves over maps.
 * @param {string} type
 */
export const isWindowed = (type) => isPooling(type) || isConvolution(type);

/**
 * Whether each output of a type of layer sees every input.
 * @param {string} type
 */
export const isDense = (type) => roleOf(type) === "dense";

/**
 * Whether a type of layer gives the same numbers another shape.
 * @param {string} type
 */
export const isReshaping = (type) => roleOf(type) === "reshaping";

/**
 * Whether a type of layer passes the same numbers in the same order, but in training.
 * @param {string} type
 */
export const isIdentity = (type) => isReshaping(type) || roleOf(type) === "dropout";

/**
 * Whether each output of a type of layer is made of the input at its own place.
 * @param {string} type
 */
export const isElementwise = (type) => isActivation(type) || roleOf(type) === "dropout";

/**
 * Whether each output of a type of layer is a sum of inputs times weights, and a bias.
 * @param {string} type
 */
export const isWeightedSum = (type) => LAYERS.get(type)?.weightedSum === true;

/**
 * The arguments of a type of layer that are left out, by their names; undefined for the others.
 * @param {string} type
 * @returns {any}
 */
export function defaultsOf(type) {
  const entries = Object.entries(LAYERS.get(type).arguments);
  return Object.fromEntries(entries.map(([name, { otherwise }]) => [name, otherwise]));
}

/**
 * The bounds [low, high] of an activation's values, of other layers' null. Without a description
 * they are those of the arguments' defaults.
 * @param {string} type
 * @param {Layer} [layer]
 * @returns {number[] | null}
 */
export function boundsOf(type, layer = defaultsOf(type)) {
  return LAYERS.get(type).bounds?.(layer) ?? null;
}

/**
 * The input channels that an output channel of a convolution sees.
 * @param {Layer} layer
 * @param {number} output
 * @returns {number[]}
 */
export function connected({ in_channels: channels, connections }, output) {
  return connections ? connections[output] : Array.from({ length: channels }, (_, c) => c);
}

/**
 * Where the bias of a convolution's unit lies: one a channel, or one a unit.
 * @param {Layer} layer
 * @param {number} channel
 * @param {number} unit its place in the channel's map
 * @returns {number}
 */
export function biasPlace({ bias_size: size }, channel, unit) {
  return size === 1 ? channel : channel * size * size + unit;
}

/**
 * How many pairs of an input and an output channel of a convolution have a kernel.
 * @param {Layer} layer
 * @returns {number}
 */
export function connectionCount({ in_channels: inputs, out_channels: outputs, connections }) {
  if (!connections) return inputs * outputs;
  return connections.reduce((count, sources) => count + sources.length, 0);
}
