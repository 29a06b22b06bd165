/** The links between the stages as lines: orange for the class, blue against it. */

import { fill, h } from "lenet/dom.js";
import { linksInto } from "lenet/explore/network/flow.js";
import { unitBox } from "lenet/explore/network/layout.js";
import { isVector, validUnit } from "lenet/explore/network/units.js";
import { gradients } from "lenet/network/gradient.js";

const MOST_MACS = 4e6; // of a network whose links are computed: a larger one would stop the page
const SETTLED_MS = 160; // without a new result before the links are computed

/**
 * The lines {element, button, show(panels, stages), renew(), forget(), destroy}.
 *
 * `show` draws what is known between the panels that are seen (null: no lines), `renew` computes it
 * anew in a moment.
 */
export function createStreams({ store, t, memory }) {
  const element = h("g", { class: "maps-streams" });
  const name = h("strong");
  const button = h("button", { class: "small maps-flow", onclick: toggle });
  fill(button, t("flow.to"), " ", name);
  button.title = t("flow.why");
  let links = new Map(); // layer → its links
  let shown = null; // {panels, stages}
  let timer = 0;

  function toggle() {
    memory.flow = memory.flow === false;
    draw();
  }

  /** The class that is looked at: the one pointed at, else the most probable. */
  function target({ outputs, traced, unit }) {
    const pointed = validUnit(traced, unit);
    if (pointed?.layer === traced.length - 1) return pointed.index;
    return outputs.at(-1).indexOf(Math.max(...outputs.at(-1)));
  }

  function renew() {
    clearTimeout(timer);
    timer = setTimeout(compute, SETTLED_MS);
  }

  function compute() {
    const state = store.get();
    const { model, traced, weights, gates, input, outputs } = state;
    links = new Map();
    if (!shown || !model || !input || outputs?.length !== traced.length) return;
    const small = traced.reduce((sum, row) => sum + row.macs, 0) <= MOST_MACS;
    if (small) {
      const wanted = target(state);
      const [unit, options] = [
        { layer: traced.length - 1, unit: wanted },
        { traced, gates },
      ];
      const slopes = gradients(model.network, weights, input, outputs, unit, options);
      for (const { sum } of shown.stages.slice(1)) {
        const x = sum === 0 ? input : outputs[sum - 1];
        const flattened = sum > 0 && traced[sum - 1].type === "Flatten";
        const maps = flattened ? traced[sum - 1].inputShape[0] : 0;
        links.set(sum, linksInto(traced[sum], weights, x, outputs[sum], slopes[sum + 1], maps));
      }
      name.textContent = model.network.classes[wanted];
    }
    draw();
  }

  function draw() {
    const on = memory.flow !== false;
    button.setAttribute("aria-pressed", String(on));
    button.hidden = !shown || links.size === 0;
    if (!on || !shown) return void fill(element);
    const { panels, stages } = shown;
    const seenOf = (stage) => stage.layers.map((layer) => panels.get(layer)).find(Boolean);
    const lines = [];
    for (let i = 1; i < stages.length; i++) {
      const [from, to] = [seenOf(stages[i - 1]), seenOf(stages[i])];
      if (!from || !to) continue;
      for (const link of links.get(stages[i].sum) ?? []) lines.push(line(from, to, link));
    }
    fill(element, lines);
  }

  return {
    element,
    button,
    show(panels, stages) {
      shown = panels === null ? null : { panels, stages };
      draw();
    },
    renew,
    /** Another network: what is known is not of it. */
    forget() {
      clearTimeout(timer);
      [links, shown] = [new Map(), null];
      draw();
    },
    destroy: () => clearTimeout(timer),
  };
}

/** One line, from the right edge of a stage to the left edge of the next. */
function line(from, to, { from: source, to: sink, share }) {
  const [a, b] = [middleOf(from, source), middleOf(to, sink)];
  const left = from.left + from.arrangement.width;
  const right = to.left;
  const bend = (right - left) / 2;
  const size = Math.abs(share);
  return h("path", {
    d: `M${left} ${a}C${left + bend} ${a} ${right - bend} ${b} ${right} ${b}`,
    class: share < 0 ? "against" : "for",
    "stroke-width": (0.5 + 3 * size).toFixed(2),
    "stroke-opacity": (0.12 + 0.6 * size).toFixed(2),
  });
}

/** How far down a channel, or a unit of a vector, stands. */
function middleOf({ arrangement, shape, top }, channel) {
  const box = isVector(shape) ? unitBox(arrangement, shape, channel) : arrangement.tiles[channel];
  return top + box.y + box.height / 2;
}
