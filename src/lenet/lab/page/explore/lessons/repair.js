/** The challenge to write a kernel that was set to zero anew. */

import { createCalculator } from "lenet/calculator.js";
import { fill, h } from "lenet/dom.js";
import { kernelOf, weightView, withKernels } from "lenet/explore/edits/edits.js";
import { verdictOf } from "lenet/explore/lessons/goals.js";
import { predictionsOf } from "lenet/explore/picture/test-pictures.js";
import { unitAt } from "lenet/network/shapes.js";

const PICTURES = 60; // that are right, among which one is looked for

/** The challenge in `root`: {destroy}. */
export function mountRepair(root, tools) {
  const { t, backend, store, input, lens, changes, done, solved, fail } = tools;
  const calculator = createCalculator(backend.startWorker);
  let over = solved;
  let broken = null; // {layer, output, index}
  let closed = false;

  const text = h("p", { role: "status" });
  const again = h("button", { type: "button", disabled: true, onclick: zero }, t("challenge.zero"));
  fill(root, text, h("div", { class: "buttons" }, again));

  /** The kernel, and a picture that is right with it and wrong without. */
  async function find() {
    const { model, traced } = store.get();
    const layer = traced.findIndex(({ type }) => type === "Conv2d");
    const predictions = layer < 0 ? null : await predictionsOf(tools, model);
    if (predictions === null) return null;
    const set = await backend.dataset(model.data);
    const { labels, predicted, probability } = predictions;
    const right = [...labels.keys()].filter((i) => labels[i] === predicted[i]);
    const chosen = right.sort((a, b) => probability[b] - probability[a]);
    const step = Math.max(1, Math.floor(chosen.length / PICTURES));
    const indices = chosen.filter((_, i) => i % step === 0).slice(0, PICTURES);
    const pictures = await set.pixels(indices);
    const view = weightView(traced, layer);
    const classes = model.network.classes.length;
    for (let output = 0; output < view.outputs; output++) {
      calculator.load("without", model.network, without(model.weights, view, output));
      const logits = await calculator.many("without", pictures);
      if (closed || logits === null) return null;
      // the surest come first
      const at = indices.findIndex((index, n) => {
        const own = logits.subarray(n * classes, (n + 1) * classes);
        return own.indexOf(Math.max(...own)) !== labels[index];
      });
      if (at >= 0) return { layer, output, index: indices[at], view };
    }
    return null;
  }

  function without(weights, view, output) {
    const inputs = Array.from({ length: view.inputs }, (_, i) => i);
    return withKernels(weights, view, output, inputs, (kernel) => new Float32Array(kernel.length));
  }

  async function begin() {
    text.textContent = t("challenge.looking");
    if (changes.can().reset) changes.reset();
    broken = await find();
    if (closed) return;
    if (broken === null) {
      text.textContent = t("challenge.none");
      return;
    }
    await input.show(String(broken.index));
    if (!closed) zero();
  }

  function zero() {
    const { model, traced } = store.get();
    const { layer, output, view } = broken;
    changes.edit({ weights: without(model.weights, view, output), gates: null, cover: null });
    const [, rows, columns] = traced[layer].outputShape;
    const place = { channel: output, row: rows >> 1, column: columns >> 1 };
    const unit = { layer, index: unitAt(traced[layer].outputShape, place) };
    store.set({ unit, pinned: true, channel: null });
    lens.show("what-if");
    again.disabled = false;
    const stage = traced[layer].stage;
    text.textContent = t("challenge.broken", { stage, channel: output });
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (over || broken === null) return;
    const { model, weights, gates, cover, nudge, picture } = state;
    if (!model || !changed.has("outputs")) return;
    if (weights === (state.base ?? model.weights)) {
      text.textContent = t("challenge.undone");
      return;
    }
    const kernels = Array.from({ length: broken.view.inputs }, (_, i) =>
      kernelOf(weights, broken.view, broken.output, i),
    );
    const written = kernels.some((kernel) => kernel.some((value) => value !== 0));
    const plain = [gates, cover, nudge].every((one) => one === null);
    const same = picture?.index === broken.index;
    if (written && plain && same && !picture.touched && verdictOf(state) === picture.label) {
      over = true;
      done();
    }
  });
  if (!solved) begin().catch((error) => !closed && fail(error));

  return {
    destroy() {
      closed = true;
      unsubscribe();
      calculator.close();
    },
  };
}
