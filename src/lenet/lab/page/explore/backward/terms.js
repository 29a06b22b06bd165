/** A sum as a table: its terms by their size, each with a bar, what is left, the total. */

import { largest } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import { exact } from "lenet/explore/arithmetic/grid.js";
import { figure } from "lenet/shared/words.js";

/**
 * The table {element, update({terms, bias, total})}; `heads` are the four columns' names.
 *
 * A term is {name, value, gradient, product} and leads to the unit `go` of layer `layer` where it
 * has one; with `point`, its `channel` is told when it is pointed at. The largest `first` are shown
 * until all are asked for. `bias` is one more term {name, product}, or null; `total` is null where
 * the terms are no sum.
 */
export function termTable(t, heads, { first = 8, point = null } = {}) {
  const body = h("tbody");
  const rest = h("td", { class: "number" });
  const restName = h("th", { scope: "row", colspan: 3 });
  const restRow = h("tr", {}, restName, rest, h("td"));
  const biasName = h("th", { scope: "row", colspan: 3 });
  const bias = h("td", { class: "number" });
  const biasRow = h("tr", {}, biasName, bias, h("td"));
  const total = h("td", { class: "number" });
  const totalRow = h(
    "tr",
    { class: "total" },
    h("th", { scope: "row", colspan: 3 }, t("dense.total")),
    total,
    h("td"),
  );
  const all = h("button", { type: "button", class: "quiet small", onclick: showAll });
  const [from, ...numbers] = heads;
  const table = h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, from),
        numbers.map((name) => h("th", { scope: "col", class: "number" }, name)),
        h("th", {}, h("span", { class: "visually-hidden" }, t("dense.bar"))),
      ),
    ),
    body,
    h("tfoot", {}, restRow, biasRow, totalRow),
  );
  const element = h("div", { class: "dense" }, h("div", { class: "scroll-x" }, table), all);
  if (point) {
    body.addEventListener("pointerover", ({ target }) => {
      const channel = target.closest("tr")?.dataset.channel;
      if (channel !== undefined) point(Number(channel));
    });
  }
  let rows = [];
  let count = first;
  let newest = null;

  function showAll() {
    count = count === first ? Infinity : first;
    update(newest);
  }

  function update(now) {
    newest = now;
    const order = now.terms.toSorted((a, b) => size(b) - size(a));
    const shown = order.slice(0, count);
    if (rows.length !== shown.length) {
      rows = shown.map(createRow);
      fill(
        body,
        rows.map((row) => row.element),
      );
    }
    const limit = largest(now.terms.map(({ product }) => product));
    rows.forEach((row, i) => row.update(shown[i], limit));
    const others = order.slice(count);
    restRow.hidden = others.length === 0 || now.total === null;
    totalRow.hidden = now.total === null;
    restName.textContent = t("dense.rest", { count: others.length });
    fill(rest, number(others.reduce((sum, { product }) => sum + product, 0)));
    biasRow.hidden = !now.bias;
    if (now.bias) {
      biasName.textContent = now.bias.name;
      fill(bias, number(now.bias.product));
    }
    if (now.total === null) fill(total);
    else fill(total, h("strong", { "data-total": String(now.total) }, small(now.total)));
    all.hidden = now.terms.length <= first;
    all.textContent = count === first ? t("dense.all", { count: order.length }) : t("dense.few");
  }

  return { element, update };
}

const size = ({ product }) => Math.abs(product) || 0;
const number = (value) => h("span", { class: "number" }, small(value));

/** A number that may be tiny: gradients have no size of their own. */
export function small(value) {
  if (Math.abs(value) >= 0.001 && Math.abs(value) < 1e4) return show(value, 4);
  return figure(value);
}

/** The number as `exact` writes it, tiny or not. */
export function exactly(name, value) {
  const element = exact(name, value);
  element.textContent = small(value);
  return element;
}

function createRow() {
  const button = h("button", { type: "button", class: "plain" });
  const plain = h("span");
  const cells = Array.from({ length: 3 }, () => h("td", { class: "number" }));
  const bar = h("span", { class: "signed-bar" });
  const element = h(
    "tr",
    {},
    h("th", { scope: "row" }, button, plain),
    cells,
    h("td", { class: "signed-track" }, bar),
  );
  return {
    element,
    update({ name, go, layer, channel, value, gradient, product }, limit) {
      const leads = go !== undefined;
      button.hidden = !leads;
      plain.hidden = leads;
      (leads ? button : plain).textContent = name;
      if (leads) Object.assign(button.dataset, { go, layer });
      if (channel !== undefined) element.dataset.channel = channel;
      [value, gradient, product].forEach((one, i) => (cells[i].textContent = small(one)));
      cells[2].dataset.product = product;
      const share = limit > 0 ? Math.min(Math.abs(product) / limit, 1) * 50 : 0;
      bar.style.width = `${share}%`;
      bar.style.left = product < 0 ? `${50 - share}%` : "50%";
      bar.classList.toggle("negative", product < 0);
    },
  };
}
