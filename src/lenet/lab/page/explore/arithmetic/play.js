/** A convolution or a pooling played over its map: the window moves, the output fills. */

import { fill, h } from "lenet/dom.js";
import {
  greyPixels,
  paintGrey,
  paintRange,
  paintSigned,
  sequentialPixels,
  signedPixels,
  steadyLimit,
  steadyRange,
} from "lenet/explore/network/scale.js";
import { nonNegative } from "lenet/explore/network/stages.js";
import { layerKind, layerName, sameUnit, shapeOf, validUnit } from "lenet/explore/network/units.js";
import { isWindowed } from "lenet/network/layers.js";
import { sources } from "lenet/network/places.js";
import { place, unitAt } from "lenet/network/shapes.js";

const SPEEDS = [1, 2, 5, 10, 20, 40]; // positions a second
const USUAL = 5;

/** The player in a section; it moves the store's unit. */
export default function mountPlay(section, { store, t, memory }) {
  const kept = (memory.play ??= { speed: USUAL });
  let seen = true; // what nobody sees is not drawn
  const colors = { signed: signedPixels(), grey: greyPixels(), sequential: sequentialPixels() };
  const still = globalThis.matchMedia("(prefers-reduced-motion: reduce)");

  const layerChoice = h("select", { onchange: () => choose({ layer: Number(layerChoice.value) }) });
  const channelChoice = h("select", {
    onchange: () => choose({ channel: Number(channelChoice.value) }),
  });
  const speedChoice = h(
    "select",
    { onchange: () => (kept.speed = Number(speedChoice.value)) },
    SPEEDS.map((speed) => h("option", { value: speed }, t("play.perSecond", { speed }))),
  );
  const slider = h("input", {
    type: "range",
    min: "0",
    step: "1",
    class: "play-slider",
    "aria-label": t("play.position"),
    oninput: () => goTo(Number(slider.value)),
  });
  const button = (key, sign, onclick) =>
    h("button", { "aria-label": t(key), title: t(key), onclick, class: "step" }, sign);
  const backwards = button("play.backwards", "◀", () => toggle(-1));
  const forwards = button("play.forwards", "▶", () => toggle(1));
  const anyway = h("input", { type: "checkbox", onchange: showMotion });
  const asked = h("label", { class: "small play-anyway" }, anyway, " ", t("play.anyway"));
  const where = h("p", { class: "number small muted" });
  const figure = h("div", { class: "play-figure" });
  const controls = h(
    "div",
    { class: "play-controls" },
    field("play.layer", layerChoice),
    field("play.channel", channelChoice),
    field("play.speed", speedChoice),
    h(
      "div",
      { class: "buttons", role: "group", "aria-label": t("play.title") },
      backwards,
      button("play.back", "−1", () => stepBy(-1)),
      button("play.step", "+1", () => stepBy(1)),
      forwards,
    ),
    asked,
  );
  const nothing = h("p", { class: "muted", hidden: true }, t("play.nothing"));
  const body = h("div", { class: "play" }, h("div", {}, controls, slider, where), figure);
  fill(section, h("h2", { class: "visually-hidden" }, t("play.title")), body, nothing);
  speedChoice.value = kept.speed;

  let at = null; // {layer, channel, position}
  let direction = 0; // of the play: 1, −1, or 0 when it stands
  let frame = 0;
  let expected = null; // the unit that this part has set itself
  let maps = null; // the drawings: {sources, output}

  function field(key, control) {
    return h("label", { class: "field" }, h("span", {}, t(key)), control);
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (changed.has("traced")) reset();
    if (changed.has("unit") && !sameUnit(state.unit, expected)) {
      stop();
      adopt(state.unit);
    }
    if (changed.has("outputs") || changed.has("input")) draw();
  });
  still.addEventListener("change", showMotion);

  /** Another network: its layers to choose from, the player at the start. */
  function reset() {
    stop();
    at = null;
    maps = null;
    const { traced } = store.get();
    const rows = (traced ?? []).filter(({ type }) => isWindowed(type));
    body.hidden = rows.length === 0;
    nothing.hidden = rows.length > 0;
    if (body.hidden) return;
    fill(
      layerChoice,
      rows.map((row) =>
        h("option", { value: row.index }, `${layerName(t, traced, row.index)} · ${layerKind(row)}`),
      ),
    );
    at = { layer: rows[0].index, channel: 0, position: 0 };
    adopt(store.get().unit);
    show();
  }

  /** Takes over the unit that is pointed at, if its layer can be played. */
  function adopt(unit) {
    const { traced } = store.get();
    if (!at || !validUnit(traced, unit) || unit.layer < 0) return;
    if (!isWindowed(traced[unit.layer].type)) return;
    const shape = shapeOf(traced, unit.layer);
    const { channel, row, column } = place(shape, unit.index);
    at = { layer: unit.layer, channel, position: row * shape[2] + column };
    show();
  }

  function choose(change) {
    stop();
    const moved = "layer" in change ? { channel: 0, position: 0 } : {};
    at = { ...at, ...moved, ...change };
    goTo(at.position);
  }

  function positions() {
    const [, height, width] = shapeOf(store.get().traced, at.layer);
    return height * width;
  }

  /** Shows a position and points at its unit. */
  function goTo(position) {
    if (!at) return;
    at = { ...at, position: Math.min(Math.max(position, 0), positions() - 1) };
    const unit = { layer: at.layer, index: at.channel * positions() + at.position };
    expected = unit;
    store.set({ unit, pinned: true });
    show();
  }

  function stepBy(step) {
    stop();
    goTo(at.position + step);
  }

  function toggle(way) {
    if (direction === way) return stop();
    stop();
    const end = way > 0 ? positions() - 1 : 0;
    if (at.position === end) goTo(positions() - 1 - end);
    else goTo(at.position);
    direction = way;
    showButtons();
    let last = performance.now();
    const tick = (now) => {
      frame = requestAnimationFrame(tick);
      const steps = Math.floor(((now - last) / 1000) * kept.speed);
      if (steps < 1) return;
      last = now;
      goTo(at.position + way);
      if (at.position === end) stop();
    };
    frame = requestAnimationFrame(tick);
  }

  function stop() {
    cancelAnimationFrame(frame);
    direction = 0;
    showButtons();
  }

  function showButtons() {
    const sign = (element, way, key, mark) => {
      const playing = direction === way;
      const name = t(playing ? "play.pause" : key);
      element.textContent = playing ? "❚❚" : mark;
      element.setAttribute("aria-label", name);
      element.title = name;
    };
    sign(forwards, 1, "play.forwards", "▶");
    sign(backwards, -1, "play.backwards", "◀");
  }

  /** Who wants no motion gets steps; playing only where it is asked for. */
  function showMotion() {
    asked.hidden = !still.matches;
    const hidden = still.matches && !anyway.checked;
    [backwards.hidden, forwards.hidden] = [hidden, hidden];
    if (hidden) stop();
  }

  /** The controls and the drawings for the place where the player is. */
  function show() {
    const { traced } = store.get();
    if (!at || !traced || !seen) return;
    const [channels, , width] = shapeOf(traced, at.layer);
    layerChoice.value = at.layer;
    if (channelChoice.length !== channels) {
      fill(
        channelChoice,
        Array.from({ length: channels }, (_, c) => h("option", { value: c }, c)),
      );
    }
    channelChoice.value = at.channel;
    slider.max = positions() - 1;
    slider.value = at.position;
    const [row, column] = [Math.floor(at.position / width), at.position % width];
    const text = t("play.where", { row, column, done: at.position + 1, count: positions() });
    slider.setAttribute("aria-valuetext", text);
    where.textContent = text;
    draw();
  }

  /** The maps that the window moves over, and the output up to where it is. */
  function draw() {
    const { traced, outputs, input, model } = store.get();
    if (!at || !seen || !outputs || outputs.length !== traced.length) return;
    const { layer, channel, position } = at;
    const [, height, width] = shapeOf(traced, layer);
    const unit = unitAt(shapeOf(traced, layer), {
      channel,
      row: Math.floor(position / width),
      column: position % width,
    });
    const from = sources(traced, layer, unit);
    const key = `${layer}|${channel}|${from.channels.join()}`;
    if (maps?.key !== key || maps.traced !== traced) build(key, traced, from, [height, width]);
    const below = layer === 0 ? input : outputs[layer - 1];
    const [, rows, columns] = shapeOf(traced, layer - 1);
    const normalization = layer === 0 ? model.network.normalization : null;
    const limit = maps.limits.sources(below);
    from.channels.forEach((each, i) => {
      const values = below.subarray(each * rows * columns, (each + 1) * rows * columns);
      maps.sources[i].draw(values, { limit, normalization, channel: each });
      maps.sources[i].point(from.clip);
    });
    const size = height * width;
    maps.output.draw(outputs[layer].subarray(channel * size, (channel + 1) * size), {
      limit: maps.limits.output(outputs[layer]),
      until: position,
    });
    const [top, left] = [Math.floor(position / width), position % width];
    maps.output.point({ top, left, bottom: top + 1, right: left + 1 });
  }

  function build(key, traced, { channels }, [height, width]) {
    const [, rows, columns] = shapeOf(traced, at.layer - 1);
    const pixels = channels.length === 1 ? 150 : channels.length <= 6 ? 84 : 56;
    const sideOf = (wanted, ...lengths) => Math.max(Math.round(wanted / Math.max(...lengths)), 2);
    const side = sideOf(pixels, rows, columns);
    const all = channels.map(() => createMap(rows, columns, side, colors));
    const output = createMap(height, width, sideOf(150, height, width), colors);
    const name = (channel) => t("play.map", { channel });
    fill(
      figure,
      h(
        "figure",
        { class: "play-sources" },
        h("figcaption", { class: "small" }, layerName(t, traced, at.layer - 1)),
        h(
          "div",
          {},
          all.map((map, i) => map.framed(name(channels[i]))),
        ),
      ),
      h("span", { class: "play-arrow", "aria-hidden": "true" }, "→"),
      h(
        "figure",
        { class: "play-sources" },
        h("figcaption", { class: "small" }, layerName(t, traced, at.layer)),
        h("div", {}, output.framed(name(at.channel))),
      ),
    );
    const positive = nonNegative(traced);
    const scaleOf = (i) => (i >= 0 && positive[i] ? steadyRange() : steadyLimit());
    const limits = { sources: scaleOf(at.layer - 1), output: scaleOf(at.layer) };
    maps = { key, traced, sources: all, output, limits };
  }

  showMotion();
  reset();
  return {
    shown(is) {
      seen = is;
      if (is) show();
      else stop();
    },
    destroy() {
      stop();
      still.removeEventListener("change", showMotion);
      unsubscribe();
    },
  };
}

