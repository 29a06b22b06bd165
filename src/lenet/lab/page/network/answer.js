/** What is answered to a request of lenet/calculator.js, in a worker or in the page. */

import { quoted } from "./description.js";
import { forward, normalize } from "./forward.js";
import { nudged, smallestNudge } from "./nudge.js";
import { principalPlane } from "./plane.js";
import { product, shapeText } from "./shapes.js";
import { trace } from "./trace.js";

const KINDS = {
  run: runOne,
  many: runMany,
  hidden: runHidden,
  nudge: nudgeOne,
  smallest: smallestOf,
};

/**
 * The reply to a request of lenet/calculator.js, {id, result} or {id, error}. `models` is a Map
 * that "load" and "unload" change: key → {network, weights, traced}.
 * @param {Map<string, any>} models
 * @param {any} request
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
    if (kind === "plane") return { id, result: principalPlane(request.points, request.width) };
    const model = models.get(key);
    if (!model) throw new Error(`no network is loaded as ${quoted(key)}`);
    return { id, result: KINDS[kind](model, request) };
  } catch (error) {
    return { id, error: error.message };
  }
}

/**
 * @param {any} model
 * @param {any} request
 */
function runOne({ network, weights, traced }, { pixels, gates }) {
  const input = pixels instanceof Float32Array ? pixels : normalize(network, pixels);
  if (input.length !== product(network.input_shape)) {
    const wanted = shapeText(network.input_shape);
    throw new Error(`the picture has ${input.length} numbers, the network needs ${wanted}`);
  }
  return forward(network, weights, input, { traced, gates });
}

/**
 * The logits (n·classes) of pictures (n·c·h·w, uint8).
 * @param {any} model
 * @param {any} request
 */
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

/**
 * Of pictures (n·c·h·w, uint8) the numbers that the last layer reads and gives: n·(read + classes).
 * @param {any} model
 * @param {any} request
 */
function runHidden({ network, weights, traced }, { pictures, gates }) {
  const size = product(network.input_shape);
  const found = [];
  for (let at = 0; at < pictures.length; at += size) {
    const input = normalize(network, pictures.subarray(at, at + size));
    found.push([input, ...forward(network, weights, input, { traced, gates })].slice(-2));
  }
  const [read, given] = found[0];
  const width = read.length + given.length;
  const all = new Float32Array(found.length * width);
  found.forEach(([inner, logits], n) => {
    all.set(inner, n * width);
    all.set(logits, n * width + inner.length);
  });
  return all;
}

/**
 * The pixels (uint8) nudged towards a class.
 * @param {any} model
 * @param {any} request
 */
function nudgeOne({ network, weights, traced }, { pixels, nudge, gates }) {
  return nudged(network, weights, pixels, nudge, { traced, gates });
}

/**
 * The smallest nudge that makes a class the verdict.
 * @param {any} model
 * @param {any} request
 */
function smallestOf({ network, weights, traced }, { pixels, nudge, gates }) {
  return smallestNudge(network, weights, pixels, nudge, { traced, gates });
}
