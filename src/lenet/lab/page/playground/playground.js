/** Train here: the network that Explore shows learns in the page, while it can be looked at. */

import { fill, focusIn, h, percent } from "lenet/dom.js";
import { UNCALIBRATED } from "lenet/network/notes.js";
import { mountControls } from "lenet/playground/controls.js";
import { newest } from "lenet/playground/curve.js";
import { mountCurve } from "lenet/playground/curves.js";
import { createSession } from "lenet/playground/session.js";
import { firstChoices } from "lenet/playground/settings.js";
import { countText, epochText, lossText } from "lenet/shared/words.js";

const LOOK_MS = 250; // from one look at the weights to the next, while they change
const SHAKE = 0.5; // of the weights' spread

/** The side of the lens: {key, part, mount}. */
export default { key: "train", part: "train", mount };

function mount(section, tools) {
  const { t, backend, store, memory, openModel, showModel, announce } = tools;
  let origin = null; // the model that was opened, which the training begins from
  let ours = null; // the model of the training, where that is shown
  let session = memory.session ?? null;
  let looks = null;
  let pictures = null; // whether there are pictures to train on: a data set, or null

  const about = h("p", { class: "train-about small muted" });
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const readout = h("p", { class: "number train-readout" });
  const button = (key, act, kind = null) =>
    h("button", { type: "button", class: kind, onclick: act }, t(`train.${key}`));
  const go = button("start", toggle, "primary train-go");
  const one = button("step", step);
  const first = button("first", begin);
  const shake = button("shake", () => session.shake(SHAKE));
  const back = button("back", () => openModel(origin.ref));
  one.title = t("train.step.why");
  first.title = t("train.first.why");
  shake.title = t("train.shake.why");
  const fields = h("div", { class: "train-fields" });
  const charts = h("div", { class: "train-charts" });
  const body = h(
    "div",
    { class: "train" },
    h("div", { class: "train-do" }, h("div", { class: "buttons" }, go, one, first, shake, back)),
    h("div", { class: "train-told" }, about, problem),
    readout,
    charts,
    fields,
  );
  fill(section, h("h2", { class: "visually-hidden" }, t("train.title")), body);
  const controls = mountControls(fields, { t, choose });
  const curve = mountCurve(charts, { t });

  // --- what the network is

  /** Another model was opened: a training of another network ends. */
  async function take(model) {
    if (session && session.model.ref !== model.ref) end();
    else if (session && origin) end(); // the same one, opened anew: it is shown as it was trained
    origin = model;
    if (!session) controls.show(firstChoices(model.network));
    const { data } = await backend.state().catch(() => ({ data: [] }));
    if (origin !== model) return;
    pictures = data.find((set) => set.name === model.data && fits(set, model.network)) ?? null;
    if (session) {
      session.listen(hear);
      if (session.state().weights) show();
      if (session.state().phase === "running") startLooking();
    }
    draw();
  }

  function end() {
    session.close();
    session = null;
    memory.session = null;
    ours = null;
    stopLooking();
  }

  /** The training's network in the place of the one that was opened. */
  function show() {
    const { network, weights } = session.state();
    const { preparation, data } = origin;
    const { classes } = origin.network;
    ours = {
      ref: "here",
      trainedHere: true,
      title: t("train.here"),
      network: { ...network, classes },
      weights,
      data,
      preparation,
      calibration: UNCALIBRATED,
    };
    showModel(ours);
  }

  // --- what is done

  function begin() {
    const choices = controls.get();
    // the weights to begin with may be those of the training itself, or edited ones
    const weights = choices.from === "shown" ? store.get().weights : null;
    if (!session) {
      session = createSession(backend, origin, choices);
      memory.session = session;
      session.listen(hear);
    }
    return session.begin(weights);
  }

  async function toggle() {
    if (session?.state().phase === "running") return session.pause();
    if (!session?.state().weights || session.state().phase === "lost") await begin();
    if (session?.state().phase !== "failed") session?.run();
  }

  async function step() {
    if (!session?.state().weights) await begin();
    if (session?.state().phase !== "failed") session?.step();
  }

  function choose(patch) {
    session?.choose(patch);
  }

  // --- what is heard

  function hear(what) {
    const { phase, weights } = session.state();
    if (what === "network") show();
    if (what === "weights" && store.get().model === ours) store.set({ base: weights, weights });
    if (what === "state") {
      if (phase === "running") startLooking();
      else stopLooking();
      if (phase === "lost") announce(t("train.lost"));
    }
    draw();
    if (what === "state" && phase === "paused") announce(readout.textContent);
  }

  function startLooking() {
    looks ??= setInterval(() => {
      const { outputs, model } = store.get();
      if (model === ours && outputs && !document.hidden) session.look();
    }, LOOK_MS);
  }

  function stopLooking() {
    clearInterval(looks);
    looks = null;
  }

  /** What was edited in Explore goes into the training. */
  function edited({ weights }) {
    const before = session.state().weights;
    if (weights === before) return;
    const changed = [];
    for (const [name, { data }] of weights) {
      const was = before.get(name).data;
      if (data === was) continue;
      data.forEach((value, at) => value !== was[at] && changed.push({ name, at, value }));
    }
    session.edit(changed, weights);
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (changed.has("model") && state.model && state.model !== ours) take(state.model);
    else if (changed.has("weights") && ours && state.model === ours) edited(state);
  });

  // --- what is shown

  function draw() {
    if (!origin) return;
    const state = session?.state() ?? null;
    const phase = state?.phase ?? "new";
    const readings = state?.readings ?? [];
    if (session) controls.show(session.choices());
    const focused = focusIn(section);
    const usable = pictures !== null;
    go.textContent = t(phase === "running" ? "train.pause" : startWord(phase, readings));
    for (const each of [go, one]) each.disabled = !usable || phase === "loading";
    first.disabled = !usable || phase === "loading";
    shake.disabled = !state?.weights;
    back.hidden = !ours;
    back.title = t("train.back.why", { title: origin.title });
    problem.hidden = phase !== "failed" && phase !== "lost";
    problem.textContent =
      phase === "failed" ? t("train.failed", { why: state.message }) : t("train.lost");
    fill(about, sentence(state));
    readout.textContent = readoutOf(state);
    charts.hidden = readings.length < 1;
    if (!charts.hidden) curve.show(readings, origin.network.classes.length);
    if (focused?.disabled) go.focus();
  }

  function startWord(phase, readings) {
    if (phase === "lost" || readings.length === 0) return "train.start";
    return readings.at(-1).step > 0 ? "train.continue" : "train.start";
  }

  function sentence(state) {
    if (!pictures) return t("train.no-pictures");
    if (state?.phase === "loading") return t("train.loading");
    const { counts } = state ?? {};
    if (!counts) return t("train.about", { data: pictures.title ?? pictures.name });
    const { trained, held } = counts;
    return t("train.counts", { trained: countText(trained), held: countText(held) });
  }

  function readoutOf(state) {
    const last = state?.readings.at(-1);
    if (!last) return "";
    const { readings } = state;
    const held = newest(readings, "heldAccuracy");
    const loss = newest(readings, "loss");
    const parts = [
      t("train.epoch", { epoch: epochText(last.epoch), step: countText(last.step) }),
      loss === null ? null : t("train.loss-is", { loss: lossText(loss) }),
      held === null ? null : t("train.held-is", { accuracy: percent(held) }),
      last.examplesPerSecond > 0
        ? t("train.speed", { n: countText(last.examplesPerSecond) })
        : null,
    ];
    return parts.filter(Boolean).join(" · ");
  }

  return {
    destroy() {
      unsubscribe();
      stopLooking();
      session?.listen(null);
      curve.destroy();
    },
  };
}

function fits(set, network) {
  const same = set.shape.join() === network.input_shape.join();
  return set.here && same && set.classes.length === network.classes.length;
}
