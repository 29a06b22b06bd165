/** Networks computed in a worker, beside the page; in the page itself where that is refused. */

import { answer } from "lenet/network/answer.js";
import { product, shapeText } from "lenet/network/shapes.js";
import { trace } from "lenet/network/trace.js";

const PORTION = 16; // pictures: some ten milliseconds, so that a stroke need not wait longer

/** @typedef {import("lenet/network/forward.js").Gates} Gates */

/**
 * A calculator of its own worker. `startWorker()` gives a new one of network/worker.js.
 *
 * - `load(key, network, weights)` at once; throws an Error where the network does not fit together.
 *   The same two objects again change nothing: to change weights, load a copy.
 * - `unload(key)`
 * - `run(key, pixels, {gates, lane})` → Promise of every layer's output, or of null. Uint8Array is
 *   a picture, Float32Array what the first layer sees. In one lane (the key, unless told) the
 *   newest wins: one that waits while a newer comes is null; the one being computed still arrives.
 * - `nudge(key, pixels, nudge, {gates, lane})` → Promise of the nudged picture, uint8; null as
 *   above; `smallest(key, pixels, nudge, {gates})` → Promise of {size}, how much it takes, or of
 *   null when the network is unloaded or replaced (network/nudge.js).
 * - `many(key, pictures, {gates, progress, signal})` → Promise of the logits, n·classes, or of null
 *   when aborted by `signal`, or when the network is unloaded or replaced meanwhile. `pictures` are
 *   an array of Uint8Array or one of n·c·h·w; other requests go in between.
 * - `hidden(key, pictures, …)` as `many`: {hidden, logits}, what the last layer reads and gives.
 * - `plane(points, width)` → Promise of the plane of points (network/plane.js), or of null.
 * - `close()`: all that waits becomes null.
 * - `inWorker`: Promise of whether there is a worker; false: the page computes.
 * @param {() => Worker} startWorker
 */
