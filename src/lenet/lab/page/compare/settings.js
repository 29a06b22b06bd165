/** The chosen runs' results and settings side by side: what was reached, and what differs. */

import { testAccuracy } from "lenet/compare/columns.js";
import { fill, h, percent, show } from "lenet/dom.js";
import { lineSample, lineStyle } from "lenet/shared/chart.js";
import { newest } from "lenet/shared/curves.js";
import { accuracyText, duration, lossText } from "lenet/shared/words.js";

const NO_SETTING = ["name", "title", "published"];

/** Accuracies and settings in `section`; `update(records)` draws those of the chosen runs. */
export default function mountSettings(section, { t, state, memory }) {
  let records = [];
  const results = h("div", {
    class: "scroll-x",
    tabindex: "0",
    role: "region",
    "aria-label": t("compare.results"),
  });
  const about = h("p", { class: "small muted" });
  const all = h("input", {
    type: "checkbox",
    checked: Boolean(memory.allSettings),
    onchange: () => {
      memory.allSettings = all.checked;
      draw();
    },
  });
  const settings = h("div", {
    class: "scroll-x",
    tabindex: "0",
    role: "region",
    "aria-label": t("compare.settings"),
  });
  fill(
    section,
    h("h3", {}, t("compare.results")),
    results,
    about,
    h("h3", {}, t("compare.settings")),
    h("label", { class: "check" }, all, " ", t("compare.show-all")),
    settings,
  );

  function draw() {
    drawResults();
    const names = records.map(({ summary }) => summary.name);
    const rows = differences(
      records.map(({ summary }) => summary.recipe),
      all.checked,
    );
    fill(
      settings,
      rows.length === 0
        ? h("p", { class: "muted" }, t(records.length > 1 ? "compare.same" : "compare.one-run"))
        : h(
            "table",
            { class: "settings" },
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th", { scope: "col" }, t("compare.setting")),
                names.map((name, i) =>
                  h("th", { scope: "col" }, lineSample(lineStyle(i)), " ", name),
                ),
              ),
            ),
            h(
              "tbody",
              {},
              rows.map(({ key, values, differs }) =>
                h(
                  "tr",
                  { class: differs && records.length > 1 ? "differs" : null },
                  h("th", { scope: "row" }, key),
                  values.map((value) => h("td", { class: "number" }, value ?? "–")),
                ),
              ),
            ),
          ),
    );
  }

  function drawResults() {
    const best = Math.max(...records.map(({ summary }) => testAccuracy(summary) ?? -Infinity));
    const count = (summary) => state.data.find(({ name }) => name === summary.data)?.test ?? null;
    const number = (key) => h("th", { scope: "col", class: "number" }, t(key));
    fill(
      results,
      h(
        "table",
        { class: "results" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, t("compare.column.name")),
            number("compare.column.test"),
            number("compare.chance"),
            number("compare.difference"),
            number("compare.column.loss"),
            number("compare.column.time"),
          ),
        ),
        h(
          "tbody",
          {},
          records.map(({ summary, history }, i) => {
            const accuracy = newest(history.test_acc);
            const error = standardError(accuracy, count(summary));
            return h(
              "tr",
              {},
              h("th", { scope: "row" }, lineSample(lineStyle(i)), " ", summary.name),
              h("td", { class: "number" }, accuracyText(accuracy)),
              h("td", { class: "number muted" }, error === null ? "–" : `± ${percent(error)}`),
              h("td", { class: "number" }, points(accuracy, best, t)),
              h("td", { class: "number" }, lossText(newest(history.train_loss))),
              h("td", { class: "number" }, duration(summary.wall_s, t)),
            );
          }),
        ),
      ),
    );
    const sets = new Set(records.map(({ summary }) => summary.data));
    about.textContent = t(sets.size > 1 ? "compare.other-data" : "compare.chance-about");
  }

  return {
    update(newRecords) {
      records = newRecords;
      draw();
    },
  };
}

function points(accuracy, best, t) {
  if (accuracy === null || !Number.isFinite(best)) return "–";
  return accuracy === best
    ? t("compare.best")
    : t("compare.points", { n: show(100 * (accuracy - best), 1) });
}

/** How far an accuracy over so many pictures is from the true one, one standard error; or null. */
function standardError(accuracy, count) {
  if (accuracy === null || !count) return null;
  return Math.sqrt((accuracy * (1 - accuracy)) / count);
}

/** Rows {key, values, differs} of recipes' settings by dotted key; all, or those that differ. */
export function differences(recipes, all = false) {
  const flat = recipes.map((recipe) => flattened(recipe));
  const keys = [...new Set(flat.flatMap((values) => [...values.keys()]))];
  return keys
    .filter((key) => !NO_SETTING.includes(key))
    .map((key) => {
      const values = flat.map((one) => one.get(key) ?? null);
      return { key, values, differs: values.some((value) => value !== values[0]) };
    })
    .filter(({ differs }) => all || differs);
}

function flattened(values, prefix = "", into = new Map()) {
  for (const [key, value] of Object.entries(values)) {
    const path = prefix + key;
    if (Array.isArray(value)) into.set(path, JSON.stringify(value));
    else if (value !== null && typeof value === "object") flattened(value, `${path}.`, into);
    else into.set(path, value === null ? null : String(value));
  }
  return into;
}
