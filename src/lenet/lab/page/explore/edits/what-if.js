/** What if: weights, channels and the picture changed, and the difference that it makes. */

import { fill, focusIn, h } from "lenet/dom.js";
import { mountChannels } from "lenet/explore/edits/channels.js";
import { mountCover } from "lenet/explore/edits/cover.js";
import { showDifference } from "lenet/explore/edits/difference.js";
import { mountMistaken } from "lenet/explore/edits/mistaken.js";
import { mountWeights } from "lenet/explore/edits/weights.js";

/** The changes and what they make different, in `section`. */
export default function mount(section, tools) {
  const { t, store, changes } = tools;
  const button = (key, onclick) => h("button", { type: "button", onclick, disabled: true }, t(key));
  const undo = button("whatif.undo", changes.undo);
  const redo = button("whatif.redo", changes.redo);
  const reset = button("whatif.reset", changes.reset);
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

  const own = { ...tools, edit: changes.edit, settle: changes.settle };
  const mounted = [
    mountWeights(parts.weights.lastChild, own),
    mountChannels(parts.channels.lastChild, own),
    mountCover(parts.cover.lastChild, own),
    mountMistaken(parts.mistaken.lastChild, own),
  ];

  function buttons() {
    const focused = focusIn(section);
    const can = changes.can();
    undo.disabled = !can.undo;
    redo.disabled = !can.redo;
    reset.disabled = !can.reset;
    if (focused?.disabled) [undo, redo, reset].find((one) => !one.disabled)?.focus();
  }

  const unwatch = changes.subscribe(buttons);
  const unsubscribe = store.subscribe((state, changed) => {
    if (["model", "outputs", "before"].some((name) => changed.has(name))) {
      showDifference(answer, parts.difference.lastChild, state, t);
    }
  });

  return {
    destroy() {
      unsubscribe();
      unwatch();
      for (const one of mounted) one.destroy();
    },
  };
}
