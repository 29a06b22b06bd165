/** The panel of a lesson: one step at a time, what it lights up, its question, the way on. */

import { fill, h } from "lenet/dom.js";
import { lightUp, putOut } from "lenet/explore/lessons/light.js";
import { mountQuestion } from "lenet/explore/lessons/question.js";

/**
 * The panel: {element, show(lesson, {go, focus}), hide, destroy}. Which step is shown is kept in
 * `memory.lesson`; `go` is whether the step's place is gone to.
 */
export function createPanel(tools, root, { close, open, next }) {
  const { t, store, memory, setParams, say, places, progress, announce } = tools;
  let lesson = null;
  let question = null;
  let lacked = false; // whether the network has not all of the lesson's stages

  const title = h("h2", { class: "lesson-title" });
  const where = h("span", { class: "muted small number" });
  const fold = h("button", {
    class: "quiet lesson-fold",
    onclick: () => folded(!memory.lessonLow),
  });
  const leave = h("button", { class: "quiet lesson-close", onclick: close }, "✕");
  leave.title = t("lesson.leave");
  leave.setAttribute("aria-label", t("lesson.leave"));
  const bar = h("progress", { class: "lesson-progress", max: "1", value: "0" });
  bar.setAttribute("aria-label", t("lesson.progress"));
  const text = h("div", { class: "lesson-text", "aria-live": "polite" });
  const asked = h("div", { class: "lesson-ask" });
  const back = h("button", { onclick: () => move(-1) }, t("lesson.back"));
  const on = h("button", { onclick: () => move(1) });
  const again = h("button", { class: "quiet", onclick: () => goThere() }, t("lesson.again"));
  again.title = t("lesson.again.why");
  const body = h("div", { class: "lesson-body", tabindex: "0" }, text, asked);
  body.setAttribute("aria-label", t("lesson.text"));
  body.setAttribute("role", "group");
  const element = h(
    "aside",
    { class: "lesson", hidden: true, tabindex: "-1", onkeydown: press },
    h("div", { class: "lesson-head" }, title, where, fold, leave),
    bar,
    body,
    h("div", { class: "lesson-foot buttons" }, back, on, again),
  );
  element.setAttribute("aria-label", t("lesson.panel"));

  // on a small screen the panel lies over the page: what else lies there makes room
  const observer = new ResizeObserver(() => {
    root.style.setProperty("--lesson-height", `${element.offsetHeight}px`);
  });
  observer.observe(element);

  function show(shown, { go = false, focus = false } = {}) {
    lesson = shown;
    element.hidden = false;
    folded(memory.lessonLow === true);
    step({ go });
    if (focus) element.focus({ preventScroll: true });
  }

  function hide() {
    lesson = null;
    end();
    element.hidden = true;
    putOut(root);
  }

  function end() {
    question?.destroy();
    question = null;
    fill(asked);
    asked.classList.remove("is-answered");
  }

  function lacking() {
    const { traced } = store.get();
    if (!traced || !lesson.stages) return [];
    return lesson.stages.filter((stage) => !traced.some((row) => row.stage === stage));
  }

  /** Shows the step that memory names; behind the last one, how it went. */
  function step({ go = false } = {}) {
    end();
    const { step: at, done } = memory.lesson;
    const { steps } = lesson;
    const over = at >= steps.length;
    say(title, lesson.title);
    where.textContent = t("lesson.where", {
      step: Math.min(at + 1, steps.length),
      of: steps.length,
    });
    bar.value = at / steps.length;
    setParams({ lesson: `${lesson.id}.${Math.min(at, steps.length - 1) + 1}` });
    back.disabled = at === 0;
    again.hidden = over || !steps[at].address;
    on.hidden = false;
    on.className = "";
    lacked = lacking().length > 0;
    if (lacked) return needs();
    if (over) return finish();
    const now = steps[at];
    fill(text, now.title && say(h("h3", {}), now.title), say(h("p", {}), now.text));
    fill(on, at === steps.length - 1 ? t("lesson.finish") : t("lesson.next"));
    on.classList.toggle("primary", !now.question || done[at] === true);
    body.scrollTop = 0;
    lightUp(root, now.light ?? [], store.get());
    const shown = lesson;
    const there = go ? goThere() : places.go("");
    there.then(() => lesson === shown && memory.lesson?.step === at && ask(now, at));
  }

  /** The question, once the place is there: what is done is told from what was. */
  function ask(now, at) {
    end();
    lightUp(root, now.light ?? [], store.get());
    if (!now.question) return;
    question = mountQuestion(asked, now.question, {
      ...tools,
      root,
      solved: memory.lesson.done[at] === true,
      answered(first) {
        memory.lesson.done[at] = true;
        memory.lesson.right[at] = first;
        on.classList.add("primary");
      },
    });
  }

  async function goThere() {
    const now = lesson?.steps[memory.lesson.step];
    await places.go(now?.address ?? "");
  }

  function needs() {
    putOut(root);
    fill(text, h("p", {}, t("lesson.needs", { stages: lesson.stages.join(", ") })));
    on.hidden = true;
    again.hidden = true;
  }

  function finish() {
    putOut(root);
    progress.add(lesson.id);
    const questions = lesson.steps.filter((each) => each.question).length;
    const right = Object.values(memory.lesson.right).filter(Boolean).length;
    const after = next(lesson);
    fill(
      text,
      h("h3", {}, t("lesson.over")),
      questions > 0 && h("p", {}, t("lesson.score", { right, of: questions })),
    );
    bar.value = 1;
    if (after) {
      const name = say(h("strong", {}), after.title);
      const button = h("button", { class: "primary", onclick: () => open(after.id) });
      fill(asked, fill(button, t("lesson.following"), " ", name));
    }
    fill(on, t("lesson.close"));
    announce(t("lesson.over"));
  }

  function move(by) {
    const at = memory.lesson.step + by;
    if (at < 0) return;
    if (at > lesson.steps.length) return close();
    memory.lesson.step = at;
    step({ go: true });
    if (back.disabled && document.activeElement === document.body) on.focus();
  }

  /** On a small screen the panel can lie low, so that the figure is seen. */
  function folded(low) {
    memory.lessonLow = low;
    element.classList.toggle("lesson-low", low);
    fold.textContent = low ? "▴" : "▾";
    fold.setAttribute("aria-expanded", String(!low));
    fold.setAttribute("aria-label", t(low ? "lesson.unfold" : "lesson.fold"));
    fold.title = t(low ? "lesson.unfold" : "lesson.fold");
  }

  function press(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      return close();
    }
    if (event.target.matches("input, select") || event.ctrlKey || event.altKey || event.metaKey)
      return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined || !lesson || on.hidden) return;
    event.preventDefault();
    move(by);
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (lesson === null) return;
    const lacks = lacking().length > 0;
    if (changed.has("traced") && lacks !== lacked) return step({ go: !lacks });
    const now = lesson.steps[memory.lesson.step];
    const drawn = changed.has("outputs") || changed.has("traced");
    if (drawn && now && !lacks) lightUp(root, now.light ?? [], state); // parts are made anew
  });

  return {
    element,
    show,
    hide,
    destroy() {
      unsubscribe();
      observer.disconnect();
      end();
      putOut(root);
    },
  };
}
