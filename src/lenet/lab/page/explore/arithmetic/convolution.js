/** A convolution's unit: each channel's kernel × patch = products, in numbers and colours. */

import { largest, legend } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import { exact, miniGrid, numberGrid } from "lenet/explore/arithmetic/grid.js";
import { decimalsFor, roundLimit } from "lenet/explore/network/scale.js";
import { layerName, shapeOf } from "lenet/explore/network/units.js";
import { unitAt } from "lenet/network/shapes.js";

const MOST_OPEN = 6; // channels that are unfolded at first, where there is room

/** The block {element, summary, update(result)} for the `arithmetic` of a Conv2d's unit. */
export function convolutionBlock(t, traced, result, { roomy }) {
  const { layer } = result;
  const shape = shapeOf(traced, layer - 1);
  const below = layerName(t, traced, layer - 1);
  const unfolded = roomy && result.channels.length <= MOST_OPEN;
  const channels = result.channels.map((channel, i) =>
    createChannel(t, { below, shape, channel }, unfolded || (!roomy && i === 0)),
  );
  const scales = h("p", { class: "scales small muted" });
  const total = h("p", { class: "formula number sum-line" });
  const many = channels.length > 1;
  const element = h(
    "div",
    { class: "convolution" },
    h(
      "div",
      { class: "buttons" },
      scales,
      many && h("button", { class: "quiet small", onclick: () => unfold(true) }, t("conv.open")),
      many && h("button", { class: "quiet small", onclick: () => unfold(false) }, t("conv.close")),
    ),
    h(
      "div",
      { class: "channels" },
      channels.map((channel) => channel.element),
    ),
  );

  function unfold(open) {
    for (const channel of channels) channel.element.open = open;
  }

  /** The three legends, made anew only where an end has changed. */
  function showScales(limits) {
    const text = Object.values(limits).join();
    if (scales.dataset.limits === text) return;
    scales.dataset.limits = text;
    const scale = (name, limit) =>
      h("span", { class: "scale" }, name, " ", legend(limit, decimalsFor(limit)));
    fill(
      scales,
      scale(t("conv.kernel"), limits.kernel),
      scale(t("conv.patch"), limits.patch),
      scale(t("conv.products"), limits.products),
    );
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
      showScales(limits);
      now.channels.forEach((channel, i) => channels[i].update(channel, limits));
      fill(total, totalLine(t, now));
    },
  };
}

/** "Σ of the channels + bias = total", each with its number. */
function totalLine(t, { channels, bias, total }) {
  return [
    channels.map(({ sum, channel }, i) => [
      i > 0 && (sum < 0 ? " − " : " + "),
      h(
        "span",
        { class: "term", title: t("conv.channel", { channel }) },
        i > 0 ? show(Math.abs(sum), 4) : show(sum, 4),
      ),
    ]),
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

/** One input channel: a line with its sum, which unfolds to the three tables. */
function createChannel(t, { below, shape, channel }, open) {
  const { rows, columns } = channel.kernel;
  const minis = {
    kernel: miniGrid(rows, columns),
    patch: miniGrid(rows, columns),
    products: miniGrid(rows, columns),
  };
  const sum = h("span", { class: "number channel-sum" });
  const grids = {
    kernel: numberGrid(rows, columns, { label: t("conv.kernel") }),
    patch: numberGrid(rows, columns, { label: t("conv.patch"), pressable: true }),
    products: numberGrid(rows, columns, { label: t("conv.products") }),
  };
  const element = h(
    "details",
    { class: "channel", open },
    h(
      "summary",
      {},
      h("span", { class: "channel-name" }, t("conv.of", { below, channel: channel.channel })),
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
    ),
    h(
      "div",
      { class: "channel-grids" },
      grids.kernel.element,
      h("span", { class: "operator" }, "×"),
      grids.patch.element,
      h("span", { class: "operator" }, "="),
      grids.products.element,
    ),
  );

  return {
    element,
    update({ channel: index, kernel, patch, products, sum: its }, limits) {
      fill(sum, "Σ ", exact("sum", its));
      minis.kernel.update(kernel.values, limits.kernel);
      minis.patch.update(patch.values, limits.patch);
      minis.products.update(products, limits.products);
      grids.kernel.update(kernel.values, { limit: limits.kernel });
      grids.products.update(products, { limit: limits.products, inside: patch.inside });
      grids.patch.update(patch.values, {
        limit: limits.patch,
        ...cellsOfWindow(t, shape, { ...patch, channel: index }),
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
