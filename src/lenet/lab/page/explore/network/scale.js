/** Scales of colours: fast tables, limits that stay while one draws, text that can be read. */

import { currentTheme, greyColor, sequentialColor, signedColor } from "lenet/colors.js";

const STEPS = 255; // on each side of zero

/** The signed scale as 511 pixels (RGBA in one number), −limit first; for `colorAt`. */
export function signedPixels(theme = currentTheme()) {
  return table(2 * STEPS + 1, (i) => signedColor((i - STEPS) / STEPS, 1, theme));
}

/** The scale of pictures as 256 pixels, black first. */
export function greyPixels() {
  return table(STEPS + 1, (i) => greyColor(i / STEPS, 1));
}

/** The scale of values that are never negative as 256 pixels, its beginning first. */
export function sequentialPixels(theme = currentTheme()) {
  return table(STEPS + 1, (i) => sequentialColor(i / STEPS, 1, theme));
}

/** The figure's colours: the three scales. */
export function figureColors() {
  return {
    signed: signedPixels(),
    grey: greyPixels(),
    sequential: sequentialPixels(),
  };
}

/** Writes the colours of signed values into `pixels`; `order[i]` is the place of value i. */
export function paintSigned(pixels, colors, values, limit, order = null) {
  const factor = limit > 0 ? STEPS / limit : 0;
  for (let i = 0; i < values.length; i++) {
    const step = Math.round(values[i] * factor);
    const at = step > STEPS ? STEPS : step < -STEPS ? -STEPS : step || 0; // NaN is drawn as zero
    pixels[order === null ? i : order[i]] = colors[at + STEPS];
  }
}

/** The same for values that are never negative, on a scale from `low` to `high`. */
export function paintRange(pixels, colors, values, { low, high }, order = null) {
  const factor = high > low ? STEPS / (high - low) : 0;
  for (let i = 0; i < values.length; i++) {
    const step = Math.round((values[i] - low) * factor);
    pixels[order === null ? i : order[i]] = colors[Math.min(Math.max(step || 0, 0), STEPS)];
  }
}

/** The same for a picture's values: `from` is black, `to` is white. */
export function paintGrey(pixels, colors, values, from, to) {
  for (let i = 0; i < values.length; i++) {
    const step = Math.round(((values[i] - from) / (to - from)) * STEPS);
    pixels[i] = colors[Math.min(Math.max(step || 0, 0), STEPS)];
  }
}

function table(length, colorOf) {
  const bytes = new Uint8ClampedArray(4 * length);
  for (let i = 0; i < length; i++) bytes.set([...colorOf(i), 255], 4 * i);
  return new Uint32Array(bytes.buffer);
}

const ROUND = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];

/** The smallest round number (1, 1.2, 1.5, 2 … times a power of ten) that is at least `value`. */
export function roundLimit(value) {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = ROUND.find((each) => each * power >= value * (1 - 1e-6)) ?? 10;
  return Number((step * power).toPrecision(2));
}

const PATIENCE = 30; // pictures that a scale stays too wide before it narrows

/**
 * A function from values to the limit of their scale, a round number, which changes seldom.
 *
 * A larger value widens the scale at once; it narrows when many pictures in a row have left most
 * of it unused, so that colours do not flicker while one draws.
 */
export function steadyLimit() {
  let limit = 0;
  let unused = 0;
  return (values) => {
    let most = 0;
    for (let i = 0; i < values.length; i++) {
      const size = Math.abs(values[i]);
      if (size > most && size < Infinity) most = size;
    }
    const narrow = most > 0 && most < 0.4 * limit;
    unused = narrow ? unused + 1 : 0;
    if (most > limit || unused > PATIENCE) {
      limit = roundLimit(most);
      unused = 0;
    }
    return limit || 1;
  };
}

/**
 * The same for values that are never negative: a function from values to {low, high}. The scale
 * begins at 0, unless all values lie so close together that they would look alike.
 */
export function steadyRange() {
  let range = null;
  let unused = 0;
  return (values) => {
    let [least, most] = [Infinity, 0];
    for (let i = 0; i < values.length; i++) {
      if (values[i] > most && values[i] < Infinity) most = values[i];
      if (values[i] < least) least = values[i];
    }
    const wanted = roundRange(Math.min(least, most), most);
    const holds = range !== null && least >= range.low && most <= range.high;
    const narrow = holds && wanted.high - wanted.low < 0.4 * (range.high - range.low);
    unused = narrow ? unused + 1 : 0;
    if (!holds || unused > PATIENCE) {
      range = wanted;
      unused = 0;
    }
    return range;
  };
}

function roundRange(least, most) {
  if (!(least > 0.4 * most)) return { low: 0, high: roundLimit(most) };
  const span = roundLimit(Math.max(most - least, 0.05 * most));
  const step = span / 4;
  const low = Math.floor(least / step) * step;
  const high = Math.ceil(most / step) * step;
  const tidy = (value) => Number(value.toPrecision(4));
  return { low: tidy(low), high: tidy(Math.max(high, low + step)) };
}

/** How many decimals show numbers of up to this size in a grid: two, more where all are small. */
export function decimalsFor(limit) {
  if (!(limit > 0)) return 2;
  if (limit >= 100) return 0;
  return limit >= 10 ? 1 : Math.min(Math.max(1 - Math.floor(Math.log10(limit)), 2), 5);
}

const MOST_GLYPHS = 4; // of a number in a cell: more would touch the next one's

/** The power of ten that a grid's numbers are written in, so that those up to `limit` are short. */
export function unitOfCells(limit) {
  if (!(limit > 1e-8) || (limit >= 0.1 && limit < 1000)) return 0;
  return Math.floor(Math.log10(limit) + 1e-9);
}

/** A number in a cell, in units of 10 to the `power`: "1.25", "−1.3", ".25", "−.25", "−123". */
export function cellText(value, power = 0) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const scaled = value / 10 ** power;
  const sign = scaled < 0 ? "−" : "";
  for (let decimals = 2; decimals >= 0; decimals--) {
    const digits = Math.abs(scaled)
      .toFixed(decimals)
      .replace(/^0(?=\.)/, "");
    if (Number(digits) === 0) return "0";
    if (sign.length + digits.length <= MOST_GLYPHS) return sign + digits;
  }
  return sign === "" ? "+" : "−"; // beyond the scale; its colour says so as well
}

/** An exponent as text: "⁻³". */
export function raised(power) {
  const digit = (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)];
  return [...String(power)].map(digit).join("");
}
