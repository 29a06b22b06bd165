/** Which stage a narrow figure shows: one button for each. */

import { fill, h } from "lenet/dom.js";

/** The buttons: {element, show(stages, chosen)}; `choose(stage)` is called with a number. */
export function createChooser(t, choose) {
  const element = h("div", { class: "maps-chooser", role: "group", hidden: true });
  element.setAttribute("aria-label", t("maps.stages"));
  let shown = null;
  return {
    element,
    show(stages, chosen) {
      if (shown !== stages) {
        shown = stages;
        fill(
          element,
          stages
            .slice(1)
            .map(({ name }, i) =>
              h("button", { class: "small", onclick: () => choose(i + 1) }, name),
            ),
        );
      }
      [...element.children].forEach((button, i) => {
        button.setAttribute("aria-pressed", String(i + 1 === chosen));
      });
    },
  };
}
