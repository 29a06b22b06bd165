/** What a number depends on, layer by layer, down to the pixels. */

import { connected, isConvolution, isDense, isWindowed } from "lenet/network/layers.js";
import { sources } from "lenet/network/places.js";
import { place } from "lenet/network/shapes.js";

/**
 * @typedef {import("lenet/network/trace.js").TracedLayer} TracedLayer
 * @typedef {{top: number, left: number, bottom: number, right: number}} Box half-open
 * @typedef {object} Region of one layer: of these channels (units, where it is a vector) this part
 * @property {number} layer
 * @property {number[]} channels
 * @property {Box} clip
 */

/**
 * The regions of every layer below that a unit is computed from, the nearest first; the last is
 * the picture's.
 * @param {TracedLayer[]} traced
 * @param {number} layer
 * @param {number} unit
 * @returns {Region[]}
 */
export function coneOf(traced, layer, unit) {
  const regions = [];
  if (layer < 0) return regions;
  const { channels, clip } = sources(traced, layer, unit);
  regions.push({ layer: layer - 1, channels, clip });
  for (let at = layer - 1; at >= 0; at--) regions.push(below(traced[at], regions.at(-1)));
  return regions;
}

/**
 * The region that another one is computed from, by its layer.
 * @param {TracedLayer} row
 * @param {Region} region
 * @returns {Region}
 */
function below({ index, type, layer, inputShape }, { channels, clip }) {
  const whole = { layer: index - 1, channels: every(inputShape[0]), clip: box(inputShape) };
  if (isDense(type)) return whole;
  if (type === "Flatten") {
    if (channels.length !== 1) return whole;
    const { channel, row, column } = place(inputShape, channels[0]);
    const cell = { top: row, left: column, bottom: row + 1, right: column + 1 };
    return { layer: index - 1, channels: [channel], clip: cell };
  }
  if (!isWindowed(type)) return { layer: index - 1, channels, clip };
  const { kernel_size: k, stride, padding } = layer;
  const [, height, width] = inputShape;
  const read = isConvolution(type)
    ? [...new Set(channels.flatMap((channel) => connected(layer, channel)))].sort((a, b) => a - b)
    : channels;
  return {
    layer: index - 1,
    channels: read,
    clip: {
      top: Math.max(clip.top * stride - padding, 0),
      left: Math.max(clip.left * stride - padding, 0),
      bottom: Math.min((clip.bottom - 1) * stride - padding + k, height),
      right: Math.min((clip.right - 1) * stride - padding + k, width),
    },
  };
}

/**
 * @param {number} count
 * @returns {number[]}
 */
const every = (count) => Array.from({ length: count }, (_, i) => i);

/**
 * @param {number[]} shape
 * @returns {Box}
 */
const box = ([, height = 1, width = 1]) => ({ top: 0, left: 0, bottom: height, right: width });
