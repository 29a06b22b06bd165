/** One step of gradient descent by hand: taken, seen, undone. */

import { fill, h, percent, show } from "lenet/dom.js";
import { truthOf } from "lenet/explore/backward/pass.js";
import { LARGEST_RATE } from "lenet/explore/edits/address.js";
import { stepOn } from "lenet/explore/edits/steps.js";
import { softmax } from "lenet/network/softmax.js";

const USUAL_RATE = 0.1;

/** What a step is taken on: a picture that is nudged is no longer that of the data set. */
function pictureOf({ picture, pixels, nudge, seen }) {
  if (nudge === null) return { picture, pixels, seen };
  return { picture: { ...picture, touched: true }, pixels: seen, seen };
}

/** The form and what came of the step, in `root`: {update(), destroy}. */
export function mountStep(root, { t, store, backend, changes, announce, kept, fail }) {
  let closed = false;
  const rate = h("input", { type: "number", class: "number", min: "0", step: "any" });
  rate.value = kept.rate ?? USUAL_RATE;
  rate.addEventListener("input", () => {
    kept.rate = rate.value;
    update();
  });
  const take = h("button", { type: "submit", class: "primary" }, t("step.take"));
  const undo = h("button", { type: "button", onclick: goBack }, t("whatif.undo"));
  const result = h("div", { class: "step-result number", role: "status" });
  const form = h(
    "form",
    { class: "step-form", onsubmit: step },
    h("label", { class: "field" }, h("span", {}, t("step.rate")), rate),
    h("div", { class: "buttons" }, take, undo),
  );
  fill(root, h("h3", { class: "visually-hidden" }, t("step.one")), form, result);

  const wanted = () => Number(rate.value);
  const usable = () => wanted() > 0 && wanted() <= LARGEST_RATE;

  function step(event) {
    event.preventDefault();
    const state = store.get();
    const { model, weights, gates, cover, steps, outputs } = state;
    if (take.disabled || !outputs || !usable()) return;
    try {
      const how = { ...pictureOf(state), label: truthOf(state), rate: wanted() };
      const taken = stepOn(model.network, { weights, gates, cover }, how);
      changes.edit({ weights: taken.to, steps: [...steps, taken] });
      announce(`${t("step.taken", { count: steps.length + 1 })} ${lossLine(taken)}`);
    } catch (error) {
      fail(error);
    }
  }

  function goBack() {
    changes.undo();
    announce(t("step.undone"));
    if (undo.disabled) take.focus();
  }

  const lossLine = ({ before, after }) =>
    t("step.loss", { before: show(before.loss, 4), after: show(after.loss, 4) });

  function update() {
    const { steps, gradients, model } = store.get();
    take.disabled = !gradients || !usable();
    rate.setAttribute("aria-invalid", String(!usable()));
    undo.disabled = !changes.can().undo;
    const last = steps.at(-1);
    if (!last) return void fill(result, h("p", { class: "small muted" }, t("step.hint")));
    const { classes } = model.network;
    const { temperature } = model.calibration;
    const [was, is] = [last.before, last.after].map(({ logits }) => softmax(logits, temperature));
    const verdict = (shares) => {
      const top = Math.max(0, shares.indexOf(Math.max(...shares)));
      return `${classes[top]}${t("unit.comma")}${percent(shares[top])}`;
    };
    const [before, now] = [verdict(was), verdict(is)];
    const name = classes[last.label];
    const share = { name, before: percent(was[last.label]), after: percent(is[last.label]) };
    fill(
      result,
      h("p", { class: "small muted" }, t("step.taken", { count: steps.length })),
      h("p", { class: "step-loss" }, lossLine(last)),
      h("p", {}, t("step.verdict", { before, after: now })),
      before.startsWith(name) && now.startsWith(name) ? null : h("p", {}, t("step.truth", share)),
    );
  }

  /** The rate of the run, where it went down by plain gradient descent as a step here does. */
  async function rateOf({ ref }) {
    if (kept.rate !== undefined || backend.kind === "file" || !ref.startsWith("run:")) return;
    const found = await backend.run(ref.slice(4).replace(/@\d+$/, "")).catch(() => null);
    const { optimizer, schedule } = found?.recipe ?? {};
    const its = schedule?.learning_rate;
    if (closed || kept.rate !== undefined || !(its > 0) || its > LARGEST_RATE) return;
    if (optimizer?.method === "sgd" && store.get().model?.ref === ref) rate.value = its;
  }

  const unwatch = changes.subscribe(update);
  return {
    update,
    rateOf,
    destroy() {
      closed = true;
      unwatch();
    },
  };
}
