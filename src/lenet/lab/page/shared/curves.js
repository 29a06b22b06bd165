/** Loss and accuracies of a run as they come, with their values as a table. */

import { fill, h, show } from "lenet/dom.js";
import { accuracyTick, createChart, lineSample, lineStyle, lossTick } from "lenet/shared/chart.js";
import { accuracyText, epochText, lossText } from "lenet/shared/words.js";

const SPLITS = ["train", "val", "test"];
const STYLE = { train: 0, val: 2, test: 1 };

/**
 * The curves in `section`; `pick(epoch)` is called for a click at a moment.
 *
 * `update(record, epoch, classes)` draws a run's record with a marker at an epoch (null: none);
 * `classes` is how many there are to guess among.
 */
export default function mountCurves(section, { t, pick }) {
  let record = null;
  let moment = null;
  let classes = 10;
  let hovered = null;

  const charts = h("div", { class: "curve-pair" });
  const table = h("table", { class: "readout" });
  const loss = column("loss");
  const accuracy = column("acc");
  fill(section, h("h2", {}, t("learn.curves")), charts, table);

  function column(measure) {
    const heading = t("learn.by-epoch", { measure: t(`learn.measure.${measure}`) });
    const box = h("div", { class: "curve" }, h("h3", {}, heading));
    charts.append(box);
    return createChart(box, {
      onPick: pick,
      onHover(index) {
        if (hovered === index) return;
        hovered = index;
        drawTable();
      },
    });
  }

  function update(newRecord, epoch, classCount) {
    record = newRecord;
    moment = epoch;
    classes = classCount;
    const { history, summary } = record;
    const x = history.epoch ?? [];
    const shown = splits(history);
    const series = (measure) =>
      shown.map((split) => ({
        name: t(`learn.split.${split}`),
        values: history[`${split}_${measure}`],
        ...lineStyle(STYLE[split]),
      }));
    const common = {
      x,
      xRange: [0, Math.max(summary.epochs, x.at(-1) ?? 0)],
      marker: moment,
    };
    loss.show({
      ...common,
      series: series("loss"),
      yRange: [0, Infinity],
      axis: lossTick,
      reference: {
        value: Math.log(classes),
        text: t("learn.guessing", { classes, value: show(Math.log(classes), 3) }),
      },
      label: described("loss", lossText),
    });
    accuracy.show({
      ...common,
      series: series("acc"),
      yRange: [0, 1],
      axis: accuracyTick,
      reference: null,
      label: described("acc", accuracyText),
    });
    drawTable();
  }

  function described(measure, text) {
    const { history } = record;
    const values = splits(history).map((split) =>
      t("learn.value", {
        name: t(`learn.split.${split}`),
        value: text(newest(history[`${split}_${measure}`])),
      }),
    );
    return t("learn.curve-label", {
      measure: t(`learn.measure.${measure}`),
      epoch: epochText((history.epoch ?? []).at(-1) ?? 0),
      values: values.join(t("learn.comma")),
    });
  }

  function drawTable() {
    if (!record) return;
    const { history } = record;
    const epochs = history.epoch ?? [];
    const at = hovered ?? (moment == null ? epochs.length - 1 : indexAt(epochs, moment));
    fill(
      table,
      h(
        "caption",
        { class: "muted" },
        epochs.length === 0
          ? t("learn.no-reading")
          : t("learn.values-at", { epoch: epochText(epochs[at] ?? null) }),
      ),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("learn.pictures")),
          h("th", { scope: "col", class: "number" }, t("learn.measure.loss")),
          h("th", { scope: "col", class: "number" }, t("learn.measure.acc")),
        ),
      ),
      h(
        "tbody",
        {},
        splits(history).map((split) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row" },
              lineSample(lineStyle(STYLE[split])),
              " ",
              t(`learn.split.${split}`),
            ),
            h("td", { class: "number" }, lossText(upTo(history[`${split}_loss`], at))),
            h("td", { class: "number" }, accuracyText(upTo(history[`${split}_acc`], at))),
          ),
        ),
      ),
    );
  }

  return {
    update,
    destroy() {
      loss.destroy();
      accuracy.destroy();
    },
  };
}

/** The parts of the data that were measured: train always, val and test where there are. */
export function splits(history) {
  return SPLITS.filter(
    (split) => split === "train" || history[`${split}_loss`]?.some((value) => value != null),
  );
}

/** The last value that is there, or null. */
export function newest(values = []) {
  return upTo(values, values.length - 1);
}

/** The value at an index, or the last before it that is there, or null. */
function upTo(values = [], index) {
  for (let i = index; i >= 0; i--) if (values[i] != null) return values[i];
  return null;
}

/** The index of the reading that is nearest to an epoch. */
function indexAt(epochs, epoch) {
  let best = 0;
  epochs.forEach((one, i) => {
    if (Math.abs(one - epoch) < Math.abs(epochs[best] - epoch)) best = i;
  });
  return best;
}
