/** Pictures made into what a network's data set has: plain functions on typed arrays. */

/*
An *image* here is {width, height, planes}: one Float32Array (height·width, row by row, 0 to 255)
for each channel, 0 being the ground and 255 full ink, unless said otherwise.
*/

const INK = 15; // of 255: what is darker than this is no ink, but noise or an edge's last shimmer

/**
 * How the pictures of a network's data set were prepared: {fit, ground, rows, columns, box, centre,
 * digits}, as data/preparation.py says it; `own` is what the model's file tells of it.
 *
 * Digits (MNIST) were scaled into 20×20 of 28×28 and moved so that their centre of mass lies at
 * the middle; objects (Fashion-MNIST) fill theirs, and their bounding box is centred. Others are
 * whole pictures: their middle, all on a margin, or stretched.
 */
export function preparation(network, data = null, own = null) {
  const [, rows, columns] = network.input_shape;
  const { fit, ground } = own ?? usual(network, data);
  const digits = fit === "digit";
  // the 32×32 of the 1998 network are the 28×28 with a margin: the digits are 20×20 there, too
  const inner = (size) => (size === 32 ? 20 : Math.max(1, Math.round((size * 20) / 28)));
  const box = digits ? [inner(rows), inner(columns)] : [rows, columns];
  return { fit, ground, rows, columns, box, centre: digits ? "mass" : "box", digits };
}

/** The preparation {fit, ground} for a network whose file tells none: by its pictures' classes. */
function usual({ input_shape: [channels], classes }, data) {
  if (channels === 3) return { fit: "crop", ground: "keep" };
  const digits = classes.length === 10 && classes.every((name, i) => name === `${i}`);
  const fashion = digits
    ? /fashion/.test(data ?? "")
    : classes.includes("t-shirt") && classes.includes("ankle boot");
  const signs = classes.every((name) => [...name].length === 1);
  const letters = signs && classes.some((name) => /\p{L}/u.test(name));
  if (fashion || letters) return { fit: "object", ground: "dark" };
  return digits ? { fit: "digit", ground: "dark" } : { fit: "pad", ground: "keep" };
}

/**
 * The colours of RGBA pixels as an image of three planes, with {transparent, ground}.
 *
 * What is transparent gets a ground that its ink stands out from: black under light ink, else
 * white.
 */
export function fromRgba(rgba, width, height) {
  const size = width * height;
  let [opacity, light] = [0, 0];
  for (let i = 0; i < 4 * size; i += 4) {
    opacity += rgba[i + 3];
    light += rgba[i + 3] * luminance(rgba[i], rgba[i + 1], rgba[i + 2]);
  }
  const transparent = opacity < 0.999 * 255 * size;
  const ground = transparent && opacity > 0 && light / opacity > 127.5 ? 0 : 255;
  const planes = [0, 1, 2].map((c) => {
    const plane = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      const alpha = rgba[4 * i + 3] / 255;
      plane[i] = rgba[4 * i + c] * alpha + ground * (1 - alpha);
    }
    return plane;
  });
  return { image: { width, height, planes }, transparent, ground };
}

/** The image in grey: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601). */
export function grey(image) {
  const [red, green, blue] = image.planes;
  return { ...image, planes: [red.map((value, i) => luminance(value, green[i], blue[i]))] };
}

/**
 * What is odd about a prepared picture, as data/preparation.py finds it: "blank", or "light" (its
 * ground, where the network's pictures have a dark one); else null.
 */
export function doubt(pixels, { rows, columns, ground }) {
  let [least, most] = [255, 0];
  for (const value of pixels) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (most - least < INK) return "blank";
  if (ground !== "dark") return null;
  const borders = [];
  for (let at = 0; at < pixels.length; at += rows * columns) {
    borders.push(quantile(borderOf(pixels.subarray(at, at + rows * columns), columns, rows), 0.5));
  }
  return borders.reduce((sum, one) => sum + one, 0) / borders.length > 127.5 ? "light" : null;
}

/**
 * The ground of the pictures that a model was trained on, 0 to 255: 0 where all have a dark one,
 * else what the border of this picture (uint8, c·h·w) shows.
 */
export function groundLevel({ network, data, preparation: own }, pixels) {
  const { ground, rows, columns } = preparation(network, data, own);
  if (ground === "dark" || !pixels) return 0;
  const border = [];
  for (let at = 0; at < pixels.length; at += rows * columns) {
    border.push(...borderOf(pixels.subarray(at, at + rows * columns), columns, rows));
  }
  return Math.round(quantile(Float32Array.from(border), 0.5));
}

