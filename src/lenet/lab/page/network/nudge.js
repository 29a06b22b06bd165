/** A picture nudged towards a class: the fast gradient sign method, in one step or in several. */

import { forward, normalize } from "./forward.js";
import { contrast } from "./gradient.js";

/**
 * @typedef {import("./trace.js").Network} Network
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {import("./trace.js").Weights} Weights
 * @typedef {{traced: TracedLayer[], gates?: import("./forward.js").Gates | null}} How
 * @typedef {{to: number, size: number, steps: number}} Nudge
 */

/** The largest nudge of a pixel, of 255. */
export const LARGEST_NUDGE = 64;

/**
 * The pixels (uint8, c·h·w), none of them changed by more than `size` of 255, towards class `to`.
 *
 * Each step moves every pixel by size / steps the way in which z(to) gains on the logit of its
 * strongest rival: by the sign of the gradient. One step is the fast gradient sign method
 * (Goodfellow et al. 2015), several are the basic iterative method (Kurakin et al. 2017). A pixel
 * whose gradient is 0 stays; none leaves 0 to 255; what comes out is whole numbers again.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Uint8Array} pixels
 * @param {Nudge} nudge
 * @param {How} how
 */
export function nudged(network, weights, pixels, { to, size, steps }, { traced, gates }) {
  const at = Float64Array.from(pixels);
  for (let step = 0; step < steps; step += 1) {
    const input = normalize(network, at);
    const outputs = forward(network, weights, input, { traced, gates });
    const rival = strongestBut(outputs.at(-1), to);
    const [slopes] = contrast(network, weights, input, outputs, to, rival, { traced, gates });
    for (let i = 0; i < at.length; i += 1) {
      const way = Math.sign(slopes[i]) || 0; // 0 where it is no number
      at[i] = Math.min(Math.max(at[i] + (way * size) / steps, 0), 255);
    }
  }
  return Uint8Array.from(at, Math.round);
}

/**
 * The smallest whole size at which the nudge makes `to` the verdict; null where none up to
 * LARGEST_NUDGE does; 0 where it is the verdict already.
 * @param {Network} network
 * @param {Weights} weights
 * @param {Uint8Array} pixels
 * @param {{to: number, steps: number}} nudge
 * @param {How} how
 */
export function smallestNudge(network, weights, pixels, { to, steps }, how) {
  for (let size = 0; size <= LARGEST_NUDGE; size += 1) {
    const moved = size === 0 ? pixels : nudged(network, weights, pixels, { to, size, steps }, how);
    const logits = forward(network, weights, normalize(network, moved), how).at(-1);
    if (logits[to] > logits[strongestBut(logits, to)]) return size;
  }
  return null;
}

/**
 * The pixels moved at random by `size`, up or down: as far as a nudge of one step moves them, but
 * in no direction. The same for the same `size` and number of pixels.
 * @param {Uint8Array} pixels
 * @param {number} size
 */
export function jostled(pixels, size) {
  let state = 1;
  return pixels.map((value) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return Math.min(Math.max(value + (state >>> 31 ? size : -size), 0), 255);
  });
}

/**
 * The class with the highest logit besides `one`.
 * @param {Float32Array} logits
 * @param {number} one
 */
function strongestBut(logits, one) {
  let best = one === 0 ? 1 : 0;
  for (let i = 0; i < logits.length; i += 1) if (i !== one && logits[i] > logits[best]) best = i;
  return best;
}
