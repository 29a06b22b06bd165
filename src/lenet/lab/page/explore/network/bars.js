/** The classes with their probabilities: a bar each, the true one marked. */

import { fill, h, oncePerFrame, percent } from "lenet/dom.js";
import { validUnit } from "lenet/explore/network/units.js";
import { isKnown, softmax } from "lenet/network/softmax.js";

const SETTLED_MS = 900; // without a new result before the class is announced
const SHOWN = ["outputs", "before", "picture", "unit", "traced"];
const MOST = 12; // classes that are shown at first

/** The list of classes in a section; a class points at its logit. */
export default function mountBars(section, { store, t, announce, memory }) {
  const verdict = h("p", { class: "bars-verdict" });
  const order = h("button", { class: "quiet small", onclick: changeOrder });
  const list = h("ol", { class: "bars-list" });
  const more = h("button", { class: "quiet small", hidden: true, onclick: showAll });
  fill(
    section,
    h("div", { class: "part-head" }, h("h2", {}, t("bars.title")), order),
    verdict,
    list,
    more,
  );
  let rows = [];
  let all = false;
  let timer = 0;
  let announced = "";

  list.addEventListener("click", (event) => {
    const index = event.target.closest("[data-class]")?.dataset.class;
    const { traced } = store.get();
    if (index === undefined || !traced) return;
    store.set({ unit: { layer: traced.length - 1, index: Number(index) }, pinned: true });
  });

  const draw = oncePerFrame(() => {
    const { model, outputs, before, picture, traced, unit } = store.get();
    const ready = Boolean(model && outputs && traced && outputs.length === traced.length);
    section.hidden = !ready;
    if (!ready) return;
    const { classes } = model.network;
    const { calibration } = model;
    const now = softmax(outputs.at(-1), calibration.temperature);
    const then = before ? softmax(before.at(-1), calibration.temperature) : null;
    const known = isKnown(outputs.at(-1), calibration);
    const ranking = byProbability(now);
    const label = picture?.label ?? null;
    const sorted = memory.barsByClass !== true;
    const pointed = validUnit(traced, unit)?.layer === traced.length - 1 ? unit.index : null;
    const shown = sorted ? ranking : [...ranking].sort((a, b) => a - b);
    const count = all ? classes.length : Math.min(classes.length, MOST);
    makeRows(count);
    rows.forEach((row, i) => {
      const index = shown[i];
      row.show({
        index,
        name: classes[index],
        share: now[index],
        before: then?.[index] ?? null,
        isTop: index === ranking[0],
        isTrue: index === label,
        isPointed: index === pointed,
      });
    });
    more.hidden = count === classes.length;
    more.textContent = t("bars.all", { count: classes.length });
    order.textContent = t(sorted ? "bars.byClass" : "bars.byProbability");
    fill(verdict, verdictOf(t, classes, ranking[0], now, label, known));
    const nearest = `${classes[ranking[0]]}, ${percent(now[ranking[0]], 0)}`;
    settle(known ? nearest : t("bars.none"));
  });

  /** Announces the class once nothing has changed for a while, and only if it is another. */
  function settle(text) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (text !== announced) announce(t("bars.announce", { text }));
      announced = text;
    }, SETTLED_MS);
  }

  function makeRows(count) {
    if (rows.length === count) return;
    rows = Array.from({ length: count }, () => createRow(t));
    fill(
      list,
      rows.map((row) => row.element),
    );
  }

  function changeOrder() {
    memory.barsByClass = memory.barsByClass !== true;
    draw();
  }

  function showAll() {
    all = true;
    draw();
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (SHOWN.some((name) => changed.has(name))) draw();
  });
  section.hidden = true;
  draw();
  return {
    destroy() {
      clearTimeout(timer);
      unsubscribe();
    },
  };
}

/** One class: a button with its name, its bar, its probability. */
function createRow(t) {
  const name = h("span", { class: "bars-name" });
  const bar = h("span", { class: "bars-bar" });
  const mark = h("span", { class: "bars-before", hidden: true });
  const share = h("span", { class: "bars-share number" });
  const truth = h("span", { class: "bars-true small" });
  const button = h(
    "button",
    { class: "bars-row" },
    h("span", { class: "bars-label" }, name, truth),
    h("span", { class: "bars-track", "aria-hidden": "true" }, bar, mark),
    share,
  );
  let shown = "";

  return {
    element: h("li", {}, button),
    show(row) {
      button.dataset.class = row.index;
      button.dataset.share = row.share;
      bar.style.width = `${100 * row.share}%`;
      mark.hidden = row.before === null;
      if (row.before !== null) mark.style.left = `${100 * row.before}%`;
      share.textContent = percent(row.share);
      const state = [row.name, row.isTop, row.isTrue, row.isPointed].join("|");
      if (state === shown) return;
      shown = state;
      name.textContent = row.name;
      button.title = t("bars.point", { name: row.name });
      button.classList.toggle("bars-top", row.isTop);
      setCurrent(button, row.isPointed);
      truth.textContent = row.isTrue ? t("bars.true") : "";
    },
  };
}

/** "Sneaker, 97.2%", or "none of these", and whether it is right where the class is known. */
function verdictOf(t, classes, top, probabilities, label, known) {
  const nearest = `${classes[top]}${t("unit.comma")}${percent(probabilities[top])}`;
  if (!known) {
    const answer = h("strong", { title: t("bars.none.why") }, t("bars.none"));
    const rest = h("span", { class: "muted" }, t("bars.nearest", { text: nearest }));
    if (label === null || classes[label] === undefined) return [answer, " ", rest];
    const wrong = h("span", { class: "bad" }, t("bars.wrong", { name: classes[label] }));
    return [answer, " ", rest, " ", wrong];
  }
  const answer = h("strong", {}, nearest);
  if (label === null || classes[label] === undefined) return [answer];
  if (label === top) return [answer, " ", h("span", { class: "good" }, t("bars.right"))];
  return [answer, " ", h("span", { class: "bad" }, t("bars.wrong", { name: classes[label] }))];
}

/** The classes, the most probable first. */
function byProbability(probabilities) {
  return Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
}

/** The classes beside the last layer: {element, place(arrangement, wide), show(logits)}. */
export function classColumn(classes, { temperature }) {
  const rows = classes.map((name) => {
    const bar = h("span", { class: "maps-class-bar" });
    return { bar, element: h("span", { class: "maps-class" }, h("span", {}, name), bar) };
  });
  const element = h(
    "div",
    { class: "maps-classes", "aria-hidden": "true" },
    rows.map((row) => row.element),
  );
  return {
    element,
    place({ tiles, height }, wide) {
      element.hidden = !wide || tiles.length !== rows.length;
      if (element.hidden) return;
      element.style.height = `${height}px`;
      rows.forEach((row, i) => {
        row.element.style.top = `${tiles[i].y + tiles[i].height / 2}px`;
      });
    },
    show(logits) {
      if (element.hidden) return;
      const shares = softmax(logits, temperature);
      rows.forEach(({ bar }, i) => (bar.style.width = `${Math.round(100 * shares[i])}%`));
    },
  };
}

function setCurrent(button, isPointed) {
  if (isPointed) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}
