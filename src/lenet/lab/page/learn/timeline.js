/** The time line: every snapshot of a run, to be gone through by pointer, keys or by itself. */

import { fill, h } from "lenet/dom.js";
import { countText, epochText } from "lenet/shared/words.js";

const PLAY_MS = 220; // a snapshot

/**
 * The time line in `section`; `choose(step | null)` is called with a snapshot's step, null for the
 * newest one, now and as others come.
 *
 * `update(snapshots, step, running)` shows where it stands; step null: at the newest.
 */
export default function mountTimeline(section, { t, choose }) {
  let snapshots = [];
  let step = null;
  let running = false;
  let timer = null;

  const slider = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    id: "moment",
    "aria-label": t("learn.timeline"),
    oninput: () => {
      go(Number(slider.value));
      stop();
    },
  });
  const play = h("button", { class: "play", onclick: () => (timer ? stop() : start()) });
  const where = h("output", { class: "number where", for: "moment" });
  const live = h(
    "button",
    {
      class: "live",
      onclick: () => {
        stop();
        choose(null);
      },
    },
    t("learn.live"),
  );
  fill(
    section,
    h("h2", {}, t("learn.timeline")),
    h("div", { class: "timeline" }, play, slider, where, live),
  );

  function go(index) {
    step = index >= snapshots.length - 1 ? null : snapshots[index].step; // before it is drawn:
    choose(step); // the next key may come sooner, and counts from here
  }

  const at = () => indexOfStep(snapshots, step);

  function start() {
    if (at() >= snapshots.length - 1) go(0);
    timer = setInterval(() => {
      const next = at() + 1;
      go(next);
      if (next >= snapshots.length - 1) stop();
    }, PLAY_MS);
    draw();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    draw();
  }

  function draw() {
    const index = at();
    const one = snapshots[index];
    section.hidden = snapshots.length === 0;
    slider.max = Math.max(snapshots.length - 1, 0);
    slider.value = Math.max(index, 0);
    slider.disabled = snapshots.length < 2;
    play.disabled = snapshots.length < 2;
    play.textContent = timer ? t("learn.play-stop") : t("learn.play");
    const text = one
      ? t("learn.moment", { epoch: epochText(one.epoch), step: countText(one.step) })
      : "";
    where.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    live.hidden = !running;
    live.setAttribute("aria-pressed", String(running && step === null));
  }

  return {
    update(newSnapshots, newStep, isRunning) {
      [snapshots, step, running] = [newSnapshots, newStep, isRunning];
      draw();
    },
    destroy() {
      clearInterval(timer);
    },
  };
}

/** The index of a step's snapshot, or of the next where it was thinned out; null: the newest. */
export function indexOfStep(snapshots, step) {
  const found = step === null ? -1 : snapshots.findIndex((one) => one.step >= step);
  return found < 0 ? snapshots.length - 1 : found;
}

/** The snapshot's step that is nearest to an epoch; null where that is the newest one. */
export function nearestStep(snapshots, epoch) {
  let best = snapshots.length - 1;
  snapshots.forEach((one, i) => {
    if (Math.abs(one.epoch - epoch) < Math.abs(snapshots[best].epoch - epoch)) best = i;
  });
  return best >= snapshots.length - 1 ? null : snapshots[best].step;
}
