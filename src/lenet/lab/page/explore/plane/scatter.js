/** The points of a plane on a canvas: drawn, pointed at, walked through by the keys. */

import { styleColor } from "lenet/colors.js";
import { h, oncePerFrame } from "lenet/dom.js";
import { marksOf } from "lenet/explore/plane/glyphs.js";

const EDGE = 12; // pixels that stay free around the points
const NEAR = 14; // pixels from a point at most where it is pointed at
const MARK = 0.85; // of a mark as glyphs.js draws it
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * The canvas: {element, show(drawn), point(i), resize()}. `drawn` has the `places` (n·2), the
 * `labels` of the points, which are `wrong`, how many `classes`, the class that stands out (`only`,
 * or null), which point is `chosen` (or null), and where what is shown lies (`here`: [x, y]).
 *
 * `pointed(i, x, y)` is told of a point that is pointed at (null: of none), `chose(i)` of one that
 * is chosen.
 */
export function createScatter(t, { pointed, chose }) {
  const canvas = h("canvas", {
    class: "plane-canvas",
    tabindex: "0",
    role: "application",
    "aria-roledescription": t("plane.role"),
    onpointermove: follow,
    onpointerleave: () => point(null),
    onclick: click,
    onkeydown: press,
    onblur: () => point(null),
  });
  let drawn = null;
  let at = null; // the point that is pointed at
  let scale = 1;
  let middle = [0, 0]; // of the points, which lies in the middle of the canvas

  const draw = oncePerFrame(paint);

  function show(next) {
    const fits = drawn?.places === next.places;
    drawn = next;
    if (!fits) at = null;
    measure();
    draw();
  }

  /** The same scale for both axes: what is near is near either way. */
  function measure() {
    if (drawn === null) return;
    const { places, here } = drawn;
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    for (let i = 0; i < places.length; i++) include(i % 2, places[i]);
    here.forEach((value, axis) => include(axis, value));
    const spans = [0, 1].map((axis) => Math.max(high[axis] - low[axis], 1e-6));
    middle = [0, 1].map((axis) => (high[axis] + low[axis]) / 2);
    const room = [canvas.clientWidth, canvas.clientHeight].map((side) => side - 2 * EDGE);
    scale = Math.max(Math.min(room[0] / spans[0], room[1] / spans[1]), 1e-9);

    function include(axis, value) {
      if (!Number.isFinite(value)) return;
      low[axis] = Math.min(low[axis], value);
      high[axis] = Math.max(high[axis], value);
    }
  }

  const toX = (x) => canvas.clientWidth / 2 + (x - middle[0]) * scale;
  const toY = (y) => canvas.clientHeight / 2 - (y - middle[1]) * scale;
  const placeOf = (i) => [toX(drawn.places[2 * i]), toY(drawn.places[2 * i + 1])];

  function paint() {
    if (drawn === null || canvas.clientWidth === 0) return;
    const { labels, wrong, only, chosen, here, classes } = drawn;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    const marks = marksOf(classes);
    const ink = styleColor("--ink");
    const paper = styleColor("--paper");
    cross(context, ratio, here, styleColor("--strong-line"));
    // those of the class that stands out come last, above the others
    const order = [...labels.keys()].sort(
      (a, b) => Number(labels[a] === only) - Number(labels[b] === only),
    );
    for (const i of order) {
      const [x, y] = placeOf(i);
      const { path, color } = marks[labels[i]] ?? marks[0];
      const faint = only !== null && labels[i] !== only;
      context.setTransform(MARK * ratio, 0, 0, MARK * ratio, x * ratio, y * ratio);
      context.globalAlpha = faint ? 0.14 : 0.85;
      context.fillStyle = color;
      context.fill(path);
      if (wrong[i] && !faint) circle(context, ink, 6.5, 0.8);
    }
    context.globalAlpha = 1;
    const around = (i, color, radius, width) => {
      const [x, y] = placeOf(i);
      context.setTransform(ratio, 0, 0, ratio, x * ratio, y * ratio);
      circle(context, color, radius, width);
    };
    context.setTransform(ratio, 0, 0, ratio, toX(here[0]) * ratio, toY(here[1]) * ratio);
    circle(context, paper, 9, 4);
    circle(context, ink, 9, 2);
    if (at !== null && at !== chosen) around(at, ink, 9, 2);
  }

  /** Two lines through what is shown: it is found without its ring's being seen. */
  function cross(context, ratio, [x, y], color) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = color;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, toY(y));
    context.lineTo(canvas.clientWidth, toY(y));
    context.moveTo(toX(x), 0);
    context.lineTo(toX(x), canvas.clientHeight);
    context.stroke();
  }

  /** The point nearest to a place of the canvas, where one is near. */
  function nearest(x, y) {
    let best = null;
    let least = NEAR;
    for (let i = 0; drawn !== null && i < drawn.labels.length; i++) {
      if (drawn.only !== null && drawn.labels[i] !== drawn.only) continue;
      const [px, py] = placeOf(i);
      const far = Math.hypot(px - x, py - y);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  function point(i) {
    if (i === at) return;
    at = i;
    pointed(i, ...(i === null ? [0, 0] : placeOf(i)));
    draw();
  }

  function follow({ offsetX, offsetY, pointerType }) {
    if (pointerType !== "touch") point(nearest(offsetX, offsetY));
  }

  function click({ offsetX, offsetY }) {
    const i = nearest(offsetX, offsetY);
    if (i !== null) chose(i);
  }

  /** An arrow leads to the nearest point in its direction, Enter chooses it. */
  function press(event) {
    const way = WAYS[event.key];
    if (drawn === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) point(neighbour(at ?? drawn.chosen ?? 0, way) ?? at);
    else if (event.key === "Escape") point(null);
    else if ((event.key === "Enter" || event.key === " ") && at !== null) chose(at);
    else return;
    event.preventDefault();
  }

  function neighbour(from, [dx, dy]) {
    const [x, y] = placeOf(from);
    let best = null;
    let least = Infinity;
    for (let i = 0; i < drawn.labels.length; i++) {
      if (i === from || (drawn.only !== null && drawn.labels[i] !== drawn.only)) continue;
      const [px, py] = placeOf(i);
      const along = (px - x) * dx + (py - y) * dy;
      const across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (along <= 0 || across > along) continue;
      const far = Math.hypot(along, across);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  return {
    element: canvas,
    show,
    point,
    resize() {
      measure();
      draw();
    },
  };
}

function circle(context, color, radius, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  context.arc(0, 0, radius, 0, 2 * Math.PI);
  context.stroke();
}
