/** The challenge to change five pixels so that the network is wrong. */

import { fill, h } from "lenet/dom.js";
import { verdictOf } from "lenet/explore/lessons/goals.js";

const MOST = 5;

/** The challenge in `root`: {destroy}. A pixel that is pinned changes to white or to black. */
export function mountFivePixels(root, { t, store, done, solved, announce }) {
  let over = solved;
  let original = null; // the pixels before, of the picture that is shown
  let own = null; // the pixels that were set here

  const count = h("p", { class: "number", role: "status" });
  const anew = h("button", { type: "button", onclick: restore }, t("challenge.restore"));
  fill(root, count, h("div", { class: "buttons" }, anew));

  function begin() {
    const { pixels } = store.get();
    original = pixels;
    own = null;
    tell();
  }

  /** The places, of a channel's plane, that differ from the picture as it was. */
  function changed(pixels) {
    const size = plane();
    const places = new Set();
    for (let i = 0; i < pixels.length; i++) if (pixels[i] !== original[i]) places.add(i % size);
    return places;
  }

  function plane() {
    const [, height, width] = store.get().model.network.input_shape;
    return height * width;
  }

  function tell() {
    const { pixels } = store.get();
    const used = original && pixels?.length === original.length ? changed(pixels).size : 0;
    count.textContent = t("challenge.pixels", { used, of: MOST });
    anew.disabled = used === 0;
    return used;
  }

  /** Dark becomes white, and light black; a pixel that was changed is as it was again. */
  function flip(index) {
    const { picture, pixels, model } = store.get();
    const size = plane();
    const place = index % size;
    const places = changed(pixels);
    if (!places.has(place) && places.size >= MOST) {
      count.textContent = t("challenge.too-many", { of: MOST });
      return;
    }
    const next = pixels.slice();
    for (let c = 0; c < model.network.input_shape[0]; c++) {
      const i = c * size + place;
      if (places.has(place)) next[i] = original[i];
      else next[i] = original[i] < 128 ? 255 : 0;
    }
    own = next;
    store.set({ picture: { ...picture, touched: true }, pixels: next });
    announce(t("challenge.pixels", { used: tell(), of: MOST }));
  }

  function restore() {
    const { picture } = store.get();
    own = original;
    store.set({ picture: { ...picture, touched: false }, pixels: original });
    tell();
  }

  const unsubscribe = store.subscribe((state, has) => {
    const { unit, pinned, pixels, picture } = state;
    if (has.has("pixels") && pixels !== own && pixels !== null && !picture?.touched) begin();
    if ((has.has("pinned") || has.has("unit")) && pinned && unit?.layer === -1 && original) {
      store.set({ pinned: false });
      flip(unit.index);
    }
    if (!over && has.has("outputs") && own !== null && pixels === own) {
      const is = verdictOf(state);
      const { cover, nudge, gates, weights, model } = state;
      const plain = [cover, nudge, gates].every((one) => one === null);
      const used = changed(pixels).size;
      const fooled = is !== null && picture?.label != null && is !== picture.label;
      const asTrained = weights === (state.base ?? model.weights);
      if (plain && asTrained && fooled && used > 0 && used <= MOST) {
        over = true;
        done();
      }
    }
  });
  if (store.get().pixels) begin();

  return { destroy: unsubscribe };
}
