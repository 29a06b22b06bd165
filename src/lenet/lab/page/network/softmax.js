/** From a network's outputs to probabilities. */

/**
 * The probabilities of logits (n): Float64Array (n).
 * @param {Float32Array} logits
 */
export function softmax(logits) {
  return softmaxArithmetic(logits).probabilities;
}

/**
 * From logits (n) to probabilities: {largest, shifted, exponentials, sum, probabilities}.
 *
 * The largest is subtracted first: it changes no quotient, and no exponential overflows.
 * @param {Float32Array} logits
 */
export function softmaxArithmetic(logits) {
  const highest = Math.max(...logits);
  const shifted = Float64Array.from(logits, (logit) => logit - highest);
  const exponentials = shifted.map(Math.exp);
  const sum = exponentials.reduce((all, value) => all + value, 0);
  const probabilities = exponentials.map((value) => value / sum);
  return { largest: highest, shifted, exponentials, sum, probabilities };
}