/** The image with light and dark exchanged. */
export function inverted(image) {
  return { ...image, planes: image.planes.map((plane) => plane.map((value) => 255 - value)) };
}

/**
 * The ground of a grey image: {level, spread, light}, as its border shows it.
 *
 * `level` is the border's median, `spread` what 95 in 100 of its pixels stay within; `light` says
 * whether the ground is lighter than the rest, so that the ink is dark. Where one is told `light`
 * and the border is not so, the ground is what lies on that side of the picture's mean.
 */
export function groundOf({ width, height, planes: [plane] }, light = null) {
  const border = borderOf(plane, width, height);
  const between = mean(plane);
  const found = quantile(border, 0.5) > between;
  const side = plane.filter((value) => (light ? value > between : value < between));
  const told = light !== null && light !== found && side.length > 0;
  const ground = told ? side : border;
  const level = quantile(ground, 0.5);
  const spread = quantile(
    ground.map((value) => Math.abs(value - level)),
    told ? 0.5 : 0.95,
  );
  return { level, spread, light: light ?? found };
}

/**
 * Ink (0 to 255) on a ground of 0, from a grey image and its ground.
 *
 * What does not stand out from the ground by more than its spread becomes 0. With `stretch` the
 * strongest ink becomes 255, as in MNIST; else greys stay apart as they were.
 */
export function inkOf(image, { level, spread, light }, stretch) {
  const toInk = (value) => (light ? 255 - value : value);
  const from = toInk(level) + Math.min(spread, 64);
  const ink = image.planes[0].map(toInk);
  const to = stretch ? quantile(ink, 0.998) : 255;
  // less than the thickness of a shadow: nothing is there, and nothing must be made of it
  if (to - from < INK) return { ...image, planes: [new Float32Array(ink.length)] };
  const scale = 255 / (to - from);
  return { ...image, planes: [ink.map((value) => clamp((value - from) * scale, 0, 255))] };
}

/** The smallest box {top, left, bottom, right} that holds all ink above `threshold`, or null. */
export function boundingBox({ width, height, planes }, threshold = INK) {
  let [top, left, bottom, right] = [height, width, 0, 0];
  for (const plane of planes) {
    for (let y = 0; y < height; y++) {
      const row = y * width;
      for (let x = 0; x < width; x++) {
        if (plane[row + x] <= threshold) continue;
        if (y < top) top = y;
        if (y >= bottom) bottom = y + 1;
        if (x < left) left = x;
        if (x >= right) right = x + 1;
      }
    }
  }
  return bottom > 0 ? { top, left, bottom, right } : null;
}

/** The part of the image in a box. */
export function crop({ width, planes }, { top, left, bottom, right }) {
  const [rows, columns] = [bottom - top, right - left];
  return {
    width: columns,
    height: rows,
    planes: planes.map((plane) => {
      const part = new Float32Array(rows * columns);
      for (let y = 0; y < rows; y++) {
        const start = (top + y) * width + left;
        part.set(plane.subarray(start, start + columns), y * columns);
      }
      return part;
    }),
  };
}

/** The box in the middle of an image that is as wide as it is high in `ratio` (width / height). */
export function middle({ width, height }, ratio = 1) {
  const columns = Math.max(1, Math.min(width, Math.round(height * ratio)));
  const rows = Math.max(1, Math.min(height, Math.round(width / ratio)));
  const [top, left] = [(height - rows) >> 1, (width - columns) >> 1];
  return { top, left, bottom: top + rows, right: left + columns };
}

/**
 * The image in another size. A pixel that comes from many is the mean of the area that it covers;
 * one that comes from less than one is interpolated between its neighbours.
 */
export function resize({ width, height, planes }, rows, columns) {
  const across = shares(width, columns);
  const down = shares(height, rows);
  return {
    width: columns,
    height: rows,
    planes: planes.map((plane) => {
      const narrow = new Float32Array(height * columns);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < columns; x++) {
          const { first, weights } = across[x];
          let sum = 0;
          for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[y * width + first + i];
          narrow[y * columns + x] = sum;
        }
      }
      const small = new Float32Array(rows * columns);
      for (let y = 0; y < rows; y++) {
        const { first, weights } = down[y];
        for (let i = 0; i < weights.length; i++) {
          const row = (first + i) * columns;
          for (let x = 0; x < columns; x++) {
            small[y * columns + x] += weights[i] * narrow[row + x];
          }
        }
      }
      return small;
    }),
  };
}