/** One map with a window over it: {framed(name), draw(values, …), point(region)}. */
function createMap(rows, columns, side, colors) {
  const canvas = h("canvas", { width: columns, height: rows });
  canvas.style.width = `${columns * side}px`;
  canvas.style.height = `${rows * side}px`;
  const window = h("span", { class: "play-window" });
  const context = canvas.getContext("2d");
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  return {
    framed: (name) =>
      h(
        "div",
        { class: "play-map" },
        h("div", { class: "play-canvas" }, canvas, window),
        h("span", { class: "small muted" }, name),
      ),
    /** Colours the values, those behind `until` not at all. */
    draw(values, { limit, normalization = null, channel = 0, until = Infinity }) {
      if (normalization) {
        const { mean, deviation } = normalization;
        const [m, d] = [mean[channel % mean.length], deviation[channel % deviation.length]];
        paintGrey(pixels, colors.grey, values, -m / d, (1 - m) / d);
      } else if (typeof limit === "object") {
        paintRange(pixels, colors.sequential, values, limit);
      } else {
        paintSigned(pixels, colors.signed, values, limit);
      }
      if (until < pixels.length) pixels.fill(0, until + 1);
      context.putImageData(image, 0, 0);
    },
    point({ top, left, bottom, right }) {
      window.style.left = `${left * side}px`;
      window.style.top = `${top * side}px`;
      window.style.width = `${(right - left) * side}px`;
      window.style.height = `${(bottom - top) * side}px`;
    },
  };
}
