/** One layer of the figure: its canvas, its label, and how its numbers get their colours. */

import { largest } from "lenet/colors.js";
import { h } from "lenet/dom.js";
import { fitsNumbers, writeNumbers } from "lenet/explore/network/numbers.js";
import {
  paintGrey,
  paintRange,
  paintSigned,
  raised,
  roundLimit,
  steadyLimit,
  steadyRange,
  unitOfCells,
} from "lenet/explore/network/scale.js";
import { layerKind, shapeOf } from "lenet/explore/network/units.js";
import { product, shapeText } from "lenet/network/shapes.js";

/**
 * The panel of a layer (−1: the picture): {layer, element, canvas, place(made), draw(…), …}.
 *
 * `place` arranges it, `draw(values, options)` colours it; `arrangement` is where its units lie.
 * `options` {stage, sequential, widen, fold}: its stage, whether its numbers are never negative,
 * and what is called when it is to be widened, or to be shown before or after its activation.
 */
export function createPanel(t, { network, traced }, layer, colors, options) {
  const shape = shapeOf(traced, layer);
  const canvas = h("canvas", { class: "maps-canvas" });
  const context = canvas.getContext("2d");
  const sprite = document.createElement("canvas");
  const scale = h("span", { class: "maps-limit number" });
  const { element: name, widened } = label(t, traced, layer, options, scale);
  const box = h("div", { class: "maps-box" }, canvas);
  const element = h(
    "div",
    {
      class: "maps-layer",
      // the arrow keys move within the maps: a reader passes them on only to an application
      role: "application",
      "aria-roledescription": t("maps.role"),
      tabindex: "-1",
      "data-layer": layer,
    },
    name,
    box,
  );
  const limits = {
    value: options.sequential ? steadyRange() : steadyLimit(),
    difference: steadyLimit(),
    gradient: (values) => roundLimit(largest(values, 0)),
  };
  let image = null;
  let pixels = null;
  let ratio = 1;
  let ends = "";
  let told = null;

  const panel = {
    layer,
    shape,
    element,
    box,
    canvas,
    arrangement: null,
    shown: null, // what is drawn, as numbers.js takes it: null for a picture
    left: 0,
    top: 0,
    widened,
    place(made) {
      panel.arrangement = made;
      ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
      canvas.width = Math.round(made.width * ratio);
      canvas.height = Math.round(made.height * ratio);
      canvas.style.width = `${made.width}px`;
      canvas.style.height = `${made.height}px`;
      [sprite.width, sprite.height] = [made.spriteWidth, made.spriteHeight];
      image = new ImageData(made.spriteWidth, made.spriteHeight);
      pixels = new Uint32Array(image.data.buffer);
      pixels.fill(paintedZero(colors)); // a strip's last column may be longer than its units
    },
    /**
     * Draws values; `scale` is that of numbers ("value"), of a "difference" or of a "gradient";
     * `gate` says which channels are switched off; `tint` {colours, light} lies over the picture;
     * `numbers` whether they are written into cells that are large enough.
     */
    draw(values, { scale: kind, gate, line, muted, tint = null, numbers = false }) {
      if (layer < 0 && kind === "value") drawPicture(values);
      else drawValues(values, kind);
      sprite.getContext("2d").putImageData(image, 0, 0);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      context.fillStyle = line;
      for (const { x, y, width, height } of panel.arrangement.tiles) {
        context.fillRect(x - 1, y - 1, width + 2, height + 2);
      }
      for (const { x, y, width, height, from } of panel.arrangement.tiles) {
        context.drawImage(sprite, from.x, from.y, from.width, from.height, x, y, width, height);
      }
      if (tint) for (const tile of panel.arrangement.tiles) layOver(tile, tint);
      const written = numbers && panel.shown !== null && fitsNumbers(panel.arrangement);
      if (written) writeNumbers(context, panel.shown);
      if (gate) crossOut(gate, muted);
      const power = written ? unitOfCells(panel.shown.limit) : 0;
      tell(gate ? gate.filter((open) => open === 0).length : 0, power);
    },
  };

  function drawPicture(values) {
    const { mean, deviation } = network.normalization ?? { mean: [0], deviation: [1] };
    const [channels, height, width] = shape;
    for (let c = 0; c < channels; c++) {
      const [m, d] = [mean[c % mean.length], deviation[c % deviation.length]];
      const plane = (all) => all.subarray(c * height * width, (c + 1) * height * width);
      paintGrey(plane(pixels), colors.grey, plane(values), -m / d, (1 - m) / d);
    }
    ends = "";
    panel.shown = null;
  }

  /** The picture darker, so that colours stand out from it, and the colours. */
  function layOver({ x, y, width, height }, { colours, light }) {
    context.globalAlpha = 1 - light;
    context.fillStyle = "#000";
    context.fillRect(x, y, width, height);
    context.globalAlpha = 1;
    context.drawImage(colours, x, y, width, height);
  }

  function drawValues(values, kind) {
    const { arrangement } = panel;
    const { order } = arrangement;
    const show = (limit) => {
      panel.shown = { arrangement, shape, values, pixels, limit };
    };
    if (options.sequential && kind === "value") {
      const range = limits.value(values);
      paintRange(pixels, colors.sequential, values, range, order);
      ends = `${limitText(range.low)} – ${limitText(range.high)}`;
      return show(range.high);
    }
    const limit = limits[kind](values);
    paintSigned(pixels, colors.signed, values, limit, order);
    ends = `±${limitText(limit)}`;
    show(limit);
  }

  /** The end of the scale, what the cells' numbers are in, how many channels are switched off. */
  function tell(off, power) {
    const cells =
      power === 0 ? ends : `${ends} · ${t("maps.cells", { unit: `10${raised(power)}` })}`;
    const text = off > 0 ? `${cells} ${t("maps.off", { count: off })}` : cells;
    if (told !== text) scale.textContent = told = text;
  }

  /** A line through each channel that is switched off. */
  function crossOut(gate, color) {
    const { tiles, vector } = panel.arrangement;
    if (vector && tiles.length === 1) return; // a strip's units are too small for lines
    context.strokeStyle = color;
    context.lineWidth = 1;
    context.beginPath();
    tiles.forEach(({ x, y, width, height }, channel) => {
      if (gate[channel] !== 0) return;
      context.moveTo(x, y);
      context.lineTo(x + width, y + height);
      context.moveTo(x + width, y);
      context.lineTo(x, y + height);
    });
    context.stroke();
  }

  return panel;
}

