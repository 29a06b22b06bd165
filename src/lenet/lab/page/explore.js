/** Explore: one network, one picture, every number between them. */

import { createCalculator } from "lenet/calculator.js";
import { fill, h, oncePerFrame } from "lenet/dom.js";
import { createChanges } from "lenet/explore/edits/changes.js";
import { covered } from "lenet/explore/edits/occlusion.js";
import mountHeadline from "lenet/explore/headline/headline.js";
import mountLens from "lenet/explore/lens.js";
import { createLessons } from "lenet/explore/lessons/lessons.js";
import { createLink } from "lenet/explore/link.js";
import mountMaps from "lenet/explore/network/maps.js";
import { unitInOther } from "lenet/explore/network/units.js";
import mountInput from "lenet/explore/picture/input.js";
import { normalize } from "lenet/network/forward.js";
import { product } from "lenet/network/shapes.js";
import { trace } from "lenet/network/trace.js";
import { createStore } from "lenet/store.js";

/*
The state that the parts share:
  model      {ref, title, network, weights, data}, as it was trained; trainedHere where the page
             trains it: then nobody else knows it
  traced     its rows, from trace()
  base       the weights before an edit: the model's, or those that a training here has reached
  weights    those that compute: the base, or a copy that What if has changed
  gates      Map layer → Uint8Array, 0 where a channel or unit is switched off; null if none is
  picture    {source: "data" | "draw" | "upload", index, label, name, touched}; label null if not
             known; touched if its pixels are no longer those of the data set
  pixels     uint8 (c·h·w): the picture as it was prepared, before anything covers it
  cover      {top, left, size, value} over the picture, or null
  nudge      {to, size, steps}: the picture is nudged towards a class (network/nudge.js); or null
  why        {a, b} where it was asked why class a rather than b (null: a alone); else null
  tint       what Why lays over the picture: {of, colours, pale}, for the pixels `of`; else null
  truth      the class that the loss is of, where it was chosen; null: the picture's, or the verdict
  gradients  of the loss by everything, {…, label, of} (backward/pass.js); null while not asked for
  backwards  whether the figure shows the gradients in the place of the numbers
  steps      of gradient descent taken by hand: [{picture, label, rate, from, to}]
  seen       uint8 (c·h·w): the pixels covered and nudged, which the outputs are of
  input      the same as float32, normalised
  outputs    the output of every layer, for weights, gates and input
  before     the outputs of the base for the picture as it was; null where nothing has been
             changed
  unit       {layer, index} that is pointed at, index into that layer's output; null if none.
             layer −1 is the picture
  pinned     whether the unit stays when the pointer goes elsewhere
  channel    of what the unit is computed from, the channel (or unit) that is looked at; or null
  mistakes   whether there are pictures known to be misread
  guessing   whether the verdict is hidden, since it is to be foreseen
*/
const EMPTY = {
  model: null,
  traced: null,
  base: null,
  weights: null,
  gates: null,
  picture: null,
  pixels: null,
  cover: null,
  nudge: null,
  why: null,
  tint: null,
  truth: null,
  gradients: null,
  backwards: false,
  steps: [],
  seen: null,
  input: null,
  outputs: null,
  before: null,
  unit: null,
  pinned: false,
  channel: null,
  mistakes: false,
  guessing: false,
};

const COMPUTED = ["model", "weights", "gates", "pixels", "cover", "nudge"]; // what outputs are of
const MOST_OFFERED = 5; // runs, where the one that was asked for is not there

