/** Marks of classes: each has a colour and a shape, so that no colour has to be told apart. */

import { currentTheme } from "lenet/colors.js";
import { h } from "lenet/dom.js";

const TURN = 137.5; // degrees from one class's hue to the next one's: neighbours differ most

const ring = (r) => `M${r} 0A${r} ${r} 0 1 1 ${-r} 0A${r} ${r} 0 1 1 ${r} 0z`;
const hole = (r) => `M${r} 0A${r} ${r} 0 1 0 ${-r} 0A${r} ${r} 0 1 0 ${r} 0z`;

/** Shapes around 0, some 8 pixels wide. */
const SHAPES = [
  ring(3.6),
  "M-3.3 -3.3h6.6v6.6h-6.6z",
  "M0 -4.6L4.4 3.4H-4.4z",
  "M-1.3 -4.4h2.6v3.1h3.1v2.6h-3.1v3.1h-2.6v-3.1h-3.1v-2.6h3.1z",
  "M0 -4.8L4.8 0L0 4.8L-4.8 0z",
  ring(4) + hole(2.1),
  "M0 4.6L4.4 -3.4H-4.4z",
  "M-4 -2.4L-2.4 -4L0 -1.6L2.4 -4L4 -2.4L1.6 0L4 2.4L2.4 4L0 1.6L-2.4 4L-4 2.4L-1.6 0z",
  "M-3.6 -3.6h7.2v7.2h-7.2zM-1.7 -1.7v3.4h3.4v-3.4z",
  "M-4.6 -1.5h9.2v3h-9.2z",
];

/** The marks of `count` classes: [{path, color}], for the theme that is shown. */
export function marksOf(count) {
  const lightness = currentTheme() === "dark" ? 0.78 : 0.53;
  return Array.from({ length: count }, (_, i) => ({
    path: new Path2D(SHAPES[i % SHAPES.length]),
    text: SHAPES[i % SHAPES.length],
    color: `oklch(${lightness} 0.15 ${(25 + TURN * i) % 360})`,
  }));
}

/** A mark by itself, as it stands in a legend. */
export function markElement({ text, color }) {
  const path = h("path", { d: text, fill: color });
  return h(
    "svg",
    { viewBox: "-6 -6 12 12", width: 14, height: 14, "aria-hidden": "true", class: "mark" },
    path,
  );
}
