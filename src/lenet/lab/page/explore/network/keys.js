/** What keys do among units and in tables of numbers. */

import { inLayer, isVector, moved, shapeOf } from "lenet/explore/network/units.js";
import { place, product, unitAt } from "lenet/network/shapes.js";

const ARROWS = {
  ArrowUp: { row: -1 },
  ArrowDown: { row: 1 },
  ArrowLeft: { column: -1 },
  ArrowRight: { column: 1 },
};
const CHANNELS = { PageUp: -1, "[": -1, PageDown: 1, "]": 1 };

/**
 * The unit that a key leads to from another; null where the key means nothing here.
 *
 * Arrows: the neighbour; with Shift or Alt the layer before or behind; PageUp, PageDown, [ and ]:
 * the channel; Home and End: the first and the last of the map.
 */
export function moveByKey(traced, unit, event, strip) {
  if (event.ctrlKey || event.metaKey) return null;
  const arrow = ARROWS[event.key];
  if (arrow && (event.shiftKey || event.altKey)) {
    const layers = arrow.row ?? arrow.column;
    return inLayer(traced, unit, unit.layer + layers);
  }
  if (arrow) return moved(traced, unit, arrow, strip);
  if (event.key in CHANNELS) return moved(traced, unit, { channel: CHANNELS[event.key] });
  if (event.key === "Home" || event.key === "End") return endOfMap(traced, unit, event.key);
  return null;
}

function endOfMap(traced, { layer, index }, key) {
  const shape = shapeOf(traced, layer);
  if (isVector(shape)) return { layer, index: key === "Home" ? 0 : product(shape) - 1 };
  const { channel } = place(shape, index);
  const [, height, width] = shape;
  const [row, column] = key === "Home" ? [0, 0] : [height - 1, width - 1];
  return { layer, index: unitAt(shape, { channel, row, column }) };
}

/** Lets the arrow keys move the focus among a table's cells that can be pressed. */
export function gridKeys(table) {
  table.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    const cell = event.target.closest("td");
    if (!arrow || !cell) return;
    event.preventDefault();
    const next = neighbour(table, cell, arrow);
    if (!next) return;
    for (const button of table.querySelectorAll("button")) button.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

/** The next cell in a direction that can be pressed; null at the edge. */
function neighbour(table, cell, { row = 0, column = 0 }) {
  let [i, j] = [cell.parentElement.rowIndex, cell.cellIndex];
  for (;;) {
    [i, j] = [i + row, j + column];
    const found = table.rows[i]?.cells[j];
    if (!found) return null;
    const button = found.querySelector("button");
    if (button && !button.disabled) return button;
  }
}
