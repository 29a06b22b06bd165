/** What if: weights, channels and the picture changed, and the difference that it makes. */

import { fill, focusIn, h } from "lenet/dom.js";
import { decodeEdits, encodeEdits } from "lenet/explore/edits/address.js";
import { mountChannels } from "lenet/explore/edits/channels.js";
import { mountCover } from "lenet/explore/edits/cover.js";
import { showDifference } from "lenet/explore/edits/difference.js";
import { mountMistaken } from "lenet/explore/edits/mistaken.js";
import { mountWeights } from "lenet/explore/edits/weights.js";
import { createHistory } from "lenet/explore/picture/history.js";

/** The changes and what they make different, in `section`. */
export default function mount(section, tools) {
  const { t, store, memory, params, setParams } = tools;
  let history = null;
  let asked = params.get("edits"); // what the address says of the first model

  const button = (key, onclick) => h("button", { type: "button", onclick, disabled: true }, t(key));
  const undo = button("whatif.undo", () => step("undo"));
  const redo = button("whatif.redo", () => step("redo"));
  const reset = button("whatif.reset", () => edit(history.first()));
  const answer = h("p", { class: "number answer" });
  const part = (key) => h("section", { class: "what" }, h("h3", {}, t(key)), h("div", {}));
  const parts = {
    difference: part("difference.title"),
    weights: part("whatif.weights"),
    channels: part("whatif.channels"),
    cover: part("whatif.cover"),
    mistaken: part("whatif.mistaken"),
  };
  fill(
    section,
    h(
      "div",
      { class: "what-head" },
      h("h2", { class: "visually-hidden" }, t("whatif.title")),
      h("div", { class: "buttons" }, undo, redo, reset),
      answer,
    ),
    h("div", { class: "what-parts" }, parts.difference, parts.weights, parts.channels, parts.cover),
    parts.mistaken,
  );

  const own = { ...tools, edit, settle };
  const mounted = [
    mountWeights(parts.weights.lastChild, own),
    mountChannels(parts.channels.lastChild, own),
    mountCover(parts.cover.lastChild, own),
    mountMistaken(parts.mistaken.lastChild, own),
  ];

  /**
   * Changes {weights, gates, cover}; what is not given stays. Changes with the same key in a row
   * are one step of the history.
   */
  function edit(patch, key = null) {
    if (!history) return;
    history.push({ ...history.get(), ...patch }, key);
    apply();
  }

  /** Ends a run of changes with the same key: the next one is a step of its own. */
  function settle() {
    history?.settle();
  }

  function step(which) {
    history[which]();
    apply();
  }

  function apply() {
    const value = history.get();
    const { model } = store.get();
    memory.edits = { model, history: history.dump() };
    store.set(value);
    setParams({ edits: encodeEdits(model.weights, value) });
    buttons();
  }

  function buttons() {
    const focused = focusIn(section);
    const { weights, gates, cover } = history.get();
    undo.disabled = !history.canUndo();
    redo.disabled = !history.canRedo();
    reset.disabled = weights === store.get().model.weights && gates === null && cover === null;
    if (focused?.disabled) [undo, redo, reset].find((one) => !one.disabled)?.focus();
  }

  /** A model that was opened begins without changes, or, after a change of theme, with its own. */
  function begin(model) {
    const kept = memory.edits?.model === model ? memory.edits.history : null;
    history = createHistory({ weights: model.weights, gates: null, cover: null }, kept);
    const { traced } = store.get();
    if (asked !== null && kept === null) {
      const { weights } = model;
      const edits = decodeEdits(asked, model.network, weights, traced);
      const changed = edits.weights !== weights || edits.gates !== null || edits.cover !== null;
      if (changed) history.push(edits, null);
    }
    asked = null;
    apply();
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (changed.has("model") && state.model) begin(state.model);
    if (["model", "outputs", "before"].some((name) => changed.has(name))) {
      showDifference(answer, parts.difference.lastChild, state, t);
    }
  });

  return {
    destroy() {
      unsubscribe();
      for (const one of mounted) one.destroy();
    },
  };
}
