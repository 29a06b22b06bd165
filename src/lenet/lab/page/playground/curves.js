/** Loss and accuracy of a training in the page, as they come. */

import { h, percent, show } from "lenet/dom.js";
import { newest } from "lenet/playground/curve.js";
import { accuracyTick, createChart, lineSample, lineStyle, lossTick } from "lenet/shared/chart.js";
import { epochText, lossText } from "lenet/shared/words.js";

const HEIGHT = 150;

/** Both charts in `container`: {show(readings, classes), destroy}. */
export function mountCurve(container, { t }) {
  const chartOf = (key) => {
    const box = h("div", { class: "train-chart" }, h("h3", {}, t(`train.curve.${key}`)));
    container.append(box);
    return createChart(box, { height: HEIGHT });
  };
  const [loss, accuracy] = ["loss", "accuracy"].map(chartOf);
  const styles = [lineStyle(0), lineStyle(2)];
  const names = ["trained", "held"].map((key) => t(`train.curve.${key}`));
  container.append(
    h(
      "p",
      { class: "small muted train-legend" },
      styles.map((style, i) => h("span", {}, lineSample(style), " ", names[i])),
    ),
  );

  return {
    show(readings, classes) {
      const x = readings.map(({ epoch }) => epoch);
      const draw = (chart, keys, text, more) =>
        chart.show({
          x,
          xRange: [0, Math.max(1, x.at(-1))],
          marker: null,
          series: keys.map((key, i) => ({
            name: names[i],
            values: readings.map((reading) => reading[key]),
            ...styles[i],
          })),
          label: t("train.curve-label", {
            measure: t(`train.curve.${keys[0]}`),
            epoch: epochText(x.at(-1)),
            trained: text(newest(readings, keys[0])),
            held: text(newest(readings, keys[1])),
          }),
          ...more,
        });
      const guess = Math.log(classes);
      const reference = { value: guess, text: t("train.guessing", { value: show(guess, 2) }) };
      draw(loss, ["loss", "heldLoss"], lossText, {
        yRange: [0, Infinity],
        axis: lossTick,
        reference,
      });
      draw(
        accuracy,
        ["accuracy", "heldAccuracy"],
        (value) => (value === null ? "–" : percent(value)),
        {
          yRange: [0, 1],
          axis: accuracyTick,
          reference: null,
        },
      );
    },
    destroy() {
      loss.destroy();
      accuracy.destroy();
    },
  };
}
