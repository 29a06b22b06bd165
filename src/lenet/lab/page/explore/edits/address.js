/** What was changed, as a short text for the page's address. */

import { gateable } from "lenet/explore/edits/edits.js";

/**
 * @typedef {import("lenet/network/trace.js").Weights} Weights
 * @typedef {{top: number, left: number, size: number, value: number}} Cover
 * @typedef {{weights: Weights, gates: Map<number, Uint8Array> | null, cover: Cover | null}} Edits
 * @typedef {object} Step of gradient descent
 * @property {{source: string, name: string, index: number | null, touched?: boolean}} picture
 * @property {Uint8Array} pixels
 * @property {number} label
 * @property {number} rate
 * @property {Edits} from what computed before it
 * @property {Weights} to the weights after it
 * @property {{loss: number, logits: Float32Array}} before what the network said of the picture
 * @property {{loss: number, logits: Float32Array}} after
 */

/** The largest learning rate of a step by hand. */
export const LARGEST_RATE = 100;

const MOST = 4000; // characters: longer addresses are cut off on their way

const MOST_STEPS = 50; // of descent that are taken again

/**
 * All that was changed as a text, null where nothing is, or too much. `edits` has {weights, gates,
 * cover, steps}: what was changed before each step of descent, the step, and what was changed
 * since, with "!" between them. A step is "fashion-mnist:17:5:0.1": the picture it was taken on,
 * its label, the rate; ":0:5:0.1" one on the drawing whose pixels are in the address, which are
 * those that are `shown`. One on another drawing cannot be said.
 * @param {Weights} trained
 * @param {Edits & {steps: Step[]}} edits
 * @param {Uint8Array | null} [shown]
 * @returns {string | null}
 */
export function encodeChanges(trained, { steps, ...now }, shown = null) {
  const parts = [];
  let before = trained;
  for (const { picture, pixels, label, rate, from, to } of steps) {
    const numbered = picture.source === "data" && !picture.touched;
    const here = shown !== null && pixels.every((value, i) => value === shown[i]);
    if ((!numbered && !here) || steps.length > MOST_STEPS) return null;
    const place = numbered ? `${encodeURIComponent(picture.name)}:${picture.index}` : ":0";
    parts.push(encodePart(before, from), `${place}:${label}:${rate}`);
    before = to;
  }
  parts.push(encodePart(before, now));
  return parts.includes(null) || parts.every((part) => part === "") ? null : parts.join("!");
}

/**
 * The same as `encodeEdits`, but "" where nothing is changed.
 * @param {Weights} before
 * @param {Edits} edits
 */
function encodePart(before, edits) {
  const { weights, gates, cover } = edits;
  const changes = weights !== before || gates !== null || cover !== null;
  return changes ? encodeEdits(before, edits) : "";
}

/**
 * The changes that a text says, {weights, gates, cover, steps}; null where it says none.
 *
 * `take(step, edits)` takes a step {name, index, label, rate} again: it promises a Step. `name` is
 * "" for the drawing in the address.
 * @param {string} text
 * @param {{network: import("lenet/network/trace.js").Network, weights: Weights}} model
 * @param {import("lenet/network/trace.js").TracedLayer[]} traced
 * @param {(step: {name: string, index: number, label: number, rate: number}, edits: Edits) =>
 *   Promise<Step>} take
 * @returns {Promise<Edits & {steps: Step[]} | null>}
 */
export async function decodeChanges(text, { network, weights: trained }, traced, take) {
  const [first, ...rest] = text.split("!").slice(0, 2 * MOST_STEPS + 1);
  let edits = decodeEdits(first, network, trained, traced);
  const steps = [];
  for (let i = 0; i + 1 < rest.length; i += 2) {
    const said = stepOf(rest[i], network.classes.length);
    if (said === null) break;
    steps.push(await take(said, edits));
    edits = decodeEdits(rest[i + 1], network, steps.at(-1).to, traced);
  }
  const { weights, gates, cover } = edits;
  const changed = weights !== trained || gates !== null || cover !== null;
  return changed ? { ...edits, steps } : null;
}

/**
 * @param {string} text
 * @param {number} classes
 */
