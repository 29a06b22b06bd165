/** Three ways to ask which part of a picture speaks for a class, side by side. */

import { createCalculator } from "lenet/calculator.js";
import { largest } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { occlusions } from "lenet/explore/edits/occlusion.js";
import { roundLimit } from "lenet/explore/network/scale.js";
import { layerName } from "lenet/explore/network/units.js";
import { groundLevel } from "lenet/explore/picture/prepare.js";
import {
  byPixel,
  contrastChanges,
  contrastGradients,
  gradCam,
} from "lenet/explore/why/contrast.js";
import { paintTint } from "lenet/explore/why/tint.js";
import { figure } from "lenet/shared/words.js";

const WAYS = ["saliency", "occlusion", "gradcam"];
const MOST_MACS = 4e8; // for the map of covers: of a large network fewer places are covered
const SETTLED_MS = 350; // without another picture before the covers are laid

/** The figures in `root`: {update(state, a, b), pause(), destroy}; the first over the input too. */
export function mountMethods(root, { t, backend, fail, overInput }) {
  let calculator = null;
  let running = null; // AbortController of the covers
  let timer = 0;
  let closed = false;
  const parts = Object.fromEntries(WAYS.map((way) => [way, createPart(t, way)]));
  fill(
    root,
    WAYS.map((way) => parts[way].element),
  );

  function update(state, a, b) {
    const { model, traced, seen } = state;
    const { network } = model;
    const [, height, width] = network.input_shape;
    const shown = { ...state, network };
    const slopes = contrastGradients(shown, a, b);
    const names = namesOf(network.classes, a, b);
    const saliency = byPixel(network, slopes[0]);
    parts.saliency.show(seen, network.input_shape, names, {
      values: saliency,
      rows: height,
      columns: width,
    });
    overInput.show(state, names, saliency);
    const cam = gradCam(shown, slopes);
    parts.gradcam.show(seen, network.input_shape, names, cam && { ...cam, smooth: true });
    if (cam) {
      const layer = layerName(t, traced, cam.layer);
      const size = `${cam.rows}×${cam.columns}`;
      const silent = cam.values.every((value) => value === 0);
      const key = silent ? "why.gradcam.zero" : "why.gradcam.cannot";
      parts.gradcam.say(t(key, { layer, size }));
    } else {
      parts.gradcam.say(t("why.gradcam.none"));
    }
    coverLater(state, seen, a, b, names);
  }

  function coverLater(state, seen, a, b, names) {
    stop();
    const side = sideOf(state.model.network.input_shape);
    parts.occlusion.wait(seen, state.model.network.input_shape);
    parts.occlusion.say(t("why.occlusion.cannot", { size: `${side}×${side}` }));
    timer = setTimeout(() => coverAll(state, seen, a, b, names), SETTLED_MS);
  }

  async function coverAll({ model, traced, weights, gates }, seen, a, b, names) {
    const mine = new AbortController();
    running = mine;
    const { network } = model;
    const shape = network.input_shape;
    const macs = traced.reduce((sum, row) => sum + row.macs, 1);
    const most = Math.max(4, Math.floor(Math.sqrt(MOST_MACS / macs)));
    const laid = occlusions(shape, seen, sideOf(shape), groundLevel(model, seen), most);
    try {
      calculator ??= createCalculator(backend.startWorker);
      calculator.load("why", network, weights);
      const logits = await calculator.many("why", laid.pictures, { gates, signal: mine.signal });
      if (closed || running !== mine || !logits) return;
      running = null;
      const { rows, columns, step } = laid;
      // where covering takes something away, it had spoken for the class
      const values = contrastChanges(logits, network.classes.length, a, b).map((each) => -each);
      const box = { top: 0, left: 0, height: rows * step, width: columns * step };
      parts.occlusion.show(seen, shape, names, { values, rows, columns, box });
    } catch (error) {
      if (!closed && running === mine) fail(error);
    }
  }

  function stop() {
    clearTimeout(timer);
    running?.abort();
    running = null;
  }

  return {
    update,
    pause: stop,
    destroy() {
      closed = true;
      stop();
      calculator?.close();
    },
  };
}

/** The side of the square that covers: a quarter of the picture's. */
const sideOf = ([, height, width]) => Math.max(1, Math.round(Math.min(height, width) / 4));

/** "shirt" or "shirt rather than coat". */
function namesOf(classes, a, b) {
  return { a: classes[a], b: b === null ? "" : classes[b] };
}

/** One way: its picture, the end of its scale, what it can say and what it cannot. */
function createPart(t, way) {
  const canvas = h("canvas", { class: "picture why-picture", role: "img" });
  const scale = h("span", { class: "small muted number" });
  const cannot = h("p", { class: "small muted" }, t(`why.${way}.cannot`, { size: "", layer: "" }));
  const element = h(
    "figure",
    { class: "why-way", "data-way": way },
    canvas,
    h(
      "figcaption",
      {},
      h("h3", {}, t(`why.${way}`), " ", scale),
      h("p", { class: "small" }, t(`why.${way}.can`)),
      cannot,
    ),
  );
  let least = 0;

  return {
    element,
    wait(pixels, shape) {
      element.setAttribute("aria-busy", "true");
      element.classList.add("waiting");
      if (least === 0) paintTint(canvas, pixels, shape, {});
    },
    say: (text) => (cannot.textContent = text),
    show(pixels, shape, names, found) {
      element.removeAttribute("aria-busy");
      element.classList.remove("waiting");
      least = 1;
      if (!found) {
        paintTint(canvas, pixels, shape, {});
        scale.textContent = "";
        canvas.setAttribute("aria-label", t(`why.${way}`));
        return;
      }
      const signed = way !== "gradcam";
      const limit = roundLimit(largest(found.values, 0));
      paintTint(canvas, pixels, shape, { ...found, limit, signed });
      const silent = found.values.every((value) => value === 0);
      scale.textContent = silent ? "0" : signed ? `±${figure(limit)}` : `0 – ${figure(limit)}`;
      const most = strongest(found.values);
      const place = { row: Math.floor(most / found.columns), column: most % found.columns };
      const of = names.b === "" ? "why.picture.one" : "why.picture.two";
      canvas.setAttribute("aria-label", t(of, { way: t(`why.${way}`), ...names, ...place }));
      canvas.dataset.most = String(found.values[most]);
    },
  };
}

function strongest(values) {
  let found = 0;
  for (let i = 1; i < values.length; i++) {
    if (Math.abs(values[i]) > Math.abs(values[found])) found = i;
  }
  return found;
}
