/** What keeps runs from being shown: folders that cannot be read, and the lab's own trouble. */

import { fill, h } from "lenet/dom.js";

const MOST_DAMAGED = 20;

/** Shows `warnings()` of the runs in `box`: `update({damaged: [{name, reason}], trouble})`. */
export function createFaults(box, t) {
  let drawn = "";
  return {
    update({ damaged, trouble }) {
      const now = JSON.stringify([damaged, trouble]);
      box.hidden = damaged.length === 0 && !trouble;
      if (now === drawn) return;
      drawn = now;
      fill(
        box,
        trouble ? h("p", {}, t("learn.trouble", { reason: trouble })) : null,
        damaged.length > 0 ? h("p", {}, t("learn.damaged", { count: damaged.length })) : null,
        damaged.length > 0
          ? h(
              "ul",
              {},
              damaged
                .slice(0, MOST_DAMAGED)
                .map(({ name, reason }) => h("li", {}, h("strong", {}, name), ": ", reason)),
            )
          : null,
      );
    },
  };
}

/**
 * Why a run that was asked for is not there, as {text, restorable}; null where it is, or where that
 * is not known yet.
 */
export function whyMissing(runs, name, t) {
  if (name === null || !runs.heard() || runs.get(name)) return null;
  const broken = runs.warnings().damaged.find((one) => one.name === name);
  if (broken) return { text: broken.reason, restorable: false };
  const deleted = runs.trash().includes(name);
  return { text: t(deleted ? "learn.deleted" : "learn.missing", { name }), restorable: deleted };
}
