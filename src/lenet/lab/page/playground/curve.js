/** The readings of a training as they come; a long one is thinned out, not cut off. */

const MOST = 400; // readings that are kept

/** @typedef {import("lenet/network/training.js").Reading} Reading */

/** @returns {Reading[]} */
export const noReadings = () => [];

/**
 * The readings with one more; of too many, two neighbours become one.
 * @param {Reading[]} readings
 * @param {Reading} reading
 */
export function withReading(readings, reading) {
  const all = [...readings, reading];
  if (all.length <= MOST) return all;
  const half = [all[0]]; // the first weights stay by themselves
  for (let i = 1; i < all.length; i += 2) half.push(merged(all[i], all[i + 1]));
  return half;
}

/** Two readings as one, at the later's place. */
function merged(one, other) {
  if (!other) return one;
  const mean = (key) => {
    const there = [one[key], other[key]].filter((value) => value !== null);
    return there.length === 0 ? null : there.reduce((a, b) => a + b) / there.length;
  };
  return {
    ...other,
    loss: mean("loss"),
    accuracy: mean("accuracy"),
    heldLoss: other.heldLoss ?? one.heldLoss,
    heldAccuracy: other.heldAccuracy ?? one.heldAccuracy,
  };
}

/** The newest value that is there, or null. */
export function newest(readings, key) {
  for (let i = readings.length - 1; i >= 0; i--) {
    if (readings[i][key] !== null) return readings[i][key];
  }
  return null;
}
