/** Two networks side by side on one picture: their layers in rows, and what differs in words. */

import { createCalculator } from "lenet/calculator.js";
import { align, argumentsThatDiffer, inWords } from "lenet/compare/differences.js";
import { fill, h, percent } from "lenet/dom.js";
import { isReshaping } from "lenet/network/layers.js";
import { softmax } from "lenet/network/softmax.js";
import { trace } from "lenet/network/trace.js";
import { createBars, layerRow, scales } from "lenet/shared/layer-rows.js";
import mountPick from "lenet/shared/pick.js";
import { className } from "lenet/shared/words.js";

const SIDES = ["left", "right"];

/**
 * The pair in `section`; `memory.pair` keeps {left, right, picture}.
 *
 * `update(names)` offers these runs, the first two to begin with; `fail(error | null)` is called
 * back.
 */
export default function mountPair(section, { backend, t, memory, fail }) {
  memory.pair ??= { left: null, right: null, picture: 0 };
  const kept = memory.pair;
  const models = { left: null, right: null }; // side → {name, network, weights, traced, data}
  let offered = [];
  let calculator = null;
  let picture = null;
  let dataset = null;
  let rows = []; // [{left: row, right: row}] as drawn
  let asked = 0;
  let closed = false;

  const choices = Object.fromEntries(
    SIDES.map((side) => [side, h("select", { id: `pair-${side}`, onchange: open })]),
  );
  const chooser = h("div", { class: "pick" });
  const said = h("ul", { class: "differences" });
  const bars = Object.fromEntries(SIDES.map((side) => [side, h("div", { class: "bars" })]));
  const draws = Object.fromEntries(SIDES.map((side) => [side, createBars(bars[side], t)]));
  const layers = h("div", { class: "pair-layers" });
  const verdict = h("p", { role: "status" });
  fill(
    section,
    h("h2", {}, t("compare.pair")),
    h("p", { class: "muted small" }, t("compare.pair-about")),
    h(
      "div",
      { class: "pair-head" },
      SIDES.map((side) =>
        h("label", { class: "field" }, h("span", {}, t(`compare.pair-${side}`)), choices[side]),
      ),
    ),
    h("h3", {}, t("compare.differences")),
    said,
    h("div", { class: "pair-picture" }, chooser, verdict),
    h(
      "div",
      { class: "pair-columns" },
      SIDES.map((side) => bars[side]),
    ),
    layers,
  );
  const pick = mountPick(chooser, {
    t,
    fail,
    chosen(chosen) {
      picture = chosen;
      kept.picture = chosen.index;
      compute();
    },
  });

  async function open() {
    const mine = ++asked;
    for (const side of SIDES) kept[side] = choices[side].value;
    try {
      const found = await Promise.all(SIDES.map((side) => backend.model(`run:${kept[side]}`)));
      calculator ??= createCalculator(backend.startWorker);
      if (closed || mine !== asked) {
        if (closed) calculator.close();
        return;
      }
      found.forEach((model, i) => {
        const side = SIDES[i];
        models[side] = { ...model, name: kept[side], traced: trace(model.network) };
        calculator.load(side, model.network, model.weights);
      });
      const names = namesApart(models);
      for (const side of SIDES) models[side].said = names[side];
      drawLayers();
      const data = models.left.data;
      if (dataset?.name !== data) {
        dataset = await backend.dataset(data);
        if (closed || mine !== asked) return;
        picture = null;
        pick.open(dataset, kept.picture);
      }
      fail(null);
      await compute();
    } catch (error) {
      if (!closed && mine === asked) fail(error);
    }
  }

  function drawLayers() {
    const { left, right } = models;
    const aligned = align(left.traced, right.traced);
    const called = (model) => ({ ...model, name: model.said });
    fill(
      said,
      inWords(called(left), called(right), aligned, t).map((sentence) => h("li", {}, sentence)),
    );
    rows = [];
    fill(
      layers,
      h(
        "div",
        { class: "pair-columns pair-names" },
        SIDES.map((side) => h("h3", {}, models[side].said)),
      ),
      aligned
        .filter((pair) => pair.some((row) => row && !isReshaping(row.type)))
        .map((pair) => {
          const [one, other] = pair;
          const same =
            one
            && other
            && one.type === other.type
            && argumentsThatDiffer(one, other).length === 0
            && one.outputShape.join() === other.outputShape.join();
          const drawn = pair.map((row) => (row ? { row, ...layerRow(row, t) } : null));
          rows.push(drawn);
          return h(
            "div",
            { class: same ? "pair-columns" : "pair-columns differs" },
            drawn.map((cell) =>
              cell ? cell.element : h("p", { class: "muted none" }, t("compare.no-layer")),
            ),
          );
        }),
    );
  }

  async function compute() {
    if (!calculator || !picture || !models.left || !models.right) return;
    const [of, shownModels] = [picture, { ...models }];
    const fits = SIDES.every(
      (side) => shownModels[side].network.input_shape.join() === of.dataset.shape.join(),
    );
    if (!fits) {
      verdict.textContent = t("compare.other-shape");
      return;
    }
    const outputs = await Promise.all(SIDES.map((side) => calculator.run(side, of.pixels)));
    const old = SIDES.some((side) => shownModels[side] !== models[side]);
    if (closed || old || of !== picture || outputs.includes(null)) return;
    const ends = SIDES.map((side, i) => scales(models[side].traced, outputs[i]));
    for (const pair of rows) {
      pair.forEach((cell, i) => {
        cell?.draw(outputs[i][cell.row.index], ends[i][cell.row.index]);
      });
    }
    SIDES.forEach((side, i) => draws[side].draw(models[side], outputs[i].at(-1), of.label));
    tell(outputs, of);
  }

  function tell(outputs, { label, dataset: { classes } }) {
    const answers = outputs.map((all, i) => {
      const probabilities = softmax(all.at(-1), models[SIDES[i]].calibration.temperature);
      const best = probabilities.indexOf(Math.max(...probabilities));
      return { best, text: `${className(classes, best)} (${percent(probabilities[best])})` };
    });
    const alike = answers[0].best === answers[1].best;
    verdict.textContent = t(alike ? "compare.agree" : "compare.disagree", {
      a: models.left.said,
      b: models.right.said,
      left: answers[0].text,
      right: answers[1].text,
      label: className(classes, label),
    });
  }

  return {
    update(names) {
      if (names.join("\n") === offered.join("\n")) return;
      offered = names;
      section.hidden = names.length < 2;
      if (section.hidden) return;
      const first = { left: names[0], right: names[1] };
      for (const side of SIDES) {
        fill(
          choices[side],
          names.map((name) => h("option", { value: name }, name)),
        );
        choices[side].value = names.includes(kept[side]) ? kept[side] : first[side];
      }
      const unchanged = SIDES.every((side) => models[side]?.name === choices[side].value);
      if (!unchanged) open();
    },
    destroy() {
      closed = true;
      pick.close();
      calculator?.close();
    },
  };
}

/** What the sentences call the two: the networks' names, or the runs' where those are equal. */
function namesApart({ left, right }) {
  return left.network.name === right.network.name
    ? { left: left.name, right: right.name }
    : { left: left.network.name, right: right.network.name };
}
