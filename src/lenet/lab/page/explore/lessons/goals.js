/** What the page knows to check: numbers that it measures, numbers pointed at, things done. */

import { stagesOf } from "lenet/explore/network/stages.js";
import { outputOf, validUnit } from "lenet/explore/network/units.js";
import { product } from "lenet/network/shapes.js";
import { softmax } from "lenet/network/softmax.js";

/** The shares of the classes as they are shown, or null while nothing is computed. */
export function sharesOf({ model, outputs, traced }) {
  if (!model || outputs?.length !== traced?.length) return null;
  return softmax(outputs.at(-1), model.calibration.temperature);
}

/** The most probable class, or null. */
export function verdictOf(state) {
  const shares = sharesOf(state);
  return shares ? shares.indexOf(Math.max(...shares)) : null;
}

/**
 * What the page measures by a name: "parameters C1", "parameters" (all), "outputs C1", "field S4"
 * (rows), "number" (the one pointed at), "share" (in percent) and "loss" (−ln share) of the true
 * class, of the verdict where no class is known to be true. Null where there is none.
 */
export function measured(name, state) {
  const [what, stage] = name.split(" ");
  const { traced, unit, picture } = state;
  if (!traced) return null;
  const row = stage ? traced.find((each) => each.stage === stage) : null;
  if (stage && !row) return null;
  if (what === "parameters") {
    return row ? row.parameters : traced.reduce((sum, each) => sum + each.parameters, 0);
  }
  if (what === "outputs") return product(row.outputShape);
  if (what === "field") return row.receptiveField[0];
  if (what === "number") return validUnit(traced, unit) ? (outputOf(state, unit) ?? null) : null;
  const shares = sharesOf(state);
  if (!shares) return null;
  const share = shares[picture?.label ?? verdictOf(state)];
  return what === "share" ? 100 * share : -Math.log(share);
}

/** The number that a text says: "3,692,640", "−0.5", "12%"; NaN where it says none. */
export function numberIn(text) {
  const plain = text.replaceAll("−", "-").replaceAll(/[\s,，%]/g, "");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : Number.NaN;
}

/** Whether a number is the answer: exactly for whole ones, else to one in a hundred. */
export function isNear(number, answer, within = null) {
  const usual = Number.isInteger(answer) ? 0 : Math.max(0.01 * Math.abs(answer), 0.0006);
  return Math.abs(number - answer) <= (within ?? usual) + 1e-12;
}

/** Whether the number that is pinned is what `point` {stage, value} asks for. */
export function pointsAt({ stage, value = "any" }, state) {
  const { traced, unit, pinned } = state;
  if (!pinned || !validUnit(traced, unit)) return false;
  const wanted =
    stage === "picture"
      ? [-1]
      : stagesOf(traced).find((each) => each.layers.includes(rowOf(traced, stage)))?.layers;
  if (!wanted?.includes(unit.layer)) return false;
  const number = outputOf(state, unit);
  if (number === undefined) return false;
  const all = unit.layer < 0 ? state.input : state.outputs[unit.layer];
  return {
    any: () => true,
    largest: () => number >= Math.max(...all),
    smallest: () => number <= Math.min(...all),
    positive: () => number > 0,
    negative: () => number < 0,
    zero: () => number === 0,
  }[value]();
}

/** The number of the layer that is a stage, or −2: no layer. */
export function rowOf(traced, stage) {
  const at = traced.findIndex((row) => row.stage === stage);
  return at < 0 ? -2 : at;
}

/** Whether something is done; `begun` is the state when it was asked for. */
export function isDone(doing, state, begun) {
  const { model, picture, pixels, weights, gates, cover, unit, pinned } = state;
  const label = picture?.label ?? null;
  return {
    pin: () => pinned && unit !== begun.unit,
    draw: () => picture?.source === "draw" && pixels !== null && pixels.some((ink) => ink > 0),
    cover: () => cover !== null,
    change: () => model !== null && weights !== (state.base ?? model.weights),
    "switch-off": () => gates !== null,
    wrong: () => label !== null && verdictOf(state) !== null && verdictOf(state) !== label,
    right: () => label !== null && verdictOf(state) === label,
    moment: () => model !== null && model.ref !== begun.model?.ref,
  }[doing]();
}
