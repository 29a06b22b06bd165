/** The whole network at once: the picture, every map of every layer, the classes. */

import { legend, styleColor } from "lenet/colors.js";
import { fill, h, oncePerFrame } from "lenet/dom.js";
import { classColumn } from "lenet/explore/network/bars.js";
import { createDifferences, createPanel } from "lenet/explore/network/figure.js";
import { moveByKey } from "lenet/explore/network/keys.js";
import { unitAtPoint } from "lenet/explore/network/layout.js";
import { createOverlay } from "lenet/explore/network/overlay.js";
import { inkPixels, signedPixels } from "lenet/explore/network/scale.js";
import {
  layerKind,
  layerName,
  sameUnit,
  shapeOf,
  unitText,
  validUnit,
} from "lenet/explore/network/units.js";
import { ranked } from "lenet/network/arithmetic.js";
import { normalize } from "lenet/network/forward.js";
import { isWeightedSum } from "lenet/network/layers.js";
import { shapeText, unitAt } from "lenet/network/shapes.js";

const ZOOMS = [2.5, 2, 1.75, 1.5, 1.25, 1];

/** The figure of the whole network in a section; it sets the store's unit and pinned. */
export default function mountMaps(section, { store, t, announce, memory }) {
  const colors = { signed: signedPixels(), ink: inkPixels() };
  const overlay = createOverlay();
  const figure = h("div", { class: "maps-figure", role: "group", "aria-label": t("maps.title") });
  const readout = h("p", { class: "maps-readout number" });
  const waiting = h("p", { class: "muted" }, t("maps.waiting"));
  const difference = h(
    "button",
    { "aria-pressed": "false", hidden: true, onclick: toggleDifference },
    t("maps.difference"),
  );
  const scroller = h("div", { class: "scroll-x maps-scroll" }, figure);
  fill(
    section,
    h(
      "div",
      { class: "part-head" },
      h("h2", {}, t("maps.title")),
      h("div", { class: "buttons" }, difference, scaleLegend(t)),
    ),
    waiting,
    scroller,
    h(
      "div",
      { class: "maps-foot" },
      readout,
      h("button", { class: "maps-down", onclick: showArithmetic }, t("maps.arithmetic")),
      h(
        "details",
        { class: "maps-keys small" },
        h("summary", {}, t("maps.keys")),
        h("p", {}, t("maps.keysText")),
      ),
    ),
  );
  const line = styleColor("--strong-line");
  const muted = styleColor("--ink");

  let panels = new Map();
  let differences = null;
  let classes = null;
  let wide = true;
  let width = 0; // of the section when it was arranged; 0 if it is to be arranged
  let greeted = memory.mapsGreeted === true;
  const last = new Map(); // layer → the unit that was looked at there

  figure.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch" && !store.get().pinned) point(event, false);
  });
  figure.addEventListener("click", (event) => {
    if (event.target.closest("canvas")) point(event, true);
  });
  figure.addEventListener("keydown", onKey);
  figure.addEventListener("focusin", ({ target }) => {
    const { unit, pinned, traced } = store.get();
    const panel = panelOf(target);
    if (!panel || pinned || unit?.layer === panel.layer) return;
    if (!target.matches(":focus-visible")) return; // the mouse points for itself
    store.set({ unit: last.get(panel.layer) ?? middle(traced, panel.layer) });
  });
  const observer = new ResizeObserver(() => {
    if (width > 0 && Math.abs(section.clientWidth - width) > 1) arrangeAll();
  });
  observer.observe(section);
  const unsubscribe = store.subscribe(onChange);
  if (store.get().traced) build();

  function onChange(state, changed) {
    const { traced, unit } = state;
    // it is told after this change, which is to be shown first
    if (traced && unit && !validUnit(traced, unit)) store.set({ unit: null, pinned: false });
    if (changed.has("traced")) build();
    else if (["outputs", "before", "input", "gates"].some((name) => changed.has(name))) draw();
    if (changed.has("unit") || changed.has("pinned")) mark();
  }

  /** New panels for a new network; the classes beside the last. */
  function build() {
    const { model, traced } = store.get();
    panels = new Map();
    last.clear();
    classes = null;
    if (!traced) return void fill(figure);
    const { network } = model;
    for (let layer = -1; layer < traced.length; layer++) {
      panels.set(layer, createPanel(t, { network, traced }, layer, colors));
    }
    differences = createDifferences(traced);
    classes = classColumn(network.classes, model.calibration);
    const end = panels.get(traced.length - 1);
    if (network.classes.length <= 12) end.box.append(classes.element);
    fill(
      figure,
      [...panels.values()].map((panel) => panel.element),
      overlay.element,
    );
    width = 0;
    draw();
  }

  /** The largest figure that the width takes from left to right, else one from top to bottom. */
  function arrangeAll() {
    width = section.clientWidth;
    if (panels.size === 0 || width === 0 || scroller.hidden) return;
    const height = Math.max(globalThis.innerHeight * 0.62, 380);
    overlay.element.setAttribute("width", 0); // the drawing of before is no reason to be so wide
    const tries = width < 700 ? [] : ZOOMS.filter((zoom) => 372 * zoom <= height || zoom === 1);
    const fits = (zoom, tight) => {
      arrange({ wide: true, zoom, width, tight });
      return figure.scrollWidth <= scroller.clientWidth;
    };
    wide = tries.some((zoom) => fits(zoom, false)) || (tries.length > 0 && fits(1, true));
    if (!wide) arrange({ wide: false, zoom: 1, width: scroller.clientWidth, tight: false });
    const origin = figure.getBoundingClientRect();
    for (const panel of panels.values()) {
      const { left, top } = panel.canvas.getBoundingClientRect();
      [panel.left, panel.top] = [left - origin.left, top - origin.top];
    }
    overlay.element.setAttribute("width", figure.scrollWidth);
    overlay.element.setAttribute("height", figure.scrollHeight);
    draw();
    mark();
  }

  function arrange(bounds) {
    figure.classList.toggle("maps-wide", bounds.wide);
    figure.classList.toggle("maps-narrow", !bounds.wide);
    figure.classList.toggle("maps-tight", bounds.tight);
    for (const panel of panels.values()) panel.place(bounds);
    classes.place(panels.get(panels.size - 2).arrangement, bounds.wide);
  }

  function draw() {
    const { model, input, outputs, before, pixels, gates, traced } = store.get();
    const ready = outputs !== null && input !== null && outputs.length === traced?.length;
    waiting.hidden = ready;
    scroller.hidden = !ready;
    if (!ready) return;
    difference.hidden = before === null;
    if (width === 0) return arrangeAll();
    const compared = before !== null && memory.mapsDifference === true;
    difference.setAttribute("aria-pressed", String(compared));
    const plain = compared ? normalize(model.network, pixels) : null;
    for (const [layer, panel] of panels) {
      const now = layer < 0 ? input : outputs[layer];
      const values = compared ? differences(layer, now, layer < 0 ? plain : before[layer]) : now;
      panel.draw(values, { difference: compared, gate: gates?.get(layer), line, muted });
    }
    classes.show(outputs.at(-1));
    tell();
    if (!greeted) greet(traced, outputs);
  }

  /** Points at a first unit, so that there is something to read: the strongest first sum. */
  function greet(traced, outputs) {
    greeted = memory.mapsGreeted = true;
    const layer = traced.findIndex(({ type }) => isWeightedSum(type));
    if (store.get().unit === null && layer >= 0) {
      store.set({ unit: { layer, index: ranked(outputs[layer], 1)[0] } });
    }
  }

  function toggleDifference() {
    memory.mapsDifference = memory.mapsDifference !== true;
    draw();
  }

  function mark() {
    if (width === 0) return;
    const { traced, unit: named } = store.get();
    const unit = validUnit(traced, named);
    if (unit) last.set(unit.layer, unit);
    overlay.show(traced, unit, panels, wide);
    const reached = unit?.layer ?? panelOf(document.activeElement)?.layer ?? -1;
    for (const [layer, { element }] of panels) element.tabIndex = layer === reached ? 0 : -1;
    tell();
  }

  /** The unit's name and number, under the figure and as its layer's label. */
  function tell() {
    const state = store.get();
    const { traced, pinned, outputs } = state;
    const unit = validUnit(traced, state.unit);
    const ready = unit && outputs;
    const text = ready ? unitText(t, state, unit) : t("maps.hint");
    const note = ready ? ` · ${t(pinned ? "maps.pinned" : "maps.toPin")}` : "";
    fill(readout, text, h("span", { class: "muted" }, note));
    for (const [layer, { element }] of panels) {
      const name = layerTitle(t, traced, layer);
      const label = ready && unit.layer === layer ? `${name}. ${text}` : name;
      if (element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
    }
  }

  function panelOf(element) {
    const found = element?.closest?.(".maps-layer");
    return found && figure.contains(found) ? panels.get(Number(found.dataset.layer)) : undefined;
  }

  function point(event, pin) {
    const panel = panelOf(event.target);
    if (!panel || event.target !== panel.canvas) return;
    const index = unitAtPoint(panel.arrangement, panel.shape, event.offsetX, event.offsetY);
    if (index === null) return;
    const unit = { layer: panel.layer, index };
    const { unit: now, pinned } = store.get();
    if (pin) store.set({ unit, pinned: !(pinned && sameUnit(now, unit)) });
    else if (!sameUnit(now, unit)) store.set({ unit });
  }

  function onKey(event) {
    const panel = panelOf(event.target);
    const { traced, unit, pinned } = store.get();
    if (!panel || !traced) return;
    const from = unit?.layer === panel.layer ? unit : last.get(panel.layer);
    const now = from ?? middle(traced, panel.layer);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      store.set({ unit: now, pinned: !(pinned && sameUnit(unit, now)) });
      announce(t(store.get().pinned ? "maps.pinned" : "maps.unpinned"));
      return;
    }
    if (event.key === "Escape") {
      store.set({ unit: null, pinned: false });
      return;
    }
    const to = moveByKey(traced, now, event, panel.arrangement.strip);
    if (to === null) return;
    event.preventDefault();
    store.set({ unit: to });
    panels.get(to.layer)?.element.focus({ preventScroll: false });
    say();
  }

  const say = oncePerFrame(() => {
    const state = store.get();
    if (state.unit && state.outputs) announce(unitText(t, state, state.unit));
  });

  function showArithmetic() {
    const part = section.closest(".explore")?.querySelector(".part-arithmetic");
    part?.scrollIntoView({ block: "start" });
  }

  return {
    destroy() {
      observer.disconnect();
      unsubscribe();
    },
  };
}

function scaleLegend(t) {
  const bar = legend(1);
  const canvas = bar.querySelector("canvas");
  return fill(bar, t("maps.low"), " ", canvas, " ", t("maps.high"));
}

/** A layer's whole title: "C1 · Conv2d 5×5 · 6×28×28". */
function layerTitle(t, traced, layer) {
  const shape = shapeText(shapeOf(traced, layer));
  if (layer < 0) return `${t("maps.input")} · ${shape}`;
  const name = layerName(t, traced, layer);
  const kind = traced[layer].stage ? `${layerKind(traced[layer])} · ` : "";
  return `${name} · ${kind}${shape}`;
}

/** The unit in the middle of a layer's first map. */
function middle(traced, layer) {
  const shape = shapeOf(traced, layer);
  const [, height = 1, width = 1] = shape;
  const [row, column] = [Math.floor(height / 2), Math.floor(width / 2)];
  return { layer, index: unitAt(shape, { channel: 0, row, column }) };
}