function paintedZero({ signed }) {
  return signed[(signed.length - 1) / 2];
}

/** The end of a scale as text: "5", "0.02". */
function limitText(limit) {
  return String(Number(limit.toPrecision(3)));
}

/** What stands over a layer: its stage, which widens it, its kind, its shape, its activation. */
function label(t, traced, layer, { stage, widen, fold }, scale) {
  const shape = h("span", { class: "maps-shape number" }, shapeText(shapeOf(traced, layer)));
  if (layer < 0) {
    const title = h("strong", { class: "maps-stage" }, t("maps.input"));
    return { element: h("div", { class: "maps-label" }, title, shape), widened: () => {} };
  }
  const widening = h(
    "button",
    { class: "maps-stage", "aria-pressed": "false", onclick: widen },
    stage.name,
  );
  const kind = layerKind(traced[stage.activation === layer ? stage.sum : layer]);
  const element = h(
    "div",
    { class: "maps-label" },
    widening,
    h("span", { class: "maps-kind" }, kind),
    shape,
    stage.activation !== null && layer <= stage.activation && switchOf(),
    scale,
  );

  function switchOf() {
    const box = h("input", {
      type: "checkbox",
      checked: layer === stage.activation,
      onchange: (event) => {
        event.target.checked = layer === stage.activation; // the other panel has its own
        fold();
      },
    });
    const { type } = traced[stage.activation];
    return h("label", { class: "maps-fold", title: t("maps.fold", { type }) }, box, type);
  }

  return {
    element,
    widened(is) {
      element.parentElement.classList.toggle("maps-widened", is);
      widening.setAttribute("aria-pressed", String(is));
      widening.title = t(is ? "maps.narrow" : "maps.widen", { stage: stage.name });
    },
  };
}

/** now − before for each layer's numbers, in arrays that are used again. */
export function createDifferences(traced) {
  const kept = new Map();
  return (layer, now, before) => {
    const length = product(shapeOf(traced, layer));
    if (!kept.has(layer)) kept.set(layer, new Float32Array(length));
    const difference = kept.get(layer);
    for (let i = 0; i < length; i++) difference[i] = now[i] - before[i];
    return difference;
  };
}
