/** The trainings: what runs, what waits and at which place, and the newest that are done. */

import { fill, focusIn, h } from "lenet/dom.js";
import { inBrief } from "lenet/learn/panel.js";
import { createFaults } from "lenet/shared/faults.js";

const ACTIVE = ["running", "paused", "queued"];
const MOST_DONE = 6;

/**
 * The list in `section`; `choose(name)` is called for the one to show.
 *
 * `update(runs, queue, shown, warnings, groups)`: summaries oldest first, the waiting names in
 * order, the shown name, what keeps runs from being shown, and the folders of runs, a line each.
 */
export default function mountRunList(section, { t, choose, navigate }) {
  let key = "";
  const list = h("ul", { class: "run-list" });
  const all = h(
    "p",
    { class: "small" },
    h("a", { href: "#/compare", onclick: toCompare }, t("learn.all-runs")),
  );
  const folded = h("ul", { class: "run-groups small muted" });
  const faults = h("div", { class: "run-faults small failure", role: "status" });
  const drawFaults = createFaults(faults, t);
  fill(section, h("h2", {}, t("learn.trainings")), list, folded, all, faults);

  function toCompare(event) {
    event.preventDefault();
    navigate("compare");
  }

  return {
    update(runs, queue, shown, warnings, groups = []) {
      drawFaults.update(warnings);
      const active = runs.filter((run) => ACTIVE.includes(run.status));
      const done = runs
        .filter((run) => !ACTIVE.includes(run.status))
        .slice(-MOST_DONE)
        .reverse();
      const lines = [...active, ...done].map((run) => {
        const place = queue.indexOf(run.name) + 1;
        const status =
          place > 0 ? t("learn.queued-at", { position: place }) : t(`learn.status.${run.status}`);
        return { name: run.name, status, brief: inBrief(run, t), state: run.status };
      });
      const now = JSON.stringify([lines, shown, groups]);
      section.hidden = runs.length === 0 && groups.length === 0 && faults.hidden;
      if (now === key) return;
      key = now;
      fill(
        folded,
        groups.map(({ name, runs: count, folder }) =>
          h(
            "li",
            {},
            t("learn.group", { name, count }),
            h("br"),
            h("code", {}, `lenet lab --runs ${folder}`),
          ),
        ),
      );
      const focused = focusIn(list)?.dataset.run;
      fill(
        list,
        lines.map(({ name, status, brief, state }) =>
          h(
            "li",
            {},
            h(
              "button",
              {
                class: "quiet run-choice",
                "data-run": name,
                "aria-current": name === shown ? "true" : null,
                onclick: () => choose(name),
              },
              h("span", { class: "run-choice-name" }, name),
              h("span", { class: "status", "data-status": state }, status),
              h("span", { class: "number muted" }, brief),
            ),
          ),
        ),
      );
      if (focused !== null) list.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
    },
  };
}
