/** The whole network at once: the picture, the maps of every stage, the classes. */

import { styleColor } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { shownSlopes, slopesOf } from "lenet/explore/backward/slopes.js";
import { createBars } from "lenet/explore/network/bars.js";
import { createDifferences, createPanel } from "lenet/explore/network/figure.js";
import { createHead } from "lenet/explore/network/head.js";
import { arrange, arrangePicture, besideOneAnother, cellOf } from "lenet/explore/network/layout.js";
import { createLoupe, fitsNumbers } from "lenet/explore/network/numbers.js";
import { createOverlay } from "lenet/explore/network/overlay.js";
import { listenForPointing } from "lenet/explore/network/pointing.js";
import { figureColors } from "lenet/explore/network/scale.js";
import { createChooser } from "lenet/explore/network/chooser.js";
import { createStreams } from "lenet/explore/network/streams.js";
import { nonNegative, shownLayer, stagesOf } from "lenet/explore/network/stages.js";
import { layerTitle, readBy, validUnit } from "lenet/explore/network/units.js";
import { ranked } from "lenet/network/arithmetic.js";
import { normalize } from "lenet/network/forward.js";
import { isWeightedSum } from "lenet/network/layers.js";

const LEAST_WIDTH = 640; // of a figure whose stages stand beside one another
const USUAL_HEIGHT = 372; // of its maps, where the page scrolls
const SPACE = 26; // between two stages at least
const LITTLE_SPACE = 14; // the same where the figure would not fit otherwise
const SWEEP_MS = 2_000;
const DRAWN = ["outputs", "before", "input", "gates", "gradients", "backwards", "tint"];
const DOCKED = "(min-width: 1040px) and (min-height: 600px)"; // as in explore.css

/**
 * The figure of the whole network in a section; it sets the store's unit and pinned.
 *
 * `slot` is the element for the picture, and `frame` one that the slot and the section are both
 * in; without them the picture is in the figure itself.
 */
