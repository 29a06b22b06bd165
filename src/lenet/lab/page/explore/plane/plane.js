/** A map of pictures: where the last layer before the classes puts them, in two dimensions. */

import { createCalculator } from "lenet/calculator.js";
import { count, fill, h, percent } from "lenet/dom.js";
import { layerName, shapeOf } from "lenet/explore/network/units.js";
import { fittingSets, numberOf, readPictures } from "lenet/explore/picture/test-pictures.js";
import { marksOf, markElement } from "lenet/explore/plane/glyphs.js";
import { createScatter } from "lenet/explore/plane/scatter.js";
import { nearestTo, placesIn } from "lenet/network/plane.js";
import { product } from "lenet/network/shapes.js";
import { thumbnail } from "lenet/shared/thumbnail.js";

const MOST = 1_000; // pictures: of some ten thousand the marks would cover each other
const MOST_MACS = 2e10; // for all of them: of a large network there are fewer
const NEIGHBOURS = 6;
const SETTLED_MS = 400; // without other weights: while it learns, a map would be old at once
const MADE_OF = ["model", "weights", "gates", "picture"];

/** The side of the lens in `section`: {shown(is), destroy}. */
export default function mountPlane(section, tools) {
  const { t, backend, store, memory, fail, announce, showPicture } = tools;
  let calculator = null;
  let running = null; // AbortController
  let made = memory.plane ?? null; // {of, set, pictures, points, plane, places, …}
  let only = null; // the class that stands out
  let seen = false;
  let closed = false;
  let timer = 0;
  let told = 0; // which thumbnails were asked for last

  const scatter = createScatter(t, { pointed: showPointed, chose: choose });
  const card = h("div", { class: "plane-card small", hidden: true });
  const progress = h("progress", { max: "1", value: "0", hidden: true });
  progress.setAttribute("aria-label", t("plane.progress"));
  const legend = h("div", { class: "plane-legend small", role: "group", onclick: single });
  legend.setAttribute("aria-label", t("plane.legend"));
  const about = h("p", { class: "small" });
  const limits = h("p", { class: "small muted" });
  const near = h("div", { class: "plane-near", onclick: goNear });
  const nearTitle = h("h3", {}, "");
  const body = h(
    "div",
    { class: "plane" },
    h("div", { class: "plane-box" }, scatter.element, card, progress),
    legend,
    h("div", { class: "plane-told" }, nearTitle, near, about, limits),
  );
  const hint = h("p", { class: "muted" });
  fill(section, h("h2", { class: "visually-hidden" }, t("plane.title")), hint, body);
  const observer = new ResizeObserver(() => scatter.resize());
  observer.observe(scatter.element);

  // --- made

  const layerOf = (traced) => traced.length - 2; // what the classes are computed from; −1: pixels

  function madeOf() {
    const { model, weights, gates, picture } = store.get();
    const set = picture?.source === "data" ? picture.name : (memory.pick?.data ?? null);
    return [model, weights, gates, set];
  }

  const fresh = () => made !== null && madeOf().every((one, i) => one === made.of[i]);

  async function make() {
    if (!seen || closed || store.get().outputs === null) return;
    if (fresh()) return show();
    running?.abort();
    const mine = new AbortController();
    running = mine;
    const of = madeOf();
    const [model, weights, gates, name] = of;
    const { traced } = store.get();
    const overtaken = () => closed || running !== mine;
    try {
      const state = await backend.state();
      const fitting = fittingSets(state, model);
      const chosen = fitting.find((one) => one.name === name) ?? fitting[0];
      if (overtaken()) return;
      if (!chosen) return nothing();
      working(true);
      const set = await backend.dataset(chosen.name);
      const macs = traced.reduce((sum, row) => sum + row.macs, 1);
      const most = Math.min(MOST, set.count, Math.max(100, Math.floor(MOST_MACS / macs)));
      const indices = Array.from({ length: most }, (_, i) => i);
      const pictures = await readPictures(set, indices, model);
      if (overtaken()) return;
      calculator ??= createCalculator(backend.startWorker);
      calculator.load("plane", model.network, weights);
      const outputs = await calculator.hidden("plane", pictures, {
        gates,
        signal: mine.signal,
        progress: (done, all) => {
          if (running === mine) progress.value = done / all;
        },
      });
      if (overtaken() || outputs === null) return;
      const width = product(shapeOf(traced, layerOf(traced)));
      const plane = await calculator.plane(outputs.hidden, width);
      if (overtaken() || plane === null) return;
      const places = placesIn(plane, outputs.hidden, width);
      const { classes } = model.network;
      const known = set.classes.join() === classes.join() || set.name === model.data;
      const verdicts = indices.map((i) =>
        highest(outputs.logits, i * classes.length, classes.length),
      );
      const labels = known ? [...set.labels.slice(0, most)] : verdicts;
      made = { of, set, known, labels, verdicts, plane, places, width, points: outputs.hidden };
      memory.plane = made;
      running = null;
      working(false);
      show();
    } catch (error) {
      if (overtaken()) return;
      running = null;
      working(false);
      fail(error);
    }
  }

  function nothing() {
    made = null;
    hint.textContent = t("plane.nothing");
    hint.hidden = false;
    body.hidden = true;
  }

  function working(is) {
    progress.hidden = !is;
    if (is) progress.value = 0;
    body.setAttribute("aria-busy", String(is));
    body.classList.toggle("plane-old", is && made !== null);
  }

  // --- shown

  /** The points, the legend, and where what is shown lies among them. */
  function show() {
    if (!seen || made === null) return;
    hint.hidden = true;
    body.hidden = false;
    const { model, traced } = store.get();
    const { classes } = model.network;
    const names = made.known ? made.set.classes : classes;
    drawLegend(names);
    const layer = layerName(t, traced, layerOf(traced));
    const [one, two] = made.plane.shares.map((share) => percent(share, 0));
    about.textContent = t("plane.about", {
      count: count(made.labels.length),
      layer,
      numbers: count(made.width),
      one,
      two,
    });
    limits.textContent = t(made.known ? "plane.limits" : "plane.unknown");
    nearTitle.textContent = t("plane.near", { numbers: count(made.width) });
    scatter.element.setAttribute("aria-label", `${about.textContent} ${t("plane.keys")}`);
    follow();
  }

  /** What is shown has moved: its place in the plane, and its neighbours. */
  function follow() {
    const { traced, outputs, input, picture } = store.get();
    if (!seen || !fresh() || outputs?.length !== traced?.length) return;
    const layer = layerOf(traced);
    const point = layer < 0 ? input : outputs[layer];
    const { labels, verdicts, places, plane, points, width, set, known } = made;
    const ours = picture?.source === "data" && picture.name === set.name ? picture.index : null;
    const chosen = ours !== null && ours < labels.length ? ours : null;
    const wrong = labels.map((label, i) => known && label !== verdicts[i]);
    const classes = Math.max(set.classes.length, store.get().model.network.classes.length);
    const here = [...placesIn(plane, point, width)];
    scatter.show({ places, labels, wrong, classes, only, chosen, here });
    const found = nearestTo(points, point, NEIGHBOURS + 1).filter((i) => i !== ours);
    showNear(found.slice(0, NEIGHBOURS));
  }

  async function showNear(indices) {
    const mine = ++told;
    const key = indices.join();
    if (near.dataset.shown === key) return;
    const pictures = await made.set.pixels(indices).catch(() => null);
    if (closed || mine !== told || pictures === null) return;
    near.dataset.shown = key;
    fill(
      near,
      indices.map((i, n) =>
        h(
          "button",
          { type: "button", class: "pick-tile", "data-point": i, title: textOf(i) },
          thumbnail(pictures[n], made.set.shape),
          h("span", { class: "plane-name" }, nameOf(made.labels[i])),
        ),
      ),
    );
  }

  function goNear({ target }) {
    const button = target.closest("[data-point]");
    if (button) choose(Number(button.dataset.point));
  }

  const nameOf = (label) => {
    const { classes } = made.known ? made.set : store.get().model.network;
    return classes[label] ?? String(label);
  };

  /** "Picture 17: coat, called pullover". */
  function textOf(i) {
    const { classes } = store.get().model.network;
    const values = {
      number: numberOf(made.set, i),
      is: nameOf(made.labels[i]),
      said: classes[made.verdicts[i]],
    };
    const wrong = made.known && made.labels[i] !== made.verdicts[i];
    return t(wrong ? "plane.point.wrong" : "plane.point", values);
  }

  async function showPointed(i, x, y) {
    card.hidden = i === null;
    if (i === null) return;
    const text = textOf(i);
    const { width, height } = scatter.element.getBoundingClientRect();
    card.style.left = x > width / 2 ? "" : `${x + 14}px`;
    card.style.right = x > width / 2 ? `${width - x + 14}px` : "";
    card.style.top = y > height / 2 ? "" : `${y + 8}px`;
    card.style.bottom = y > height / 2 ? `${height - y + 8}px` : "";
    fill(card, h("span", {}, text));
    announce(text);
    const [pixels] = await made.set.pixels([i]).catch(() => []);
    if (!closed && pixels && card.textContent === text)
      card.prepend(thumbnail(pixels, made.set.shape));
  }

  function choose(i) {
    announce(textOf(i));
    showPicture(String(i));
  }

  function drawLegend(names) {
    const key = [...names, document.documentElement.dataset.theme].join("\n");
    if (legend.dataset.shown !== key) {
      legend.dataset.shown = key;
      if (only !== null && only >= names.length) only = null;
      const marks = marksOf(names.length);
      fill(
        legend,
        names.map((name, label) =>
          h("button", { type: "button", "data-class": label }, markElement(marks[label]), name),
        ),
        made.known
          && h("p", { class: "muted" }, h("span", { class: "plane-wrong" }), t("plane.wrong")),
      );
    }
    for (const button of legend.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.class) === only));
    }
  }

  /** One class stands out; the same again, and all do. */
  function single({ target }) {
    const label = target.closest("[data-class]")?.dataset.class;
    if (label === undefined) return;
    only = Number(label) === only ? null : Number(label);
    show();
  }

  function renew(wait) {
    clearTimeout(timer);
    timer = setTimeout(make, wait);
  }

  const unsubscribe = store.subscribe((_, changed) => {
    if (!seen) return;
    if (changed.has("outputs") && fresh()) follow();
    else if (changed.has("outputs") && made === null && running === null) renew(0);
    if (MADE_OF.some((name) => changed.has(name)) && !fresh()) renew(SETTLED_MS);
  });

  return {
    shown(is) {
      seen = is;
      if (is) renew(0);
      else running?.abort();
      if (!is) running = null;
    },
    destroy() {
      closed = true;
      clearTimeout(timer);
      running?.abort();
      observer.disconnect();
      unsubscribe();
      calculator?.close();
    },
  };
}

/** Which of `length` numbers from `start` on is the highest. */
function highest(numbers, start, length) {
  let best = 0;
  for (let i = 1; i < length; i++) if (numbers[start + i] > numbers[start + best]) best = i;
  return best;
}
