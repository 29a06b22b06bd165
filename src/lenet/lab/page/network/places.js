/** What of the picture, and of the layer below, a unit depends on. */

import { connected, isDense, isWindowed } from "./layers.js";
import { place } from "./shapes.js";

/**
 * @typedef {import("./trace.js").TracedLayer} TracedLayer
 * @typedef {{top: number, left: number, bottom: number, right: number}} Box half-open
 */

/**
 * What of the input picture a unit depends on: {top, left, bottom, right, clip}, half-open.
 *
 * The first four may lie outside of the picture, in the padding; `clip` is the part that is inside.
 * Layer −1 is the picture itself.
 * @param {TracedLayer[]} traced
 * @param {number} layer
 * @param {number} unit
 * @returns {Box & {clip: Box}}
 */
export function receptiveField(traced, layer, unit) {
  const picture = traced[0].inputShape;
  if (layer < 0) {
    const { row, column } = place(picture, unit);
    return region(row, column, 1, 1, picture);
  }
  const { receptiveField: field, inputStride: stride, inputOffset: offset } = traced[layer];
  const { row, column } = place(shapeOnPicture(traced, layer), unit);
  const [top, left] = [offset + row * stride, offset + column * stride];
  return region(top, left, field[0], field[1], picture);
}

/**
 * The shape in which a layer's units lie on the picture: behind Flatten, the map before it.
 * @param {TracedLayer[]} traced
 * @param {number} layer
 * @returns {number[]}
 */
function shapeOnPicture(traced, layer) {
  const { type, inputShape, outputShape } = traced[layer];
  if (type === "Flatten") return inputShape;
  if (outputShape.length === 3 || isDense(type)) return outputShape;
  return shapeOnPicture(traced, layer - 1);
}

/**
 * What of the layer below a unit is computed from: {layer, channels, top, left, bottom, right,
 * clip}, half-open. `layer` is −1 for the input picture. Of a vector, the channels are the units.
 * @param {TracedLayer[]} traced
 * @param {number} layer
 * @param {number} unit
 * @returns {{layer: number, channels: number[], clip: Box} & Box}
 */
export function sources(traced, layer, unit) {
  const { type, layer: description, inputShape, outputShape } = traced[layer];
  const below = { layer: layer - 1 };
  if (isDense(type)) {
    const channels = Array.from({ length: inputShape[0] }, (_, channel) => channel);
    return { ...below, channels, ...region(0, 0, 1, 1, inputShape) };
  }
  if (!isWindowed(type)) {
    const { channel, row, column } = place(inputShape, unit);
    return { ...below, channels: [channel], ...region(row, column, 1, 1, inputShape) };
  }
  const { channel, row, column } = place(outputShape, unit);
  const channels = type === "Conv2d" ? connected(description, channel) : [channel];
  const { kernel_size: k, stride, padding } = description;
  const [top, left] = [row * stride - padding, column * stride - padding];
  return { ...below, channels, ...region(top, left, k, k, inputShape) };
}

/**
 * @param {number} top
 * @param {number} left
 * @param {number} rows
 * @param {number} columns
 * @param {number[]} shape
 */
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
