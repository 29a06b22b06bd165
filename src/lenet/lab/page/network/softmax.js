/** From a network's outputs to probabilities. */

/**
 * The probabilities of logits (n) at a temperature: Float64Array (n).
 * @param {Float32Array} logits
 * @param {number} [temperature]
 */
export function softmax(logits, temperature = 1) {
  return softmaxArithmetic(logits, temperature).probabilities;
}

/**
 * Whether a picture is of the classes: log Σ exp(logit) is not below the threshold.
 *
 * The familiarity is that of training/calibration.py; without a threshold every picture is known.
 * @param {Float32Array} logits
 * @param {import("./notes.js").Calibration} calibration
 */
export function isKnown(logits, { threshold }) {
  if (threshold === null) return true;
  const { largest, sum } = softmaxArithmetic(logits);
  return largest + Math.log(sum) >= threshold;
}

/**
 * From logits (n) to probabilities: {largest, shifted, exponentials, sum, probabilities}.
 *
 * The largest is subtracted first: it changes no quotient, and no exponential overflows. What is
 * left is divided by the temperature.
 * @param {Float32Array} logits
 * @param {number} [temperature]
 */
export function softmaxArithmetic(logits, temperature = 1) {
  const highest = Math.max(...logits);
  const shifted = Float64Array.from(logits, (logit) => logit - highest);
  const exponentials = shifted.map((value) => Math.exp(value / temperature));
  const sum = exponentials.reduce((all, value) => all + value, 0);
  const probabilities = exponentials.map((value) => value / sum);
  return { largest: highest, shifted, exponentials, sum, probabilities };
}
