/** Where the views get their data: from the server, or from what a single file holds. */

import { createLive } from "lenet/live.js";
import { readSafetensors } from "lenet/network/file.js";
import { product } from "lenet/network/shapes.js";

const TOKEN = "lenet-token";
const OTHERS_MS = 150; // to hear from another tab, before the page is shown without a token
const ENDING_MS = 400; // until a server that ends has ended

/**
 * Takes the token out of the address and keeps it for this tab and for reloads.
 *
 * A tab that has none, as one that was opened by a link, asks the lab's other tabs for theirs: they
 * have the same origin. A busy tab answers late, and the address with the token may be opened after
 * this one: `late` is a promise for a token that comes once the page is shown.
 */
export async function takeToken() {
  const match = /(?:^#|[#&])token=([\w-]+)/.exec(location.hash);
  if (match) {
    sessionStorage.setItem(TOKEN, match[1]);
    history.replaceState(null, "", location.pathname);
  }
  const tabs = new BroadcastChannel(TOKEN);
  const answered = new Promise((resolve) => {
    tabs.onmessage = ({ data }) => {
      const token = sessionStorage.getItem(TOKEN);
      if (data.asks && token) tabs.postMessage({ token });
      if (data.token && !token) {
        sessionStorage.setItem(TOKEN, data.token);
        resolve(data.token);
      }
    };
  });
  if (match) tabs.postMessage({ token: match[1] });
  if (sessionStorage.getItem(TOKEN)) return { late: null };
  tabs.postMessage({ asks: true });
  const waited = new Promise((resolve) => setTimeout(() => resolve(null), OTHERS_MS));
  const token = await Promise.race([answered, waited]);
  return { late: token ? null : answered };
}

/**
 * The backend that asks the server; see docs/lab.md for the addresses.
 *
 * `lateToken` is a promise for the token of another tab, or null.
 */
export function serverBackend(lateToken = null) {
  const models = new Map();
  const sets = new Map();
  const lessons = new Map();
  const live = createLive(() => new EventSource("/api/events"));
  let missed = false;

  function unanswered() {
    missed = true;
    return Object.assign(new Error("the lab's server does not answer"), { offline: true });
  }

  async function ask(path, options = {}) {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw unanswered();
    }
    if (response.ok) return response;
    const answer = await response.json().catch(() => ({}));
    if (response.status >= 500) {
      missed = true; // it may be ending: asked again when it is back
      await new Promise((resolve) => setTimeout(resolve, ENDING_MS));
      await fetch("/web/store.js", { cache: "no-store" }).catch(() => {
        throw unanswered(); // a fault of what ends: the page's head says that it has ended
      });
    }
    const error = new Error(answer.error ?? `${response.status} ${response.statusText}`);
    const { line, chinese } = answer;
    throw Object.assign(error, { status: response.status, line, chinese });
  }

  const json = async (path) => (await ask(path)).json();
  const bytes = async (path) => (await ask(path)).arrayBuffer();
  const address = (ref, part = "") =>
    `/api/models/${encodeURIComponent(ref)}${part ? `/${part}` : ""}`;
  const withToken = () => {
    const token = sessionStorage.getItem(TOKEN);
    return token ? { "X-LeNet-Token": token } : {};
  };
  const change = (method) => async (path, body) => {
    const raw = body instanceof Blob || body instanceof ArrayBuffer;
    const headers = withToken();
    if (!raw && body !== undefined) headers["Content-Type"] = "application/json";
    const sent = raw || body === undefined ? body : JSON.stringify(body);
    return (await ask(path, { method, headers, body: sent })).json();
  };
  const post = change("POST");

  async function readModel(ref) {
    const [facts, content] = await Promise.all([
      json(address(ref)),
      bytes(address(ref, "weights")),
    ]);
    return { ref, ...facts, ...readSafetensors(content) };
  }

  async function readSet(name) {
    const path = `/api/data/${encodeURIComponent(name)}`;
    const [facts, labels] = await Promise.all([json(path), bytes(`${path}/labels`)]);
    const size = product(facts.shape);
    const known = new Map();
    return {
      ...facts,
      labels: new Uint8Array(labels),
      async pixels(indices) {
        const missing = [...new Set(indices.filter((index) => !known.has(index)))];
        for (let at = 0; at < missing.length; at += 500) {
          const part = missing.slice(at, at + 500);
          const all = new Uint8Array(await bytes(`${path}/pictures?indices=${part.join(",")}`));
          part.forEach((index, i) => known.set(index, all.slice(i * size, (i + 1) * size)));
        }
        return indices.map((index) => known.get(index));
      },
    };
  }

  return {
    kind: "server",
    /** All that a page begins with: asked once, then as the server's events change it. */
    async state() {
      const known = live.state();
      if (known) return known;
      const state = await json("/api/state");
      live.begin(state);
      return state;
    },
    /** What keeps this page from changing anything: null, "missing" or "old" (its token). */
    access: async () => (await (await ask("/api/access", { headers: withToken() })).json()).fault,
    lateToken,
    /** Whether something that was asked since the last such question got no answer at all. */
    takeMissed() {
      const before = missed;
      missed = false;
      return before;
    },
    run: (name) => json(`/api/runs/${encodeURIComponent(name)}`),
    /** A model, read once; a run's newest weights change while it trains: `fresh` reads anew. */
    model: (ref, { fresh = false } = {}) => remember(models, ref, () => readModel(ref), fresh),
    explanation: (ref, language) => json(`${address(ref, "explanation")}?language=${language}`),
    /** The lessons: the tour, ours, challenges, and those that the lab was started with. */
    lessons: () => remember(lessons, "all", async () => (await json("/api/lessons")).lessons),
    statistics: (ref) => json(address(ref, "statistics")),
    async predictions(ref) {
      const answer = await json(address(ref, "predictions"));
      return {
        data: answer.data,
        labels: fromBase64(answer.labels, Uint8Array),
        predicted: fromBase64(answer.predicted, Uint8Array),
        probability: fromBase64(answer.probability, Float32Array),
        labelProbability: fromBase64(answer.label_probability, Float32Array),
      };
    },
    dataset: (name) => remember(sets, name, () => readSet(name)),
    /** The native engine as WebAssembly, and a worker that trains by it. */
    engine: () => bytes("/web/network/engine.wasm"),
    startTrainer: () => new Worker("/web/all/network/training-worker.js", { type: "module" }),
    /** Training pictures of a data set, and then a byte for each of them: its class. */
    training: (name) => bytes(`/api/data/${encodeURIComponent(name)}/training`),
    post,
    remove: change("DELETE"),
    /** Calls handlers.state, .run, .removed, .warnings with what the server says; .lost, .found. */
    events: live.listen,
    startWorker: () => new Worker("/web/all/network/worker.js", { type: "module" }),
  };
}

/** Typed values that were sent as base64 of their little-endian bytes. */
export function fromBase64(text, Type) {
  const binary = atob(text);
  const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  return new Type(bytes.buffer);
}

/** What `make` promises, made once for a key; a failure is not kept. */
function remember(kept, key, make, fresh = false) {
  if (fresh || !kept.has(key)) {
    const promise = make();
    kept.set(key, promise);
    promise.catch(() => kept.get(key) === promise && kept.delete(key));
    if (kept.size > 60) kept.delete(kept.keys().next().value);
  }
  return kept.get(key);
}
