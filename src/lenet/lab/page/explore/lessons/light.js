/** What a lesson's step lights up: parts of Explore, or a stage of the network. */

import { stagesOf } from "lenet/explore/network/stages.js";
import { rowOf } from "lenet/explore/lessons/goals.js";

const LIT = "lit";
const PARTS = {
  picture: ".maps-slot",
  draw: ".headline-draw",
  verdict: ".verdict-part",
  classes: ".bars",
  network: ".part-maps",
  lens: ".part-lens",
  time: ".timeline",
  menu: ".part-model",
  link: ".link",
};

/** Lights up what is named in `root`, and nothing else. */
export function lightUp(root, names, { traced }) {
  const wanted = new Set();
  for (const name of names) {
    for (const selector of selectorsOf(name, traced)) {
      for (const element of root.querySelectorAll(selector)) wanted.add(element);
    }
  }
  for (const element of root.querySelectorAll(`.${LIT}`)) {
    if (!wanted.has(element)) element.classList.remove(LIT);
  }
  for (const element of wanted) element.classList.add(LIT);
}

/** Nothing is lit any more. */
export function putOut(root) {
  for (const element of root.querySelectorAll(`.${LIT}`)) element.classList.remove(LIT);
}

function selectorsOf(name, traced) {
  if (Object.hasOwn(PARTS, name)) return [PARTS[name]];
  if (!traced) return [];
  const row = rowOf(traced, name);
  const stage = stagesOf(traced).find(({ layers }) => layers.includes(row));
  return (stage?.layers ?? []).map((layer) => `.maps-layer[data-layer="${layer}"]`);
}
