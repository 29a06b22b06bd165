/** The whole arithmetic of the unit that is pointed at, and the way down to the pixels. */

import { fill, h, rovingFocus, show } from "lenet/dom.js";
import { activationBlock } from "lenet/explore/arithmetic/activation.js";
import { convolutionBlock } from "lenet/explore/arithmetic/convolution.js";
import { denseBlock } from "lenet/explore/arithmetic/dense.js";
import { formulaList } from "lenet/explore/arithmetic/formulas.js";
import { raised } from "lenet/explore/network/scale.js";
import { softmaxTable } from "lenet/explore/arithmetic/softmax.js";
import {
  passingBlock,
  pixelArithmetic,
  pixelBlock,
  poolingBlock,
} from "lenet/explore/arithmetic/window.js";
import { moveByKey } from "lenet/explore/network/keys.js";
import { nonNegative } from "lenet/explore/network/stages.js";
import {
  inLayer,
  isOff,
  isVector,
  layerName,
  moved,
  sameUnit,
  shapeOf,
  unitName,
  unitText,
  validUnit,
  outputOf,
} from "lenet/explore/network/units.js";
import { arithmetic } from "lenet/network/arithmetic.js";
import { isActivation, roleOf } from "lenet/network/layers.js";

const BEHIND_MS = 120; // between two renewals while one draws: the maps come first
const PATIENCE_MS = 500; // that numbers of two moments may stand beside one another
const BLOCKS = { convolution: convolutionBlock, pooling: poolingBlock, dense: denseBlock };

/**
 * The panel of a unit's arithmetic in a section; it follows and sets the store's unit. The unit's
 * name and the steps to others are put into `head`.
 */
