/**
 * A training in the page, a batch at a time, that can be changed on its way.
 *
 * With one seed, and nothing changed, its weights are those of lenet's native engine with vectors
 * of the same width (x86-64-v2), to the bit.
 */

import { makeEngine } from "./engine.js";
import { epochOrder, firstWeights } from "./random.js";

/**
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {{images: Uint8Array, labels: Uint8Array, held: number}} Pictures the last `held` of
 *   them are not trained on
 * @typedef {object} Settings
 * @property {import("./engine.js").Optimizer} optimizer
 * @property {number} learningRate
 * @property {number} batchSize
 * @typedef {{name: string, at: number, value: number}} Edit of one number of the weights
 */

/**
 * @typedef {object} Reading
 * @property {number} step
 * @property {number} epoch with its fraction
 * @property {number | null} loss of the batches since the reading before, and their accuracy
 * @property {number | null} accuracy
 * @property {number | null} heldLoss where the held-out pictures have just been looked at
 * @property {number | null} heldAccuracy
 * @property {number} examplesPerSecond while it computed
 */

/** @typedef {Awaited<ReturnType<typeof startTraining>>} Training */

/**
 * A training that stands at its first weights: those given, or those of the seed.
 *
 * Throws an Error where the engine cannot compute the network.
 * @param {WebAssembly.Module} module engine.wasm
 * @param {{network: Network, pictures: Pictures, settings: Settings, seed: number,
 *   weights?: Weights | null}} how
 */
export async function startTraining(module, { network, pictures, settings, seed, weights }) {
  const { images, labels, held } = pictures;
  const count = labels.length - held;
  let order = epochOrder(count, seed, 0);
  let epoch = 0;
  let at = 0; // in the order
  let step = 0;
  let sum = { loss: 0, right: 0, examples: 0, seconds: 0 }; // since the last reading
  let engine = await prepared(network, weights ?? firstWeights(network, seed));

  async function prepared(wanted, first) {
    const made = await makeEngine(module, wanted, settings.optimizer);
    made.setPictures(images, labels);
    made.setWeights(first);
    return made;
  }

  /** One step. Returns whether an epoch ended with it. */
  function batch() {
    if (at >= count) {
      epoch += 1;
      at = 0;
      order = epochOrder(count, seed, epoch);
    }
    const { batchSize, learningRate } = settings;
    const part = order.subarray(at, at + batchSize);
    const begun = performance.now();
    const position = { seed, epoch, firstSample: at };
    const { losses, right } = engine.train(part, { batchSize, learningRate, position });
    sum = {
      loss: sum.loss + losses[0] * part.length,
      right: sum.right + right,
      examples: sum.examples + part.length,
      seconds: sum.seconds + (performance.now() - begun) / 1000,
    };
    at += part.length;
    step += 1;
    return at >= count;
  }

  /**
   * What has been measured since the last reading; `look`: at the held-out pictures, too.
   * @returns {Reading}
   */
  function read({ look = false } = {}) {
    const { loss, right, examples, seconds } = sum;
    sum = { loss: 0, right: 0, examples: 0, seconds: 0 };
    const seen = look && held > 0 ? engine.evaluate(count, held) : null;
    return {
      step,
      epoch: epoch + at / count,
      loss: examples > 0 ? loss / examples : null,
      accuracy: examples > 0 ? right / examples : null,
      heldLoss: seen?.loss ?? null,
      heldAccuracy: seen && seen.right / held,
      examplesPerSecond: seconds > 0 ? examples / seconds : 0,
    };
  }

  /** Other settings from the next step on; another optimiser begins without moments. */
  async function change(wanted) {
    const same = JSON.stringify(settings.optimizer) === JSON.stringify(wanted.optimizer);
    settings = wanted;
    if (!same) engine = await prepared(network, engine.weights());
  }

  /** Another network goes on with the weights whose names and shapes it has, too. */
  async function rebuild(wanted) {
    const before = engine.weights();
    const next = firstWeights(wanted, seed);
    for (const [name, { shape }] of next) {
      const kept = before.get(name);
      if (kept?.shape.join() === shape.join()) next.set(name, kept);
    }
    engine = await prepared(wanted, next);
    network = wanted;
  }

  return {
    batch,
    read,
    change,
    rebuild,
    weights: () => engine.weights(),
    /**
     * Sets single numbers; the training goes on from there.
     * @param {Edit[]} edits
     */
    edit(edits) {
      const now = engine.weights();
      for (const { name, at, value } of edits) {
        const data = now.get(name)?.data;
        if (data && at < data.length) data[at] = value;
      }
      engine.setWeights(now);
    },
    /** Moves every weight by up to `share` of what the weights beside it spread. */
    shake(share) {
      const now = engine.weights();
      for (const { data } of now.values()) {
        const spread = Math.sqrt(data.reduce((all, value) => all + value ** 2, 0) / data.length);
        for (let i = 0; i < data.length; i++) data[i] += share * spread * (2 * Math.random() - 1);
      }
      engine.setWeights(now);
    },
  };
}
