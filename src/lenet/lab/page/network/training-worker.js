/** The worker that trains: it answers between batches, so that nothing waits long for it. */

import { startTraining } from "./training.js";

const SLICE_MS = 24; // of batches, before what was asked meanwhile is answered
const READING_MS = 120; // from one reading to the next

/** @type {import("./training.js").Training | null} */
let training = null;
let module = null;
let pictures = null;
let running = false;
let lastReading = 0;
let ended = false; // whether an epoch has, since the held-out pictures were looked at
let edits = 0; // that were asked for: so the page knows which weights have them
let asked = 0; // messages that are not answered yet: no batch while an engine is being made
let scheduled = false;
const turn = new MessageChannel();

const tell = (kind, values = {}) => self.postMessage({ kind, edits, ...values });
const tellWeights = () => tell("weights", { weights: training.weights() });

function tellReading(look) {
  lastReading = performance.now();
  ended &&= !look;
  const reading = training.read({ look });
  const lost = reading.loss !== null && !Number.isFinite(reading.loss);
  if (lost) running = false;
  tell("reading", { reading, running, lost });
}

/** Batches for a moment, then the next turn: messages come in between. */
turn.port1.onmessage = () => {
  scheduled = false;
  const end = performance.now() + SLICE_MS;
  while (running && asked === 0 && performance.now() < end) {
    ended = training.batch() || ended;
    if (performance.now() - lastReading > READING_MS) tellReading(ended);
  }
  goOn();
};

function goOn() {
  if (!running || asked > 0 || scheduled) return;
  scheduled = true;
  turn.port2.postMessage(null);
}

const ANSWERS = {
  async pictures({ engine, ...given }) {
    module = await WebAssembly.compile(engine);
    pictures = given;
  },
  async begin({ network, settings, seed, weights }) {
    running = false;
    training = await startTraining(module, { network, pictures, settings, seed, weights });
    tellReading(true);
    tellWeights();
  },
  run() {
    if (running) return;
    running = true;
    lastReading = performance.now();
  },
  pause() {
    if (!running) return;
    running = false;
    tellReading(true);
    tellWeights();
  },
  step() {
    running = false;
    training.batch();
    tellReading(true);
    tellWeights();
  },
  settings: ({ settings }) => training.change(settings),
  async network({ network }) {
    await training.rebuild(network);
    tell("network", { network, weights: training.weights() });
  },
  edit({ number, changed }) {
    edits = number;
    training.edit(changed);
    if (!running) tellReading(true); // the page has these weights
  },
  shake({ share }) {
    training.shake(share);
    if (!running) tellReading(true);
    tellWeights();
  },
  look: tellWeights,
};

// one after the other: what is asked while an engine is made waits for it
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  asked += 1;
  last = last
    .then(() => ANSWERS[data.kind](data))
    .catch((error) => {
      running = false;
      tell("failed", { message: error.message });
    })
    .then(() => {
      asked -= 1;
      goOn();
    });
};
