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
 * `update(runs)` offers the runs of these summaries, first the first and the next that tells
 * the same classes apart; `fail(error | null)` is called back.
 */
export default function mountPair(section, { backend, t, memory, state, setParams, fail }) {
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
    SIDES.map((side) => [side, h("select", { id: `pair-${side}`, onchange: choose })]),
  );
  const chooser = h("div", { class: "pick" });
  const said = h("ul", { class: "differences" });
  const bars = Object.fromEntries(SIDES.map((side) => [side, h("div", { class: "bars" })]));
  const draws = Object.fromEntries(SIDES.map((side) => [side, createBars(bars[side], t)]));
  const layers = h("div", { class: "pair-layers" });
  const verdict = h("p", { role: "status" });
  const apart = h("p", { class: "note", role: "status", hidden: true });
  const onPicture = h("div", {});
  fill(
    onPicture,
    h("div", { class: "pair-picture" }, chooser, verdict),
    h(
      "div",
      { class: "pair-columns" },
      SIDES.map((side) => bars[side]),
    ),
  );
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
    apart,
    onPicture,
    layers,
  );
  const pick = mountPick(chooser, {
    t,
    fail,
    chosen(chosen) {
      picture = chosen;
      if (kept.picture !== chosen.index) setParams({ picture: chosen.index });
      kept.picture = chosen.index;
      compute();
    },
  });

  function choose() {
    setParams({ left: choices.left.value, right: choices.right.value });
    open();
  }

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
      const together = tellApart();
      onPicture.hidden = !together;
      layers.hidden = !together;
      fail(null);
      if (!together) return;
      const data = models.left.data;
      if (dataset?.name !== data) {
        dataset = await backend.dataset(data);
        if (closed || mine !== asked) return;
        picture = null;
        pick.open(dataset, kept.picture);
      }
      await compute();
    } catch (error) {
      if (!closed && mine === asked) fail(error);
    }
  }

  /** Whether one picture can be shown to both; says why not where it cannot. */
  function tellApart() {
    const { left, right } = models;
    const sameClasses = areAlike(left, right);
    const sameShape = left.network.input_shape.join() === right.network.input_shape.join();
    apart.hidden = sameClasses && sameShape;
    if (!sameClasses) {
      const set = ({ data, network }) => data ?? network.name;
      apart.textContent = t("compare.other-classes", {
        a: left.said,
        b: right.said,
        left: set(left),
        right: set(right),
      });
    } else if (!sameShape) apart.textContent = t("compare.other-shape");
    return apart.hidden;
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
    if (onPicture.hidden || !fits) return;
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

  /** What is known of a run's model before it is read. */
  function facts({ data }) {
    const set = state.data.find(({ name }) => name === data);
    return { data, network: { classes: set?.classes ?? [data] } };
  }

  return {
    update(runs) {
      const names = runs.map(({ name }) => name);
      if (names.join("\n") === offered.join("\n")) return;
      offered = names;
      section.hidden = names.length < 2;
      if (section.hidden) return;
      for (const side of SIDES) {
        fill(
          choices[side],
          runs.map(({ name, data }) => h("option", { value: name }, `${name} · ${data}`)),
        );
      }
      const mate = (run) => runs.find((one) => one !== run && areAlike(facts(one), facts(run)));
      const left = runs.find(({ name }) => name === kept.left) ?? runs.find(mate) ?? runs[0];
      const right = mate(left) ?? runs.find((run) => run !== left);
      choices.left.value = left.name;
      choices.right.value = names.includes(kept.right) ? kept.right : right.name;
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

/**
 * Whether two models {data, network: {classes}} tell the same classes apart. Classes that are bare
 * numbers say nothing of what they are: then it must be the same data set.
 */
export function areAlike(one, other) {
  if (one.network.classes.join("\n") !== other.network.classes.join("\n")) return false;
  return one.data === other.data || !one.network.classes.every((word) => /^\d*$/.test(word));
}

/** What the sentences call the two: the networks' names, or the runs' where those are equal. */
function namesApart({ left, right }) {
  return left.network.name === right.network.name
    ? { left: left.name, right: right.name }
    : { left: left.network.name, right: right.network.name };
}