export default function mountMaps(section, tools) {
  const { store, t, memory } = tools;
  const colors = figureColors();
  const overlay = createOverlay();
  const streams = createStreams(tools);
  overlay.element.prepend(streams.element);
  const figure = h("div", { class: "maps-figure", role: "group", "aria-label": t("maps.title") });
  const frame = tools.frame ?? figure;
  const slot = tools.slot ?? h("div", { class: "maps-slot" });
  const waiting = h("p", { class: "muted" }, t("maps.waiting"));
  const head = createHead(tools, { more: streams.button, toggleDifference });
  const loupe = createLoupe();
  const scroller = h("div", { class: "scroll-x maps-scroll" }, figure);
  const chooser = createChooser(t, (stage) => show(stage));
  const rest = h("div", { class: "maps-rest" });
  fill(
    section,
    h("h2", { class: "visually-hidden" }, t("maps.title")),
    head.element,
    waiting,
    chooser.element,
    scroller,
    rest,
  );
  const line = styleColor("--strong-line");
  const ink = styleColor("--ink");
  const paper = styleColor("--paper");

  let stages = [];
  let panels = new Map(); // of every layer, by its number
  let seen = new Map(); // those that are shown
  let differences = null;
  let bars = null;
  let wide = true;
  let size = ""; // for which it was arranged; "" if it is to be arranged
  let chosen = null; // the stage that a narrow figure shows; none: the one pointed at
  let sweeping = 0;
  let wasClass = false; // whether a class was pointed at
  let greeted = memory.mapsGreeted === true;
  const docked = globalThis.matchMedia(DOCKED);

  const pointing = listenForPointing(frame, tools, { panelOf, source });
  const observer = new ResizeObserver(() => {
    if (size !== "" && size !== sizeNow()) arrangeAll();
  });
  observer.observe(section);
  section.addEventListener("scroll", mark, { passive: true }); // the overlay does not scroll
  observer.observe(slot);
  const unsubscribe = store.subscribe(onChange);
  if (store.get().traced) build();

  function onChange(state, changed) {
    const { traced, unit } = state;
    // it is told after this change, which is to be shown first
    if (traced && unit && !validUnit(traced, unit)) store.set({ unit: null, pinned: false });
    if (changed.has("traced")) build();
    else if (DRAWN.some((name) => changed.has(name))) draw();
    if (changed.has("unit")) chosen = null;
    if (["unit", "pinned", "channel", "picture"].some((name) => changed.has(name))) point();
  }

  /** New panels for a new network; the classes beside the last. */
  function build() {
    const { model, traced } = store.get();
    panels = new Map();
    pointing.forget();
    streams.forget();
    bars = null;
    memory.maps ??= { folded: {}, widened: null };
    if (!traced) return void fill(figure);
    const { network } = model;
    stages = stagesOf(traced);
    const sequential = nonNegative(traced);
    stages.forEach((stage, i) => {
      for (const layer of stage.layers) {
        const options = {
          stage,
          sequential: layer >= 0 && sequential[layer],
          widen: () => widen(i),
          fold: () => fold(stage.sum),
        };
        panels.set(layer, createPanel(t, { network, traced }, layer, colors, options));
      }
    });
    differences = createDifferences(traced);
    bars = createBars(tools, network.classes);
    const picture = panels.get(-1).element;
    if (tools.slot) fill(slot, picture);
    const all = [...panels.values()].map(({ element }) => element);
    const own = tools.slot ? all.filter((element) => element !== picture) : all;
    fill(figure, own);
    frame.append(overlay.element, loupe.element);
    if (store.get().unit === null) greeted = false;
    own.forEach((element, i) => element.style.setProperty("--order", String(i)));
    figure.classList.add("maps-sweep"); // the layers light up one after the other, once
    clearTimeout(sweeping);
    sweeping = setTimeout(() => figure.classList.remove("maps-sweep"), SWEEP_MS);
    size = "";
    draw();
  }

  // --- which layers are shown, and where

  /** The layer that a stage shows. */
  function shownIn(stage) {
    const { unit, traced } = store.get();
    const pointed = validUnit(traced, unit)?.layer ?? null;
    return shownLayer(stage, pointed, memory.maps.folded[stage.sum] !== false);
  }

  function choice() {
    const { unit, traced } = store.get();
    const pointed = validUnit(traced, unit)?.layer ?? null;
    const layers = stages.map((stage) => shownIn(stage));
    if (!wide) {
      const at = stages.findIndex((stage, i) => i > 0 && stage.layers.includes(pointed));
      const only = chosen ?? (at > 0 ? at : 1);
      chooser.show(stages, only);
      return [-1, layers[only]];
    }
    const [first, ...others] = layers;
    return first === -1 ? [-1, ...others] : [-1, first, ...others];
  }

  function sizeNow() {
    const { clientWidth, clientHeight } = section;
    const high = docked.matches ? clientHeight : 0;
    return `${clientWidth}x${high}:${slot.clientWidth}x${docked.matches ? slot.clientHeight : 0}`;
  }

  /** Shows the layers that are to be seen, as large as the place takes. */
  function arrangeAll() {
    const width = scroller.clientWidth;
    if (panels.size === 0 || section.clientWidth === 0 || scroller.hidden) return;
    wide = section.clientWidth >= LEAST_WIDTH && placeWide();
    if (!wide) placeNarrow(width);
    size = sizeNow();
    draw();
    mark();
  }

  function reveal() {
    figure.classList.toggle("maps-wide", wide);
    figure.classList.toggle("maps-narrow", !wide);
    chooser.element.hidden = wide;
    const layers = choice();
    seen = new Map(layers.map((layer) => [layer, panels.get(layer)]));
    for (const [layer, { element }] of panels) element.hidden = !seen.has(layer);
  }

  function placeWide() {
    wide = true;
    reveal();
    const inFigure = [...seen.values()].filter((panel) => !tools.slot || panel.layer >= 0);
    const shapes = inFigure.map((panel) => panel.shape);
    const widened = inFigure.findIndex((panel) => isWidened(panel.layer));
    for (const panel of inFigure) panel.widened(isWidened(panel.layer));
    let found = besideOneAnother(shapes, placeFor(inFigure, false));
    if (!found.fits && docked.matches) {
      found = besideOneAnother(shapes, { ...placeFor(inFigure, false), space: LITTLE_SPACE });
    }
    const slim = widened >= 0 || (!found.fits && docked.matches);
    if (slim) {
      const usual = widened < 0 ? 0 : cellOf(arrange(shapes[widened], found.bounds[widened]));
      const place = { ...placeFor(inFigure, true), space: LITTLE_SPACE };
      found = besideOneAnother(shapes, { ...place, widened: widened < 0 ? null : widened, usual });
    }
    inFigure.forEach((panel, i) => panel.place(arrange(panel.shape, found.bounds[i])));
    if (tools.slot) placePicture();
    bars.place(inFigure.at(-1), rest, true);
    return found.fits;
  }

  /** What layout.js is to know of the place; with `slim` labels, the widened one's aside. */
  function placeFor(inFigure, slim) {
    figure.classList.toggle("maps-slim", slim);
    for (const panel of inFigure) panel.canvas.style.width = "0"; // labels alone are measured
    bars.place(inFigure.at(-1), rest, true);
    const labels = inFigure.map((panel) => panel.element.firstChild);
    const least = labels.map((label) => label.offsetWidth);
    least[least.length - 1] += bars.width();
    const high = Math.max(...labels.map((label) => label.offsetHeight));
    const height = docked.matches ? Math.max(scroller.clientHeight - high - 4, 120) : USUAL_HEIGHT;
    return { width: scroller.clientWidth - 2, height, least, space: SPACE };
  }

  function placeNarrow(width) {
    wide = false;
    reveal();
    for (const panel of seen.values()) {
      panel.place(arrange(panel.shape, { width }));
      panel.widened(isWidened(panel.layer));
    }
    if (tools.slot) placePicture();
    bars.place(panels.get(panels.size - 2), rest, false);
  }

  function placePicture() {
    const panel = panels.get(-1);
    panel.place(arrangePicture(panel.shape, slot.clientWidth, slot.clientWidth));
  }

  /** Where the panels lie in the frame: the overlay's coordinates. */
  function measure() {
    const origin = frame.getBoundingClientRect();
    for (const panel of seen.values()) {
      const { left, top } = panel.canvas.getBoundingClientRect();
      [panel.left, panel.top] = [left - origin.left, top - origin.top];
    }
  }

  function isWidened(layer) {
    const { widened } = memory.maps;
    return widened !== null && (stages[widened]?.layers.includes(layer) ?? false);
  }

  function widen(i) {
    memory.maps.widened = memory.maps.widened === i ? null : i;
    arrangeAll();
  }

  /** Shows a stage before its activation, or after it again. */
  function fold(sum) {
    const { unit } = store.get();
    const stage = stages.find((each) => each.sum === sum);
    memory.maps.folded[sum] = shownIn(stage) !== stage.activation;
    const layer = shownLayer(stage, null, memory.maps.folded[sum]);
    if (unit && stage.layers.includes(unit.layer)) store.set({ unit: { ...unit, layer } });
    arrangeAll();
    panels.get(layer).element.querySelector("input")?.focus();
  }

  /** The stage that a narrow figure shows. */
  function show(stage) {
    chosen = stage;
    arrangeAll();
  }

  // --- what they show

  function draw() {
    const { model, input, outputs, before, pixels, gates, traced, seen: shown, tint } = store.get();
    const slopes = shownSlopes(store.get());
    const ready = outputs !== null && input !== null && outputs.length === traced?.length;
    if (!ready && size !== "" && pixels !== null) return; // the numbers will be there in a moment
    waiting.hidden = ready || pixels !== null; // then it is a moment's matter
    scroller.hidden = !ready;
    rest.hidden = !ready;
    if (!ready) return;
    const comparable = slopes === null && before !== null;
    const compared = comparable && memory.mapsDifference === true;
    const { gradients } = store.get();
    head.show({ gradients, backwards: slopes !== null, comparable, compared });
    if (size === "") return arrangeAll();
    const plain = compared ? normalize(model.network, pixels) : null;
    for (const [layer, panel] of seen) {
      const now = layer < 0 ? input : outputs[layer];
      const own = compared ? differences(layer, now, layer < 0 ? plain : before[layer]) : now;
      const values = slopes === null ? own : slopesOf(slopes, layer);
      const scale = slopes !== null ? "gradient" : compared ? "difference" : "value";
      const over = layer < 0 && scale === "value" && tint?.of === shown ? tint : null;
      const numbers = isWidened(layer);
      panel.draw(values, { scale, gate: gates?.get(layer), line, muted: ink, tint: over, numbers });
    }
    bars.show();
    tell();
    streams.renew();
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

  /** Another unit: its layer is shown in its stage, and what it depends on lights up. */
  function point() {
    if (size === "") return;
    const layers = choice();
    if (layers.length !== seen.size || layers.some((layer) => !seen.has(layer))) arrangeAll();
    else mark();
  }

  function mark() {
    if (size === "") return;
    const { traced, unit: named, pinned, channel = null } = store.get();
    const unit = validUnit(traced, named);
    pointing.remember(unit);
    measure(); // a label that has become wider moves what stands beside it
    // a number that is pinned has its own lines, unless it is a class
    const isClass = unit?.layer === traced.length - 1;
    const beside = docked.matches || !tools.slot; // else the picture stands above
    const joined = beside ? seen : new Map([...seen].filter(([layer]) => layer >= 0));
    streams.show(wide && (!pinned || isClass) ? joined : null, stages);
    if (isClass || wasClass || !pinned) streams.renew();
    wasClass = isClass;
    const read = unit && unit.layer >= 0 ? readBy(traced, unit.layer) : null;
    const within = read !== null && channel !== null && channel < read.count;
    overlay.show(traced, unit, seen, {
      wide,
      beside,
      channel: within ? channel : null,
      flat: read?.flat ?? false,
    });
    const reached = unit?.layer ?? panelOf(document.activeElement)?.layer ?? -1;
    for (const [layer, { element }] of panels) element.tabIndex = layer === reached ? 0 : -1;
    tell();
  }

  /** The unit's name and number, over the figure and as its layer's label. */
  function tell() {
    const { traced, unit: named } = store.get();
    const told = head.tell();
    const unit = told && validUnit(traced, named);
    for (const [layer, { element }] of seen) {
      const name = layerTitle(t, traced, layer);
      const label = unit?.layer === layer ? `${name}. ${told.text}${told.back}` : name;
      if (element.getAttribute("aria-label") !== label) element.setAttribute("aria-label", label);
    }
    bars.point(unit?.layer === traced.length - 1 ? unit.index : null);
    magnify(unit);
  }

  /** The numbers around the unit, where its stage is widened and its cells are small. */
  function magnify(unit) {
    const panel = unit && isWidened(unit.layer) ? seen.get(unit.layer) : null;
    if (!panel?.shown || fitsNumbers(panel.arrangement)) return loupe.hide();
    loupe.show(panel, unit.index, { width: frame.offsetWidth, ink, paper });
  }

  /** The panel of what the unit pointed at is computed from, and whether its units are a vector. */
  function source() {
    const { unit, traced } = store.get();
    if (!unit || unit.layer < 0) return null;
    const nearest = Math.max(...[...seen.keys()].filter((layer) => layer < unit.layer));
    return { panel: seen.get(nearest), flat: readBy(traced, unit.layer).flat };
  }

  function panelOf(element) {
    const found = element?.closest?.(".maps-layer");
    return found && frame.contains(found) ? panels.get(Number(found.dataset.layer)) : undefined;
  }

  return {
    destroy() {
      clearTimeout(sweeping);
      observer.disconnect();
      unsubscribe();
      pointing.destroy();
      streams.destroy();
    },
  };
}
