/** Which network: a run's weights, or a file of yours; in a menu that unfolds. */

import { count, fill, h, percent } from "lenet/dom.js";
import { mountOpenFile } from "lenet/explore/headline/open-file.js";
import { shapeText } from "lenet/network/shapes.js";

/** The menu of the chosen model, and what it can be exchanged for: {element, none, destroy}. */
export function createModelMenu(tools) {
  const { t, backend, store, openModel } = tools;
  let closed = false;

  const runs = h("select", {
    onchange: () => openModel(runs.value),
    onpointerdown: list,
    onfocus: list,
  });
  const runField = h("label", { class: "field" }, h("span", {}, t("model.run")), runs);
  const facts = h("p", { class: "model-facts" });
  const page = h("a", { class: "button", download: true, hidden: true }, t("model.html"));
  const none = h(
    "p",
    { class: "model-none", hidden: true },
    t("model.none"),
    " ",
    h("a", { href: "#/learn" }, t("model.learn")),
  );
  const name = h("strong", { class: "menu-name" });
  const accuracy = h("span", { class: "number muted" });
  const opening = backend.kind === "file" ? null : mountOpenFile(tools);
  const element = h(
    "details",
    { class: "menu part-model", onkeydown: leave, ontoggle: unfold },
    h("summary", { title: t("model.title") }, name, accuracy),
    h(
      "div",
      { class: "menu-body" },
      h("h2", { class: backend.kind === "file" ? "" : "visually-hidden" }, t("model.title")),
      backend.kind !== "file" && runField,
      facts,
      backend.kind !== "file" && h("div", { class: "buttons" }, opening.button, page),
      opening?.form,
    ),
  );
  document.addEventListener("pointerdown", closeOutside);

  function leave(event) {
    if (event.key !== "Escape" || !element.open) return;
    element.open = false;
    element.querySelector("summary").focus();
  }

  function closeOutside({ target }) {
    if (element.open && !element.contains(target)) element.open = false;
  }

  function unfold() {
    if (element.open && backend.kind !== "file") list();
  }

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
    const shown = model && !model.trainedHere && withoutStep(model.ref);
    if (shown && !options.some(([ref]) => ref === shown)) options.unshift([shown, model.title]);
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
    const share = accuracyOf(usable.find((one) => `run:${one.name}` === shown));
    accuracy.textContent = share === null ? "" : percent(share);
  }

  function describe(one) {
    const share = accuracyOf(one);
    const parts = [one.name, one.network, one.data, share === null ? null : percent(share)];
    return parts.filter(Boolean).join(" · ");
  }

  function show({ network, data, ref, title, trainedHere }) {
    const parameters = store.get().traced.reduce((sum, row) => sum + row.parameters, 0);
    const classes = network.classes.length;
    name.textContent = title;
    fill(
      facts,
      h("strong", {}, network.name),
      h("span", { class: "number" }, t("model.parameters", { number: count(parameters) })),
      h("span", { class: "number" }, `${shapeText(network.input_shape)} → ${classes}`),
      h("span", {}, data === null ? t("model.no-data") : data),
    );
    if (backend.kind === "file") return;
    page.hidden = trainedHere === true; // the server has nothing of it
    if (trainedHere) accuracy.textContent = "";
    if (trainedHere) return;
    page.href = `/api/models/${encodeURIComponent(ref)}/html`;
    list();
  }

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (changed.has("model") && model) show(model);
  });
  if (backend.kind !== "file") list();

  return {
    element,
    none,
    destroy() {
      closed = true;
      document.removeEventListener("pointerdown", closeOutside);
      unsubscribe();
      opening?.destroy();
    },
  };
}

function accuracyOf(run) {
  return run?.last?.test_acc ?? run?.last?.val_acc ?? run?.last?.train_acc ?? null;
}

function withoutStep(ref) {
  return ref.startsWith("run:") ? ref.replace(/@\d+$/, "") : ref;
}
