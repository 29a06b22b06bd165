/** The lens: what one number is, docked under the figure, seen from several sides. */

import { fill, h, tabKeys } from "lenet/dom.js";
import mountArithmetic from "lenet/explore/arithmetic/arithmetic.js";
import mountBackward from "lenet/explore/backward/backward.js";
import mountPlay from "lenet/explore/arithmetic/play.js";
import mountWhatIf from "lenet/explore/edits/what-if.js";
import mountExplanation from "lenet/explore/network/explanation.js";
import mountNudge from "lenet/explore/nudge/nudge.js";
import mountPlane from "lenet/explore/plane/plane.js";
import mountWhy from "lenet/explore/why/why.js";

/**
 * The lens's sides, in their order: `mount(section, tools)` returns {destroy, shown(is)}, of which
 * `shown`, told when the side comes into sight or leaves it, may be left out.
 */
const SIDES = [
  { key: "sum", part: "arithmetic", mount: mountArithmetic },
  { key: "slide", part: "play", mount: mountPlay },
  { key: "backward", part: "backward", mount: mountBackward },
  { key: "why", part: "why", mount: mountWhy },
  { key: "what-if", part: "what-if", mount: mountWhatIf },
  { key: "nudge", part: "nudge", mount: mountNudge },
  { key: "map", part: "plane", mount: mountPlane },
  { key: "words", part: "explanation", mount: mountExplanation },
];

/** The lens in a section: {open(key), show(key), askWhy(class), destroy}. */
export default function mountLens(section, tools) {
  const { t, memory, params, setParams } = tools;
  const sides = [...SIDES, ...tools.sides];
  const named = sides.find(({ key }) => key === params.get("lens"));
  memory.lens ??= { side: "sum", up: false };
  if (named) memory.lens.side = named.key;

  const head = h("div", { class: "lens-number" });
  const tabs = sides.map(({ key }) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `lens-${key}`,
        "aria-controls": `lens-panel-${key}`,
        onclick: () => select(key, true),
      },
      t(`lens.${key}`),
    ),
  );
  const list = h(
    "div",
    { class: "tabs", role: "tablist", onkeydown: (event) => tabKeys(event, tabs) },
    tabs,
  );
  list.setAttribute("aria-label", t("lens.sides"));
  const handle = h("button", {
    type: "button",
    class: "lens-handle",
    "aria-controls": "lens-body",
    onclick: () => raise(!memory.lens.up),
  });
  const panels = sides.map(({ key, part }) =>
    h("section", {
      class: `part part-${part} lens-side`,
      id: `lens-panel-${key}`,
      role: "tabpanel",
      tabindex: "-1",
      "aria-labelledby": `lens-${key}`,
    }),
  );
  const body = h("div", { class: "lens-body", id: "lens-body" }, panels);
  fill(
    section,
    h("h2", { class: "visually-hidden" }, t("lens.title")),
    h("div", { class: "lens-head" }, handle, list, head),
    body,
  );
  const mounted = sides.map(({ mount }, i) => mount(panels[i], { ...tools, head }));
  select(memory.lens.side);
  raise(memory.lens.up);

  /** Shows a side; by hand, the sheet of a small screen comes up with it. */
  function select(key, byHand = false) {
    memory.lens.side = key;
    sides.forEach((side, i) => {
      const is = side.key === key;
      tabs[i].setAttribute("aria-selected", is);
      tabs[i].tabIndex = is ? 0 : -1;
      panels[i].hidden = !is;
      mounted[i].shown?.(is);
    });
    if (!byHand) return;
    setParams({ lens: key === "sum" ? null : key });
    raise(true);
    const chosen = tabs.find((tab) => tab.tabIndex === 0);
    chosen.scrollIntoView({ block: "nearest", inline: "nearest" }); // where not all have room
  }

  /** On a small screen the lens is a sheet, which lies low until it is asked for. */
  function raise(up) {
    memory.lens.up = up;
    section.classList.toggle("lens-up", up);
    handle.setAttribute("aria-expanded", String(up));
    handle.setAttribute("aria-label", t(up ? "lens.lower" : "lens.raise"));
    handle.title = t(up ? "lens.lower" : "lens.raise");
  }

  /** A click on a class asks why, unless one looks at gradients or changes the network. */
  function askWhy(index) {
    if (["backward", "what-if"].includes(memory.lens.side)) return;
    mounted[SIDES.findIndex(({ key }) => key === "why")].ask(index);
    if (memory.lens.side !== "why") select("why", true);
  }

  return {
    open: (key) => select(key, true),
    askWhy,
    /** Shows a side where there is one of that name; the sheet of a small screen stays as it is. */
    show(key) {
      if (!SIDES.some((side) => side.key === key)) return;
      select(key);
      setParams({ lens: key === "sum" ? null : key });
    },
    destroy() {
      for (const side of mounted) side.destroy?.();
    },
  };
}
