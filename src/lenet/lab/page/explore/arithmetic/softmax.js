/** From logits to probabilities, line by line. */

import { fill, h, percent, show } from "lenet/dom.js";
import { softmaxArithmetic } from "lenet/network/softmax.js";

/** The table {element, update(logits, classes, pointed, temperature)}; a class leads to a logit. */
export function softmaxTable(t, layer) {
  const body = h("tbody");
  const sum = h("td", { class: "number" });
  const head = (text) => h("th", { class: "number" }, text);
  const exponential = head(t("softmax.exponential"));
  const formula = h("p", { class: "formula" });
  const element = h(
    "div",
    { class: "softmax" },
    h("h3", {}, "Softmax"),
    formula,
    h(
      "div",
      { class: "scroll-x" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", {}, t("softmax.class")),
            ["softmax.logit", "softmax.shifted"].map((key) => head(t(key))),
            exponential,
            head(t("softmax.share")),
          ),
        ),
        body,
        h(
          "tfoot",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "row" }, t("softmax.sum")),
            h("td"),
            h("td"),
            sum,
            h("td", { class: "number" }, percent(1)),
          ),
        ),
      ),
    ),
  );
  let rows = [];

  /** The formula; what divides in it is said where it changes something. */
  function write(temperature) {
    const plain = temperature === 1;
    const term = (i) => (plain ? `exp(z${i} − max z)` : `exp((z${i} − max z) / T)`);
    const told = plain ? "" : `,  T = ${temperature}`;
    formula.textContent = `pᵢ = ${term("ᵢ")} / Σⱼ ${term("ⱼ")}${told}`;
    exponential.textContent = plain ? t("softmax.exponential") : "exp((z − max z) / T)";
  }

  return {
    element,
    update(logits, classes, pointed, temperature) {
      write(temperature);
      if (rows.length !== logits.length) {
        rows = Array.from(logits, (_, i) => createRow(layer, i, classes[i]));
        fill(
          body,
          rows.map((row) => row.element),
        );
      }
      const steps = softmaxArithmetic(logits, temperature);
      rows.forEach((row, i) => row.update(logits[i], steps, i, i === pointed));
      sum.textContent = show(steps.sum, 4);
      sum.dataset.sum = steps.sum;
    },
  };
}

function createRow(layer, index, name) {
  const cells = Array.from({ length: 4 }, () => h("td", { class: "number" }));
  const button = h("button", { class: "plain", "data-go": index, "data-layer": layer }, name);
  const element = h("tr", {}, h("th", { scope: "row" }, button), cells);
  return {
    element,
    update(logit, { shifted, exponentials, probabilities }, i, pointed) {
      element.classList.toggle("pointed", pointed);
      cells[0].textContent = show(logit, 4);
      cells[1].textContent = show(shifted[i], 4);
      cells[2].textContent = show(exponentials[i], 4);
      cells[3].textContent = percent(probabilities[i], 2);
      cells[3].dataset.share = probabilities[i];
    },
  };
}