export function createCalculator(startWorker) {
  const models = new Map(); // key → {network, weights}
  const waiting = new Map(); // id → {request, resolve, reject}
  const lanes = new Map(); // lane → what waits until the one being computed is there, or null
  let ids = 0;
  let closed = false;
  const { promise: inWorker, resolve: settle } = Promise.withResolvers();
  let channel = openWorker(startWorker, receive, fallBack) ?? openPage(receive);
  if (!channel.isWorker) settle(false);

  function receive(reply) {
    if (reply.ready) return settle(true);
    const asked = waiting.get(reply.id);
    if (!asked) return; // a load that was told again: see fallBack
    waiting.delete(reply.id);
    if (reply.error === undefined) asked.resolve(reply.result);
    else asked.reject(new Error(reply.error));
  }

  /** The worker was refused or broke: the page does what was asked of it. */
  function fallBack() {
    if (closed || !channel.isWorker) return;
    channel.close();
    channel = openPage(receive);
    settle(false);
    for (const [key, model] of models) channel.post({ kind: "load", key, ...model });
    for (const { request, resolve } of waiting.values()) {
      if (request.kind !== "load" && request.kind !== "unload") channel.post(request);
      else resolve(null); // a load or unload: what is loaded now has just been told
    }
  }

  function ask(request) {
    return new Promise((resolve, reject) => {
      if (closed) return resolve(null);
      const numbered = { ...request, id: ++ids };
      waiting.set(numbered.id, { request: numbered, resolve, reject });
      channel.post(numbered);
    });
  }

  /**
   * @param {string} key
   * @param {import("lenet/network/trace.js").Network} network
   * @param {import("lenet/network/trace.js").Weights} weights
   */
  function load(key, network, weights) {
    const known = models.get(key);
    if (known && known.network === network && known.weights === weights) return;
    trace(network);
    models.set(key, { network, weights });
    ask({ kind: "load", key, network, weights });
  }

  function unload(key) {
    if (!models.delete(key)) return;
    for (const [lane, next] of lanes) {
      if (next?.request.key !== key) continue;
      next.resolve(null);
      lanes.set(lane, null);
    }
    ask({ kind: "unload", key });
  }

  /**
   * @param {string} key
   * @param {Uint8Array | Float32Array} pixels
   * @param {{gates?: Gates | null, lane?: string}} [options]
   * @returns {Promise<Float32Array[] | null>}
   */
  function run(key, pixels, { gates, lane = key } = {}) {
    return newest(lane, { kind: "run", key, pixels, gates });
  }

  /**
   * @param {string} key
   * @param {Uint8Array} pixels
   * @param {import("lenet/network/nudge.js").Nudge} nudge
   * @param {{gates?: Gates | null, lane?: string}} [options]
   * @returns {Promise<Uint8Array | null>}
   */
  function nudge(key, pixels, nudge, { gates, lane = `${key}, nudged` } = {}) {
    return newest(lane, { kind: "nudge", key, pixels, nudge, gates });
  }

  /**
   * @param {string} key
   * @param {Uint8Array} pixels
   * @param {{to: number, steps: number}} nudge
   * @param {{gates?: Gates | null}} [options]
   * @returns {Promise<{size: number | null} | null>}
   */
  async function smallest(key, pixels, nudge, { gates } = {}) {
    const model = models.get(key);
    const size = await ask({ kind: "smallest", key, pixels, nudge, gates });
    return closed || models.get(key) !== model ? null : { size };
  }

  function newest(lane, request) {
    return new Promise((resolve, reject) => {
      const entry = { request, resolve, reject };
      if (!lanes.has(lane)) return compute(lane, entry);
      lanes.get(lane)?.resolve(null);
      return lanes.set(lane, entry);
    });
  }

  async function compute(lane, { request, resolve, reject }) {
    lanes.set(lane, null);
    await ask(request).then(resolve, reject);
    const next = lanes.get(lane);
    if (next) compute(lane, next);
    else lanes.delete(lane);
  }

  /**
   * @param {string} key
   * @param {Uint8Array[] | Uint8Array} pictures
   * @param {{gates?: Gates | null, signal?: AbortSignal,
   *   progress?: (done: number, of: number) => void}} [options]
   * @returns {Promise<Float32Array | null>}
   */
  async function many(key, pictures, options) {
    const { classes } = modelOf(key).network;
    return inPortions("many", classes.length, key, pictures, options);
  }

  /**
   * @param {string} key
   * @param {Uint8Array[] | Uint8Array} pictures
   * @param {{gates?: Gates | null, signal?: AbortSignal,
   *   progress?: (done: number, of: number) => void}} [options]
   * @returns {Promise<{hidden: Float32Array, logits: Float32Array} | null>}
   */
  async function hidden(key, pictures, options) {
    const { network } = modelOf(key);
    const given = network.classes.length;
    const read = product(trace(network).at(-1).inputShape);
    const width = read + given;
    const all = await inPortions("hidden", width, key, pictures, options);
    if (all === null) return null;
    const count = all.length / width;
    const parts = {
      hidden: new Float32Array(count * read),
      logits: new Float32Array(count * given),
    };
    for (let n = 0; n < count; n += 1) {
      const row = all.subarray(n * width, (n + 1) * width);
      parts.hidden.set(row.subarray(0, read), n * read);
      parts.logits.set(row.subarray(read), n * given);
    }
    return parts;
  }

  /**
   * @param {Float32Array} points
   * @param {number} width
   * @returns {Promise<import("lenet/network/plane.js").Plane | null>}
   */
  async function plane(points, width) {
    const found = await ask({ kind: "plane", points, width });
    return closed ? null : found;
  }

  function modelOf(key) {
    const model = models.get(key);
    if (!model) throw new Error(`no network is loaded as ${JSON.stringify(key)}`);
    return model;
  }

  /**
   * What a request gives for each picture, `width` numbers; other requests go in between.
   * @param {string} kind
   * @param {number} width
   * @param {string} key
   * @param {Uint8Array[] | Uint8Array} pictures
   * @param {{gates?: Gates | null, signal?: AbortSignal,
   *   progress?: (done: number, of: number) => void}} [options]
   * @returns {Promise<Float32Array | null>}
   */
  async function inPortions(kind, width, key, pictures, { gates, progress, signal } = {}) {
    const model = modelOf(key);
    const { input_shape: shape } = model.network;
    const size = product(shape);
    const pixels = joined(pictures, size);
    const count = pixels.length / size;
    if (!Number.isInteger(count)) {
      throw new Error(`${pixels.length} numbers are no pictures of ${shapeText(shape)}`);
    }
    const all = new Float32Array(count * width);
    for (let start = 0; start < count; start += PORTION) {
      const end = Math.min(start + PORTION, count);
      const part = pixels.slice(start * size, end * size);
      const result = await ask({ kind, key, pictures: part, gates });
      const stopped = closed || signal?.aborted || models.get(key) !== model;
      if (result === null || stopped) return null;
      all.set(result, start * width);
      progress?.(end, count);
    }
    return all;
  }

  function close() {
    closed = true;
    channel.close();
    settle(false);
    for (const next of lanes.values()) next?.resolve(null);
    for (const { resolve } of waiting.values()) resolve(null);
    lanes.clear();
    waiting.clear();
  }

  return { load, unload, run, nudge, smallest, many, hidden, plane, close, inWorker };
}

/** A worker {post, close, isWorker}; null where it cannot be made, `fail()` where it breaks. */
function openWorker(startWorker, receive, fail) {
  try {
    const made = startWorker();
    made.onmessage = ({ data }) => receive(data);
    made.onerror = (event) => {
      event.preventDefault(); // it is dealt with: the page computes
      fail();
    };
    return {
      isWorker: true,
      post: (request) => made.postMessage(request),
      close: () => made.terminate(),
    };
  } catch {
    return null;
  }
}

/** The same in the page: each request is answered when the page has nothing else to do. */
function openPage(receive) {
  const models = new Map();
  let open = true;
  return {
    isWorker: false,
    post(request) {
      const own = structuredClone(request); // as a worker gets it: later changes do not show
      setTimeout(() => open && receive(answer(models, own)));
    },
    close: () => (open = false),
  };
}

/** Pictures (each of `size` numbers) as one Uint8Array. */
function joined(pictures, size) {
  if (!Array.isArray(pictures)) return pictures;
  const all = new Uint8Array(pictures.length * size);
  pictures.forEach((picture, n) => {
    if (picture.length !== size) {
      throw new Error(`a picture has ${picture.length} numbers, the network needs ${size}`);
    }
    all.set(picture, n * size);
  });
  return all;
}
