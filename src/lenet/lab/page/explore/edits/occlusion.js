/** Covering every place of a picture in turn: where does the network look? */

import { softmax } from "lenet/network/softmax.js";

const PLACES = 32; // rows and columns of the map at most

/**
 * The places that the cover is laid on: {rows, columns, step, pictures, covers}; at most `most` of
 * them beside one another.
 *
 * `covers` are {top, left, size, value}, row by row, each with its middle at its place; `pictures`
 * the covered ones, uint8 c·h·w each, one after the other, led by the picture as it is.
 */
export function occlusions([channels, height, width], pixels, size, value, most = PLACES) {
  const step = Math.max(1, Math.ceil(Math.max(height, width) / most));
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const covers = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = (i) => i * step + ((step - size) >> 1);
      covers.push({ top: at(y), left: at(x), size, value });
    }
  }
  const length = channels * height * width;
  const pictures = new Uint8Array((covers.length + 1) * length);
  pictures.set(pixels);
  covers.forEach((cover, i) => {
    const picture = pictures.subarray((i + 1) * length, (i + 2) * length);
    picture.set(pixels);
    lay(picture, [channels, height, width], cover);
  });
  return { rows, columns, step, pictures, covers };
}

/**
 * What the covers did: {target, probability, changes, lowest} from the logits of `pictures`.
 *
 * `target` is the class of the picture as it is, `probability` its; `changes` (Float32Array) what
 * each cover changed of it; `lowest` the place where it fell most.
 */
export function occlusionChanges(logits, classes, { temperature }) {
  const of = (i) => logits.subarray(i * classes, (i + 1) * classes);
  const probabilities = (i) => softmax(of(i), temperature);
  const first = probabilities(0);
  const target = first.indexOf(Math.max(...first));
  const count = logits.length / classes - 1;
  const changes = Float32Array.from({ length: count }, (_, i) => {
    return probabilities(i + 1)[target] - first[target];
  });
  const lowest = changes.indexOf(Math.min(...changes));
  return { target, probability: first[target], changes, lowest };
}

/**
 * The pixels (uint8, c·h·w) with a cover over them; the pixels themselves where there is none.
 *
 * The cover {top, left, size, value} may lie beyond the edge.
 */
export function covered(shape, pixels, cover) {
  if (!cover) return pixels;
  const picture = pixels.slice();
  lay(picture, shape, cover);
  return picture;
}

function lay(picture, [channels, height, width], { top, left, size, value }) {
  const [bottom, right] = [Math.min(top + size, height), Math.min(left + size, width)];
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(top, 0); y < bottom; y++) {
      const row = (c * height + y) * width;
      picture.fill(value, row + Math.max(left, 0), row + right);
    }
  }
}
