/*
The end of a worker's text, after that of network.js: lenet/calculator.js makes one script of both.
*/

const models = new Map();

self.onmessage = ({ data }) => {
  const reply = answer(models, data);
  const arrays = [reply.result].flat().filter((array) => array instanceof Float32Array);
  self.postMessage(reply, { transfer: arrays.map((array) => array.buffer) });
};

self.postMessage({ ready: true });
