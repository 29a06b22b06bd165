/** Each layer in words: what it does, why, its size and its parameters with their formulas. */

import { count, fill, h } from "lenet/dom.js";

/** The explanations in `section`, one to unfold for each layer. */
export default function mount(section, tools) {
  const { t, backend, store, language } = tools;
  let closed = false;
  let asked = 0;
  let followed = null; // the layer whose item was opened because its unit is pinned

  const body = h("div", { class: "explanations" });
  fill(section, h("h2", { class: "visually-hidden" }, t("explanation.title")), body);

  async function show({ ref, trainedHere }) {
    const mine = ++asked;
    if (trainedHere) {
      followed = null;
      return void fill(body, h("p", { class: "muted" }, t("explanation.here")));
    }
    try {
      const explanation = await backend.explanation(ref, language);
      if (closed || mine !== asked) return;
      const { traced } = store.get();
      const open = new Set(
        [...body.querySelectorAll("details[open]")].map((item) => Number(item.dataset.layer)),
      );
      fill(
        body,
        h("p", { class: "muted" }, explanation.introduction),
        explanation.sections.map((part, i) => item(part, traced[i], open.has(i))),
        h("p", { class: "muted" }, explanation.closing),
      );
      followed = null;
      follow();
    } catch (error) {
      if (!closed && mine === asked) fill(body, h("p", { class: "failure" }, error.message));
    }
  }

  function item({ heading, shapes, does, why, numbers, run }, row, open) {
    return h(
      "details",
      { "data-layer": row.index, open },
      h(
        "summary",
        {},
        h("span", { class: "number" }, heading),
        h("span", { class: "number muted" }, shapes),
      ),
      h("p", {}, does),
      why && h("p", {}, h("strong", {}, t("explanation.why")), " ", why),
      formulas(row, numbers),
      h(
        "ul",
        {},
        numbers.map((line) => h("li", { class: "number" }, minus(line))),
      ),
      run && h("p", {}, h("strong", {}, t("explanation.run")), " ", run),
    );
  }

  /** The formulas of the layer's size and parameters that its numbers do not say already. */
  function formulas({ sizeFormula, parameterFormula, parameters }, numbers) {
    const said = (formula) => numbers.some((line) => minus(line).includes(minus(formula)));
    const lines = [];
    if (sizeFormula && !said(sizeFormula)) lines.push([t("explanation.size"), sizeFormula]);
    if (parameterFormula && !said(parameterFormula)) {
      lines.push([t("explanation.parameters"), `${parameterFormula} = ${count(parameters)}`]);
    }
    if (lines.length === 0) return null;
    return h(
      "dl",
      { class: "layer-formulas number" },
      lines.map(([name, formula]) => [h("dt", {}, name), h("dd", {}, minus(formula))]),
    );
  }

  /** Opens the item of the pinned unit's layer, and closes the one that was opened so before. */
  function follow() {
    const { unit, pinned } = store.get();
    const layer = pinned && unit && unit.layer >= 0 ? unit.layer : null;
    if (layer === followed) return;
    const find = (index) => body.querySelector(`details[data-layer="${index}"]`);
    if (followed !== null) find(followed)?.removeAttribute("open");
    if (layer !== null) find(layer)?.setAttribute("open", "");
    followed = layer;
    scrollThere();
  }

  /** Brings the item of the pinned unit's layer into sight. */
  function scrollThere() {
    const item = followed === null ? null : body.querySelector(`[data-layer="${followed}"]`);
    if (item && !section.hidden) item.scrollIntoView({ block: "nearest" });
  }

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (changed.has("model") && model) show(model);
    else if (changed.has("unit") || changed.has("pinned")) follow();
  });

  return {
    shown: (is) => is && scrollThere(),
    destroy() {
      closed = true;
      unsubscribe();
    },
  };
}

function minus(text) {
  return text.replaceAll(" - ", " − ");
}
