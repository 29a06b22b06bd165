/** How the maps of a layer are arranged: pure arithmetic of rectangles, in CSS pixels. */

import { isVector } from "lenet/explore/network/units.js";
import { product } from "lenet/network/shapes.js";

const TALL = 372; // of the wide figure at zoom 1: six maps of 28×28 at two pixels a number
const BROAD = 200; // of one layer there
const LOW = 184; // of one layer in the narrow figure

/**
 * The arrangement of one layer: {width, height, tiles, vector, order, strip}.
 *
 * `tiles` are what is drawn: {x, y, width, height, from} where `from` {x, y, width, height} is
 * where the tile lies in a picture of one pixel a unit, `spriteWidth` × `spriteHeight`; `order`
 * says which of its pixels a unit has (null: its own number). `strip` is how many units apart
 * neighbouring rows and columns of a vector are. `bounds` {wide, zoom, width, picture}.
 */
export function arrange(shape, bounds) {
  return isVector(shape) ? arrangeVector(product(shape), bounds) : arrangeMaps(shape, bounds);
}

function arrangeMaps([channels, rows, columns], bounds) {
  const { cell, across, down, gap } = bounds.wide
    ? stacked(channels, rows, columns, bounds)
    : wrapped(channels, rows, columns, bounds);
  const [width, height] = [columns * cell, rows * cell];
  const tiles = Array.from({ length: channels }, (_, channel) => {
    const [i, j] = bounds.wide
      ? [channel % down, Math.floor(channel / down)]
      : [Math.floor(channel / across), channel % across];
    return {
      x: 1 + j * (width + gap),
      y: 1 + i * (height + gap),
      width,
      height,
      from: { x: 0, y: channel * rows, width: columns, height: rows },
    };
  });
  return {
    vector: false,
    width: across * (width + gap) - gap + 2,
    height: down * (height + gap) - gap + 2,
    tiles,
    spriteWidth: columns,
    spriteHeight: channels * rows,
    order: null,
    strip: { row: 1, column: 1 },
  };
}

/** Maps over one another, in as few columns as the height allows. */
function stacked(channels, rows, columns, { zoom, picture }) {
  const height = TALL * zoom;
  const gap = Math.round(5 * zoom);
  const wanted = wantedCell(rows, columns) * (picture ? 1.5 : 1) * zoom;
  for (let cell = Math.max(Math.floor(wanted), 1); ; cell--) {
    const fit = Math.floor((height + gap) / (rows * cell + gap));
    if (fit < 1 && cell > 1) continue;
    const across = Math.ceil(channels / Math.max(fit, 1));
    if (cell > 1 && across > 1 && across * (columns * cell + gap) > BROAD * zoom) continue;
    return { cell, across, down: Math.ceil(channels / across), gap };
  }
}

/** Maps beside one another in rows, as large as a few rows allow. */
function wrapped(channels, rows, columns, { width }) {
  const gap = 5;
  for (let cell = 2 * wantedCell(rows, columns); ; cell--) {
    const fit = Math.floor((width - 2 + gap) / (columns * cell + gap));
    if (cell > 1 && fit < 1) continue;
    const down = Math.ceil(channels / Math.max(fit, 1));
    if (cell > 1 && down * (rows * cell + gap) > LOW) continue;
    return { cell, across: Math.ceil(channels / down), down, gap };
  }
}

/** The side of a number's square at zoom 1: small maps get larger squares. */
function wantedCell(rows, columns) {
  const length = Math.max(rows, columns);
  if (length > 64) return 1;
  return length > 20 ? 2 : length > 12 ? 3 : length > 7 ? 4 : 6;
}

function arrangeVector(units, { wide, zoom, width }) {
  const few = units <= 12;
  let [across, down, cellWidth, cellHeight, gap] = [1, 1, 1, 1, 0];
  if (wide) {
    const height = TALL * zoom;
    across = Math.ceil(units / Math.floor(height / 3));
    down = Math.ceil(units / across);
    gap = few ? Math.round(6 * zoom) : 0;
    cellHeight = Math.max(Math.min(Math.floor((height + gap) / down) - gap, 20 * zoom), 3);
    cellWidth = few ? cellHeight : across === 1 ? Math.round(14 * zoom) : Math.round(8 * zoom);
  } else {
    gap = few ? 4 : 0;
    let side = few ? 28 : 16;
    const rowsOf = () => Math.ceil(units / Math.floor((width - 2 + gap) / (side + gap)));
    while (side > 3 && rowsOf() * side > (few ? 64 : 72)) side--;
    down = rowsOf();
    across = Math.ceil(units / down);
    [cellWidth, cellHeight] = [side, side];
  }
  const pixel = (unit) => (wide ? (unit % down) * across + Math.floor(unit / down) : unit);
  const order = Int32Array.from({ length: units }, (_, unit) => pixel(unit));
  const whole = {
    x: 1,
    y: 1,
    width: across * cellWidth,
    height: down * cellHeight,
    from: { x: 0, y: 0, width: across, height: down },
  };
  const apart = (unit) => {
    const [i, j] = [Math.floor(order[unit] / across), order[unit] % across];
    return {
      x: 1 + j * (cellWidth + gap),
      y: 1 + i * (cellHeight + gap),
      width: cellWidth,
      height: cellHeight,
      from: { x: j, y: i, width: 1, height: 1 },
    };
  };
  return {
    vector: true,
    width: across * (cellWidth + gap) - gap + 2,
    height: down * (cellHeight + gap) - gap + 2,
    tiles: gap > 0 ? Array.from({ length: units }, (_, unit) => apart(unit)) : [whole],
    spriteWidth: across,
    spriteHeight: down,
    order,
    strip: wide ? { row: 1, column: down } : { row: across, column: 1 },
  };
}

/** The rectangle {x, y, width, height} of a unit of a layer. */
export function unitBox(arrangement, shape, unit) {
  const { tiles, vector, order, spriteWidth } = arrangement;
  if (vector && tiles.length > 1) return tiles[unit];
  const pixel = vector ? order[unit] : unit % (shape[1] * shape[2]);
  const tile = vector ? tiles[0] : tiles[Math.floor(unit / (shape[1] * shape[2]))];
  const [i, j] = [Math.floor(pixel / spriteWidth), pixel % spriteWidth];
  return cellsBox(tile, { top: i, left: j, bottom: i + 1, right: j + 1 });
}

/** The rectangle of a region (half-open, in units) of one tile. */
export function cellsBox(tile, { top, left, bottom, right }) {
  const cellWidth = tile.width / tile.from.width;
  const cellHeight = tile.height / tile.from.height;
  return {
    x: tile.x + left * cellWidth,
    y: tile.y + top * cellHeight,
    width: (right - left) * cellWidth,
    height: (bottom - top) * cellHeight,
  };
}

/** The unit at a point of a layer's drawing; null between the maps. */
export function unitAtPoint(arrangement, shape, x, y) {
  const { tiles, vector, order, spriteWidth } = arrangement;
  const at = tiles.findIndex(
    (tile) => x >= tile.x && y >= tile.y && x < tile.x + tile.width && y < tile.y + tile.height,
  );
  if (at < 0) return null;
  const { x: left, y: top, width, height, from } = tiles[at];
  const j = Math.floor(((x - left) / width) * from.width);
  const i = Math.floor(((y - top) / height) * from.height);
  if (!vector) return (at * shape[1] + i) * shape[2] + j;
  if (tiles.length > 1) return at;
  const unit = order.indexOf(i * spriteWidth + j);
  return unit < 0 ? null : unit;
}
