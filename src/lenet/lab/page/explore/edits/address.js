/** What was changed, as a short text for the page's address. */

import { gateable } from "lenet/explore/edits/edits.js";

/**
 * @typedef {import("lenet/network/trace.js").Weights} Weights
 * @typedef {{top: number, left: number, size: number, value: number}} Cover
 * @typedef {{weights: Weights, gates: Map<number, Uint8Array> | null, cover: Cover | null}} Edits
 */

const MOST = 4000; // characters: longer addresses are cut off on their way

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
