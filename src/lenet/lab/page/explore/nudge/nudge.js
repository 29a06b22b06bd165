/** Nudge: the picture changed so little that one hardly sees it, towards another class. */

import { createCalculator } from "lenet/calculator.js";
import { paint, signedColor } from "lenet/colors.js";
import { fill, h, percent } from "lenet/dom.js";
import { covered } from "lenet/explore/edits/occlusion.js";
import { jostled, LARGEST_NUDGE } from "lenet/network/nudge.js";
import { product } from "lenet/network/shapes.js";
import { softmax } from "lenet/network/softmax.js";
import { paintPicture } from "lenet/shared/thumbnail.js";

const FIRST_SIZE = 8; // of 255: what a class that is chosen first is nudged by
const SEVERAL = 10; // steps, where it is not one
const MOST_MACS = 2e7; // of a network that goes back in the page, as in backward/pass.js
const SETTLED_MS = 60; // without another picture before what is beside it is computed
const SHOWN = ["outputs", "nudge", "traced", "picture"];

/** The side of the lens in `section`: {shown(is), destroy}. */
export default function mountNudge(section, tools) {
  const { t, store, backend, params, setParams, announce, fail } = tools;
  const kept = (tools.memory.nudge ??= { to: null, size: 0, steps: 1 });
  let calculator = null;
  let beside = null; // {of, plain, noise}: the logits of the picture as it was and moved at random
  let searched = ""; // what the search for the smallest nudge has found
  let seen = false;
  let closed = false;
  let timer = 0;
  let asked = 0;

  const to = h("select", { onchange: () => change({ to: Number(to.value) }) });
  const steps = h(
    "select",
    { onchange: () => change({ steps: Number(steps.value) }) },
    [1, SEVERAL].map((value) => h("option", { value }, t(`nudge.steps.${value}`))),
  );
  const size = h("input", {
    type: "range",
    min: "0",
    max: LARGEST_NUDGE,
    step: "1",
    oninput: () => change({ size: Number(size.value) }),
  });
  const sizeText = h("output", { class: "number" });
  const find = h("button", { type: "button", onclick: search }, t("nudge.find"));
  const away = h("button", { type: "button", onclick: takeAway }, t("nudge.away"));
  const field = (key, control, ...more) =>
    h("label", { class: "field" }, h("span", {}, t(key), more), control);
  const verdict = h("p", { class: "answer number", role: "status" });
  const random = h("p", { class: "small number" });
  const told = h(
    "div",
    { class: "nudge-told" },
    h("div", { class: "pick-tools" }, field("nudge.to", to), field("nudge.how", steps)),
    field("nudge.size", size, " ", sizeText),
    h("div", { class: "buttons" }, find, away),
    verdict,
    random,
  );
  const parts = ["before", "difference", "after"].map((key) => createPart(t, key));
  const [before, difference, after] = parts;
  const sign = (text) => h("span", { class: "nudge-sign", "aria-hidden": "true" }, text);
  const figures = h(
    "div",
    { class: "nudge-figures" },
    [before.element, sign("+"), difference.element],
    [sign("="), after.element],
  );
  const limits = h(
    "div",
    { class: "nudge-limits small" },
    ["nudge.can", "nudge.cannot"].map((key) => h("p", {}, t(key))),
  );
  const body = h("div", { class: "nudge" }, told, figures, limits);
  const hint = h("p", { class: "muted" });
  fill(section, h("h2", { class: "visually-hidden" }, t("nudge.title")), hint, body);

  /** Another target, size or way; at size 0 nothing is nudged. */
  function change(patch) {
    searched = "";
    Object.assign(kept, { to: wanted() }, patch);
    // a class that was chosen is nudged to at once
    if ("to" in patch && kept.size === 0) kept.size = FIRST_SIZE;
    apply();
  }

  function apply() {
    store.set({ nudge: kept.size > 0 ? { ...kept } : null });
  }

  function takeAway() {
    change({ size: 0 });
    announce(t("nudge.gone"));
    size.focus();
  }

  /** The class that is nudged to: the one chosen, else the most probable that is no verdict. */
  function wanted() {
    const { nudge, outputs, before: plain, model } = store.get();
    if (nudge) return nudge.to;
    if (kept.to !== null && kept.to < (model?.network.classes.length ?? 0)) return kept.to;
    const logits = (plain ?? outputs)?.at(-1) ?? [];
    return [...logits.keys()].sort((a, b) => logits[b] - logits[a])[1] ?? 0;
  }

  async function search() {
    const mine = ++asked;
    const { model, weights, gates, pixels, cover } = store.get();
    const { network } = model;
    const target = wanted();
    find.disabled = true;
    verdict.setAttribute("aria-busy", "true");
    try {
      load(network, weights);
      const plain = covered(network.input_shape, pixels, cover);
      const how = { to: target, steps: kept.steps };
      const found = await calculator.smallest("nudge", plain, how, { gates });
      if (closed || mine !== asked || found === null || store.get().pixels !== pixels) return;
      const name = network.classes[target];
      if (found.size === null) searched = t("nudge.none", { name, most: LARGEST_NUDGE });
      else if (found.size === 0) searched = t("nudge.already", { name });
      else searched = t("nudge.found", { name, size: found.size });
      announce(searched);
      Object.assign(kept, { to: target, size: found.size ?? LARGEST_NUDGE });
      apply();
      update();
    } catch (error) {
      if (!closed) fail(error);
    } finally {
      find.disabled = false;
      verdict.removeAttribute("aria-busy");
    }
  }

  function load(network, weights) {
    calculator ??= createCalculator(backend.startWorker);
    calculator.load("nudge", network, weights);
  }

  function renew(wait = SETTLED_MS) {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(update), wait);
  }

  function update() {
    const state = store.get();
    const { model, traced, outputs, pixels, seen: shown, nudge } = state;
    if (!seen || closed) return;
    const ready = Boolean(model && shown && pixels && outputs?.length === traced?.length);
    const large = ready && traced.reduce((all, row) => all + row.macs, 0) > MOST_MACS;
    hint.hidden = ready && !large;
    hint.textContent = large ? t("backward.obstacle.large") : t("maps.waiting");
    body.hidden = !ready || large;
    if (!ready || large) return;
    showControls(model.network, nudge);
    const { input_shape: shape } = model.network;
    const plain = covered(shape, pixels, state.cover);
    before.picture(plain, shape);
    after.picture(shown, shape);
    difference.change(plain, shown, shape, nudge?.size ?? 0);
    after.element.dataset.most = String(furthest(plain, shown));
    tell(state);
    compare(state, plain);
  }

  function showControls({ classes }, nudge) {
    if (to.dataset.classes !== classes.join("\n")) {
      to.dataset.classes = classes.join("\n");
      fill(
        to,
        classes.map((name, value) => h("option", { value }, name)),
      );
    }
    to.value = String(wanted());
    steps.value = String(kept.steps);
    size.value = String(nudge?.size ?? 0);
    sizeText.textContent = t("nudge.of", { size: nudge?.size ?? 0 });
    away.disabled = nudge === null;
  }

  /** The verdict on the picture as it was, nudged, and moved as far at random. */
  function tell({ model, outputs, nudge }) {
    const { classes } = model.network;
    const { temperature } = model.calibration;
    const say = (logits) => {
      const shares = softmax(logits, temperature);
      const top = Math.max(0, shares.indexOf(Math.max(...shares)));
      return `${classes[top]} ${percent(shares[top])}`;
    };
    const now = say(outputs.at(-1));
    const was = beside ? say(beside.plain) : null;
    before.say(nudge === null ? now : (was ?? ""));
    after.say(now);
    fill(
      verdict,
      nudge === null
        ? h("span", { class: "muted" }, t("nudge.hint"))
        : [was && `${was} → `, h("strong", {}, now)],
    );
    const jostling = nudge !== null && beside?.noise;
    random.textContent = jostling ? t("nudge.random", { says: say(beside.noise) }) : "";
    if (searched !== "") random.prepend(h("span", { class: "nudge-found" }, searched), " ");
  }

  /** Computes what stands beside the nudged picture's verdict. */
  async function compare(state, plain) {
    const { model, weights, gates, nudge } = state;
    const of = [nudge?.size ?? 0, model, weights, gates, state.pixels, state.cover];
    const same = (one, i) => one === beside?.of[i];
    if (of.every(same)) return;
    if (!of.slice(1).every((one, i) => same(one, i + 1))) beside = null; // else only the noise is
    if (nudge === null) return;
    try {
      load(model.network, weights);
      const pictures = [plain, jostled(plain, nudge.size)];
      const logits = await calculator.many("nudge", pictures, { gates });
      if (closed || logits === null || store.get().nudge !== nudge) return;
      const classes = model.network.classes.length;
      beside = { of, plain: logits.slice(0, classes), noise: logits.slice(classes) };
      tell(store.get());
    } catch (error) {
      if (!closed) fail(error);
    }
  }

  const unsubscribe = store.subscribe((state, changed) => {
    const { nudge, model } = state;
    if (changed.has("model") && nudge && nudge.to >= (model?.network.classes.length ?? Infinity)) {
      Object.assign(kept, { to: null, size: 0 });
      store.set({ nudge: null });
    }
    if (changed.has("pixels") || changed.has("weights")) searched = "";
    if (changed.has("nudge")) {
      setParams({ nudge: nudge && `${nudge.to}.${nudge.size}.${nudge.steps}` });
    }
    if (seen && SHOWN.some((name) => changed.has(name))) renew();
  });

  const said = fromAddress(params.get("nudge"));
  if (said !== null) {
    Object.assign(kept, said);
    apply();
  }

  return {
    shown(is) {
      seen = is;
      if (is) renew(0);
    },
    destroy() {
      closed = true;
      clearTimeout(timer);
      unsubscribe();
      calculator?.close();
    },
  };
}

