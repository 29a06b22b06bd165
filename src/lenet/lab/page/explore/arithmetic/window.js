/** Pooling's window, and the units that only hand a number on; the picture's own pixels. */

import { largest } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import { cellsOfWindow } from "lenet/explore/arithmetic/convolution.js";
import { exact, numberGrid, operand } from "lenet/explore/arithmetic/grid.js";
import { roundLimit } from "lenet/explore/network/scale.js";
import { layerName, placeName, shapeOf } from "lenet/explore/network/units.js";
import { place, unitAt } from "lenet/network/shapes.js";

/** The block {element, summary, update(result)} for a unit of AvgPool2d, MaxPool2d or Subsample. */
export function poolingBlock(t, traced, { layer, window }, { scale }) {
  const shape = shapeOf(traced, layer - 1);
  const name = h("p", { class: "small muted" });
  const grid = numberGrid(window.rows, window.columns, {
    label: t("pool.window"),
    pressable: true,
    scale,
  });
  const line = h("p", { class: "formula number sum-line" });
  const remark = h("p", { class: "small muted" });
  const element = h("div", { class: "pooling" }, name, grid.element, remark);

  return {
    element,
    summary: line,
    update(now) {
      const { kind } = now;
      const inside = Array.from(now.window.values).filter((_, i) => now.window.inside[i]);
      name.textContent = t("conv.of", {
        below: layerName(t, traced, layer - 1),
        channel: now.window.channel,
      });
      grid.update(now.window.values, {
        limit: roundLimit(largest(inside)),
        ...cellsOfWindow(t, shape, now.window),
        marked: kind === "MaxPool2d" ? new Set(now.winners) : null,
      });
      fill(line, lineOf(kind, now, inside));
      remark.textContent = remarkOf(t, kind, now);
    },
  };
}

/** "(a + b + c + d) / 4 = mean", "max(a, b, c, d) = a", or the sum times a weight plus a bias. */
function lineOf(kind, now, inside) {
  const total = h("strong", {}, exact("total", now.total));
  const few = inside.length <= 9;
  if (kind === "MaxPool2d") {
    const list = few ? inside.map((value) => show(value, 4)).join(", ") : "…";
    return [`max(${list}) = `, total];
  }
  const terms = few ? inside.map((value) => operand(value, 4)).join(" + ") : "…";
  const sum = [terms, " = ", exact("sum", now.sum)];
  if (kind === "AvgPool2d") return [sum, `; ${show(now.sum, 4)} / ${now.divisor} = `, total];
  return [sum, `; ${show(now.sum, 4)} · ${operand(now.weight)} + ${operand(now.bias)} = `, total];
}

function remarkOf(t, kind, { winners, divisor, window }) {
  const padding = window.inside.some((inside) => inside === 0);
  if (kind === "MaxPool2d") return winners.length > 1 ? t("pool.several") : t("pool.winner");
  return kind === "AvgPool2d" && padding ? t("pool.padding", { count: divisor }) : "";
}

/** The block for a unit that gets its number from one other: Flatten, Dropout, an activation. */
export function passingBlock(t, traced, { layer }) {
  const line = h("p", { class: "formula number" });
  const button = h("button", { class: "plain" });
  const element = h("div", { class: "passing" }, h("p", {}, t("pass.from"), " ", button), line);
  return {
    element,
    update(now) {
      const shape = shapeOf(traced, layer - 1);
      const from = now.source ? unitAt(shape, now.source) : now.unit;
      button.dataset.go = from;
      const below = layerName(t, traced, layer - 1);
      button.textContent = below + t("unit.comma") + placeName(t, shape, from);
      const remark = now.kind === "Dropout" ? ` (${t("pass.dropout", { p: now.p })})` : "";
      fill(line, `${show(now.input, 4)} → `, h("strong", {}, exact("total", now.total)), remark);
    },
  };
}

/** What a pixel of the picture is made of: {total, byte, mean, deviation, covered, nudged}. */
export function pixelArithmetic({ model, pixels, cover, seen = null }, index) {
  const { network } = model;
  const { channel, row, column } = place(network.input_shape, index);
  const { mean, deviation } = network.normalization ?? { mean: [0], deviation: [1] };
  const covered =
    cover !== null
    && row >= cover.top
    && row < cover.top + cover.size
    && column >= cover.left
    && column < cover.left + cover.size;
  const plain = covered ? cover.value : pixels[index];
  const byte = seen === null ? plain : seen[index];
  const nudged = byte - plain;
  const [m, d] = [mean[channel % mean.length], deviation[channel % deviation.length]];
  const total = (byte / 255 - m) / d;
  return { kind: "pixel", byte, mean: m, deviation: d, covered, nudged, total };
}

/** The block for a pixel: how the byte of the picture becomes what the first layer sees. */
export function pixelBlock(t) {
  const line = h("p", { class: "formula number" });
  const remark = h("p", { class: "small muted" });
  const element = h(
    "div",
    { class: "pixel" },
    h("p", { class: "formula" }, t("pixel.formula")),
    line,
    remark,
  );
  return {
    element,
    update({ byte, mean, deviation, covered, nudged, total }) {
      fill(
        line,
        `(${byte} / 255 − ${operand(mean)}) / ${show(deviation, 4)} = `,
        h("strong", {}, exact("total", total)),
      );
      const by = `${nudged > 0 ? "+" : "−"}${Math.abs(nudged)}`;
      const remarks = [covered && t("pixel.covered"), nudged !== 0 && t("pixel.nudged", { by })];
      remark.textContent = remarks.filter(Boolean).join(" ");
    },
  };
}
