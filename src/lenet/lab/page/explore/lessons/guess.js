/** The challenge to foresee what the network says, before it is shown. */

import { fill, h, percent } from "lenet/dom.js";
import { sharesOf, verdictOf } from "lenet/explore/lessons/goals.js";
import { misread, predictionsOf } from "lenet/explore/picture/test-pictures.js";

const ROUNDS = 5;
const NEEDED = 3;
const MOST_CLASSES = 30;

/** The challenge in `root`: {destroy}. */
export function mountGuess(root, tools) {
  const { t, backend, store, input, done, solved, root: view, fail } = tools;
  let closed = false;
  let round = 0;
  let right = 0;
  let over = solved;
  let pictures = [];

  const where = h("p", { class: "number" });
  const classes = h("div", { class: "guess-classes", role: "group" });
  classes.setAttribute("aria-label", t("challenge.guess.classes"));
  const reply = h("p", { role: "status" });
  const next = h("button", { type: "button", hidden: true, onclick: turn });
  fill(root, where, classes, reply, next);

  /** What is shown of the verdict is covered, or shown again. */
  function cover(is) {
    view.classList.toggle("guessing", is);
    store.set({ guessing: is });
  }

  /** Pictures at random, about every other one a mistake, so that it is not too easy. */
  async function choose() {
    const { model } = store.get();
    const predictions = await predictionsOf(tools, model);
    const set = predictions && (await backend.dataset(model.data));
    if (!set) return [];
    const wrong = misread(predictions);
    const anyOf = (list) => list[Math.floor(Math.random() * list.length)];
    const all = [...predictions.labels.keys()];
    const chosen = new Set();
    for (let tries = 0; chosen.size < ROUNDS && tries < 200; tries++) {
      const list = wrong.length > 0 && chosen.size % 2 === 1 ? wrong : all;
      chosen.add(anyOf(list));
    }
    return [...chosen];
  }

  async function turn() {
    const again = round >= ROUNDS || pictures.length === 0;
    if (again) {
      [round, right] = [0, 0];
      pictures = await choose();
      if (closed) return;
      if (pictures.length === 0) return void fill(reply, t("challenge.none"));
    }
    cover(true);
    next.hidden = true;
    fill(reply);
    await input.show(String(pictures[round]));
    if (closed) return;
    round += 1;
    where.textContent = t("challenge.guess.where", { round, of: ROUNDS, right });
    const names = store.get().model.network.classes.slice(0, MOST_CLASSES);
    fill(
      classes,
      names.map((name, i) => h("button", { type: "button", onclick: () => guess(i) }, name)),
    );
    classes.firstChild.focus({ preventScroll: true });
  }

  function guess(chosen) {
    const state = store.get();
    const is = verdictOf(state);
    if (is === null || next.hidden === false) return;
    cover(false);
    if (chosen === is) right += 1;
    const { model, picture } = state;
    const names = model.network.classes;
    const values = {
      name: names[is],
      share: percent(sharesOf(state)[is]),
      true: names[picture.label],
    };
    [...classes.children].forEach((button, i) => {
      button.disabled = i !== is && i !== chosen;
      button.classList.toggle("is-right", i === is);
    });
    const key = chosen === is ? "challenge.guess.right" : "challenge.guess.wrong";
    const truth = picture.label === is ? "" : t("challenge.guess.truth", values);
    fill(reply, t(key, values), " ", truth);
    where.textContent = t("challenge.guess.where", { round, of: ROUNDS, right });
    next.hidden = false;
    fill(next, t(round < ROUNDS ? "challenge.guess.next" : "challenge.guess.again"));
    next.focus({ preventScroll: true });
    if (round < ROUNDS) return;
    reply.append(" ", t("challenge.guess.over", { right, of: ROUNDS }));
    if (right >= NEEDED && !over) {
      over = true;
      done();
    }
  }

  turn().catch((error) => !closed && fail(error));

  return {
    destroy() {
      closed = true;
      cover(false);
    },
  };
}
