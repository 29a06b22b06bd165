/** The plane in which many points of many numbers differ most: principal components. */

const MOST_ROUNDS = 400;
const STILL = 1e-9; // of an axis: what it turned by in the last round, squared

/**
 * @typedef {object} Plane
 * @property {Float64Array} mean of the points (width)
 * @property {Float64Array[]} axes two of length 1, at right angles; each points the way in which
 *   its largest number is positive
 * @property {number[]} shares of the variance, along each axis
 */

/**
 * The plane through the mean of `points` (n·width), along the two directions in which they vary
 * most: the first two principal components, by orthogonal iteration. Where all points are the
 * same, no direction is one of variance, and the shares are 0.
 * @param {Float32Array} points
 * @param {number} width
 * @returns {Plane}
 */
export function principalPlane(points, width) {
  const n = points.length / width;
  const mean = new Float64Array(width);
  for (let i = 0; i < points.length; i += 1) mean[i % width] += points[i] / n;
  const centred = Float64Array.from(points, (value, i) => value - mean[i % width]);
  const total = centred.reduce((sum, value) => sum + value * value, 0);
  /** @type {Float64Array[]} */
  let axes = [0, 1].map((axis) => firstGuess(width, axis));
  let along = [0, 0];
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const turned = axes.map((axis) => spread(centred, width, axis));
    along = turned.map(length);
    const next = orthonormal(turned, axes);
    const moved = next.map((axis, i) => 1 - Math.abs(inner(axis, axes[i])));
    axes = next;
    if (Math.max(...moved) < STILL) break;
  }
  axes = axes.map(facing);
  return { mean, axes, shares: along.map((value) => (total > 0 ? value / total : 0)) };
}

/**
 * Where points (n·width) lie in a plane: n·2, x and y of each.
 * @param {Plane} plane
 * @param {ArrayLike<number>} points
 * @param {number} width
 */
export function placesIn({ mean, axes }, points, width) {
  const places = new Float32Array((points.length / width) * 2);
  for (let i = 0; i * width < points.length; i += 1) {
    axes.forEach((axis, a) => {
      let sum = 0;
      for (let j = 0; j < width; j += 1) sum += axis[j] * (points[i * width + j] - mean[j]);
      places[2 * i + a] = sum;
    });
  }
  return places;
}

/**
 * The numbers of the `count` points (n·width) that are nearest to `point`, the nearest first; in
 * all their numbers, not in a plane.
 * @param {Float32Array} points
 * @param {ArrayLike<number>} point
 * @param {number} count
 */
export function nearestTo(points, point, count) {
  const width = point.length;
  const distances = Float64Array.from({ length: points.length / width }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < width; j += 1) sum += (points[i * width + j] - point[j]) ** 2;
    return sum;
  });
  const order = [...distances.keys()].sort((a, b) => distances[a] - distances[b]);
  return order.slice(0, count);
}

/**
 * The sum over all points of (point · axis) × point: the covariance times the axis, times n.
 * @param {Float64Array} centred
 * @param {number} width
 * @param {Float64Array} axis
 */
function spread(centred, width, axis) {
  const sum = new Float64Array(width);
  for (let start = 0; start < centred.length; start += width) {
    let share = 0;
    for (let j = 0; j < width; j += 1) share += centred[start + j] * axis[j];
    for (let j = 0; j < width; j += 1) sum[j] += share * centred[start + j];
  }
  return sum;
}

/**
 * The two directions at right angles and of length 1; the one before where one has no length.
 * @param {Float64Array[]} directions
 * @param {Float64Array[]} before
 */
function orthonormal([one, other], [oneBefore, otherBefore]) {
  const first = unit(one) ?? oneBefore;
  const less = (by) => by.map((value, i) => value - inner(by, first) * first[i]);
  const second = unit(less(other)) ?? unit(less(otherBefore)) ?? otherBefore;
  return [first, second];
}

/** @param {Float64Array} direction */
function unit(direction) {
  const size = length(direction);
  return size > 0 ? direction.map((value) => value / size) : null;
}

/** @param {Float64Array} axis */
function facing(axis) {
  let most = 0;
  axis.forEach((value, i) => {
    if (Math.abs(value) > Math.abs(axis[most])) most = i;
  });
  return axis[most] < 0 ? axis.map((value) => -value) : axis;
}

/**
 * @param {number} width
 * @param {number} axis
 */
function firstGuess(width, axis) {
  const numbers = Float64Array.from({ length: width }, (_, j) => Math.sin(1 + j * (axis + 1.3)));
  return unit(numbers) ?? numbers;
}

/**
 * @param {Float64Array} a
 * @param {Float64Array} b
 */
const inner = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** @param {Float64Array} a */
const length = (a) => Math.sqrt(inner(a, a));