export default function mountArithmetic(section, { store, t, announce, head: top = section }) {
  const name = h("h3", { class: "unit-name number", tabindex: "-1" });
  const pin = h("button", { "aria-pressed": "false", onclick: togglePin }, t("arith.pin"));
  const steps = stepButtons(t, step);
  const trail = h("ol", { class: "trail" });
  const way = h("nav", { "aria-label": t("arith.trail"), hidden: true }, trail);
  const head = h("div", { class: "arithmetic-head" });
  const work = h("div", { class: "work" });
  const agreement = h("p", { class: "agreement small number" });
  const hint = h("p", { class: "muted" }, t("arith.hint"));
  const formulas = h("div");
  const told = h("div", { class: "arithmetic-told" }, way, head, agreement, formulas);
  const body = h("div", { class: "arithmetic", hidden: true }, told, work);
  const unitHead = h(
    "div",
    { class: "unit-head", hidden: true },
    name,
    h("div", { class: "buttons" }, pin, steps.element, keysHelp(t)),
  );
  fill(section, h("h2", { class: "visually-hidden" }, t("arith.title")), hint, body);
  top.prepend(unitHead);
  rovingFocus(steps.element, "button");

  let blocks = null; // of the unit that is shown: {key, layer, traced, update(results)}
  let path = []; // units from where one has followed contributions down
  let expected = store.get().unit; // the unit that this part has set itself
  let timer = 0;
  let doubtful = 0; // since when recomputed and given value have differed
  let due = Infinity;

  section.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-go]");
    const { unit } = store.get();
    if (!button || !unit) return;
    const layer = Number(button.dataset.layer ?? blocks.layer - 1);
    follow({ layer, index: Number(button.dataset.go) });
  });
  const onKey = (event) => {
    const { traced, unit } = store.get();
    if (event.key === "Escape" && unit) return store.set({ unit: null, pinned: false });
    if (event.target !== name || !unit) return;
    const to = moveByKey(traced, unit, event);
    if (to === null) return;
    event.preventDefault();
    go(to, path);
  };
  section.addEventListener("keydown", onKey);
  if (top !== section) unitHead.addEventListener("keydown", onKey);

  const unsubscribe = store.subscribe((state, changed) => {
    if (changed.has("traced") || !sameUnit(state.unit, expected)) path = [];
    if (changed.has("unit")) expected = state.unit;
    if (changed.has("unit") || changed.has("pinned") || changed.has("traced")) renewIn(0);
    else if (changed.has("channel")) renewIn(0);
    else if (changed.has("outputs") || changed.has("gates")) renewIn(BEHIND_MS);
  });

  /** Renews the panel once, with the next frame after so many milliseconds at the latest. */
  function renewIn(wait) {
    const at = performance.now() + wait;
    if (at >= due) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => requestAnimationFrame(renew), wait);
  }

  function renew() {
    due = Infinity;
    const state = store.get();
    const { traced, outputs, input, pinned } = state;
    const unit = validUnit(traced, state.unit);
    const ready = Boolean(unit && outputs && input && outputs.length === traced.length);
    body.hidden = !ready;
    unitHead.hidden = !ready;
    hint.hidden = ready;
    if (!ready) return;
    const value = outputOf(state, unit);
    // a long one is cut
    name.title = unitName(t, { network: state.model.network, traced }, unit);
    fill(
      name,
      h("span", { class: "unit-called" }, name.title),
      h("span", { class: "unit-value", "aria-hidden": "true" }, ` = ${show(value, 3)}`),
    );
    pin.setAttribute("aria-pressed", String(pinned));
    steps.show(traced, unit);
    showTrail(state, unit);
    const results = computed(state, unit);
    const key = keyOf(results);
    if (blocks?.key !== key || blocks.traced !== traced) build(traced, results, key);
    blocks.update(results);
    showAgreement(state, unit, results[unit.layer === results.layer ? "own" : "next"].total);
  }

  /** Other blocks: the layer, or what a unit of it reads, is another. */
  function build(traced, { layer, own, next }, key) {
    const make = own.kind === "pixel" ? pixelBlock : (BLOCKS[roleOf(own.kind)] ?? passingBlock);
    const block = make(t, traced, own, { store, scale: scaleBelow(store.get(), layer) });
    const activation = isActivation(own.kind) || next ? activationBlock(t) : null;
    const softmax = layer === traced.length - 1 ? softmaxTable(t, layer) : null;
    fill(
      head,
      block.summary,
      activation && h("div", {}, next ? nextHead(t, traced, layer + 1) : null, activation.element),
    );
    fill(formulas, layer < 0 ? null : formulaList(t, traced[layer]));
    fill(work, block.element, softmax?.element);
    blocks = {
      key,
      layer,
      traced,
      update(results) {
        block.update(results.own);
        const of = results.next ?? results.own;
        activation?.update(of, traced[of.layer].layer);
        const up = head.querySelector(".next [data-go]");
        if (up) up.dataset.go = results.own.unit;
        const { outputs, model, unit } = store.get();
        const { network, calibration } = model;
        softmax?.update(outputs.at(-1), network.classes, unit.index, calibration.temperature);
      },
    };
  }

  function showTrail(state, unit) {
    way.hidden = path.length === 0;
    const { model, traced } = state;
    const named = (each) => unitName(t, { network: model.network, traced }, each);
    fill(
      trail,
      path.map((each, i) =>
        h("li", {}, h("button", { class: "plain", onclick: () => goBack(i) }, named(each))),
      ),
      h("li", { "aria-current": "location" }, named(unit)),
    );
  }

  /** What was recomputed beside what the network gave, and whether they are the same number. */
  function showAgreement(state, unit, total) {
    const value = outputOf(state, unit);
    const off = isOff(state.gates, state.traced, unit);
    const difference = Math.abs(total - value);
    const same =
      Object.is(total, value) // also where both are NaN or infinite
      || difference <= 1e-5 * Math.max(1, Math.abs(total))
      || (Number.isNaN(total) && Number.isNaN(value));
    const now = performance.now();
    doubtful = same || off ? 0 : doubtful || now;
    const patient = !same && !off && now - doubtful < PATIENCE_MS;
    if (patient) renewIn(PATIENCE_MS);
    const judged = patient ? "arith.computing" : same ? "arith.same" : "arith.other";
    agreement.classList.toggle("failure", !same && !off && !patient);
    fill(
      agreement,
      t("arith.recomputed"),
      " ",
      figure("recomputed", total),
      " · ",
      t("arith.network"),
      " ",
      figure("value", value),
      " · ",
      t("arith.difference"),
      " ",
      h("span", { "data-difference": String(difference) }, scientific(difference)),
      ". ",
      t(off ? "arith.off" : judged),
    );
  }

  function go(unit, along) {
    path = along;
    expected = unit;
    store.set({ unit, pinned: true });
    announce(unitText(t, store.get(), unit));
  }

  function follow(unit) {
    const from = store.get().unit;
    go(unit, [...path, from]);
    name.focus();
  }

  function goBack(i) {
    go(path[i], path.slice(0, i));
    name.focus();
  }

  function step(change) {
    const { traced, unit } = store.get();
    if (!validUnit(traced, unit)) return;
    const to = change.layer
      ? inLayer(traced, unit, unit.layer + change.layer)
      : moved(traced, unit, change);
    if (!sameUnit(to, unit)) go(to, []);
  }

  function togglePin() {
    store.set({ pinned: !store.get().pinned });
  }

  renewIn(0);
  return {
    destroy() {
      clearTimeout(timer);
      unsubscribe();
    },
  };
}

