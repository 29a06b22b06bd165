/** The first layer's weights as pictures: kernels, or what each unit of a dense layer looks for. */

import { largest, legend, paint, signedColor } from "lenet/colors.js";
import { fill, h } from "lenet/dom.js";
import { isConvolution, isDense } from "lenet/network/layers.js";
import { shapeText } from "lenet/network/shapes.js";
import { layerName } from "lenet/shared/layer-rows.js";
import { figure } from "lenet/shared/words.js";

const MOST = 32; // pictures: a dense layer has hundreds of units

/** The kernels in `container`; `draw({network, weights, traced})` paints a moment's. */
export default function createKernels(container, t) {
  let key = "";
  let canvases = [];
  const caption = h("p", { class: "muted small" });
  const pictures = h("div", { class: "kernels", role: "img" });
  const ends = h("p", { class: "small" });
  fill(container, caption, pictures, ends);

  return {
    draw(model) {
      const found = firstWeights(model);
      container.hidden = !found;
      if (!found) return;
      const { row, count, planes, height, width, values, dense } = found;
      const shown = Math.min(count, MOST);
      const now = [row.index, shown, planes, height, width].join();
      if (now !== key) {
        key = now;
        canvases = Array.from({ length: shown * planes }, () =>
          h("canvas", { class: dense ? "kernel dense" : "kernel", width, height }),
        );
        fill(
          pictures,
          Array.from({ length: shown }, (_, i) =>
            h("div", { class: "kernel-planes" }, canvases.slice(i * planes, (i + 1) * planes)),
          ),
        );
      }
      const limit = largest(values);
      const size = height * width;
      canvases.forEach((canvas, i) => {
        paint(canvas, values.subarray(i * size, (i + 1) * size), height, width, signedColor, limit);
      });
      const words = t(dense ? "learn.kernels-dense" : "learn.kernels-conv", {
        layer: layerName(row),
        count,
        shown,
        shape: shapeText([planes, height, width]),
      });
      caption.textContent = words;
      const most = t("learn.at-most", { most: figure(limit) });
      pictures.setAttribute("aria-label", `${words} ${most}`);
      fill(ends, legend(limit));
    },
  };
}

/** The first layer that has weights, as pictures of its input; null if it can have none. */
function firstWeights({ network, weights, traced }) {
  const row = traced.find(({ index }) => weights.has(`${index}.weight`));
  if (!row) return null;
  const { shape, data } = weights.get(`${row.index}.weight`);
  if (isConvolution(row.type) && shape.length === 4) {
    const [count, planes, height, width] = shape;
    return { row, count, planes, height, width, values: data, dense: false };
  }
  const [planes, height, width] = network.input_shape;
  const sees = isDense(row.type) && shape[1] === planes * height * width;
  if (!sees) return null;
  return { row, count: shape[0], planes, height, width, values: data, dense: true };
}
