/** The gradient of one weight: the sum over all positions of what it met times the gradient. */

import { largest, paint, signedColor } from "lenet/colors.js";
import { fill, h, oncePerFrame } from "lenet/dom.js";
import { COLORS, numberGrid } from "lenet/explore/arithmetic/grid.js";
import { exactly, small, termTable } from "lenet/explore/backward/terms.js";
import { kernelStart, weightsBehind, weightView } from "lenet/explore/edits/edits.js";
import { roundLimit } from "lenet/explore/network/scale.js";
import { nonNegative } from "lenet/explore/network/stages.js";
import { layerName, placeName, shapeOf } from "lenet/explore/network/units.js";
import { weightTerms } from "lenet/network/backward.js";
import { switchOff } from "lenet/network/forward.js";
import { place } from "lenet/network/shapes.js";

const PICTURES = ["met", "gradient", "product"];

/**
 * The block {element, update(state, unit)} of a weight's gradient. Which weight it is stands in
 * `kept.weight`: {input, at} of the kernel, or "bias"; `changed()` is called when it is another.
 */
export function createWeightBlock({ t, kept, changed }) {
  const title = h("h3", { class: "number gradient-title" });
  const told = h("p", { class: "small" });
  const inputs = h("select", {
    onchange: () => choose({ input: Number(inputs.value), at: cell().at }),
  });
  const inputField = h("label", { class: "field" }, h("span", {}, t("backward.input")), inputs);
  const bias = h(
    "button",
    { type: "button", onclick: () => choose(kept.weight === "bias" ? cell() : "bias") },
    t("conv.bias"),
  );
  const kernels = h("div", { class: "channel-grids" });
  kernels.addEventListener("click", (event) => {
    const button = event.target.closest("[data-go]");
    if (!button) return;
    event.stopPropagation(); // it leads to no unit
    choose({ input: cell().input, at: Number(button.dataset.go) });
  });
  const chooser = h(
    "div",
    { class: "weight-chooser" },
    h("div", { class: "buttons" }, inputField, bias),
    kernels,
  );
  const positions = createPositions(t);
  const work = h("div", { class: "gradient-work" });
  const element = h("div", { class: "gradient-weight" }, title, told, work);
  const NOTHING = { key: "", traced: null, grids: null, table: null };
  let shown = NOTHING;
  let newest = null;

  function choose(weight) {
    kept.weight = weight;
    changed();
    if (newest) update(...newest);
  }

  /** The weight that was chosen last, also while the bias is looked at. */
  function cell() {
    if (typeof kept.weight === "object" && kept.weight !== null) kept.cell = kept.weight;
    return kept.cell ?? { input: 0, at: 0 };
  }

  function update(state, unit) {
    newest = [state, unit];
    const { traced, gradients } = state;
    const channel = unit.layer < 0 ? 0 : place(traced[unit.layer].outputShape, unit.index).channel;
    const behind = unit.layer < 0 ? null : weightsBehind(traced, { layer: unit.layer, channel });
    if (behind === null || traced[behind.layer].type === "RBF") {
      fill(title, t("backward.weight.none"));
      told.textContent = "";
      fill(work);
      shown = NOTHING;
      return;
    }
    const { layer, output } = behind;
    const row = traced[layer];
    const x = layer === 0 ? gradients.of.input : gradients.of.outputs[layer - 1];
    const dy = gradients.outputs[layer].slice();
    switchOff(row, gradients.of.gates, dy);
    if (row.type === "Linear") return updateDense(state, layer, output, x, dy);
    const view = weightView(traced, layer);
    build(state, view, layer);
    const { input, at } = fitting(view, output, cell());
    const isBias = kept.weight === "bias";
    const place_ = isBias ? output : kernelStart(view, output, input) + at;
    const account = weightTerms(row, x, dy, isBias ? "bias" : "weight", place_);
    const name = layerName(t, traced, layer);
    const gradient = gradients.weights.get(isBias ? view.bias : view.name).data[place_];
    fill(
      title,
      t(isBias ? "backward.weight.bias" : "backward.weight.one", {
        layer: name,
        channel: output,
        input,
        row: Math.floor(at / view.columns),
        column: at % view.columns,
      }),
      " = ",
      h("strong", {}, exactly("weight-gradient", gradient)),
    );
    told.textContent = t(isBias ? "backward.weight.byBias" : "backward.weight.by", {
      count: account.terms.length,
    });
    inputs.value = String(input);
    bias.setAttribute("aria-pressed", String(isBias));
    const start = kernelStart(view, output, input);
    const cut = (data) => data.subarray(start, start + view.rows * view.columns);
    const numbers = cut(gradients.of.weights.get(view.name).data);
    const slopes = cut(gradients.weights.get(view.name).data);
    const marked = isBias ? null : new Set([at]);
    shown.grids[0].update(numbers, { limit: roundLimit(largest(numbers)), marked });
    shown.grids[1].update(slopes, {
      limit: roundLimit(largest(slopes)),
      marked,
      units: (i) => i,
      names: (i) => weightName(i, view),
    });
    const below = layer === 0 ? "signed" : nonNegative(traced)[layer - 1] ? "sequential" : "signed";
    positions.update(account, row.outputShape, isBias ? "sequential" : below);
  }

  /** Controls and grids for the kernels of another layer. */
  function build({ traced }, view, layer) {
    const key = `kernel|${layer}`;
    if (shown.key === key && shown.traced === traced) return;
    const { rows, columns } = view;
    shown = {
      ...NOTHING,
      key,
      traced,
      grids: [
        numberGrid(rows, columns, { label: t("conv.kernel") }),
        numberGrid(rows, columns, { label: t("backward.weight.grid"), pressable: true }),
      ],
    };
    fill(
      kernels,
      shown.grids.map((grid) => grid.element),
    );
    inputField.hidden = view.inputs < 2;
    fill(
      inputs,
      Array.from({ length: view.inputs }, (_, i) => h("option", { value: i }, i)),
    );
    fill(work, chooser, positions.element);
  }

  const weightName = (i, { columns }) =>
    t("backward.weight.cell", { row: Math.floor(i / columns), column: i % columns });

  /** A dense layer's: each weight has met one number alone. */
  function updateDense({ traced, gradients }, layer, output, x, dy) {
    const key = `dense|${layer}`;
    if (shown.key !== key || shown.traced !== traced) {
      const below = layerName(t, traced, layer - 1);
      const heads = [t("dense.from", { layer: below }), t("backward.weight.met")];
      heads.push(t("backward.weight.its"), t("backward.weight.slope"));
      shown = { ...NOTHING, key, traced, table: termTable(t, heads) };
      fill(work, shown.table.element);
    }
    const flat = layer > 0 && traced[layer - 1].type === "Flatten";
    const shape = flat ? traced[layer - 1].inputShape : shapeOf(traced, layer - 1);
    const { data } = gradients.weights.get(`${layer}.weight`);
    const terms = Array.from(x, (value, i) => ({
      name: placeName(t, shape, i),
      go: i,
      layer: layer - 1,
      value,
      gradient: dy[output],
      product: data[output * x.length + i],
    }));
    const name = layerName(t, traced, layer);
    fill(title, t("backward.weight.dense", { layer: name, unit: output }));
    told.textContent = t("backward.weight.byDense");
    const bias_ = { name: t("conv.bias"), product: dy[output] };
    shown.table.update({ terms, bias: bias_, total: null });
  }

  return { element, update };
}

