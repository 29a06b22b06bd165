/** A picture of a data set's test part, chosen by small arrows or by its number. */

import { fill, h } from "lenet/dom.js";
import { paintPicture } from "lenet/shared/thumbnail.js";
import { className, countText } from "lenet/shared/words.js";

/**
 * The chooser in `container`; `chosen({index, pixels, label, dataset})` is called once a picture
 * has come, `fail(error)` where it cannot.
 *
 * `open(dataset, index)` shows a data set's picture; `index` may be beyond its end.
 */
export default function mountPick(container, { t, chosen, fail }) {
  let dataset = null;
  let index = 0;
  let asked = 0;

  const canvas = h("canvas", { class: "picture", role: "img", width: 28, height: 28 });
  const number = h("input", {
    type: "number",
    min: 0,
    class: "number",
    "aria-label": t("learn.picture-number"),
    onchange: () => go(Number(number.value)),
  });
  const name = h("span", { class: "picture-label" });
  fill(
    container,
    canvas,
    h(
      "div",
      { class: "picture-choice" },
      h(
        "div",
        { class: "buttons" },
        h("button", { "aria-label": t("learn.picture-before"), onclick: () => go(index - 1) }, "‹"),
        number,
        h("button", { "aria-label": t("learn.picture-next"), onclick: () => go(index + 1) }, "›"),
      ),
      name,
    ),
  );

  async function go(to) {
    if (!dataset || dataset.count === 0) return;
    index = (((Math.trunc(to) || 0) % dataset.count) + dataset.count) % dataset.count;
    number.value = index;
    const mine = ++asked;
    try {
      const [pixels] = await dataset.pixels([index]);
      if (mine !== asked) return;
      const label = dataset.labels[index];
      const word = className(dataset.classes, label);
      paintPicture(canvas, pixels, dataset.shape);
      canvas.setAttribute("aria-label", t("learn.picture-alt", { index, label: word }));
      name.textContent = t("learn.picture-of", { label: word, count: countText(dataset.count) });
      chosen({ index, pixels, label, dataset });
    } catch (error) {
      if (mine === asked) fail(error);
    }
  }

  return {
    open(newDataset, newIndex) {
      dataset = newDataset;
      number.max = dataset.count - 1;
      go(newIndex);
    },
    go,
    close() {
      asked += 1;
    },
  };
}
