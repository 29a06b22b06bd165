/** The test pictures that a network can be shown, and what it said of each of them. */

/** The data sets here whose pictures fit the network, as /api/state lists them, its own first. */
export function fittingSets(state, { network, data }) {
  const own = (set) => set.name === data;
  const fits = (set) =>
    set.shape.join() === network.input_shape.join()
    || (own(set) && margins(set.shape, network.input_shape) !== null);
  const usable = state.data.filter((set) => set.here && fits(set));
  return [...usable.filter(own), ...usable.filter((set) => !own(set))];
}

/**
 * What the model said of each test picture of its data, as backend.predictions gives it; null where
 * nobody can say (an opened file has no data of its own). Asked for once a model.
 */
export function predictionsOf({ backend, memory }, model) {
  memory.predictions ??= new WeakMap();
  if (!memory.predictions.has(model)) {
    memory.predictions.set(model, predicted(backend, model));
  }
  return memory.predictions.get(model);
}

/** Asked for only where the pictures are here: else the server would have to refuse. */
async function predicted(backend, { ref, data, trainedHere }) {
  if (trainedHere) return null; // the server does not know it
  try {
    const { data: sets } = await backend.state();
    const here = sets.some((set) => set.name === data && set.here);
    return here ? await backend.predictions(ref) : null;
  } catch {
    return null; // what is not known is not shown
  }
}

/** The numbers of the misread pictures, the one that the model was surest of first. */
export function misread({ labels, predicted, probability }) {
  const wrong = [];
  for (let i = 0; i < labels.length; i++) if (labels[i] !== predicted[i]) wrong.push(i);
  return wrong.sort((a, b) => probability[b] - probability[a] || a - b);
}

/**
 * The number of the picture that a text names, or null: a number itself; "mistake", the surest one;
 * "right", the surest that is right; "unsure", the least sure that is right; "class:3", the surest
 * of a class that is right. Where no predictions are known, the first of that class.
 */
export function indexNamed(text, { labels, count }, predictions) {
  if (/^\d+$/.test(text)) return Number(text) < count ? Number(text) : null;
  const label = /^class:(\d+)$/.exec(text)?.[1];
  if (predictions === null) {
    const first = label === undefined ? 0 : labels.indexOf(Number(label));
    return first < 0 ? null : first;
  }
  if (text === "mistake") return misread(predictions)[0] ?? null;
  const { predicted, probability } = predictions;
  const sign = text === "unsure" ? -1 : 1;
  let best = null;
  for (let i = 0; i < count; i++) {
    if (labels[i] !== predicted[i] || (label !== undefined && labels[i] !== Number(label)))
      continue;
    if (best === null || sign * (probability[i] - probability[best]) > 0) best = i;
  }
  return best;
}

/**
 * For each class, the number of the picture of another class that the model takes for this one with
 * the highest probability; null for a class that nothing is mistaken for.
 */
export function mostMistaken({ labels, predicted, probability }, classes) {
  const most = new Array(classes).fill(null);
  for (let i = 0; i < labels.length; i++) {
    const now = most[predicted[i]];
    if (labels[i] === predicted[i]) continue;
    if (now === null || probability[i] > probability[now]) most[predicted[i]] = i;
  }
  return most;
}

/** A picture of a data set for the store: {picture, pixels}, with a margin where one is needed. */
export async function readPicture(set, index, model) {
  const [raw] = await set.pixels([index]);
  const { network, data } = model;
  const known = set.name === data || set.classes.join() === network.classes.join();
  return {
    picture: { source: "data", index, label: known ? set.labels[index] : null, name: set.name },
    pixels: withMargin(raw, set.shape, network.input_shape),
  };
}

/** The pixels of pictures of a data set, each as `readPicture` gives them. */
export async function readPictures(set, indices, { network }) {
  const raw = await set.pixels(indices);
  return raw.map((pixels) => withMargin(pixels, set.shape, network.input_shape));
}

/** The number that a picture has in its whole data set: a file holds only some. */
export function numberOf(set, index) {
  return set.numbers?.[index] ?? index;
}

// The 1998 network sees 32×32: MNIST's 28×28 with two rows and columns of ground on each side.
function withMargin(pixels, shape, wanted) {
  if (shape.join() === wanted.join()) return pixels;
  const [top, left] = margins(shape, wanted);
  const [channels, rows, columns] = shape;
  const [, height, width] = wanted;
  const whole = new Uint8Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < rows; y++) {
      const start = (c * rows + y) * columns;
      const to = (c * height + top + y) * width + left;
      whole.set(pixels.subarray(start, start + columns), to);
    }
  }
  return whole;
}

function margins([channels, rows, columns], [wanted, height, width]) {
  const [more, wider] = [height - rows, width - columns];
  if (channels !== wanted || more < 0 || wider < 0 || more % 2 || wider % 2) return null;
  return [more / 2, wider / 2];
}
