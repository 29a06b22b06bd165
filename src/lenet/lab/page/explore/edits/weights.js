/** Changing weights: one number of a kernel, or the kernel as a whole. */

import { css, largest, legend, paint, signedColor, textOn } from "lenet/colors.js";
import { fill, h, show } from "lenet/dom.js";
import {
  KERNEL_CHANGES,
  kernelOf,
  kernelStart,
  weightsBehind,
  weightView,
  withKernels,
  withNumbers,
} from "lenet/explore/edits/edits.js";
import { cellText } from "lenet/explore/network/scale.js";
import { place } from "lenet/network/shapes.js";

const NUMBERED = 7; // rows and columns of a kernel at most that is shown as a table of numbers

/** The editor in `root`: {destroy}. It follows the pinned unit. */
export function mountWeights(root, { t, store, memory, edit, settle }) {
  const kept = (memory.weights ??= { layer: null, output: 0, input: 0, cell: 0 });
  let view = null;
  let limit = 1; // of the scale, from the trained weights of the layer

  const select = (key, name) => {
    const control = h("select", { onchange: () => choose({ [name]: Number(control.value) }) });
    return { control, field: h("label", { class: "field" }, h("span", {}, t(key)), control) };
  };
  const layer = select("weights.layer", "layer");
  const output = select("weights.output", "output");
  const input = select("weights.input", "input");
  const kernel = h("div", { class: "kernel-grid" });
  const scale = h("div", {});
  const number = h("input", {
    type: "number",
    step: "any",
    class: "number",
    oninput: () => type(number),
    onchange: settle,
  });
  const slider = h("input", {
    type: "range",
    step: "any",
    oninput: () => type(slider),
    onchange: settle,
  });
  slider.setAttribute("aria-label", t("weights.slider"));
  const trained = h("span", { class: "muted number" });
  const cellName = h("span", {});
  const bias = h("input", {
    type: "number",
    step: "any",
    class: "number",
    oninput: typeBias,
    onchange: settle,
  });
  const biasTrained = h("span", { class: "muted number" });
  const all = h("input", { type: "checkbox" });
  const allField = h("label", { class: "tick" }, all, t("weights.all"));
  const changes = Object.fromEntries(
    Object.keys(KERNEL_CHANGES).map((name) => [
      name,
      h("button", { type: "button", onclick: () => changeKernel(name) }, t(`weights.${name}`)),
    ]),
  );
  const nothing = h("p", { class: "muted", hidden: true }, t("weights.nothing"));
  const body = h(
    "div",
    { class: "weights" },
    h("div", { class: "pick-tools" }, layer.field, input.field, output.field),
    h("div", { class: "kernel-row" }, kernel, scale),
    h(
      "div",
      { class: "weight-value" },
      h("label", { class: "field" }, h("span", {}, cellName), number),
      slider,
      trained,
    ),
    h("div", { class: "buttons kernel-changes" }, Object.values(changes)),
    allField,
    h(
      "div",
      { class: "weight-value" },
      h("label", { class: "field" }, h("span", {}, t("weights.bias")), bias),
      biasTrained,
    ),
  );
  fill(root, body, nothing);

  function choose(patch) {
    Object.assign(kept, patch.layer === undefined ? {} : { output: 0, input: 0, cell: 0 }, patch);
    build();
  }

  /** Shows the choices of the model's layer and its kernel. */
  function build() {
    const { model, traced } = store.get();
    const views = traced.map((_, index) => weightView(traced, index)).filter(Boolean);
    body.hidden = views.length === 0;
    nothing.hidden = views.length > 0;
    if (views.length === 0) return;
    view = views.find((one) => one.layer === kept.layer) ?? views[0];
    kept.layer = view.layer;
    kept.output = Math.min(kept.output, view.outputs - 1);
    if (!view.connected(kept.output, kept.input)) {
      kept.input = [...Array(view.inputs).keys()].find((i) => view.connected(kept.output, i)) ?? 0;
    }
    kept.input = Math.min(kept.input, view.inputs - 1);
    kept.cell = Math.min(kept.cell, view.rows * view.columns - 1);
    options(
      layer,
      views.map((one) => [one.layer, name(traced[one.layer])]),
      view.layer,
    );
    options(output, numbers(view.outputs), kept.output);
    const inputs = numbers(view.inputs).filter(([i]) => view.connected(kept.output, i));
    options(input, inputs, kept.input);
    input.field.hidden = view.inputs < 2;
    allField.hidden = view.inputs < 2;
    limit = largest(model.weights.get(view.name).data);
    slider.min = -2 * limit;
    slider.max = 2 * limit;
    fill(scale, legend(limit));
    const flat = view.rows * view.columns === 1;
    for (const [key, button] of Object.entries(changes)) {
      const still = flat && key !== "negate" && key !== "zero";
      button.disabled = still || (key === "rotate" && view.rows !== view.columns);
    }
    kernel.replaceChildren();
    update();
  }

  function name({ index, stage, type }) {
    return [index, stage, type].filter((part) => part !== "").join(" · ");
  }

  function numbers(count) {
    return Array.from({ length: count }, (_, i) => [i, i]);
  }

  function options({ control }, entries, value) {
    fill(
      control,
      entries.map(([key, text]) => h("option", { value: key }, text)),
    );
    control.value = value;
  }

  /** Shows the numbers as they are now. */
  function update() {
    if (!view) return;
    const { base, weights } = store.get();
    const now = kernelOf(weights, view, kept.output, kept.input);
    const was = kernelOf(base, view, kept.output, kept.input);
    if (now.length === 1) kernel.replaceChildren();
    else if (Math.max(view.rows, view.columns) <= NUMBERED) showTable(now, was);
    else showPicture(now);
    const [row, column] = [Math.floor(kept.cell / view.columns), kept.cell % view.columns];
    cellName.textContent =
      now.length === 1 ? t("weights.weight") : t("weights.cell", { row, column });
    write(number, now[kept.cell]);
    slider.value = now[kept.cell];
    trained.textContent = t("weights.trained", { value: show(was[kept.cell], 4) });
    const biases = weights.get(view.bias).data;
    bias.closest(".weight-value").hidden = biases.length !== view.outputs; // one a unit
    write(bias, biases[kept.output]);
    const biasWas = base.get(view.bias).data[kept.output];
    biasTrained.textContent = t("weights.trained", { value: show(biasWas, 4) });
  }

  function write(field, value) {
    if (Math.fround(Number(field.value)) === value && field.value !== "") return; // as it was typed
    field.value = Number(value.toPrecision(6));
  }

  function showTable(now, was) {
    if (kernel.children.length !== now.length) {
      kernel.className = "kernel-grid table";
      kernel.setAttribute("role", "group");
      kernel.setAttribute("aria-label", t("weights.kernel"));
      kernel.style.gridTemplateColumns = `repeat(${view.columns}, minmax(24px, 46px))`;
      fill(
        kernel,
        [...now].map((_, cell) =>
          h("button", {
            type: "button",
            class: "cell number",
            onclick: () => pick(cell),
            onkeydown: (event) => walk(event, cell),
          }),
        ),
      );
    }
    [...kernel.children].forEach((cell, i) => {
      const color = signedColor(now[i], limit);
      cell.style.background = css(color);
      cell.style.color = textOn(color);
      cell.textContent = cellText(now[i]);
      cell.tabIndex = i === kept.cell ? 0 : -1;
      cell.classList.toggle("chosen", i === kept.cell);
      cell.classList.toggle("changed", now[i] !== was[i]);
      const [row, column] = [Math.floor(i / view.columns), i % view.columns];
      cell.setAttribute("aria-label", `${t("weights.cell", { row, column })}: ${show(now[i], 4)}`);
      cell.setAttribute("aria-current", i === kept.cell);
    });
  }

  function showPicture(now) {
    let canvas = kernel.querySelector("canvas");
    if (!canvas) {
      kernel.className = "kernel-grid picture-kernel";
      kernel.style.gridTemplateColumns = "";
      canvas = h("canvas", {
        tabindex: "0",
        role: "img",
        onpointerdown: pickAt,
        onkeydown: (event) => walk(event, kept.cell),
      });
      fill(kernel, canvas, h("div", { class: "kernel-mark" }));
    }
    paint(canvas, now, view.rows, view.columns, signedColor, limit);
    canvas.setAttribute("aria-label", t("weights.kernel-keys"));
    const mark = kernel.lastChild;
    mark.style.left = `${(100 * (kept.cell % view.columns)) / view.columns}%`;
    mark.style.top = `${(100 * Math.floor(kept.cell / view.columns)) / view.rows}%`;
    mark.style.width = `${100 / view.columns}%`;
    mark.style.height = `${100 / view.rows}%`;
  }

  function pickAt(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * view.columns);
    const y = Math.floor(((event.clientY - box.top) / box.height) * view.rows);
    pick(Math.min(y, view.rows - 1) * view.columns + Math.min(x, view.columns - 1));
  }

  function pick(cell) {
    settle();
    kept.cell = cell;
    update();
  }

  function walk(event, cell) {
    const [row, column] = [Math.floor(cell / view.columns), cell % view.columns];
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    if (to[0] < 0 || to[0] >= view.rows || to[1] < 0 || to[1] >= view.columns) return;
    pick(to[0] * view.columns + to[1]);
    kernel.querySelector('[aria-current="true"]')?.focus();
  }

  // --- changes

  function type(field) {
    const value = Number(field.value);
    if (field.value === "" || !Number.isFinite(value)) return;
    const start = kernelStart(view, kept.output, kept.input) + kept.cell;
    const weights = withNumbers(store.get().weights, view.name, start, [value]);
    edit({ weights }, `${view.name}:${start}`);
  }

  function typeBias() {
    const value = Number(bias.value);
    if (bias.value === "" || !Number.isFinite(value)) return;
    const weights = withNumbers(store.get().weights, view.bias, kept.output, [value]);
    edit({ weights }, `${view.bias}:${kept.output}`);
  }

  function changeKernel(name) {
    const every = [...Array(view.inputs).keys()].filter((i) => view.connected(kept.output, i));
    const inputs = all.checked ? every : [kept.input];
    const { weights } = store.get();
    edit({ weights: withKernels(weights, view, kept.output, inputs, KERNEL_CHANGES[name]) });
  }

  const unsubscribe = store.subscribe((state, changed) => {
    if (!state.model) return;
    if (changed.has("model")) build();
    else if ((changed.has("unit") || changed.has("pinned")) && state.pinned && state.unit) {
      follow(state);
    } else if (changed.has("weights")) update();
  });

  /** Goes to the kernels that the pinned unit's number comes from. */
  function follow({ traced, unit: { layer: at, index } }) {
    if (at < 0) return;
    const { channel } = place(traced[at].outputShape, index);
    const found = weightsBehind(traced, { layer: at, channel });
    if (!found || (found.layer === kept.layer && found.output === kept.output)) return;
    settle();
    choose(found.layer === kept.layer ? { output: found.output } : found);
  }

  return { destroy: unsubscribe };
}
