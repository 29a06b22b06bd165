/** A layer's formulas: in symbols, and its size and parameters with their numbers. */

import { count, h } from "lenet/dom.js";

/** The formula of a layer in symbols, as one line of text; "" for those that need none. */
export function symbols({ type, layer }) {
  const { kernel_size: k, stride: s, padding: p } = layer;
  const at = (letter, offset) => {
    const scaled = s === 1 ? letter : `${s}${letter}`;
    return `${scaled} + ${offset}${p > 0 ? ` − ${p}` : ""}`;
  };
  const input = `x[i, ${at("r", "u")}, ${at("c", "v")}]`;
  const window = `x[o, ${at("r", "u")}, ${at("c", "v")}]`;
  switch (type) {
    case "Conv2d":
      return `y[o, r, c] = b[o] + Σᵢ Σᵤ Σᵥ w[o, i, u, v] · ${input}`;
    case "AvgPool2d":
      return `y[o, r, c] = Σᵤ Σᵥ ${window} / ${k * k}`;
    case "MaxPool2d":
      return `y[o, r, c] = maxᵤ maxᵥ ${window}`;
    case "Subsample":
      return `y[o, r, c] = w[o] · Σᵤ Σᵥ ${window} + b[o]`;
    case "Linear":
      return "y[o] = b[o] + Σᵢ w[o, i] · x[i]";
    case "RBF":
      return "y[o] = −Σᵢ (x[i] − c[o, i])²";
    case "Flatten":
      return "y[(c · h + i) · w + j] = x[c, i, j]";
    default:
      return "";
  }
}

/** The list of a layer's formulas with what they say: symbols, size, parameters. */
export function formulaList(t, row) {
  const entries = [
    [t("formula.symbols"), symbols(row)],
    [t("formula.size"), row.sizeFormula.replaceAll("-", "−")],
    [
      t("formula.parameters"),
      row.parameterFormula && `${row.parameterFormula} = ${count(row.parameters)}`,
    ],
  ].filter(([, text]) => text);
  return h(
    "dl",
    { class: "formulas" },
    entries.map(([name, text]) => [h("dt", {}, name), h("dd", { class: "formula number" }, text)]),
  );
}
