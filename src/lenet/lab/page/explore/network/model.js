/** Which network: a run's weights, a snapshot of it, or a file of yours. */

import { count, fill, h, percent } from "lenet/dom.js";
import { mountOpenFile } from "lenet/explore/network/open-file.js";
import { shapeText } from "lenet/network/shapes.js";

const WAIT = 120; // ms between the last move of the slider and the question for that snapshot

/** The chosen model and what it can be exchanged for, in `section`. */
export default function mount(section, tools) {
  const { t, backend, store, openModel } = tools;
  let closed = false;
  let run = null; // {name, snapshots} of the run that is shown
  let timer = null;

  const runs = h("select", {
    onchange: () => openModel(runs.value),
    onpointerdown: list,
    onfocus: list,
  });
  const runField = h("label", { class: "field" }, h("span", {}, t("model.run")), runs);
  const slider = h("input", { type: "range", min: "0", step: "1", oninput: scrub });
  const moment = h("output", { class: "number small muted" });
  const snapshots = h(
    "label",
    { class: "field model-snapshots", hidden: true },
    h("span", {}, t("model.snapshot")),
    slider,
    moment,
  );
  const facts = h("p", { class: "model-facts" });
  const page = h("a", { class: "button", download: true, hidden: true }, t("model.html"));
  const none = h(
    "p",
    { hidden: true },
    t("model.none"),
    " ",
    h("a", { href: "#/learn" }, t("model.learn")),
  );
  const title = h("h2", { class: "visually-hidden" }, t("model.title"));
  const opening = backend.kind === "file" ? null : mountOpenFile(tools);
  fill(
    section,
    title,
    none,
    backend.kind !== "file"
      && h("div", { class: "model-choice" }, runField, snapshots, opening.button, page),
    facts,
    opening?.form,
  );

  /** Lists the runs that have weights, the newest first, with their accuracy. */
  async function list() {
    let state;
    try {
      state = await backend.state();
    } catch (error) {
      if (!closed && !store.get().model) tools.fail(error);
      return;
    }
    if (closed) return;
    const usable = state.runs.filter((one) => one.status === "finished" || one.last).reverse();
    const { model } = store.get();
    const options = usable.map((one) => [`run:${one.name}`, describe(one)]);
    const shown = model && withoutStep(model.ref);
    if (model && !options.some(([ref]) => ref === shown)) options.unshift([shown, model.title]);
    none.hidden = options.length > 0;
    runField.hidden = options.length === 0;
    const same =
      options.length === runs.options.length
      && options.every(([ref, text], i) => {
        return runs.options[i].value === ref && runs.options[i].textContent === text;
      });
    if (!same)
      fill(
        runs,
        options.map(([value, text]) => h("option", { value }, text)),
      );
    if (shown) runs.value = shown;
  }

  function describe({ name, network, data, last }) {
    const accuracy = last?.test_acc ?? last?.val_acc ?? last?.train_acc;
    const parts = [name, network, data, accuracy == null ? null : percent(accuracy)];
    return parts.filter(Boolean).join(" · ");
  }

  async function show(model) {
    const { network, data, ref } = model;
    const parameters = store.get().traced.reduce((sum, row) => sum + row.parameters, 0);
    const classes = network.classes.length;
    fill(
      facts,
      h("strong", {}, network.name),
      h("span", { class: "number" }, t("model.parameters", { number: count(parameters) })),
      h("span", { class: "number" }, `${shapeText(network.input_shape)} → ${classes}`),
      h("span", {}, data === null ? t("model.no-data") : data),
    );
    if (backend.kind === "file") {
      title.textContent = model.title;
      title.classList.remove("visually-hidden");
      return;
    }
    page.href = `/api/models/${encodeURIComponent(ref)}/html`;
    page.hidden = false;
    list();
    await showSnapshots(ref);
  }

  async function showSnapshots(ref) {
    const [, name, step] = /^run:([^@]+)(?:@(\d+))?$/.exec(ref) ?? [];
    if (name === undefined) {
      run = null;
      snapshots.hidden = true;
      return;
    }
    if (run?.name !== name) {
      const facts = await backend.run(name).catch(() => ({ snapshots: [] }));
      if (closed || store.get().model?.ref !== ref) return;
      run = { name, snapshots: facts.snapshots ?? [] };
    }
    snapshots.hidden = run.snapshots.length === 0;
    if (snapshots.hidden) return;
    slider.max = run.snapshots.length;
    const at = run.snapshots.findIndex((one) => one.step === Number(step));
    if (timer === null) slider.value = step === undefined || at < 0 ? run.snapshots.length : at;
    label();
  }

  function scrub() {
    label();
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      const chosen = run.snapshots[slider.value];
      openModel(chosen ? `run:${run.name}@${chosen.step}` : `run:${run.name}`);
    }, WAIT);
  }

  /** Says which moment of the training the slider is at. */
  function label() {
    const chosen = run.snapshots[slider.value];
    moment.textContent = chosen
      ? t("model.moment", { step: count(chosen.step), epoch: Number(chosen.epoch.toFixed(2)) })
      : t("model.end");
    slider.setAttribute("aria-valuetext", moment.textContent);
  }

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (changed.has("model") && model) show(model);
  });
  if (backend.kind !== "file") list();

  return {
    destroy() {
      closed = true;
      clearTimeout(timer);
      unsubscribe();
      opening?.destroy();
    },
  };
}

function withoutStep(ref) {
  return ref.startsWith("run:") ? ref.replace(/@\d+$/, "") : ref;
}
