/** The way back for what is shown: made anew while somebody looks at it. */

import { backwardPass } from "lenet/network/backward.js";

const MOST_MACS = 2e7; // of a network that goes back in the page: a larger one would stop it
const SETTLED_MS = 160; // without a new result: while one draws, the maps come first

/**
 * Keeps the store's `gradients` up to date while `watch(true)`: {watch, destroy}.
 *
 * They are those of `backwardPass`, with `label`, and with what they were made `of`: {input,
 * outputs, weights, gates}. Null where there are none, for a reason that `obstacle` says.
 */
export function createPass(store) {
  let watched = false;
  let timer = 0;

  function renew(wait = SETTLED_MS) {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(compute), wait);
  }

  function compute() {
    const state = store.get();
    const { model, traced, weights, gates, input, outputs } = state;
    if (!watched || !input || outputs?.length !== traced?.length) return;
    if (obstacle(state) !== null) return store.set({ gradients: null });
    const label = truthOf(state);
    const pass = backwardPass(model.network, weights, input, outputs, label, { traced, gates });
    store.set({ gradients: { ...pass, label, of: { input, outputs, weights, gates } } });
  }

  const unsubscribe = store.subscribe((_, changed) => {
    if (changed.has("traced")) store.set({ gradients: null });
    if (watched && ["outputs", "truth", "picture"].some((name) => changed.has(name))) renew();
  });

  return {
    watch(is) {
      watched = is;
      if (is) renew(0);
    },
    destroy() {
      clearTimeout(timer);
      unsubscribe();
    },
  };
}

/** Why a network has no gradients here: "rbf", "large", or null where it has them. */
export function obstacle({ traced }) {
  if (traced.at(-1).type === "RBF") return "rbf";
  return traced.reduce((sum, row) => sum + row.macs, 0) > MOST_MACS ? "large" : null;
}

/** The class that the loss is of: the one chosen, else the picture's own, else the verdict. */
export function truthOf({ truth, picture, outputs, model }) {
  const known = truth ?? picture?.label ?? null;
  if (known !== null && known < model.network.classes.length) return known;
  const logits = outputs.at(-1);
  return Math.max(0, logits.indexOf(Math.max(...logits)));
}
