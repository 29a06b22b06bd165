/** The line over the figure: the number pointed at, and what the figure shows instead. */

import { fill, h } from "lenet/dom.js";
import { slopeText } from "lenet/explore/backward/slopes.js";
import { unitText, validUnit } from "lenet/explore/network/units.js";

/**
 * The head {element, show({gradients, backwards, comparable, compared}), tell()}.
 *
 * `tell` writes the unit's name and number, and gives {text, back} of it; null where there is
 * none. `more` is a button of others, `toggleDifference` is called by its own.
 */
export function createHead({ store, t }, { more, toggleDifference }) {
  const readout = h("p", { class: "maps-readout number" });
  const button = (text, onclick) =>
    h("button", { class: "small", "aria-pressed": "false", hidden: true, onclick }, text);
  const difference = button(t("maps.difference"), toggleDifference);
  const slopes = button(t("maps.gradients"), () =>
    store.set({ backwards: store.get().backwards !== true }),
  );
  const buttons = h("div", { class: "buttons" }, slopes, difference, more);

  return {
    element: h("div", { class: "maps-head" }, readout, buttons),
    show({ gradients, backwards, comparable, compared }) {
      slopes.hidden = !gradients;
      slopes.setAttribute("aria-pressed", String(backwards));
      difference.hidden = !comparable;
      difference.setAttribute("aria-pressed", String(compared));
    },
    tell() {
      const state = store.get();
      const unit = validUnit(state.traced, state.unit);
      const ready = unit && state.outputs;
      const text = ready ? unitText(t, state, unit) : t("maps.hint");
      const back = ready ? slopeText(t, state, unit) : "";
      const note = ready ? ` · ${t(state.pinned ? "maps.pinned" : "maps.toPin")}` : "";
      fill(readout, text, back, h("span", { class: "muted" }, note));
      return ready ? { text, back } : null;
    },
  };
}
