/** What a change made of the answer. */

import { fill, h, percent, show } from "lenet/dom.js";
import { softmax } from "lenet/network/softmax.js";

const ROWS = 5;

/**
 * Shows the class before and now in `answer`, and in `root` the probabilities that changed most; as
 * long as nothing is changed, the highest, so that nothing jumps when something is.
 */
export function showDifference(answer, root, { model, outputs, before }, t) {
  if (!model || !outputs) return;
  const { classes } = model.network;
  const { temperature } = model.calibration;
  const is = softmax(outputs.at(-1), temperature);
  const was = before ? softmax(before.at(-1), temperature) : is;
  const change = classes.map((_, i) => is[i] - was[i]);
  const weight = before ? change.map(Math.abs) : is;
  const most = classes.map((_, i) => i).sort((a, b) => weight[b] - weight[a]);
  const [top, now] = [highest(was), highest(is)];
  fill(
    answer,
    `${classes[top]} ${percent(was[top])}`,
    before
      ? [" → ", h("strong", {}, `${classes[now]} ${percent(is[now])}`)]
      : h("span", { class: "muted" }, ` · ${t("difference.none")}`),
    top !== now && h("span", { class: "other-class" }, ` ${t("difference.other")}`),
  );
  fill(
    root,
    h(
      "table",
      { class: "difference" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("difference.class")),
          ["before", "now", "change"].map((name) =>
            h("th", { scope: "col", class: "number" }, t(`difference.${name}`)),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        most
          .slice(0, ROWS)
          .map((i) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, classes[i]),
              h("td", { class: "number" }, percent(was[i])),
              h("td", { class: "number" }, percent(is[i])),
              h("td", { class: `number ${side(change[i])}` }, signed(100 * change[i])),
            ),
          ),
      ),
    ),
  );
}

/** A number with its sign, also when it is positive; percentage points. */
function signed(points) {
  const text = show(points, 1);
  return Number(points.toFixed(1)) > 0 ? `+${text}` : text;
}

function side(change) {
  if (Math.abs(change) < 0.0005) return "muted";
  return change > 0 ? "rises" : "falls";
}

function highest(values) {
  return values.indexOf(Math.max(...values));
}
