/** Which numbers of a layer's input lie in a window. */

/**
 * Calls visit(unit, channel, positions of x in its window, their number) for each window.
 * @param {import("./trace.js").TracedLayer} row
 * @param {(unit: number, channel: number, window: Int32Array, count: number) => void} visit
 */
export function eachWindow({ layer, inputShape, outputShape }, visit) {
  const [, height, width] = inputShape;
  const [channels, rows, columns] = outputShape;
  const { kernel_size: k, stride, padding } = layer;
  const window = new Int32Array(k * k); // one for all calls
  let unit = 0;
  for (let c = 0; c < channels; c += 1) {
    for (let i = 0; i < rows; i += 1) {
      const top = Math.max(0, i * stride - padding);
      const bottom = Math.min(height, i * stride - padding + k);
      for (let j = 0; j < columns; j += 1, unit += 1) {
        const left = Math.max(0, j * stride - padding);
        const right = Math.min(width, j * stride - padding + k);
        let count = 0;
        for (let u = top; u < bottom; u += 1) {
          for (let v = left; v < right; v += 1, count += 1) {
            window[count] = (c * height + u) * width + v;
          }
        }
        visit(unit, c, window, count);
      }
    }
  }
}

/**
 * Which of a window's members is the largest: the first of several, or the first NaN.
 * @param {Float32Array} x
 * @param {ArrayLike<number>} window
 * @param {number} count
 */
export function largest(x, window, count) {
  let winner = 0;
  for (let n = 1; n < count && !Number.isNaN(x[window[winner]]); n += 1) {
    if (!(x[window[n]] <= x[window[winner]])) winner = n;
  }
  return winner;
}
