/** For each class, the picture of another class that the network takes for it most surely. */

import { fill, h, percent } from "lenet/dom.js";
import { mostMistaken, predictionsOf, readPicture } from "lenet/explore/picture/test-pictures.js";
import { thumbnail } from "lenet/shared/thumbnail.js";

/** The pictures in `root`: {destroy}. A click shows one in Explore. */
export function mountMistaken(root, tools) {
  const { t, backend, store, fail } = tools;
  let asked = 0;
  let closed = false;

  async function show(model) {
    const mine = ++asked;
    try {
      const predictions = await predictionsOf(tools, model);
      const set = predictions && (await backend.dataset(model.data));
      if (closed || mine !== asked) return;
      if (!predictions || predictions.labels.length !== set.count) {
        fill(root, h("p", { class: "muted" }, t("mistaken.nothing")));
        return;
      }
      const { classes } = model.network;
      const found = mostMistaken(predictions, classes.length);
      const indices = found.filter((index) => index !== null);
      if (indices.length === 0) {
        fill(root, h("p", { class: "muted" }, t("mistaken.none")));
        return;
      }
      const pictures = await set.pixels(indices);
      if (closed || mine !== asked) return;
      const pixels = new Map(indices.map((index, i) => [index, pictures[i]]));
      fill(
        root,
        h("p", { class: "muted" }, t("mistaken.hint")),
        h(
          "ul",
          { class: "mistaken" },
          found.map((index, taken) =>
            h("li", {}, item({ model, set, predictions }, index, taken, pixels.get(index))),
          ),
        ),
      );
    } catch (error) {
      if (!closed && mine === asked) fail(error);
    }
  }

  function item({ model, set, predictions }, index, taken, pixels) {
    const name = model.network.classes[taken];
    if (index === null) {
      return h(
        "div",
        { class: "pick-tile empty" },
        h("span", {}, name),
        h("span", { class: "muted" }, t("mistaken.never")),
      );
    }
    const is = set.classes[set.labels[index]];
    const sure = percent(predictions.probability[index]);
    return h(
      "button",
      {
        type: "button",
        class: "pick-tile wrong",
        "aria-label": t("mistaken.tile", { is, taken: name, sure }),
        onclick: () => choose(model, set, index),
      },
      thumbnail(pixels, set.shape),
      h("span", {}, name, " ", h("span", { class: "number muted" }, sure)),
      h("span", { class: "pick-is" }, t("pick.is", { is })),
    );
  }

  async function choose(model, set, index) {
    try {
      const { picture, pixels } = await readPicture(set, index, model);
      if (!closed && store.get().model === model) store.set({ picture, pixels });
    } catch (error) {
      if (!closed) fail(error);
    }
  }

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (changed.has("model") && model) show(model);
  });

  return {
    destroy() {
      closed = true;
      unsubscribe();
    },
  };
}
