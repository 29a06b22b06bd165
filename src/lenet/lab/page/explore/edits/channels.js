/** Switching maps and units off. */

import { fill, h } from "lenet/dom.js";
import { gateable, parseNumbers, showNumbers, withGate } from "lenet/explore/edits/edits.js";

const BOXES = 32; // channels at most that get a box each; more are named by their numbers

/** The switches in `root`: {destroy}. */
export function mountChannels(root, { t, store, edit }) {
  let rows = []; // functions that show a layer's gate

  function build() {
    const layers = gateable(store.get().traced);
    rows = [];
    fill(
      root,
      layers.length === 0 && h("p", { class: "muted" }, t("channels.none")),
      layers.map((one) => (one.channels <= BOXES ? boxes(one) : field(one))),
    );
    update();
  }

  function gateOf({ layer, channels }) {
    return store.get().gates?.get(layer) ?? new Uint8Array(channels).fill(1);
  }

  function set({ layer }, gate) {
    edit({ gates: withGate(store.get().gates, layer, gate) });
  }

  function title({ layer, after, stage, channels }) {
    const { traced } = store.get();
    const maps = traced[layer].outputShape.length === 3;
    const name = stage || `${after}`;
    const key = maps ? "channels.maps" : "channels.units";
    return t(key, { name, channels }) + behind(traced, layer, after);
  }

  function behind(traced, layer, after) {
    return layer === after ? "" : t("channels.behind", { type: traced[layer].type, layer });
  }

  /** A box for each channel; on is ticked. */
  function boxes(one) {
    const inputs = Array.from({ length: one.channels }, (_, channel) =>
      h("input", {
        type: "checkbox",
        onchange: () => {
          const gate = gateOf(one).slice();
          gate[channel] = inputs[channel].checked ? 1 : 0;
          set(one, gate);
        },
      }),
    );
    rows.push(() => {
      const gate = gateOf(one);
      inputs.forEach((input, channel) => (input.checked = gate[channel] !== 0));
    });
    return h(
      "fieldset",
      { class: "gates" },
      h("legend", { class: "muted small" }, title(one)),
      inputs.map((input, channel) =>
        h("label", { class: "tick number" }, input, h("span", {}, channel)),
      ),
    );
  }

  /** A field with the numbers of those that are off. */
  function field(one) {
    const problem = h("span", { class: "failure small", role: "alert" });
    const input = h("input", {
      type: "text",
      class: "number",
      placeholder: "3, 7, 10–20",
      spellcheck: "false",
      onchange: () => {
        const off = parseNumbers(input.value, one.channels);
        input.setAttribute("aria-invalid", off === null);
        problem.textContent = off ? "" : t("channels.wrong", { last: one.channels - 1 });
        if (!off) return;
        set(
          one,
          Uint8Array.from({ length: one.channels }, (_, i) => (off.has(i) ? 0 : 1)),
        );
      },
    });
    rows.push(() => {
      const gate = gateOf(one);
      input.value = showNumbers([...gate.keys()].filter((i) => gate[i] === 0));
      input.setAttribute("aria-invalid", "false");
      problem.textContent = "";
    });
    return h(
      "label",
      { class: "field gates" },
      h("span", {}, t("channels.off", { title: title(one) })),
      input,
      problem,
    );
  }

  function update() {
    for (const show of rows) show();
  }

  const unsubscribe = store.subscribe(({ model }, changed) => {
    if (!model) return;
    if (changed.has("model")) build();
    else if (changed.has("gates")) update();
  });

  return { destroy: unsubscribe };
}
