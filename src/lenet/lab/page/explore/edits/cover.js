/** A square over the picture: moved by hand, or laid on every place in turn. */

import { createCalculator } from "lenet/calculator.js";
import { css, greyColor, largest, legend, paint, signedColor } from "lenet/colors.js";
import { fill, h, percent, show } from "lenet/dom.js";
import { occlusionChanges, occlusions } from "lenet/explore/edits/occlusion.js";
import { groundLevel } from "lenet/explore/picture/prepare.js";
import { paintPicture } from "lenet/shared/thumbnail.js";

const VALUES = ["ground", "grey", "ink"];
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** The cover and the map of what it does, in `root`: {destroy}. */
export function mountCover(root, { t, backend, store, memory, edit, settle, fail, announce }) {
  const kept = (memory.cover ??= { size: null, value: "ground" });
  let calculator = null;
  let running = null; // AbortController of the map that is being made
  let dragged = null;
  let closed = false;

  const picture = h("canvas", { class: "picture", "aria-hidden": "true" });
  const square = h("button", {
    type: "button",
    class: "cover-square",
    "aria-describedby": "cover-keys",
    onkeydown: press,
    onkeyup: settle,
  });
  const stage = h(
    "div",
    {
      class: "cover-stage",
      onpointerdown: begin,
      onpointermove: drag,
      onpointerup: end,
      onpointercancel: end,
    },
    picture,
    square,
  );
  const on = h("input", { type: "checkbox", onchange: () => toggle(on.checked) });
  const size = h("input", {
    type: "range",
    min: "1",
    step: "1",
    oninput: resize,
    onchange: settle,
  });
  const sizeText = h("output", { class: "number" });
  const value = h(
    "select",
    { onchange: revalue },
    VALUES.map((name) => h("option", { value: name }, t(`cover.${name}`))),
  );
  value.value = kept.value;
  const start = h("button", { type: "button", onclick: makeMap }, t("cover.map"));
  const cancel = h("button", { type: "button", hidden: true, onclick: stop }, t("cover.cancel"));
  const progress = h("progress", { max: "1", value: "0", hidden: true });
  progress.setAttribute("aria-label", t("cover.progress"));
  const result = h("div", { class: "cover-result" });
  fill(
    root,
    h("div", { class: "cover" }, stage, result),
    h("p", { class: "muted small", id: "cover-keys" }, t("cover.keys")),
    h("label", { class: "tick" }, on, t("cover.on")),
    h(
      "div",
      { class: "pick-tools" },
      h("label", { class: "field" }, h("span", {}, t("cover.size"), " ", sizeText), size),
      h("label", { class: "field" }, h("span", {}, t("cover.value")), value),
    ),
    h("div", { class: "buttons" }, start, cancel, progress),
  );

  function shape() {
    return store.get().model.network.input_shape;
  }

  /** The level of the ground, of grey or of ink, 0 to 255: grey is ink on a dark ground. */
  function levelOf(name) {
    if (name === "grey") return 128;
    const { model, pixels } = store.get();
    const ground = groundLevel(model, pixels);
    return name === "ground" ? ground : ground < 128 ? 255 : 0;
  }

  function build() {
    const [, height, width] = shape();
    const most = Math.min(height, width);
    kept.size = Math.min(kept.size ?? Math.max(1, Math.round(most / 4)), most);
    size.max = most;
    size.value = kept.size;
    clearMap();
    update();
  }

  function update() {
    const { model, pixels, cover } = store.get();
    if (!model) return;
    const [, height, width] = shape();
    if (pixels) paintPicture(picture, pixels, shape());
    on.checked = cover !== null;
    start.disabled = !pixels;
    square.hidden = cover === null;
    if (cover) {
      kept.size = cover.size;
      size.value = cover.size;
      const [top, left] = [Math.max(cover.top, 0), Math.max(cover.left, 0)];
      const bottom = Math.min(cover.top + cover.size, height);
      const right = Math.min(cover.left + cover.size, width);
      square.style.top = `${(100 * top) / height}%`;
      square.style.left = `${(100 * left) / width}%`;
      square.style.height = `${(100 * (bottom - top)) / height}%`;
      square.style.width = `${(100 * (right - left)) / width}%`;
      square.style.setProperty("--level", css(greyColor(cover.value, 255)));
      square.setAttribute("aria-label", t("cover.at", { row: cover.top, column: cover.left }));
    }
    sizeText.textContent = `${kept.size}×${kept.size}`;
  }

  // --- by hand

  /** Lays the cover with its upper left corner there; half of it may lie beyond the edge. */
  function lay(top, left) {
    const [, height, width] = shape();
    const half = kept.size >> 1;
    const within = (at, length) => Math.min(Math.max(at, -half), length - kept.size + half);
    const cover = {
      top: within(top, height),
      left: within(left, width),
      size: kept.size,
      value: levelOf(kept.value),
    };
    const now = store.get().cover;
    if (now && Object.keys(cover).every((name) => cover[name] === now[name])) return;
    edit({ cover }, "cover");
  }

  function toggle(covered) {
    const [, height, width] = shape();
    if (covered) lay((height - kept.size) >> 1, (width - kept.size) >> 1);
    else edit({ cover: null });
    settle();
  }

  function resize() {
    const old = store.get().cover;
    const grown = Number(size.value) - kept.size;
    kept.size = Number(size.value);
    clearMap();
    if (old) lay(old.top - Math.trunc(grown / 2), old.left - Math.trunc(grown / 2));
    else update();
  }

  function revalue() {
    kept.value = value.value;
    const { cover } = store.get();
    clearMap();
    if (cover) edit({ cover: { ...cover, value: levelOf(kept.value) } });
  }

  function begin(event) {
    if (event.button !== 0 || dragged !== null) return;
    event.preventDefault();
    dragged = event.pointerId;
    stage.setPointerCapture(dragged);
    move(event);
    square.focus({ preventScroll: true });
  }

  function drag(event) {
    if (event.pointerId === dragged) move(event);
  }

  function move(event) {
    const box = picture.getBoundingClientRect();
    const [, height, width] = shape();
    const at = (share, length) => Math.round(share * length - kept.size / 2);
    lay(
      at((event.clientY - box.top) / box.height, height),
      at((event.clientX - box.left) / box.width, width),
    );
  }

  function end(event) {
    if (event.pointerId !== dragged) return;
    dragged = null;
    settle();
  }

  function press(event) {
    const step = MOVES[event.key];
    const { cover } = store.get();
    if (event.key === "Delete" || event.key === "Escape") {
      toggle(false);
      on.focus();
    } else if (step && cover) {
      const far = event.shiftKey ? 4 : 1;
      lay(cover.top + step[0] * far, cover.left + step[1] * far);
    } else {
      return;
    }
    event.preventDefault();
  }

  // --- everywhere in turn

  async function makeMap() {
    stop();
    const mine = new AbortController();
    running = mine;
    const { model, weights, gates, pixels } = store.get();
    const classes = model.network.classes;
    const laid = occlusions(shape(), pixels, kept.size, levelOf(kept.value));
    working(true);
    try {
      calculator ??= createCalculator(backend.startWorker);
      if (closed) return calculator.close();
      calculator.load("cover", model.network, weights);
      const logits = await calculator.many("cover", laid.pictures, {
        gates,
        signal: mine.signal,
        progress: (done, of) => {
          if (running === mine) progress.value = done / of;
        },
      });
      if (closed || running !== mine) return;
      running = null;
      working(false);
      if (!logits) return;
      const changes = occlusionChanges(logits, classes.length, model.calibration);
      showMap(laid, changes, classes);
    } catch (error) {
      if (closed || running !== mine) return;
      running = null;
      working(false);
      fail(error);
    }
  }

  function stop() {
    const focused = document.activeElement === cancel;
    running?.abort();
    running = null;
    working(false);
    if (focused) start.focus();
  }

  function working(now) {
    progress.value = 0;
    progress.hidden = !now;
    cancel.hidden = !now;
  }

  function clearMap() {
    if (running) stop();
    result.replaceChildren();
  }

  function showMap({ rows, columns, step, covers }, found, classes) {
    const { target, probability, changes, lowest } = found;
    const limit = largest(changes, 0.01);
    const map = h("canvas", {
      class: "picture cover-map",
      role: "img",
      onclick: (event) => {
        const box = map.getBoundingClientRect();
        const y = Math.floor(((event.clientY - box.top) / box.height) * rows);
        const x = Math.floor(((event.clientX - box.left) / box.width) * columns);
        layAt(Math.min(y, rows - 1) * columns + Math.min(x, columns - 1));
      },
    });
    paint(map, changes, rows, columns, signedColor, limit);
    const layAt = (i) => {
      settle();
      lay(covers[i].top, covers[i].left);
      settle();
    };
    const values = {
      class: classes[target],
      probability: percent(probability),
      fall: show(100 * changes[lowest], 1),
      row: Math.floor(lowest / columns) * step,
      column: (lowest % columns) * step,
    };
    map.setAttribute("aria-label", t("cover.result", values));
    const falls = changes[lowest] < -0.0005;
    fill(
      result,
      h("figure", {}, map, h("figcaption", { class: "small" }, t("cover.caption", values))),
      legend(100 * limit, 0),
      h("p", { class: "small number" }, t(falls ? "cover.lowest" : "cover.never", values)),
      falls && h("button", { type: "button", onclick: () => layAt(lowest) }, t("cover.there")),
    );
    announce(t("cover.result", values));
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (!state.model) return;
    if (changed.has("model")) return build();
    if (["weights", "gates", "pixels"].some((name) => changed.has(name))) clearMap();
    if (changed.has("pixels") || changed.has("cover")) update();
  });

  return {
    destroy() {
      closed = true;
      unsubscribe();
      running?.abort();
      calculator?.close();
    },
  };
}
