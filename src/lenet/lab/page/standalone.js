/** Explore in a file of its own: the network, its weights and its pictures are in the page. */

import { fromBase64 } from "lenet/backend.js";
import explore from "lenet/explore.js";
import backwardWords from "lenet/i18n/backward.js";
import exploreWords from "lenet/i18n/explore.js";
import inputWords from "lenet/i18n/input.js";
import lessonWords from "lenet/i18n/lessons.js";
import shellWords from "lenet/i18n/shell.js";
import sideWords from "lenet/i18n/sides.js";
import { readSafetensors } from "lenet/network/file.js";
import { product } from "lenet/network/shapes.js";
import { showPage } from "lenet/shell.js";
import { starter } from "lenet/standalone-worker.js";

/** The backend of what `lenet.export.html` has put into the page. */
function fileBackend(content, scripts) {
  const read = readSafetensors(fromBase64(content.weights, Uint8Array).buffer);
  const ref = `run:${content.title}`;
  const { name, title, classes, shape } = content.data;
  const size = product(shape);
  const labels = fromBase64(content.labels, Uint8Array);
  const pixels = fromBase64(content.pixels, Uint8Array);
  const refuse = async () => {
    throw new Error("this file has no server behind it");
  };
  return {
    kind: "file",
    state: async () => ({
      language: content.language,
      runs: [{ ...content.summary, name: content.title, status: "finished" }],
      networks: [],
      recipes: [],
      data: [{ ...content.data, test: labels.length, here: true }],
    }),
    run: refuse,
    model: async () => ({ ref, title: content.title, data: name, ...read }),
    explanation: async (_, language) => content.explanations[language],
    statistics: refuse,
    lessons: async () => content.lessons,
    predictions: async () => ({
      data: name,
      labels,
      predicted: fromBase64(content.predicted, Uint8Array),
      probability: fromBase64(content.probability, Float32Array),
      labelProbability: fromBase64(content.label_probability, Float32Array),
    }),
    dataset: async () => ({
      name,
      title,
      classes,
      shape,
      count: labels.length,
      labels,
      numbers: content.indices,
      pixels: async (indices) => indices.map((i) => pixels.slice(i * size, (i + 1) * size)),
    }),
    post: refuse,
    remove: refuse,
    events: () => () => {},
    startWorker: starter(scripts.worker),
    startTrainer: starter(scripts.trainer),
    engine: () => inflated(content.engine),
    training: () => inflated(content.training),
  };
}

const read = (id) => JSON.parse(document.getElementById(id).textContent);

/** Shows the page, with these sides of Explore's lens and their words besides its own. */
export function showFile(sides = [], words = []) {
  showPage({
    backend: fileBackend(read("lenet-content"), read("lenet-modules").scripts),
    views: { explore },
    sides,
    words: [shellWords, exploreWords, backwardWords, inputWords, lessonWords, sideWords, ...words],
    first: () => "explore",
  });
}

/** The bytes that were deflated and written as base64. */
function inflated(text) {
  const packed = new Blob([fromBase64(text, Uint8Array)]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
