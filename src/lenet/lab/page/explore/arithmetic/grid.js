/** Small tables of numbers with colours; their cells may lead to units. */

import { css, greyColor, paint, sequentialColor, signedColor, textOn } from "lenet/colors.js";
import { h, show } from "lenet/dom.js";
import { gridKeys } from "lenet/explore/network/keys.js";
import { cellText, raised, unitOfCells } from "lenet/explore/network/scale.js";

/** The scales of numbers: signed ones, those that are never negative, a picture's. */
export const COLORS = { signed: signedColor, sequential: sequentialColor, grey: greyColor };

/**
 * A table of rows × columns numbers: {element, update(values, options)}.
 *
 * `update(values, {limit, inside, units, names, marked})`: `limit` ends the scale; cells that are
 * not `inside` are padding; with `units` each cell is a button for the unit of this number
 * (data-go), called by `names(i)`; `marked` is a set of cells to be outlined. `scale` is one of
 * COLORS.
 */
export function numberGrid(rows, columns, { label, pressable = false, scale = "signed" }) {
  const colorOf = COLORS[scale];
  const cells = Array.from({ length: rows * columns }, () => createCell(pressable, colorOf));
  const lines = Array.from({ length: rows }, (_, row) =>
    h(
      "tr",
      {},
      cells.slice(row * columns, (row + 1) * columns).map((cell) => cell.element),
    ),
  );
  const caption = h("caption", {}, label);
  const element = h("table", { class: "grid number" }, caption, h("tbody", {}, lines));
  if (pressable) gridKeys(element);
  return {
    element,
    /**
     * @param {ArrayLike<number>} values
     * @param {{limit: number, inside?: Uint8Array | null, units?: ((i: number) => number) | null,
     *   names?: ((i: number) => string) | null, marked?: Set<number> | null, title?: string}} shown
     */
    update(values, { limit, inside, units, names, marked, title = label }) {
      const power = unitOfCells(limit);
      const text = power === 0 ? title : `${title} ·10${raised(power)}`;
      if (caption.textContent !== text) caption.textContent = text;
      cells.forEach((cell, i) => {
        cell.update(values[i], limit, power, {
          padding: inside ? inside[i] === 0 : false,
          unit: units ? units(i) : null,
          name: names && !cell.named(units(i)) ? names(i) : null,
          marked: marked ? marked.has(i) : false,
        });
      });
      if (pressable) keepOneTabStop(cells);
    },
  };
}

/** Of the cells that can be pressed one is in the order of the tab key. */
function keepOneTabStop(cells) {
  const usable = cells.filter((cell) => !cell.button.disabled);
  if (usable.some((cell) => cell.button.tabIndex === 0)) return;
  if (usable.length > 0) usable[0].button.tabIndex = 0;
}

function createCell(pressable, colorOf) {
  const button = pressable ? h("button", { tabindex: "-1" }) : null;
  const element = h("td", {}, button);
  const target = button ?? element;
  let shown = { text: null, color: null, unit: null };

  return {
    element,
    button,
    named: (unit) => shown.unit === unit,
    update(value, limit, power, { padding, unit, name, marked }) {
      const text = padding ? "·" : cellText(value, power);
      const rgb = colorOf(padding ? 0 : value, limit);
      const color = css(rgb);
      if (text !== shown.text) target.textContent = text;
      if (color !== shown.color) {
        target.style.backgroundColor = color;
        target.style.color = textOn(rgb);
      }
      if (button) {
        const disabled = padding || unit === null;
        if (button.disabled !== disabled) button.disabled = disabled;
        if (unit !== null && unit !== shown.unit) button.dataset.go = unit;
        if (name !== null) button.title = name;
        if (button.disabled) button.tabIndex = -1;
      }
      element.classList.toggle("padding", padding);
      element.classList.toggle("marked", marked);
      shown = { text, color, unit };
    },
  };
}

/** The same numbers as a small picture without text: {element, update(values, limit)}. */
export function miniGrid(rows, columns, { scale = "signed" } = {}) {
  const element = h("canvas", { class: "mini", "aria-hidden": "true" });
  element.style.width = `${Math.min(Math.max(columns * 5, 15), 25)}px`;
  element.style.height = `${Math.min(Math.max(rows * 5, 15), 25)}px`;
  return {
    element,
    update(values, limit) {
      const finite = Float32Array.from(values, (value) => (Number.isFinite(value) ? value : 0));
      paint(element, finite, rows, columns, COLORS[scale], limit);
    },
  };
}

/** A number in a line of text: with its full value in `data-…`, for tests and copying. */
export function exact(name, value, decimals = 4) {
  return h("span", { class: "number", [`data-${name}`]: String(value) }, show(value, decimals));
}

/** A number in parentheses where it is negative, to stand behind an operator. */
export function operand(value, decimals = 4) {
  const text = show(value, decimals);
  return text.startsWith("−") ? `(${text})` : text;
}
