/** Stages: the layers of a network folded into what one looks at as one thing. */

import { boundsOf, isActivation, isDense, isWindowed, LAYERS } from "lenet/network/layers.js";

/** @typedef {import("lenet/network/trace.js").TracedLayer} TracedLayer */

/**
 * @typedef {object} Stage
 * @property {string} name "C1", or the kind of a layer that is no stage of the paper's; "" for the
 *   picture
 * @property {number[]} layers in their order; −1 is the picture
 * @property {number} sum the layer that reads the stage before
 * @property {number | null} activation the layer that the activation is, where there is one
 */

/**
 * The stages of a network, the picture's first: a layer with windows or weights begins one, and
 * what only passes its numbers on (activation, dropout, Flatten) belongs to it.
 * @param {TracedLayer[]} traced
 * @returns {Stage[]}
 */
export function stagesOf(traced) {
  const stages = [{ name: "", layers: [-1], sum: -1, activation: null }];
  for (const { index, type, stage } of traced) {
    if (isWindowed(type) || isDense(type)) {
      stages.push({ name: stage || type, layers: [index], sum: index, activation: null });
      continue;
    }
    const last = stages.at(-1);
    last.layers.push(index);
    if (isActivation(type)) last.activation = index;
  }
  return stages;
}

/**
 * Which of a stage's layers is shown: the one that is pointed at, else the activation, or what
 * goes into it where `folded` is false.
 * @param {Stage} stage
 * @param {number | null} pointed
 * @param {boolean} folded
 */
export function shownLayer({ layers, sum, activation }, pointed, folded) {
  if (pointed !== null && layers.includes(pointed)) return pointed;
  return folded && activation !== null ? activation : sum;
}

/**
 * Whether each layer's numbers are never negative: they get a scale that begins at 0.
 * @param {TracedLayer[]} traced
 * @returns {boolean[]}
 */
export function nonNegative(traced) {
  const found = [];
  for (const { index, type, layer } of traced) {
    const before = index > 0 && found[index - 1];
    const kept = LAYERS.get(type).keepsRange === true && before;
    found.push(kept || (boundsOf(type, layer)?.[0] ?? -1) >= 0);
  }
  return found;
}
