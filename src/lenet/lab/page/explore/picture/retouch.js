/** A pen for the picture itself: drawing over a picture of a data set, or over one of yours. */

import { fill, h } from "lenet/dom.js";
import { arrangePicture } from "lenet/explore/network/layout.js";
import { createHistory } from "lenet/explore/picture/history.js";
import { groundLevel } from "lenet/explore/picture/prepare.js";
import { place } from "lenet/network/shapes.js";

const REACH = 1.5; // pixels from the pen's middle that get ink; at the middle all of it
const STEP = 0.4; // pixels between two places of the pen
const PENS = ["ink", "ground"];

/**
 * The pen's tools in `root`, for the picture in `slot`: {destroy}. While the pen is on, the pointer
 * draws there instead of pointing at pixels; `use(picture, pixels)` gets what was drawn.
 */
export function mountRetouch(root, slot, { t, store, announce }, use) {
  let on = false;
  let pen = "ink";
  let pointer = null; // the one that draws
  let last = null; // {x, y}: where it was
  let history = null; // of {picture, pixels}
  let own = null; // the pixels that were drawn here last

  const toggle = h("button", { type: "button", onclick: () => turn(!on) }, t("pen.on"));
  const pens = PENS.map((key) =>
    h("button", { type: "button", onclick: () => choose(key) }, t(`pen.${key}`)),
  );
  const undo = h("button", { type: "button", onclick: () => back("undo") }, t("draw.undo"));
  const clean = h("button", { type: "button", onclick: () => back("first") }, t("pen.clean"));
  const group = h("span", { class: "buttons", role: "group", "aria-label": t("pen.pens") }, pens);
  fill(root, toggle, group, undo, clean);

  function turn(is) {
    on = is;
    pointer = null;
    slot.classList.toggle("pen-on", on);
    if (on) announce(t("pen.how"));
    show();
  }

  function choose(key) {
    pen = key;
    show();
  }

  function show() {
    const { picture } = store.get();
    root.hidden = picture === null || picture.source === "draw";
    toggle.setAttribute("aria-pressed", String(on));
    pens.forEach((button, i) => button.setAttribute("aria-pressed", String(PENS[i] === pen)));
    for (const each of [group, undo, clean]) each.hidden = !on;
    for (const each of [undo, clean]) each.disabled = !history?.canUndo();
  }

  // --- drawing

  function begin(event) {
    if (!on || event.button !== 0 || !(event.target instanceof HTMLCanvasElement)) return;
    event.preventDefault();
    event.stopPropagation();
    pointer = event.pointerId;
    event.target.setPointerCapture(pointer);
    last = null;
    draw(event);
  }

  function follow(event) {
    if (!on) return;
    event.stopPropagation(); // pixels are not pointed at meanwhile
    if (event.pointerId !== pointer) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length > 0 ? parts : [event]) draw(part);
  }

  function end(event) {
    if (event.pointerId !== pointer) return;
    pointer = null;
    history?.settle();
    show();
  }

  function draw({ clientX, clientY }) {
    const { model } = store.get();
    const canvas = slot.querySelector("canvas");
    const box = canvas.getBoundingClientRect();
    const at = placeAt(model.network.input_shape, clientX - box.left, clientY - box.top);
    if (at === null) return void (last = null);
    const from = last ?? at;
    const steps = Math.max(1, Math.ceil(Math.hypot(at.x - from.x, at.y - from.y) / STEP));
    const along = (share) => ({
      x: from.x + (at.x - from.x) * share,
      y: from.y + (at.y - from.y) * share,
    });
    paint(Array.from({ length: steps }, (_, i) => along((i + 1) / steps)));
    last = at;
  }

  /** Where in the picture a point of the canvas is, in pixels; null beside it. */
  function placeAt(shape, x, y) {
    const { tiles } = arrangePicture(shape, slot.clientWidth, slot.clientWidth);
    for (const { x: left, y: top, width, height } of tiles) {
      if (y < top || y >= top + height) continue;
      return { x: ((x - left) / width) * shape[2], y: ((y - top) / height) * shape[1] };
    }
    return null;
  }

  /** Ink, or ground, at these places: all channels get the same. */
  function paint(places) {
    const { model, picture, pixels } = store.get();
    if (picture === null || pixels === null) return;
    const [channels, height, width] = model.network.input_shape;
    const ground = groundLevel(model, pixels);
    const target = pen === "ground" ? ground : ground < 128 ? 255 : 0;
    const next = pixels.slice();
    for (const { x, y } of places) {
      for (let row = Math.floor(y - REACH); row <= y + REACH; row++) {
        for (let column = Math.floor(x - REACH); column <= x + REACH; column++) {
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          const far = Math.hypot(column + 0.5 - x, row + 0.5 - y);
          const share = Math.min(Math.max(REACH - far, 0), 1) * 0.7;
          for (let c = 0; c < channels; c++) {
            const i = (c * height + row) * width + column;
            next[i] = Math.round(next[i] + (target - next[i]) * share);
          }
        }
      }
    }
    put({ picture: { ...picture, touched: true }, pixels: next });
  }

  function put(value) {
    const { picture, pixels } = store.get();
    history ??= createHistory({ picture, pixels });
    history.push(value, "stroke");
    own = value.pixels;
    use(value.picture, value.pixels);
  }

  function back(which) {
    if (which === "first") while (history.canUndo()) history.undo();
    else history.undo();
    const { picture, pixels } = history.get();
    own = pixels;
    use(picture, pixels);
    show();
    if (undo.disabled) toggle.focus();
  }

  /** With the keys: the pixel that is pointed at. */
  function press(event) {
    if (!on || (event.key !== " " && event.key !== "Enter")) return;
    const { unit, model } = store.get();
    if (unit?.layer !== -1) return;
    event.preventDefault();
    event.stopPropagation();
    const { row, column } = place(model.network.input_shape, unit.index);
    paint([
      { x: column + 0.5, y: row + 0.5 },
      { x: column + 0.5, y: row + 0.5 },
    ]);
    history.settle();
    show();
  }

  const stay = (event) => on && event.stopPropagation();
  const listeners = {
    pointerdown: begin,
    pointermove: follow,
    pointerup: end,
    pointercancel: end,
    click: stay,
    keydown: press,
  };
  for (const [name, call] of Object.entries(listeners)) slot.addEventListener(name, call, true);

  const unsubscribe = store.subscribe(({ pixels }, changed) => {
    if (!changed.has("picture") && !changed.has("pixels")) return;
    if (pixels !== own) history = null; // another picture
    show();
  });
  show();

  return {
    destroy() {
      unsubscribe();
      slot.classList.remove("pen-on");
      for (const [name, call] of Object.entries(listeners)) {
        slot.removeEventListener(name, call, true);
      }
    },
  };
}
