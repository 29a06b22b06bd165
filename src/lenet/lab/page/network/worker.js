/** The worker that computes: a module by itself, or imported by a script (see standalone.js). */

import { answer } from "./answer.js";

const models = new Map();

self.onmessage = ({ data }) => {
  const reply = answer(models, data);
  const arrays = [reply.result].flat().filter((array) => array instanceof Float32Array);
  self.postMessage(reply, { transfer: arrays.map((array) => array.buffer) });
};

self.postMessage({ ready: true });
