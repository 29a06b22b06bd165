/** A convolution's unit: each channel's kernel × patch = products, in numbers and colours. */

import { largest, legend } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import { exact, miniGrid, numberGrid } from "lenet/explore/arithmetic/grid.js";
import { decimalsFor, roundLimit } from "lenet/explore/network/scale.js";
import { layerName, shapeOf } from "lenet/explore/network/units.js";
import { unitAt } from "lenet/network/shapes.js";

const MOST_TERMS = 24; // of the sum that are written out

/**
 * The block {element, summary, update(result)} for the `arithmetic` of a Conv2d's unit.
 *
 * One channel's numbers are shown: the store's `channel`, else the one that adds most. `scale`
 * is that of the numbers of the layer below (grid.js).
 */
export function convolutionBlock(t, traced, result, { store, scale }) {
  const { layer } = result;
  const shape = shapeOf(traced, layer - 1);
  const below = layerName(t, traced, layer - 1);
  const choose = (channel) => store.set({ channel });
  const rows = result.channels.map(({ channel, kernel }) =>
    createRow(t, { channel, kernel, scale, choose }),
  );
  const tables = createTables(t, { below, shape, scale }, result.channels[0]);
  const scales = h("p", { class: "scales small muted" });
  const total = h("p", { class: "formula number sum-line" });
  total.addEventListener("pointerover", ({ target }) => {
    const term = target.closest("[data-channel]");
    if (term) choose(Number(term.dataset.channel));
  });
  const list = h("div", { class: "channels", role: "group", "aria-label": t("conv.channels") });
  fill(
    list,
    rows.map((row) => row.element),
  );
  list.hidden = rows.length < 2;
  const element = h(
    "div",
    { class: "convolution" },
    list,
    h("div", { class: "channel-work" }, tables.element, scales),
  );
  let strongest = null; // the channel that is shown unless one was chosen: {unit, channel}

  /** The three legends, made anew only where an end has changed. */
  function showScales(limits) {
    const text = Object.values(limits).join();
    if (scales.dataset.limits === text) return;
    scales.dataset.limits = text;
    const told = (name, limit, color) =>
      h("span", { class: "scale" }, name, " ", legend(limit, decimalsFor(limit), color));
    fill(
      scales,
      told(t("conv.kernel"), limits.kernel),
      told(t("conv.patch"), limits.patch, scale),
      told(t("conv.products"), limits.products),
    );
  }

  function shownChannel({ unit, channels }) {
    const { channel } = store.get();
    const wanted = channels.findIndex((each) => each.channel === channel);
    if (wanted >= 0) return wanted;
    if (strongest?.unit !== unit) {
      const sizes = channels.map(({ sum }) => Math.abs(sum) || 0);
      strongest = { unit, channel: sizes.indexOf(Math.max(...sizes)) };
    }
    return strongest.channel;
  }

  return {
    element,
    summary: total,
    update(now) {
      const limitOf = (numbers) => roundLimit(Math.max(...now.channels.map(numbers)));
      const limits = {
        kernel: limitOf(({ kernel }) => largest(kernel.values)),
        patch: limitOf(({ patch }) => largest(patch.values)),
        products: limitOf(({ products }) => largest(products)),
      };
      const shown = shownChannel(now);
      showScales(limits);
      now.channels.forEach((channel, i) => rows[i].update(channel, limits, i === shown));
      tables.update(now.channels[shown], limits);
      fill(total, totalLine(t, now, now.channels[shown].channel));
    },
  };
}

/** "Σ of the channels + bias = total", each with its number; `chosen` is the channel shown. */
function totalLine(t, { channels, bias, total }, chosen) {
  const written = channels.length <= MOST_TERMS ? channels : [];
  const all = channels.reduce((sum, each) => sum + each.sum, 0);
  return [
    written.map(({ sum, channel }, i) => [
      i > 0 && (sum < 0 ? " − " : " + "),
      h(
        "span",
        {
          class: channel === chosen ? "term chosen" : "term",
          title: t("conv.channel", { channel }),
          "data-channel": channel,
        },
        i > 0 ? show(Math.abs(sum), 4) : show(sum, 4),
      ),
    ]),
    written.length === 0 && h("span", { class: "term" }, `Σ ${show(all, 4)}`),
    bias < 0 ? " − " : " + ",
    h(
      "span",
      { class: "term", title: t("conv.bias"), "data-bias": String(bias) },
      show(Math.abs(bias), 4),
    ),
    h("span", { class: "muted" }, ` (${t("conv.bias")})`),
    " = ",
    h("strong", {}, exact("total", total)),
  ];
}

/** One input channel in small, with its sum; pressed, its numbers are shown. */
function createRow(t, { channel, kernel: { rows, columns }, scale, choose }) {
  const minis = {
    kernel: miniGrid(rows, columns),
    patch: miniGrid(rows, columns, { scale }),
    products: miniGrid(rows, columns),
  };
  const sum = h("span", { class: "number channel-sum" });
  const element = h(
    "button",
    {
      class: "channel",
      "data-channel": channel,
      "aria-pressed": "false",
      onclick: () => choose(channel),
      onpointerenter: ({ pointerType }) => pointerType !== "touch" && choose(channel),
    },
    h("span", { class: "channel-name" }, t("conv.row", { channel })),
    h(
      "span",
      { class: "minis" },
      minis.kernel.element,
      "×",
      minis.patch.element,
      "=",
      minis.products.element,
    ),
    sum,
  );
  return {
    element,
    update({ kernel, patch, products, sum: its }, limits, chosen) {
      fill(sum, exact("sum", its));
      minis.kernel.update(kernel.values, limits.kernel);
      minis.patch.update(patch.values, limits.patch);
      minis.products.update(products, limits.products);
      element.setAttribute("aria-pressed", String(chosen));
    },
  };
}

/** The three tables of a channel's numbers: {element, update(channel, limits)}. */
function createTables(t, { below, shape, scale }, { kernel: { rows, columns } }) {
  const name = h("p", { class: "small muted" });
  const grids = {
    kernel: numberGrid(rows, columns, { label: t("conv.kernel") }),
    patch: numberGrid(rows, columns, { label: t("conv.patch"), pressable: true, scale }),
    products: numberGrid(rows, columns, { label: t("conv.products") }),
  };
  const sum = h("span", { class: "number" });
  const element = h(
    "div",
    {},
    name,
    h(
      "div",
      { class: "channel-grids" },
      grids.kernel.element,
      h("span", { class: "operator" }, "×"),
      grids.patch.element,
      h("span", { class: "operator" }, "="),
      grids.products.element,
      h("span", { class: "operator" }, "Σ = ", sum),
    ),
  );
  return {
    element,
    update({ channel, kernel, patch, products, sum: its }, limits) {
      name.textContent = t("conv.of", { below, channel });
      sum.textContent = show(its, 4);
      grids.kernel.update(kernel.values, { limit: limits.kernel });
      grids.products.update(products, { limit: limits.products, inside: patch.inside });
      grids.patch.update(patch.values, {
        limit: limits.patch,
        ...cellsOfWindow(t, shape, { ...patch, channel }),
      });
    },
  };
}

/** What `numberGrid` needs to make the cells of a window lead to the units of the layer below. */
export function cellsOfWindow(t, shape, { channel, top, left, columns, inside }) {
  const at = (i) => ({ channel, row: top + Math.floor(i / columns), column: left + (i % columns) });
  return {
    inside,
    units: (i) => (inside[i] ? unitAt(shape, at(i)) : null),
    names: (i) => (inside[i] ? t("unit.place", at(i)) : null),
  };
}
