/** The classes with their probabilities: a bar each, the true one marked. */

import { fill, h, percent } from "lenet/dom.js";
import { softmax } from "lenet/network/softmax.js";

const BESIDE = 12; // classes at most that stand beside the last layer's units
const MOST = 12; // of more classes so many are shown at first

/**
 * The classes: {place(panel, rest, wide), width(), show(), point(index)}.
 *
 * Few of them stand beside the units of the last layer's panel, in their order; else they are a
 * list in `rest`, the most probable first. A class points at its logit.
 */
export function createBars({ store, t, askWhy }, classes) {
  const list = h("ol", { class: "bars-list", "aria-label": t("bars.title"), onclick: choose });
  const more = h("button", { class: "quiet small", hidden: true, onclick: showAll });
  const element = h("div", { class: "bars" }, list, more);
  let rows = [];
  let all = false;
  let beside = false;
  let pointed = null;

  function choose(event) {
    const index = event.target.closest("[data-class]")?.dataset.class;
    const { traced } = store.get();
    if (index === undefined || !traced) return;
    store.set({ unit: { layer: traced.length - 1, index: Number(index) }, pinned: true });
    askWhy?.(Number(index));
  }

  function place(panel, rest, wide) {
    beside = wide && classes.length <= BESIDE;
    const home = beside ? panel.box : rest;
    if (element.parentElement !== home) home.append(element);
    element.classList.toggle("bars-beside", beside);
    const { tiles, height } = panel.arrangement ?? { tiles: [] };
    makeRows(all || beside ? classes.length : Math.min(classes.length, MOST));
    list.style.height = beside && height ? `${height}px` : "";
    const pitch = tiles.length > 1 ? tiles[1].y - tiles[0].y : 24;
    list.style.setProperty("--pitch", `${Math.min(pitch, 32)}px`);
    rows.forEach(({ element: row }, i) => {
      row.style.top = beside && tiles[i] ? `${tiles[i].y + tiles[i].height / 2}px` : "";
    });
  }

  function makeRows(count) {
    if (rows.length === count) return;
    rows = Array.from({ length: count }, () => createRow(t));
    fill(
      list,
      rows.map((row) => row.element),
    );
  }

  function show() {
    const { model, outputs, before, picture } = store.get();
    const { temperature } = model.calibration;
    const now = softmax(outputs.at(-1), temperature);
    const then = before ? softmax(before.at(-1), temperature) : null;
    const ranking = Array.from(now.keys()).sort((a, b) => now[b] - now[a]);
    const shown = beside ? [...now.keys()] : ranking;
    rows.forEach((row, i) => {
      const index = shown[i];
      row.show({
        index,
        name: classes[index],
        share: now[index],
        before: then?.[index] ?? null,
        isTop: index === ranking[0],
        isTrue: index === picture?.label,
        isPointed: index === pointed,
      });
    });
    more.hidden = rows.length === classes.length;
    more.textContent = t("bars.all", { count: classes.length });
  }

  function showAll() {
    all = true;
    makeRows(classes.length);
    show();
  }

  return {
    place,
    /** How much of the width they take beside the last layer. */
    width: () => (beside ? element.offsetWidth : 0),
    show,
    point(index) {
      if (index === pointed) return;
      pointed = index;
      show();
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
      if (row.isPointed) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      truth.textContent = row.isTrue ? t("bars.true") : "";
    },
  };
}