/** The input and place that were chosen, or the nearest that this layer's kernels have. */
function fitting({ inputs, rows, columns, connected }, output, { input, at }) {
  let found = Math.min(input, inputs - 1);
  if (!connected(output, found)) {
    found = Array.from({ length: inputs }, (_, i) => i).find((i) => connected(output, i)) ?? 0;
  }
  return { input: found, at: Math.min(at, rows * columns - 1) };
}

/** What a weight met at all positions × the gradients there = products, as three pictures. */
function createPositions(t) {
  const canvases = PICTURES.map(() => h("canvas", { class: "picture positions" }));
  const figures = PICTURES.map((key, i) =>
    h(
      "figure",
      {},
      canvases[i],
      h("figcaption", { class: "small muted" }, t(`backward.positions.${key}`)),
    ),
  );
  const pictures = h(
    "div",
    { class: "channel-grids", role: "img" },
    figures.map((each, i) => [i > 0 && h("span", { class: "operator" }, " ×="[i]), each]),
  );
  const line = h("p", { class: "number small" });
  const total = h("p", { class: "formula number sum-line" });
  const most = h("p", { class: "formula number small" });
  const element = h(
    "div",
    { class: "positions-work" },
    pictures,
    h("div", { class: "positions-told" }, line, total, most),
  );
  let newest = null;

  const point = oncePerFrame(({ offsetX, offsetY, target }) => {
    const { shape, account } = newest;
    const column = Math.floor((offsetX / target.clientWidth) * shape[2]);
    const row = Math.floor((offsetY / target.clientHeight) * shape[1]);
    const term = account.terms[row * shape[2] + column];
    if (term) line.textContent = said(term, row, column);
  });
  for (const canvas of canvases) canvas.addEventListener("pointermove", point);

  function said({ value, gradient, product }, row, column) {
    const where = t("backward.positions.at", { row, column });
    return `${where}: ${small(value)} × ${bracketed(gradient)} = ${small(product)}`;
  }

  return {
    element,
    update(account, shape, scale) {
      newest = { account, shape };
      const [, rows, columns] = shape;
      const { terms, sum } = account;
      ["value", "gradient", "product"].forEach((key, i) => {
        const values = Float64Array.from(terms, (term) => term[key]);
        const color = i === 0 ? COLORS[scale] : signedColor;
        paint(canvases[i], values, rows, columns, color, roundLimit(largest(values)));
      });
      const strongest = terms
        .map((term, n) => [Math.abs(term.product) || 0, n])
        .sort((a, b) => b[0] - a[0]);
      const first = strongest[0]?.[1] ?? 0;
      const words = terms[first] ? said(terms[first], ...placeOf(first, columns)) : "";
      pictures.setAttribute("aria-label", t("backward.positions.label", { most: words }));
      line.textContent = words;
      const shown = strongest.slice(0, 5).map(([, n]) => terms[n].product);
      const rest = sum - shown.reduce((all, product) => all + product, 0);
      fill(
        total,
        t("dense.sum", { count: terms.length }),
        " = ",
        h("strong", {}, exactly("weight-sum", sum)),
      );
      const listed = shown.map((product, i) => (i === 0 ? small(product) : withSign(product)));
      const more =
        terms.length > 5 ? ` ${t("backward.positions.rest", { rest: withSign(rest) })}` : "";
      most.textContent = `${t("backward.positions.most")} ${listed.join(" ")}${more}`;
    },
  };
}

const placeOf = (n, columns) => [Math.floor(n / columns), n % columns];
const withSign = (value) => `${value < 0 ? "−" : "+"} ${small(Math.abs(value))}`;
const bracketed = (value) => (value < 0 ? `(${small(value)})` : small(value));
