/** Learn: a training is chosen, started, watched from inside, and gone through again. */

import { fill, h, oncePerFrame, percent } from "lenet/dom.js";
import mountForm from "lenet/learn/form.js";
import mountMoment from "lenet/learn/moment.js";
import mountPanel from "lenet/learn/panel.js";
import mountRunList from "lenet/learn/run-list.js";
import mountTimeline, { indexOfStep, nearestStep } from "lenet/learn/timeline.js";
import mountCurves from "lenet/shared/curves.js";
import { whyMissing } from "lenet/shared/faults.js";
import { mostInteresting, watchRuns } from "lenet/shared/runs.js";
import { epochText, languageOf, partsOf } from "lenet/shared/words.js";

const WIDE = "(min-width: 1000px)";
const LIVE_MS = 700; // from one look inside a running training to the next: it needs the processor
const PARTS = ["welcome", "form", "runs", "panel", "curves", "remarks", "timeline", "moment"];
const FIRST_RECIPE = "quickstart"; // as in lab.py
const ENDED = ["finished", "failed", "stopped"];

/** Learn in `root`: the run that the address names, or the one that trains, or the newest. */
export default function mount(root, context) {
  const { backend, t, memory, state, mayChange, setParams, navigate, announce } = context;
  let shown = context.params.get("run") ?? memory.run ?? null;
  let step = firstStep(); // of the snapshot that is shown; null: the newest
  let status = null;
  let remarksTold = 0;
  let closed = false;
  memory.started ??= new Set();
  memory.run = shown;

  const parts = Object.fromEntries(
    PARTS.map((name) => [name, h("section", { class: `learn-${name}` })]),
  );
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const gone = h("div", { class: "gone", role: "status", hidden: true });
  const formBox = h(
    "details",
    { class: "form-box" },
    h("summary", {}, h("h2", {}, t("learn.new"))),
    parts.form,
  );
  formBox.open = memory.formOpen ?? matchMedia(WIDE).matches;
  formBox.addEventListener("toggle", () => {
    memory.formOpen = formBox.open;
  });
  const loadingRun = h("p", { class: "loading", role: "status", hidden: true });
  const run = h(
    "div",
    { class: "run" },
    parts.panel,
    parts.curves,
    parts.remarks,
    parts.timeline,
    parts.moment,
  );
  run.hidden = true;
  fill(
    root,
    h("h1", { class: "visually-hidden" }, t("view.learn")),
    h(
      "div",
      { class: "learn" },
      h("div", { class: "learn-side" }, formBox, parts.runs),
      h("div", { class: "learn-main" }, problem, gone, parts.welcome, loadingRun, run),
    ),
  );

  const form = mountForm(parts.form, { backend, t, state, memory, mayChange, started });
  const list = mountRunList(parts.runs, { t, choose, navigate });
  const panel = mountPanel(parts.panel, { t, mayChange, act, rename });
  const curves = mountCurves(parts.curves, { t, pick });
  const timeline = mountTimeline(parts.timeline, { t, choose: moveTo });
  const moment = mountMoment(parts.moment, { backend, t, memory });
  const runs = watchRuns(backend, memory, (change) => {
    if (closed) return;
    if (change.list) followList();
    if (change.name === shown) draw();
  });

  function fail(error) {
    problem.textContent = error === null ? "" : error.message;
    problem.hidden = error === null;
  }

  function firstStep() {
    const asked = context.params.get("step");
    if (asked !== null && /^\d{1,12}$/.test(asked)) return Number(asked);
    return memory.run === shown ? (memory.step ?? null) : null;
  }

  /** The list of runs has changed: it is drawn anew, and a run is found to show where none is. */
  function followList() {
    if (shown === null && runs.heard()) {
      const next = mostInteresting(runs.all());
      if (next === null) run.hidden = true;
      else choose(next);
    } else if (tellGone()) {
      run.hidden = true;
    } else if (runs.record(shown) === null) {
      loadShown();
    }
    list.update(runs.all(), runs.queue(), shown, runs.warnings(), runs.groups());
    drawWelcome();
  }

  /** Says that the run that was asked for is not there, and why: no other takes its place. */
  function tellGone() {
    const why = whyMissing(runs, shown, t);
    const key = why && JSON.stringify(why);
    gone.hidden = why === null;
    if (why === null || gone.dataset.key === key) return why !== null;
    gone.dataset.key = key;
    const restore = h("button", { onclick: () => act(shown, "restore") }, t("learn.restore"));
    restore.disabled = !mayChange;
    fill(gone, h("p", {}, why.text), why.restorable && restore);
    fail(null);
    return true;
  }

  function choose(name) {
    if (name !== shown) {
      shown = name;
      step = null;
      status = null;
      remarksTold = 0;
      moment.clear();
    }
    Object.assign(memory, { run: name, step });
    setParams({ run: name, step });
    tellGone();
    list.update(runs.all(), runs.queue(), shown, runs.warnings(), runs.groups());
    if (runs.record(name)) draw();
    else loadShown();
  }

  let loading = null;
  let [lastLook, nextLook] = [-LIVE_MS, null];
  async function loadShown() {
    if (loading === shown) return;
    loading = shown;
    const name = shown;
    loadingRun.textContent = t("learn.loading", { name });
    loadingRun.hidden = run.hidden === false;
    try {
      await runs.load(name);
      if (name === shown) fail(null);
    } catch (error) {
      if (!closed && name === shown && !error.offline && !tellGone()) fail(error);
    } finally {
      if (loading === name) loading = null;
      if (name === shown) loadingRun.hidden = true;
    }
  }

  async function started(name) {
    memory.started.add(name);
    await runs.load(name); // the event that tells of it may come later than this answer
    if (closed) return;
    announce(t("learn.is-queued", { name }));
    if (!matchMedia(WIDE).matches) formBox.open = false;
    choose(name);
    run.hidden = false;
    panel.focus();
  }

  async function act(name, what) {
    fail(null);
    if (what === "explore") {
      const snapshots = runs.record(name)?.snapshots ?? [];
      const at = step === null ? null : snapshots[indexOfStep(snapshots, step)];
      return navigate("explore", { model: at ? `run:${name}@${at.step}` : `run:${name}` });
    }
    if (what === "compare") return navigate("compare", { runs: name });
    try {
      const answer = await backend.post(`/api/runs/${encodeURIComponent(name)}/${what}`, {});
      if (what === "slower" && !closed) await started(answer.name);
    } catch (error) {
      fail(error);
    }
  }

  async function rename(name, wanted) {
    fail(null);
    try {
      const path = `/api/runs/${encodeURIComponent(name)}/rename`;
      const answer = await backend.post(path, { name: wanted });
      if (memory.started.delete(name)) memory.started.add(answer.name);
      await runs.load(answer.name);
      if (!closed) choose(answer.name);
      return true;
    } catch (error) {
      fail(error);
      return false;
    }
  }

  function moveTo(newStep) {
    step = newStep;
    memory.step = step;
    setParams({ step });
    draw();
  }

  function pick(epoch) {
    const record = runs.record(shown);
    if (record && record.snapshots.length > 1) moveTo(nearestStep(record.snapshots, epoch));
  }

  const draw = oncePerFrame(() => {
    const record = runs.record(shown);
    if (closed || !record || tellGone()) return;
    const { summary, snapshots, remarks } = record;
    run.hidden = false;
    const moving = ["running", "paused", "queued"].includes(summary.status);
    const at = snapshots[indexOfStep(snapshots, step)];
    const classes = state.data.find(({ name }) => name === summary.data)?.classes.length ?? 10;
    panel.update(record, runs.queue().indexOf(shown) + 1);
    parts.curves.hidden = (record.history.epoch ?? []).length === 0;
    if (!parts.curves.hidden) curves.update(record, step === null ? null : at?.epoch, classes);
    drawRemarks(remarks);
    timeline.update(snapshots, step, moving);
    if (at && step === null && summary.status === "running") {
      showNow(summary, at);
    } else if (at) {
      moment.show({
        ref: `run:${shown}@${at.step}`,
        data: summary.data,
        text: t("learn.at-epoch", { epoch: epochText(at.epoch) }),
      });
    } else if (summary.status === "finished") {
      moment.show({ ref: `run:${shown}`, data: summary.data, text: t("learn.at-end") });
    }
    tellStatus(summary);
    drawWelcome();
  });

  /** The weights as they are while they are trained: the newest snapshot may soon be gone. */
  function showNow(summary, at) {
    clearTimeout(nextLook);
    const wait = lastLook + LIVE_MS - performance.now();
    if (wait > 0) {
      nextLook = setTimeout(draw, wait);
      return;
    }
    lastLook = performance.now();
    moment.show({
      ref: `run:${shown}`,
      step: at.step,
      data: summary.data,
      text: t("learn.at-epoch", { epoch: epochText(at.epoch) }),
    });
  }

  function drawRemarks(remarks) {
    if (remarks.length === remarksTold && parts.remarks.childElementCount > 0) return;
    fill(
      parts.remarks,
      remarks.map((text) =>
        h(
          "div",
          { class: "note" },
          partsOf(text)?.map(([label, part]) =>
            h("p", { lang: languageOf(text) }, h("strong", {}, label), " ", part),
          ) ?? [
            h("strong", {}, t("learn.remark")),
            " ",
            h("span", { lang: languageOf(text) }, text),
          ],
        ),
      ),
    );
    parts.remarks.hidden = remarks.length === 0;
    if (remarks.length > remarksTold) announce(remarks.at(-1));
    remarksTold = remarks.length;
  }

  function tellStatus(summary) {
    if (status !== null && status !== summary.status) {
      const reached = summary.last?.test_acc;
      announce(
        summary.status === "finished" && reached != null
          ? t("learn.tell-finished", { name: shown, accuracy: percent(reached) })
          : t("learn.tell-status", {
              name: shown,
              status: t(`learn.status.${summary.status}`),
            }),
      );
    }
    status = summary.status;
  }

  /** A word of welcome: while nothing has been trained, and at the run that began by itself. */
  function drawWelcome() {
    const all = runs.all();
    const first = all.length === 1 && !memory.started.has(all[0].name) ? all[0] : null;
    parts.welcome.hidden = !runs.heard() || (all.length > 0 && !first);
    if (parts.welcome.hidden) return;
    const key = first === null ? "none" : ENDED.includes(first.status) ? "done" : "learning";
    if (parts.welcome.dataset.key === key) return;
    parts.welcome.dataset.key = key;
    if (key === "none") return void fill(parts.welcome, emptyLab());
    fill(
      parts.welcome,
      h("p", {}, h("strong", {}, t("learn.welcome")), " ", t(`learn.welcome-${key}`)),
    );
  }

  /** What there is to do where nothing has been trained, or everything has been deleted. */
  function emptyLab() {
    const begin = h("button", { class: "primary", onclick: beginFirst }, t("learn.empty-begin"));
    begin.disabled = !mayChange;
    return h(
      "div",
      { class: "empty" },
      h("h2", {}, t("learn.empty")),
      h("p", {}, t("learn.empty-what")),
      begin,
      h("p", { class: "small muted" }, t("learn.empty-where", { folder: state.folder })),
    );
  }

  async function beginFirst({ target }) {
    target.disabled = true;
    fail(null);
    try {
      const { name } = await backend.post("/api/train", { recipe: FIRST_RECIPE });
      if (!closed) await started(name);
    } catch (error) {
      target.disabled = false;
      fail(error);
    }
  }

  return {
    destroy() {
      closed = true;
      clearTimeout(nextLook);
      runs.close();
      form.destroy();
      curves.destroy();
      timeline.destroy();
      moment.destroy();
    },
  };
}
