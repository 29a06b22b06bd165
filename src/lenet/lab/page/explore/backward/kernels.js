/** How a number's gradient comes back through a convolution: kernel × gradients, map by map. */

import { largest, legend } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { miniGrid, numberGrid } from "lenet/explore/arithmetic/grid.js";
import { exactly, small } from "lenet/explore/backward/terms.js";
import { decimalsFor, roundLimit } from "lenet/explore/network/scale.js";
import { layerName } from "lenet/explore/network/units.js";
import { place, unitAt } from "lenet/network/shapes.js";

const NAMES = ["values", "gradients", "products"];

/**
 * The block {element, update(account)} for the `unitTerms` of a unit that a Conv2d reads.
 *
 * Each map of the convolution has one grid: what of its kernel meets this unit (rows and columns
 * backwards), times the gradients of the numbers that it made, as they lie in the map.
 */
export function kernelsBlock(t, traced, layer, { rows: height, columns: width }) {
  const next = layer + 1;
  const shape = traced[next].outputShape;
  const name = layerName(t, traced, next);
  let chosen = null;
  let newest = null;

  const list = h("div", { class: "channels", role: "group" });
  list.setAttribute("aria-label", t("backward.maps", { layer: name }));
  const label = h("p", { class: "small muted" });
  const grids = NAMES.map((key, i) =>
    numberGrid(height, width, { label: t(`backward.grid.${key}`), pressable: i === 1 }),
  );
  const sum = h("span", { class: "number" });
  const operator = (text, ...more) => h("span", { class: "operator" }, text, ...more);
  const scales = h("p", { class: "scales small muted" });
  const element = h(
    "div",
    { class: "convolution" },
    list,
    h(
      "div",
      { class: "channel-work" },
      label,
      h(
        "div",
        { class: "channel-grids" },
        grids[0].element,
        operator("×"),
        grids[1].element,
        operator("="),
        grids[2].element,
        operator("Σ = ", sum),
      ),
      scales,
    ),
  );
  const rows = new Map(); // channel → its row of the list

  function rowOf(channel) {
    if (!rows.has(channel)) rows.set(channel, createRow(t, channel, height, width, choose));
    return rows.get(channel);
  }

  function choose(channel) {
    chosen = channel;
    update(newest);
  }

  function update(account) {
    newest = account;
    const maps = byMap(account.terms, shape);
    const limits = Object.fromEntries(
      NAMES.map((key) => [key, roundLimit(Math.max(...maps.map((map) => largest(map[key]))))]),
    );
    const strongest = maps.toSorted((a, b) => Math.abs(b.sum) - Math.abs(a.sum))[0];
    const shown = maps.find(({ channel }) => channel === chosen) ?? strongest;
    const elements = maps.map((map) => rowOf(map.channel).element);
    if (elements.some((each, i) => list.children[i] !== each)) fill(list, elements);
    for (const map of maps) rowOf(map.channel).update(map, limits, map === shown);
    label.textContent = t("backward.through", { layer: name, channel: shown.channel });
    fill(sum, small(shown.sum));
    const at = (i) => ({
      channel: shown.channel,
      row: shown.top + Math.floor(i / width),
      column: shown.left + (i % width),
    });
    grids[0].update(shown.values, { limit: limits.values });
    grids[2].update(shown.products, { limit: limits.products });
    grids[1].update(shown.gradients, {
      limit: limits.gradients,
      units: (i) => unitAt(shape, at(i)),
      names: (i) => t("unit.place", at(i)),
    });
    showScales(limits);
  }

  function showScales(limits) {
    const text = Object.values(limits).join();
    if (scales.dataset.limits === text) return;
    scales.dataset.limits = text;
    const scale = (key) =>
      h("span", { class: "scale" }, t(`backward.grid.${key}`), " ", ends(limits[key]));
    fill(scales, NAMES.map(scale));
  }

  return { element, update };
}

/** The legend of a scale; of one whose end has many zeros, the end alone. */
function ends(limit) {
  return limit < 1e-4 ? h("span", { class: "number" }, `±${small(limit)}`) : legendOf(limit);
}

const legendOf = (limit) => legend(limit, decimalsFor(limit));

/** The terms of each map, as they lie in it: {channel, top, left, values, gradients, products}. */
function byMap(terms, shape) {
  const maps = new Map();
  for (const { unit, value, gradient, product } of terms) {
    const { channel, row, column } = place(shape, unit);
    if (!maps.has(channel)) {
      const empty = { values: [], gradients: [], products: [], sum: 0 };
      maps.set(channel, { channel, top: row, left: column, at: [], ...empty });
    }
    const map = maps.get(channel);
    map.top = Math.min(map.top, row);
    map.left = Math.min(map.left, column);
    map.at.push(unit);
    map.values.push(value);
    map.gradients.push(gradient);
    map.products.push(product);
    map.sum += product;
  }
  for (const map of maps.values()) {
    const order = map.at.map((_, i) => i).sort((a, b) => map.at[a] - map.at[b]);
    for (const key of NAMES) map[key] = order.map((i) => map[key][i]);
  }
  return [...maps.values()].sort((a, b) => a.channel - b.channel);
}

/** How many rows and columns of each map a unit feeds: {rows, columns}; none: both 0. */
export function fedSize({ terms }, shape) {
  const places = terms.map(({ unit }) => place(shape, unit));
  const count = (key) => new Set(places.map((each) => each[key])).size;
  return { rows: count("row"), columns: count("column") };
}

/** One map in small, with its sum; pressed, its numbers are shown. */
function createRow(t, channel, height, width, choose) {
  const minis = NAMES.map(() => miniGrid(height, width));
  const sum = h("span", { class: "number channel-sum" });
  const element = h(
    "button",
    {
      type: "button",
      class: "channel",
      "data-channel": channel,
      "aria-pressed": "false",
      onclick: () => choose(channel),
      onpointerenter: ({ pointerType }) => pointerType !== "touch" && choose(channel),
    },
    h("span", {}, t("conv.row", { channel })),
    h(
      "span",
      { class: "minis" },
      minis.map((mini, i) => [["", "×", "="][i], mini.element]),
    ),
    sum,
  );
  return {
    element,
    update(map, limits, is) {
      fill(sum, exactly("sum", map.sum));
      NAMES.forEach((key, i) => minis[i].update(map[key], limits[key]));
      element.setAttribute("aria-pressed", String(is));
    },
  };
}