function stepOf(text, classes) {
  const match = /^([^:]*):(\d+):(\d+):([\d.e-]+)$/.exec(text);
  if (!match) return null;
  const [index, label, rate] = match.slice(2).map(Number);
  if (label >= classes || !(rate > 0) || rate > LARGEST_RATE) return null;
  try {
    return { name: decodeURIComponent(match[1]), index, label, rate };
  } catch {
    return null; // a % that says nothing
  }
}

/**
 * The changes against the trained weights: "w0.weight:12:AACAPw", runs of numbers as the base64 of
 * float32; "g4:3.7", channels that are off; "c:8.8.7.128", the cover. Null where nothing is
 * changed, and where it is too much.
 * @param {Weights} trained
 * @param {Edits} edits
 * @returns {string | null}
 */
export function encodeEdits(trained, { weights, gates, cover }) {
  const parts = [];
  for (const [name, { data }] of weights) {
    const was = trained.get(name).data;
    if (data === was) continue;
    for (const [from, to] of changedRuns(data, was)) {
      parts.push(`w${name}:${from}:${toBase64(data.slice(from, to))}`);
      if (parts.length > MOST / 10) return null;
    }
  }
  for (const [layer, gate] of gates ?? []) {
    const off = [...gate.keys()].filter((i) => gate[i] === 0);
    if (off.length > 0) parts.push(`g${layer}:${off.join(".")}`);
  }
  if (cover) parts.push(`c:${cover.top}.${cover.left}.${cover.size}.${cover.value}`);
  const text = parts.join("~");
  return text === "" || text.length > MOST ? null : text;
}

/**
 * The changes that a text says; what does not fit the network is left out.
 * @param {string} text
 * @param {import("lenet/network/trace.js").Network} network
 * @param {Weights} trained
 * @param {import("lenet/network/trace.js").TracedLayer[]} traced
 * @returns {Edits}
 */
export function decodeEdits(text, network, trained, traced) {
  const weights = new Map(trained);
  const gates = new Map();
  const channels = new Map(gateable(traced).map((one) => [one.layer, one.channels]));
  let cover = null;
  let changed = false;
  for (const part of text.slice(0, MOST).split("~")) {
    const [head, first = "", second = ""] = part.split(":");
    const name = head.slice(1);
    if (head[0] === "w" && weights.has(name)) {
      const numbers = fromBase64(second);
      const from = Number(first);
      const tensor = weights.get(name);
      const fits =
        Number.isInteger(from) && from >= 0 && from + numbers.length <= tensor.data.length;
      if (!fits || numbers.length === 0 || !numbers.every(Number.isFinite)) continue;
      const data = tensor.data === trained.get(name).data ? tensor.data.slice() : tensor.data;
      data.set(numbers, from);
      weights.set(name, { ...tensor, data });
      changed = true;
    } else if (head[0] === "g" && channels.has(Number(name))) {
      const gate = new Uint8Array(channels.get(Number(name))).fill(1);
      for (const channel of first.split(".").map(Number)) if (channel in gate) gate[channel] = 0;
      gates.set(Number(name), gate);
    } else if (head === "c") {
      cover = coverOf(first.split(".").map(Number), network.input_shape) ?? cover;
    }
  }
  return {
    weights: changed ? weights : trained,
    gates: gates.size > 0 ? gates : null,
    cover,
  };
}

/**
 * @param {number[]} all
 * @param {number[]} shape of the picture
 */
function coverOf(all, [, height, width]) {
  const [top, left, size, value] = all;
  if (
    all.length !== 4
    || !all.every(Number.isInteger)
    || size < 1
    || size > Math.min(height, width)
  )
    return null;
  if (Math.abs(top) > height || Math.abs(left) > width || value < 0 || value > 255) return null;
  return { top, left, size, value };
}

/** The half-open runs where two arrays differ; those that lie close together are one. */
function changedRuns(now, was) {
  const runs = [];
  for (let i = 0; i < now.length; i++) {
    if (Object.is(now[i], was[i])) continue;
    const last = runs.at(-1);
    if (last && i - last[1] < 4) last[1] = i + 1;
    else runs.push([i, i + 1]);
  }
  return runs;
}

function toBase64(numbers) {
  const bytes = String.fromCharCode(...new Uint8Array(numbers.buffer));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text) {
  try {
    const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const whole = bytes.length - (bytes.length % 4);
    const array = Uint8Array.from({ length: whole }, (_, i) => bytes.charCodeAt(i));
    return new Float32Array(array.buffer);
  } catch {
    return new Float32Array(0);
  }
}
