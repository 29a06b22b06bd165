/** Scales of colours: for signed values, for those that are never negative, and for pictures. */

import { h, show } from "lenet/dom.js";

// Ends and middle of each theme's scale: negative, zero, positive. Equal steps look equal.
const SCALES = {
  light: { negative: [18, 92, 168], zero: [255, 255, 255], positive: [196, 66, 16] },
  dark: { negative: [92, 168, 240], zero: [24, 25, 28], positive: [244, 128, 72] },
};

// Paper at 0, then violet: neither of the signed scale's colours, and readable as dark and light.
const SEQUENCES = {
  light: [
    [255, 255, 255],
    [201, 190, 222],
    [128, 102, 172],
    [62, 33, 104],
    [22, 8, 44],
  ],
  dark: [
    [24, 25, 28],
    [62, 48, 96],
    [124, 98, 176],
    [190, 170, 230],
    [246, 240, 255],
  ],
};

/** The theme that is shown: "light" or "dark". */
export function currentTheme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** A colour of style.css, such as "--ink", as a canvas takes it: for the theme that is shown. */
export function styleColor(name) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(${name})`; // it is said for both themes: an element knows which holds
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The colour [r, g, b] of a signed value: blue below zero, paper at zero, orange-red above. */
export function signedColor(value, limit, theme = currentTheme()) {
  const { negative, zero, positive } = SCALES[theme];
  if (!(limit > 0) || Number.isNaN(value)) return zero;
  const share = Math.min(Math.abs(value) / limit, 1) ** 0.8;
  return mix(zero, value < 0 ? negative : positive, share);
}

/** The colour [r, g, b] of a value that is never negative, from 0 (paper) to `limit`. */
export function sequentialColor(value, limit, theme = currentTheme()) {
  const colors = SEQUENCES[theme];
  const share = limit > 0 && value > 0 ? Math.min(value / limit, 1) : 0;
  const at = share * (colors.length - 1);
  const from = Math.min(Math.floor(at), colors.length - 2);
  return mix(colors[from], colors[from + 1], at - from);
}

/**
 * The colour of a picture's value from 0 (black) to `limit` (white), in both themes.
 *
 * @returns {[number, number, number]}
 */
export function greyColor(value, limit) {
  const share = limit > 0 && value > 0 ? Math.min(value / limit, 1) : 0;
  const grey = Math.round(255 * share);
  return [grey, grey, grey];
}

/**
 * Black or white, as CSS has them: whichever stands out more on a colour, by the relative luminance
 * of WCAG 2.2. The better of the two has a contrast of at least 4.58 on any colour.
 */
export function textOn(color) {
  const [r, g, b] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** The colour as CSS has it. */
export function css([r, g, b]) {
  return `rgb(${r}, ${g}, ${b})`;
}

/**
 * Draws values (rows × columns) into a canvas, one pixel a value; CSS makes it larger.
 *
 * `color` is signedColor, sequentialColor or greyColor; `limit` the value at the scale's end.
 */
export function paint(canvas, values, rows, columns, color, limit) {
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
  }
  const theme = currentTheme();
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const [r, g, b] = color(values[i], limit, theme);
    image.data[4 * i] = r;
    image.data[4 * i + 1] = g;
    image.data[4 * i + 2] = b;
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** The largest absolute value, for a scale's end; at least `least`. */
export function largest(values, least = 1e-9) {
  let most = least;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

const LEGENDS = { signed: signedColor, sequential: sequentialColor, grey: greyColor };

/** The legend of a scale: a bar from −limit over 0 to limit; from 0 for one that is not signed. */
export function legend(limit, decimals = 2, scale = "signed") {
  const signed = scale === "signed";
  const bar = h("canvas", { class: "legend-bar", width: 64, height: 1, "aria-hidden": "true" });
  const share = (i) => (signed ? (i - 31.5) / 31.5 : i / 63);
  const values = Float32Array.from({ length: 64 }, (_, i) => share(i) * limit);
  paint(bar, values, 1, 64, LEGENDS[scale], limit);
  return h(
    "span",
    { class: "legend number" },
    signed ? show(-limit, decimals) : "0",
    " ",
    bar,
    " ",
    show(limit, decimals),
  );
}

function mix(from, to, share) {
  return from.map((value, i) => Math.round(value + (to[i] - value) * share));
}
