/** The choices of a training in the page, as fields; all but seed and beginning act at once. */

import { fill, h } from "lenet/dom.js";
import { CHOICES, usualRate } from "lenet/playground/settings.js";

const BEGINNINGS = ["random", "shown"];
const LARGEST_SEED = 2 ** 32 - 1;

/** The fields in `container`: {get, show(choices)}; `choose(patch)` is called with a change. */
export function mountControls(container, { t, choose }) {
  let choices = null;

  const fields = {
    rate: select(
      "rate",
      CHOICES.rate.map((rate) => [rate, String(rate)]),
    ),
    optimizer: select("optimizer", worded("optimizer", CHOICES.optimizer)),
    activation: select(
      "activation",
      CHOICES.activation.map((type) => [type, type]),
    ),
    pooling: select("pooling", worded("pooling", CHOICES.pooling)),
    batch: select(
      "batch",
      CHOICES.batch.map((size) => [size, String(size)]),
    ),
    from: select("from", worded("from", BEGINNINGS)),
  };
  const seed = h("input", {
    type: "number",
    class: "number",
    min: "0",
    max: String(LARGEST_SEED),
    step: "1",
    onchange: () => {
      const value = Math.trunc(Number(seed.value));
      if (value >= 0 && value <= LARGEST_SEED) change({ seed: value });
      show(choices);
    },
  });
  fill(
    container,
    Object.values(fields).map(({ field }) => field),
    h("label", { class: "field" }, h("span", {}, t("train.field.seed")), seed),
  );

  function worded(key, values) {
    return values.map((value) => [value, t(`train.${key}.${value}`)]);
  }

  function select(key, options) {
    const control = h(
      "select",
      { onchange: () => change({ [key]: options[control.selectedIndex][0] }) },
      options.map(([value, text]) => h("option", { value }, text)),
    );
    const label = h("span", {}, t(`train.field.${key}`));
    return { control, field: h("label", { class: "field" }, label, control) };
  }

  /** What changes together: another optimiser or activation has another usual learning rate. */
  function change(patch) {
    const asked = { ...choices, ...patch };
    const together = "optimizer" in patch || "activation" in patch;
    const all = together ? { ...patch, rate: usualRate(asked) } : patch;
    show({ ...choices, ...all });
    choose(all);
  }

  function show(wanted) {
    choices = wanted;
    for (const [key, { control, field }] of Object.entries(fields)) {
      field.hidden = choices[key] === null;
      if (choices[key] !== null) control.value = String(choices[key]);
    }
    if (document.activeElement !== seed) seed.value = String(choices.seed);
  }

  return { get: () => choices, show };
}