/**
 * The image scaled, its shape kept, into [rows, columns]; enlarged at most so many times.
 * @param {any} image
 * @param {number[]} size
 * @param {number} [enlarge]
 */
export function fit(image, [rows, columns], enlarge = Infinity) {
  const scale = Math.min(rows / image.height, columns / image.width, enlarge);
  const size = (length, most) => clamp(Math.round(length * scale), 1, most);
  return resize(image, size(image.height, rows), size(image.width, columns));
}

/**
 * The image on a ground with rows × columns, centred by whole pixels; never beyond the edge.
 *
 * By "mass", its centre of mass comes to the pixel (rows/2, columns/2), as measured on MNIST:
 * row 14.0 and column 14.0 of 28, counted from 0. By "box", its middle to the middle. The ground is
 * 0, or what `ground` says for each plane.
 */
export function centred(image, rows, columns, centre, ground = null) {
  const { height, width, planes } = image;
  let [top, left] = [(rows - height) >> 1, (columns - width) >> 1];
  if (centre === "mass") {
    const mass = massCentre(image);
    top = Math.round(rows / 2 - mass.row);
    left = Math.round(columns / 2 - mass.column);
  }
  top = clamp(top, 0, rows - height);
  left = clamp(left, 0, columns - width);
  return {
    width: columns,
    height: rows,
    planes: planes.map((plane, i) => {
      const whole = new Float32Array(rows * columns).fill(ground?.[i] ?? 0);
      for (let y = 0; y < height; y++) {
        whole.set(plane.subarray(y * width, (y + 1) * width), (top + y) * columns + left);
      }
      return whole;
    }),
  };
}

/** The median of each plane's border: the ground of a picture that is left as it is. */
export function borderMedians({ width, height, planes }) {
  return planes.map((plane) => quantile(borderOf(plane, width, height), 0.5));
}

/** The mean {row, column} of the ink, in pixels from 0; the middle where there is none. */
function massCentre({ width, height, planes }) {
  let [mass, rows, columns] = [0, 0, 0];
  for (const plane of planes) {
    for (let i = 0; i < plane.length; i++) {
      mass += plane[i];
      rows += plane[i] * Math.floor(i / width);
      columns += plane[i] * (i % width);
    }
  }
  if (mass === 0) return { row: (height - 1) / 2, column: (width - 1) / 2 };
  return { row: rows / mass, column: columns / mass };
}

/** The pixels as a network takes them: uint8 (channels·h·w); one plane serves all channels. */
export function toPixels({ planes }, channels) {
  const size = planes[0].length;
  const pixels = new Uint8Array(channels * size);
  for (let c = 0; c < channels; c++) {
    const plane = planes[c % planes.length];
    for (let i = 0; i < size; i++) pixels[c * size + i] = Math.round(clamp(plane[i], 0, 255));
  }
  return pixels;
}

/**
 * A drawing as the network's data set has its pictures: cropped, scaled, centred; uint8 (c·h·w).
 *
 * A small drawing is enlarged to twice its size at most: a first dot would fill the picture.
 * `perPixel` is how many of the image's pixels are one of the network's.
 */
export function preparedDrawing(image, how, channels, perPixel) {
  const box = boundingBox(image);
  if (!box) return new Uint8Array(channels * how.rows * how.columns);
  const scaled = fit(crop(image, box), how.box, 2 / perPixel);
  return toPixels(centred(scaled, how.rows, how.columns, how.centre), channels);
}

/** For each of `count` new pixels, of which old ones (of `length`) it is made, with shares. */
function shares(length, count) {
  const step = length / count;
  return Array.from({ length: count }, (_, i) => {
    if (step < 1) {
      const at = clamp((i + 0.5) * step - 0.5, 0, length - 1);
      const first = Math.floor(at);
      const rest = at - first;
      return { first, weights: rest > 0 ? [1 - rest, rest] : [1] };
    }
    const [start, end] = [i * step, (i + 1) * step];
    const first = Math.floor(start);
    const last = Math.min(Math.ceil(end - 1e-9), length);
    const weights = [];
    for (let j = first; j < last; j++) {
      weights.push((Math.min(end, j + 1) - Math.max(start, j)) / step);
    }
    return { first, weights };
  });
}

function borderOf(plane, width, height) {
  const border = [...plane.subarray(0, width), ...plane.subarray((height - 1) * width)];
  for (let y = 1; y < height - 1; y++) border.push(plane[y * width], plane[(y + 1) * width - 1]);
  return border;
}

function luminance(red, green, blue) {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), Math.max(least, most));
}

function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
