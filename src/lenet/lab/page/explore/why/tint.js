/** A picture in dark grey with numbers over it as colours: orange for, blue against. */

import { greyColor, sequentialColor, signedColor } from "lenet/colors.js";

const SCALE = 8; // pixels of the canvas for one of the picture's: what lies between is smooth
/** How much of a picture's light is left below colours, so that they stand out from it. */
export const DIMMED = 0.45;
const THEME = "dark"; // the ground is black in both: these are the colours that stand out from it

/**
 * Draws pixels (uint8, c·h·w) and over them values (rows × columns) up to `limit`, in `box` {top,
 * left, height, width} of the picture: all of it unless given. With `smooth` the values flow into
 * one another; with `signed` false they are never negative.
 */
export function paintTint(
  canvas,
  pixels,
  shape,
  { values = null, rows = 0, columns = 0, box = null, ...how },
) {
  const { limit, smooth = false, signed = true } = how;
  const [channels, height, width] = shape;
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(
    dimmedPicture(pixels, channels, height, width),
    0,
    0,
    canvas.width,
    canvas.height,
  );
  if (!values) return;
  const { top, left, height: h, width: w } = box ?? { top: 0, left: 0, height, width };
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(
    coloursOf(values, rows, columns, limit, signed),
    left * SCALE,
    top * SCALE,
    w * SCALE,
    h * SCALE,
  );
}

function dimmedPicture(pixels, channels, height, width) {
  const size = height * width;
  return sprite(height, width, (i) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += pixels[c * size + i];
    return [...greyColor((DIMMED * sum) / channels, 255), 255];
  });
}

/** A canvas of one pixel a value, each in its scale's last colour, the more opaque the larger. */
export function coloursOf(values, rows, columns, limit, signed = true) {
  const ends = signed
    ? { for: signOf(1), against: signOf(-1) }
    : { for: sequentialColor(0.65, 1, THEME), against: [0, 0, 0] };
  return sprite(rows, columns, (i) => {
    const share = limit > 0 ? Math.min(Math.abs(values[i]) / limit, 1) || 0 : 0;
    return [...(values[i] < 0 ? ends.against : ends.for), Math.round(225 * share ** 0.8)];
  });
}

/** The colour [r, g, b] of what speaks for (1) or against (−1), over a picture. */
export function signOf(sign) {
  return signedColor(sign, 1, THEME);
}

function sprite(rows, columns, colorOf) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) image.data.set(colorOf(i), 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
