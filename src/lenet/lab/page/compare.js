/** Compare: all runs in a table, the chosen ones over each other, their mistakes, two networks. */

import mountConfusion from "lenet/compare/confusion.js";
import mountRunCurves from "lenet/compare/curves.js";
import mountPair from "lenet/compare/pair.js";
import mountSettings from "lenet/compare/settings.js";
import mountTable from "lenet/compare/table.js";
import { fill, h, oncePerFrame } from "lenet/dom.js";
import { createFaults, whyMissing } from "lenet/shared/faults.js";
import { watchRuns } from "lenet/shared/runs.js";

const UNDO_MS = 15_000;
const MOST_CHOSEN = 8; // as many curves are told apart

/** Compare in `root`: with the runs that the address names, else the newest ones, chosen. */
export default function mount(root, context) {
  const { backend, t, memory, params, mayChange, setParams, announce } = context;
  const asked = params.get("runs")?.split(",").filter(Boolean);
  memory.chosen = asked ?? memory.chosen ?? null; // null: nobody has chosen yet
  Object.assign(memory, placeOf(params));
  let closed = false;
  let undoTimer = null;

  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const undo = h("div", { class: "undo", hidden: true });
  const trash = h("details", { class: "trash", hidden: true });
  const faults = h("div", { class: "run-faults small failure", role: "status", hidden: true });
  const missing = h("ul", { class: "missing-runs", role: "status", hidden: true });
  const empty = h(
    "div",
    { class: "empty", hidden: true },
    h("h2", {}, t("compare.empty")),
    h("p", {}, t("compare.empty-what")),
    h("a", { class: "button", href: "#/learn" }, t("compare.empty-learn")),
  );
  const loadingRuns = h("p", { class: "loading", role: "status" }, t("compare.loading"));
  const parts = Object.fromEntries(
    ["runs", "chosen", "confusion", "pair"].map((name) => [
      name,
      h("section", { class: `panel compare-${name}` }),
    ]),
  );
  const curves = h("div", { class: "chosen-curves" });
  const settings = h("div", { class: "chosen-settings" });
  const hint = h("p", { class: "muted" });
  fill(
    parts.chosen,
    h("h2", {}, t("compare.chosen")),
    missing,
    hint,
    h("div", { class: "chosen-grid" }, curves, settings),
  );
  for (const name of ["chosen", "confusion", "pair"]) parts[name].hidden = true;
  fill(
    root,
    h("h1", { class: "visually-hidden" }, t("view.compare")),
    problem,
    empty,
    loadingRuns,
    parts.runs,
    faults,
    undo,
    trash,
    parts.chosen,
    parts.confusion,
    parts.pair,
  );

  const tools = { ...context, fail };
  const table = mountTable(parts.runs, { ...tools, toggle, act });
  const runCurves = mountRunCurves(curves, tools);
  const runSettings = mountSettings(settings, tools);
  const confusion = mountConfusion(parts.confusion, tools);
  const pair = mountPair(parts.pair, tools);
  const drawFaults = createFaults(faults, t);
  const runs = watchRuns(backend, memory, () => {
    if (!closed) draw();
  });

  function fail(error) {
    if (closed) return;
    problem.textContent = error === null ? "" : error.message;
    problem.hidden = error === null;
  }

  const draw = oncePerFrame(() => {
    if (closed || !runs.heard()) return;
    const all = runs.all();
    if (memory.chosen === null && all.length > 0) memory.chosen = toBeginWith(all);
    const names = (memory.chosen ?? []).filter((name) => runs.get(name));
    for (const name of names) if (!runs.record(name)) load(name);
    empty.hidden = all.length > 0;
    loadingRuns.hidden = true;
    parts.runs.hidden = all.length === 0;
    table.update(all, new Set(names));
    drawTrash();
    drawFaults.update(runs.warnings());
    drawMissing();
    const records = names.map((name) => runs.record(name)).filter(Boolean);
    parts.chosen.hidden = all.length === 0;
    hint.hidden = names.length > 0;
    hint.textContent = t("compare.choose-some");
    curves.hidden = records.length === 0;
    settings.hidden = records.length === 0;
    if (records.length > 0) {
      runCurves.update(records);
      runSettings.update(records);
    }
    const usable = all.filter((run) => run.status === "finished" || run.last);
    const ordered = [
      ...names.map((name) => usable.find((run) => run.name === name)).filter(Boolean),
      ...usable.filter(({ name }) => !names.includes(name)).reverse(),
    ];
    confusion.update(ordered.map(({ name }) => name));
    pair.update(ordered);
  });

  /** Which of the chosen runs are not there, and why. */
  function drawMissing() {
    const reasons = (memory.chosen ?? []).map((name) => whyMissing(runs, name, t)?.text);
    const told = reasons.filter(Boolean);
    missing.hidden = told.length === 0;
    if (missing.dataset.key === told.join("\n")) return;
    missing.dataset.key = told.join("\n");
    fill(
      missing,
      told.map((text) => h("li", {}, text)),
    );
  }

  const loading = new Set();
  async function load(name) {
    if (loading.has(name)) return;
    loading.add(name);
    try {
      await runs.load(name);
    } catch (error) {
      if (!error.offline) fail(error);
    } finally {
      loading.delete(name);
    }
  }

  function toggle(name, isChosen) {
    const others = (memory.chosen ?? []).filter((one) => one !== name);
    if (isChosen && others.length >= MOST_CHOSEN) {
      announce(t("compare.too-many", { n: MOST_CHOSEN }));
      others.shift();
    }
    memory.chosen = isChosen ? [...others, name] : others;
    setParams({ runs: memory.chosen.join(",") || null });
    draw();
  }

  async function act(name, what) {
    fail(null);
    const path = `/api/runs/${encodeURIComponent(name)}`;
    try {
      if (what === "star") {
        await backend.post(`${path}/star`, { starred: !runs.get(name)?.starred });
      }
      if (what === "delete") {
        await backend.remove(path);
        offerUndo(name);
      }
      if (what === "restore") {
        await backend.post(`${path}/restore`, {});
        announce(t("compare.restored", { name }));
        if (undo.dataset.run === name) hideUndo();
      }
    } catch (error) {
      fail(error);
    }
  }

  /** A bar with which the deletion is undone, for some seconds: longer while it is looked at. */
  function offerUndo(name) {
    undo.dataset.run = name;
    const button = h("button", { onclick: () => act(name, "restore") }, t("compare.undo"));
    fill(
      undo,
      h("span", {}, t("compare.deleted", { name })),
      button,
      h("button", { class: "quiet", "aria-label": t("compare.close"), onclick: hideUndo }, "✕"),
    );
    undo.hidden = false;
    announce(t("compare.deleted", { name }));
    button.focus();
    waitToHide();
  }

  function waitToHide() {
    clearTimeout(undoTimer);
    undoTimer = setTimeout(() => {
      if (undo.matches(":hover, :focus-within")) waitToHide();
      else hideUndo();
    }, UNDO_MS);
  }

  function hideUndo() {
    clearTimeout(undoTimer);
    const hadFocus = undo.contains(document.activeElement);
    undo.hidden = true;
    delete undo.dataset.run;
    if (hadFocus) root.focus({ preventScroll: true });
    drawTrash();
  }

  let trashShown = "";
  function drawTrash() {
    const names = runs.trash();
    trash.hidden = names.length === 0;
    if (names.join("\n") === trashShown) return;
    trashShown = names.join("\n");
    fill(
      trash,
      h("summary", {}, t("compare.trash", { n: names.length })),
      h(
        "ul",
        {},
        names.map((name) =>
          h(
            "li",
            {},
            name,
            " ",
            h(
              "button",
              {
                "aria-label": t("compare.restore-run", { name }),
                disabled: !mayChange,
                onclick: () => act(name, "restore"),
              },
              t("compare.restore"),
            ),
          ),
        ),
      ),
    );
  }

  return {
    destroy() {
      closed = true;
      clearTimeout(undoTimer);
      runs.close();
      table.destroy();
      runCurves.destroy();
      confusion.destroy();
      pair.destroy();
    },
  };
}

/** What the address says of the matrix and of the pair, as `memory` keeps it. */
function placeOf(params) {
  const place = {};
  if (params.has("matrix")) {
    const cell = /^(\d{1,3})-(\d{1,3})$/.exec(params.get("cell") ?? "");
    place.confusion = { run: params.get("matrix"), cell: cell && [+cell[1], +cell[2]] };
  }
  if (params.has("left") || params.has("picture")) {
    const picture = Number(params.get("picture"));
    const [left, right] = [params.get("left"), params.get("right")];
    place.pair = { left, right, picture: Number.isSafeInteger(picture) ? picture : 0 };
  }
  return place;
}

/** The runs that are chosen where nobody has: the newest two of the same data. */
function toBeginWith(runs) {
  const measured = runs.filter((run) => run.last).reverse();
  return measured
    .filter((run) => run.data === measured[0].data)
    .slice(0, 2)
    .map(({ name }) => name);
}
