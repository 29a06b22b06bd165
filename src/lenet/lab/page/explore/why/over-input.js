/** Why's saliency over the picture that the network sees, and what its colours say. */

import { css, largest } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { roundLimit } from "lenet/explore/network/scale.js";
import { coloursOf, DIMMED, signOf } from "lenet/explore/why/tint.js";
import { figure } from "lenet/shared/words.js";

/**
 * The saliency in the stage: {show(state, names, values), hide(), destroy}, with its switch and its
 * legend below the picture while it is shown. It sets the store's tint.
 */
export function createOverInput({ t, store, memory, slot }) {
  let made = null; // the tint, also while it is switched off
  const box = h("input", { type: "checkbox", checked: memory.overInput !== false });
  box.addEventListener("change", () => {
    memory.overInput = box.checked;
    store.set({ tint: box.checked ? made : null });
    legend.hidden = !box.checked;
  });
  const legend = h("span", { class: "why-legend number", title: t("why.saliency.can") });
  const element = h("div", { class: "why-over small" }, h("label", {}, box, t("why.over")), legend);

  return {
    /** `values` (rows × columns of the picture) speak for names.a rather than names.b. */
    show(state, { a, b }, values) {
      const [, rows, columns] = state.model.network.input_shape;
      const limit = roundLimit(largest(values, 0));
      made = { of: state.seen, colours: coloursOf(values, rows, columns, limit), light: DIMMED };
      fill(
        legend,
        key(1, t("why.over.for", { name: a })),
        key(-1, b === "" ? t("why.over.against", { name: a }) : t("why.over.for", { name: b })),
        h("span", { class: "muted" }, `±${figure(limit)}`),
      );
      legend.hidden = !box.checked;
      if (slot && element.parentElement === null) slot.after(element);
      store.set({ tint: box.checked ? made : null });
    },
    hide() {
      made = null;
      element.remove();
      store.set({ tint: null });
    },
    destroy: () => element.remove(),
  };
}

/** A colour and what it says. */
function key(sign, text) {
  const mark = h("span", { class: "why-key", "aria-hidden": "true" });
  mark.style.background = css(signOf(sign));
  return h("span", {}, mark, text);
}
