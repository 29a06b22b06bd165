/** Shapes of what a layer takes and gives, and where a unit lies in one. */

/** @typedef {{channel: number, row: number, column: number}} Place */

/**
 * The product of numbers; of a shape, how many units it has.
 * @param {number[]} numbers
 */
export function product(numbers) {
  return numbers.reduce((all, number) => all * number, 1);
}

/**
 * A shape as text: "6×28×28".
 * @param {number[]} shape
 */
export function shapeText(shape) {
  return shape.join("×");
}

/**
 * Where a unit lies in an output of this shape: {channel, row, column}.
 * @param {number[]} shape
 * @param {number} unit
 * @returns {Place}
 */
export function place(shape, unit) {
  const [, height = 1, width = 1] = shape;
  return {
    channel: Math.floor(unit / (height * width)),
    row: Math.floor(unit / width) % height,
    column: unit % width,
  };
}

/**
 * The unit at a place: the inverse of `place`.
 * @param {number[]} shape
 * @param {Place} place
 */
export function unitAt(shape, { channel, row, column }) {
  const [, height = 1, width = 1] = shape;
  return (channel * height + row) * width + column;
}
