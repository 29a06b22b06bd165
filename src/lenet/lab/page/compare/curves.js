/** The chosen runs' curves over each other: one measure of all of them, by epoch or by time. */

import { fill, h } from "lenet/dom.js";
import { accuracyTick, createChart, lineSample, lineStyle, lossTick } from "lenet/shared/chart.js";
import { newest } from "lenet/shared/curves.js";
import { accuracyText, lossText } from "lenet/shared/words.js";
import uPlot from "lenet/vendor/uplot.js";

const MEASURES = ["test_acc", "val_acc", "train_acc", "train_loss", "val_loss", "test_loss"];

/** The curves in `section`; `update(records)` draws those of the chosen runs. */
export default function mountRunCurves(section, { t, memory }) {
  memory.curves ??= { measure: "test_acc", by: "epoch" };
  const kept = memory.curves;
  let records = [];

  const measure = chooser("measure", MEASURES);
  const by = chooser("by", ["epoch", "time"]);
  const legend = h("ul", { class: "curve-legend" });
  const box = h("div");
  fill(
    section,
    h("h3", {}, t("compare.curves")),
    h("div", { class: "buttons" }, field("measure", measure), field("by", by)),
    box,
    legend,
  );
  const chart = createChart(box, { height: 260 });

  function chooser(name, values) {
    const select = h(
      "select",
      {
        name,
        onchange: () => {
          kept[name] = select.value;
          draw();
        },
      },
      values.map((value) => h("option", { value }, t(`compare.${name}.${value}`))),
    );
    select.value = kept[name];
    return select;
  }

  function field(name, input) {
    return h("label", { class: "field" }, h("span", {}, t(`compare.${name}`)), input);
  }

  function draw() {
    const loss = kept.measure.endsWith("loss");
    const text = loss ? lossText : accuracyText;
    const column = kept.by === "time" ? "wall_s" : "epoch";
    const drawn = records
      .map((record, i) => ({ record, style: lineStyle(i) }))
      .filter(({ record }) => newest(record.history[kept.measure]) !== null);
    fill(
      legend,
      records.map((record, i) => {
        const value = newest(record.history[kept.measure]);
        return h(
          "li",
          {},
          lineSample(lineStyle(i)),
          " ",
          record.summary.name,
          " ",
          h("span", { class: "number muted" }, value === null ? t("compare.none") : text(value)),
        );
      }),
    );
    box.hidden = drawn.length === 0;
    if (drawn.length === 0) return;
    const [x, ...series] = uPlot.join(
      drawn.map(({ record: { history } }) => ascending(history[column], history[kept.measure])),
    );
    chart.show({
      x,
      series: series.map((values, i) => ({
        name: drawn[i].record.summary.name,
        values,
        ...drawn[i].style,
      })),
      xRange: [0, Math.max(...x)],
      yRange: loss ? [0, Infinity] : [0, 1],
      axis: loss ? lossTick : accuracyTick,
      reference: null,
      marker: null,
      label: t("compare.curves-label", {
        measure: t(`compare.measure.${kept.measure}`),
        by: t(`compare.by.${kept.by}`),
        values: drawn
          .map(({ record }) =>
            t("learn.value", {
              name: record.summary.name,
              value: text(newest(record.history[kept.measure])),
            }),
          )
          .join(t("learn.comma")),
      }),
    });
  }

  return {
    update(newRecords) {
      records = newRecords;
      draw();
    },
    destroy: () => chart.destroy(),
  };
}

/** The places and values that are there, each place once and in order: uPlot's join wants that. */
function ascending(places, values) {
  const xs = [];
  const ys = [];
  places.forEach((place, i) => {
    if (values[i] == null || (xs.length > 0 && place <= xs.at(-1))) return;
    xs.push(place);
    ys.push(values[i]);
  });
  return [xs, ys];
}
