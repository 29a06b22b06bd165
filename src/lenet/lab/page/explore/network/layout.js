/** How the maps of a layer are arranged: pure arithmetic of rectangles, in CSS pixels. */

import { isVector } from "lenet/explore/network/units.js";
import { product } from "lenet/network/shapes.js";

const GAP = 5; // between two maps
const SCALES = [4, 3.5, 3, 2.5, 2, 1.75, 1.5, 1.25, 1, 0.85, 0.7, 0.5, 0.35];
const LARGE = Array.from({ length: 33 }, (_, i) => 8 - i / 4); // of a widened layer
const FEW = 12; // units of a vector at most that are drawn apart
const LOW = 184; // of one layer in the narrow figure

/**
 * The arrangement of one layer: {width, height, tiles, vector, order, strip}.
 *
 * `tiles` are what is drawn: {x, y, width, height, from} where `from` {x, y, width, height} is
 * where the tile lies in a picture of one pixel a unit, `spriteWidth` × `spriteHeight`; `order`
 * says which of its pixels a unit has (null: its own number). `strip` is how many units apart
 * neighbouring rows and columns of a vector are. `bounds` is {height, scale}, for a layer that
 * stands beside others, or {width}, for one that has the page's width.
 */
export function arrange(shape, bounds) {
  return isVector(shape) ? arrangeVector(product(shape), bounds) : arrangeMaps(shape, bounds);
}

/** The picture in one square tile for each channel, as large as the width and height take. */
export function arrangePicture([channels, rows, columns], width, height) {
  const fits = Math.min((width - 2) / columns, (height - 2) / (rows * channels));
  const cell = fits >= 1 ? Math.floor(fits) : fits;
  return mapsOf([channels, rows, columns], { cell, across: 1, down: channels, byColumn: true });
}

/**
 * The bounds for layers beside one another, `{height, scale}` each: as large as fits a figure of
 * this width and height. `least` is the width of a layer's label, `space` what lies between two.
 * The layer `widened` gets what the others can spare, until its cells have twice the side that
 * they have `usual`ly.
 */
export function besideOneAnother(
  shapes,
  { width, height, least, space, widened = null, usual = 0 },
) {
  const room = width - space * (shapes.length - 1);
  const widthAt = (i, scale) => Math.max(arrange(shapes[i], { height, scale }).width, least[i]);
  const total = (scale) => {
    return shapes.reduce((sum, _, i) => sum + (i === widened ? 0 : widthAt(i, scale)), 0);
  };
  const smallest = SCALES.at(-1);
  if (widened === null) {
    const scale = SCALES.find((each) => total(each) <= room);
    if (scale === undefined) {
      return { fits: false, bounds: shapes.map(() => ({ height, scale: smallest })) };
    }
    const scales = grown(
      shapes.map(() => scale),
      widthAt,
      room,
    );
    return { fits: true, bounds: scales.map((each) => ({ height, scale: each })) };
  }
  let best = { scale: smallest, its: smallest, cell: 0 };
  for (const scale of SCALES) {
    const left = room - total(scale);
    const its = LARGE.find((each) => widthAt(widened, each) <= left);
    if (its === undefined) continue;
    const cell = cellOf(arrange(shapes[widened], { height, scale: its }));
    if (cell > best.cell) best = { scale, its, cell };
    if (cell >= 2 * usual) break;
  }
  const bounds = shapes.map((_, i) => ({ height, scale: i === widened ? best.its : best.scale }));
  return { fits: best.cell > 0, bounds };
}

/** The side of a number's cell, in pixels. */
export function cellOf({ tiles }) {
  const [{ width, height, from }] = tiles;
  return Math.sqrt((width * height) / (from.width * from.height));
}

/** The scales, one after the other larger as long as all fit the room. */
function grown(scales, widthAt, room) {
  const now = [...scales];
  const sum = () => now.reduce((so, scale, i) => so + widthAt(i, scale), 0);
  for (let grew = true; grew; ) {
    grew = false;
    for (let i = 0; i < now.length; i++) {
      const larger = SCALES[SCALES.indexOf(now[i]) - 1];
      if (larger === undefined || larger > 2 * scales[i]) continue;
      const before = now[i];
      now[i] = larger;
      if (sum() <= room) grew = true;
      else now[i] = before;
    }
  }
  return now;
}

