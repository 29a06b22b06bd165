/** One step of gradient descent, on a network that may have been changed before. */

import { covered } from "lenet/explore/edits/occlusion.js";
import { backwardPass, lossOf, takeStep } from "lenet/network/backward.js";
import { forward, normalize } from "lenet/network/forward.js";
import { trace } from "lenet/network/trace.js";

/**
 * @typedef {import("lenet/explore/edits/address.js").Edits} Edits
 * @typedef {import("lenet/explore/edits/address.js").Step} Step
 */

/**
 * A step on one picture: towards `label`, at a learning rate; for the `steps` of changes.js.
 *
 * `from` {weights, gates, cover} is what computes before it; `picture` says which it is, `pixels`
 * (uint8, uncovered) are its, `seen` those that the network gets, unless they follow from these.
 * Throws an Error where there is no way back (an RBF layer at the end).
 * @param {import("lenet/network/trace.js").Network} network
 * @param {Edits} from
 * @param {{picture: Step["picture"], pixels: Uint8Array, label: number, rate: number,
 *   seen?: Uint8Array}} how
 * @returns {Step}
 */
export function stepOn(network, from, { picture, pixels, label, rate, seen }) {
  const { weights, gates, cover } = from;
  const traced = trace(network);
  const input = normalize(network, seen ?? covered(network.input_shape, pixels, cover));
  const outputs = forward(network, weights, input, { traced, gates });
  const pass = backwardPass(network, weights, input, outputs, label, { traced, gates });
  const to = takeStep(weights, pass.weights, rate);
  const logits = forward(network, to, input, { traced, gates }).at(-1);
  return {
    picture,
    pixels,
    label,
    rate,
    from,
    to,
    before: { loss: pass.loss, logits: outputs.at(-1) },
    after: { loss: lossOf(logits, label).loss, logits },
  };
}
