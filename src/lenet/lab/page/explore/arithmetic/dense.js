/** A dense layer's unit: its inputs by what they contribute, largest first. */

import { largest } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import { exact } from "lenet/explore/arithmetic/grid.js";
import { layerName, placeName, shapeOf } from "lenet/explore/network/units.js";
import { ranked } from "lenet/network/arithmetic.js";

const FIRST = 12;

/** The block {element, summary, update(result)} for a Linear's or RBF's unit. */
export function denseBlock(t, traced, { kind, layer }, { store }) {
  const radial = kind === "RBF";
  const body = h("tbody");
  const rest = h("td", { class: "number" });
  const restName = h("th", { scope: "row", colspan: 3 });
  const restRow = h("tr", { class: "rest" }, restName, rest, h("td"));
  const bias = h("td", { class: "number" });
  const total = h("td", { class: "number" });
  const all = h("button", { class: "quiet small", onclick: showAll });
  const summary = h("p", { class: "formula number sum-line" });
  const element = h(
    "div",
    { class: "dense" },
    h(
      "div",
      { class: "scroll-x" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", {}, t("dense.from", { layer: layerName(t, traced, layer - 1) })),
            h("th", { class: "number" }, t("dense.input")),
            h("th", { class: "number" }, t(radial ? "dense.code" : "dense.weight")),
            h("th", { class: "number" }, radial ? "−(x − c)²" : t("dense.product")),
            h("th", {}, h("span", { class: "visually-hidden" }, t("dense.bar"))),
          ),
        ),
        body,
        h(
          "tfoot",
          {},
          restRow,
          !radial
            && h("tr", {}, h("th", { scope: "row", colspan: 3 }, t("conv.bias")), bias, h("td")),
          h(
            "tr",
            { class: "total" },
            h("th", { scope: "row", colspan: 3 }, t("dense.total")),
            total,
            h("td"),
          ),
        ),
      ),
    ),
    all,
  );
  body.addEventListener("pointerover", ({ target }) => {
    const row = target.closest("tr");
    if (row) store.set({ channel: Number(row.dataset.unit) });
  });
  const sourceName = namesBelow(t, traced, layer);
  let rows = [];
  let count = FIRST;
  let newest = null;

  function showAll() {
    count = count === FIRST ? Infinity : FIRST;
    update(newest);
  }

  function update(now) {
    newest = now;
    const { products, inputs } = now;
    const weights = radial ? now.codes : now.weights;
    const order = ranked(products);
    const shown = order.slice(0, count);
    if (rows.length !== shown.length) {
      rows = shown.map(() => createRow());
      fill(
        body,
        rows.map((row) => row.element),
      );
    }
    const limit = largest(products);
    const { channel } = store.get();
    rows.forEach((row, i) => {
      const unit = shown[i];
      row.update(unit, sourceName(unit), inputs[unit], weights[unit], products[unit], limit);
      row.element.classList.toggle("chosen", unit === channel);
    });
    const others = order.slice(count);
    restRow.hidden = others.length === 0;
    restName.textContent = t("dense.rest", { count: others.length });
    fill(
      rest,
      exact(
        "rest",
        others.reduce((sum, unit) => sum + products[unit], 0),
      ),
    );
    if (!radial) fill(bias, exact("bias", now.bias));
    fill(total, h("strong", {}, exact("total", now.total)));
    const sum = products.reduce((so, product) => so + product, 0);
    fill(
      summary,
      t("dense.sum", { count: products.length }),
      ` = ${show(sum, 4)}`,
      !radial && [
        `${now.bias < 0 ? " − " : " + "}${show(Math.abs(now.bias), 4)}`,
        h("span", { class: "muted" }, ` (${t("conv.bias")})`),
        ` = `,
        h("strong", {}, show(now.total, 4)),
      ],
    );
    all.hidden = products.length <= FIRST;
    all.textContent = count === FIRST ? t("dense.all", { count: products.length }) : t("dense.few");
  }

  return { element, summary, update };
}

function createRow() {
  const button = h("button", { class: "plain" });
  const cells = Array.from({ length: 3 }, () => h("td", { class: "number" }));
  const bar = h("span", { class: "signed-bar" });
  const element = h(
    "tr",
    {},
    h("th", { scope: "row" }, button),
    cells,
    h("td", { class: "signed-track" }, bar),
  );
  return {
    element,
    update(unit, name, input, weight, product, limit) {
      element.dataset.unit = unit;
      button.dataset.go = unit;
      button.textContent = name;
      [input, weight, product].forEach((value, i) => (cells[i].textContent = show(value, 4)));
      cells[2].dataset.product = product;
      const share = limit > 0 ? Math.min(Math.abs(product) / limit, 1) * 50 : 0;
      bar.style.width = `${share}%`;
      bar.style.left = product < 0 ? `${50 - share}%` : "50%";
      bar.classList.toggle("negative", product < 0);
    },
  };
}

/** A function from a unit of the layer below to its name; behind Flatten its place in the map. */
function namesBelow(t, traced, layer) {
  const below = layer - 1;
  const flat = below >= 0 && traced[below].type === "Flatten";
  const shape = flat ? traced[below].inputShape : shapeOf(traced, below);
  return (unit) => placeName(t, shape, unit);
}