function arrangeMaps(shape, bounds) {
  return mapsOf(shape, bounds.height ? stacked(shape, bounds) : wrapped(shape, bounds));
}

function mapsOf([channels, rows, columns], { cell, across, down, byColumn }) {
  const [width, height] = [columns * cell, rows * cell];
  const tiles = Array.from({ length: channels }, (_, channel) => {
    const [i, j] = byColumn
      ? [channel % down, Math.floor(channel / down)]
      : [Math.floor(channel / across), channel % across];
    return {
      x: 1 + j * (width + GAP),
      y: 1 + i * (height + GAP),
      width,
      height,
      from: { x: 0, y: channel * rows, width: columns, height: rows },
    };
  });
  return {
    vector: false,
    width: across * (width + GAP) - GAP + 2,
    height: down * (height + GAP) - GAP + 2,
    tiles,
    spriteWidth: columns,
    spriteHeight: channels * rows,
    order: null,
    strip: { row: 1, column: 1 },
  };
}

/** Maps over one another, in as few columns as the height allows. */
function stacked([channels, rows, columns], { height, scale }) {
  const wanted = Math.floor(wantedCell(rows, columns) * scale);
  for (let cell = Math.max(wanted, 1); ; cell--) {
    const fit = Math.floor((height - 2 + GAP) / (rows * cell + GAP));
    if (fit < 1 && cell > 1) continue;
    const across = Math.ceil(channels / Math.max(fit, 1));
    return { cell, across, down: Math.ceil(channels / across), byColumn: true };
  }
}

/** Maps beside one another in rows, as large as a few rows allow. */
function wrapped([channels, rows, columns], { width }) {
  for (let cell = 2 * wantedCell(rows, columns); ; cell--) {
    const fit = Math.floor((width - 2 + GAP) / (columns * cell + GAP));
    if (cell > 1 && fit < 1) continue;
    const down = Math.ceil(channels / Math.max(fit, 1));
    if (cell > 1 && down * (rows * cell + GAP) > LOW) continue;
    return { cell, across: Math.ceil(channels / down), down, byColumn: false };
  }
}

/** The side of a number's square at scale 1: small maps get larger squares. */
function wantedCell(rows, columns) {
  const length = Math.max(rows, columns);
  if (length > 64) return 1;
  return length > 20 ? 2 : length > 12 ? 3 : length > 7 ? 4 : 6;
}

function arrangeVector(units, bounds) {
  const beside = bounds.height !== undefined;
  const { across, down, cellWidth, cellHeight, gap } = beside
    ? strips(units, bounds)
    : rowsOfUnits(units, bounds);
  const pixel = (unit) => (beside ? (unit % down) * across + Math.floor(unit / down) : unit);
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
    strip: beside ? { row: 1, column: down } : { row: across, column: 1 },
  };
}

/** Units over one another, in as few columns as the height allows. */
function strips(units, { height, scale }) {
  if (units <= FEW) {
    const pitch = Math.min(Math.floor((height - 2) / units), 40);
    const gap = Math.max(Math.round(pitch / 4), 1);
    const side = Math.max(pitch - gap, 3);
    return { across: 1, down: units, cellWidth: side, cellHeight: side, gap };
  }
  const least = Math.min(Math.max(Math.round(3 * scale), 3), 16);
  const across = Math.ceil(units / Math.max(Math.floor((height - 2) / least), 1));
  const down = Math.ceil(units / across);
  const cellHeight = Math.max(Math.min(Math.floor((height - 2) / down), 16), 3);
  const wide = Math.round((across === 1 ? 16 : 10) * Math.min(Math.max(scale, 0.6), 3));
  return { across, down, cellWidth: Math.max(wide, 4), cellHeight, gap: 0 };
}

/** Units in rows from left to right. */
function rowsOfUnits(units, { width }) {
  const few = units <= FEW;
  const gap = few ? 4 : 0;
  let side = few ? 28 : 16;
  const count = () => Math.ceil(units / Math.floor((width - 2 + gap) / (side + gap)));
  while (side > 3 && count() * side > (few ? 64 : 72)) side--;
  const down = count();
  return { across: Math.ceil(units / down), down, cellWidth: side, cellHeight: side, gap };
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
