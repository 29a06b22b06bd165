/** Runs the page's engine on what tests/test_wasm.py wrote into a folder; node and deno run it. */

import { readFileSync, writeFileSync } from "node:fs";

import { makeEngine } from "../src/lenet/lab/page/network/engine.js";

const [folder, wasm] = process.argv.slice(2);
const file = (name) => `${folder}/${name}`;
const read = (Type, name) => new Type(new Uint8Array(readFileSync(file(name))).buffer);
const write = (name, array) => writeFileSync(file(name), new Uint8Array(array.buffer));
const job = JSON.parse(readFileSync(file("job.json"), "utf8"));
const module = new WebAssembly.Module(readFileSync(wasm));
const imports = WebAssembly.Module.imports(module);
const flat = (weights) => Float32Array.from([...weights.values()].flatMap(({ data }) => [...data]));

const results = [];
for (const { network, optimizer, batchSize, learningRate, position, epochs, name } of job) {
  try {
    const engine = await makeEngine(module, network, optimizer);
    const given = read(Float32Array, `${name}.weights`);
    let start = 0;
    const weights = engine.weights();
    for (const each of weights.values()) {
      each.data = given.slice(start, (start += each.data.length));
    }
    engine.setWeights(weights);
    const images = read(Uint8Array, `${name}.images`);
    const labels = read(Uint8Array, `${name}.labels`);
    const order = read(Int32Array, `${name}.order`);
    engine.setPictures(images, labels);
    const few = images.slice(0, 6 * (images.length / labels.length));
    const { gradients, loss } = engine.gradients(order.slice(0, batchSize), position);
    write(`${name}.gradients`, flat(gradients));
    const begun = performance.now();
    let trained;
    for (let epoch = 0; epoch < epochs; epoch += 1) {
      trained = engine.train(order, {
        batchSize,
        learningRate,
        position: { ...position, epoch: position.epoch + epoch },
      });
    }
    const seconds = (performance.now() - begun) / 1000;
    write(`${name}.trained`, flat(engine.weights()));
    write(`${name}.losses`, trained.losses);
    write(`${name}.logits`, engine.logits(few));
    write(`${name}.outputs`, Float32Array.from(engine.outputs(few).flatMap((each) => [...each])));
    const { confusion, ...evaluated } = engine.evaluate(2, labels.length - 2);
    write(`${name}.confusion`, confusion);
    const { right } = trained;
    results.push({ right, loss, evaluated, step: engine.step(), seconds });
  } catch (error) {
    results.push({ error: String(error) });
  }
}
writeFileSync(file("results.json"), JSON.stringify({ imports, results }));