/** What the address says, {to, size, steps}; null where it says nothing that can be done. */
function fromAddress(text) {
  const match = /^(\d{1,4})\.(\d{1,3})\.(\d{1,2})$/.exec(text ?? "");
  if (!match) return null;
  const [to, size, steps] = match.slice(1).map(Number);
  const fine = size >= 1 && size <= LARGEST_NUDGE && [1, SEVERAL].includes(steps);
  return fine ? { to, size, steps } : null;
}

/** How far the pixel that has moved most has moved. */
function furthest(plain, shown) {
  return shown.reduce((most, value, i) => Math.max(most, Math.abs(value - plain[i])), 0);
}

/** One of the three pictures, with what is said below it. */
function createPart(t, key) {
  const canvas = h("canvas", { class: "picture nudge-picture", role: "img" });
  const said = h("span", { class: "number" });
  const title = t(`nudge.${key}`);
  const element = h(
    "figure",
    { class: "nudge-part", "data-part": key },
    canvas,
    h("figcaption", { class: "small" }, h("strong", {}, title), " ", said),
  );
  canvas.setAttribute("aria-label", title);
  return {
    element,
    say(text) {
      said.textContent = text;
      canvas.setAttribute("aria-label", `${title} ${text}`);
    },
    picture: (pixels, shape) => paintPicture(canvas, pixels, shape),
    /** The change of each place, of several colours their mean, from −size to size. */
    change(plain, shown, shape, size) {
      const [channels, rows, columns] = shape;
      const plane = rows * columns;
      const values = Float32Array.from({ length: plane }, (_, i) => {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += shown[c * plane + i] - plain[c * plane + i];
        return sum / channels;
      });
      paint(canvas, values, rows, columns, signedColor, Math.max(size, 1));
      const moved = values.reduce((all, value) => all + (value !== 0 ? 1 : 0), 0);
      this.say(t("nudge.moved", { size, moved, of: product([rows, columns]) }));
    },
  };
}
