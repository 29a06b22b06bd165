/** A question of a lesson, and whether what is answered or done is right. */

import { fill, h, show } from "lenet/dom.js";
import { mountChallenge } from "lenet/explore/lessons/challenge.js";
import { isDone, isNear, measured, numberIn, pointsAt } from "lenet/explore/lessons/goals.js";

/**
 * The question in `root`: {destroy}. `say(element, text)` writes a lesson's text in its language,
 * `answered(first)` is called when it is right: whether at the first try.
 */
export function mountQuestion(root, question, tools) {
  const { t, store, say, answered, solved } = tools;
  const begun = store.get();
  let tries = 0;
  let over = solved;
  let ended = () => {};

  const text = say(h("p", { class: "lesson-question" }), question.text);
  const answer = h("div", { class: "lesson-answer" });
  const reply = h("p", { class: "lesson-reply", role: "status" });
  fill(root, text, answer, reply);

  if (question.choices) choices();
  else if (question.number !== undefined) number();
  else if (question.challenge) challenge();
  else watch();
  if (solved) right(false);

  function choices() {
    const buttons = question.choices.map((each, i) =>
      say(h("button", { type: "button", onclick: () => choose(i) }), each),
    );
    fill(answer, buttons);
    function choose(i) {
      if (over) return;
      if (i === question.right) {
        buttons[i].classList.add("is-right");
        right();
      } else {
        buttons[i].disabled = true;
        buttons.find((each) => !each.disabled)?.focus();
        wrong();
      }
    }
    if (solved) buttons[question.right].classList.add("is-right");
  }

  function number() {
    const field = h("input", { class: "number", inputmode: "decimal", size: "12" });
    field.setAttribute("aria-label", t("lesson.answer"));
    const form = h(
      "form",
      {
        class: "buttons",
        onsubmit(event) {
          event.preventDefault();
          if (field.value.trim() === "") return;
          const of = question.number;
          const expected = typeof of === "string" ? measured(of, store.get()) : of;
          const given = numberIn(field.value);
          if (Number.isNaN(given)) fill(reply, t("lesson.no-number"));
          else if (expected === null) fill(reply, t("lesson.not-here"));
          else if (isNear(given, expected, question.within)) right(true, expected);
          else wrong();
        },
      },
      field,
      h("button", { type: "submit" }, t("lesson.check")),
      h("button", { type: "button", class: "quiet", onclick: tell }, t("lesson.tell")),
    );
    fill(answer, form);
    function tell() {
      const of = question.number;
      const expected = typeof of === "string" ? measured(of, store.get()) : of;
      if (expected === null) return void fill(reply, t("lesson.not-here"));
      field.value = numberText(expected);
      tries += 1;
      right(false, expected);
    }
  }

  /** What is pointed at or done is seen by itself. */
  function watch() {
    const is = (state) =>
      question.point
        ? state.unit !== begun.unit && pointsAt(question.point, state)
        : isDone(question.do, state, begun);
    const unsubscribe = store.subscribe((state, changed) => {
      if (over) return;
      if (is(state)) right();
      else if (question.point && changed.has("unit") && state.pinned) wrong();
    });
    ended = unsubscribe;
    if (!question.point && !over && is(begun)) right(false);
  }

  function challenge() {
    const mounted = mountChallenge(answer, question.challenge, { ...tools, done: () => right() });
    ended = mounted.destroy;
  }

  function right(counted = true, expected = null) {
    over = true;
    root.classList.add("is-answered");
    reply.className = "lesson-reply is-right";
    const words = h("span");
    fill(reply, h("strong", {}, t("lesson.right")), " ", words);
    if (question.why) say(words, question.why);
    else if (expected !== null) words.textContent = numberText(expected);
    if (!solved) answered(counted && tries === 0);
  }

  function wrong() {
    if (over) return;
    tries += 1;
    reply.className = "lesson-reply is-wrong";
    const words = h("span");
    fill(reply, h("strong", {}, t("lesson.wrong")), " ", words);
    if (question.hint) say(words, question.hint);
  }

  return { destroy: () => ended() };
}

/** A number as an answer: whole ones with their thousands apart. */
function numberText(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : show(value, 3);
}
