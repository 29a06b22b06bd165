/** Learn: a training is chosen, started, watched from inside, and gone through again. */

import { fill, h, oncePerFrame, percent } from "lenet/dom.js";
import mountForm from "lenet/learn/form.js";
import mountMoment from "lenet/learn/moment.js";
import mountPanel from "lenet/learn/panel.js";
import mountRunList from "lenet/learn/run-list.js";
import mountTimeline, { indexOfStep, nearestStep } from "lenet/learn/timeline.js";
import mountCurves from "lenet/shared/curves.js";
import { mostInteresting, watchRuns } from "lenet/shared/runs.js";
import { epochText } from "lenet/shared/words.js";

const WIDE = "(min-width: 1000px)";
const LIVE_MS = 700; // from one look inside a running training to the next: it needs the processor
const PARTS = [
  "connection",
  "welcome",
  "form",
  "runs",
  "panel",
  "curves",
  "remarks",
  "timeline",
  "moment",
];
const ENDED = ["finished", "failed", "stopped"];

/** Learn in `root`: the run that the address names, or the one that trains, or the newest. */
export default function mount(root, context) {
  const { backend, t, memory, state, setParams, navigate, announce } = context;
  let shown = context.params.get("run") ?? memory.run ?? null;
  let step = memory.run === shown ? (memory.step ?? null) : null; // null: the newest snapshot
  let status = null;
  let remarksTold = 0;
  let closed = false;
  memory.started ??= new Set();
  memory.run = shown;

  const parts = Object.fromEntries(
    PARTS.map((name) => [name, h("section", { class: `learn-${name}` })]),
  );
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
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
  parts.connection.hidden = true;
  parts.connection.setAttribute("role", "status");
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
    parts.connection,
    h(
      "div",
      { class: "learn" },
      h("div", { class: "learn-side" }, formBox, parts.runs),
      h("div", { class: "learn-main" }, problem, parts.welcome, run),
    ),
  );

  const form = mountForm(parts.form, { backend, t, state, memory, started });
  const list = mountRunList(parts.runs, { t, choose, navigate });
  const panel = mountPanel(parts.panel, { t, act });
  const curves = mountCurves(parts.curves, { t, pick });
  const timeline = mountTimeline(parts.timeline, { t, choose: moveTo });
  const moment = mountMoment(parts.moment, { backend, t, memory });
  const runs = watchRuns(backend, memory, (change) => {
    if (closed) return;
    if (change.connection) tellConnection(change.connection === "lost");
    if (change.list) followList();
    if (change.name === shown) draw();
  });

  function fail(error) {
    problem.textContent = error === null ? "" : error.message;
    problem.hidden = error === null;
  }

  function tellConnection(lost) {
    parts.connection.hidden = false;
    parts.connection.textContent = lost ? t("learn.lost") : t("learn.found");
    parts.connection.classList.toggle("is-lost", lost);
  }

  /** The list of runs has changed: it is drawn anew, and a run is found to show where none is. */
  function followList() {
    const known = runs.heard() && runs.get(shown) === undefined;
    if (shown === null || known) {
      const next = mostInteresting(runs.all());
      if (next === null) {
        shown = null;
        run.hidden = true;
      } else {
        choose(next);
      }
    } else if (runs.record(shown) === null) {
      loadShown();
    }
    list.update(runs.all(), runs.queue(), shown, runs.warnings());
    drawWelcome();
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
    setParams({ run: name });
    list.update(runs.all(), runs.queue(), shown, runs.warnings());
    if (runs.record(name)) draw();
    else loadShown();
  }

  let loading = null;
  let [lastLook, nextLook] = [-LIVE_MS, null];
  async function loadShown() {
    if (loading === shown) return;
    loading = shown;
    const name = shown;
    try {
      await runs.load(name);
      if (name === shown) fail(null);
    } catch (error) {
      if (!closed && name === shown && !error.offline) fail(error);
    } finally {
      if (loading === name) loading = null;
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
      await backend.post(`/api/runs/${encodeURIComponent(name)}/${what}`, {});
    } catch (error) {
      fail(error);
    }
  }

  function moveTo(newStep) {
    step = newStep;
    memory.step = step;
    draw();
  }

  function pick(epoch) {
    const record = runs.record(shown);
    if (record && record.snapshots.length > 1) moveTo(nearestStep(record.snapshots, epoch));
  }

  const draw = oncePerFrame(() => {
    const record = runs.record(shown);
    if (closed || !record) return;
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
          h("strong", {}, t("learn.remark")),
          " ",
          h("span", { lang: "en" }, text),
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
    fill(
      parts.welcome,
      h("p", {}, h("strong", {}, t("learn.welcome")), " ", t(`learn.welcome-${key}`)),
    );
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
