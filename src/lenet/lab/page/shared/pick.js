/** A picture of a data set's test part, chosen by small arrows or by its number. */

import { inkColor, paint } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
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

/** Draws a picture's bytes (c·h·w): in grey for one channel, in colour for three. */
export function paintPicture(canvas, pixels, [channels, height, width]) {
  if (channels !== 3) {
    paint(canvas, pixels.subarray(0, height * width), height, width, inkColor, 255);
    return;
  }
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const plane = height * width;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[c * plane + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
