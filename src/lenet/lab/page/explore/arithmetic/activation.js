/** What an activation makes of one number: formula, value, slope, its place on the curve. */

import { fill, h, show } from "lenet/dom.js";
import { exact } from "lenet/explore/arithmetic/grid.js";
import { LAYERS, SATURATED_SHARE } from "lenet/network/layers.js";

const [WIDTH, HEIGHT] = [132, 66];
const REACH = 6; // the curve is drawn from −6 to 6, at least

/** The block {element, update(result, layer)} for an `arithmetic` of an activation. */
export function activationBlock(t) {
  const symbols = h("p", { class: "formula" });
  const numbers = h("p", { class: "formula number" });
  const slope = h("p", { class: "formula number" });
  const remark = h("p", { class: "small" });
  const curve = h("path", { class: "curve" });
  const axes = h("path", { class: "axes" });
  const dot = h("circle", { class: "dot", r: 3.5 });
  const plot = h(
    "svg",
    {
      class: "plot",
      width: WIDTH,
      height: HEIGHT,
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      "aria-hidden": "true",
    },
    axes,
    curve,
    dot,
  );
  const element = h(
    "div",
    { class: "activation" },
    h("div", { class: "activation-text" }, symbols, numbers, slope, remark),
    plot,
  );

  return {
    element,
    update({ kind, formula, input, total, derivative }, layer) {
      symbols.textContent = `f(x) = ${formula}`;
      fill(
        numbers,
        `f(${show(input, 4)}) = ${substituted(formula, input)} = `,
        exact("activation", total, 4),
      );
      fill(slope, "f′(x) = ", exact("derivative", derivative, 4));
      remark.textContent = t(remarkOf(kind, layer, derivative));
      drawCurve(kind, layer, input, total);
    },
  };

  function drawCurve(kind, layer, x, y) {
    const { value, bounds } = LAYERS.get(kind);
    const reach = Math.min(Math.max(REACH, Math.abs(x) * 1.1 || 0), 60);
    const [low, high] = bounds(layer).map((bound) =>
      Number.isFinite(bound) ? bound : value(Math.sign(bound) * reach, layer),
    );
    const pad = 5;
    const toX = (u) => pad + ((u + reach) / (2 * reach)) * (WIDTH - 2 * pad);
    const toY = (v) => HEIGHT - pad - ((v - low) / (high - low)) * (HEIGHT - 2 * pad);
    const points = Array.from({ length: 67 }, (_, i) => {
      const u = -reach + (i / 66) * 2 * reach;
      return `${toX(u).toFixed(1)} ${toY(value(u, layer)).toFixed(1)}`;
    });
    curve.setAttribute("d", `M${points.join("L")}`);
    axes.setAttribute("d", `M${pad} ${toY(0)}H${WIDTH - pad}M${toX(0)} ${pad}V${HEIGHT - pad}`);
    const seen = Number.isFinite(x) && Number.isFinite(y);
    dot.setAttribute("visibility", seen ? "visible" : "hidden");
    if (!seen) return;
    dot.setAttribute("cx", toX(Math.min(Math.max(x, -reach), reach)).toFixed(1));
    dot.setAttribute("cy", toY(Math.min(Math.max(y, low), high)).toFixed(1));
  }
}

/** The word for what a slope means: how much a change of the input comes through. */
function remarkOf(kind, layer, derivative) {
  const { rectifies, steepest } = LAYERS.get(kind);
  if (rectifies) return derivative === 0 ? "activation.off" : "activation.on";
  return Math.abs(derivative) < SATURATED_SHARE * steepest(layer)
    ? "activation.saturated"
    : "activation.sensitive";
}

/** A formula with the number in the place of x. */
function substituted(formula, x) {
  const text = show(x, 4);
  const inner = text.startsWith("−") ? `(${text})` : text;
  return formula.replace(/([−·] ?)?\bx\b/g, (whole, sign = "") => sign + (sign ? inner : text));
}
