/** A moment of a training from inside: kernels, what layers make of a picture, distributions. */

import { createCalculator } from "lenet/calculator.js";
import { fill, h } from "lenet/dom.js";
import createDistributions from "lenet/learn/distributions.js";
import createKernels from "lenet/learn/kernels.js";
import { trace } from "lenet/network/trace.js";
import { createBars, createLayers } from "lenet/shared/layer-rows.js";
import mountPick from "lenet/shared/pick.js";
import { newestOnly } from "lenet/shared/runs.js";

const KEPT_STATISTICS = 120;

/**
 * The inside of a run in `section`.
 *
 * `show({ref, data, text, step})` shows a model ref of a run that is trained on `data`, `text` its
 * moment in words; a newer one replaces one that is still on its way. `step` where the ref is of
 * weights that change: they are read anew for every step. `clear()` shows nothing.
 */
export default function mountMoment(section, { backend, t, memory }) {
  memory.statistics ??= new Map();
  memory.picture ??= 0;
  let calculator = null;
  let model = null; // {ref, network, weights, traced}
  let picture = null;
  let dataset = null;
  let shownRun = 0; // counts: what comes late for an earlier one is not drawn
  let closed = false;

  const problem = h("p", { class: "failure", role: "status", hidden: true });
  const when = h("span", { class: "muted number moment-name" });
  const spreadWhen = h("span", { class: "muted number moment-name" });
  const barBox = h("div", { class: "bars" });
  const chooser = h("div", { class: "pick" });
  const layers = h("div", { class: "layers" });
  const kernels = h("div", { class: "kernel-box" });
  const spread = h("div", { class: "spread" });
  const inside = h("div", { class: "inside" });
  fill(
    section,
    problem,
    fill(
      inside,
      h("section", { class: "panel" }, h("h2", {}, t("learn.kernels"), " ", when), kernels),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, t("learn.maps")),
        h("div", { class: "moment-picture" }, chooser, barBox),
        layers,
      ),
      h(
        "section",
        { class: "panel" },
        h("h2", {}, t("learn.distributions"), " ", spreadWhen),
        spread,
      ),
    ),
  );
  inside.hidden = true;
  const drawKernels = createKernels(kernels, t);
  const drawLayers = createLayers(layers, t);
  const drawDistributions = createDistributions(spread, t);
  const bars = createBars(barBox, t);
  const pick = mountPick(chooser, {
    t,
    fail,
    chosen(chosen) {
      picture = chosen;
      memory.picture = chosen.index;
      compute();
    },
  });

  function fail(error) {
    if (closed) return;
    problem.textContent = error === null ? "" : error.message;
    problem.hidden = error === null;
  }

  const load = newestOnly(async ({ ref, data, text, step = null, run }) => {
    if (model?.ref === ref && model.step === step && !inside.hidden) return;
    try {
      const found = await backend.model(ref, { fresh: step !== null });
      if (closed || run !== shownRun) return;
      if (dataset?.name !== data) {
        dataset = await backend.dataset(data);
        if (closed) return;
        picture = null;
        pick.open(dataset, memory.picture);
      }
      calculator ??= createCalculator(backend.startWorker);
      if (closed) return calculator.close();
      model = { ...found, step, traced: trace(found.network) };
      inside.hidden = false;
      when.textContent = text;
      drawKernels.draw(model);
      calculator.load("moment", model.network, model.weights);
      fail(null);
      await compute();
      section.dataset.ref = ref; // what is shown, for those who look from outside
    } catch (error) {
      fail(error);
    }
  });

  // on their way for longer than the weights: the pictures do not wait for them
  const loadStatistics = newestOnly(async ({ ref, text, step = null, run }) => {
    try {
      const statistics = await statisticsOf(ref, step);
      if (closed || run !== shownRun) return;
      spreadWhen.textContent = text;
      drawDistributions.draw(statistics);
    } catch (error) {
      fail(error);
    }
  });

  async function compute() {
    if (!calculator || !model || !picture) return;
    if (picture.dataset.shape.join() !== model.network.input_shape.join()) return;
    const [shownModel, shownPicture] = [model, picture];
    const outputs = await calculator.run("moment", picture.pixels);
    if (closed || !outputs || shownModel !== model || shownPicture !== picture) return;
    drawLayers.draw(model.traced, outputs);
    bars.draw(model, outputs.at(-1), picture.label);
  }

  async function statisticsOf(ref, step) {
    if (step !== null) return backend.statistics(ref);
    const kept = memory.statistics;
    if (!kept.has(ref)) {
      kept.set(ref, await backend.statistics(ref));
      if (kept.size > KEPT_STATISTICS) kept.delete(kept.keys().next().value);
    }
    return kept.get(ref);
  }

  return {
    show(what) {
      load({ ...what, run: shownRun });
      loadStatistics({ ...what, run: shownRun });
    },
    clear() {
      shownRun += 1;
      model = null;
      inside.hidden = true;
      fail(null);
    },
    destroy() {
      closed = true;
      pick.close();
      calculator?.close();
    },
  };
}
