/** What the table of runs shows of each: values to sort and filter by, and their texts. */

import {
  accuracyText,
  countText,
  duration,
  epochText,
  lossText,
  whenText,
} from "lenet/shared/words.js";

const inWords = new Intl.Collator("en", { numeric: true });
const STATUSES = ["running", "paused", "queued", "finished", "stopped", "failed"];

/**
 * The columns in order: `value(run)` sorts, `text(run, t, language)` is read.
 * @type {{key: string, number?: boolean, value: (run: any) => any,
 *   text: (run: any, t: any, language: string) => string}[]}
 */
export const COLUMNS = [
  { key: "name", value: (run) => run.name, text: (run) => run.name },
  {
    key: "status",
    value: (run) => STATUSES.indexOf(run.status),
    text: (run, t) => t(`learn.status.${run.status}`),
  },
  { key: "network", value: (run) => run.network, text: (run) => run.network },
  number("parameters", (run) => run.parameters, countText),
  { key: "data", value: (run) => run.data, text: (run) => run.data },
  { key: "recipe", value: (run) => run.recipe.name, text: (run) => run.recipe.name },
  number(
    "epochs",
    (run) => run.last?.epoch ?? 0,
    (done, run) => (done === run.epochs ? countText(done) : `${epochText(done)}/${run.epochs}`),
  ),
  number("test", testAccuracy, accuracyText),
  number("loss", (run) => run.last?.train_loss ?? null, lossText),
  number(
    "time",
    (run) => run.wall_s || null,
    (seconds, run, t) => duration(seconds, t),
  ),
  number("speed", (run) => run.examples_per_s ?? null, countText),
  {
    key: "started",
    value: (run) => run.started ?? "",
    text: (run, t, language) => whenText(run.started, language),
  },
];

function number(key, value, text) {
  return { key, number: true, value, text: (run, t) => text(value(run), run, t) };
}

/** A run's newest test accuracy, or null. */
export function testAccuracy(run) {
  return run.last_test_acc ?? run.last?.test_acc ?? null;
}

/** The runs that have every word of the filter in their texts, sorted; without a value: last. */
export function arranged(runs, { filter, key, descending }, t, language) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const column = COLUMNS.find((one) => one.key === key) ?? COLUMNS[0];
  const has = (run) => {
    if (words.length === 0) return true; // nothing to write out for hundreds of runs
    const text = COLUMNS.map((one) => one.text(run, t, language))
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const compare = (a, b) => {
    const [one, other] = [column.value(a), column.value(b)];
    if (one == null || other == null) return Number(one == null) - Number(other == null);
    const order = typeof one === "string" ? inWords.compare(one, other) : one - other;
    return descending ? -order : order;
  };
  return runs.filter(has).sort(compare);
}
