/** The numbers of a widened stage: in its cells where they are large enough, else in a loupe. */

import { css, textOn } from "lenet/colors.js";
import { h } from "lenet/dom.js";
import { unitBox } from "lenet/explore/network/layout.js";
import { cellText, raised, unitOfCells } from "lenet/explore/network/scale.js";

const LEAST = { width: 26, height: 13 }; // of a cell that a number of four glyphs fits in
const ACROSS = 7; // cells of the loupe
const DOWN = 5;
const CELL = { width: 38, height: 22 };
const FOOT = 16; // for the power of ten
const GAP = 10; // between a cell and the loupe

/** Whether a number fits in each of a layer's cells. */
export function fitsNumbers({ tiles }) {
  const [{ width, height, from }] = tiles;
  return width / from.width >= LEAST.width && height / from.height >= LEAST.height;
}

/**
 * Writes the numbers into the cells of a layer that is drawn. `shown` is {arrangement, shape,
 * values, pixels, limit}: `pixels` its colours in the order of the drawing (scale.js).
 */
export function writeNumbers(context, shown) {
  const { arrangement, shape, values, limit } = shown;
  const power = unitOfCells(limit);
  for (let unit = 0; unit < values.length; unit++) {
    write(context, unitBox(arrangement, shape, unit), values[unit], power, colorOf(shown, unit));
  }
}

/** A loupe over the figure: {element, show(panel, unit), hide()}. */
export function createLoupe() {
  const element = h("canvas", { class: "maps-loupe", "aria-hidden": "true", hidden: true });
  const context = element.getContext("2d");

  return {
    element,
    hide: () => {
      element.hidden = true;
    },
    /** The numbers around a unit, beside it in a frame of this width; `ink`, `paper` are CSS. */
    show({ shown, left, top }, unit, { width, ink, paper }) {
      const { arrangement, shape, limit } = shown;
      const power = unitOfCells(limit);
      const around = windowAround(shown, unit);
      const size = {
        width: around.columns * CELL.width,
        height: around.rows * CELL.height + (power === 0 ? 0 : FOOT),
      };
      const ratio = Math.min(globalThis.devicePixelRatio || 1, 3);
      [element.width, element.height] = [size.width * ratio, size.height * ratio];
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = paper;
      context.fillRect(0, 0, size.width, size.height);
      drawWindow(context, shown, around, { unit, power, ink });
      const { x, y } = beside(unitBox(arrangement, shape, unit), size, arrangement, {
        least: -left,
        most: width - left,
      });
      Object.assign(element.style, {
        left: `${left + x}px`,
        top: `${top + y}px`,
        width: `${size.width}px`,
        height: `${size.height}px`,
      });
      element.dataset.unit = unit;
      element.hidden = false;
    },
  };
}

/** The part of a unit's map that the loupe shows: {rows, columns, unitAt(row, column)}. */
function windowAround({ arrangement, shape }, unit) {
  const { vector, order, spriteWidth, spriteHeight } = arrangement;
  const [height, width] = vector ? [spriteHeight, spriteWidth] : [shape[1], shape[2]];
  const first = vector ? 0 : unit - (unit % (height * width));
  const at = vector ? order[unit] : unit - first;
  const [rows, columns] = [Math.min(DOWN, height), Math.min(ACROSS, width)];
  const from = (place, count, all) =>
    Math.min(Math.max(place - Math.floor(count / 2), 0), all - count);
  const top = from(Math.floor(at / width), rows, height);
  const left = from(at % width, columns, width);
  return {
    rows,
    columns,
    /** The unit there, or −1: a strip's last column may be longer than its units. */
    unitAt(row, column) {
      const pixel = (top + row) * width + left + column;
      return vector ? order.indexOf(pixel) : first + pixel;
    },
  };
}

/** The cells of a window, and the unit outlined. */
function drawWindow(context, shown, { rows, columns, unitAt }, { unit, power, ink }) {
  const cells = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const box = { x: j * CELL.width, y: i * CELL.height, ...CELL };
      const other = unitAt(i, j);
      if (other >= 0) cells.push({ other, box, color: colorOf(shown, other) });
    }
  }
  for (const { box, color } of cells) {
    context.fillStyle = css(color);
    context.fillRect(box.x, box.y, box.width, box.height);
  }
  for (const { other, box, color } of cells) {
    write(context, box, shown.values[other], power, color);
  }
  const own = cells.find(({ other }) => other === unit).box;
  context.strokeStyle = textOn(colorOf(shown, unit));
  context.lineWidth = 2;
  context.strokeRect(own.x + 1, own.y + 1, CELL.width - 2, CELL.height - 2);
  if (power === 0) return;
  context.fillStyle = ink;
  const foot = rows * CELL.height + FOOT / 2;
  context.fillText(`·10${raised(power)}`, (columns * CELL.width) / 2, foot);
}

function write(context, { x, y, width, height }, value, power, color) {
  const size = Math.min(Math.floor(height - 4), Math.floor(width / 2.8), 12);
  const font = `${size}px system-ui, sans-serif`;
  if (context.font !== font) context.font = font;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = textOn(color);
  context.fillText(cellText(value, power), x + width / 2, y + height / 2 + 0.5);
}

/**
 * The colour [r, g, b] that a unit is drawn in.
 * @returns {[number, number, number]}
 */
function colorOf({ arrangement, pixels }, unit) {
  const pixel = pixels[arrangement.order === null ? unit : arrangement.order[unit]];
  return [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
}

/**
 * Where a loupe of this size stands: right or left of the cell, over its own layer where that is
 * wide enough, and between `least` and `most` in any case.
 */
function beside(box, size, layer, { least, most }) {
  const right = box.x + box.width + GAP;
  const left = box.x - GAP - size.width;
  const over = right + size.width <= layer.width || left < 0;
  const x = over && right + size.width <= most ? right : Math.max(left, least);
  const y = box.y + box.height / 2 - size.height / 2;
  return { x, y: Math.max(Math.min(y, layer.height - size.height), 0) };
}
