/** What is changed of the network and of the picture: done, undone, done again, in the address. */

import { decodeChanges, encodeChanges } from "lenet/explore/edits/address.js";
import { stepOn } from "lenet/explore/edits/steps.js";
import { decodePixels } from "lenet/explore/picture/address.js";
import { createHistory } from "lenet/explore/picture/history.js";
import { readPicture } from "lenet/explore/picture/test-pictures.js";
import { product } from "lenet/network/shapes.js";

/**
 * The changes of the model that is shown; they are in the store as weights, gates, cover and steps.
 *
 * - `edit(patch, key)` changes {weights, gates, cover, steps}; what is not given stays. Changes
 *   with the same key in a row are one step of the history, until `settle()`.
 * - `undo()`, `redo()`, `reset()`; `can()` says which of them change anything: {undo, redo, reset}.
 * - `subscribe(call)` has `call()` called after each; it returns the function that ends it.
 */
export function createChanges({ t, store, backend, memory, params, setParams, fail }) {
  let history = null;
  let asked = params.get("edits"); // what the address says of the first model
  const [drawn, packed] = [params.get("picture"), params.get("pixels")];
  let replaying = false; // the address still says more than is there
  let closed = false;
  const listeners = new Set();

  function edit(patch, key = null) {
    if (!history) return;
    history.push({ ...history.get(), ...patch }, key);
    apply();
  }

  function step(which) {
    history?.[which]();
    apply();
  }

  function apply() {
    if (!history) return;
    const value = history.get();
    const { model } = store.get();
    memory.edits = { model, history: history.dump() };
    store.set(value);
    keep();
    for (const call of listeners) call();
  }

  /** What is changed stands in the address. */
  function keep() {
    const { model, base, pixels } = store.get();
    if (replaying) return;
    // a training here moves on: what is changed of it belongs to no address
    const edits = model.trainedHere ? null : encodeChanges(base, history.get(), pixels);
    setParams({ edits });
  }

  /** A model that was opened begins without changes, or, after a change of theme, with its own. */
  function begin(model) {
    const kept = memory.edits?.model === model ? memory.edits.history : null;
    const first = { weights: model.weights, gates: null, cover: null, steps: [] };
    history = createHistory(first, kept);
    const text = kept === null ? asked : null;
    asked = null;
    replaying = text !== null;
    apply();
    if (replaying) replay(text, model, history);
  }

  /** A training here has gone on: its weights, edits among them, begin a new history. */
  function moveOn({ base, gates, cover }) {
    const first = { weights: base, gates: null, cover: null, steps: [] };
    history = createHistory(first);
    if (gates !== null || cover !== null) history.push({ ...first, gates, cover });
    memory.edits = { model: store.get().model, history: history.dump() };
    store.set(history.get());
    for (const call of listeners) call();
  }

  /** The changes that the address says: steps of descent are taken again, on their pictures. */
  async function replay(text, model, mine) {
    const { traced } = store.get();
    const step = async ({ name, index, label, rate }, { weights, gates, cover }) => {
      const { picture, pixels } = await pictureOf(name, index, model);
      const from = { weights, gates, cover };
      return stepOn(model.network, from, { picture, pixels, label, rate });
    };
    let found = null;
    try {
      found = await decodeChanges(text, model, traced, step);
    } catch (error) {
      if (!closed) fail(error);
    }
    if (closed || history !== mine) return;
    replaying = false;
    if (found !== null && !mine.canUndo()) mine.push(found, null);
    apply();
  }

  /** The picture that a step was taken on: one of a data set, or the drawing in the address. */
  async function pictureOf(name, index, model) {
    if (name === "") {
      const pixels = await decodePixels(packed ?? "", product(model.network.input_shape));
      if (pixels === null) throw new Error(t("step.lost"));
      const source = drawn === "upload" ? "upload" : "draw";
      return { picture: { source, index: null, label: null, name: "" }, pixels };
    }
    const set = await backend.dataset(name);
    if (index >= set.count) throw new Error(t("step.lost"));
    return readPicture(set, index, model);
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (changed.has("model") && state.model) begin(state.model);
    else if (changed.has("base") && state.base) moveOn(state);
    // a step on a drawing can be said as long as that is the one in the address
    else if (changed.has("pixels") && state.steps.length > 0) keep();
  });

  return {
    edit,
    settle: () => history?.settle(),
    undo: () => step("undo"),
    redo: () => step("redo"),
    reset: () => history && edit(history.first()),
    can() {
      if (!history) return { undo: false, redo: false, reset: false };
      const { weights, gates, cover } = history.get();
      const same = weights === store.get().base && gates === null && cover === null;
      return { undo: history.canUndo(), redo: history.canRedo(), reset: !same };
    },
    subscribe(call) {
      listeners.add(call);
      return () => listeners.delete(call);
    },
    destroy() {
      closed = true;
      unsubscribe();
    },
  };
}
