/** A training in the page: its worker, its readings, its weights. It outlives the view. */

import { product } from "lenet/network/shapes.js";
import { noReadings, withReading } from "lenet/playground/curve.js";
import { settingsOf, variant } from "lenet/playground/settings.js";

const HELD_OUT = 5; // one picture of so many is held out

/** @typedef {ReturnType<typeof createSession>} Session */

/**
 * A training of a model's network, with `choices` of settings.js. `backend` gives the engine, the
 * pictures and the worker; they are asked for with the first `begin`.
 *
 * `state()` is {phase, readings, counts, network, weights, message}: phase "new", "loading",
 * "paused", "running", "lost" (the loss is no number any more) or "failed"; `weights` are the
 * newest that were told, `counts` {trained, held}. `listen(call)` has `call(what)` called with what
 * has changed: "state", "reading", "network" or "weights".
 */
export function createSession(backend, model, choices) {
  let worker = null;
  let opened = null;
  let listener = null;
  let edits = 0;
  let looking = false; // weights were asked for and are not here yet
  let state = {
    phase: "new",
    readings: noReadings(),
    counts: null,
    network: null,
    weights: null,
    message: "",
  };

  const change = (patch, what) => {
    state = { ...state, ...patch };
    listener?.(what);
  };
  const post = (kind, values = {}) => worker?.postMessage({ kind, ...values });

  async function open() {
    const { network, data } = model;
    const [engine, bytes] = await Promise.all([backend.engine(), backend.training(data)]);
    const size = product(network.input_shape);
    const n = Math.floor(bytes.byteLength / (size + 1));
    const held = Math.floor(n / HELD_OUT);
    const images = new Uint8Array(bytes, 0, n * size);
    const labels = new Uint8Array(bytes, n * size, n);
    worker = backend.startTrainer();
    worker.onmessage = ({ data: told }) => TOLD[told.kind](told);
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message);
    };
    state = { ...state, counts: { trained: n - held, held } };
    post("pictures", { engine, images, labels, held });
  }

  function fail(message) {
    change({ phase: "failed", message }, "state");
  }

  const TOLD = {
    reading({ reading, running, lost }) {
      const phase = lost ? "lost" : running ? "running" : "paused";
      const readings = withReading(state.readings, reading);
      const other = phase !== state.phase;
      change({ readings, phase }, "reading");
      if (other) listener?.("state");
    },
    weights({ weights, edits: known }) {
      looking = false;
      if (known < edits) return; // from before an edit that is on its way
      const first = state.weights === null;
      change({ weights }, first ? "network" : "weights");
    },
    network: ({ network, weights }) => change({ network, weights }, "network"),
    failed: ({ message }) => fail(message),
  };

  /** Stands at the first weights: those of the seed, or those given. */
  async function begin(weights = null) {
    const nothing = { readings: noReadings(), network: null, weights: null, message: "" };
    change({ phase: "loading", ...nothing }, "state");
    try {
      await (opened ??= open());
      const network = variant(model.network, choices);
      state = { ...state, network };
      post("begin", { network, settings: settingsOf(choices), seed: choices.seed, weights });
    } catch (error) {
      opened = null;
      fail(error.message);
    }
  }

  return {
    model,
    state: () => state,
    choices: () => choices,
    listen(call) {
      listener = call;
    },
    begin,
    run() {
      change({ phase: "running" }, "state");
      post("run");
    },
    pause: () => post("pause"),
    step: () => post("step"),
    shake: (share) => post("shake", { share }),
    /** Numbers of the weights that were changed by hand. */
    edit(changed, weights) {
      edits += 1;
      state = { ...state, weights };
      post("edit", { number: edits, changed });
    },
    /** Other choices: settings from the next step on; a network that keeps the weights it can. */
    choose(patch) {
      const before = JSON.stringify(variant(model.network, choices));
      choices = { ...choices, ...patch };
      if (state.weights === null) return;
      post("settings", { settings: settingsOf(choices) });
      const network = variant(model.network, choices);
      if (JSON.stringify(network) !== before) post("network", { network });
    },
    /** The newest weights, unless they are on their way already. */
    look() {
      if (looking) return;
      looking = true;
      post("look");
    },
    close() {
      listener = null;
      worker?.terminate();
    },
  };
}
