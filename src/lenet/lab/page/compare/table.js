/** The runs: a table, or a list where there is no room: sort, filter, choose, star, delete. */

import { arranged, COLUMNS } from "lenet/compare/columns.js";
import { fill, focusIn, h } from "lenet/dom.js";

const WIDE = "(min-width: 1280px)";
const AT_ONCE = 25; // rows: a browser makes some hundred of them for longer than a blink
const IN_LIST = [
  "status",
  "test",
  "loss",
  "network",
  "parameters",
  "data",
  "recipe",
  "epochs",
  "time",
  "speed",
  "started",
];

/**
 * The runs in `section`. `memory.table` keeps {filter, key, descending}.
 *
 * `update(runs, chosen)` draws summaries and the Set of the chosen names. Called back:
 * `toggle(name, isChosen)`, `act(name, "star" | "delete")`.
 */
export default function mountTable(section, { t, language, memory, mayChange, toggle, act }) {
  memory.table ??= { filter: "", key: "started", descending: true };
  const order = memory.table;
  let runs = [];
  let chosen = new Set();
  let drawn = "";
  let most = AT_ONCE;
  let rows = new Map(); // name → {key, element}: what has not changed is not made again

  const wide = matchMedia(WIDE);
  const filter = h("input", {
    type: "search",
    value: order.filter,
    id: "runs-filter",
    autocomplete: "off",
    oninput: () => {
      order.filter = filter.value;
      most = AT_ONCE;
      draw();
    },
  });
  const sortBy = h(
    "select",
    { id: "runs-sort", onchange: () => sort(sortBy.value) },
    COLUMNS.map(({ key }) => h("option", { value: key }, t(`compare.column.${key}`))),
  );
  const direction = h("button", { onclick: () => sort(order.key) });
  const sorting = h(
    "span",
    { class: "buttons" },
    h("label", { class: "field" }, h("span", {}, t("compare.sort-by")), sortBy),
    direction,
  );
  const count = h("span", { class: "muted number", role: "status" });
  const box = h("div", { class: "runs-box" });
  fill(
    section,
    h(
      "div",
      { class: "runs-head" },
      h("h2", {}, t("compare.runs")),
      h("label", { class: "field" }, h("span", {}, t("compare.filter")), filter),
      sorting,
      count,
    ),
    box,
  );

  /** By another column: numbers from the largest, words from the first; again: the other way. */
  function sort(key) {
    const column = COLUMNS.find((one) => one.key === key);
    order.descending =
      order.key === key ? !order.descending : Boolean(column.number || key === "started");
    order.key = key;
    most = AT_ONCE;
    draw();
  }

  function draw() {
    const found = arranged(runs, order, t, language);
    const shown = found.slice(0, most);
    const counts = [found.length, runs.length];
    const now = JSON.stringify([shown, counts, [...chosen], order, wide.matches]);
    if (now === drawn) return;
    drawn = now;
    sorting.hidden = wide.matches;
    sortBy.value = order.key;
    direction.textContent = t(order.descending ? "compare.descending" : "compare.ascending");
    count.textContent =
      found.length === runs.length
        ? t("compare.count", { n: runs.length })
        : t("compare.count-of", { n: found.length, all: runs.length });
    const focus = focused();
    const rest = found.length - shown.length;
    fill(
      box,
      wide.matches ? table(shown) : list(shown),
      rest > 0
        && h(
          "button",
          { class: "more-runs", "data-key": "more", onclick: more },
          t("compare.more-runs", { n: Math.min(rest, AT_ONCE), rest }),
        ),
    );
    focus?.();
  }

  function more() {
    most += AT_ONCE;
    draw();
  }

  /** A function that puts the focus back in what is drawn next; null if it is elsewhere. */
  function focused() {
    const key = focusIn(box)?.dataset.key;
    if (!key) return null;
    return () => box.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  function table(shown) {
    return h(
      "div",
      { class: "scroll-x" },
      h(
        "table",
        { class: "runs" },
        h("caption", { class: "visually-hidden" }, t("compare.runs")),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("compare.choose"))),
            h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("compare.star"))),
            COLUMNS.map(heading),
            h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("compare.delete"))),
          ),
        ),
        h("tbody", {}, made(shown, tableRow)),
      ),
    );
  }

  /** What `make(run)` gives for each run, made anew where something of it has changed. */
  function made(shown, make) {
    const before = rows;
    rows = new Map();
    for (const run of shown) {
      const key = JSON.stringify([run, chosen.has(run.name), wide.matches]);
      const known = before.get(run.name);
      rows.set(run.name, known?.key === key ? known : { key, element: make(run) });
    }
    return [...rows.values()].map(({ element }) => element);
  }

  function tableRow(run) {
    return h(
      "tr",
      { class: chosen.has(run.name) ? "chosen" : null, "data-run": run.name },
      h("td", {}, checkbox(run)),
      h("td", {}, star(run)),
      COLUMNS.map(({ key, number, text }) => {
        const value = text(run, t, language);
        if (key === "name") return h("th", { scope: "row" }, opener(run));
        return h(
          "td",
          { class: number ? "number" : key === "started" ? "when" : null },
          key === "status"
            ? h("span", { class: "status", "data-status": run.status }, value)
            : value,
        );
      }),
      h("td", {}, remover(run)),
    );
  }

  /**
   * @param {{key: string, number?: boolean}} column
   */
  function heading({ key, number }) {
    const sorted = order.key === key;
    const arrow = sorted ? (order.descending ? " ↓" : " ↑") : "";
    return h(
      "th",
      {
        scope: "col",
        class: number ? "number" : null,
        "aria-sort": sorted ? (order.descending ? "descending" : "ascending") : null,
      },
      h(
        "button",
        { class: "quiet sort", "data-key": `sort ${key}`, onclick: () => sort(key) },
        t(`compare.column.${key}`),
        h("span", { "aria-hidden": "true" }, arrow),
      ),
    );
  }

  function listRow(run) {
    return h(
      "li",
      { class: chosen.has(run.name) ? "chosen" : null, "data-run": run.name },
      h("div", { class: "runs-list-head" }, checkbox(run), opener(run), star(run), remover(run)),
      h(
        "dl",
        {},
        IN_LIST.map((key) => {
          const { number, text } = COLUMNS.find((one) => one.key === key);
          return h(
            "div",
            {},
            h("dt", {}, t(`compare.column.${key}`)),
            h("dd", { class: number ? "number" : null }, text(run, t, language)),
          );
        }),
      ),
    );
  }

  function list(shown) {
    return h("ul", { class: "runs-list" }, made(shown, listRow));
  }

  function checkbox({ name }) {
    const input = h("input", {
      type: "checkbox",
      "data-key": `choose ${name}`,
      checked: chosen.has(name),
      "aria-label": t("compare.choose-run", { name }),
      onchange: () => toggle(name, input.checked),
    });
    return h("label", { class: "target" }, input);
  }

  function opener({ name }) {
    return h(
      "a",
      {
        href: `#/learn?run=${encodeURIComponent(name)}`,
        "data-key": `open ${name}`,
      },
      name,
    );
  }

  function star({ name, starred }) {
    return h(
      "button",
      {
        class: starred ? "quiet icon is-starred" : "quiet icon",
        "data-key": `star ${name}`,
        "aria-pressed": String(Boolean(starred)),
        disabled: !mayChange,
        "aria-label": t("compare.star-run", { name }),
        onclick: () => act(name, "star"),
      },
      starred ? "★" : "☆",
    );
  }

  function remover({ name }) {
    return h(
      "button",
      {
        class: "quiet icon",
        "data-key": `delete ${name}`,
        title: t("compare.delete"),
        disabled: !mayChange,
        "aria-label": t("compare.delete-run", { name }),
        onclick: () => act(name, "delete"),
      },
      "✕",
    );
  }

  const redraw = () => draw();
  wide.addEventListener("change", redraw);
  return {
    update(newRuns, newChosen) {
      [runs, chosen] = [newRuns, newChosen];
      draw();
    },
    destroy: () => wide.removeEventListener("change", redraw),
  };
}
