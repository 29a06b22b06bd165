/** What the layers of a network compute for one picture, as rows of small pictures and bars. */

import { largest, paint, sequentialColor, signedColor } from "lenet/colors.js";
import { fill, h, percent } from "lenet/dom.js";
import { isReshaping, LAYERS, boundsOf } from "lenet/network/layers.js";
import { shapeText } from "lenet/network/shapes.js";
import { softmax } from "lenet/network/softmax.js";
import { className, figure } from "lenet/shared/words.js";

/** A layer's name as the rows have it: "C1 Conv2d"; those without a stage have their number. */
export function layerName({ stage, type, index }) {
  return `${stage || index} ${type}`;
}

/**
 * The end of each layer's colour scale and whether its values are signed, for its outputs.
 *
 * Layers with bounded values keep their bounds, pooling the bounds of what it pools, so that two
 * moments of a training can be compared; the others end at their largest value.
 */
export function scales(traced, outputs) {
  const found = [];
  traced.forEach(({ type, layer }, i) => {
    const before = found[i - 1];
    if (before && LAYERS.get(type).keepsRange) return found.push(before);
    const [low, high] = boundsOf(type, layer) ?? [-Infinity, Infinity];
    const most = Math.max(-low, high);
    found.push({ limit: Number.isFinite(most) ? most : largest(outputs[i]), signed: low < 0 });
  });
  return found;
}

/** One row: the layer's maps, or its units as a strip. `draw(values, scale)` paints it. */
export function layerRow(row, t) {
  const { outputShape } = row;
  const maps = outputShape.length === 3;
  const [channels, height, width] = maps ? outputShape : [1, 1, outputShape[0]];
  const canvases = Array.from({ length: channels }, () =>
    h("canvas", { class: maps ? "map" : "strip", width, height }),
  );
  if (!maps) canvases[0].style.setProperty("--units", width);
  const range = h("span", { class: "range number muted" });
  const pictures = h("div", { class: "maps", role: "img" }, canvases);
  const element = h(
    "div",
    { class: "layer-row" },
    h(
      "div",
      { class: "layer-name" },
      h("span", {}, layerName(row)),
      h("span", { class: "number muted" }, shapeText(outputShape)),
      range,
    ),
    pictures,
  );
  return {
    element,
    draw(values, { limit, signed }) {
      const size = height * width;
      canvases.forEach((canvas, channel) => {
        const part = values.subarray(channel * size, (channel + 1) * size);
        paint(canvas, part, height, width, signed ? signedColor : sequentialColor, limit);
      });
      let [least, most] = [Infinity, -Infinity];
      for (const value of values) {
        if (value < least) least = value;
        if (value > most) most = value;
      }
      const words = t("learn.range", { least: figure(least), most: figure(most) });
      range.textContent = words;
      pictures.setAttribute("aria-label", `${layerName(row)} ${shapeText(outputShape)}: ${words}`);
    },
  };
}

/** All rows of a network in `container`, made anew where the network is another one. */
export function createLayers(container, t) {
  let key = "";
  let rows = [];
  return {
    draw(traced, outputs) {
      const now = JSON.stringify(traced.map((row) => [row.type, row.outputShape]));
      if (now !== key) {
        key = now;
        rows = traced.map((row) => (isReshaping(row.type) ? null : layerRow(row, t)));
        fill(
          container,
          rows.filter(Boolean).map((row) => row.element),
        );
      }
      const ends = scales(traced, outputs);
      rows.forEach((row, i) => row?.draw(outputs[i], ends[i]));
    },
  };
}

/** The classes' probabilities as bars; the true class is marked. */
export function createBars(container, t) {
  return {
    draw({ network, calibration }, logits, label) {
      const probabilities = softmax(logits, calibration.temperature);
      const best = probabilities.indexOf(Math.max(...probabilities));
      fill(
        container,
        h(
          "ul",
          { class: "class-bars" },
          network.classes.map((word, i) => {
            const bar = h("span", { class: "bar" });
            bar.style.inlineSize = `${(100 * probabilities[i]).toFixed(2)}%`;
            return h(
              "li",
              { class: i === best ? (i === label ? "best right" : "best wrong") : null },
              h(
                "span",
                { class: "class-name" },
                className(network.classes, i),
                i === label ? h("span", { class: "true-class" }, ` ${t("learn.true")}`) : null,
              ),
              h("span", { class: "track", "aria-hidden": "true" }, bar),
              h("span", { class: "number" }, percent(probabilities[i])),
            );
          }),
        ),
      );
    },
  };
}
