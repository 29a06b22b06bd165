/** What the network says of the picture, in one sentence, and whether it is right. */

import { fill, h, oncePerFrame, percent } from "lenet/dom.js";
import { isKnown, softmax } from "lenet/network/softmax.js";
import { paintPicture } from "lenet/shared/thumbnail.js";

const SETTLED_MS = 900; // without a new result before the class is announced
const SHOWN = ["outputs", "picture", "traced"];

/** The picture, small, and the sentence in `section`: {destroy}. */
export function mountVerdict(section, { store, t, announce }) {
  const small = h("canvas", { class: "picture verdict-picture", "aria-hidden": "true" });
  const sentence = h("p", { class: "verdict" });
  fill(section, small, sentence);
  let timer = 0;
  let announced = "";

  const draw = oncePerFrame(() => {
    const { model, outputs, picture, traced, seen } = store.get();
    const ready = Boolean(model && outputs && traced && outputs.length === traced.length);
    if (!ready && model && sentence.childElementCount > 0) return; // it will be in a moment
    small.hidden = !ready;
    sentence.classList.toggle("muted", !ready);
    if (!ready) return void fill(sentence, t(model ? "verdict.picture" : "verdict.waiting"));
    if (seen) paintPicture(small, seen, model.network.input_shape);
    const { classes } = model.network;
    const shares = softmax(outputs.at(-1), model.calibration.temperature);
    const top = shares.indexOf(Math.max(...shares));
    const known = isKnown(outputs.at(-1), model.calibration);
    fill(sentence, sentenceOf(t, classes, top, shares[top], picture?.label ?? null, known));
    settle(known ? `${classes[top]}, ${percent(shares[top], 0)}` : t("bars.none"));
  });

  /** Announces the class once nothing has changed for a while, and only if it is another. */
  function settle(text) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (store.get().guessing) return; // it is to be foreseen
      if (text !== announced) announce(t("bars.announce", { text }));
      announced = text;
    }, SETTLED_MS);
  }

  const unsubscribe = store.subscribe((_, changed) => {
    if (SHOWN.some((name) => changed.has(name))) draw();
  });
  draw();
  return {
    destroy() {
      clearTimeout(timer);
      unsubscribe();
    },
  };
}

/** "This network says sneaker, 97.2%. It is right."; or "none of these". */
function sentenceOf(t, classes, top, share, label, known) {
  const nearest = `${classes[top]}${t("unit.comma")}${percent(share)}`;
  const answer = known
    ? [h("strong", {}, nearest)]
    : [
        h("strong", { title: t("bars.none.why") }, t("bars.none")),
        " ",
        h("span", { class: "muted" }, t("bars.nearest", { text: nearest })),
      ];
  const said = [t("verdict.says"), h("span", { class: "number" }, answer)];
  if (label === null || classes[label] === undefined) return [said, t("verdict.end")];
  if (known && label === top) {
    return [said, t("verdict.and"), h("span", { class: "good" }, t("verdict.right"))];
  }
  const truth = h("span", { class: "bad" }, t("verdict.is"), h("strong", {}, classes[label]));
  return [said, t("verdict.but"), truth, t("verdict.end")];
}