/** Explore in `root`: from a model and a picture that the address names, or the newest run. */
export default function mount(root, context) {
  const { backend, t, memory } = context;
  const store = createStore({ ...EMPTY, ...memory.state });
  const calculator = createCalculator(backend.startWorker);
  let closed = false;
  let asked = 0;
  const loaded = {};

  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const part = (name) => h("section", { class: `part part-${name}` });
  const [headline, input, maps, lens] = ["headline", "input", "maps", "lens"].map(part);
  const slot = h("div", { class: "maps-slot" });
  const stage = h("div", { class: "stage" }, input, maps);
  const gone = h("div", { class: "gone", role: "alert", hidden: true });
  const explore = h("div", { class: "explore" }, stage, lens);
  fill(
    root,
    h("h1", { class: "visually-hidden" }, t("view.explore")),
    headline,
    problem,
    gone,
    explore,
  );

  const changes = createChanges({ ...context, store, fail });
  const { sides = [] } = context; // of the lens, besides its own
  const shared = { ...context, sides, store, changes };
  const tools = { ...shared, fail, openModel, showModel, slot, frame: stage };
  const link = createLink(tools);
  const mountedInput = mountInput(input, tools);
  const showPicture = (asked) => mountedInput.show(asked);
  const mountedLens = mountLens(lens, { ...tools, showPicture });
  const lessons = createLessons({ ...tools, input: mountedInput, lens: mountedLens }, root);
  explore.append(lessons.panel);
  const mounted = [
    mountHeadline(headline, {
      ...tools,
      draw: mountedInput.draw,
      nextMistake: mountedInput.nextMistake,
      why: () => mountedLens.open("why"),
      link: link.element,
      lessons,
      openSide: (key) => mountedLens.open(key),
    }),
    mountedInput,
    mountMaps(maps, { ...tools, askWhy: mountedLens.askWhy }),
    mountedLens,
    link,
    lessons,
  ];

  function fail(error) {
    if (error?.offline) return; // the head of the page says it, and what was missed is asked again
    problem.textContent = error === null ? "" : error.message;
    problem.hidden = error === null;
  }

  /** Shows another model; the picture stays where the new network can take it. */
  async function openModel(ref) {
    const mine = ++asked;
    try {
      const model = await backend.model(ref);
      if (closed || mine !== asked) return;
      showModel(model);
      fail(null);
      offerOthers(null);
      context.setParams({ model: ref });
    } catch (error) {
      if (closed || mine !== asked) return;
      if (store.get().model === null && !error.offline) await offerOthers(error);
      else fail(error);
    }
  }

  function showModel(model) {
    const fresh = trace(model.network);
    const { model: before, traced: tracedBefore, unit, pinned, pixels } = store.get();
    // another moment of the same network: what is drawn for its layers may stay
    const same = before !== null && sameNetwork(before.network, model.network);
    const traced = same ? tracedBefore : fresh;
    // the pixels may be older than this view: of a network that was shown before
    const fits =
      before === null
        ? pixels === null || pixels.length === product(model.network.input_shape)
        : sameShape(before.network, model.network);
    const kept = unitInOther(tracedBefore ?? traced, traced, unit);
    store.set({
      ...(fits ? {} : { picture: null, pixels: null, cover: null, nudge: null }),
      unit: kept,
      channel: null,
      pinned: pinned && kept !== null,
      model,
      traced,
      base: model.weights,
      weights: model.weights,
      gates: null,
      outputs: null,
      before: null,
    });
  }

  /** In place of controls that have nothing to control: why, and which networks there are. */
  async function offerOthers(error) {
    for (const part of [headline, explore]) part.hidden = error !== null;
    gone.hidden = error === null;
    if (error === null) return;
    const train = h("p", {}, h("a", { href: "#/learn" }, t("explore.train")));
    fill(gone, h("h2", {}, t("explore.gone")), h("p", {}, error.message), train);
    const { runs } = await backend.state().catch(() => ({ runs: [] }));
    const usable = runs.filter((run) => run.status === "finished" || run.last).slice(-MOST_OFFERED);
    if (closed || usable.length === 0) return;
    const link = ({ name }) =>
      h("li", {}, h("a", { href: `#/explore?model=${encodeURIComponent(`run:${name}`)}` }, name));
    train.before(h("p", {}, t("explore.instead")), h("ul", {}, usable.reverse().map(link)));
  }

  /** Gives the calculator these weights, unless it has them already: they are large. */
  function load(key, network, weights) {
    if (loaded[key] === weights) return;
    calculator.load(key, network, weights);
    loaded[key] = weights;
  }

  const compute = oncePerFrame(async () => {
    const { model, base, weights, gates, pixels, cover, nudge } = store.get();
    if (closed || !model || !pixels) return;
    try {
      const plain = covered(model.network.input_shape, pixels, cover);
      const changed = [gates, cover, nudge].some(Boolean) || weights !== base;
      load("now", model.network, weights);
      const shown = nudge ? await calculator.nudge("now", plain, nudge, { gates }) : plain;
      if (closed || !shown || store.get().model !== model) return;
      if (changed) load("trained", model.network, base);
      const [outputs, before] = await Promise.all([
        calculator.run("now", shown, { gates }),
        changed ? calculator.run("trained", pixels) : null,
      ]);
      const now = store.get();
      const overtaken = !outputs || (changed && !before) || now.model !== model;
      if (closed || overtaken) return;
      store.set({ seen: shown, input: normalize(model.network, shown), outputs, before });
    } catch (error) {
      if (!closed) fail(error);
    }
  });

  const unsubscribe = store.subscribe((state, changed) => {
    const { picture, unit, pinned } = state;
    memory.state = { picture, pixels: state.pixels, unit, pinned };
    root.classList.toggle("is-waiting", state.model === null);
    if (COMPUTED.some((name) => changed.has(name))) compute();
    if (changed.has("unit") || changed.has("pinned")) {
      context.setParams({ unit: pinned && unit ? `${unit.layer}:${unit.index}` : null });
    }
  });

  async function begin() {
    root.classList.add("is-waiting");
    try {
      const unit = /^(-?\d+):(\d+)$/.exec(context.params.get("unit") ?? "");
      if (unit) store.set({ unit: { layer: +unit[1], index: +unit[2] }, pinned: true });
      const ref = context.params.get("model") ?? (await newest(backend));
      if (ref === null) context.navigate("learn");
      else await openModel(ref);
    } catch (error) {
      if (!closed) fail(error);
    }
  }
  begin();

  /** The run that is shown was deleted or moved: what the page has of it stays. */
  function onRemoved({ name }) {
    const { model } = store.get();
    if (model?.ref?.replace(/@\d+$/, "") === `run:${name}`)
      fail({ message: t("explore.removed", { name }) });
  }
  const endEvents = backend.events?.({ removed: onRemoved });

  return {
    destroy() {
      closed = true;
      unsubscribe();
      endEvents?.();
      for (const part of mounted) part.destroy?.();
      changes.destroy();
      calculator.close();
    },
  };
}

function sameNetwork(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

function sameShape(one, other) {
  return one.input_shape.join() === other.input_shape.join();
}

/** The ref of the newest run with weights, or null. */
async function newest(backend) {
  const { runs } = await backend.state();
  const usable = runs.filter((run) => run.status === "finished" || run.last);
  return usable.length > 0 ? `run:${usable.at(-1).name}` : null;
}
