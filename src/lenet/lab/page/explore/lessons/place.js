/** Going to a place in Explore without opening it anew: what a lesson's step asks for. */

import { decodeEdits } from "lenet/explore/edits/address.js";
import { rowOf } from "lenet/explore/lessons/goals.js";
import { shapeOf, validUnit } from "lenet/explore/network/units.js";
import { unitAt } from "lenet/network/shapes.js";

const PATIENCE_MS = 3_000; // until the numbers of another picture are there

/**
 * `go(address)`: the parts of a link that it names are put in place, the others stay. Besides what
 * a link says it takes a `moment` ("first", "last", or a step), a `picture` that is a "mistake",
 * "right", "unsure" or "class:3", and a `unit` such as "C1:largest", "C1:2.13.14" or "last:3".
 */
export function createPlaces({ store, backend, changes, openModel, input, lens }) {
  let asked = 0;

  async function go(address) {
    const mine = ++asked;
    const overtaken = () => mine !== asked;
    const wanted = new URLSearchParams(address);
    await known(store, ({ model, outputs }) => model !== null && outputs !== null);
    if (overtaken()) return;
    const ref = await refOf(wanted);
    if (overtaken()) return;
    if (ref !== null && ref !== store.get().model?.ref) {
      await openModel(ref);
      if (overtaken()) return;
    }
    const before = store.get();
    if (wanted.has("picture")) {
      await input.show(wanted.get("picture"), wanted.get("pixels"));
      if (overtaken()) return;
    }
    if (wanted.has("edits")) change(wanted.get("edits"));
    if (wanted.has("lens")) lens.show(wanted.get("lens"));
    if (!wanted.has("unit")) return;
    const { pixels, weights, outputs } = store.get();
    const fresh = pixels === before.pixels && weights === before.weights && outputs !== null;
    if (!fresh) await known(store, (state) => state.outputs !== null && state.outputs !== outputs);
    if (overtaken()) return;
    const unit = unitOf(wanted.get("unit"), store.get());
    if (unit !== null) store.set({ unit, pinned: true, channel: null });
  }

  /** The changes that a text says, in the place of those that are made. */
  function change(text) {
    const { model, traced } = store.get();
    const edits = () => decodeEdits(text, model.network, model.weights, traced);
    if (text !== "") changes.edit({ ...edits(), steps: [] });
    else if (changes.can().reset) changes.reset();
  }

  /** The model that is asked for, or null: the one that is there. */
  async function refOf(wanted) {
    if (wanted.has("model")) return wanted.get("model");
    const moment = wanted.get("moment");
    const [, name] = /^run:([^@]+)/.exec(store.get().model?.ref ?? "") ?? [];
    if (moment === null || name === undefined) return null;
    if (moment === "last") return `run:${name}`;
    const { snapshots = [] } = await backend.run(name).catch(() => ({}));
    const at = moment === "first" ? snapshots[0] : snapshots.find((one) => one.step === +moment);
    return at ? `run:${name}@${at.step}` : null;
  }

  return { go };
}

/** The unit that a text names, or null: "0:300", "C1:2.13.14", "last:3", "C1:largest". */
export function unitOf(text, state) {
  const { traced, outputs } = state;
  const [name, place = ""] = text.split(":");
  let layer = Number(name);
  if (name === "picture") layer = -1;
  else if (name === "last") layer = traced.length - 1;
  else if (!Number.isInteger(layer) || name === "") layer = rowOf(traced, name);
  if (layer < -1 || layer >= traced.length) return null;
  if (place === "largest" || place === "smallest") {
    const numbers = layer < 0 ? state.input : outputs?.[layer];
    if (!numbers) return null;
    const of = place === "largest" ? Math.max(...numbers) : Math.min(...numbers);
    return validUnit(traced, { layer, index: numbers.indexOf(of) });
  }
  const parts = place.split(".").map(Number);
  if (!parts.every((part) => Number.isInteger(part) && part >= 0)) return null;
  if (parts.length === 1) return validUnit(traced, { layer, index: parts[0] });
  const shape = shapeOf(traced, layer);
  const [channel, row, column] = parts;
  const [channels, rows = 1, columns = 1] = shape;
  if (parts.length !== 3 || channel >= channels || row >= rows || column >= columns) return null;
  return validUnit(traced, { layer, index: unitAt(shape, { channel, row, column }) });
}

/** When the store's state is as it should be, or after a while. */
function known(store, is) {
  if (is(store.get())) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const timer = setTimeout(end, PATIENCE_MS);
    const unsubscribe = store.subscribe((state) => is(state) && end());
  });
}
