/** The headline: what the network says, what one can do about it, and which network it is. */

import { fill, h } from "lenet/dom.js";
import { createModelMenu } from "lenet/explore/headline/model.js";
import { createTimeline } from "lenet/explore/headline/time.js";
import { mountVerdict } from "lenet/explore/headline/verdict.js";

/**
 * The headline in a section: {destroy}. `draw()` begins a drawing, `nextMistake()` shows the next
 * misread picture (and returns false where there is none), `openSide(key)` leads to a side of the
 * lens, `why()` to why the network says so; `link` is the button that copies the address,
 * `lessons` has the tour's button and the menu.
 */
export default function mountHeadline(section, tools) {
  const { t, store, draw, nextMistake, why, link, lessons, sides, openSide } = tools;
  const said = h("div", { class: "verdict-part" });
  const edited = h(
    "button",
    { class: "edited", hidden: true, onclick: () => openSide(edits) },
    t("edited"),
  );
  let edits = "what-if"; // the side where one sees what is changed
  edited.title = t("edited.why");
  const mistake = h("button", { hidden: true, onclick: nextMistake }, t("verdict.mistake"));
  const menu = createModelMenu(tools);
  const time = createTimeline(tools);
  fill(
    section,
    menu.none,
    said,
    edited,
    h(
      "div",
      { class: "headline-actions" },
      h("button", { class: "headline-why", onclick: why }, t("verdict.why")),
      h("button", { class: "headline-draw", onclick: draw }, t("verdict.draw")),
      mistake,
      sides.map(({ key }) => h("button", { onclick: () => openSide(key) }, t(`verdict.${key}`))),
      lessons.tour,
      lessons.menu,
    ),
    h("div", { class: "headline-network" }, time.element, link, menu.element),
  );
  const verdict = mountVerdict(said, tools);

  const unsubscribe = store.subscribe((state, changed) => {
    const { model, base, weights, gates, cover, nudge, mistakes } = state;
    if (changed.has("model") && model) time.show(model.ref);
    const same = weights === base && gates === null && cover === null;
    edited.hidden = !model || (same && nudge === null);
    edits = same ? "nudge" : "what-if";
    mistake.hidden = !mistakes;
  });

  return {
    destroy() {
      unsubscribe();
      for (const part of [verdict, menu, time]) part.destroy();
    },
  };
}