/**
 * The arithmetic {layer, own, next} of a unit: of the sum (or window …), by `layer`, and of the
 * activation behind it where there is one. A unit of an activation is shown with its sum.
 */
function computed(state, { layer: at, index }) {
  const { model, weights, input, outputs, traced } = state;
  if (at < 0) return { layer: at, own: pixelArithmetic(state, index), next: null };
  const activates = (i) => isActivation(traced[i]?.type) && !isActivation(traced[i - 1]?.type);
  const layer = at > 0 && activates(at) ? at - 1 : at;
  const of = (i) => arithmetic(model.network, weights, input, outputs, i, index, traced);
  return { layer, own: of(layer), next: activates(layer + 1) ? of(layer + 1) : null };
}

/** The scale of colours of what a layer reads, as grid.js names it. */
function scaleBelow({ model, traced }, layer) {
  if (layer > 0) return nonNegative(traced)[layer - 1] ? "sequential" : "signed";
  const { mean } = model.network.normalization ?? { mean: [0] };
  return mean.every((each) => each === 0) ? "grey" : "signed";
}

/** Units with the same key are shown by the same blocks. */
function keyOf({ layer, own }) {
  return `${layer}|${own.channels?.map(({ channel }) => channel).join() ?? ""}`;
}

function nextHead(t, traced, layer) {
  return h(
    "h3",
    { class: "next" },
    h(
      "button",
      { class: "plain", "data-go": "0", "data-layer": layer },
      t("arith.then", { layer: layerName(t, traced, layer) }),
    ),
  );
}

function figure(attribute, value) {
  const digits = Math.abs(value) >= 1000 ? 3 : 8;
  return h("span", { [`data-${attribute}`]: String(value) }, show(value, digits));
}

/** A small number as text: "1.2·10⁻⁸". */
function scientific(value) {
  if (!Number.isFinite(value) || value === 0) return show(value, 0);
  const [digits, power] = value.toExponential(1).split("e");
  return `${digits}·10${raised(Number(power))}`;
}

/** The buttons that step to neighbours: {element, show(traced, unit)}. */
function stepButtons(t, step) {
  const button = (key, sign, change) =>
    h(
      "button",
      { class: "step", "aria-label": t(key), title: t(key), onclick: () => step(change) },
      sign,
    );
  const inMap = [
    button("step.left", "←", { column: -1 }),
    button("step.up", "↑", { row: -1 }),
    button("step.down", "↓", { row: 1 }),
    button("step.right", "→", { column: 1 }),
  ];
  const channel = [
    button("step.channelBefore", "‹", { channel: -1 }),
    button("step.channelAfter", "›", { channel: 1 }),
  ];
  const layers = [
    button("step.below", "⇤", { layer: -1 }),
    button("step.above", "⇥", { layer: 1 }),
  ];
  const word = (key) => h("span", { class: "small muted", "aria-hidden": "true" }, t(key));
  const element = h(
    "div",
    { class: "steps", role: "toolbar", "aria-label": t("step.title") },
    h("span", { class: "step-group" }, inMap),
    h("span", { class: "step-group" }, word("step.channel"), channel),
    h("span", { class: "step-group" }, word("step.layer"), layers),
  );
  return {
    element,
    show(traced, { layer, index }) {
      const vector = isVector(shapeOf(traced, layer));
      inMap[0].parentElement.hidden = vector;
      channel[0].previousSibling.textContent = t(vector ? "step.unit" : "step.channel");
      const at = { layer, index };
      const stuck = (change) => sameUnit(moved(traced, at, change), at);
      disable(channel[0], stuck({ channel: -1 }));
      disable(channel[1], stuck({ channel: 1 }));
      disable(layers[0], layer < 0);
      disable(layers[1], layer === traced.length - 1);
    },
  };
}

/** What the keys do in the figure, to be unfolded. */
function keysHelp(t) {
  const text = h("p", {}, t("maps.keysText"));
  return h("details", { class: "maps-keys small" }, h("summary", {}, t("maps.keys")), text);
}

/** A button that leads nowhere keeps the focus that it may have. */
function disable(button, is) {
  button.setAttribute("aria-disabled", String(is));
}
