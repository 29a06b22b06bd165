/** The head of the run that is shown: what it is, how far it has come, and what can be done. */

import { fill, focusIn, h, percent } from "lenet/dom.js";
import { secondsLeft } from "lenet/shared/runs.js";
import { countText, duration, epochText, languageOf, lossText } from "lenet/shared/words.js";

const CONTROLS = {
  queued: ["stop"],
  running: ["pause", "stop"],
  paused: ["resume", "stop"],
  stopped: ["resume"],
  failed: ["resume"],
};

// Going on from its last checkpoint would come to the same end.
const DIVERGED = ["slower"];
const READING = ["explore", "compare"];

/**
 * The head of a run in `section`; `act(name, what)` does "pause", "resume", "stop", "slower" (again
 * with a tenth of the learning rate), "explore" or "compare"; `rename(name, wanted)` promises
 * whether the run has the name now.
 *
 * `update(record, position)` shows a record and its place among those that wait, 0 if it does not.
 */
export default function mountPanel(section, { t, mayChange, act, rename }) {
  let shownControls = "";
  let name = null;

  const title = h("h2", { class: "run-name", tabindex: "-1" });
  const status = h("span", { class: "status" });
  const edit = h("button", { class: "quiet small", onclick: beginRenaming }, t("learn.rename"));
  edit.disabled = !mayChange;
  const wanted = h("input", { maxlength: 60, autocomplete: "off", required: true });
  const naming = h(
    "form",
    { class: "buttons run-naming", hidden: true, onsubmit: finishRenaming, onkeydown: leave },
    h("label", { class: "field" }, h("span", {}, t("learn.rename-to")), wanted),
    h("button", { type: "submit" }, t("learn.rename-save")),
    h("button", { type: "button", class: "quiet", onclick: endRenaming }, t("learn.rename-leave")),
  );
  const what = h("p", { class: "muted" });
  const message = h("p", { hidden: true });
  const bar = h("progress", { max: 1, value: 0, "aria-label": t("learn.progress") });
  const progress = h("p", { class: "number progress-text" });
  const buttons = h("div", { class: "buttons run-buttons" });
  fill(
    section,
    h("div", { class: "run-title" }, title, status, edit),
    naming,
    what,
    h("div", { class: "progress" }, bar, progress),
    message,
    buttons,
  );

  function beginRenaming() {
    wanted.value = name;
    naming.hidden = false;
    edit.hidden = true;
    wanted.select();
  }

  function endRenaming() {
    naming.hidden = true;
    edit.hidden = false;
    edit.focus();
  }

  async function finishRenaming(event) {
    event.preventDefault();
    if (wanted.value.trim() === name || (await rename(name, wanted.value))) endRenaming();
  }

  function leave(event) {
    if (event.key === "Escape") endRenaming();
  }

  function update(record, position) {
    const { summary, snapshots } = record;
    if (name !== summary.name) naming.hidden = true;
    name = summary.name;
    const still = summary.ours !== false && summary.status !== "running";
    edit.hidden = !still || !naming.hidden;
    title.textContent = name;
    status.textContent =
      summary.status === "queued" && position > 0
        ? t("learn.queued-at", { position })
        : t(`learn.status.${summary.status}`);
    status.dataset.status = summary.status;
    what.textContent = t("learn.what", {
      network: summary.network,
      parameters: countText(summary.parameters),
      data: summary.data,
      recipe: summary.recipe.name,
      engine: engineText(summary.engine),
    });
    bar.value = summary.epochs > 0 ? Math.min((summary.last?.epoch ?? 0) / summary.epochs, 1) : 0;
    progress.textContent = progressText(record);
    message.textContent = summary.status === "queued" ? "" : (summary.message ?? "");
    message.lang = languageOf(message.textContent);
    message.className = summary.status === "failed" ? "failure" : "muted";
    message.hidden = message.textContent === "";
    drawButtons(summary, snapshots);
  }

  function progressText(record) {
    const { summary } = record;
    const { last } = summary;
    const parts = [
      t("learn.epoch-of", {
        epoch: epochText(last?.epoch ?? 0),
        epochs: countText(summary.epochs),
      }),
    ];
    const speed = last?.examples_per_s ?? summary.examples_per_s;
    if (speed) parts.push(t("learn.speed", { n: countText(speed) }));
    const left = secondsLeft(record);
    if (left !== null) parts.push(t("learn.left", { time: duration(left, t) }));
    else if (summary.wall_s) parts.push(t("learn.took", { time: duration(summary.wall_s, t) }));
    return parts.join(" · ");
  }

  function drawButtons(summary, snapshots) {
    const controls = summary.diverged ? DIVERGED : (CONTROLS[summary.status] ?? []);
    const usable = summary.status === "finished" || snapshots.length > 0;
    const wanted = [
      ...(summary.ours === false ? [] : controls),
      ...(usable ? ["explore"] : []),
      "compare",
    ];
    const key = `${name} ${summary.status} ${wanted}`;
    if (key === shownControls) return;
    const had = focusIn(buttons)?.dataset.act;
    shownControls = key;
    fill(
      buttons,
      wanted.map((what) =>
        h(
          "button",
          {
            "data-act": what,
            disabled: !mayChange && !READING.includes(what),
            class: what === "explore" && summary.status === "finished" ? "primary" : null,
            onclick: () => act(name, what),
          },
          t(`learn.${what}`, { rate: slowerRate(summary.recipe) }),
        ),
      ),
    );
    // the button that was pressed makes way for its counterpart: the focus goes there
    if (had !== null) {
      const next = { pause: "resume", resume: "pause" }[had];
      const button = (name) => buttons.querySelector(`[data-act="${name}"]`);
      (button(had) ?? button(next) ?? title).focus();
    }
  }

  return { update, focus: () => title.focus({ preventScroll: false }) };
}

/** A tenth of the learning rate, as the server sets it. */
function slowerRate({ schedule }) {
  return String(Number((schedule.learning_rate / 10).toPrecision(6)));
}

function engineText(engine) {
  if (!engine) return "–";
  return typeof engine === "string" ? engine : engine.name;
}

/** A run in one line, for lists: its loss, or accuracy once there is one. */
export function inBrief({ last }, t) {
  if (!last) return "";
  return last.test_acc != null
    ? t("learn.brief-test", { value: percent(last.test_acc) })
    : t("learn.brief-loss", { value: lossText(last.train_loss) });
}
