/** The pad: drawing with a pen, a finger, a mouse or the keys. */

import { fill, focusIn, h, oncePerFrame } from "lenet/dom.js";
import { createHistory } from "lenet/explore/picture/history.js";
import { preparation, preparedDrawing } from "lenet/explore/picture/prepare.js";
import { drawStroke, readInk } from "lenet/explore/picture/strokes.js";

const MOVES = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const WHITE = "#ffffff"; // what grey pictures are drawn with, on black
const PAD = 560; // pixels of the pad's canvas, of its longer side

/**
 * The pad in `panel`: {send, hasInk, model, destroy}.
 *
 * Every stroke calls `use(picture, pixels)` with what the network gets, once a frame at most.
 */
export function mountDraw(panel, { t, store, memory, announce }, use) {
  const kept = (memory.draw ??= { width: 2.2, color: WHITE });
  let history = createHistory([], kept.history);
  let how = null; // how the data set's pictures were prepared
  let channels = 1;
  let scale = 1; // pixels of the pad for one of the network's
  let stroke = null; // the one that is being drawn
  let pointer = null; // the one that draws it
  let closed = false;
  let cursor = null; // {x, y, down, held, moved}, of the keys

  const canvas = h("canvas", {
    class: "pad",
    tabindex: "0",
    role: "img",
    "aria-describedby": "pad-keys",
    onpointerdown: begin,
    onpointermove: follow,
    onpointerup: end,
    onpointercancel: end,
    onkeydown: press,
    onkeyup: release,
    onblur: leave,
    onfocus: enter,
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const mark = h("div", { class: "pad-cursor", hidden: true });
  const caption = h("p", { class: "muted small draw-result" });
  const undo = h("button", { type: "button", onclick: () => step("undo") }, t("draw.undo"));
  const redo = h("button", { type: "button", onclick: () => step("redo") }, t("draw.redo"));
  const clear = h("button", { type: "button", onclick: () => change([]) }, t("draw.clear"));
  const width = h("input", {
    type: "range",
    min: "1",
    max: "4",
    step: "0.1",
    value: kept.width,
    oninput: () => (kept.width = Number(width.value)),
  });
  const color = h("input", {
    type: "color",
    value: kept.color,
    oninput: () => (kept.color = color.value),
  });
  const colorField = h(
    "label",
    { class: "field", hidden: true },
    h("span", {}, t("draw.color")),
    color,
  );

  fill(
    panel,
    h("div", { class: "pad-frame" }, canvas, mark),
    h(
      "div",
      { class: "buttons draw-tools" },
      undo,
      redo,
      clear,
      h("label", { class: "field" }, h("span", {}, t("draw.width")), width),
      colorField,
    ),
    h("p", { class: "visually-hidden", id: "pad-keys" }, t("draw.keys")),
    caption,
  );

  const send = oncePerFrame(() => {
    if (!how || closed) return;
    const pixels = preparedDrawing(readInk(context, channels), how, channels, scale);
    use({ source: "draw", index: null, label: null, name: t("draw.name") }, pixels);
  });

  // --- with a pointer

  function begin(event) {
    if (pointer !== null || event.button !== 0 || !how) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    hideCursor();
    start(place(event));
  }

  function follow(event) {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length > 0 ? events : [event]) extend(place(part));
  }

  function end(event) {
    if (event.pointerId !== pointer) return;
    pointer = null;
    finish();
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * how.columns,
      y: ((event.clientY - box.top) / box.height) * how.rows,
      pressure: event.pointerType === "pen" ? event.pressure : 0.5,
    };
  }

  function start(point) {
    stroke = { width: kept.width, color: channels === 3 ? kept.color : WHITE, points: [point] };
    drawStroke(context, stroke, scale, 0, false);
    send();
  }

  function extend(point) {
    if (!stroke) return;
    const last = stroke.points.at(-1);
    if (Math.hypot(point.x - last.x, point.y - last.y) < 0.05) return;
    stroke.points.push(point);
    drawStroke(context, stroke, scale, stroke.points.length - 1, false);
    send();
  }

  function finish() {
    if (!stroke) return;
    const { points } = stroke;
    drawStroke(context, stroke, scale, points.length);
    history.push([...history.get(), stroke]);
    stroke = null;
    settle();
    send();
  }

  // --- with the keys: arrows move, Space draws while it is held, or until it is pressed again

  function press(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      step(event.shiftKey ? "redo" : "undo");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || pointer !== null || !how) return;
    const move = MOVES[event.key];
    if (move) moveCursor(move, event.shiftKey ? 4 : 1);
    else if (event.key === " " && !event.repeat) putDown();
    else if (event.key === "Delete") change([]);
    else if (event.key === "Escape" && cursor?.down) liftPen();
    else if (event.key !== " ") return;
    event.preventDefault();
  }

  function release(event) {
    if (event.key !== " " || !cursor?.held) return;
    cursor.held = false;
    if (cursor.moved || cursor.wasDown) liftPen();
  }

  function moveCursor([dx, dy], steps) {
    showCursor();
    for (let i = 0; i < steps; i++) {
      cursor.x = Math.min(Math.max(cursor.x + dx, 0), how.columns - 1);
      cursor.y = Math.min(Math.max(cursor.y + dy, 0), how.rows - 1);
      if (cursor.down) extend(underCursor());
    }
    cursor.moved = true;
    placeCursor();
  }

  function putDown() {
    showCursor();
    cursor.held = true;
    cursor.moved = false;
    cursor.wasDown = cursor.down;
    if (!cursor.down) {
      cursor.down = true;
      start(underCursor());
      announce(t("draw.down", { row: cursor.y, column: cursor.x }));
    }
    placeCursor();
  }

  function liftPen() {
    cursor.down = false;
    finish();
    announce(t("draw.up", { row: cursor.y, column: cursor.x }));
    placeCursor();
  }

  function underCursor() {
    return { x: cursor.x + 0.5, y: cursor.y + 0.5, pressure: 0.5 };
  }

  function showCursor() {
    cursor ??= { x: how.columns >> 1, y: how.rows >> 1, down: false, held: false, moved: false };
    placeCursor();
  }

  function hideCursor() {
    if (cursor?.down) liftPen();
    cursor = null;
    mark.hidden = true;
  }

  function enter() {
    if (how && pointer === null && canvas.matches(":focus-visible")) showCursor();
  }

  function leave() {
    if (cursor?.down) liftPen();
    mark.hidden = true;
  }

  function placeCursor() {
    mark.hidden = document.activeElement !== canvas;
    mark.classList.toggle("down", cursor.down);
    mark.style.left = `${(100 * cursor.x) / how.columns}%`;
    mark.style.top = `${(100 * cursor.y) / how.rows}%`;
    mark.style.width = `${100 / how.columns}%`;
    mark.style.height = `${100 / how.rows}%`;
  }

  // --- the history

  function step(which) {
    if (stroke) return;
    history[which]();
    replay();
    settle();
    send();
  }

  function change(strokes) {
    if (stroke) return;
    history.push(strokes);
    replay();
    settle();
    send();
  }

  function replay() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const one of history.get()) {
      drawStroke(context, channels === 3 ? one : { ...one, color: WHITE }, scale);
    }
  }

  function settle() {
    kept.history = history.dump();
    const focused = focusIn(panel);
    undo.disabled = !history.canUndo();
    redo.disabled = !history.canRedo();
    clear.disabled = history.get().length === 0;
    if (focused?.disabled) canvas.focus({ preventScroll: true }); // the focus must not get lost
  }

  /** Makes the pad fit a model's pictures; strokes stay where the size is the same. */
  function model({ network, data, preparation: own }) {
    const shape = network.input_shape.join();
    if (kept.shape !== undefined && kept.shape !== shape) history = createHistory([]);
    kept.shape = shape;
    how = preparation(network, data, own);
    channels = network.input_shape[0];
    scale = Math.max(1, Math.floor(PAD / Math.max(how.rows, how.columns)));
    canvas.width = how.columns * scale;
    canvas.height = how.rows * scale;
    canvas.setAttribute("aria-label", t("draw.pad", { rows: how.rows, columns: how.columns }));
    colorField.hidden = channels !== 3;
    const key = how.centre === "mass" ? "draw.prepared.mass" : "draw.prepared.box";
    const [rows, columns] = how.box;
    fill(
      caption,
      h("span", { class: "number" }, `${how.rows}×${how.columns}`),
      " ",
      t(key, { rows, columns }),
    );
    replay();
    settle();
  }

  /** A new drawing: the pad empty, and in the focus. */
  function anew() {
    if (history.get().length > 0) change([]);
    else send();
    canvas.focus();
  }

  if (store.get().model) model(store.get().model);

  return {
    send,
    model,
    begin: anew,
    hasInk: () => history.get().length > 0,
    destroy() {
      finish();
      closed = true;
    },
  };
}
