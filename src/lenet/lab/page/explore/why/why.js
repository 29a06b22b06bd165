/** Why this class, rather than that one: the lens's side, and what a click on a class asks. */

import { fill, h, show } from "lenet/dom.js";
import { small, termTable } from "lenet/explore/backward/terms.js";
import { unitText, layerName, placeName } from "lenet/explore/network/units.js";
import { lastTerms } from "lenet/explore/why/contrast.js";
import { mountMethods } from "lenet/explore/why/methods.js";
import { createOverInput } from "lenet/explore/why/over-input.js";

const MOST_MACS = 2e7; // of a network that goes back in the page, as in backward/pass.js
const SETTLED_MS = 200; // without a new result: while one draws, the maps come first
const SHOWN = ["outputs", "picture", "why", "traced"];

/** The side of the lens in `section`: {shown(is), ask(index), destroy}. */
export default function mountWhy(section, tools) {
  const { t, store, params, setParams, announce } = tools;
  let seen = false;
  let timer = 0;

  const picks = [0, 1].map((i) => h("select", { onchange: () => choose(i) }));
  const swap = h("button", { type: "button", title: t("why.swap"), onclick: exchange }, "⇄");
  swap.setAttribute("aria-label", t("why.swap"));
  const words = ["why.why", "why.rather"].map((key) => h("span", {}, t(key)));
  const question = h(
    "div",
    { class: "why-question" },
    picks.map((pick, i) => h("label", {}, words[i], " ", pick)),
    swap,
  );
  const sum = h("p", { class: "formula number sum-line" });
  const terms = h("div");
  const ways = h("div", { class: "why-ways" });
  const body = h(
    "div",
    { class: "why" },
    h("div", { class: "why-told" }, question, sum, terms),
    ways,
  );
  const hint = h("p", { class: "muted" }, t("why.waiting"));
  fill(section, h("h2", { class: "visually-hidden" }, t("why.title")), hint, body);
  const overInput = createOverInput(tools);
  const methods = mountMethods(ways, { ...tools, overInput });
  let table = null;
  let made = null; // the network that the table is of

  section.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-go]");
    if (!button) return;
    const unit = { layer: Number(button.dataset.layer), index: Number(button.dataset.go) };
    store.set({ unit, pinned: true });
    announce(unitText(t, store.get(), unit));
  });

  function choose(i) {
    const value = picks[i].value === "" ? null : Number(picks[i].value);
    const { a, b } = questionOf(store.get());
    const next = i === 0 ? { a: value, b } : { a, b: value };
    set(next.a === next.b ? (i === 0 ? { a: value, b: a } : { a: b, b: value }) : next);
  }

  function exchange() {
    const { a, b } = questionOf(store.get());
    if (b !== null) set({ a: b, b: a });
  }

  function set(why) {
    store.set({ why });
    const { model } = store.get();
    if (model) announce(textOf(model.network.classes, why));
  }

  function textOf(classes, { a, b }) {
    const one = t("why.ask", { a: classes[a] });
    return b === null ? one : `${one} ${t("why.rather")} ${classes[b]}?`;
  }

  /** A click on a class: why this one; on a second one: rather than that one; then anew. */
  function ask(index) {
    const { why } = store.get();
    const second = seen && why !== null && why.b === null && why.a !== index;
    set(second ? { a: why.a, b: index } : { a: index, b: null });
  }

  function renew(wait = SETTLED_MS) {
    clearTimeout(timer);
    timer = setTimeout(() => requestAnimationFrame(update), wait);
  }

  function update() {
    const state = store.get();
    const { model, traced, outputs, input, seen: pixels } = state;
    if (!seen) return;
    const ready = Boolean(model && input && pixels && outputs?.length === traced?.length);
    const large = ready && traced.reduce((all, row) => all + row.macs, 0) > MOST_MACS;
    hint.hidden = ready && !large;
    body.hidden = !ready || large;
    if (large) hint.textContent = t("backward.obstacle.large");
    if (!ready || large) return void overInput.hide();
    const { network } = model;
    const { a, b } = questionOf(state);
    showPicks(network.classes, a, b);
    showSum(state, a, b);
    methods.update(state, a, b);
  }

  function showPicks(classes, a, b) {
    if (picks[0].dataset.classes !== classes.join("\n")) {
      picks[0].dataset.classes = classes.join("\n");
      const options = () => classes.map((name, value) => h("option", { value }, name));
      fill(picks[0], options());
      fill(picks[1], h("option", { value: "" }, t("why.none")), options());
    }
    picks[0].value = String(a);
    picks[1].value = b === null ? "" : String(b);
    swap.disabled = b === null;
  }

  function showSum(state, a, b) {
    const { model, traced, outputs } = state;
    const { network, calibration } = model;
    const { classes } = network;
    const logits = outputs.at(-1);
    const difference = logits[a] - (b === null ? 0 : logits[b]);
    const odds = Math.exp(Math.abs(difference) / calibration.temperature);
    const more = difference < 0 ? b : a;
    fill(
      sum,
      b === null ? `z(${classes[a]})` : `z(${classes[a]}) − z(${classes[b]})`,
      " = ",
      h("strong", { "data-contrast": String(difference) }, show(difference, 3)),
      b !== null
        && h(
          "span",
          { class: "small muted" },
          " ",
          t("why.odds", {
            more: classes[more],
            odds: odds < 1e4 ? show(odds, odds < 10 ? 1 : 0) : "> 10,000 ",
          }),
        ),
    );
    const found = lastTerms({ ...state, network }, a, b);
    if (found === null) {
      made = null;
      return void fill(terms, h("p", { class: "small muted" }, t("why.no-sum")));
    }
    if (made !== traced) {
      made = traced;
      const last = traced.at(-1);
      const from = t("dense.from", { layer: layerName(t, traced, last.index - 1) });
      const factor = t(last.type === "RBF" ? "why.codes" : "why.weights");
      const heads = [from, t("dense.input"), factor, t("dense.product")];
      table = termTable(t, heads, { first: 6, point: (channel) => store.set({ channel }) });
      fill(terms, table.element);
    }
    const layer = traced.length - 2;
    table.update({
      terms: found.terms.map(({ unit, value, weight, product }) => ({
        name: placeName(t, [found.terms.length], unit),
        go: unit,
        layer,
        channel: unit,
        value,
        gradient: weight,
        product,
      })),
      bias: { name: t(b === null ? "conv.bias" : "why.biases"), product: found.bias },
      total: found.total,
    });
    sum.title = small(found.total);
  }

  const unsubscribe = store.subscribe((state, changed) => {
    const { why, model } = state;
    const classes = model?.network.classes.length ?? Infinity;
    if (changed.has("model") && why && (why.a >= classes || (why.b ?? 0) >= classes)) {
      store.set({ why: null });
    }
    if (changed.has("why")) {
      setParams({ why: why && [why.a, why.b].filter((each) => each !== null).join(".") });
    }
    if (seen && SHOWN.some((name) => changed.has(name))) renew(changed.has("why") ? 0 : SETTLED_MS);
  });

  const said = /^(\d+)(?:\.(\d+))?$/.exec(params.get("why") ?? "");
  if (said) {
    const [a, b] = [Number(said[1]), said[2] === undefined ? null : Number(said[2])];
    store.set({ why: a === b ? { a, b: null } : { a, b } });
  }
  return {
    ask,
    shown(is) {
      seen = is;
      if (is) renew(0);
      else {
        methods.pause();
        overInput.hide();
      }
    },
    destroy() {
      clearTimeout(timer);
      unsubscribe();
      methods.destroy();
      overInput.destroy();
    },
  };
}

/**
 * What is asked, {a, b}: what was chosen, else why the verdict rather than the truth, or, where it
 * is right, rather than the next class.
 */
export function questionOf({ why, outputs, picture }) {
  if (why) return why;
  const logits = outputs.at(-1);
  const [first, second = null] = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
  const label = picture?.label ?? null;
  return { a: first, b: label !== null && label !== first ? label : second };
}
