/** Lessons: the menu that lists them, and the panel in which one is gone through. */

import { fill, h } from "lenet/dom.js";
import { createPlaces } from "lenet/explore/lessons/place.js";
import { createPanel } from "lenet/explore/lessons/panel.js";
import { createProgress } from "lenet/explore/lessons/progress.js";

const KINDS = ["tour", "lesson", "challenge"];

/**
 * The lessons of Explore: {tour, menu, panel, destroy}. `tour` is a button that stays until the
 * tour was taken, `menu` lists all, `panel` shows the one that is open. `root` is what a step may
 * light up parts of.
 */
export function createLessons(tools, root) {
  const { t, backend, memory, params, setParams, language, announce } = tools;
  const progress = createProgress(memory);
  const places = createPlaces(tools);
  let lessons = null; // once they were asked for
  let closed = false;

  const say = (element, text) => {
    const spoken = language in text ? language : Object.keys(text)[0];
    if (spoken !== language) element.lang = spoken === "zh" ? "zh-CN" : spoken;
    element.textContent = text[spoken];
    return element;
  };
  const own = { ...tools, say, places, progress };
  const panel = createPanel(own, root, { close, open, next: following });

  const tour = h("button", { class: "tour", hidden: true, onclick: () => open(firstTour().id) });
  fill(tour, t("lesson.tour"));
  tour.title = t("lesson.tour.why");
  const list = h("div", { class: "menu-body lesson-list" });
  const menu = h(
    "details",
    { class: "lesson-menu", hidden: true, onkeydown: leave, ontoggle: () => draw() },
    h("summary", {}, t("lesson.menu")),
    list,
  );
  document.addEventListener("pointerdown", closeOutside);

  function firstTour() {
    return lessons?.find(({ kind }) => kind === "tour");
  }

  function draw() {
    if (lessons === null) return;
    menu.hidden = lessons.length === 0;
    const untaken = firstTour() && !progress.has(firstTour().id);
    tour.hidden = !untaken || memory.lesson != null;
    const groups = KINDS.map((kind) => [kind, lessons.filter((each) => each.kind === kind)]);
    fill(
      list,
      groups
        .filter(([, found]) => found.length > 0)
        .map(([kind, found]) =>
          h("section", {}, h("h2", {}, t(`lesson.kind.${kind}`)), h("ul", {}, found.map(item))),
        ),
    );
  }

  function item(lesson) {
    const is = memory.lesson?.id === lesson.id;
    const minutes = lesson.minutes ? t("lesson.minutes", { minutes: lesson.minutes }) : "";
    const done = progress.has(lesson.id);
    return h(
      "li",
      {},
      h(
        "button",
        { class: "quiet", "aria-current": is ? "true" : null, onclick: () => open(lesson.id) },
        say(h("span", {}), lesson.title),
        h("span", { class: "muted small" }, minutes),
        done && h("span", { class: "lesson-done small" }, "✓ ", t("lesson.done")),
      ),
      lesson.about && say(h("p", { class: "muted small" }), lesson.about),
    );
  }

  function open(id, step = 0) {
    const lesson = lessons?.find((each) => each.id === id);
    if (!lesson) return false;
    menu.open = false;
    const at = Math.min(Math.max(step, 0), lesson.steps.length - 1);
    memory.lesson = { id, step: at, right: {}, done: {} };
    panel.show(lesson, { go: true, focus: true });
    draw();
    return true;
  }

  function close() {
    memory.lesson = null;
    setParams({ lesson: null });
    panel.hide();
    draw();
    menu.querySelector("summary").focus();
    announce(t("lesson.left"));
  }

  /** The lesson after one, in the order of the menu. */
  function following(lesson) {
    const same = lessons.filter(({ kind }) => kind === lesson.kind);
    const [firstLesson] = lessons.filter(({ kind }) => kind === "lesson");
    return lesson.kind === "tour" ? firstLesson : same[same.indexOf(lesson) + 1];
  }

  function leave(event) {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  }

  function closeOutside({ target }) {
    if (menu.open && !menu.contains(target)) menu.open = false;
  }

  async function begin() {
    lessons = await Promise.resolve(backend.lessons?.() ?? []).catch(() => []);
    if (closed) return;
    draw();
    const kept = memory.lesson && lessons.find(({ id }) => id === memory.lesson.id);
    if (kept) return panel.show(kept, { go: false });
    const [, id, step] = /^([a-z0-9-]+)(?:\.(\d+))?$/.exec(params.get("lesson") ?? "") ?? [];
    if (id === undefined) return;
    const lesson = lessons.find((each) => each.id === id);
    if (!lesson) return setParams({ lesson: null });
    const at = Math.min(Math.max(Number(step ?? 1) - 1, 0), lesson.steps.length - 1);
    memory.lesson = { id, step: at, right: {}, done: {} };
    // after a reload the address has more of the place than the step knows
    panel.show(lesson, { go: !params.has("unit") });
    draw();
  }
  begin();

  return {
    tour,
    menu,
    panel: panel.element,
    destroy() {
      closed = true;
      document.removeEventListener("pointerdown", closeOutside);
      panel.destroy();
    },
  };
}
