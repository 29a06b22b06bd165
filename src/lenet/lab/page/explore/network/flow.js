/** What each part of a network adds to a class, by stages: sums of gradient × number. */

import { connected, isConvolution, isPooling } from "lenet/network/layers.js";

/**
 * @typedef {import("lenet/network/trace.js").TracedLayer} TracedLayer
 * @typedef {import("lenet/network/trace.js").Weights} Weights
 * @typedef {{from: number, to: number, share: number}} Link from a channel (or unit) of what a
 *   layer reads to one of its own; the share is of the largest, negative where it speaks against
 */

const MOST_LINKS = 26; // into one stage: more would be a grey mass

/**
 * The strongest links into a layer. `maps` is how many channels its input had before Flatten, 0
 * where it was none; `x` is what the layer reads, `y` its output, `dy` the class's gradient by it.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Float32Array} y
 * @param {Float64Array} dy
 * @param {number} maps
 * @returns {Link[]}
 */
export function linksInto(row, weights, x, y, dy, maps) {
  const links = [];
  const add = (from, to, sum) => {
    if (sum !== 0 && Number.isFinite(sum)) links.push({ from, to, share: sum });
  };
  if (isConvolution(row.type)) convolutionLinks(row, weights, x, dy, add);
  else if (isPooling(row.type)) poolingLinks(row, y, dy, add);
  else if (row.type === "Linear") denseLinks(row, weights, x, dy, maps || x.length, add);
  links.sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const strongest = links.slice(0, MOST_LINKS);
  const most = Math.abs(strongest[0]?.share ?? 1);
  return strongest.map((link) => ({ ...link, share: link.share / most }));
}

/**
 * Σ over places of gradient × what the kernel makes of one channel.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {(from: number, to: number, sum: number) => void} add
 */
function convolutionLinks({ index, layer, inputShape, outputShape }, weights, x, dy, add) {
  const [channels, height, width] = inputShape;
  const [outputs, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  const weight = weights.get(`${index}.weight`).data;
  for (let o = 0; o < outputs; o++) {
    for (const c of connected(layer, o)) {
      let sum = 0;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          const g = dy[(o * rows + i) * columns + j];
          if (g === 0) continue;
          for (let u = 0; u < k; u++) {
            const y = i * stride - padding + u;
            if (y < 0 || y >= height) continue;
            for (let v = 0; v < k; v++) {
              const z = j * stride - padding + v;
              if (z < 0 || z >= width) continue;
              sum +=
                g * weight[((o * channels + c) * k + u) * k + v] * x[(c * height + y) * width + z];
            }
          }
        }
      }
      add(c, o, sum);
    }
  }
}

/**
 * A map goes on as itself: Σ of gradient × number over it.
 * @param {TracedLayer} row
 * @param {Float32Array} y
 * @param {Float64Array} dy
 * @param {(from: number, to: number, sum: number) => void} add
 */
function poolingLinks({ outputShape: [channels, rows, columns] }, y, dy, add) {
  const size = rows * columns;
  for (let c = 0; c < channels; c++) {
    add(
      c,
      c,
      dy.subarray(c * size, (c + 1) * size).reduce((sum, g) => sum + g, 0),
    );
  }
}

/**
 * Weight × number × gradient of the unit, summed over a map where the layer reads maps.
 * @param {TracedLayer} row
 * @param {Weights} weights
 * @param {Float32Array} x
 * @param {Float64Array} dy
 * @param {number} parts
 * @param {(from: number, to: number, sum: number) => void} add
 */
function denseLinks({ index }, weights, x, dy, parts, add) {
  const weight = weights.get(`${index}.weight`).data;
  const size = x.length / parts;
  for (let o = 0; o < dy.length; o++) {
    if (dy[o] === 0) continue;
    for (let part = 0; part < parts; part++) {
      let sum = 0;
      for (let i = part * size; i < (part + 1) * size; i++) sum += weight[o * x.length + i] * x[i];
      add(part, o, sum * dy[o]);
    }
  }
}
