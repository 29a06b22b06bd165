/** Strokes of a pen: points that were touched, and the line through them. */

/*
A *stroke* is {width, color, points: [{x, y, pressure}]}: width and places in the network's pixels,
so that a drawing does not depend on how large the pad is. Pressure is 0.5 where it is not known.
*/

/**
 * Draws the stroke's points from number `from` on, into a canvas with `scale` pixels for each.
 *
 * The line is a curve through the middles between points, so that corners are round. It lags half a
 * step behind until the stroke is `finished`.
 */
export function drawStroke(context, stroke, scale, from = 0, finished = true) {
  const { points } = stroke;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = stroke.color;
  for (let i = from; i < points.length; i++) drawPoint(context, stroke, scale, i);
  if (!finished || points.length < 2) return;
  const [before, last] = points.slice(-2);
  const start = between(before, last);
  context.beginPath();
  context.moveTo(start.x * scale, start.y * scale);
  context.lineTo(last.x * scale, last.y * scale);
  context.stroke();
}

/** The image of what was drawn: the canvas's opacity as ink, or its colours for three channels. */
export function readInk(context, channels) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const size = width * height;
  const planes = Array.from({ length: channels === 3 ? 3 : 1 }, () => new Float32Array(size));
  for (let i = 0; i < size; i++) {
    const alpha = data[4 * i + 3];
    if (alpha === 0) continue;
    if (channels !== 3) planes[0][i] = alpha;
    else for (let c = 0; c < 3; c++) planes[c][i] = (data[4 * i + c] * alpha) / 255;
  }
  return { width, height, planes };
}

function drawPoint(context, { width, points }, scale, i) {
  const [a, b, c] = [points[i - 2], points[i - 1], points[i]];
  context.lineWidth = width * scale * (0.4 + 1.2 * c.pressure);
  context.beginPath();
  if (!b) {
    context.moveTo(c.x * scale, c.y * scale);
    context.lineTo(c.x * scale, c.y * scale); // with round ends: a dot
  } else {
    const start = a ? between(a, b) : b;
    const end = between(b, c);
    context.moveTo(start.x * scale, start.y * scale);
    context.quadraticCurveTo(b.x * scale, b.y * scale, end.x * scale, end.y * scale);
  }
  context.stroke();
}

function between(one, other) {
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}
