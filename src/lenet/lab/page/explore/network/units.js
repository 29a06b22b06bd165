/** Units: how they are called, how one gets from one to another. */

import { show } from "lenet/dom.js";
import { isActivation, isWindowed, roleOf } from "lenet/network/layers.js";
import { place, product, shapeText, unitAt } from "lenet/network/shapes.js";

/** The shape of a layer's output; of the picture for layer −1. */
export function shapeOf(traced, layer) {
  return layer < 0 ? traced[0].inputShape : traced[layer].outputShape;
}

/** Whether a layer's output is a vector, or maps of one number each. */
export function isVector(shape) {
  const [, height = 1, width = 1] = shape;
  return height * width === 1;
}

/** A layer's kind with its window: "Conv2d 5×5", "Sigmoid", "Linear". */
export function layerKind({ type, layer }) {
  const k = layer.kernel_size;
  return isWindowed(type) ? `${type} ${k}×${k}` : type;
}

/** What a layer is called in a sentence: "C1", "Sigmoid after C1", "the picture". */
export function layerName(t, traced, layer) {
  if (layer < 0) return t("unit.picture");
  const { stage, type } = traced[layer];
  if (stage) return stage;
  const before = traced.slice(0, layer).findLast((row) => row.stage);
  return before ? t("unit.after", { type, stage: before.stage }) : type;
}

/** A layer's whole title: "C1 · Conv2d 5×5 · 6×28×28". */
export function layerTitle(t, traced, layer) {
  const shape = shapeText(shapeOf(traced, layer));
  if (layer < 0) return `${t("maps.input")} · ${shape}`;
  const name = layerName(t, traced, layer);
  const kind = traced[layer].stage ? `${layerKind(traced[layer])} · ` : "";
  return `${name} · ${kind}${shape}`;
}

/** Where a unit lies in its layer: "channel 3, row 12, column 7", or "unit 17". */
export function placeName(t, shape, index) {
  if (shape.length === 1) return t("unit.unit", { unit: index });
  const { channel, row, column } = place(shape, index);
  return t("unit.place", { channel, row, column });
}

/** A unit's whole name; with the name of its class in the last layer. */
export function unitName(t, { network, traced }, { layer, index }) {
  const named = `${layerName(t, traced, layer)}${t("unit.comma")}`;
  const where = placeName(t, shapeOf(traced, layer), index);
  const last = layer === traced.length - 1;
  return named + where + (last ? t("unit.class", { name: network.classes[index] }) : "");
}

/** A unit's name and value in one line: "C1, channel 3, row 12, column 7: 0.412". */
export function unitText(t, state, unit) {
  const { model, traced, gates } = state;
  const name = unitName(t, { network: model.network, traced }, unit);
  const value = outputOf(state, unit);
  const text = value === undefined ? name : t("unit.value", { name, value: show(value, 3) });
  return isOff(gates, traced, unit) ? text + t("unit.off") : text;
}

/** The number that a unit has now; undefined while nothing is computed. */
export function outputOf({ input, outputs }, { layer, index }) {
  return (layer < 0 ? input : outputs?.[layer])?.[index];
}

/** Whether What if has switched off the channel of a unit. */
export function isOff(gates, traced, { layer, index }) {
  const gate = layer < 0 ? null : gates?.get(layer);
  return gate ? gate[place(traced[layer].outputShape, index).channel] === 0 : false;
}

/** The unit, if the network has it; else null: an address or another network may have named it. */
export function validUnit(traced, unit) {
  if (!traced || !unit || unit.layer < -1 || unit.layer >= traced.length) return null;
  return unit.index >= 0 && unit.index < product(shapeOf(traced, unit.layer)) ? unit : null;
}

/**
 * The unit that stays pointed at when another network is opened, or null: the same one where the
 * layers do the same with whatever function, a class where both have it. `from` and `to` are the
 * traced networks.
 */
export function unitInOther(from, to, unit) {
  if (!validUnit(from, unit)) return null;
  const kinds = (traced) =>
    traced.map(({ type, outputShape }) => `${roleOf(type)}:${outputShape}`).join();
  if (kinds(from) === kinds(to)) return unit;
  if (unit.layer === -1) return validUnit(to, unit);
  return unit.layer === from.length - 1 ? validUnit(to, { ...unit, layer: to.length - 1 }) : null;
}

/** Whether two units are the same; null is none. */
export function sameUnit(one, other) {
  if (!one || !other) return one === other;
  return one.layer === other.layer && one.index === other.index;
}

/**
 * The unit so many rows, columns and channels further, within the layer's bounds.
 *
 * In a vector a step in any direction is one to its neighbour; `strip` says how many units a row
 * and a column are apart where the vector is drawn in several.
 */
export function moved(traced, { layer, index }, step, strip = { row: 1, column: 1 }) {
  const { row = 0, column = 0, channel = 0 } = step;
  const shape = shapeOf(traced, layer);
  if (isVector(shape)) {
    const to = index + row * strip.row + column * strip.column + channel;
    return { layer, index: to >= 0 && to < product(shape) ? to : index };
  }
  const from = place(shape, index);
  const [channels, height, width] = shape;
  const at = {
    channel: clamp(from.channel + channel, channels),
    row: clamp(from.row + row, height),
    column: clamp(from.column + column, width),
  };
  return { layer, index: unitAt(shape, at) };
}

/** The unit of another layer at about the same place; the unit itself where there is no layer. */
export function inLayer(traced, { layer, index }, to) {
  if (to < -1 || to >= traced.length) return { layer, index };
  const [from, shape] = [shapeOf(traced, layer), shapeOf(traced, to)];
  if (product(from) === product(shape)) return { layer: to, index };
  const at = place(from, index);
  const [channels, height = 1, width = 1] = from;
  const [ofChannels, ofHeight = 1, ofWidth = 1] = shape;
  const scaled = (value, count, other) => Math.floor(((value + 0.5) * other) / count);
  // between a map and a vector there is no "same place": its middle is shown
  const middle = height * width === 1;
  return {
    layer: to,
    index: unitAt(shape, {
      channel: Math.floor((at.channel * ofChannels) / channels),
      row: middle ? Math.floor(ofHeight / 2) : scaled(at.row, height, ofHeight),
      column: middle ? Math.floor(ofWidth / 2) : scaled(at.column, width, ofWidth),
    }),
  };
}

function clamp(value, count) {
  return Math.min(Math.max(value, 0), count - 1);
}

/** What the sum of a layer (the one before an activation) reads: {count, flat}. */
export function readBy(traced, layer) {
  const before = isActivation(traced[layer].type) && layer > 0 ? layer - 1 : layer;
  const { inputShape } = traced[before];
  return { count: inputShape[0], flat: isVector(inputShape) };
}
