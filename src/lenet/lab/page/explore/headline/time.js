/** The time line: a run's snapshots on a thin slider, played from the first weights to the last. */

import { count, h } from "lenet/dom.js";

const WAIT_MS = 120; // between the last move of the slider and the question for that snapshot
const STEP_MS = 450; // between two snapshots that are played

/** The time line: {element, show(ref), destroy}. */
export function createTimeline({ t, backend, store, openModel }) {
  let closed = false;
  let run = null; // {name, snapshots} of the run that is shown
  let timer = null;
  let playing = 0; // which play it is, 0 while it stands

  const play = h("button", { class: "step", onclick: () => (playing ? stop() : start()) });
  const slider = h("input", { type: "range", min: "0", step: "1", oninput: scrub });
  slider.setAttribute("aria-label", t("model.snapshot"));
  const moment = h("output", { class: "number small muted" });
  const element = h("div", { class: "timeline", hidden: true }, moment, play, slider);
  showButton();

  /** Shows the snapshots of a model's run, and which of them the model is. */
  async function show(ref) {
    const [, name, step] = /^run:([^@]+)(?:@(\d+))?$/.exec(ref) ?? [];
    if (name === undefined) {
      run = null;
      element.hidden = true;
      return;
    }
    if (run?.name !== name) {
      stop();
      const facts = await backend.run(name).catch(() => ({ snapshots: [] }));
      if (closed || store.get().model?.ref !== ref) return;
      run = { name, snapshots: facts.snapshots ?? [] };
    }
    element.hidden = run.snapshots.length === 0;
    if (element.hidden) return;
    slider.max = String(run.snapshots.length);
    const at = run.snapshots.findIndex((one) => one.step === Number(step));
    const place = step === undefined || at < 0 ? run.snapshots.length : at;
    if (timer === null) slider.value = String(place);
    label();
  }

  function scrub() {
    stop();
    label();
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      openModel(refAt(Number(slider.value)));
    }, WAIT_MS);
  }

  function refAt(place) {
    const chosen = run.snapshots[place];
    return chosen ? `run:${run.name}@${chosen.step}` : `run:${run.name}`;
  }

  /** From the slider's place to the end; from the beginning where it is at the end. */
  async function start() {
    const mine = performance.now();
    playing = mine;
    showButton();
    const last = run.snapshots.length;
    let place = Number(slider.value) >= last ? 0 : Number(slider.value) + 1;
    for (; playing === mine && place <= last; place++) {
      slider.value = String(place);
      label();
      const pause = new Promise((done) => setTimeout(done, STEP_MS));
      await openModel(refAt(place));
      await pause;
    }
    if (playing === mine) stop();
  }

  function stop() {
    playing = 0;
    showButton();
  }

  function showButton() {
    const key = playing ? "time.pause" : "time.play";
    play.textContent = playing ? "❚❚" : "▶";
    play.title = t(key);
    play.setAttribute("aria-label", t(key));
  }

  /** Says which moment of the training the slider is at. */
  function label() {
    const chosen = run.snapshots[Number(slider.value)];
    moment.textContent = chosen
      ? t("model.moment", { step: count(chosen.step), epoch: Number(chosen.epoch.toFixed(2)) })
      : t("model.end");
    moment.classList.toggle("at-end", !chosen);
    slider.setAttribute("aria-valuetext", moment.textContent);
  }

  return {
    element,
    show,
    destroy() {
      closed = true;
      playing = 0;
      clearTimeout(timer);
    },
  };
}
