/** How the values of each layer are spread: outputs, weights, gradients; as small histograms. */

import { fill, h, percent } from "lenet/dom.js";
import { isIdentity, LAYERS, boundsOf } from "lenet/network/layers.js";
import { figure, roundText } from "lenet/shared/words.js";

const KINDS = ["activation", "gradient", "weight"];
const WIDTH = 128;
const HEIGHT = 36;

/** The distributions in `container`; `draw(statistics, rows)` shows a moment's. */
export default function createDistributions(container, t) {
  const columns = KINDS.map((kind) => h("th", { scope: "col" }, t(`learn.${kind}`)));
  const body = h("tbody");
  fill(
    container,
    h("p", { class: "muted small" }, t("learn.distributions-about")),
    h(
      "div",
      { class: "scroll-x", tabindex: "0", role: "region", "aria-label": t("learn.distributions") },
      h(
        "table",
        { class: "distributions" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("learn.layer")), columns)),
        body,
      ),
    ),
  );

  return {
    draw({ layers }) {
      fill(
        body,
        layers
          .filter(({ kind }) => !isIdentity(kind))
          .map((layer) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, `${layer.stage || layer.index} ${layer.kind}`),
              KINDS.map((part) => h("td", {}, cell(part, layer, layer[part], t))),
            ),
          ),
      );
    },
  };
}

function cell(part, layer, values, t) {
  if (!values) return h("span", { class: "muted" }, "–");
  if (values.mean === null) return h("span", { class: "failure" }, t("learn.not-finite"));
  const axis = axisFor(part, layer.kind, values);
  const share = shareOf(part, layer.kind, values, t);
  const spread = t("learn.spread", {
    mean: figure(values.mean),
    deviation: figure(values.deviation),
  });
  const emphasis = share?.much ? "much" : "muted";
  return h(
    "div",
    { class: "distribution" },
    histogram(values, axis, spread),
    h(
      "div",
      { class: "axis number muted" },
      h("span", {}, roundText(axis[0])),
      h("span", {}, roundText(axis[1])),
    ),
    h("div", { class: "number small" }, spread),
    share && h("div", { class: `number small ${emphasis}` }, share.text),
  );
}

/** What is worth a word: outputs that are saturated, or exactly zero. */
function shareOf(part, kind, values, t) {
  if (part !== "activation") return null;
  if (values.saturated != null) {
    return {
      text: t("learn.saturated", { share: percent(values.saturated) }),
      much: values.saturated > 0.5,
    };
  }
  if (LAYERS.get(kind).rectifies || values.zero > 0) {
    return { text: t("learn.zero", { share: percent(values.zero) }), much: values.zero > 0.9 };
  }
  return null;
}

/** The histogram's axis: a layer's bounds where it has some, else round numbers about zero. */
function axisFor(part, kind, { minimum, maximum }) {
  const bounds = part === "activation" ? boundsOf(kind) : null;
  if (bounds?.every(Number.isFinite)) return bounds;
  const most = roundUp(Math.max(Math.abs(minimum), Math.abs(maximum)));
  return part === "activation" && minimum >= 0 ? [0, most] : [-most, most];
}

/** The next of 1, 2, 5, 10 … at or above a size; 1 for nothing. */
function roundUp(size) {
  if (!(size > 0) || !Number.isFinite(size)) return 1;
  const power = 10 ** Math.floor(Math.log10(size));
  const digit = [1, 2, 5, 10].find((one) => one * power >= size * (1 - 1e-9));
  return digit * power;
}

/**
 * Bars on a logarithmic scale of counts, each where its values lie on the axis.
 * @param {any} values
 * @param {number[]} axis
 * @param {string} label
 */
function histogram({ counts, minimum, maximum }, [left, right], label) {
  const most = Math.log1p(Math.max(...counts, 1));
  const place = (value) => ((value - left) / (right - left)) * WIDTH;
  const width = maximum > minimum ? (maximum - minimum) / counts.length : 0;
  let path = "";
  counts.forEach((count, i) => {
    if (count === 0) return;
    const from = place(minimum + i * width);
    const to = Math.max(place(minimum + (i + 1) * width), from + 1);
    const top = HEIGHT * (1 - Math.log1p(count) / most);
    path += `M${from.toFixed(1)} ${HEIGHT}V${top.toFixed(1)}H${to.toFixed(1)}V${HEIGHT}Z`;
  });
  const zero = place(0);
  const inside = left < 0 && right > 0;
  return h(
    "svg",
    { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    h("path", { d: path, class: "counts" }),
    h("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "base" }),
    inside && h("line", { x1: zero, x2: zero, y1: 0, y2: HEIGHT, class: "zero" }),
  );
}
