/**
 * NumPy's random numbers, of `default_rng((seed, stream))`: SeedSequence and PCG64, to the bit.
 *
 * So a training in the page begins with the weights, and takes the pictures in the order, that
 * lenet on a computer does with the same seed (docs/randomness.md).
 */

import { isDense } from "./layers.js";
import { parameterShapes, trace } from "./trace.js";

const POOL = 4; // words of 32 bits
const MULTIPLIER = (2549297995355413924n << 64n) | 4865540595714422341n;

/**
 * The generator of a seed, two whole numbers below 2³²: {random, below}.
 *
 * `random()` is a number from 0 to 1 with 53 bits, `below(n)` a whole number from 0 to n − 1.
 * @param {number} seed
 * @param {number} stream
 */
export function generator(seed, stream) {
  const [high, low, incrementHigh, incrementLow] = seedWords([seed, stream]);
  const increment = BigInt.asUintN(128, (((incrementHigh << 64n) | incrementLow) << 1n) | 1n);
  let state = 0n;
  let half = null; // what is left of a number of 64 bits, of which 32 were used
  const advance = () => {
    state = BigInt.asUintN(128, state * MULTIPLIER + increment);
  };
  advance();
  state += (high << 64n) | low;
  advance();

  function next64() {
    advance();
    const mixed = (state >> 64n) ^ BigInt.asUintN(64, state);
    const turn = state >> 122n;
    return BigInt.asUintN(64, (mixed >> turn) | (mixed << (64n - turn)));
  }

  function next32() {
    if (half !== null) {
      const kept = half;
      half = null;
      return kept;
    }
    const both = next64();
    half = Number(both >> 32n);
    return Number(BigInt.asUintN(32, both));
  }

  return {
    random: () => Number(next64() >> 11n) / 2 ** 53,
    // the lowest bits that n − 1 needs, drawn anew while they are too large
    below(n) {
      const mask = n < 2 ? 0 : 2 ** (32 - Math.clz32(n - 1)) - 1;
      let value = 0;
      do value = mask === 0 ? 0 : (next32() & mask) >>> 0;
      while (value >= n);
      return value;
    },
  };
}

/**
 * The order of the pictures in an epoch, counted from 0: `permutation(n)`.
 * @param {number} n
 * @param {number} seed
 * @param {number} epoch
 */
export function epochOrder(n, seed, epoch) {
  const { below } = generator(seed, epoch + 1);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * First weights, as lenet.network.parameters.initialize(network, "xavier", seed) draws them.
 * @param {import("./trace.js").Network} network
 * @param {number} seed
 * @returns {import("./trace.js").Weights}
 */
export function firstWeights(network, seed) {
  const { random } = generator(seed, 0);
  const traced = trace(network);
  const weights = new Map();
  for (const [name, shape] of parameterShapes(traced)) {
    const [index, part] = name.split(".");
    const { type, layer } = traced[Number(index)];
    const area = isDense(type) ? 1 : layer.kernel_size ** 2;
    const into = (layer.in_features ?? layer.in_channels) * area;
    const out = (layer.out_features ?? layer.out_channels) * area;
    const bound = part === "bias" ? 1 / Math.sqrt(into) : Math.sqrt(6 / (into + out));
    const length = shape.reduce((all, size) => all * size, 1);
    const data = Float32Array.from({ length }, () => -bound + 2 * bound * random());
    weights.set(name, { shape, data });
  }
  return weights;
}

/** The four numbers of 64 bits that NumPy's SeedSequence makes of words of 32 bits. */
function seedWords(words) {
  const pool = new Uint32Array(POOL);
  let constant = 0x43b0d7e5;
  const hashed = (value) => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> 16);
  };
  for (let i = 0; i < POOL; i++) pool[i] = hashed(words[i] ?? 0);
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from === to) continue;
      const both = Math.imul(0xca01f9dd, pool[to]) - Math.imul(0x4973f715, hashed(pool[from]));
      pool[to] = both ^ (both >>> 16);
    }
  }
  constant = 0x8b51f9dd;
  const state = Uint32Array.from({ length: 2 * POOL }, (_, i) => {
    const mixed = pool[i % POOL] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> 16);
  });
  return Array.from(
    { length: POOL },
    (_, i) => (BigInt(state[2 * i + 1]) << 32n) | BigInt(state[2 * i]),
  );
}
