/** Pictures as small canvases, as the network gets them. */

import { greyColor, paint } from "lenet/colors.js";
import { h } from "lenet/dom.js";

/** Paints uint8 (c·h·w) into a canvas: one channel as grey, three as colours. */
export function paintPicture(canvas, pixels, [channels, rows, columns]) {
  if (channels !== 3) {
    paint(canvas, pixels, rows, columns, greyColor, 255);
    return;
  }
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  const size = rows * columns;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[c * size + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A canvas with the picture; decoration, whoever uses it says in words what it shows. */
export function thumbnail(pixels, shape) {
  const canvas = h("canvas", { class: "picture", "aria-hidden": "true" });
  paintPicture(canvas, pixels, shape);
  return canvas;
}
