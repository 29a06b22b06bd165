/** Backward: from the loss to the gradient of any number and any weight, and one step by hand. */

import { fill, h, show } from "lenet/dom.js";
import { createPass, obstacle } from "lenet/explore/backward/pass.js";
import { mountStep } from "lenet/explore/backward/step.js";
import { createUnitBlock } from "lenet/explore/backward/unit.js";
import { createWeightBlock } from "lenet/explore/backward/weight.js";
import { unitText, validUnit } from "lenet/explore/network/units.js";

const BEHIND_MS = 60;

/** The side of the lens in `section`: {shown(is), destroy}. */
export default function mountBackward(section, tools) {
  const { t, store, memory, params, setParams, announce } = tools;
  const kept = (memory.backward = { ...memory.backward, ...fromAddress(params) });
  const pass = createPass(store);
  let seen = false;
  let timer = 0;

  const truth = h("select", { onchange: () => store.set({ truth: Number(truth.value) }) });
  const source = h("span", { class: "small muted" });
  const loss = h("p", { class: "formula number sum-line" });
  const figure = h("input", { type: "checkbox", onchange: () => switchFigure(figure.checked) });
  const of = ["unit", "weight"].map((key) =>
    h("button", { type: "button", onclick: () => look(key) }, t(`backward.look.${key}`)),
  );
  const step = h("section", { class: "by-hand" });
  const told = h(
    "div",
    { class: "arithmetic-told" },
    h(
      "div",
      { class: "buttons" },
      h("label", { class: "field" }, h("span", {}, t("backward.label"), " ", source), truth),
      h("label", { class: "tick" }, figure, t("backward.figure")),
    ),
    loss,
    step,
  );
  const hint = h("p", { class: "muted" });
  const blocks = {
    unit: createUnitBlock(tools),
    weight: createWeightBlock({ ...tools, kept, changed: keep }),
  };
  const work = h(
    "div",
    { class: "backward-work" },
    h("div", { class: "buttons", role: "group", "aria-label": t("backward.look") }, of),
    hint,
    blocks.unit.element,
    blocks.weight.element,
  );
  const none = h("p", { class: "muted", hidden: true });
  const body = h("div", { class: "arithmetic backward" }, told, work);
  fill(section, h("h2", { class: "visually-hidden" }, t("backward.title")), none, body);
  const mountedStep = mountStep(step, { ...tools, kept });

  section.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-go]");
    const { unit } = store.get();
    if (!button || !unit) return;
    const to = {
      layer: Number(button.dataset.layer ?? unit.layer + 1),
      index: Number(button.dataset.go),
    };
    store.set({ unit: to, pinned: true });
    announce(unitText(t, store.get(), to));
  });

  /** Whether the figure shows the gradients in the place of the numbers. */
  function switchFigure(is) {
    kept.figure = is;
    store.set({ backwards: seen && is });
    keep();
  }

  function look(key) {
    kept.of = key;
    keep();
    update();
  }

  /** What is looked at stands in the address. */
  function keep() {
    const { weight } = kept;
    const said = weight === "bias" ? "bias" : `${weight?.input ?? 0}.${weight?.at ?? 0}`;
    setParams({
      figure: kept.figure ? null : "numbers",
      weight: kept.of === "weight" ? said : null,
      truth: store.get().truth,
    });
  }

  function renew() {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(update), BEHIND_MS);
  }

  function update() {
    const state = store.get();
    const { model, traced, gradients } = state;
    if (!seen || !model || !traced) return;
    const why = obstacle(state);
    none.hidden = why === null;
    body.hidden = why !== null;
    if (why !== null) return void (none.textContent = t(`backward.obstacle.${why}`));
    figure.checked = kept.figure;
    for (const [i, key] of ["unit", "weight"].entries()) {
      of[i].setAttribute("aria-pressed", String(kept.of === key));
      blocks[key].element.hidden = true;
    }
    mountedStep.update();
    hint.hidden = false;
    hint.textContent = t(gradients ? "arith.hint" : "backward.waiting");
    if (!gradients || gradients.outputs.length !== traced.length) return;
    showLoss(state);
    const unit = validUnit(traced, state.unit);
    if (!unit) return;
    hint.hidden = true;
    blocks[kept.of].element.hidden = false;
    blocks[kept.of].update(state, unit);
  }

  function showLoss({ model, gradients, picture, truth: chosen }) {
    const { classes } = model.network;
    if (truth.options.length !== classes.length || truth.dataset.ref !== model.ref) {
      truth.dataset.ref = model.ref;
      fill(
        truth,
        classes.map((name, value) => h("option", { value }, name)),
      );
    }
    truth.value = String(gradients.label);
    const known = chosen !== null ? "" : (picture?.label ?? null) === null ? "verdict" : "label";
    source.textContent = known === "" ? "" : t(`backward.source.${known}`);
    const share = gradients.probabilities[gradients.label];
    fill(
      loss,
      t("backward.loss", { name: classes[gradients.label] }),
      ` −ln ${show(share, 4)} = `,
      h("strong", { "data-loss": String(gradients.loss) }, show(gradients.loss, 4)),
    );
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (seen && changed.has("backwards") && state.backwards !== kept.figure) {
      kept.figure = state.backwards;
      figure.checked = kept.figure;
      keep();
    }
    if (changed.has("model") && state.model) mountedStep.rateOf(state.model);
    if (changed.has("picture") || changed.has("model")) forget(state);
    if (changed.has("truth")) {
      kept.truth = state.truth;
      keep();
    }
    if (seen && ["gradients", "unit", "traced"].some((name) => changed.has(name))) renew();
  });

  /** The truth that was chosen is of the picture that it was chosen for. */
  function forget({ picture, model, truth: chosen }) {
    const now = picture && `${picture.source}:${picture.name}:${picture.index}`;
    if (now && kept.picture && kept.picture !== now) store.set({ truth: null });
    else if (chosen !== null && model && chosen >= model.network.classes.length) {
      store.set({ truth: null });
    }
    if (now) kept.picture = now;
  }

  if (kept.truth !== null) store.set({ truth: kept.truth });
  return {
    shown(is) {
      seen = is;
      pass.watch(is);
      // what nobody renews would be of another picture soon
      store.set({ backwards: is && kept.figure, ...(is ? {} : { gradients: null }) });
      if (is) renew();
    },
    destroy() {
      clearTimeout(timer);
      unsubscribe();
      pass.destroy();
      mountedStep.destroy();
    },
  };
}

/** What the address says is looked at: {figure, of, weight, truth}. */
function fromAddress(params) {
  const weight = params.get("weight");
  const cell = /^(\d+)\.(\d+)$/.exec(weight ?? "");
  const truth = /^\d+$/.test(params.get("truth") ?? "") ? Number(params.get("truth")) : null;
  return {
    figure: params.get("figure") !== "numbers",
    of: weight === null ? "unit" : "weight",
    weight: weight === "bias" ? "bias" : cell ? { input: +cell[1], at: +cell[2] } : null,
    truth,
  };
}
